#!/usr/bin/env python3
"""The OCI runtime: its commands, config.json, exit codes and errors, on a bundle of busybox.

  test/oci/run.py --runtime build/runsc-c/runsc-c --platform ptrace
"""
import argparse
import contextlib
import json
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RUNTIME, PLATFORM = "", ""
NO_CAPS = {k: [] for k in ("bounding", "effective", "inheritable", "permitted", "ambient")}


class Bundle:
    """A folder with a busybox root and a config.json."""

    def __init__(self, top):
        self.path = os.path.join(top, "bundle")
        self.rootfs = os.path.join(self.path, "rootfs")
        for d in ("bin", "etc", "proc", "dev", "sys", "tmp"):
            os.makedirs(os.path.join(self.rootfs, d))
        shutil.copy("/bin/busybox", os.path.join(self.rootfs, "bin"))
        for applet in ("sh", "cat", "ls", "echo", "id", "sleep", "true", "false", "hostname", "grep", "mount", "kill", "env", "test", "ps", "rm"):
            os.symlink("busybox", os.path.join(self.rootfs, "bin", applet))
        subprocess.run([RUNTIME, "spec", "--bundle", self.path], check=True)
        with open(os.path.join(self.path, "config.json")) as f:
            self.config = json.load(f)
        self.config["process"]["terminal"] = False
        self.config["root"]["readonly"] = False

    def write(self):
        with open(os.path.join(self.path, "config.json"), "w") as f:
            json.dump(self.config, f)


class Oci(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(dir="/var/tmp")
        self.root = os.path.join(self.top, "state")
        self.log = os.path.join(self.top, "log")
        self.bundle = Bundle(self.top)

    def tearDown(self):
        for name in os.listdir(self.root) if os.path.isdir(self.root) else []:
            self.call("delete", "--force", name)
        shutil.rmtree(self.top)

    def call(self, *args, text=None, timeout=60):
        return subprocess.run([RUNTIME, "--root", self.root, "--log", self.log, "--log-format", "json", "--platform", PLATFORM, *args],
                              input=text, stdin=subprocess.DEVNULL if text is None else None, capture_output=True, text=True, timeout=timeout,
                              cwd=self.bundle.path)

    def ok(self, *args, **kw):
        r = self.call(*args, **kw)
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout

    def run_args(self, *args):
        self.bundle.config["process"]["args"] = list(args)
        self.bundle.write()
        return self.call("run", "c")

    def sh(self, script):
        r = self.run_args("sh", "-c", script)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        return r.stdout

    def create(self, *args, extra=()):
        """Created, with its output in a file; the pid."""
        self.bundle.config["process"]["args"] = list(args)
        self.bundle.write()
        pid_file = os.path.join(self.top, "pid")
        self.out = open(os.path.join(self.top, "out"), "w+")
        r = subprocess.run([RUNTIME, "--root", self.root, "--log", self.log, "--log-format", "json", "--platform", PLATFORM, "create",
                            "--bundle", self.bundle.path, "--pid-file", pid_file, *extra, "c"],
                           stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out, timeout=60)
        self.addCleanup(self.out.close)
        self.assertEqual(r.returncode, 0, self.output())
        with open(pid_file) as f:
            return int(f.read())

    def output(self):
        with open(self.out.name) as f:  # anew: the container writes where self.out stands
            return f.read()

    def status(self):
        return json.loads(self.ok("state", "c"))["status"]

    def wait_status(self, want):
        for _ in range(600):
            if self.status() == want:
                return
            time.sleep(0.05)
        self.fail(f"the container is {self.status()}, not {want}")

    def refused(self, r, *words):
        self.assertNotEqual(r.returncode, 0)
        self.assertEqual(len(r.stderr.strip().splitlines()), 1, r.stderr)
        for w in words:
            self.assertIn(w, r.stderr)
        with open(self.log) as f:
            last = json.loads(f.read().splitlines()[-1])
        self.assertEqual(last["level"], "error")
        self.assertIn(words[0], last["msg"])

    # ---- run ----

    def test_status_and_output(self):
        r = self.run_args("sh", "-c", "echo out; echo err >&2; exit 42")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (42, "out\n", "err\n"))
        self.assertEqual(os.listdir(self.root), [])

    def test_killed_by_signal(self):
        self.assertEqual(self.run_args("sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode, 137)

    def test_init_is_protected(self):
        """pid_namespaces(7): signals without a handler do not reach the first process, but for SIGKILL from outside."""
        out = self.sh("kill -9 $$; kill -TERM $$; (kill -9 1; kill -STOP 1); echo alive; trap 'echo handled' TERM; kill -TERM $$; echo still")
        self.assertEqual(out, "alive\nhandled\nstill\n")
        self.create("sleep", "100")
        self.ok("start", "c")
        self.ok("kill", "c", "TERM")
        self.ok("kill", "c", "INT")
        time.sleep(0.2)
        self.assertEqual(json.loads(self.ok("state", "c"))["status"], "running")
        self.ok("kill", "c", "KILL")
        self.wait_status("stopped")

    def test_out_of_memory(self):
        """The worst program is killed, and of the first one the host's cgroup says that it was for memory."""
        self.bundle.config["linux"]["resources"]["memory"] = {"limit": 40 << 20}
        self.assertEqual(self.sh("busybox tail /dev/zero; echo $?"), "137\n")
        # A mapping that is larger than the limit is no error before it is filled.
        self.assertEqual(self.sh("sh -c 'x=x; while true; do x=$x$x; done'; echo $?"), "137\n")
        self.bundle.config["linux"]["cgroupsPath"] = "/runsc-c-oom-test-%d" % os.getpid()
        self.create("busybox", "tail", "/dev/zero")
        self.ok("start", "c")
        self.wait_status("stopped")
        for name, key in (("memory/%s/memory.oom_control", "oom_kill 1"), ("%s/memory.events", "oom_kill 1")):
            path = os.path.join("/sys/fs/cgroup", name % self.bundle.config["linux"]["cgroupsPath"].lstrip("/"))
            if os.path.exists(path):
                with open(path) as f:
                    self.assertIn(key, f.read())
                break
        else:
            self.fail("the host has no cgroup of the container")

    def test_missing_program(self):
        self.refused(self.run_args("nosuch"), "executable file not found in $PATH")
        self.refused(self.run_args("/bin/nosuch"), "no such file or directory")
        self.refused(self.run_args("/etc"), "permission denied")

    def test_user(self):
        p = self.bundle.config["process"]
        p["user"] = {"uid": 1000, "gid": 100, "additionalGids": [7, 9], "umask": 0o77}
        self.assertEqual(self.sh("id -u; id -g; id -G; umask").split("\n")[:4], ["1000", "100", "100 7 9", "0077"])

    def test_capabilities(self):
        p = self.bundle.config["process"]
        p["capabilities"] = dict(NO_CAPS, bounding=["CAP_KILL", "CAP_CHOWN"], effective=["CAP_KILL"], permitted=["CAP_KILL"])
        text = self.sh("grep -E 'CapBnd|CapEff|CapPrm|NoNewPrivs' /proc/self/status")
        fields = {name: int(value, 16) for name, value in (line.split() for line in text.splitlines())}
        # Root's program gets what the bounding and inheritable sets leave: capabilities(7), "Capabilities and execution by root".
        self.assertEqual(fields, {"CapPrm:": 0x21, "CapEff:": 0x21, "CapBnd:": 0x21, "NoNewPrivs:": 1})

    def test_environment_and_cwd(self):
        p = self.bundle.config["process"]
        p["env"] = ["PATH=/bin", "A=b c"]
        p["cwd"] = "/etc"
        self.assertEqual(self.sh('echo "$A"; pwd'), "b c\n/etc\n")

    def test_rlimits(self):
        self.bundle.config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 123, "hard": 456}]
        self.assertEqual(self.sh("ulimit -n; ulimit -Hn").split(), ["123", "456"])

    def test_hostname(self):
        self.bundle.config["hostname"] = "box"
        self.assertEqual(self.sh("hostname"), "box\n")

    def namespaces(self, pid):
        return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("net", "ipc", "uts", "pid", "cgroup", "mnt")}

    def test_namespaces_are_made(self):
        self.bundle.config["hostname"] = "inside"
        pid, own = self.create("true"), self.namespaces("self")
        for kind, value in self.namespaces(pid).items():
            self.assertNotEqual(value, own[kind], kind)
        name = subprocess.run(["nsenter", "-t", str(pid), "-u", "hostname"], capture_output=True, text=True).stdout
        self.assertEqual(name, "inside\n")
        links = subprocess.run(["nsenter", "-t", str(pid), "-n", "cat", "/proc/net/dev"], capture_output=True, text=True).stdout
        self.assertEqual(len(links.splitlines()), 3, links)  # two lines of titles and lo

    def test_namespaces_left_out_are_the_hosts(self):
        self.bundle.config["linux"]["namespaces"] = [{"type": "mount"}, {"type": "pid"}]
        del self.bundle.config["hostname"]
        pid, own = self.create("true"), self.namespaces("self")
        inside = self.namespaces(pid)
        for kind in "net", "ipc", "uts", "cgroup":
            self.assertEqual(inside[kind], own[kind], kind)
        self.assertNotEqual(inside["pid"], own["pid"])

    def test_namespaces_are_joined(self):
        flags = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}
        with subprocess.Popen(["unshare", "-n", "-i", "-u", "-p", "-f", "sh", "-c", "hostname other; echo; exec sleep 100"],
                              stdout=subprocess.PIPE) as p:
            p.stdout.read(1)
            with open(f"/proc/{p.pid}/task/{p.pid}/children") as f:
                other = int(f.read())
            try:
                del self.bundle.config["hostname"]
                self.bundle.config["linux"]["namespaces"] = [{"type": t, "path": f"/proc/{other}/ns/{n}"} for t, n in flags.items()] + [{"type": "mount"}]
                pid = self.create("hostname")
                for kind in flags.values():
                    self.assertEqual(os.readlink(f"/proc/{pid}/ns/{kind}"), os.readlink(f"/proc/{other}/ns/{kind}"))
                self.ok("start", "c")
                self.wait_status("stopped")
                self.assertEqual(self.output(), "other\n")
            finally:
                with contextlib.suppress(ChildProcessError):  # its namespace ends when all who were in it are reaped
                    os.waitpid(pid, 0)
                os.kill(other, signal.SIGKILL)

    def test_bad_namespaces(self):
        for namespaces, words in (([{"type": "network", "path": "/nonexistent"}], "/nonexistent"),
                                  ([{"type": "network", "path": "/proc/self/ns/ipc"}], "no network namespace"),
                                  ([{"type": "network"}, {"type": "network"}], "linux.namespaces[2].type"),
                                  ([{"type": "nets"}], "linux.namespaces[1].type: nets"),
                                  ([{"type": "network", "path": "relative"}], "absolute"),
                                  ([{"type": "mount"}], "hostname")):
            self.bundle.config["linux"]["namespaces"] = namespaces if words == "hostname" else [{"type": "uts"}] + namespaces
            self.bundle.write()
            result = self.call("create", "n")
            self.assertEqual(result.returncode, 1, namespaces)
            self.assertIn(words, result.stderr)

    def test_masked_and_readonly_paths(self):
        for name in "secret", "fixed/below", "hidden/below":
            path = os.path.join(self.bundle.rootfs, "etc", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write("contents\n")
        self.bundle.config["linux"]["maskedPaths"] = ["/etc/secret", "/etc/hidden", "/etc/missing", "/proc/version"]
        self.bundle.config["linux"]["readonlyPaths"] = ["/etc/fixed", "/proc/sys", "/etc/none"]
        out = self.sh("cat /etc/secret /proc/version; ls -A /etc/hidden; cat /etc/fixed/below; echo x > /etc/fixed/below && echo written;"
                      "echo x > /proc/sys/kernel/hostname && echo changed; echo y > /etc/hidden/n && echo made; echo z > /etc/other && cat /etc/other; true")
        self.assertEqual(out, "contents\nz\n")
        self.bundle.config["linux"]["maskedPaths"] = ["relative"]
        self.refused(self.run_args("true"), "linux.maskedPaths[0]")

    def test_readonly_root_without_mount_points(self):
        self.bundle.config["root"]["readonly"] = True
        for name in "proc", "dev", "sys", "tmp":
            os.rmdir(os.path.join(self.bundle.rootfs, name))
        self.assertEqual(self.sh("test -e /proc/self/stat && test -c /dev/null && test -d /sys/kernel && echo x 2>/dev/null > /etc/x || echo refused"), "refused\n")
        self.assertEqual(sorted(os.listdir(self.bundle.rootfs)), ["bin", "etc"])

    def test_limits_are_seen_inside(self):
        self.bundle.config["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]})
        self.bundle.config["linux"]["resources"].update(memory={"limit": 256 << 20}, cpu={"quota": 150000, "period": 100000}, pids={"limit": 77})
        out = self.sh("cd /sys/fs/cgroup; cat memory.max cpu.max pids.max; cat cgroup.procs; grep cgroup /proc/mounts; echo 1 > memory.max || echo no")
        lines = out.splitlines()
        self.assertEqual(lines[:4], [str(256 << 20), "150000 100000", "77", "1"])
        self.assertIn(" /sys/fs/cgroup cgroup2 ro", out)
        self.assertEqual(lines[-1], "no")

    def test_seccomp(self):
        self.bundle.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [{"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                         {"names": ["kill"], "action": "SCMP_ACT_ERRNO",
                          "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]},
                         {"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"}]}
        os.symlink("busybox", os.path.join(self.bundle.rootfs, "bin/mkdir"))
        os.symlink("busybox", os.path.join(self.bundle.rootfs, "bin/sync"))
        script = "mkdir /x 2>&1; kill -0 $$ && echo zero; kill -10 $$ 2>&1 || echo refused; sync; echo $?"
        lines = self.sh(script).splitlines()
        self.assertIn("No space left on device", lines[0])
        self.assertEqual(lines[1], "zero")
        self.assertIn("refused", lines)
        self.assertEqual(lines[-1], "159")
        self.create("sleep", "100")
        self.ok("start", "c")
        self.wait_status("running")
        self.assertIn("No space left", self.call("exec", "c", "mkdir", "/x").stderr)

    def test_seccomp_allow_list(self):
        with open("/proc/self/status") as f:
            self.assertIn("Seccomp", f.read())
        self.bundle.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 95,
            "syscalls": [{"names": "read write open openat close fstat newfstatat stat lstat mmap mprotect munmap brk rt_sigaction rt_sigprocmask ioctl "
                                   "execve exit exit_group arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink getrandom getuid "
                                   "geteuid getgid getegid setuid setgid uname getpid getppid fcntl dup2 getcwd futex".split(),
                          "action": "SCMP_ACT_ALLOW"}]}
        self.assertIn("not supported", self.run_args("/bin/rm", "/bin/false").stderr)
        self.assertEqual(self.run_args("echo", "fine").stdout, "fine\n")

    def test_bad_seccomp(self):
        rule = {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}
        for change, words in (({"defaultAction": "SCMP_ACT_MAYBE"}, "linux.seccomp.defaultAction"),
                              ({"syscalls": [dict(rule, action="x")]}, "linux.seccomp.syscalls[0].action"),
                              ({"syscalls": [rule, dict(rule, args=[{"index": 7, "value": 0, "op": "SCMP_CMP_EQ"}])]}, "syscalls[1].args[0]"),
                              ({"syscalls": [dict(rule, args=[{"index": 0, "value": 0, "op": "is"}])]}, "args[0].op"),
                              ({"syscalls": [{"action": "SCMP_ACT_ERRNO"}]}, "names"),
                              ({"listenerPath": "/x"}, "listenerPath"), ({"flags": ["F"]}, "linux.seccomp.flags[0]")):
            self.bundle.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", **change}
            self.refused(self.run_args("true"), words)

    def test_sysctl(self):
        self.bundle.config["linux"]["sysctl"] = {"kernel.msgmax": "777", "kernel.sem": "10 20 30 40", "kernel.domainname": "example.org",
                                                 "fs.mqueue.msg_max": "7", "net.core.somaxconn": "55"}
        self.assertEqual(self.sh("cd /proc/sys; cat kernel/msgmax kernel/sem kernel/domainname fs/mqueue/msg_max net/core/somaxconn"),
                         "777\n10\t20\t30\t40\nexample.org\n7\n55\n")

    def test_bad_sysctl(self):
        for name, value, text in (("kernel.msgmax", "x", "invalid argument"), ("kernel.msgmax", "1 2", "invalid argument"), ("kernel.nosuch", "1", "not in a separate"),
                                  ("kernel.hostname", "x", "hostname"), ("net.ipv4.nosuch", "1", "No such file")):
            self.bundle.config["linux"]["sysctl"] = {name: value}
            r = self.run_args("true")
            self.assertNotEqual(r.returncode, 0, name)
            self.assertIn(name, r.stderr)
            self.assertIn(text, r.stderr)
        self.bundle.config["linux"]["namespaces"] = [n for n in self.bundle.config["linux"]["namespaces"] if n["type"] != "ipc"]
        self.bundle.config["linux"]["sysctl"] = {"kernel.msgmax": "777"}
        self.assertIn("not allowed in the host's ipc namespace", self.run_args("true").stderr)

    def test_devices(self):
        self.bundle.config["linux"]["devices"] = [{"path": "/dev/nil", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "gid": 5},
                                                  {"path": "/dev/sub/disk", "type": "b", "major": 7, "minor": 1}, {"path": "/dev/fifo", "type": "p"}]
        out = self.sh("busybox stat -c '%f %t %T %u %g' /dev/nil /dev/sub/disk /dev/fifo; busybox head -c 2 /dev/nil | busybox od -An -tx1; cat /dev/sub/disk 2>&1; true")
        self.assertEqual(out, "21a0 1 5 0 5\n61b6 7 1 0 0\n11b6 0 0 0 0\n 00 00\ncat: can't open '/dev/sub/disk': No such device or address\n")
        for bad, text in (({"path": "/dev/x", "type": "z", "major": 1, "minor": 5}, "type"), ({"path": "dev/x", "type": "c", "major": 1, "minor": 5}, "absolute"),
                          ({"path": "/dev/x", "type": "c"}, "major")):
            self.bundle.config["linux"]["devices"] = [bad]
            self.assertIn(text, self.run_args("true").stderr)

    def test_dev_can_be_written(self):
        self.assertEqual(self.sh("busybox mknod /dev/mine c 1 3 2>/dev/null || echo refused; echo x > /dev/file; busybox mkdir /dev/dir; cat /dev/file"), "refused\nx\n")

    def test_oom_score_adj(self):
        self.bundle.config["process"]["oomScoreAdj"] = 321
        self.assertEqual(self.sh("cat /proc/self/oom_score_adj"), "321\n")
        self.bundle.config["process"]["oomScoreAdj"] = 1001
        self.assertIn("oomScoreAdj", self.run_args("true").stderr)

    def test_mount_source(self):
        self.bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "scratch", "options": ["size=1m"]})
        self.assertIn("scratch on /tmp type tmpfs", self.sh("mount"))

    def test_root_is_written(self):
        self.sh("echo data > /new")
        with open(os.path.join(self.bundle.rootfs, "new")) as f:
            self.assertEqual(f.read(), "data\n")

    def test_readonly_root(self):
        self.bundle.config["root"]["readonly"] = True
        r = self.run_args("sh", "-c", "echo data > /new")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("Read-only", r.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.bundle.rootfs, "new")))

    def test_bind_mounts(self):
        shared = os.path.join(self.top, "shared")
        os.mkdir(shared)
        with open(os.path.join(shared, "f"), "w") as f:
            f.write("one\n")
        self.bundle.config["mounts"] += [
            {"destination": "/mnt/rw", "type": "bind", "source": shared, "options": ["rbind", "rw"]},
            {"destination": "/mnt/ro", "type": "bind", "source": shared, "options": ["bind", "ro"]},
            {"destination": "/etc/resolv.conf", "type": "bind", "source": os.path.join(shared, "f"), "options": ["bind", "ro"]},
            {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k", "mode=700"]},
        ]
        self.assertEqual(self.sh("cat /etc/resolv.conf /mnt/ro/f; echo two > /mnt/rw/g; cat /mnt/ro/g; echo x > /mnt/ro/h || echo refused;"
                                 "echo y > /scratch/z; cat /scratch/z"), "one\none\ntwo\nrefused\ny\n")
        self.assertEqual(sorted(os.listdir(shared)), ["f", "g"])

    # ---- create, start, state, kill, delete ----

    def test_life(self):
        pid = self.create("sh", "-c", "trap 'echo term; exit 7' TERM; echo up; while true; do sleep 0.05; done")
        state = json.loads(self.ok("state", "c"))
        self.assertEqual((state["status"], state["pid"], state["id"], state["bundle"]), ("created", pid, "c", self.bundle.path))
        self.assertEqual(self.output(), "")
        self.ok("start", "c")
        self.assertEqual(self.status(), "running")
        self.refused(self.call("start", "c"), "cannot start an already running container")
        self.refused(self.call("delete", "c"), "not stopped")
        self.refused(self.call("create", "c"), "exists")
        while "up" not in self.output():
            time.sleep(0.02)
        self.assertIn(pid, json.loads(self.ok("ps", "--format", "json", "c")))
        self.ok("kill", "c", "TERM")
        self.wait_status("stopped")
        self.assertEqual(self.output(), "up\nterm\n")
        self.refused(self.call("kill", "c", "TERM"), "container not running")
        self.ok("delete", "c")
        self.refused(self.call("state", "c"), "does not exist")

    def test_exit_status_reaches_the_parent(self):
        """The pid in the pid file is what an engine reaps: its status is the container's."""
        libc = __import__("ctypes").CDLL(None)
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        pid = self.create("sh", "-c", "exit 9")
        self.ok("start", "c")
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 9)

    def test_kill_before_start(self):
        self.create("sleep", "100")
        self.ok("kill", "c", "KILL")
        self.wait_status("stopped")
        self.refused(self.call("start", "c"), "cannot start a container that has stopped")

    def test_kill_names(self):
        """Names and numbers that runc takes, and those of real-time signals."""
        self.running("sh", "-c", "for s in 10 12 15 35 63; do trap \"echo got $s\" $s; done; echo up; while true; do sleep 0.02; done")
        self.wait_output("up\n")
        want = "up\n"
        for name, number in (("USR1", 10), ("SIGUSR1", 10), ("sigusr2", 12), ("10", 10), ("015", 15), ("SIGTERM", 15), ("", 15), ("RTMIN+1", 35), ("SIGRTMAX-1", 63)):
            self.ok("kill", "c", name)
            want += f"got {number}\n"
            self.wait_output(want)
        self.ok("kill", "c", "0")
        self.ok("kill", "c", "SIGIO")
        for name in ("65", "-1", "NOSUCH", "TERMX", "15x", "RTMIN+40", "RTMIN-1"):
            self.refused(self.call("kill", "--", "c", name), f'unknown signal "{name}"')

    def wait_output(self, want):
        for _ in range(1000):
            if self.output() == want:
                return
            time.sleep(0.01)
        self.assertEqual(self.output(), want)

    def test_kill_all(self):
        """Every program gets it, those of exec too; first programs without a handler are what pid_namespaces(7) says."""
        child = "trap 'echo child' USR1; echo >> /tmp/up; while true; do sleep 0.02; done"
        self.running("sh", "-c", f"trap 'echo first' USR1; sh -c \"{child}\" & echo >> /tmp/up; while true; do sleep 0.02; done")
        pid_file = os.path.join(self.top, "exec-pid")
        subprocess.run([RUNTIME, "--root", self.root, "exec", "--detach", "--pid-file", pid_file, "c", "sh", "-c", child.replace("child", "exec")],
                       stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out, check=True, timeout=60)
        self.ok("exec", "c", "sh", "-c", "while ! test $(grep -c ^ /tmp/up) = 3; do sleep 0.02; done")
        self.ok("kill", "--all", "c", "USR1")
        for _ in range(500):  # their sleeps got it, too, which the shells may tell
            said = sorted({"child", "exec", "first"} & set(self.output().split()))
            if len(said) == 3:
                break
            time.sleep(0.02)
        self.assertEqual(said, ["child", "exec", "first"])
        self.ok("pause", "c")
        self.ok("kill", "-a", "c", "KILL")
        with open(pid_file) as f, contextlib.suppress(ChildProcessError):  # its namespace ends when all who were in it are reaped
            os.waitpid(int(f.read()), 0)
        self.wait_status("stopped")
        self.ok("kill", "--all", "c", "KILL")
        self.ok("delete", "c")

    def test_first_program_and_signals(self):
        """Of a pid namespace of its own: a signal without a handler does nothing (pid_namespaces(7)); in another's it ends the program."""
        self.running("sh", "-c", "kill -9 $$; kill -TERM $$; echo alive; sleep 100")
        self.wait_output("alive\n")
        self.ok("kill", "c", "TERM")
        self.assertEqual(self.ok("exec", "c", "sh", "-c", "kill -9 1; echo $?"), "0\n")
        self.ok("delete", "--force", "c")
        self.bundle.config["linux"]["namespaces"] = [n for n in self.bundle.config["linux"]["namespaces"] if n["type"] != "pid"]
        self.running()
        self.ok("kill", "c", "TERM")
        self.wait_status("stopped")

    def test_ps(self):
        """The processes that stand for programs, under these programs' names, and no helpers."""
        pid = self.create("sleep", "1000")
        self.ok("start", "c")
        self.assertEqual(json.loads(self.ok("ps", "--format", "json", "c")), [pid])
        second = self.detached("sh", "-c", "sleep 77; true")
        self.assertEqual(sorted(json.loads(self.ok("ps", "-f", "json", "c"))), sorted([pid, second]))
        self.assertEqual(self.ok("ps", "c", "-o", "pid,args").split(), ["PID", "COMMAND", str(pid), "sleep", "1000", str(second), "sh", "-c", "sleep", "77;", "true"])
        self.assertEqual(self.ok("ps", "c", "-o", "comm,pid").split(), ["COMMAND", "PID", "sleep", str(pid), "sh", str(second)])
        self.assertIn("sleep 1000", self.ok("ps", "c"))
        self.refused(self.call("ps", "c", "-o", "comm"), "couldn't find PID field in ps output")
        self.refused(self.call("ps", "--format", "x", "c"), "invalid format option")
        self.assertNotEqual(self.call("ps", "c", "nosuch").returncode, 0)

    def test_debug(self):
        self.create("sh", "-c", "echo up; while true; do sleep 0.01; done", extra=())
        self.ok("start", "c")
        self.wait_output("up\n")
        tasks = [line for line in self.ok("debug", "--stacks", "c").splitlines() if line.startswith("process 1 thread 1 \"sh\" vCPU ")]
        self.assertEqual(len(tasks), 1)
        self.ok("debug", "--strace=on", "c")
        for _ in range(500):
            if "clock_nanosleep(" in self.output():
                break
            time.sleep(0.01)
        self.assertIn("clock_nanosleep(", self.output())
        self.ok("debug", "--strace=off", "--log-level=debug", "c")
        for args, words in ((["c"], "needed"), (["--stacks"], "needed"), (["--strace=x", "c"], "neither on nor off"), (["--log-level=x", "c"], "none of"),
                            (["--stacks", "nosuch"], "does not exist")):
            self.refused(self.call("debug", *args), words)
        self.ok("pause", "c")
        self.refused(self.call("debug", "--stacks", "c"), "not running")

    def test_debug_of_a_sandbox_that_hangs(self):
        pid = self.create("sleep", "100")
        self.ok("start", "c")
        self.ok("exec", "c", "true")
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            sandbox = int(f.read().split()[0])
        os.kill(sandbox, signal.SIGSTOP)
        with subprocess.Popen([RUNTIME, "--root", self.root, "kill", "--all", "c", "USR1"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as p:
            self.refused(self.call("debug", "--strace=on", "c"), "the sandbox does not answer")
            self.assertIn("does not answer", p.communicate(timeout=60)[1])
        with subprocess.Popen([RUNTIME, "--root", self.root, "exec", "c", "true"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as p:
            time.sleep(0.2)
            self.ok("delete", "--force", "c")
            self.assertNotEqual(p.wait(60), 0)

    def test_delete_force(self):
        self.create("sleep", "100")
        self.ok("start", "c")
        self.ok("delete", "--force", "c")
        self.ok("delete", "--force", "c")
        self.assertEqual(os.listdir(self.root), [])

    def test_pause(self):
        self.create("sh", "-c", "while true; do echo .; sleep 0.05; done")
        self.ok("start", "c")
        self.ok("pause", "c")
        self.assertEqual(self.status(), "paused")
        before = self.output()
        time.sleep(0.3)
        self.assertEqual(self.output(), before)
        self.refused(self.call("pause", "c"), "not running")
        self.ok("resume", "c")
        self.assertEqual(self.status(), "running")
        while self.output() == before:
            time.sleep(0.02)

    def test_list(self):
        self.create("sleep", "100")
        self.assertEqual([(c["id"], c["status"]) for c in json.loads(self.ok("list", "--format=json"))], [("c", "created")])
        self.assertEqual(self.ok("list", "-q"), "c\n")

    def test_limits(self):
        self.bundle.config["linux"]["resources"] = {"memory": {"limit": 256 << 20}, "pids": {"limit": 200}}
        self.create("sleep", "100")
        usage = json.loads(self.ok("events", "--stats", "c"))["data"]
        self.assertEqual((usage["memory"]["usage"]["limit"], usage["pids"]["limit"]), (256 << 20, 200))
        self.ok("update", "--resources", "-", "c", text='{"pids": {"limit": 300}}')
        self.assertEqual(json.loads(self.ok("events", "--stats", "c"))["data"]["pids"]["limit"], 300)

    def test_update_by_options(self):
        self.create("sleep", "100")
        self.ok("update", "--pids-limit=123", "--memory", str(200 << 20), "--cpu-quota=50000", "--cpu-period", "100000", "--cpu-share=512", "--cpuset-cpus=0", "c")
        stats = json.loads(self.ok("events", "--stats", "c"))["data"]
        self.assertEqual((stats["memory"]["usage"]["limit"], stats["pids"]["limit"]), (200 << 20, 123))
        self.assertIn((self.cgroup_file("cpu.cfs_quota_us") or self.cgroup_file("cpu.max")).split()[0], "50000")
        self.assertEqual(self.cgroup_file("cpuset.cpus"), "0\n")
        for args, words in ((["c"], "needed"), (["--memory=x", "c"], "--memory: 'x'"), (["--memory=", "c"], "--memory"), (["--nosuch=1", "c"], "--nosuch"),
                            (["--cpuset-cpus=999", "c"], "linux.resources.cpu.cpus"), (["--pids-limit=1", "nosuch"], "does not exist")):
            self.refused(self.call("update", *args), words)
        self.ok("kill", "c", "KILL")
        self.wait_status("stopped")
        self.refused(self.call("update", "--pids-limit=9", "c"), "container not running")

    def test_events(self):
        """What runc prints, until the container ends."""
        self.running("sh", "-c", "x=0; while test $x -lt 2000; do x=$((x + 1)); done; echo done; sleep 100")
        self.wait_output("done\n")
        with subprocess.Popen([RUNTIME, "--root", self.root, "events", "--interval=1s", "c"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as p:
            event = json.loads(p.stdout.readline())
            self.ok("kill", "c", "KILL")
            self.wait_status("stopped")
            self.assertEqual(p.wait(30), 0)
        data = event["data"]
        self.assertEqual((event["type"], event["id"]), ("stats", "c"))
        self.assertGreater(data["cpu"]["usage"]["total"], 1000000)
        self.assertEqual(set(data["memory"]["usage"]), {"limit", "usage", "max", "failcnt"} & set(data["memory"]["usage"]))
        self.assertGreater(data["memory"]["usage"]["usage"], 100000)
        self.assertGreaterEqual(data["pids"]["current"], 3)
        self.assertIn("pgfault", data["memory"]["raw"])
        self.assertIsInstance(data["blkio"]["ioServiceBytesRecursive"], list)
        self.refused(self.call("events", "--stats", "c"), "container not running")
        self.refused(self.call("events", "--interval=0", "c"), "--interval")

    def test_features(self):
        f = json.loads(self.ok("features"))
        self.assertIn("poststop", f["hooks"])
        self.assertIn("ro", f["mountOptions"])
        self.assertTrue(f["linux"]["seccomp"]["enabled"])
        self.assertIn("CAP_SYS_ADMIN", f["linux"]["capabilities"])

    def cgroup_file(self, name):
        with open(os.path.join(self.root, "c", "state.json")) as f:
            for d in json.load(f)["cgroups"]:
                if os.path.exists(os.path.join(d, name)):
                    with open(os.path.join(d, name)) as f2:
                        return f2.read()
        return None

    def test_block_limits(self):
        with open("/proc/partitions") as f:
            major, minor = next((int(n) for n in line.split()[:2]) for line in f if line.strip() and line[0] != "m")
        self.bundle.config["linux"]["resources"] = {"blockIO": {"throttleWriteBpsDevice": [{"major": major, "minor": minor, "rate": 1 << 20}]}}
        self.create("true")
        text = self.cgroup_file("blkio.throttle.write_bps_device") or self.cgroup_file("io.max")
        self.assertIn(f"{major}:{minor}", text)
        self.assertIn(str(1 << 20), text)

    def test_unified(self):
        """Version 2 by file names: where there is version 1, an error as runc's. The view of version 2 alone is made for the test."""
        self.bundle.config["linux"]["resources"] = {"unified": {"cgroup.max.depth": "3"}}
        self.bundle.write()
        if any(line.split()[2] == "cgroup" for line in pathlib.Path("/proc/mounts").read_text().splitlines()):
            self.refused(self.call("create", "c"), "cannot use unified on cgroup v1")
        alone = "for d in /sys/fs/cgroup/*; do test -e $d/cgroup.controllers || umount $d; done 2>/dev/null; exec \"$@\""
        argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", alone, "sh", RUNTIME, "--root", self.root, "--log", self.log, "--log-format", "json",
                "create", "--bundle", self.bundle.path, "c"]
        errors = pathlib.Path(self.log + ".err")

        def run():
            with errors.open("w") as f:
                return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=f, timeout=60).returncode
        self.assertEqual(run(), 0, errors.read_text())
        self.assertEqual(self.cgroup_file("cgroup.max.depth"), "3\n")
        self.ok("delete", "--force", "c")
        for name, value, words in (("cgroup.max.depth", "x", "linux.resources.unified.cgroup.max.depth: x: Invalid argument"),
                                   ("nosuch.max", "1", "linux.resources.unified.nosuch.max"), ("a/b", "1", "must be a file name (no slashes)")):
            self.bundle.config["linux"]["resources"] = {"unified": {name: value}}
            self.bundle.write()
            self.assertEqual(run(), 1)
            self.assertIn(words, errors.read_text())

    def test_bad_limits(self):
        for resources, words in (({"unified": {"a": 1}}, "linux.resources.unified.a: a string is needed"), ({"unified": []}, "linux.resources.unified"),
                                 ({"memory": {"limit": "1G"}}, "linux.resources.memory.limit"), ({"cpu": {"shares": -1}}, "linux.resources.cpu.shares"),
                                 ({"cpu": []}, "linux.resources.cpu"), ({"pids": {"limit": 1.5}}, "linux.resources.pids.limit"),
                                 ({"blockIO": {"throttleReadBpsDevice": [{"major": 1}]}}, "linux.resources.blockIO.throttleReadBpsDevice[0]"),
                                 ({"hugepageLimits": [{"limit": 1}]}, "linux.resources.hugepageLimits[0]"),
                                 ({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}, "linux.resources.hugepageLimits[0]"),
                                 ({"network": {"priorities": [{"name": 1}]}}, "linux.resources.network.priorities"),
                                 ({"memory": {"swappiness": 101}}, "linux.resources.memory.swappiness")):
            self.bundle.config["linux"]["resources"] = resources
            self.bundle.write()
            self.refused(self.call("create", "c"), words)

    def test_delete_force_with_a_broken_state(self):
        os.makedirs(os.path.join(self.root, "c"))
        with open(os.path.join(self.root, "c", "state.json"), "w") as f:
            f.write('{"pid": ')
        self.assertEqual(self.call("delete", "c").returncode, 1)
        self.ok("delete", "--force", "c")
        self.assertFalse(os.path.exists(os.path.join(self.root, "c")))

    def test_hooks(self):
        trace = os.path.join(self.top, "hooks")
        self.bundle.config["hooks"] = {
            name: [{"path": "/bin/sh", "args": ["sh", "-c", f"echo {name} $X $(cat | grep -c '\"id\"') >> {trace}"],
                    "env": ["PATH=/bin:/usr/bin", "X=y"]}]
            for name in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
        self.sh("true")
        with open(trace) as f:
            self.assertEqual(f.read().split("\n")[:-1], [n + " y 1" for n in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")])

    def test_start_container_hooks(self):
        """They run inside, with the rights of root there, before the program."""
        hook = {"path": "/bin/busybox", "args": ["sh", "-c", "echo $X $(cat | grep -o '\"status\":\"[a-z]*\"') $(pwd) $$ >> /tmp/hook; mkdir /tmp/made; "
                                                 "chown 7 /tmp/made"], "env": ["PATH=/bin", "X=y"]}
        self.bundle.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"})
        self.bundle.config["hooks"] = {"startContainer": [hook, dict(hook, env=["PATH=/bin", "X=z"])]}
        self.bundle.config["process"]["user"] = {"uid": 1000, "gid": 1000}
        self.assertEqual(self.sh("cat /tmp/hook; stat -c %u /tmp/made; id -u"),
                         'y "status":"created" / 2\nz "status":"created" / ' + self.sh("tail -1 /tmp/hook").split()[-1] + "\n7\n1000\n")
        for path, words in ("/bin/false", ["hooks.startContainer[0]", "/bin/false", "exit status 1"]), ("/nosuch", ["hooks.startContainer[0]", "exit status 255"]):
            self.bundle.config["hooks"] = {"startContainer": [{"path": path}]}
            r = self.run_args("echo", "ran")
            self.assertEqual((r.returncode, r.stdout), (1, ""), r.stderr)
            for w in words:
                self.assertIn(w, r.stderr)
            self.assertEqual(os.listdir(self.root), [])

    # ---- what fails on the way ----

    def test_mount_that_fails(self):
        good = json.dumps(self.bundle.config)
        open(os.path.join(self.bundle.rootfs, "file"), "w").close()
        os.symlink("loop", os.path.join(self.bundle.rootfs, "loop"))
        for mount, words in [({"destination": "/file", "type": "tmpfs", "source": "t"}, ['error mounting "t" to rootfs at "/file"', "not a directory"]),
                             ({"destination": "/file/below", "type": "tmpfs", "source": "t"}, ['rootfs at "/file/below"', "not a directory"]),
                             ({"destination": "/loop", "type": "tmpfs", "source": "t"}, ['rootfs at "/loop"', "symbolic links"]),
                             ({"destination": "/m", "type": "tmpfs", "source": "t", "options": ["size=much"]}, ['rootfs at "/m"', "invalid argument"])]:
            self.bundle.config = json.loads(good)
            self.bundle.config["mounts"].append(mount)
            self.bundle.write()
            for command in "create", "run":
                self.refused(self.call(command, "c"), "unable to start container process: error mounting", *words)
                self.assertEqual(os.listdir(self.root), [])

    def test_links_at_mount_points(self):
        """A link that leads nowhere leads to what is made for the mount, inside the root."""
        outside = os.path.join(self.top, "outside")
        for name, to in ("abs", outside), ("rel", "../../../.." + outside + "2"), ("chain", "rel/more"), ("file", "/run/x/resolv.conf"):
            os.symlink(to, os.path.join(self.bundle.rootfs, name))
        self.bundle.config["mounts"] += [{"destination": "/" + name, "type": "tmpfs", "source": name} for name in ("abs", "rel", "chain")]
        self.bundle.config["mounts"].append({"destination": "/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]})
        out = self.sh("grep -E '^(abs|rel|chain) ' /proc/mounts | cut -d' ' -f1,2; cat /file; ls -l /run/x/resolv.conf | wc -l")
        with open("/etc/hostname") as f:
            self.assertEqual(out, f"abs {outside}\nrel {outside}2\nchain {outside}2/more\n{f.read()}1\n")
        self.assertEqual([n for n in os.listdir(self.top) if n.startswith("outside")], [])

    def test_program_that_cannot_be_executed(self):
        path = os.path.join(self.bundle.rootfs, "bad")
        with open(path, "wb") as f:
            f.write(b"\x7fELF and no more")
        os.chmod(path, 0o755)
        self.create("/bad")
        self.refused(self.call("start", "c"), 'unable to start container process: exec: "/bad": exec format error')
        self.wait_status("stopped")
        self.ok("delete", "c")
        self.refused(self.call("run", "c"), 'exec: "/bad": exec format error')
        self.assertEqual(os.listdir(self.root), [])

    def test_hook_asks_for_the_state(self):
        out = os.path.join(self.top, "asked")
        script = f"cat > /dev/null; {RUNTIME} --root {self.root} state c > {out}"
        self.bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
        self.assertEqual(self.run_args("true").returncode, 0)
        with open(out) as f:
            self.assertEqual(json.load(f)["id"], "c")

    def test_hook_that_does_not_read(self):
        self.bundle.config["annotations"] = {"x%d" % i: "y" * 1000 for i in range(200)}
        self.bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}
        self.refused(self.run_args("true"), "took longer than 1 s")

    def test_leftovers_are_deleted(self):
        self.create("sleep", "100")
        with open(os.path.join(self.root, "c", "state.json.12345"), "w") as f:
            f.write("half")
        self.ok("delete", "--force", "c")
        self.assertFalse(os.path.exists(os.path.join(self.root, "c")))
        self.refused(self.call("state", "c"), "does not exist")

    def test_failing_hook(self):
        self.bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
        self.refused(self.run_args("true"), "hooks.createRuntime[0]", "exit status 1")
        self.bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}]}
        self.refused(self.run_args("true"), "hooks.createRuntime[0]", "longer than 1 s")
        self.assertEqual(os.listdir(self.root), [])

    # ---- exec ----

    def running(self, *args):
        self.create(*(args or ("sleep", "100")))
        self.ok("start", "c")

    def test_exec(self):
        self.running()
        r = self.call("exec", "c", "sh", "-c", "echo out; cat; echo err >&2; exit 5", text="in\n")
        self.assertEqual((r.returncode, r.stdout, r.stderr), (5, "out\nin\n", "err\n"))

    def test_exec_at_once(self):
        """Right behind start, when the sandbox is still coming up."""
        for _ in range(5):
            self.running()
            self.assertEqual(self.ok("exec", "c", "echo", "x"), "x\n")
            self.ok("delete", "--force", "c")

    def test_exec_with_a_terminal(self):
        """Each exec -t has a pseudo-terminal of the container's, whose name goes with it."""
        self.create("sleep", "100")
        self.ok("start", "c")
        self.assertEqual(self.ok("exec", "c", "sh", "-c", "ls /dev/pts; busybox test -e /dev/console || echo no console"), "ptmx\nno console\n")
        for _ in range(2):
            pid, fd = pty.fork()
            if not pid:
                os.execv(RUNTIME, [RUNTIME, "--root", self.root, "exec", "-t", "c", "busybox", "tty"])
            seen = b""
            with contextlib.suppress(OSError):
                while more := os.read(fd, 1000):
                    seen += more
            os.close(fd)
            self.assertEqual(os.waitpid(pid, 0)[1], 0)
            self.assertEqual(seen, b"/dev/pts/0\r\n")
        self.assertEqual(self.ok("exec", "c", "ls", "/dev/pts"), "ptmx\n")

    def test_exec_options(self):
        self.running()
        self.assertEqual(self.ok("exec", "--user", "1000:100", "--cwd", "/etc", "-e", "A=b", "c", "sh", "-c", "id -u; id -g; pwd; echo $A"),
                         "1000\n100\n/etc\nb\n")
        self.assertEqual(self.ok("exec", "-u", "1000", "-g", "5", "--additional-gids", "6", "c", "id", "-G"), "0 5 6\n")
        caps = self.ok("exec", "-c", "CAP_SYS_ADMIN", "c", "grep", "-E", "CapBnd|CapEff", "/proc/self/status").split()
        self.assertEqual([int(v, 16) for v in caps[1::2]], [0x20200420] * 2)
        del self.bundle.config["process"]["noNewPrivileges"]
        self.ok("delete", "--force", "c")
        self.running()
        for option, want in ((), "0"), (("--no-new-privs",), "1"):
            self.assertEqual(self.ok("exec", *option, "c", "grep", "NoNewPrivs", "/proc/self/status").split()[1], want)
        self.assertEqual(self.ok("exec", "--preserve-fds=0", "--cgroup=/", "--apparmor=x", "c", "echo", "x"), "x\n")

    def test_exec_options_that_are_refused(self):
        self.running()
        for options, words in ((["--preserve-fds=1"], "--preserve-fds"), (["--cgroup=a"], "--cgroup: a"), (["--user=nobody"], "--user"),
                               (["--cwd=etc"], "Cwd must be an absolute path"), (["--env=X"], 'invalid environment variable: "X"'),
                               (["--additional-gids=x"], "--additional-gids"), (["--nosuch"], "--nosuch")):
            r = self.call("exec", *options, "c", "true")
            self.refused(r, words)
            self.assertEqual(r.returncode, 255)
        self.refused(self.call("exec", "c"), "exec failed: process args cannot be empty")

    def test_exec_sees_the_container(self):
        self.running("sh", "-c", "echo data > /tmp/f; while true; do sleep 1; done")
        self.assertEqual(self.ok("exec", "c", "sh", "-c", "while ! test -s /tmp/f; do sleep 0.01; done; cat /tmp/f; kill -0 1 && echo one"),
                         "data\none\n")

    def test_exec_process_file(self):
        self.running()
        path = os.path.join(self.top, "process")
        with open(path, "w") as f:
            json.dump({"args": ["sh", "-c", "id -u; pwd; echo $X; exit 3"], "env": ["PATH=/bin", "X=y"], "cwd": "/bin", "user": {"uid": 7, "gid": 8}}, f)
        r = self.call("exec", "--process", path, "c")
        self.assertEqual((r.returncode, r.stdout), (3, "7\n/bin\ny\n"))

    def process_file(self, **process):
        path = os.path.join(self.top, "process")
        with open(path, "w") as f:
            json.dump({"args": ["true"], "env": ["PATH=/bin"], "cwd": "/", **process}, f)
        return "--process=" + path

    def test_exec_process_file_and_the_container(self):
        """What runc takes from the container when the file does not say it: limits, capabilities, umask, oomScoreAdj; and what it does not."""
        p = self.bundle.config["process"]
        p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 123, "hard": 456}]
        p["user"] = {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o27}
        p["capabilities"] = dict(NO_CAPS, bounding=["CAP_KILL"])
        p["oomScoreAdj"] = 500
        self.running()
        script = "id -u; id -G; umask; ulimit -n; grep -E 'CapBnd|NoNewPrivs' /proc/self/status; cat /proc/self/oom_score_adj; env | grep -c ^TERM"
        want = "0\n0\n0027\n123\nCapBnd:\t0000000000000020\nNoNewPrivs:\t0\n500\n0\n"
        self.assertEqual(self.call("exec", self.process_file(args=["sh", "-c", script]), "c").stdout, want)
        out = self.ok("exec", self.process_file(args=["sh", "-c", "umask; cat /proc/self/oom_score_adj"], user={"uid": 0, "gid": 0, "umask": 0o77}, oomScoreAdj=700), "c")
        self.assertEqual(out, "0077\n700\n")
        self.refused(self.call("exec", self.process_file(cwd=""), "c"), "exec failed: ", "process.cwd")
        self.refused(self.call("exec", self.process_file(args=[]), "c"), "exec failed: ", "process.args")
        self.refused(self.call("exec", self.process_file(oomScoreAdj=1001), "c"), "exec failed: ", "process.oomScoreAdj")
        self.refused(self.call("exec", self.process_file(user={"additionalGids": [1] * 65537}), "c"), "exec failed: ", "additionalGids: more than 65536")

    def scheduling(self, *how):
        fields = self.ok("exec", *how, "c", *([] if how else ["cat", "/proc/self/stat"])).rsplit(")", 1)[1].split()
        return [int(fields[i - 3]) for i in (19, 40, 41)]  # nice, rt_priority, policy: proc(5)

    def test_scheduling(self):
        p = self.bundle.config["process"]
        p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
        p["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
        self.running("sh", "-c", "cat /proc/self/stat; busybox ionice -p 1; sleep 100")
        self.wait_output_lines(2)
        stat, io = self.output().splitlines()
        self.assertEqual([int(stat.rsplit(")", 1)[1].split()[i - 3]) for i in (19, 40, 41)], [5, 0, 3])
        self.assertEqual(io, "best-effort: prio 6")
        self.assertEqual(self.scheduling(), [5, 0, 3])
        cat = ["cat", "/proc/self/stat"]
        self.assertEqual(self.scheduling(self.process_file(args=cat, scheduler={"policy": "SCHED_RR", "priority": 7})), [0, 7, 2])
        for key, value, words in (("scheduler", {}, "process.scheduler.policy: missing"), ("scheduler", {"policy": "SCHED_DEADLINE"}, "process.scheduler.policy: SCHED_DEADLINE"),
                                  ("scheduler", {"policy": "SCHED_FIFO"}, "process.scheduler.priority"), ("scheduler", {"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
                                  ("scheduler", {"policy": "SCHED_OTHER", "flags": ["X"]}, "process.scheduler.flags[0]"),
                                  ("ioPriority", {"class": "X"}, "process.ioPriority.class: X"), ("ioPriority", {"class": "IOPRIO_CLASS_RT", "priority": 8}, "process.ioPriority.priority")):
            self.refused(self.call("exec", self.process_file(**{key: value}), "c"), "exec failed: ", words)

    def wait_output_lines(self, n):
        for _ in range(1000):
            if self.output().count("\n") >= n:
                return
            time.sleep(0.01)
        self.fail(self.output())

    def test_exec_without_the_bundle(self):
        """The container is as it was made, whatever becomes of its config.json."""
        self.bundle.config["process"]["env"] += ["A=then"]
        self.running()
        os.unlink(os.path.join(self.bundle.path, "config.json"))
        self.assertEqual(self.ok("exec", "c", "sh", "-c", "echo $A"), "then\n")
        self.assertEqual(os.stat(os.path.join(self.root, "c", "state.json")).st_mode & 0o777, 0o600)

    def test_home(self):
        with open(os.path.join(self.bundle.rootfs, "etc/passwd"), "w") as f:
            f.write("root:x:0:0:root:/root:/bin/sh\nbad:x:7\nu:x:7:8::/home/u:/bin/sh\n")
        self.running()
        self.assertEqual([self.ok("exec", "-u", user, "c", "sh", "-c", "echo $HOME") for user in ("0", "7", "9")], ["/root\n", "/home/u\n", "/\n"])
        self.assertEqual(self.ok("exec", "-e", "HOME=/x", "c", "sh", "-c", "echo $HOME"), "/x\n")
        self.ok("delete", "--force", "c")
        self.assertEqual(self.sh("echo $HOME"), "/root\n")

    def detached(self, *args):
        """The pid of a detached exec. Its output is not ours to wait for."""
        pid_file = os.path.join(self.top, "exec-pid")
        subprocess.run([RUNTIME, "--root", self.root, "--platform", PLATFORM, "exec", "--detach", "--pid-file", pid_file, "c", *args],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=60)
        with open(pid_file) as f:
            return int(f.read())

    def test_exec_detached(self):
        """The pid in the file is what an engine reaps and signals."""
        libc = __import__("ctypes").CDLL(None)
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        self.running()
        for script, sig, want in [("exit 6", None, 6), ("echo > /tmp/up; exec sleep 100", signal.SIGTERM, 143),
                                  ("trap 'exit 4' USR1; echo > /tmp/up; while true; do sleep 0.02; done", signal.SIGUSR1, 4)]:
            pid = self.detached("sh", "-c", script)
            if sig:
                self.ok("exec", "c", "sh", "-c", "while ! test -e /tmp/up; do sleep 0.01; done; rm /tmp/up")
                os.kill(pid, sig)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), want)

    def test_exec_killed_takes_its_program_along(self):
        self.running()
        os.kill(self.detached("sleep", "77"), signal.SIGKILL)
        for _ in range(200):
            if "sleep 77" not in self.ok("exec", "c", "ps"):
                return
        self.fail("the program goes on")

    def test_exec_when_the_container_ends(self):
        self.running("sleep", "1")
        self.assertEqual(self.call("exec", "c", "sleep", "100").returncode, 137)

    def test_exec_errors(self):
        self.running()
        r = self.call("exec", "c", "nosuch")
        self.assertEqual(r.returncode, 255)
        start = "exec failed: unable to start container process: "
        self.refused(r, start + 'exec: "nosuch": executable file not found in $PATH')
        self.refused(self.call("exec", "c", "/nosuch"), start + 'exec: "/nosuch": stat /nosuch: no such file or directory')
        self.refused(self.call("exec", "c", "/etc"), start + 'exec: "/etc": permission denied')
        self.refused(self.call("exec", "--cwd=/nosuch", "c", "true"), start + 'chdir to cwd ("/nosuch") set in config.json failed: no such file or directory')
        self.refused(self.call("exec", "nosuch", "true"), "does not exist")
        self.refused(self.call("exec", "c", "sh", "-c", *["x" * 100000] * 2), "larger than")
        self.ok("kill", "c", "KILL")
        self.wait_status("stopped")
        self.refused(self.call("exec", "c", "true"), "not running")
        self.ok("delete", "c")
        self.create("true")

    def test_exec_before_start(self):
        self.create("sh", "-c", "echo the program is $$")
        self.assertEqual(self.ok("exec", "c", "sh", "-c", "echo $$; kill -TERM 1"), "2\n")
        self.assertEqual(self.status(), "created")
        self.ok("start", "c")
        self.wait_status("stopped")
        self.assertEqual(self.output(), "the program is 1\n")
        self.refused(self.call("start", "c"), "stopped")

    def test_created_and_ended(self):
        """What would end the runtime's own process ends a container that has not been started; others are for its program, which is not there."""
        self.create("true")
        for sig in "USR1", "WINCH":
            self.ok("kill", "c", sig)
        self.ok("exec", "c", "true")
        self.assertEqual(self.status(), "created")
        self.ok("kill", "c", "TERM")
        self.wait_status("stopped")
        self.refused(self.call("start", "c"), "cannot start a container that has stopped")

    def test_exec_paused(self):
        self.running()
        self.ok("pause", "c")
        self.refused(self.call("exec", "c", "true"), "cannot exec in a paused container (use --ignore-paused to override)")
        with subprocess.Popen([RUNTIME, "--root", self.root, "exec", "--ignore-paused", "c", "echo", "late"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            self.ok("resume", "c")
            self.assertEqual(p.communicate(timeout=60)[0], b"late\n")

    def test_many_execs(self):
        self.running()
        argv = [RUNTIME, "--root", self.root, "--platform", PLATFORM, "exec", "c", "echo", "x"]
        ps = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) for _ in range(20)]
        self.assertEqual([p.communicate(timeout=60)[0] for p in ps], [b"x\n"] * 20)

    # ---- options before the command ----

    def config_file(self, text, mode=0o644):
        path = os.path.join(self.top, "config.toml")
        pathlib.Path(path).write_text(text)
        os.chmod(path, mode)
        return "--config=" + path

    def with_config(self, text, *args, **kw):
        return subprocess.run([RUNTIME, self.config_file(text, **kw), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              cwd=self.bundle.path)

    def test_config_file(self):
        self.bundle.config["process"]["args"] = ["sh", "-c", "echo x > /tmp/made; grep -c ^processor /proc/cpuinfo"]
        self.bundle.write()
        text = f"""# a comment
            root = "{self.root}"   # another
            log = '{self.log}'
            log-format = "json"\r
            debug = true
            platform = "{PLATFORM}"
            overlay = "root"
            vcpus = 1
            debug-log = "{self.top}/\\u0064l"
            rootless = false
            """
        os.mkdir(os.path.join(self.top, "dl"))
        r = self.with_config(text, "run", "c")
        self.assertEqual((r.returncode, r.stdout), (0, "1\n"), r.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.bundle.rootfs, "tmp/made")))
        self.assertTrue(os.path.exists(os.path.join(self.top, "dl/c.log")))
        entries = [json.loads(line) for line in pathlib.Path(self.log).read_text().splitlines()]
        self.assertEqual([e["msg"] for e in entries[:2]], ["argument 0: run", "argument 1: c"])
        self.assertEqual({e["level"] for e in entries}, {"debug"})
        # The command line has the last word.
        r = subprocess.run([RUNTIME, self.config_file(text), "--overlay=none", "--debug=false", "run", "c"], stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=60, cwd=self.bundle.path)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.bundle.rootfs, "tmp/made")))

    def test_bad_config_file(self):
        for text, words in (("x = 1", "1:1: x: no such option"), ("\n\n  debug = 1", "3:11: debug: true or false is expected"), ("platform = true", "1:12: platform: a string"),
                            ('platform = "x"', "1:12: platform: 'x' is not one of auto|kvm|ptrace"), ("vcpus = 65", "1:9: vcpus: '65'"), ('vcpus = "1"', "1:9: vcpus: a number"),
                            ("vcpus = 01", "1:9: 01"), ("vcpus = 1.5", "1:9: 1.5"), ("vcpus = 99999999999999999999", "1:9"), ("debug", "1:6: '=' is expected"),
                            ("debug = ", "1:9: a value"), ("debug = true x", "1:14: the end of the line"), ("debug = true\ndebug = true", "2:1: debug is there twice"),
                            ('log = "a', "1:9: the string does not end"), ('log = "\\q"', "no such escape"), ('log = "\\ud800"', "is no character"),
                            ('log = "a\x01"', "control character"), ("log = ''", "is empty"), ("a.b = 1", "1:2: keys with dots"), ("[a.b]", "1:3: tables inside"), ("[a", "1:3: ']'"),
                            ("[annotations]\n[annotations]", "2:1: annotations is there twice"), ("[x]\na = 1", "2:1: [x]: no such table"),
                            ("[annotations]\nroot = true", "2:1: root: no annotation"), ("[annotations]\nstrace = 1", "2:10"), ('config = "x"', "config: cannot be set here"),
                            ("= 1", "1:1: a name"), ("a\x00 = 1", "1:2"), ("x" * 70 + " = 1", "1:1: a name of more"), ('log = "' + "x" * 5000 + '"', "a string of more"),
                            ("# \x02", "1:3: a control character"), ("systemd-cgroup = true", "--systemd-cgroup"), ('root = "r"', "--root: r")):
            r = self.with_config(text, "list")
            self.assertEqual((r.returncode, len(r.stderr.splitlines())), (125, 1), (text, r.stderr))
            self.assertIn(words, r.stderr)
        self.assertIn("others may write", self.with_config("", "list", mode=0o666).stderr)
        self.refused(self.call("--config=/nonexistent", "list"), "/nonexistent")

    def test_annotations(self):
        a = self.bundle.config.setdefault("annotations", {})
        a["dev.runsc-c.overlay"] = "root"
        a["dev.runsc-c.network"] = "none"
        a["other"] = "x"
        self.sh("echo x > /tmp/made")
        self.assertFalse(os.path.exists(os.path.join(self.bundle.rootfs, "tmp/made")))
        for name, value, words in (("vcpus", "1", "not without leave"), ("debug-log", "/x", "not without leave"), ("platform", "ptrace", "not without leave"),
                                   ("nosuch", "x", "no such option"), ("root", "/", "no annotation can set it"), ("overlay", "x", "overlay"),
                                   ("file-access", "exclusive", "file-access"), ("host-uds", "open", "host-uds"), ("strace", "", "strace")):
            self.bundle.config["annotations"] = {"dev.runsc-c." + name: value}
            self.refused(self.run_args("true"), words)
            self.assertEqual(os.listdir(self.root) if os.path.exists(self.root) else [], [])
        self.bundle.config["annotations"] = {"dev.runsc-c.vcpus": "1"}
        self.bundle.config["process"]["args"] = ["grep", "-c", "^processor", "/proc/cpuinfo"]
        self.bundle.write()
        for text, status in (("allow-annotations = true", 0), ("[annotations]\nvcpus = true", 0), ("[annotations]\nplatform = true", 1),
                             ("allow-annotations = true\n[annotations]\nvcpus = false", 1)):
            r = self.with_config(f'root = "{self.root}"\nplatform = "{PLATFORM}"\n' + text, "run", "c")
            self.assertEqual((r.returncode, r.stdout), (status, "" if status else "1\n"), r.stderr)

    def test_options_are_refused(self):
        for option in ("--host-uds=all", "--file-access=exclusive", "--systemd-cgroup", "--platform=x", "--network=x", "--log-format=x", "--vcpus=-1", "--root=", "--debug=x"):
            self.refused(self.call(option, "list"), option.split("=")[0])
        for command in "checkpoint", "restore":
            self.refused(self.call(command, "--image-path", "/x", "c"), command + ": not built yet")

    def test_options_are_documented(self):
        text = subprocess.run([RUNTIME, "--help"], capture_output=True, text=True).stdout
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/runsc-c.8")) as f:
            manual = f.read().replace("\\", "")
        for option in {line.split()[0].split("=")[0] for line in text.splitlines() if line.startswith("  --")}:
            self.assertIn(option, manual)

    # ---- bad input ----

    def test_bad_documents(self):
        for text, words in [("", ["config.json"]), ("[]", ["object"]), ("{", ["config.json"]), ('{"ociVersion": "9.0"}', ["ociVersion"]),
                            ('{"ociVersion": "1.0.2", "root": {"path": "nosuch"}}', ["root.path", "No such file"]),
                            ('{"ociVersion": "1.0.2", "root": {"path": "rootfs"}}', ["process"]),
                            ('{"a": NaN}', ["line 1"]), ('{"a": "\x01"}', ["control character"]), ('{"a": "\\u0000"}', ["NUL"]),
                            ('{"a": 99999999999999999999}', ["64 bits"]), ("[" * 100, ["levels"])]:
            with open(os.path.join(self.bundle.path, "config.json"), "w") as f:
                f.write(text)
            self.refused(self.call("run", "c"), "config.json", *words)
            self.assertFalse(os.path.exists(os.path.join(self.root, "c")))

    def test_member_twice(self):
        """The last holds, as for runc."""
        self.bundle.config["process"]["args"] = ["echo", "x"]
        with open(os.path.join(self.bundle.path, "config.json"), "w") as f:
            f.write(json.dumps(self.bundle.config).replace('"args":', '"args": ["echo", "first"], "args":'))
        self.assertEqual(self.ok("run", "c"), "x\n")

    def test_bad_fields(self):
        good = json.dumps(self.bundle.config)
        for path, value, words in [(("process", "args"), [], ["process.args"]), (("process", "args"), "sh", ["process.args", "array"]),
                                   (("process", "cwd"), "etc", ["process.cwd"]), (("process", "user"), {"uid": -1}, ["process.user.uid"]),
                                   (("process", "user"), {"additionalGids": [1] * 65537}, ["process.user.additionalGids", "65536"]),
                                   (("process", "rlimits"), [{"type": "RLIMIT_X", "soft": 1, "hard": 1}], ["RLIMIT_X"]),
                                   (("mounts",), [{"destination": "x"}], ["mounts[0].destination"]),
                                   (("mounts",), [{"destination": "/x", "type": "nosuchfs"}], ["nosuchfs"]),
                                   (("mounts",), [{"destination": "/x", "type": "bind", "source": "/nosuch"}], ["/nosuch"]),
                                   (("mounts",), [{"destination": "/x", "type": "tmpfs"}, {"destination": "/y", "type": 5}], ["mounts[1].type", "string"]),
                                   (("mounts",), [{"destination": "/x", "type": "tmpfs", "options": ["idmap"]}], ["mounts[0].options[0]"]),
                                   (("process", "rlimits"), [{"type": "RLIMIT_CPU", "soft": 1}], ["process.rlimits[0]"]),
                                   (("linux", "devices"), [{"path": 5, "type": "c"}], ["linux.devices[0].path", "string"]),
                                   (("linux", "namespaces"), [{"type": "uts"}, {"type": 7}], ["linux.namespaces[1].type", "string"]),
                                   (("linux", "intelRdt"), {"closID": "x"}, ["linux.intelRdt"]),
                                   (("linux", "personality"), {"domain": "LINUX32"}, ["linux.personality.domain"]),
                                   (("hooks",), {"poststop": [{"path": "/bin/true"}, {"path": "true"}]}, ["hooks.poststop[1].path"]),
                                   (("annotations",), {"k": 5}, ["annotations.k"]),
                                   (("linux", "cgroupsPath"), "/../../x", ["cgroupsPath"])]:
            self.bundle.config = json.loads(good)
            o = self.bundle.config
            for key in path[:-1]:
                o = o[key]
            o[path[-1]] = value
            self.bundle.write()
            self.refused(self.call("run", "c"), *words)
            self.assertEqual(os.listdir(self.root) if os.path.exists(self.root) else [], [])

    def test_bad_names(self):
        self.bundle.write()
        for name in ("..", "a/b", "", "x" * 300, "a b"):
            self.refused(self.call("run", name), "container id")

    def test_unknown_container(self):
        for command in (["state", "x"], ["start", "x"], ["kill", "x"], ["delete", "x"], ["pause", "x"], ["ps", "x"]):
            self.refused(self.call(*command), "does not exist")

    def test_mutual_exclusion(self):
        """Two creates of one name: one of them has it."""
        self.bundle.config["process"]["args"] = ["sleep", "100"]
        self.bundle.write()
        argv = [RUNTIME, "--root", self.root, "--platform", PLATFORM, "create", "--bundle", self.bundle.path, "c"]
        ps = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(4)]
        self.assertEqual(sorted(p.wait(60) for p in ps), [0, 1, 1, 1])

    def test_killed_on_the_way(self):
        """A create that is killed at any moment leaves nothing that delete --force does not clean."""
        self.bundle.config["process"]["args"] = ["sleep", "100"]
        self.bundle.write()
        argv = [RUNTIME, "--root", self.root, "--platform", PLATFORM, "create", "--bundle", self.bundle.path, "c"]
        for i in range(20):
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(i / 1000)
            p.send_signal(signal.SIGKILL)
            p.wait()
            self.ok("delete", "--force", "c")
            self.assertEqual(os.listdir(self.root) if os.path.exists(self.root) else [], [])


# What differs between the platforms, if anything does: for a platform on which all would take long.
SMOKE = ("status_and_output", "life", "exec", "seccomp", "limits_are_seen_inside", "masked_and_readonly_paths", "bind_mounts", "pause",
         "namespaces_are_made")

if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--runtime", required=True)
    p.add_argument("--platform", required=True)
    p.add_argument("--smoke", action="store_true", help="a few tests only")
    args, rest = p.parse_known_args()
    rest += ["Oci.test_" + name for name in SMOKE] if args.smoke else []
    RUNTIME, PLATFORM = os.path.abspath(args.runtime), args.platform
    unittest.main(argv=[sys.argv[0]] + rest, verbosity=1)
