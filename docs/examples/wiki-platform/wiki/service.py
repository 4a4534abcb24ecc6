"""Reads and writes pages; every change is a new revision and an audit event.

    GET    /pages                        names of all pages
    GET    /pages/NAME                   the text, with its revision as ETag
    PUT    /pages/NAME                   writes the text; If-Match guards against lost updates
    DELETE /pages/NAME                   removes the page, keeps its revisions
    GET    /pages/NAME/revisions         who changed it, and when
    GET    /pages/NAME/revisions/NUMBER  the text of that revision
"""

from __future__ import annotations

import sqlite3

from common.database import NOW, connect, record, transaction
from common.web import Refused, Request, Response, Service, answer, valid_name, wsgi

service = Service("wiki")


def text(row: sqlite3.Row | None, revision: str) -> Response:
    if row is None:
        raise Refused(404, "page or revision not found")
    return Response(200, row["body"].encode(), "text/markdown; charset=utf-8", {"ETag": f'"{row[revision]}"'})


def check_match(request: Request, current: int | None) -> None:
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted != f'"{current}"' and not (wanted == "*" and current is not None):
        raise Refused(412, f"the page is at revision {current or 'none'} and not at {wanted}")


def current_revision(db: sqlite3.Connection, name: str) -> int | None:
    row = db.execute("SELECT revision FROM pages WHERE name = ?", (name,)).fetchone()
    return row and row["revision"]


@service.route("GET", "/pages")
def list_pages(request: Request) -> Response:
    rows = connect().execute(
        "SELECT name, revision, changed FROM pages WHERE name > ? ORDER BY name LIMIT ?",
        (request.query.get("after", ""), request.number("limit", 100, most=1000)),
    )
    return answer({"pages": [dict(row) for row in rows]})


@service.route("GET", "/pages/{name}")
def read_page(_: Request, name: str) -> Response:
    return text(connect().execute("SELECT body, revision FROM pages WHERE name = ?", (name,)).fetchone(), "revision")


@service.route("PUT", "/pages/{name}")
def write_page(request: Request, name: str) -> Response:
    valid_name(name)
    try:
        body = request.body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "the text of a page must be UTF-8") from None
    with transaction() as db:
        current = current_revision(db, name)
        check_match(request, current)
        number = db.execute(
            "SELECT coalesce(max(number), 0) + 1 FROM revisions WHERE page = ?", (name,)
        ).fetchone()[0]
        db.execute(
            f"INSERT INTO revisions (page, number, body, author, changed) VALUES (?, ?, ?, ?, {NOW})",
            (name, number, body, request.actor),
        )
        db.execute(
            f"""INSERT INTO pages (name, body, revision, changed) VALUES (?, ?, ?, {NOW})
            ON CONFLICT (name) DO UPDATE
            SET body = excluded.body, revision = excluded.revision, changed = excluded.changed""",
            (name, body, number),
        )
        record(db, request.actor, "create" if current is None else "edit", name)
    return answer({"name": name, "revision": number}, 201 if current is None else 200, ETag=f'"{number}"')


@service.route("DELETE", "/pages/{name}")
def delete_page(request: Request, name: str) -> Response:
    with transaction() as db:
        current = current_revision(db, name)
        if current is None:
            raise Refused(404, "page not found")
        check_match(request, current)
        db.execute("DELETE FROM pages WHERE name = ?", (name,))
        record(db, request.actor, "delete", name)
    return Response(204)


@service.route("GET", "/pages/{name}/revisions")
def list_revisions(_: Request, name: str) -> Response:
    rows = connect().execute(
        "SELECT number, author, changed FROM revisions WHERE page = ? ORDER BY number DESC", (name,)
    )
    return answer({"revisions": [dict(row) for row in rows]})


@service.route("GET", "/pages/{name}/revisions/{number}")
def read_revision(_: Request, name: str, number: str) -> Response:
    row = connect().execute("SELECT body, number FROM revisions WHERE page = ? AND number = ?", (name, number))
    return text(row.fetchone(), "number")


application = wsgi(service)
