"""Tries what a build must not do, and prints the names of what worked. As a build backend, it makes a package."""

import ctypes
import os
import resource
import socket
import subprocess
import sys
import zipfile

PORT = 9191
libc = ctypes.CDLL(None, use_errno=True)


def tcp(address):
    socket.create_connection((address, PORT), timeout=5).close()


def unix(address):
    client = socket.socket(socket.AF_UNIX)
    client.connect(address)


def call(result):
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def other():
    return int(open("/usr/share/other-pid").read())


def processes():
    os.stat("/proc/1")


def files():
    open("/srv/other/cache").close()


def environ():
    open(f"/proc/{other()}/environ").close()


def write_execute():
    libc.mmap.restype = ctypes.c_void_p
    # PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS
    call(libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0)))


def namespace():
    child = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) != 0)"
    subprocess.run([sys.executable, "-c", child], check=True)


ATTEMPTS = {
    "abstract": lambda: unix("\0other"),
    "bus": lambda: unix("/run/dbus/system_bus_socket"),
    "core": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    "environ": environ,
    "files": files,
    "kill": lambda: os.kill(other(), 0),
    "loopback": lambda: tcp("127.0.0.1"),
    "namespace": namespace,
    "network": lambda: tcp("10.9.9.9"),
    "personality": lambda: call(libc.personality(0x0040000)),
    "processes": processes,
    "resolver": lambda: tcp("127.0.0.53"),
    "write-execute": write_execute,
}


def worked():
    names = []
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            names.append(name)
        except (OSError, ValueError, subprocess.SubprocessError):
            pass
    return " ".join(names)


def serve():
    sockets = []
    for address in ["127.0.0.1", "127.0.0.53", "10.9.9.9"]:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, PORT))
        sockets.append(server)
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0other")
    sockets.append(abstract)
    for server in sockets:
        server.listen(50)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    # The kernel completes connections to a socket that listens.
    while True:
        sockets[0].accept()[0].close()


def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open("/opt/demo/current/.venv/worked", "w") as file:
        file.write(worked())
    name = "package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        info = "package-1.0.dist-info/"
        wheel.writestr("package.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: package\nVersion: 1.0\n")
        wheel.writestr(
            info + "WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(info + "RECORD", "")
    return name


if __name__ == "__main__":
    serve() if "serve" in sys.argv else print(worked())
