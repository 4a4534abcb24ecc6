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
        if self.path == "/slow":
            time.sleep(2)
        body = VERSION.encode()
        self.send_response(503 if FAULT == "sick" and self.path == "/healthz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    allow_reuse_address = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
