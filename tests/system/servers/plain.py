#!/usr/bin/python3 -B
"""Binds its own address, without systemd. The file `fault` says how it fails: see servers.rs."""
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = open("VERSION").read().strip()
FAULT = open("fault").read().strip()

if FAULT == "no-start":
    sys.exit("it does not start")
if FAULT == "crash":
    threading.Timer(2, os._exit, (1,)).start()
if FAULT == "memory":
    # As the kernel kills a process when memory runs out.
    os.kill(os.getpid(), signal.SIGKILL)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet

    def do_GET(self):
        if FAULT == "hang":
            time.sleep(3600)
        if self.path in ("/events", "/socket"):
            return self.stream()
        if self.path == "/slow":
            time.sleep(2)
        body = VERSION.encode()
        self.send_response(503 if FAULT == "sick" and self.path == "/healthz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        is_socket = self.path == "/socket"
        if is_socket:
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")  # for the key of the tests
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = f"data: {VERSION}\n\n"
        part = f"{len(line):x}\r\n{line}\r\n".encode()
        if is_socket:
            part = bytes([0x81, len(VERSION)]) + VERSION.encode()
        try:
            while True:
                self.wfile.write(part)
                self.wfile.flush()
                time.sleep(0.2)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    allow_reuse_address = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
