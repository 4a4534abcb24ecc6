"""One program that can run as every shape of service. The first argument selects the shape.

`python3 -m http.server`, Gunicorn and Uvicorn serve it too. Each answer follows the
work of a real service: a row in SQLite, a temporary file, a thread, a name looked up.
"""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading

STATE = os.environ.get("STATE", "/var/lib/shapes")


def work(who):
    """Does what services do, and returns a line with the result."""
    base = sqlite3.connect(f"{STATE}/{who}.db", timeout=10)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("CREATE TABLE IF NOT EXISTS log (what TEXT)")
    base.execute("INSERT INTO log VALUES (?)", (who,))
    base.commit()
    rows = base.execute("SELECT count(*) FROM log").fetchone()[0]
    base.close()
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")
    done = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start()
    thread.join()
    socket.getaddrinfo("localhost", 80)
    subprocess.run(["/usr/bin/true"], check=True)
    return f"{who} ok rows={rows} threads={len(done)}\n"


def application(environ, start_response):
    """WSGI."""
    text = work(os.environ.get("WHO", "wsgi"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]


async def asgi(scope, receive, send):
    """ASGI."""
    if scope["type"] != "http":
        return
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": work("asgi").encode()})


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bus:
        address = os.environ["NOTIFY_SOCKET"]
        bus.sendto(text.encode(), "\0" + address[1:] if address[0] == "@" else address)


def worker():
    """Type=notify with a watchdog, and a counter of reloads."""
    reloads = []
    signal.signal(signal.SIGHUP, lambda *_: reloads.append(1))
    notify("READY=1")
    seconds = int(os.environ.get("WATCHDOG_USEC", "2000000")) / 3e6
    while True:
        notify(f"WATCHDOG=1\nSTATUS={work('worker').strip()} reloads={len(reloads)}")
        signal.sigtimedwait([signal.SIGUSR1], seconds)


def hang():
    """Reports READY and nothing else, so the watchdog must stop it."""
    notify("READY=1")
    signal.pause()


def forking():
    """Forks into the background."""
    if os.fork():
        os._exit(0)
    os.setsid()
    work("forking")
    signal.pause()


def simple():
    work("simple")
    signal.pause()


def job():
    print(work("job"), end="")


def net():
    """Needs CAP_NET_ADMIN: adds and deletes an address."""
    for verb in ("add", "del"):
        subprocess.run(["/usr/sbin/ip", "addr", verb, "192.0.2.1/32", "dev", "lo"], check=True)
    work("net")
    signal.pause()


def display():
    """Writes to a device, which its group allows; the device answers `No space left on device`."""
    try:
        with open("/dev/spidev0.0", "wb", buffering=0) as device:
            device.write(b"x")
    except OSError as error:
        if error.errno != 28:
            raise
    work("display")
    signal.pause()


def several():
    """Answers on every listener with its name."""
    names = os.environ["LISTEN_FDNAMES"].split(":")
    assert int(os.environ["LISTEN_PID"]) == os.getpid()

    def serve(number, name):
        listener = socket.socket(fileno=3 + number)
        while True:
            client, _ = listener.accept()
            client.recv(4096)
            client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + name.encode() + b"\n")
            client.close()

    for number, name in enumerate(names):
        threading.Thread(target=serve, args=(number, name)).start()


def bind(address):
    """Opens its own port."""
    host, port = address.rsplit(":", 1)
    listener = socket.create_server((host, int(port)))
    while True:
        client, _ = listener.accept()
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + work("own").encode())
        client.close()


def attempts():
    """What a sandbox forbids, and `control`, which must succeed."""
    import ctypes
    import mmap
    import shutil

    libc = ctypes.CDLL(None, use_errno=True)
    here = os.path.abspath(__file__)

    def run_copy(directory):
        copy = f"{directory}/{sys.argv[2]}"
        shutil.copy("/usr/bin/true", copy)
        subprocess.run([copy], check=True)

    def check(result):
        if result != 0:
            raise OSError(ctypes.get_errno(), "refused")

    def setuid_file():
        os.chmod(shutil.copy("/usr/bin/true", f"{STATE}/setuid-{sys.argv[2]}"), 0o4755)

    def connect(host):
        socket.create_connection((host, 9000), timeout=2).close()

    return {
        "control": lambda: work("probe"),
        "change its own code": lambda: open(here, "a"),
        "make a file beside it": lambda: open(os.path.dirname(here) + "/new", "w"),
        "write in /usr": lambda: open("/usr/new", "w"),
        "see other releases": lambda: os.listdir("/opt/probe/releases"),
        "see homes": lambda: os.listdir("/home"),
        "read shadow": lambda: open("/etc/shadow"),
        "see the host's /etc": lambda: open("/etc/machine-id"),
        "see PID 1": lambda: os.stat("/proc/1"),
        "read kernel settings": lambda: open("/proc/sys/kernel/osrelease"),
        "execute from the state": lambda: run_copy(STATE),
        "execute from /tmp": lambda: run_copy("/tmp"),
        "execute from /dev/shm": lambda: run_copy("/dev/shm"),
        "make namespaces": lambda: check(libc.unshare(0x10000000)),
        "map writable code": lambda: mmap.mmap(-1, 4096, prot=7),
        "open packet sockets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "open netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "make setuid files": setuid_file,
        "open disks": lambda: open("/dev/disk"),
        "trace processes": lambda: check(libc.ptrace(0, 0, 0, 0)),
        "be nice": lambda: os.nice(-1),
        "set real-time scheduling": lambda: os.sched_setscheduler(0, 1, os.sched_param(1)),
        "bind another port": lambda: socket.create_server(("127.0.0.1", 9002)),
        "reach a port of this host": lambda: connect("127.0.0.1"),
        "reach another address": lambda: connect("192.0.2.7"),
    }


def probe(name):
    """Tries what a sandbox forbids, and writes down what succeeded."""
    could = []
    for what, attempt in attempts().items():
        try:
            attempt()
            could.append(what)
        except (OSError, subprocess.CalledProcessError):
            pass
    with open(f"{STATE}/{name}.new", "w") as report:
        report.write(", ".join(could))
    os.rename(f"{STATE}/{name}.new", f"{STATE}/{name}.could")
    signal.pause()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
