# needs: node
# timeout: 120
exec node -e '
const { Worker } = require("worker_threads"); const fs = require("fs"), os = require("os"), cp = require("child_process"), net = require("net");
const w = new Worker("require(\"worker_threads\").parentPort.postMessage(6 * 7)", { eval: true });
w.on("message", m => { console.log("worker", m);
  setTimeout(() => { console.log("timer"); fs.mkdirSync(process.env.T, { recursive: true }); fs.writeFileSync(process.env.T + "/f", "x".repeat(1000));
    console.log(fs.statSync(process.env.T + "/f").size); console.log(cp.execSync("echo child").toString().trim());
    const s = net.createServer(c => c.end("bye")).listen(0, "127.0.0.1", () => net.connect(s.address().port, "127.0.0.1").on("data", d => { console.log(d.toString()); s.close(); })); }, 20); });'
