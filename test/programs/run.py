#!/usr/bin/env python3
"""Run programs of Debian packages on the host and in the sandbox, on each platform, and compare output and status.

A case is one file in cases/: a shell script, with directives in its leading comments:
  # needs: PROGRAM...     the case is an error when one is missing (the setup script installs them)
  # platforms: ptrace     run on these platforms only (with the reason behind it); all by default
  # timeout: SECONDS      for one run, 60 by default
  # exact: no             only the status is compared; the output must be non-empty
  # size: NAME=VALUE ...  variables on every platform;  size-kvm: ... where ring 0 is emulated and each step is slow
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Case:
    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.path = path
        self.directives = {}
        with open(path) as f:
            self.text = f.read() # passed as an argument: the sandbox has a /tmp of its own, which may hide this checkout
            for line in self.text.splitlines(keepends=True):
                m = re.match(r"# ([a-z-]+): (.*)", line)
                if m:
                    self.directives[m[1]] = m[2].strip()
                elif not line.startswith("#"):
                    break

    def variables(self, emulated):
        text = self.directives.get("size-kvm" if emulated else "size", self.directives.get("size", ""))
        return dict(item.split("=", 1) for item in text.split())

    def timeout(self, emulated):
        return int(self.directives.get("timeout", 60)) * (4 if emulated else 1)


def default_signals():
    """A shell ignores these for what it runs in the background, and a shell that starts so cannot trap them."""
    for sig in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(sig, signal.SIG_DFL)


def run(argv, env, timeout):
    started = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                         cwd="/", start_new_session=True, preexec_fn=default_signals)
    try:
        out, err = p.communicate(timeout=timeout)
        return p.returncode, out, err, time.monotonic() - started
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        out, err = p.communicate()
        return "timeout", out, err, time.monotonic() - started


def platforms_of(runtime):
    """What `runsc-c platforms` says: {name: (works, note)}."""
    text = subprocess.run([runtime, "platforms"], capture_output=True, text=True, timeout=60).stdout
    found = {}
    for line in text.splitlines():
        m = re.match(r"(kvm|ptrace)\s+(yes|no)\b\s*(.*)", line)
        if m:
            found[m[1]] = (m[2] == "yes", m[3])
    return found


def show(label, data):
    text = data.decode(errors="replace")
    for line in text.splitlines()[-20:]:
        print(f"      {label}: {line[:200]}")


def check(case, runtime, platform, emulated, script):
    env = dict(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", LANG="C.UTF-8", TERM="dumb")
    env.update(case.variables(emulated))
    timeout = case.timeout(emulated)
    with tempfile.TemporaryDirectory() as scratch:
        host_env = dict(env, T=scratch)
        host = run(["/bin/sh", "-c", script], host_env, timeout)
    if host[0] == "timeout":
        return False, "the case itself times out on the host", host
    argv = [runtime, "do", "--platform=" + platform, "--cwd=/"]
    boxed = run(argv + ["/bin/sh", "-c", script], dict(env, T="/tmp/scratch"), timeout)
    if boxed[0] != host[0]:
        return False, f"status {boxed[0]}, on the host {host[0]}", boxed
    if case.directives.get("exact") == "no":
        return bool(boxed[1]), "no output", boxed
    if boxed[1] != host[1]:
        for i, (a, b) in enumerate(zip(boxed[1].splitlines(), host[1].splitlines())):
            if a != b:
                return False, f"output line {i + 1}: {a[:150]!r}, on the host {b[:150]!r}", boxed
        return False, f"{len(boxed[1])} bytes of output, on the host {len(host[1])}", boxed
    return True, "", boxed


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--runtime", default=os.path.join(HERE, "../../build/runsc-c/runsc-c"))
    p.add_argument("--platform", action="append")
    p.add_argument("cases", nargs="*", help="names of cases; all by default")
    args = p.parse_args()
    runtime = os.path.abspath(args.runtime)
    offered = platforms_of(runtime)
    wanted = args.platform or ["ptrace", "kvm"]
    cases = [Case(os.path.join(HERE, "cases", f)) for f in sorted(os.listdir(os.path.join(HERE, "cases"))) if f.endswith(".sh")]
    if args.cases:
        cases = [c for c in cases if c.name in args.cases]
    passed = failed = skipped = 0
    for platform in wanted:
        works, note = offered.get(platform, (False, "the runtime does not know it"))
        emulated = "emulated" in note
        for case in cases:
            only = case.directives.get("platforms")
            if only and platform not in only.split("(")[0].split():
                print(f"  skip {platform:7} {case.name}: {only}")
                skipped += 1
                continue
            if not works:
                print(f"  skip {platform:7} {case.name}: the host has no working {platform}: {note}")
                skipped += 1
                if platform in os.environ.get("RUNSC_C_REQUIRE", "").split(","):
                    failed += 1
                continue
            missing = [n for n in case.directives.get("needs", "").split() if not shutil.which(n)]
            if missing:
                print(f"  FAIL {platform:7} {case.name}: not installed: {' '.join(missing)}")
                failed += 1
                continue
            ok, why, result = check(case, runtime, platform, emulated, case.text)
            print(f"  {'ok  ' if ok else 'FAIL'} {platform:7} {case.name} ({result[3]:.1f} s){': ' + why if not ok else ''}", flush=True)
            if ok:
                passed += 1
            else:
                failed += 1
                show("out", result[1])
                show("err", result[2])
    print(f"programs: {passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed or not passed else 0)


main()
