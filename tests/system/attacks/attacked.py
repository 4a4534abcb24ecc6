"""A service that runs the program of an attacker, and then goes on."""
import os
import signal
import socket
import subprocess
import sys

subprocess.run(sys.argv[1:], check=True)
where = os.environ.get("NOTIFY_SOCKET")
if where:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto(b"READY=1", where.replace("@", "\0", 1))
signal.pause()
