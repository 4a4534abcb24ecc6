#!/usr/bin/python3 -B
"""The fixture's only program. The file `fault` in its release says how it fails:

no-start  ends at once            crash  ends 2 seconds after its start
sick      /healthz answers 503    slow   becomes ready once its state has a file `go`
"""

import os
import select
import signal
import socket
import sys
import threading
import time

FAULT = open("fault").read()
NOTIFY = os.environ.get("NOTIFY_SOCKET", "")


def ready() -> None:
    if NOTIFY:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(b"READY=1", NOTIFY.replace("@", "\0", 1))


def answer(client: socket.socket) -> None:
    with client:
        request = b""
        while b"\r\n\r\n" not in request:
            part = client.recv(4096)
            if not part:
                return
            request += part
        path = request.split(b" ")[1]
        status, body = b"200 OK", open("VERSION", "rb").read()
        if path == b"/healthz":
            status, body = (b"503 Sick", b"sick") if FAULT == "sick" else (b"200 OK", b"ok")
        elif path == b"/":
            time.sleep(0.02)  # so that requests are open whenever it is stopped
        elif path == b"/env":
            body = os.environ.get("COLOUR", "none").encode()
        client.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))


def main() -> None:
    stop_reader, stop = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop, b"."))
    if FAULT == "no-start":
        sys.exit("the fixture does not start")
    while FAULT == "slow" and not os.path.exists("/var/lib/demo/go"):
        time.sleep(0.05)
    if FAULT == "crash":
        threading.Timer(2, lambda: os._exit(1)).start()
    role = sys.argv[1]
    if role == "tidy":
        print("tidied by", open("VERSION").read())
        return
    listeners = []
    if role == "web":
        # The family comes from the descriptor: the sandbox allows no new socket but AF_UNIX.
        listeners = [socket.socket(fileno=3)]
        listeners[0].setblocking(False)
    if role == "direct":
        listeners = [socket.create_server((os.environ.get("HOST", "127.0.0.1"), 8090))]
        listeners[0].setblocking(False)
    ready()
    while True:
        readable, _, _ = select.select([stop_reader, *listeners], [], [])
        if stop_reader in readable:
            break  # never shutdown(): others accept from the same socket
        try:
            client, _ = listeners[0].accept()
        except BlockingIOError:
            continue  # another process accepted it
        threading.Thread(target=answer, args=(client,)).start()
    # The interpreter ends once every accepted request has been answered.


main()
