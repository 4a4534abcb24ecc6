"""An app for Gunicorn. The file `fault` in its release says how it fails: see servers.rs."""
import os
import signal
import sys
import threading
import time

VERSION = open("VERSION").read().strip()
FAULT = open("fault").read().strip()

if FAULT == "no-start":
    sys.exit("it does not start")
if FAULT == "crash":
    threading.Timer(2, os.kill, (os.getppid(), signal.SIGKILL)).start()
if FAULT == "memory":
    # As the kernel kills a process when memory runs out.
    os.kill(os.getppid(), signal.SIGKILL)


def events():
    while True:
        yield f"data: {VERSION}\n\n".encode()
        time.sleep(0.2)


def websocket(connection):
    """Takes the connection over from Gunicorn, and sends a frame with the version now and then."""
    accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # for the key of the tests
    head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    connection.sendall(head.encode())
    while True:
        connection.sendall(bytes([0x81, len(VERSION)]) + VERSION.encode())
        time.sleep(0.2)


def application(environ, start_response):
    if FAULT == "hang":
        time.sleep(3600)
    path = environ["PATH_INFO"]
    if path == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events()
    if path == "/socket":
        websocket(environ["gunicorn.socket"])
    if path == "/slow":
        time.sleep(2)
    status = "503 Sick" if FAULT == "sick" and path == "/healthz" else "200 OK"
    body = VERSION.encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
