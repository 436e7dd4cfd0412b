#!/usr/bin/env python3
"""Containers' networks: --network=host-sockets and none, in network namespaces that the test makes: its own with loopback, and a peer at the
other end of a pair of virtual links. Needs root.

  test/net/run.py --runtime build/runsc-c/runsc-c --build build --platform ptrace
"""
import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

RUNTIME, BUILD, PLATFORM = "", "", ""
HERE, PEER, HERE6, PEER6 = "10.55.0.1", "10.55.0.2", "fd55::1", "fd55::2"
SUITES = ("inet", "netlink", "unix", "epoll", "uring", "namespaces")
COMMON = """
import array, errno, fcntl, hashlib, os, select, signal, socket, struct, sys, threading, time
HERE, PEER, HERE6, PEER6 = %r, %r, %r, %r
def server(addr, port, family=socket.AF_INET):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((addr, port)); s.listen(100)
    return s
def ready():
    print('ready', flush=True)
def fails(code, call, *args):
    try: call(*args)
    except OSError as e: assert e.errno == code, e
    else: raise AssertionError('no error')
def digest(n):
    h = hashlib.sha256()
    for i in range(n): h.update(bytes([i & 255]) * 65536)
    return h.hexdigest()
def send_blocks(s, n):
    for i in range(n): s.sendall(bytes([i & 255]) * 65536)
def recv_digest(s):
    h = hashlib.sha256()
    while True:
        d = s.recv(1 << 18)
        if not d: return h.hexdigest()
        h.update(d)
""" % (HERE, PEER, HERE6, PEER6)


class Side:
    """A Python program on one side, whose first line of output is waited for if it has to be ready."""

    def __init__(self, prefix, code):
        self.p = subprocess.Popen([*prefix, "python3", "-c", COMMON + textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, cwd="/")

    def wait_ready(self):
        line = self.p.stdout.readline()
        if line != "ready\n":
            raise AssertionError(line + self.p.communicate(timeout=60)[0])

    def finish(self, timeout=60):
        try:
            out = self.p.communicate(timeout=timeout)[0]
        except subprocess.TimeoutExpired:
            self.p.kill()
            raise AssertionError("stuck: " + self.p.communicate()[0])
        if self.p.returncode:
            raise AssertionError(f"status {self.p.returncode}: {out}")
        return out


class Net(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(dir="/var/tmp")
        os.chmod(cls.top, 0o755)
        cls.peer_process = subprocess.Popen(["unshare", "-n", "sleep", "10000"])
        pid = cls.peer_process.pid
        while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        cls.peer = ["nsenter", "-t", str(pid), "-n"]
        for command in (f"ip link add v0 type veth peer name v1 netns {pid}", f"ip addr add {HERE}/24 dev v0",
                        f"ip -6 addr add {HERE6}/64 dev v0 nodad", "ip link set v0 up", "ip route add default dev v0"):
            subprocess.run(command.split(), check=True)
        for command in (f"ip addr add {PEER}/24 dev v1", f"ip -6 addr add {PEER6}/64 dev v1 nodad", "ip link set v1 up", "ip link set lo up"):
            subprocess.run(cls.peer + command.split(), check=True)

    @classmethod
    def tearDownClass(cls):
        cls.peer_process.kill()
        cls.peer_process.wait()
        shutil.rmtree(cls.top)

    def sandbox(self, network="host-sockets", *options):
        return [RUNTIME, "do", "--platform", PLATFORM, "--network", network, *options]

    def sides(self, first, second, first_prefix, second_prefix):
        """The first is ready before the second starts; both succeed. Their outputs."""
        a = Side(first_prefix, first)
        try:
            a.wait_ready()
            b = Side(second_prefix, second)
            try:
                out = b.finish()
            except AssertionError as e:
                a.p.kill()
                raise AssertionError(f"{e}; the first side: {a.p.communicate()[0]}")
            return a.finish(), out
        finally:
            a.p.kill()
            a.p.wait()
            a.p.stdout.close()

    def both(self, first, second):
        """Once with the first in the sandbox and the second in the peer's namespace, once the other way round."""
        self.sides("ME, YOU, ME6, YOU6 = HERE, PEER, HERE6, PEER6\n" + textwrap.dedent(first),
                   "ME, YOU, ME6, YOU6 = PEER, HERE, PEER6, HERE6\n" + textwrap.dedent(second), self.sandbox(), self.peer)
        self.sides("ME, YOU, ME6, YOU6 = PEER, HERE, PEER6, HERE6\n" + textwrap.dedent(first),
                   "ME, YOU, ME6, YOU6 = HERE, PEER, HERE6, PEER6\n" + textwrap.dedent(second), self.peer, self.sandbox())

    def inside(self, code, network="host-sockets", *options):
        return Side(self.sandbox(network, *options), code).finish()

    # ---- system calls ----

    def suite(self, name, prefix, what):
        test = shutil.copy(os.path.join(BUILD, "test/syscalls/sys_" + name), self.top)
        r = subprocess.run([*prefix, test], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, cwd="/")
        if r.returncode:
            raise AssertionError(f"{name} {what}: status {r.returncode}\n" + "\n".join(x for x in r.stdout.splitlines() if x[:3] != "ok ") + r.stderr)

    def test_suites(self):
        for name in SUITES:
            self.suite(name, [], "natively")
            self.suite(name, self.sandbox(), "on host sockets")
            self.suite(name, self.sandbox("none"), "on the sandbox's loopback")

    # ---- with the other side ----

    def test_http(self):
        with open(os.path.join(self.top, "file"), "wb") as f:
            f.write(os.urandom(20 << 20))
            f.seek(0)
        with open(os.path.join(self.top, "file"), "rb") as f:
            want = hashlib.sha256(f.read()).hexdigest()
        for addr, url in (HERE, HERE), (HERE6, f"[{HERE6}]"):
            server = f"""
                import functools, http.server
                class Server(http.server.HTTPServer):
                    address_family = socket.AF_INET6 if ':' in '{addr}' else socket.AF_INET
                h = functools.partial(http.server.SimpleHTTPRequestHandler, directory='{self.top}')
                s = Server(('{addr}', 8000), h)
                ready()
                s.handle_request(); s.server_close()
                """
            client = f"""
                import urllib.request
                print(hashlib.sha256(urllib.request.urlopen('http://{url}:8000/file', timeout=60).read()).hexdigest())
                """
            self.assertEqual(self.sides(server, client, self.sandbox(), self.peer)[1].strip(), want)

    def test_large_transfer(self):
        self.both("""
            for family, addr in (socket.AF_INET, ME), (socket.AF_INET6, ME6):
                s = server(addr, 8001, family)
                if family == socket.AF_INET: ready()
                c = s.accept()[0]
                send_blocks(c, 300); c.shutdown(socket.SHUT_WR)
                assert recv_digest(c) == digest(200)
                c.close(); s.close()
            """, """
            for family, addr in (socket.AF_INET, YOU), (socket.AF_INET6, YOU6):
                for i in range(200):
                    try: s = socket.create_connection((addr, 8001)); break
                    except ConnectionRefusedError: time.sleep(0.02)
                t = threading.Thread(target=lambda: (send_blocks(s, 200), s.shutdown(socket.SHUT_WR)))
                t.start()
                assert recv_digest(s) == digest(300)
                t.join(); s.close()
            """)

    def test_datagrams(self):
        """As a resolver does: queries and answers over UDP, both families, connected and not."""
        self.both("""
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::', 8053)); ready()
            for i in range(100):
                q, who = s.recvfrom(512); s.sendto(b'answer ' + q, who)
            """, """
            for family, addr in (socket.AF_INET, YOU), (socket.AF_INET6, YOU6):
                s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(10)
                for i in range(25):
                    q = b'%d' % i
                    s.sendto(q, (addr, 8053))
                    a, who = s.recvfrom(512)
                    assert a == b'answer ' + q and who[:2] == (addr, 8053), (a, who)
                s.connect((addr, 8053))
                for i in range(25):
                    s.send(b'c'); assert s.recv(512) == b'answer c'
            """)

    def test_short_connections(self):
        """10,000 of them, and no descriptor more."""
        count = "open_now = lambda: len(os.listdir('/proc/self/fd'))"
        self.both(f"""
            s = server(ME, 8002); {count}; before = open_now(); ready()
            for i in range(5000):
                c = s.accept()[0]; c.sendall(c.recv(10)); c.close()
            assert open_now() == before
            """, """
            for i in range(5000):
                s = socket.create_connection((YOU, 8002)); s.sendall(b'x'); assert s.recv(10) == b'x'; assert s.recv(10) == b''; s.close()
            """)

    def host_descriptors(self, pid):
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
        return sum(len(os.listdir(f"/proc/{p}/fd")) for p in children)

    def test_no_leaked_handles(self):
        """The host's descriptors of the sandbox are as many after 2,000 sockets as before."""
        a = Side(self.sandbox(), """
            s = server(HERE, 8003); ready()
            for i in range(2000):
                c = s.accept()[0]; c.recv(10); c.close()
                d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.close()
                if i == 10 or i == 1999:
                    c = s.accept()[0]; c.sendall(b'look'); c.recv(10); c.close()
            """)
        try:
            a.wait_ready()
            b = Side(self.peer, f"""
                def one():
                    s = socket.create_connection((HERE, 8003)); s.sendall(b'x'); s.recv(10); s.close()
                for i in range(2000):
                    one()
                    if i == 10 or i == 1999:
                        s = socket.create_connection((HERE, 8003)); s.recv(10); ready(); sys.stdin.read(1); s.close()
                """)
            counts = []
            for i in range(2):
                b.wait_ready()
                counts.append(self.host_descriptors(a.p.pid))
                b.p.stdin.write("x")
                b.p.stdin.flush()
            b.finish()
            a.finish()
            self.assertEqual(counts[0], counts[1])
        finally:
            a.p.kill()
            a.p.wait()
            a.p.stdout.close()

    def test_errors(self):
        self.inside("""
            s = socket.socket(); fails(errno.ECONNREFUSED, s.connect, (PEER, 9)); s.close()
            s = socket.socket(socket.AF_INET6); fails(errno.ECONNREFUSED, s.connect, (PEER6, 9)); s.close()
            s = socket.socket(); s.settimeout(20); fails(errno.EHOSTUNREACH, s.connect, ('10.55.0.99', 9)); s.close()
            s = socket.socket(socket.AF_INET6); fails(errno.ENETUNREACH, s.connect, ('2001:db8::1', 9)); s.close()
            s = socket.socket(); s.setblocking(False); fails(errno.EINPROGRESS, s.connect, (PEER, 9))
            p = select.poll(); p.register(s, select.POLLOUT); assert p.poll(10000)[0][1] & select.POLLERR
            assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED; s.close()
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((PEER, 9)); s.settimeout(10); s.send(b'x')
            fails(errno.ECONNREFUSED, s.recv, 10); s.close()
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_IP, 11, 1)
            s.sendto(b'x', (PEER, 9)); p = select.poll(); p.register(s, 0); assert p.poll(10000)[0][1] & select.POLLERR
            data, control, flags, who = s.recvmsg(100, 200, socket.MSG_ERRQUEUE)
            assert data == b'x' and control[0][:2] == (socket.SOL_IP, 11) and flags & socket.MSG_ERRQUEUE, (data, control)
            assert struct.unpack('I', control[0][2][:4])[0] == errno.ECONNREFUSED and who == (PEER, 9)
            s = socket.socket(); fails(errno.EADDRNOTAVAIL, s.bind, (PEER, 0)); s.close()
            s = socket.socket(); s.bind((HERE, 0)); t = socket.socket(); fails(errno.EADDRINUSE, t.bind, s.getsockname())
            """)

    def test_packet_information(self):
        self.both("""
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 8004))
            for opt in (8, 12, 13): s.setsockopt(socket.SOL_IP, opt, 1)
            s.setsockopt(socket.SOL_SOCKET, 35, 1); ready()
            data, control, flags, who = s.recvmsg(100, 500)
            c = {(level, kind): value for level, kind, value in control}
            assert socket.inet_ntoa(c[0, 8][8:12]) == ME and c[0, 1][:1] == b'\\x21' and c[0, 2][:1] == b'\\x10', c
            assert abs(struct.unpack('qq', c[1, 35])[0] - time.time()) < 5
            s6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s6.bind((ME6, 8005)); s6.setsockopt(41, 49, 1); s6.setsockopt(41, 66, 1)
            s.sendto(b'more', who)
            data, control, flags, who = s6.recvmsg(100, 500)
            c = {(level, kind): value for level, kind, value in control}
            assert socket.inet_ntop(socket.AF_INET6, c[41, 50][:16]) == ME6 and struct.unpack('i', c[41, 67])[0] == 0x21, c
            """, """
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 2, 0x10)
            s.sendmsg([b'a', b'b'], [(0, 1, struct.pack('i', 0x21))], 0, (YOU, 8004))
            s.recv(10)
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            s.sendmsg([b'x'], [(41, 67, struct.pack('i', 0x21))], 0, (YOU6, 8005))
            """)

    # ---- what is seen of the network ----

    def same(self, command):
        ours = subprocess.run([*self.sandbox(), "sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, cwd="/")
        theirs = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t sysfs s /sys; " + command], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=60, cwd="/")
        self.assertEqual((ours.returncode, ours.stdout, ours.stderr), (theirs.returncode, theirs.stdout, theirs.stderr), command)

    def test_view(self):
        for command in ("ip addr", "ip -d link show v0", "ip link show nosuch", "ip route", "ip -6 route", "ip rule", "ip neigh show nosuch", f"ip route get {PEER}",
                        "ip route get 2001:db8::1", "cat /proc/net/route /proc/net/if_inet6", "grep -o '^ *[a-z0-9]*:' /proc/net/dev",
                        "busybox ifconfig v0 | grep -v bytes", "busybox route -n", "hostname -I", "ls /sys/class/net; cat /sys/class/net/*/address",
                        "cd /sys/class/net/v0; cat mtu flags ifindex operstate type carrier; ls statistics; cat nosuch",
                        "python3 -c 'import socket; print(socket.if_nameindex(), socket.if_nametoindex(\"v0\"))'"):
            self.same(command)

    def test_links_come_and_go(self):
        a = Side(self.sandbox(), """
            names = lambda: [n for i, n in socket.if_nameindex()]
            assert 'late0' not in names() and 'late0' not in os.listdir('/sys/class/net')
            ready()
            while 'late0' not in names(): time.sleep(0.02)
            assert 'late0' in os.listdir('/sys/class/net') and 'late0:' in open('/proc/net/dev').read()
            assert open('/sys/class/net/late0/mtu').read() == '1400\\n'
            """)
        try:
            a.wait_ready()
            subprocess.run("ip link add late0 mtu 1400 type veth peer name late1".split(), check=True)
            a.finish()
        finally:
            subprocess.run("ip link del late0".split())
            a.p.kill()
            a.p.wait()
            a.p.stdout.close()

    def test_nothing_can_be_changed(self):
        for command in ("ip link set lo down", "ip addr add 10.9.9.9/24 dev v0", "ip route add 10.8.0.0/16 dev v0", "ip link add x0 type veth", "ip link del v0",
                        "busybox ifconfig v0 down"):
            r = subprocess.run([*self.sandbox(), *command.split()], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, cwd="/")
            self.assertNotEqual(r.returncode, 0, command)
            self.assertIn("not permitted", r.stderr)

    def test_tables_of_sockets(self):
        self.inside("""
            s = server(HERE, 8010); os.setuid(7); t = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); t.bind(('::', 8011))
            def row(name, port):
                rows = [l.split() for l in open('/proc/net/' + name).read().splitlines() if l.split()[1].endswith(':%04X' % port)]
                assert len(rows) == 1, rows
                return int(rows[0][7]), int(rows[0][9])
            assert row('tcp', 8010) == (0, os.fstat(s.fileno()).st_ino)
            assert row('udp6', 8011) == (7, os.fstat(t.fileno()).st_ino)
            """)

    def test_none_has_a_loopback_of_its_own(self):
        self.inside("""
            assert [n for i, n in socket.if_nameindex()] == ['lo'] == os.listdir('/sys/class/net')
            fails(errno.ENETUNREACH, socket.socket().connect, (PEER, 9))
            s = server('127.0.0.1', 8012); c = socket.create_connection(('127.0.0.1', 8012)); c.send(b'x'); assert s.accept()[0].recv(9) == b'x'
            """, "none")

    def test_loopback_is_shared(self):
        """Two sandboxes in one network namespace reach each other by 127.0.0.1."""
        self.sides("""
            s = server('127.0.0.1', 8013); ready(); c = s.accept()[0]; c.sendall(c.recv(9))
            """, """
            c = socket.create_connection(('127.0.0.1', 8013)); c.send(b'x'); assert c.recv(9) == b'x'
            """, self.sandbox(), self.sandbox())

    def test_own_namespaces_inside(self):
        """A network namespace that a program makes is a loopback inside the sandbox."""
        self.inside("""
            import ctypes
            assert ctypes.CDLL(None).unshare(0x40000000) == 0
            assert [n for i, n in socket.if_nameindex()] == ['lo']
            fails(errno.ENETUNREACH, socket.socket().connect, (PEER, 9))
            """)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--runtime", required=True)
    p.add_argument("--build", required=True)
    p.add_argument("--platform", required=True)
    args, rest = p.parse_known_args()
    if "NET_INSIDE" not in os.environ:
        os.environ["NET_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable] + sys.argv)
    RUNTIME, BUILD, PLATFORM = os.path.abspath(args.runtime), os.path.abspath(args.build), args.platform
    unittest.main(argv=[sys.argv[0]] + rest, verbosity=1)
