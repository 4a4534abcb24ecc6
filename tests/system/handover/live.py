"""A server with short answers and long ones. Each line of a long answer says what the process can do."""
import os
import select
import signal
import socket
import sys
import threading
import time

VERSION = open("VERSION").read().strip()
# systemd removes it when its user has no unit (systemd.exec(5), "RemoveIPC=").
SHARED = f"/dev/shm/mark-{VERSION}"
ending = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ending.set())


def notify(text):
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.sendto(text, where.replace("@", "\0", 1))


def allowed():
    """What a control group may forbid, and does not."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"x", ("127.0.0.1", 9))
            return "sends"
    except OSError:
        return "nothing"


def serve(client):
    client.setblocking(True)
    with client:
        request = client.recv(4096)
        if b"/live" not in request:
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(VERSION)}\r\n\r\n"
            client.sendall(head.encode() + VERSION.encode())
            return
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        try:
            while True:
                mark = open("/tmp/mark").read()
                shared = open(SHARED).read()
                client.sendall(f"data: {VERSION} {mark} {shared} {allowed()}\n\n".encode())
                time.sleep(0.05)
        except OSError:
            pass


if len(sys.argv) > 1:
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
else:
    server = socket.socket(fileno=3)
server.setblocking(False)
for place in "/tmp/mark", SHARED:
    with open(place, "w") as file:
        file.write(VERSION)
notify(b"READY=1")
while not ending.is_set():
    if not select.select([server], [], [], 0.05)[0]:
        continue
    try:
        client, _ = server.accept()
    except BlockingIOError:
        continue
    threading.Thread(target=serve, args=[client]).start()
server.close()
# The threads of open answers keep the process.
