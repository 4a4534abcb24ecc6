"""A server that takes uploads and gives long downloads, and its client.

transfers.py [PORT]                       the server, on the socket from systemd or on a port
transfers.py client PORT MEGABYTES SECONDS  one upload and one download of that many seconds
"""
import json
import signal
import socket
import sys
import threading
import time

CHUNK = b"x" * 65536


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.read(1)
        if not byte:
            return ""
        head += byte
    return head.decode()


def serve(client):
    client.setblocking(True)
    with client, client.makefile("rb") as stream:
        head = read_head(stream)
        if head.startswith("PUT"):
            left = total = int(head.split("Content-Length: ")[1].split("\r\n")[0])
            while left:
                left -= len(stream.read(min(left, len(CHUNK))) or sys.exit(1))
            body = f"{total}".encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        elif "/download/" in head:
            parts = int(head.split("/download/")[1].split(" ")[0]) * 10
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (parts * len(CHUNK)))
            for _ in range(parts):
                client.sendall(CHUNK)
                time.sleep(0.1)
        else:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def client(port, megabytes, seconds):
    out = {}

    def upload():
        with socket.create_connection(("127.0.0.1", port)) as stream:
            parts = megabytes * 16
            stream.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (parts * len(CHUNK)))
            for _ in range(parts):
                stream.sendall(CHUNK)
                time.sleep(seconds / parts)
            out["stored"] = int(stream.recv(4096).decode().rsplit("\r\n\r\n", 1)[1])

    def download():
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.sendall(b"GET /download/%d HTTP/1.1\r\nHost: x\r\n\r\n" % seconds)
            with stream.makefile("rb") as file:
                length = int(read_head(file).split("Content-Length: ")[1].split("\r\n")[0])
                out["missing"] = length - len(file.read(length))

    threads = [threading.Thread(target=upload), threading.Thread(target=download)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(out))


if sys.argv[1:2] == ["client"]:
    client(*map(int, sys.argv[2:5]))
    sys.exit()
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())
server = socket.create_server(("127.0.0.1", int(sys.argv[1]))) if sys.argv[1:] else socket.socket(fileno=3)
server.settimeout(0.05)
while not ending.is_set():
    try:
        connection, _ = server.accept()
    except (TimeoutError, BlockingIOError):
        time.sleep(0.01)
        continue
    threading.Thread(target=serve, args=[connection]).start()
server.close()
