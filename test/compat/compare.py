"""Run many small jobs natively and in the sandbox and say which pass natively and fail only in the sandbox."""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def parser(doc, what):
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--build", default=os.path.join(HERE, "../../build"))
    p.add_argument("--platform", default="ptrace")
    p.add_argument("--log", metavar="DIR", help="keep the output of what fails only in the sandbox there")
    p.add_argument("--native", metavar="FILE", help="native results: read when the file exists, else written to it")
    p.add_argument("names", nargs="*", help=f"{what}; all by default")
    return p


def run(argv, timeout):
    """The status of a command ("timeout" when it took too long) and its output. It gets a folder of its own to work in."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as scratch, tempfile.TemporaryFile() as out:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=scratch, start_new_session=True)
        try:
            status = p.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            status = "timeout"
        out.seek(0)
        return status, out.read()


def read_native(path):
    if not path or not os.path.exists(path):
        return {}
    with open(path) as f:
        return dict(line.split() for line in f)


def compare(args, names, command, verdict, timeout):
    """command(name) -> argv; verdict(status, output) -> pass, fail or skip. The exit status: all that pass natively pass inside."""
    runtime = [os.path.join(os.path.abspath(args.build), "runsc-c/runsc-c"), "do", "--platform=" + args.platform]
    known = read_native(args.native)
    count = {"both": 0, "sandbox": 0}
    failed = []
    for name in names:
        started = time.monotonic()
        native = known.get(name) or verdict(*run(command(name), timeout))
        if args.native and name not in known:
            with open(args.native, "a") as f:
                f.write(f"{name} {native}\n")
        if native != "pass":
            print(f"{native:8} {'-':8} {name} (natively)", flush=True)
            continue
        between = time.monotonic()
        status, output = run(runtime + command(name), timeout * 4)
        inside = "timeout" if status == "timeout" else verdict(status, output)
        print(f"{native:8} {inside:8} {name}  {between - started:.1f} s  {time.monotonic() - between:.1f} s", flush=True)
        count["both"] += 1
        count["sandbox"] += inside == "pass"
        if inside != "pass":
            failed.append(name)
            if args.log:
                os.makedirs(args.log, exist_ok=True)
                with open(os.path.join(args.log, name), "wb") as f:
                    f.write(output)
    share = 100 * count["sandbox"] / max(count["both"], 1)
    print(f"{count['both']} pass natively, {count['sandbox']} of them in the sandbox ({share:.1f} %)")
    if failed:
        print("only in the sandbox: " + " ".join(failed))
    sys.exit(bool(failed))
