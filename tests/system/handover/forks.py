"""A server that starts and ends processes all the time, which start and end others."""
import os
import select
import signal
import socket
import time

VERSION = open("VERSION").read().strip()
ending = []
signal.signal(signal.SIGTERM, lambda *_: ending.append(1))


def child():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(0.01)
            os._exit(0)
    time.sleep(0.02)
    for _ in range(3):
        os.wait()
    os._exit(0)


server = socket.socket(fileno=3)
server.setblocking(False)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
children = 0
while not ending:
    while children < 6:
        if os.fork() == 0:
            child()
        children += 1
    while children:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if not pid:
            break
        children -= 1
    if select.select([server], [], [], 0.005)[0]:
        try:
            client, _ = server.accept()
        except BlockingIOError:
            continue
        with client:
            client.setblocking(True)
            client.recv(4096)
            head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(VERSION)}\r\n\r\n"
            client.sendall(head.encode() + VERSION.encode())
