# needs: python3
# timeout: 120
# size: THREADS=8 PROCS=4 LIST=5000000
# size-kvm: THREADS=3 PROCS=2 LIST=100000
mkdir -p $T
exec python3 - <<'END'
import asyncio, mmap, multiprocessing, os, select, signal, sqlite3, subprocess, sys, tempfile, threading, time
T = os.environ["T"]
lock, total = threading.Lock(), [0]
def work(n):
    for _ in range(200):
        with lock: total[0] += n
ts = [threading.Thread(target=work, args=(i,)) for i in range(int(os.environ["THREADS"]))]
[t.start() for t in ts]; [t.join() for t in ts]
print("threads done", total[0] == 200 * sum(range(len(ts))))
print(subprocess.run(["sh", "-c", "cat; exit 3"], input=b"in", capture_output=True))
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(int(os.environ["PROCS"])) as p: print(p.map(square, range(20)))
async def tick(n):
    await asyncio.sleep(0.01 * n); return n
async def main():
    print(await asyncio.gather(*[tick(n) for n in range(5)]))
asyncio.run(main())
db = sqlite3.connect(T + "/db"); db.execute("create table t(a, b)")
db.executemany("insert into t values(?, ?)", [(i, str(i)) for i in range(500)]); db.commit()
print(db.execute("select sum(a), count(*) from t").fetchone())
with open(T + "/m", "w+b") as f:
    f.truncate(8192); m = mmap.mmap(f.fileno(), 8192); m[4096:4101] = b"hello"; m.flush(); f.seek(4096); print(f.read(5)); m.close()
got = []
signal.signal(signal.SIGALRM, lambda s, f: got.append(s)); signal.setitimer(signal.ITIMER_REAL, 0.02); time.sleep(0.2); print(got)
with tempfile.NamedTemporaryFile() as f: f.write(b"x" * 100000); f.flush(); print(os.stat(f.name).st_size)
r, w = os.pipe(); print(select.select([r], [w], [], 0)[1] == [w]); os.write(w, b"y"); print(select.select([r], [], [], 1)[0] == [r])
p = select.poll(); p.register(r, select.POLLIN); print(p.poll(0)[0][1])
ep = select.epoll(); ep.register(r, select.EPOLLIN); print(len(ep.poll(1)))
big = list(range(int(os.environ["LIST"]))); print(sum(big))
pid = os.fork()
if pid == 0: os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
