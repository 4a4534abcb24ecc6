"""An app for Gunicorn. The file `fault` in its release says how it fails: see servers.rs."""
import os
import signal
import sys
import threading
import time

VERSION = open("VERSION").read().strip()
FAULT = open("fault").read().strip()

if FAULT == "no-start":
    sys.exit("it does not start")
if FAULT == "crash":
    threading.Timer(2, os.kill, (os.getppid(), signal.SIGKILL)).start()
if FAULT == "memory":
    # As the kernel kills a process when memory runs out.
    os.kill(os.getppid(), signal.SIGKILL)


def application(environ, start_response):
    if FAULT == "hang":
        time.sleep(3600)
    path = environ["PATH_INFO"]
    if path == "/slow":
        time.sleep(2)
    status = "503 Sick" if FAULT == "sick" and path == "/healthz" else "200 OK"
    body = VERSION.encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
