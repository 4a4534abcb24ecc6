"""Answers each connection with `ok`, on the socket that systemd passes, or on the given address.

usage: answer.py [ADDRESS PORT]
"""

import socket
import sys

if len(sys.argv) > 1:
    server = socket.create_server((sys.argv[1], int(sys.argv[2])))
else:
    server = socket.socket(fileno=3)
server.setblocking(True)
while True:
    client, _ = server.accept()
    client.setblocking(True)
    client.recv(4096)
    client.sendall(b"HTTP/1.0 200 OK\r\n\r\nok")
    client.close()
