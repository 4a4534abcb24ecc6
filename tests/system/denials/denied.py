"""What Python says when the kernel denies something. A program that is denied nothing ends with 0."""

import ctypes
import errno
import mmap
import os
import shutil
import socket
import subprocess
import sys


def connect():
    try:
        socket.create_connection(("127.0.0.1", 1))
    except ConnectionRefusedError:
        pass


def look_up():
    try:
        socket.getaddrinfo("example.invalid", 80)
    except socket.gaierror:
        # The machine has no network either.
        if "OPEN" not in os.environ:
            raise


def change_owner():
    path = os.environ["STATE"] + "/own"
    open(path, "w").close()
    os.chown(path, os.getuid(), os.getgid())


def run_from_state():
    path = os.environ["STATE"] + "/tool"
    shutil.copy("/usr/bin/true", path)
    subprocess.run([path], check=True)


def add_key():
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
    if libc.syscall(number, b"user", b"k", b"v", 1, -2) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "add_key")


def write_code():
    try:
        mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except PermissionError:
        # As cffi says it.
        raise MemoryError("Cannot allocate write+execute memory for ffi.callback().")


WHAT = {
    "connect": connect,
    "look-up": look_up,
    "meminfo": lambda: open("/proc/meminfo"),
    "read": lambda: open("/srv/shared/a.conf"),
    "read-home": lambda: open("/home/ann/notes"),
    "write": lambda: open(os.environ.get("FILE", "state.db"), "w"),
    "write-shared": lambda: open("/srv/written/x", "w"),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
    "change-owner": change_owner,
    "run-from-state": run_from_state,
    "add-key": add_key,
    "write-code": write_code,
    "import": lambda: __import__("flask_of_no_release"),
}

if __name__ == "__main__":
    WHAT[sys.argv[1]]()
