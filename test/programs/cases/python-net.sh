# needs: python3
exec python3 - <<'END'
import socket, threading, os, socketserver, asyncio
for fam, addr in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    s = socket.socket(fam); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((addr, 0)); s.listen(5)
    def serve():
        c, a = s.accept(); d = b""
        while True:
            x = c.recv(65536)
            if not x: break
            d += x
        c.sendall(str(len(d)).encode()); c.close()
    t = threading.Thread(target=serve); t.start()
    c = socket.create_connection(s.getsockname()[:2]); c.sendall(b"z" * 300000); c.shutdown(socket.SHUT_WR); print(c.recv(100)); c.close(); t.join(); s.close()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0)); v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
v.sendto(b"dgram", u.getsockname()); print(u.recvfrom(100)[0])
a, b = socket.socketpair(); r, w = os.pipe(); socket.send_fds(a, [b"fd"], [w]); m, fds, _, _ = socket.recv_fds(b, 10, 1); os.write(fds[0], b"passed"); print(m, os.read(r, 10))
p = os.environ["T"]; os.makedirs(p, exist_ok=True); s = socket.socket(socket.AF_UNIX); s.bind(p + "/sock"); s.listen(); c = socket.socket(socket.AF_UNIX); c.connect(p + "/sock"); d, _ = s.accept(); d.send(b"unix"); print(c.recv(10))
try: socket.create_connection(("127.0.0.1", 1), 1)
except ConnectionRefusedError as e: print(e)
async def h(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
async def m():
    srv = await asyncio.start_server(h, "127.0.0.1", 0); r, w = await asyncio.open_connection(*srv.sockets[0].getsockname()); w.write(b"async\n"); print(await r.read()); srv.close()
asyncio.run(m())
END
