#!/usr/bin/env python3
"""containerd's shim without containerd: its command line, ttrpc and the messages of containerd.task.v2, the events that it tells of, and what it
answers to nonsense. test/oci/engines has it with containerd.

  test/oci/shim.py --shim build/runsc-c/containerd-shim-runsc-c-v2
"""
import argparse
import json
import os
import queue
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SHIM = ""
APPLETS = "sh cat echo sleep true tty stty kill id head pwd".split()


# ---- protocol buffers, as far as these messages need them ----

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def message(**fields):
    """f3="text" is field 3; numbers, text, bytes and lists of them."""
    out = b""
    for name, values in fields.items():
        for v in values if isinstance(values, list) else [values]:
            number = int(name[1:])
            if isinstance(v, int):
                out += varint(number << 3) + varint(int(v))
            else:
                v = v.encode() if isinstance(v, str) else v
                out += varint(number << 3 | 2) + varint(len(v)) + v
    return out


def parse(data):
    """{number: [value...]}"""
    out, i = {}, 0

    def number():
        nonlocal i
        n = shift = 0
        while True:
            n |= (data[i] & 127) << shift
            shift += 7
            i += 1
            if data[i - 1] < 128:
                return n
    while i < len(data):
        key = number()
        if key & 7 == 0:
            v = number()
        else:
            n = number()
            v = data[i:i + n]
            i += n
        out.setdefault(key >> 3, []).append(v)
    return out


def text(m, number):
    return m.get(number, [b""])[0].decode()


class Failed(Exception):
    def __init__(self, code, words):
        super().__init__(f"{code}: {words}")
        self.code, self.words = code, words


def receive(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def receive_frame(s):
    n, stream, kind, flags = struct.unpack(">IIBB", receive(s, 10))
    return stream, kind, receive(s, n)


class Events(threading.Thread):
    """containerd's side: takes events, in their order."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.got = queue.Queue()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:  # closed: the end
                return
            try:
                while True:
                    stream, kind, data = receive_frame(s)
                    envelope = parse(parse(parse(data)[3][0])[1][0])
                    any_ = parse(envelope[4][0])
                    self.got.put((text(envelope, 3), text(envelope, 2), text(any_, 1), parse(any_.get(2, [b""])[0])))
                    s.sendall(struct.pack(">IIBB", 0, stream, 2, 0))
            except EOFError:
                s.close()


class Shim(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(dir="/var/tmp")
        self.bundle = os.path.join(self.top, "c")
        rootfs = os.path.join(self.bundle, "rootfs")
        for d in "bin", "proc", "dev", "tmp":
            os.makedirs(os.path.join(rootfs, d))
        shutil.copy(shutil.which("busybox"), os.path.join(rootfs, "bin"))
        for a in APPLETS:
            os.symlink("busybox", os.path.join(rootfs, "bin", a))
        self.runsc = os.path.join(os.path.dirname(SHIM), "runsc-c")
        subprocess.run([self.runsc, "spec", "--bundle", self.bundle], check=True, cwd=self.bundle)
        with open(self.bundle + "/config.json") as f:
            self.config = json.load(f)
        self.config["root"]["readonly"] = False
        self.config["process"]["terminal"] = False
        self.events = Events(self.top + "/ev")
        self.addCleanup(lambda: self.events.listener.close())
        self.started()
        self.stream = 1

    def tearDown(self):
        subprocess.run([SHIM, "-namespace", "test", "-id", "c", "-address", "/x", "-bundle", self.bundle, "delete"], cwd=self.bundle, capture_output=True)
        try:
            self.kill_shim()
        except (OSError, EOFError, Failed):
            pass
        shutil.rmtree(self.top)

    def kill_shim(self):
        if os.path.exists(self.path):
            self.socket = self.connect()
            self.call("Shutdown", message(f1="c", f2=1))

    def started(self):
        env = dict(os.environ, TTRPC_ADDRESS=self.top + "/ev")
        r = subprocess.run([SHIM, "-namespace", "test", "-id", "c", "-address", "/x", "-publish-binary", "/x", "start"], cwd=self.bundle, env=env,
                           capture_output=True, text=True, timeout=20)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(r.stdout.startswith("unix:///"), r.stdout)
        with open(self.bundle + "/address") as f:
            self.assertEqual(f.read(), r.stdout)
        self.path = r.stdout[len("unix://"):]
        self.socket = self.connect()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(20)
        s.connect(self.path)
        return s

    def send(self, method, payload=b"", service="containerd.task.v2.Task"):
        data = message(f1=service, f2=method, f3=payload)
        self.stream += 2
        self.socket.sendall(struct.pack(">IIBB", len(data), self.stream, 1, 0) + data)
        return self.stream

    def answer(self, stream):
        got, kind, data = receive_frame(self.socket)
        self.assertEqual((got, kind), (stream, 2))
        m = parse(data)
        if 1 in m and 1 in parse(m[1][0]):
            status = parse(m[1][0])
            raise Failed(status[1][0], text(status, 2))
        return parse(m.get(2, [b""])[0])

    def call(self, method, payload=b"", **kw):
        return self.answer(self.send(method, payload, **kw))

    def fails(self, code, words, method, payload=b"", **kw):
        with self.assertRaises(Failed) as e:
            self.call(method, payload, **kw)
        self.assertEqual(e.exception.code, code, e.exception)
        self.assertIn(words, e.exception.words)

    def create(self, *args, **fields):
        self.config["process"]["args"] = list(args)
        with open(self.bundle + "/config.json", "w") as f:
            json.dump(self.config, f)
        return self.call("Create", message(f1="c", f2=self.bundle, f6="file://" + self.top + "/out", **fields))

    def output(self):
        with open(self.top + "/out") as f:
            return f.read()

    def topics(self, n):
        return [self.events.got.get(timeout=20)[0] for _ in range(n)]

    # ---- what a container goes through ----

    def test_life(self):
        pid = self.create("sh", "-c", "echo out; exit 5")[1][0]
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        state = self.call("State", message(f1="c"))
        self.assertEqual((text(state, 1), state[3][0], state[4][0]), ("c", pid, 1))
        wait = self.send("Wait", message(f1="c"))
        started = self.send("Start", message(f1="c"))
        answers = {}
        for _ in range(2):
            stream, _, data = receive_frame(self.socket)
            answers[stream] = parse(parse(data).get(2, [b""])[0])
        self.assertEqual(answers[started][1], [pid])
        self.assertEqual(answers[wait][1], [5])
        state = self.call("State", message(f1="c"))
        self.assertEqual((state[4][0], state[9][0]), (3, 5))
        deleted = self.call("Delete", message(f1="c"))
        self.assertEqual((deleted[1][0], deleted[2][0]), (pid, 5))
        self.assertEqual(self.output(), "out\n")
        self.fails(5, "not found", "State", message(f1="c"))
        got = [self.events.got.get(timeout=20) for _ in range(4)]
        self.assertEqual([(g[0], g[2]) for g in got], [("/tasks/create", "containerd.events.TaskCreate"), ("/tasks/start", "containerd.events.TaskStart"),
                                                       ("/tasks/exit", "containerd.events.TaskExit"), ("/tasks/delete", "containerd.events.TaskDelete")])
        self.assertEqual({g[1] for g in got}, {"test"})
        exit_ = got[2][3]
        self.assertEqual((text(exit_, 1), text(exit_, 2), exit_[3][0], exit_[4][0]), ("c", "c", pid, 5))
        shim = self.call("Connect", message(f1="c"))[1][0]
        self.call("Shutdown", message(f1="c"))
        for _ in range(200):
            if not os.path.exists(f"/proc/{shim}/exe"):
                break
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{shim}/exe"))
        self.assertFalse(os.path.exists(self.path))

    def test_exec(self):
        self.create("sleep", "1000")
        self.call("Start", message(f1="c"))
        self.fails(9, "cannot be started again", "Start", message(f1="c"))
        spec = json.dumps({"args": ["sh", "-c", "cat; exit 4"], "cwd": "/", "env": ["PATH=/bin"]})
        fifo = self.top + "/in"
        os.mkfifo(fifo)
        self.call("Exec", message(f1="c", f2="x", f4=fifo, f5="file://" + self.top + "/exec-out", f7=message(f1="t", f2=spec)))
        self.fails(6, "already exists", "Exec", message(f1="c", f2="x"))
        self.fails(6, "already exists", "Exec", message(f1="c", f2="../x"))
        self.assertEqual(self.call("State", message(f1="c", f2="x"))[4], [1])
        pid = self.call("Start", message(f1="c", f2="x"))[1][0]
        self.assertEqual({parse(p)[1][0] for p in self.call("Pids", message(f1="c"))[1]} >= {pid}, True)
        with open(fifo, "w") as f:
            f.write("through\n")
        wait = self.send("Wait", message(f1="c", f2="x"))
        time.sleep(0.2)
        closed = self.send("CloseIO", message(f1="c", f2="x", f3=1))  # until now it waits for more
        answers = dict((s, parse(parse(d).get(2, [b""])[0])) for s, _, d in (receive_frame(self.socket) for _ in range(2)))
        self.assertEqual(answers[wait][1], [4])
        self.assertIn(closed, answers)
        with open(self.top + "/exec-out") as f:
            self.assertEqual(f.read(), "through\n")
        self.assertEqual(self.call("Delete", message(f1="c", f2="x"))[2], [4])
        self.fails(5, "not found", "Delete", message(f1="c", f2="x"))
        missing = json.dumps({"args": ["nosuch"], "cwd": "/", "env": ["PATH=/bin"]})
        self.call("Exec", message(f1="c", f2="y", f7=message(f1="t", f2=missing)))
        self.fails(2, "executable file not found in $PATH", "Start", message(f1="c", f2="y"))
        self.call("Delete", message(f1="c", f2="y"))
        self.fails(9, "has not ended", "Delete", message(f1="c"))
        self.call("Kill", message(f1="c", f3=int(signal.SIGKILL)))
        self.assertEqual(self.call("Wait", message(f1="c"))[1], [137])
        self.fails(5, "process already finished", "Kill", message(f1="c", f3=9))
        self.call("Delete", message(f1="c"))

    def test_terminal(self):
        out = self.top + "/fifo"
        os.mkfifo(out)
        self.config["process"]["terminal"] = True
        reader = os.open(out, os.O_RDONLY | os.O_NONBLOCK)
        self.config["process"]["args"] = ["sh", "-c", "tty; stty size; head -c 200000 /dev/zero; echo; echo end"]
        with open(self.bundle + "/config.json", "w") as f:
            json.dump(self.config, f)
        self.call("Create", message(f1="c", f2=self.bundle, f4=1, f6=out))
        self.call("ResizePty", message(f1="c", f3=123, f4=45))
        self.call("Start", message(f1="c"))
        wait = self.send("Wait", message(f1="c"))
        os.set_blocking(reader, True)
        got = b""
        while more := os.read(reader, 65536):  # ends when the program has: nobody else writes
            got += more
        self.assertTrue(got.startswith(b"/dev/pts/0\r\n45 123\r\n"), got[:100])
        self.assertEqual(got.count(b"\0"), 200000)
        self.assertTrue(got.endswith(b"end\r\n"))
        self.answer(wait)
        os.close(reader)

    def test_pause_metrics_update(self):
        self.create("sleep", "1000")
        self.call("Start", message(f1="c"))
        self.call("Pause", message(f1="c"))
        self.assertEqual(self.call("State", message(f1="c"))[4], [4])
        self.call("Resume", message(f1="c"))
        self.assertEqual(self.call("State", message(f1="c"))[4], [2])
        stats = parse(self.call("Stats", message(f1="c"))[1][0])
        self.assertRegex(text(stats, 1), r"^io\.containerd\.cgroups\.v[12]\.Metrics$")
        v1 = "v1" in text(stats, 1)
        metrics = parse(stats[2][0])
        memory = parse(metrics[4][0])
        self.assertGreater(parse(memory[33][0])[2][0] if v1 else memory[32][0], 100000)
        self.call("Update", message(f1="c", f2=message(f1="t", f2=json.dumps({"memory": {"limit": 200 << 20}}))))
        memory = parse(parse(parse(self.call("Stats", message(f1="c"))[1][0])[2][0])[4][0])
        self.assertEqual(parse(memory[33][0])[1][0] if v1 else memory[33][0], 200 << 20)
        self.fails(12, "not there yet", "Checkpoint", message(f1="c"))
        self.assertEqual(self.topics(4), ["/tasks/create", "/tasks/start", "/tasks/paused", "/tasks/resumed"])

    def test_create_fails(self):
        with self.assertRaises(Failed) as e:
            self.create("nosuch")
        self.assertIn("executable file not found in $PATH", e.exception.words)
        self.fails(2, "FIFOs and files", "Create", message(f1="c", f2=self.bundle, f6="binary:///bin/true"))
        self.fails(2, "nosuchfs", "Create", message(f1="c", f2=self.bundle, f3=message(f1="nosuchfs", f2="x")))
        self.create("true")  # nothing is left of the others
        self.fails(6, "already exists", "Create", message(f1="c", f2=self.bundle))

    def test_containerd_is_away(self):
        """Events wait; none is lost and their order is kept."""
        self.events.listener.close()
        os.rename(self.top + "/ev", self.top + "/away")
        self.create("true")
        self.call("Start", message(f1="c"))
        self.call("Wait", message(f1="c"))
        self.events = Events(self.top + "/ev")
        self.assertEqual(self.topics(3), ["/tasks/create", "/tasks/start", "/tasks/exit"])

    def test_pod(self):
        """Containers of one pod have one shim."""
        other = os.path.join(self.top, "d")
        os.mkdir(other)
        with open(other + "/config.json", "w") as f:
            json.dump(dict(self.config, annotations={"io.kubernetes.cri.sandbox-id": "c"}), f)
        r = subprocess.run([SHIM, "-namespace", "test", "-id", "d", "-address", "/x", "start"], cwd=other, capture_output=True, text=True, timeout=20)
        self.assertEqual((r.returncode, r.stdout), (0, "unix://" + self.path), r.stderr)

    def test_delete_after_the_shim(self):
        pid = self.create("sleep", "1000")[1][0]
        self.call("Start", message(f1="c"))
        os.kill(self.call("Connect", message(f1="c"))[1][0], signal.SIGKILL)
        r = subprocess.run([SHIM, "-namespace", "test", "-id", "c", "-address", "/x", "-bundle", self.bundle, "delete"], cwd=self.bundle, capture_output=True,
                           timeout=20)
        self.assertEqual(parse(r.stdout)[2], [137], r.stderr)
        for _ in range(200):
            if not os.path.exists(f"/proc/{pid}/exe"):
                break
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{pid}/exe"))

    # ---- nonsense ----

    def test_unknown(self):
        self.fails(12, "Nosuch", "Nosuch")
        self.fails(12, "other.Service", "State", service="other.Service")
        self.fails(3, "not a message", "State", b"\xff\xff\xff")
        self.fails(5, "nosuch", "Start", message(f1="nosuch"))
        self.fails(5, "nosuch", "Wait", message(f1="nosuch"))

    def test_frames(self):
        s = self.connect()
        s.sendall(struct.pack(">IIBB", 5 << 20, 1, 1, 0))  # larger than any may be
        self.assertEqual(s.recv(1), b"")
        s = self.connect()
        data = message(f1="containerd.task.v2.Task", f2="Connect", f3=message(f1="c"))
        for b in struct.pack(">IIBB", len(data), 7, 1, 0) + data:
            s.sendall(bytes([b]))
        self.assertEqual(receive_frame(s)[:2], (7, 2))
        s.sendall(struct.pack(">IIBB", 3, 9, 1, 0) + b"\xff\xff\xff")
        self.assertEqual(parse(parse(receive_frame(s)[2])[1][0])[1], [3])
        s.sendall(struct.pack(">IIBB", 0, 11, 2, 0))  # a response, which nobody asked for
        self.assertEqual(parse(parse(receive_frame(s)[2])[1][0])[1], [3])
        s.sendall(struct.pack(">IIBB", 100, 13, 1, 0) + b"half")
        s.close()
        many = struct.pack(">IIBB", len(data), 1, 1, 0) + data
        s = self.connect()
        s.sendall(many * 1000)
        for _ in range(1000):
            self.assertEqual(receive_frame(s)[1], 2)
        self.call("Connect", message(f1="c"))

    def test_command_line(self):
        for args, words in ([], "needed"), (["-namespace", "x", "-id", "../y", "start"], "needed"), (["-nosuch"], "-nosuch"), (["-id"], "a value is missing"), (
                ["-namespace", "x", "-id", "y", "nosuch"], "nosuch"):
            r = subprocess.run([SHIM, *args], capture_output=True, text=True, cwd=self.top)
            self.assertEqual(r.returncode, 1)
            self.assertIn(words, r.stderr)
        self.assertIn("containerd-shim-runsc-c-v2", subprocess.run([SHIM, "-v"], capture_output=True, text=True).stdout)


def main():
    global SHIM
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--shim", required=True)
    args, rest = p.parse_known_args()
    SHIM = os.path.abspath(args.shim)
    unittest.main(argv=[sys.argv[0]] + rest)


main()
