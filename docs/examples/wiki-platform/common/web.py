"""Requests, responses and routes, and what turns a Service into a WSGI or ASGI application."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Callable
from urllib.parse import parse_qsl

from common import database
from common.version import VERSION

BODY_LIMIT = 10 * 1024 * 1024
log = logging.getLogger("wiki-platform")


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""

    @property
    def actor(self) -> str:
        """Who asks: a reverse proxy that has checked it says so."""
        return self.headers.get("x-remote-user", "anonymous")

    def number(self, name: str, default: int, most: int) -> int:
        text = self.query.get(name, str(default))
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise Refused(400, f"{name} must be a number")
        return min(int(text), most)


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def all_headers(self) -> list[tuple[str, str]]:
        own = {"Content-Length": str(len(self.body)), "X-Content-Type-Options": "nosniff"}
        if self.body:
            own["Content-Type"] = self.content_type
        return list({**own, **self.headers}.items())


class Refused(Exception):
    """An answer other than success, with one sentence that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def answer(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(status, (json.dumps(value) + "\n").encode(), headers=headers)


def valid_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .-]{0,99}", name):
        raise Refused(400, "a name has 1 to 100 letters, digits, spaces, dots, dashes or underscores")
    return name


class Service:
    """A named set of routes; /healthz and /version come with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.routes: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = []
        self.route("GET", "/healthz")(self.health)
        self.route("GET", "/version")(lambda _: answer({"service": name, "version": VERSION}))

    def route(self, method: str, path: str) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))

        def add(handler: Callable[..., Response]) -> Callable[..., Response]:
            self.routes.append((method, pattern, handler))
            return handler

        return add

    def health(self, _: Request) -> Response:
        database.connect().execute("SELECT count(*) FROM (SELECT 1 FROM pages LIMIT 1)").fetchone()
        return answer({"status": "ok", "service": self.name, "version": VERSION})

    def handle(self, request: Request) -> Response:
        try:
            return self.dispatch(request)
        except Refused as refused:
            return answer({"error": str(refused)}, refused.status)
        except sqlite3.OperationalError as error:
            log.error("%s %s: %s", request.method, request.path, error)
            return answer({"error": f"the database does not answer: {error}"}, 503)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return answer({"error": "the service failed; its log says why"}, 500)

    def dispatch(self, request: Request) -> Response:
        if len(request.body) > BODY_LIMIT:
            raise Refused(413, f"a body has at most {BODY_LIMIT} bytes")
        wanted = "GET" if request.method == "HEAD" else request.method
        allowed = set()
        for method, pattern, handler in self.routes:
            if match := pattern.fullmatch(request.path):
                if method == wanted:
                    return handler(request, **match.groupdict())
                allowed.add(method)
        if allowed:
            raise Refused(405, f"this address takes {', '.join(sorted(allowed))}")
        raise Refused(404, "there is nothing at this address")


def wsgi(service: Service) -> Callable[..., list[bytes]]:
    database.prepare()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        length = environ.get("CONTENT_LENGTH")
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        wanted = BODY_LIMIT + 1 if chunked else min(int(length or 0), BODY_LIMIT + 1)
        response = service.handle(
            Request(
                environ["REQUEST_METHOD"],
                environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
                dict(parse_qsl(environ.get("QUERY_STRING", ""))),
                headers,
                environ["wsgi.input"].read(wanted) if wanted else b"",
            )
        )
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", response.all_headers())
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    return application


def asgi(service: Service) -> Callable[..., Any]:
    async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            return await lifespan(receive, send)
        if scope["type"] != "http":
            raise ValueError(f"a {scope['type']} connection is not served here")
        body, more = b"", True
        while more and len(body) <= BODY_LIMIT:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        request = Request(scope["method"], scope["path"], query, headers, body)
        response = await asyncio.to_thread(service.handle, request)
        raw = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in response.all_headers()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    async def lifespan(receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        await receive()
        try:
            database.prepare()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return application
