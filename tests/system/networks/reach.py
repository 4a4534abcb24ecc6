"""Tries what a service may reach, and writes what succeeded to a file.

usage: reach.py FILE [PORT]     PORT: first listen on this port of 127.0.0.1.
With ONCE in the environment, it then ends.
"""

import os
import socket
import sys
import time

SECONDS = 3
keep = []


def connect(family, address):
    with socket.socket(family) as client:
        client.settimeout(SECONDS)
        client.connect(address)


def another_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 9555))


TRIES = {
    "this host": lambda: connect(socket.AF_INET, ("127.0.0.1", 9000)),
    "192.0.2.1": lambda: connect(socket.AF_INET, ("192.0.2.1", 9000)),
    "198.51.100.1": lambda: connect(socket.AF_INET, ("198.51.100.1", 9000)),
    "the unix socket": lambda: connect(socket.AF_UNIX, "/run/database/socket"),
    "another port": another_port,
}

path, *ports = sys.argv[1:]
for port in ports:
    keep.append(socket.create_server(("127.0.0.1", int(port))))
could = []
for name, attempt in TRIES.items():
    try:
        attempt()
        could.append(name)
    except OSError as error:
        print(f"{name}: {error}", flush=True)
with open(path + ".new", "w") as out:
    out.write(", ".join(could))
os.rename(path + ".new", path)
if "ONCE" not in os.environ:
    time.sleep(3600)
