#!/usr/bin/python3
"""Runs a command at a terminal, types the keys in the file of the first argument once it asks, and prints its exit
code, whether the terminal shows again what is typed, and what it has shown."""

import os
import pty
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b""
while b"not shown: " not in shown:
    shown += os.read(terminal, 1024)
with open(sys.argv[1], "rb") as keys:
    os.write(terminal, keys.read())
try:
    while part := os.read(terminal, 1024):
        shown += part
except OSError:
    pass  # the other end is closed
_, status = os.waitpid(pid, 0)
echo = termios.tcgetattr(terminal)[3] & termios.ECHO
print(os.waitstatus_to_exitcode(status), "echo" if echo else "hidden", shown)
