"""Clients that read long answers, and count how often one ends. Prints a summary at SIGTERM.

clients.py PORT COUNT
"""
import collections
import json
import signal
import socket
import sys
import threading
import time

port, count = int(sys.argv[1]), int(sys.argv[2])
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
cuts = [0] * count
lines = collections.Counter()


def client(at):
    while not over.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port), 10) as stream:
                stream.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
                stream.settimeout(10)
                for line in stream.makefile("r"):
                    if over.is_set():
                        return
                    if line.startswith("data: "):
                        lines[line[6:].strip()] += 1
        except OSError:
            pass
        if not over.is_set():
            cuts[at] += 1
            time.sleep(0.05)


threads = [threading.Thread(target=client, args=[at]) for at in range(count)]
for thread in threads:
    thread.start()
over.wait()
for thread in threads:
    thread.join()
print(json.dumps({"cuts": cuts, "lines": lines}))
