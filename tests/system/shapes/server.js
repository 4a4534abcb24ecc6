// Node's own server on the socket that systemd passes.
const http = require("node:http");
const fs = require("node:fs");
const os = require("node:os");
const server = http.createServer((_, response) => {
  fs.appendFileSync(`${process.env.STATE}/node.log`, "x");
  if (process.argv[2] === "plain") return response.end("node plain ok\n");
  const cpus = os.cpus().length > 0 && Object.keys(os.networkInterfaces()).length >= 0;
  let sum = 0;
  for (let i = 0; i < 3e6; i++) sum = (sum + i * i) % 1000003; // enough work for the JIT compiler
  response.end(`node ok cpus=${cpus} sum=${sum}\n`);
});
server.listen({ fd: 3 });
