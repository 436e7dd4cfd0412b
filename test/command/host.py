#!/usr/bin/env python3
"""check, install and uninstall: what has to do with the host, and with no sandbox."""
import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

RUNTIME = ""


def runsc(*args, **options):
    return subprocess.run([RUNTIME, *args], capture_output=True, text=True, timeout=60, **options)


class Check(unittest.TestCase):
    ROWS = ["kernel", "kvm", "ptrace", "seccomp", "memfd", "user namespaces", "namespaces", "mount trees", "io_uring", "cgroups", "descriptors"]

    def test_rows(self):
        result = runsc("check")
        lines = result.stdout.splitlines()
        rows = [line for line in lines[:-1] if not line.startswith(" ")]
        self.assertEqual([row[:16].rstrip() for row in rows], self.ROWS)
        self.assertTrue(all(row[17:21].strip() in ("yes", "no") for row in rows), result.stdout)
        self.assertIn(os.uname().release, rows[0])
        self.assertEqual(result.returncode, 0 if lines[-1] == "Sandboxes can be run here." else 125)

    def test_a_lack_is_explained(self):
        # No user namespace may be made below one that has used up its number of them.
        script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0" check'
        result = subprocess.run(["unshare", "-U", "-r", "sh", "-c", script, RUNTIME], capture_output=True, text=True, timeout=60)
        lines = result.stdout.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("user namespaces"))
        self.assertEqual(lines[at][17:21].strip(), "no", result.stdout + result.stderr)
        self.assertTrue(lines[at + 1].startswith(" ") and "one layer less" in lines[at + 1])

    def test_descriptors(self):
        result = subprocess.run(["sh", "-c", 'ulimit -n 100; exec "$0" check', RUNTIME], capture_output=True, text=True, timeout=60)
        self.assertIn("up to 100 a process", result.stdout)
        self.assertIn("ulimit -Hn", result.stdout)

    def test_arguments(self):
        result = runsc("check", "extra")
        self.assertEqual(result.returncode, 125)
        self.assertIn("extra", result.stderr)


class Install(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.file = self.dir.name + "/daemon.json"

    def write(self, text):
        with open(self.file, "w") as f:
            f.write(text)

    def read(self):
        with open(self.file) as f:
            return json.load(f)

    def refused(self, result, *words):
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "")
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def install(self, *args): return runsc("install", "--config=" + self.file, *args)
    def uninstall(self, *args): return runsc("uninstall", "--config=" + self.file, *args)

    def test_no_file(self):
        self.assertEqual(self.install().returncode, 0)
        self.assertEqual(self.read(), {"runtimes": {"runsc-c": {"path": os.path.realpath(RUNTIME)}}})
        self.assertEqual(self.uninstall().returncode, 0)
        self.assertEqual(self.read(), {})

    def test_no_folder(self):
        self.file = self.dir.name + "/docker/daemon.json"
        self.assertEqual(self.install().returncode, 0)
        self.assertIn("runsc-c", self.read()["runtimes"])

    def test_keeps_the_rest(self):
        before = {"debug": True, "big": 1 << 62, "runtimes": {"other": {"path": "/x", "runtimeArgs": ["a b", "\u00e9"]}}, "labels": []}
        self.write(json.dumps(before))
        self.assertEqual(self.install("--runtime=mine", "--", "--platform=ptrace", "--debug").returncode, 0)
        after = self.read()
        self.assertEqual(after["runtimes"].pop("mine"), {"path": os.path.realpath(RUNTIME), "runtimeArgs": ["--platform=ptrace", "--debug"]})
        self.assertEqual(after, before)
        self.assertEqual(self.uninstall("--runtime=mine").returncode, 0)
        self.assertEqual(self.read(), before)

    def test_again_and_otherwise(self):
        self.assertEqual(self.install().returncode, 0)
        self.assertEqual(self.install().returncode, 0)
        self.refused(self.install("--", "--debug"), "runtimes.runsc-c", "--clobber")
        self.assertEqual(self.install("--clobber", "--", "--debug").returncode, 0)
        self.assertEqual(self.read()["runtimes"]["runsc-c"]["runtimeArgs"], ["--debug"])

    def test_mode_and_link_stay(self):
        self.write("{}")
        os.chmod(self.file, 0o600)
        link = self.dir.name + "/link.json"
        os.symlink("daemon.json", link)
        self.assertEqual(runsc("install", "--config=" + link).returncode, 0)
        self.assertTrue(os.path.islink(link))
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertIn("runsc-c", self.read()["runtimes"])

    def test_default_runtime(self):
        self.assertEqual(self.install().returncode, 0)
        self.write(json.dumps({**self.read(), "default-runtime": "runsc-c"}))
        self.refused(self.uninstall(), "default-runtime")

    def test_bad_input(self):
        for text, word in ("[]", "object"), ("{", self.file), ('{"runtimes": 5}', "runtimes"):
            self.write(text)
            self.refused(self.install(), self.file, word)
            self.refused(self.uninstall(), self.file, word)
            with open(self.file) as f:
                self.assertEqual(f.read(), text)
        self.write("{}")
        self.refused(self.uninstall(), "runtimes.runsc-c")
        self.refused(self.install("extra"), "extra", "--")
        self.refused(self.install("--runtime="), "--runtime")
        self.file = "/dev/null/daemon.json"
        self.refused(self.install(), self.file)


def main():
    global RUNTIME
    parser = argparse.ArgumentParser()
    parser.add_argument("--runtime", required=True)
    args, rest = parser.parse_known_args()
    RUNTIME = os.path.abspath(args.runtime)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
