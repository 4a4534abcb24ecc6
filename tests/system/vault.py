#!/usr/bin/python3 -B
"""A service with secrets. Its argument is `web` or `worker`. It answers with a variable or a credential, and
/healthz answers 503 if the secret TOKEN is `bad`."""

import os
import select
import signal
import socket
import sys
import threading

NOTIFY = os.environ.get("NOTIFY_SOCKET", "")
CREDENTIALS = os.environ.get("CREDENTIALS_DIRECTORY", "/nothing")


def secret(name: str) -> bytes:
    try:
        with open(os.path.join(CREDENTIALS, name), "rb") as file:
            return file.read()
    except OSError:
        return b"none"


TOKEN = secret("TOKEN")


def answer(client: socket.socket) -> None:
    with client:
        request = b""
        while b"\r\n\r\n" not in request:
            part = client.recv(4096)
            if not part:
                return
            request += part
        path = request.split(b" ")[1].decode()
        status, body = b"200 OK", b"ok"
        if path == "/healthz" and TOKEN == b"bad":
            status, body = b"503 Sick", b"sick"
        elif path.startswith("/secret/"):
            body = secret(path.rsplit("/", 1)[1])
        elif path.startswith("/env/"):
            body = os.environb.get(path.rsplit("/", 1)[1].encode(), b"none")
        client.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))


def main() -> None:
    stop_reader, stop = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop, b"."))
    listeners = []
    if sys.argv[1] == "web":
        listeners = [socket.socket(fileno=3)]
        listeners[0].setblocking(False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto(b"READY=1", NOTIFY.replace("@", "\0", 1))
    while True:
        readable, _, _ = select.select([stop_reader, *listeners], [], [])
        if stop_reader in readable:
            break
        try:
            client, _ = listeners[0].accept()
        except BlockingIOError:
            continue
        threading.Thread(target=answer, args=(client,)).start()


main()
