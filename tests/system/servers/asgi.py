"""An app for Uvicorn. The file `fault` in its release says how it fails: see servers.rs."""
import asyncio
import os
import signal
import sys
import threading

VERSION = open("VERSION").read().strip()
FAULT = open("fault").read().strip()

if FAULT == "no-start":
    sys.exit("it does not start")
if FAULT == "crash":
    threading.Timer(2, os._exit, (1,)).start()
if FAULT == "memory":
    # As the kernel kills a process when memory runs out.
    os.kill(os.getpid(), signal.SIGKILL)


async def events(send):
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        line = f"data: {VERSION}\n\n".encode()
        await send({"type": "http.response.body", "body": line, "more_body": True})
        await asyncio.sleep(0.2)


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    ended = asyncio.ensure_future(receive())
    while not ended.done():
        await send({"type": "websocket.send", "text": VERSION})
        await asyncio.wait([ended], timeout=0.2)


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        return await websocket(receive, send)
    if scope["type"] != "http":
        return
    if FAULT == "hang":
        await asyncio.sleep(3600)
    if scope["path"] == "/events":
        return await events(send)
    if scope["path"] == "/slow":
        await asyncio.sleep(2)
    status = 503 if FAULT == "sick" and scope["path"] == "/healthz" else 200
    body = VERSION.encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
