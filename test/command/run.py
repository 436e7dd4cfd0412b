#!/usr/bin/env python3
"""The runsc-c command itself: options, statuses, standard files, terminals, signals, deaths of its processes, lock-down."""
import argparse
import hashlib
import os
import pathlib
import pty
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RUNTIME = PLATFORM = None
WAIT = 60


def command(*args, options=()):
    return [RUNTIME, "do", "--platform=" + PLATFORM, *options, *args]


def run(*args, options=(), **kwargs):
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command(*args, options=options), capture_output=True, timeout=WAIT, cwd="/", **kwargs)


def raw(*args, **kwargs):
    return subprocess.run([RUNTIME, *args], capture_output=True, text=True, timeout=WAIT, cwd="/", **kwargs)


def children(pid, thread=None):
    with open(f"/proc/{pid}/task/{thread or pid}/children") as f:
        return [int(p) for p in f.read().split()]


def cpu_time(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def comm(pid):
    with open(f"/proc/{pid}/comm") as f:
        return f.read().strip()


class Running:
    """A sandbox that says "ready" and stays; killed at the end."""

    def __init__(self, script="echo ready; while :; do sleep 1000; done", options=()):
        self.p = subprocess.Popen(command("/bin/sh", "-c", script, options=options), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
        self.p.stdout.readline()

    def process(self, name):
        return next(p for p in children(self.p.pid) if comm(p) == "runsc-c " + name)

    def end(self):
        out, err = self.p.communicate(timeout=WAIT)
        return self.p.returncode, out, err.decode()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.p.kill()
        self.p.communicate()


class Options(unittest.TestCase):
    def refused(self, result, *words):
        self.assertEqual(result.returncode, 125)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("runsc-c: "))
        for word in words:
            self.assertIn(word, lines[0])

    def test_bad(self):
        self.refused(raw(), "command")
        self.refused(raw("bogus"), "bogus")
        self.refused(raw("--bogus"), "--bogus")
        self.refused(raw("do"), "command")
        self.refused(raw("do", "--bogus", "true"), "--bogus")
        self.refused(raw("do", "--cwd"), "--cwd")
        self.refused(raw("do", "--cwd=relative", "true"), "relative")
        self.refused(raw("do", "--platform=vax", "true"), "vax")
        self.refused(raw("do", "--root=/nonexistent", "true"), "/nonexistent")
        self.refused(raw("do", "--root=/etc/passwd", "true"), "/etc/passwd")
        self.refused(raw("do", "--rw=/nonexistent", "true"), "/nonexistent")
        self.refused(raw("do", "--debug-log=/nonexistent/log", "true"), "/nonexistent/log")
        for bad in "0", "65", "-1", "two", "":
            self.refused(raw("do", "--cpus=" + bad, "true"), "--cpus", bad)
        for bad in "1", "1T", "-5G", "99999999999999999999", "x":
            self.refused(raw("do", "--memory=" + bad, "true"), "--memory", bad)
        for bad in "", "=", "=value":
            self.refused(raw("do", "--env=" + bad, "true"), "--env", "NAME")
        self.refused(raw("do", "--cwd=", "true"), "--cwd")
        self.refused(raw("do", "--root=", "true"), "--root")
        self.refused(raw("do", "--rw=/etc/passwd", "true"), "--rw", "/etc/passwd")
        self.refused(raw("do", "--memory=1M", "true"), "--memory", "16M")
        self.refused(raw("do", "--kvm-without=smap,nosuch", "true"), "--kvm-without", "nosuch")
        self.refused(raw("platforms", "extra"), "extra")
        self.refused(raw("do", ""), "empty")

    def test_help(self):
        for args in ["--help"], ["do", "--help"], ["platforms", "--help"], ["--version"]:
            result = raw(*args)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout)

    def test_closed_stdout(self):
        p = subprocess.run(["/bin/sh", "-c", '"$0" --help >&-', RUNTIME], capture_output=True, text=True)
        self.assertEqual(p.returncode, 125)
        self.assertIn("standard output", p.stderr)

    def test_cwd_and_environment(self):
        result = run("/bin/sh", "-c", 'pwd; echo "$A-$B-$HOME"', options=["--cwd=/usr", "--env=A=1", "--env", "B=two=2", "--env=HOME"])
        self.assertEqual(result.stdout, b"/usr\n1-two=2-\n")

    def test_root(self):
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(["cp", "/bin/busybox", root], check=True)
            result = run("/busybox", "ls", "/", options=["--root=" + root])
        self.assertIn(b"busybox", result.stdout.split())
        self.assertNotIn(b"usr", result.stdout.split())

    def test_rw(self):
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o777)
            script = f"cd {d} && echo data > f && mkdir e && mv f e/g && ln e/g h && ln -s h s && chmod 600 h && cat s"
            result = run("/bin/sh", "-c", script, options=["--rw=" + d])
            self.assertEqual(result.stdout, b"data\n", result.stderr)
            self.assertEqual(sorted(os.listdir(d)), ["e", "h", "s"])
            self.assertEqual(os.stat(d + "/h").st_mode & 0o7777, 0o600)
            self.assertEqual(os.stat(d + "/h").st_nlink, 2)
            self.assertEqual(os.readlink(d + "/s"), "h")

    def test_sync_writes_back(self):
        script = """
import mmap, os
f = os.open("written", os.O_RDWR | os.O_CREAT, 0o644)
os.write(f, b"w" * 10000)
g = os.open("mapped", os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(g, 8192)
m = mmap.mmap(g, 8192)
for call in os.sync, m.flush, lambda: os.fsync(g), lambda: os.fdatasync(g), os.sync:
    m[0] += 1
    m[4096] += 2
    call()
    print("ready", flush=True)
    input()
os.fsync(os.open(".", os.O_RDONLY))
m[8191] = 7
"""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o777)
            p = subprocess.Popen(command("/usr/bin/python3", "-c", script, options=["--rw=" + d, "--cwd=" + d]), cwd="/",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for n in range(1, 6):
                self.assertEqual(p.stdout.readline(), b"ready\n")
                with open(d + "/mapped", "rb") as f:
                    text = f.read()
                self.assertEqual((len(text), text[0], text[4096]), (8192, n, 2 * n))
                with open(d + "/written", "rb") as f:
                    self.assertEqual(f.read(), b"w" * 10000)
                p.stdin.write(b"\n")
                p.stdin.flush()
            out, err = p.communicate(timeout=WAIT)
            self.assertEqual((p.returncode, err), (0, b""))
            with open(d + "/mapped", "rb") as f:
                self.assertEqual(f.read()[8191], 7)

    @unittest.skipIf(os.geteuid(), "mounts a small file system")
    def test_full_file_system(self):
        """A failed write-back is told once to each open file, by fsync; to the close or the O_SYNC write that causes it."""
        script = """
import os
def tell(f, *args):
    try:
        return f(*args)
    except OSError as e:
        return e.errno
def make(name, flags=0):
    return os.open(name, os.O_RDWR | os.O_CREAT | flags, 0o644)
a, b = make("f"), make("f")
os.write(a, b"x" * 262144)
print(tell(os.fsync, a), tell(os.fsync, a), tell(os.fsync, b), tell(os.fsync, b), tell(os.fsync, make("f")))
c = make("g")
os.write(c, b"x" * 262144)
print(tell(os.close, c), tell(os.fsync, make("g")), tell(os.fsync, make("g")))
print(tell(os.write, make("h", os.O_SYNC), b"x" * 262144), tell(os.pwritev, make("i"), [b"x" * 262144], 0, os.RWF_DSYNC))
"""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "small", d], check=True)
            try:
                result = run("/usr/bin/python3", "-c", script, options=["--rw=" + d, "--cwd=" + d])
                self.assertEqual((result.stdout, result.stderr), (b"28 None 28 None None\n28 28 None\n28 28\n", b""))
                self.assertEqual(os.stat(d + "/f").st_size, 65536)
            finally:
                subprocess.run(["umount", d], check=True)

    def test_hard_links_are_one_file(self):
        script = """
import fcntl, mmap, os
f, g = os.open("f", os.O_RDWR), os.open("g", os.O_RDWR)
m = mmap.mmap(f, 8), mmap.mmap(g, 8)
m[0][0:1] = b"X"
os.pwrite(g, b"Y", 1)
fcntl.flock(f, fcntl.LOCK_EX)
try:
    fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("locked")
print(m[1][0:4], os.pread(f, 4, 0), os.stat("f").st_ino == os.fstat(g).st_ino)
os.unlink("f")
print(os.fstat(g).st_nlink, os.pwrite(f, b"Z", 2))
"""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o777)
            with open(d + "/f", "w") as f:
                f.write("12345678")
            os.chmod(d + "/f", 0o666)
            os.link(d + "/f", d + "/g")
            result = run("/usr/bin/python3", "-c", script, options=["--rw=" + d, "--cwd=" + d])
            self.assertEqual((result.stdout, result.stderr), (b"locked\nb'XY34' b'XY34' True\n1 1\n", b""))
            with open(d + "/g") as f:
                self.assertEqual(f.read(), "XYZ45678")

    def test_deep_path_is_one_request(self):
        def requests(path):
            result = run("/bin/sh", "-c", f"[ -e {path} ]", options=["--stats"])
            self.assertEqual(result.returncode, 0, result.stderr)
            found = re.search(rb"^\s*(?:hostcall\s+)?gofer\s+(\d+)", result.stderr, re.M)
            return int(found.group(1))

        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o755)
            os.makedirs(d + "/3/4/5/6/7/8")
            self.assertEqual(requests(d + "/3/4/5/6/7/8") - requests("/"), 1)

    def test_host_is_not_changed(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o777)
            with open(d + "/f", "w") as f:
                f.write("before")
            result = run("/bin/sh", "-c", f"cd {d}; echo after > f; echo new > n; cat f n")
            self.assertEqual(result.stdout, b"after\nnew\n", result.stderr)
            self.assertEqual(os.listdir(d), ["f"])
            with open(d + "/f") as f:
                self.assertEqual(f.read(), "before")

    def test_removed_names_stay_removed(self):
        script = """
import os
a, b, c = (os.open(name, os.O_RDONLY) for name in ("unlinked", "replaced", "dir"))
os.unlink("unlinked")
os.rename("other", "replaced")
os.rmdir("dir")
for fd in a, b, c:
    os.fchmod(fd, 0o600)
    print(oct(os.fstat(fd).st_mode), end=" ")
print(os.listdir("."), open("replaced").read())
"""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o777)
            for name in "unlinked", "replaced", "other":
                with open(f"{d}/{name}", "w") as f:
                    f.write("contents of " + name)
            os.mkdir(d + "/dir")
            result = run("/usr/bin/python3", "-c", script, options=["--cwd=" + d])
            self.assertEqual(result.stdout, b"0o100600 0o100600 0o40600 ['replaced'] contents of other\n", result.stderr)

    def test_cpus_and_memory(self):
        for cpus in 1, 2:
            result = run("nproc", options=[f"--cpus={cpus}"])
            self.assertEqual(result.stdout, b"%d\n" % cpus)
        result = run("/bin/sh", "-c", "read a b c < /proc/meminfo; echo $b", options=["--memory=256M"])
        self.assertLessEqual(int(result.stdout), 256 * 1024)

    def test_stats_and_strace(self):
        result = run("/bin/true", options=["--stats"])
        for word in b"page faults", b"exit_group", b"hostcalls", b"exits":
            self.assertIn(word, result.stderr)
        with tempfile.NamedTemporaryFile() as log:
            result = run("/bin/echo", "x", options=["--strace", "--debug-log=" + log.name])
            self.assertEqual((result.stdout, result.stderr), (b"x\n", b""))
            self.assertIn(b'write(1, "x\\n", 2) = 2', log.read())

    def test_without_io_uring(self):
        result = run("/bin/sh", "-c", "cat; ls / | wc -l", options=["--no-io-uring"], input=b"in\n", stdin=None)
        self.assertEqual(result.stdout.splitlines()[0], b"in")
        self.assertEqual(result.returncode, 0)


class Status(unittest.TestCase):
    def test_statuses(self):
        for status in 0, 1, 42, 255:
            self.assertEqual(run("/bin/sh", "-c", f"exit {status}").returncode, status)

    def test_signals(self):
        for sig in signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT:
            self.assertEqual(run("/bin/sh", "-c", f"kill -{int(sig)} $$").returncode, -sig)

    def not_run(self, path, status, *words):
        result = run(path)
        self.assertEqual(result.returncode, status)
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        for word in path, *words:
            self.assertIn(word, lines[0])

    def test_not_found(self):
        self.not_run("/nonexistent", 127)
        self.not_run("no-such-command", 127)

    def test_ignored_signals(self):
        """nohup(1): a signal that is ignored at the start is ignored by the program, and cannot be trapped by a shell (POSIX, trap)."""
        script = "grep SigIgn /proc/self/status; kill -HUP $$; echo on"
        result = run("sh", "-c", script, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual((result.returncode, result.stdout), (0, b"SigIgn:\t0000000000000001\non\n"))

    def test_not_executable(self):
        self.not_run("/etc", 126)
        self.not_run("/etc/passwd", 126)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            os.chmod(d, 0o755)
            with open("/bin/true", "rb") as f:
                elf = f.read()
            for name, data in {"empty": b"", "text": b"no program\n", "magic": b"\x7fELF", "cut": elf[:100],
                               "loop": b"#!%b/loop\n" % d.encode(), "machine": elf[:18] + b"\xb7" + elf[19:]}.items():
                path = f"{d}/{name}"
                with open(path, "wb") as f:
                    f.write(data)
                os.chmod(path, 0o755)
                self.not_run(path, 126)


class Limits(unittest.TestCase):
    """Too little of something on the host: one line that names it and what to do."""

    def limited(self, which, value, *words):
        def limit():
            resource.setrlimit(which, (value, value))
        result = run("/bin/true", preexec_fn=limit)
        self.assertEqual(result.returncode, 125)
        lines = result.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        for word in words:
            self.assertIn(word, lines[0])

    def test_address_space(self):
        self.limited(resource.RLIMIT_AS, 100 << 20, "--memory", "ulimit -v")

    def test_file_size(self):
        if PLATFORM == "kvm":
            self.skipTest("the memory of a virtual machine is no file")
        self.limited(resource.RLIMIT_FSIZE, 0, "--memory", "ulimit -f")

    def test_descriptors(self):
        self.limited(resource.RLIMIT_NOFILE, 10, "open files")

    def test_more_files_than_descriptors(self):
        """Files of a writable tree are as many as they are, whatever the host lets a process open: what nobody has open is closed there."""
        n = 300 if PLATFORM == "kvm" else 1500
        script = f'''if 1:
            import os
            gone = os.open("gone", os.O_RDWR | os.O_CREAT)
            os.write(gone, b"still")
            os.unlink("gone")
            for i in range({n}):
                with open(f"f{{i}}", "w") as f:
                    f.write(str(i))
            held = []
            try:
                for i in range({n}):
                    held.append(os.open(f"f{{i}}", os.O_RDWR))
                    os.pwrite(held[-1], b"x", 10)
            except OSError as e:
                print(e.errno)
            print(len(held) > 100 and len({{os.pread(f, 20, 0) for f in held}}) == len(held))
            for f in held:
                os.close(f)
            print(sum(int(open(f"f{{i}}").read()[:4].strip(chr(0))) == i for i in range({n})))
            print(os.pread(gone, 10, 0), sum(len(names) for _, _, names in os.walk(".")))
        '''
        with tempfile.TemporaryDirectory(dir="/var/tmp") as d:
            result = run("/usr/bin/python3", "-c", script, options=["--rw=" + d, "--cwd=" + d],
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
            self.assertEqual(result.stdout.decode(), f"24\nTrue\n{n}\nb'still' {n}\n", result.stderr)
            self.assertEqual(sum(pathlib.Path(d, name).read_text().startswith(name[1:]) for name in os.listdir(d)), n)

    @unittest.skipUnless(os.geteuid() == 0 and os.path.exists("/dev/kvm"), "needs root and /dev/kvm")
    def test_kvm_without_permission(self):
        def drop():
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        for args in ["do", "--platform=kvm", "true"], ["platforms"]:
            result = raw(*args, preexec_fn=drop)
            self.assertIn("/dev/kvm: Permission denied", result.stderr + result.stdout)

    def test_working_directory(self):
        result = run("/bin/true", options=["--cwd=/nonexistent"])
        self.assertEqual(result.returncode, 127)
        self.assertEqual(result.stderr.count(b"\n"), 1)
        self.assertIn(b"/nonexistent: cannot change to the working directory: no such file", result.stderr)

    def test_long_name(self):
        result = run("a" * 5000)
        self.assertEqual(result.returncode, 127)
        self.assertIn(b"no such file", result.stderr)


class Hostile(unittest.TestCase):
    """A program that takes all it can get: it is killed or refused, and the sandbox lives."""

    def test_fork_bomb(self):
        # The watcher forks before the bomb goes off, and never again: a refusal would be right.
        script = """
import os, subprocess, time
subprocess.Popen(["/bin/sh", "-c", "f() { f | f & }; f"], stderr=subprocess.DEVNULL)
time.sleep(0.5)
while True:
    try:
        os.kill(-1, 9)
    except ProcessLookupError:
        pass
    try:
        os.wait()
    except ChildProcessError:
        break
print("after")
"""
        result = run("python3", "-c", script, options=["--memory=96M"])
        self.assertEqual((result.returncode, result.stdout), (0, b"after\n"), result.stderr[-500:])

    def test_memory_hog(self):
        script = "python3 -c 'x = [bytearray(1 << 20) for i in range(140)]' 2>/dev/null; echo $?; ls / | grep -c usr"
        result = run("/bin/sh", "-c", script, options=["--memory=96M"])
        status, usr = result.stdout.split()
        self.assertIn(status, [b"1", b"137"], result.stderr)
        self.assertEqual(usr, b"1")

    def test_full_file_system(self):
        script = "dd if=/dev/zero of=/tmp/f bs=1M count=300 2>/dev/null; echo $?; rm /tmp/f; echo x > /tmp/g; cat /tmp/g"
        result = run("/bin/sh", "-c", script, options=["--memory=96M"])
        self.assertEqual(result.stdout, b"1\nx\n", result.stderr)

    def test_stub_killed_from_outside(self):
        """As the host's OOM killer may do it: the program that it stands for ends by SIGKILL, the others go on."""
        if PLATFORM != "ptrace":
            self.skipTest("only the ptrace platform has host processes for address spaces")
        with Running("sh -c 'echo ready; while :; do :; done'; echo $?") as s:
            time.sleep(0.3)
            sandbox = s.process("sandbox")
            stubs = [p for t in os.listdir(f"/proc/{sandbox}/task") for p in children(sandbox, t)]
            os.kill(max(stubs, key=cpu_time), signal.SIGKILL)
            self.assertEqual(s.end()[:2], (0, b"137\n"))


class StandardFiles(unittest.TestCase):
    def test_pipes(self):
        result = run("/bin/cat", input=b"x" * 300000, stdin=None)
        self.assertEqual(result.stdout, b"x" * 300000)

    def test_late_input(self):
        p = subprocess.Popen(command("/bin/cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        time.sleep(0.3)
        p.stdin.write(b"late")
        self.assertEqual(p.communicate(timeout=WAIT)[0], b"late")

    def test_blocking_flag_is_left_alone(self):
        r, w = os.pipe()
        run("/bin/echo", stdin=r)
        self.assertTrue(os.get_blocking(r))
        os.close(r)
        os.close(w)

    def test_broken_pipe(self):
        p = subprocess.Popen(command("yes"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd="/")
        self.assertEqual(p.stdout.read(2), b"y\n")
        p.stdout.close()
        self.assertEqual(p.wait(timeout=WAIT), -signal.SIGPIPE)

    def test_file_offsets_are_shared(self):
        with tempfile.TemporaryFile() as f:
            f.write(b"0\n")
            f.flush()
            subprocess.run(command("/bin/sh", "-c", "echo 1; echo 2 >&2"), stdout=f, stderr=f, cwd="/", timeout=WAIT)
            os.write(f.fileno(), b"3\n")
            f.seek(0)
            self.assertEqual(f.read(), b"0\n1\n2\n3\n")

    def test_closed(self):
        script = '"$0" do --platform="$1" /bin/sh -c "ls /proc/self/fd | wc -l" 2>/dev/null <&-'
        closed = subprocess.run(["/bin/sh", "-c", script, RUNTIME, PLATFORM], capture_output=True, timeout=WAIT, cwd="/")
        script = '"$0" do --platform="$1" /bin/echo x >&-'
        result = subprocess.run(["/bin/sh", "-c", script, RUNTIME, PLATFORM], capture_output=True, timeout=WAIT, cwd="/")
        self.assertEqual(closed.returncode, 0)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"Bad file descriptor", result.stderr)

    def test_no_descriptor_leaks_in(self):
        r, w = os.pipe()
        result = run("/bin/ls", "/proc/self/fd", pass_fds=[r, w])
        self.assertEqual(result.stdout, b"0\n1\n2\n3\n")
        os.close(r)
        os.close(w)


class Terminal(unittest.TestCase):
    def start(self, *args):
        pid, fd = pty.fork()
        if not pid:
            os.chdir("/")
            os.execv(RUNTIME, command(*args))
        self.addCleanup(os.close, fd)
        return pid, fd

    def expect(self, fd, text):
        seen = b""
        end = time.monotonic() + WAIT
        while text not in seen:
            ready = select.select([fd], [], [], max(0, end - time.monotonic()))[0]
            self.assertTrue(ready, f"{text!r} does not come: {seen!r}")
            try:
                seen += os.read(fd, 4096)
            except OSError:
                self.fail(f"{text!r} did not come: {seen!r}")
        return seen

    def test_reading(self):
        pid, fd = self.start("/bin/sh", "-c", "test -t 0 && test -t 1 && echo ready; read x; echo got $x")
        self.expect(fd, b"ready")
        os.write(fd, b"a line\n")
        self.expect(fd, b"got a line")
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_name(self):
        """The host's terminal has a name of its own among the sandbox's pseudo-terminals (ttyname(3), pts(4))."""
        script = """
import os, pty
assert os.ttyname(0) == "/dev/pts/0" and os.stat(0).st_rdev == os.makedev(136, 0) == os.stat("/dev/pts/0").st_rdev
assert os.ttyname(pty.openpty()[1]) == "/dev/pts/1"
assert open("/proc/self/stat").read().split()[6] == str(136 << 8)
for name in "/dev/pts/0", "/dev/tty", "/dev/console":
    os.write(os.open(name, os.O_RDWR), name.encode())
os.close(0), os.close(1), os.close(2)
os.write(os.open("/dev/tty", os.O_RDWR), b"all there")
"""
        pid, fd = self.start("python3", "-c", script)
        seen = self.expect(fd, b"all there")
        for name in b"/dev/pts/0", b"/dev/tty", b"/dev/console":
            self.assertIn(name, seen)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_size(self):
        pid, fd = self.start("/bin/sh", "-c", "stty rows 33 cols 99; stty size")
        self.expect(fd, b"33 99")
        os.waitpid(pid, 0)

    def test_interrupt(self):
        # One process with default signals: a shell that says "ready" and then forks may take the interrupt in its child, between fork and
        # exec, where its own handler is still the child's, and lose it; on any Linux.
        pid, fd = self.start("perl", "-e", "$| = 1; print 'ready'; sleep 1000")
        self.expect(fd, b"ready")
        os.write(fd, b"\x03")
        self.assertEqual(os.waitpid(pid, 0)[1] & 0x7f, signal.SIGINT)

    def test_job_control(self):
        pid, fd = self.start("/bin/bash", "--norc", "-i")
        os.write(fd, b"echo one-$((1+1))\n")
        self.expect(fd, b"one-2")
        os.write(fd, b"sh -c 'echo two-$((1+1)); exec sleep 1000'\n")
        self.expect(fd, b"two-2")
        os.write(fd, b"\x1a")
        self.expect(fd, b"Stopped")
        os.write(fd, b"kill -9 %1; exit 7\nexit 7\n")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)

    def test_settings_are_restored(self):
        pid, fd = self.start("/bin/sh", "-c", "stty raw -echo; echo done; kill -9 $$")
        import termios
        before = termios.tcgetattr(fd)
        self.expect(fd, b"done")
        os.waitpid(pid, 0)
        self.assertEqual(termios.tcgetattr(fd)[:4], before[:4])


class Processes(unittest.TestCase):
    def test_signals_are_passed_on(self):
        with Running('trap "echo got; exit 3" TERM; echo ready; while :; do sleep 0.05; done') as s:
            s.p.send_signal(signal.SIGTERM)
            self.assertEqual(s.end()[:2], (3, b"got\n"))
        with Running("echo ready; exec sleep 1000") as s:
            s.p.send_signal(signal.SIGHUP)
            self.assertEqual(s.end()[0], -signal.SIGHUP)

    def test_gofer_dies(self):
        with Running() as s:
            sandbox = s.process("sandbox")
            os.kill(s.process("gofer"), signal.SIGKILL)
            status, _, err = s.end()
            self.assertEqual(status, 128 + signal.SIGKILL)
            self.assertIn("the gofer process was killed by signal 9", err)
            self.assertFalse(os.path.exists(f"/proc/{sandbox}"))

    def test_sandbox_dies(self):
        with Running() as s:
            gofer = s.process("gofer")
            os.kill(s.process("sandbox"), signal.SIGKILL)
            status, _, err = s.end()
            self.assertEqual(status, 128 + signal.SIGKILL)
            self.assertIn("the sandbox process was killed by signal 9", err)
            self.assertFalse(os.path.exists(f"/proc/{gofer}"))

    def test_command_dies(self):
        for script in "while :; do sleep 1000; done", "(while :; do :; done) & while :; do :; done":
            s = Running("echo ready; " + script)
            sandbox = s.process("sandbox")
            fds = [os.pidfd_open(pid) for pid in (sandbox, s.process("gofer"), *children(sandbox))]
            s.p.kill()
            s.p.communicate()
            for fd in fds:
                self.assertTrue(select.select([fd], [], [], WAIT)[0])
                os.close(fd)

    def test_command_dies_early(self):
        for ms in range(0, 40, 2):
            p = subprocess.Popen(command("/bin/sh", "-c", "while :; do sleep 1000; done"), stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
            try:
                p.wait(ms / 1000)
            except subprocess.TimeoutExpired:
                p.kill()
            p.communicate(timeout=WAIT) # until nobody has the pipes

    def test_lock_down(self):
        with Running() as s:
            for name, caps in ("sandbox", 0), ("gofer", 0x1f if os.geteuid() == 0 else 0):
                pid = s.process(name)
                with open(f"/proc/{pid}/status") as f:
                    status = dict(line.split(":", 1) for line in f)
                self.assertEqual(status["Seccomp"].strip(), "2", name)
                self.assertEqual(status["NoNewPrivs"].strip(), "1", name)
                self.assertEqual(int(status["CapBnd"], 16), 0, name)
                self.assertEqual(int(status["CapEff"], 16) & ~0x1f, 0, name)
                if name == "sandbox":
                    self.assertEqual(int(status["CapPrm"], 16), 0)
                self.assertEqual(os.listdir(f"/proc/{pid}/root"), [], name)
                for ns in "mnt", "user", "pid":
                    self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/{ns}"), os.readlink(f"/proc/self/ns/{ns}"))


class FileWindow(unittest.TestCase):
    """Large files of a read-only tree are shown from the host's memory, not copied."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(dir="/var/tmp")
        os.chmod(self.dir.name, 0o755)
        self.addCleanup(self.dir.cleanup)

    def make(self, name, size):
        path = f"{self.dir.name}/{name}"
        with open(path, "wb") as f:
            f.write(random.Random(name).randbytes(size))
        return path

    @staticmethod
    def counted(result, name):
        found = re.search(rb"^\s*%s\s+(\d+)" % name.encode(), result.stderr, re.M)
        return int(found.group(1)) if found else 0

    @staticmethod
    def sum(*paths):
        digest = hashlib.md5()
        for path in paths:
            with open(path, "rb") as f:
                digest.update(f.read())
        return digest.hexdigest().encode()

    def test_contents(self):
        path = self.make("f", (5 << 20) + 123)
        script = f"md5sum < {path}; tail -c 200 {path} | md5sum; dd if={path} bs=70001 skip=3 count=7 2>/dev/null | md5sum"
        native = subprocess.run(["/bin/sh", "-c", script], capture_output=True)
        result = run("/bin/sh", "-c", script)
        self.assertEqual(result.stdout, native.stdout, result.stderr)

    def test_nothing_is_copied(self):
        path = self.make("f", 16 << 20)
        result = run("md5sum", path, options=["--stats"])
        self.assertEqual(result.stdout.split()[0], self.sum(path))
        self.assertGreaterEqual(self.counted(result, "window_map"), 16)
        self.assertLess(self.counted(result, "preadv"), 32)

    def test_mapped(self):
        path = self.make("f", (3 << 20) + 1000)
        program = ("import mmap, hashlib; f = open('%s', 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ);"
                   "p = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE); p[5000] ^= 1; p[5000] ^= 1;"
                   "print(hashlib.md5(m).hexdigest(), hashlib.md5(p).hexdigest())" % path)
        result = run("/usr/bin/python3", "-c", program)
        self.assertEqual(result.stdout.split(), [self.sum(path)] * 2, result.stderr)

    def test_more_files_than_blocks(self):
        paths = [self.make("%03d" % i, 70000) for i in range(140)]
        script = f"cat {self.dir.name}/* | md5sum; cat {self.dir.name}/* | md5sum"
        result = run("/bin/sh", "-c", script, options=["--memory=64M", "--stats"])
        self.assertEqual(result.stdout.split()[::2], [self.sum(*paths)] * 2, result.stderr)
        self.assertGreater(self.counted(result, "window_unmap"), 0)

    def test_file_becomes_shorter(self):
        path = self.make("f", 4 << 20)
        script = f"exec 3< {path}; md5sum <&3; echo ready; read go; cat {path} | wc -c; echo alive"
        with subprocess.Popen(command("/bin/sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd="/") as p:
            self.assertEqual(p.stdout.readline().split()[0], self.sum(path))
            self.assertEqual(p.stdout.readline(), b"ready\n")
            os.truncate(path, 4096)
            out, err = p.communicate(b"go\n", timeout=WAIT)
        self.assertEqual(out.split()[-1], b"alive", err)
        self.assertEqual(p.returncode, 0, err)


    def test_written_after_it_was_shown(self):
        path = self.make("f", 2 << 20)
        script = (f"md5sum < {path}; exec 3< {path}; echo hello | dd of={path} bs=1 seek=70000 conv=notrunc 2>/dev/null; md5sum < {path};"
                  f"md5sum <&3; truncate -s 100000 {path}; echo more >> {path}; md5sum < {path}")
        copy = self.make("g", 2 << 20)
        os.rename(copy, path)
        result = run("/bin/sh", "-c", script, options=["--rw=" + self.dir.name])
        after = self.sum(path)
        self.make("f", 2 << 20)
        self.make("g", 2 << 20)
        os.rename(copy, path)
        native = subprocess.run(["/bin/sh", "-c", script], capture_output=True)
        self.assertEqual(result.stdout, native.stdout, result.stderr)
        self.assertEqual(after, self.sum(path))

    def test_changed_by_the_host(self):
        path = self.make("f", 1 << 20)
        script = f"md5sum < {path}; while read go; do sleep 0.05; md5sum < {path}; done"
        with subprocess.Popen(command("/bin/sh", "-c", script, options=["--rw=" + self.dir.name]), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/") as p:
            self.assertEqual(p.stdout.readline().split()[0], self.sum(path))
            for size, seed in (1 << 20, b"a"), (100, b"b"), (3 << 20, b"c"):
                with open(path, "r+b") as f:  # in place
                    f.truncate(size)
                    f.write(random.Random(seed).randbytes(size))
                p.stdin.write(b"go\n")
                p.stdin.flush()
                self.assertEqual(p.stdout.readline().split()[0], self.sum(path), size)
            p.communicate(timeout=WAIT)


def works(runtime, platform):
    text = subprocess.run([runtime, "platforms"], capture_output=True, text=True, timeout=WAIT).stdout
    line = next(line for line in text.splitlines() if line.startswith(platform))
    return line.split()[1].startswith("yes"), line


def main():
    global RUNTIME, PLATFORM
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    parser.add_argument("--platform", required=True)
    args, rest = parser.parse_known_args()
    RUNTIME, PLATFORM = os.path.abspath(args.runtime), args.platform
    ok, line = works(RUNTIME, PLATFORM)
    if not ok:
        print("skipped:", line)
        sys.exit(77)
    for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(sig, signal.SIG_DFL)  # a shell ignores them for what it runs in the background
    unittest.main(argv=[sys.argv[0], *rest])


main()
