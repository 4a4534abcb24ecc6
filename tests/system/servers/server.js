// A server for Node. The file `fault` in its release says how it fails: see servers.rs.
const fs = require("node:fs");
const http = require("node:http");

const version = fs.readFileSync("VERSION", "utf8").trim();
const fault = fs.readFileSync("fault", "utf8").trim();

if (fault === "no-start") {
  console.error("it does not start");
  process.exit(1);
}
if (fault === "crash") setTimeout(() => process.exit(1), 2000);
// As the kernel kills a process when memory runs out.
if (fault === "memory") process.kill(process.pid, "SIGKILL");

let ending = false;
const handle = (request, response) => {
  if (fault === "hang") return;
  const answer = () => {
    if (ending) response.setHeader("Connection", "close");
    response.statusCode = fault === "sick" && request.url === "/healthz" ? 503 : 200;
    response.setHeader("Content-Length", Buffer.byteLength(version));
    response.end(version);
  };
  if (request.url === "/events") {
    response.setHeader("Content-Type", "text/event-stream");
    const line = () => response.write(`data: ${version}\n\n`);
    const lines = setInterval(line, 200);
    request.on("close", () => clearInterval(lines));
    line();
  } else if (request.url === "/slow") setTimeout(answer, 2000);
  else answer();
};
const server = http.createServer(handle);
// WebSockets (RFC 6455). The answer is the one to the key of the tests.
const sockets = new Set();
server.on("upgrade", (request, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  const frame = Buffer.concat([Buffer.from([0x81, version.length]), Buffer.from(version)]);
  const frames = setInterval(() => socket.write(frame), 200);
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => {
    clearInterval(frames);
    sockets.delete(socket);
  });
});
process.on("SIGTERM", () => {
  ending = true;
  // The code 1012: the server restarts.
  for (const socket of sockets) socket.end(Buffer.from([0x88, 2, 0x03, 0xf4]));
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

// The first answers of a process are slow, so the process requests them itself before it listens.
const serve = () => server.listen({ fd: 3 });
const warm = http.createServer(handle);
const socketPath = `/tmp/warm-${process.pid}`;
const ask = (left) => {
  if (left === 0) return warm.close(serve);
  http.get({ socketPath, agent: false }, (answer) => answer.resume().on("end", () => ask(left - 1)));
};
if (fault === "hang") serve();
else warm.listen(socketPath, () => ask(20));
