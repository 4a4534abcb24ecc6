"""One service of the fixture. `/` answers its name, `/chain` also the name of each service behind it, and
`/env/NAME` a variable."""

import os
import signal
import socket
import urllib.request


def answer(path: str) -> str:
    if path.startswith("/env/"):
        return os.environ.get(path[5:], "")
    name = os.environ["NAME"]
    upstream = os.environ.get("UPSTREAM")
    if path == "/chain" and upstream:
        return name + ">" + urllib.request.urlopen(upstream + path, timeout=5).read().decode()
    return name


if os.environ.get("LISTEN_FDS"):
    server = socket.socket(fileno=3)
elif "PORT" in os.environ:
    server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
else:
    server = None
    signal.pause()

server.setblocking(True)
while True:
    client, _ = server.accept()
    with client:
        client.setblocking(True)
        path = client.recv(4096).decode().split(" ")[1]
        body = answer(path).encode()
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
