"""Keeps attachments: what they are in the database, their bytes in files named by digest.

    GET    /attachments/PAGE        what is attached to the page
    GET    /attachments/PAGE/NAME   the bytes
    PUT    /attachments/PAGE/NAME   attaches the body of the request
    DELETE /attachments/PAGE/NAME   detaches; the daily job frees bytes that nothing refers to
"""

from __future__ import annotations

import hashlib
import re

from common.database import NOW, connect, record, transaction
from common.web import Refused, Request, Response, Service, answer, valid_name, wsgi
from media import blobs

service = Service("media")


@service.route("GET", "/attachments/{page}")
def list_attachments(_: Request, page: str) -> Response:
    rows = connect().execute(
        "SELECT name, digest, size, content_type, changed FROM attachments WHERE page = ? ORDER BY name", (page,)
    )
    return answer({"attachments": [dict(row) for row in rows]})


@service.route("GET", "/attachments/{page}/{name}")
def read_attachment(_: Request, page: str, name: str) -> Response:
    row = connect().execute(
        "SELECT digest, content_type FROM attachments WHERE page = ? AND name = ?", (page, name)
    ).fetchone()
    if row is None:
        raise Refused(404, "attachment not found")
    headers = {"ETag": f'"{row["digest"]}"', "Content-Disposition": "attachment"}
    return Response(200, blobs.path(row["digest"]).read_bytes(), row["content_type"], headers)


@service.route("PUT", "/attachments/{page}/{name}")
def write_attachment(request: Request, page: str, name: str) -> Response:
    valid_name(name)
    digest = hashlib.sha256(request.body).hexdigest()
    given = request.headers.get("content-type", "")
    content_type = given if re.fullmatch(r"[\w.+-]+/[\w.+-]+", given) else "application/octet-stream"
    with transaction() as db:
        if not db.execute("SELECT 1 FROM pages WHERE name = ?", (page,)).fetchone():
            raise Refused(404, "page to attach to not found")
        blobs.store(digest, request.body)
        db.execute(
            f"""INSERT OR REPLACE INTO attachments (page, name, digest, size, content_type, changed)
            VALUES (?, ?, ?, ?, ?, {NOW})""",
            (page, name, digest, len(request.body), content_type),
        )
        record(db, request.actor, "attach", f"{page}/{name}")
    return answer({"page": page, "name": name, "digest": digest, "size": len(request.body)}, 201)


@service.route("DELETE", "/attachments/{page}/{name}")
def delete_attachment(request: Request, page: str, name: str) -> Response:
    with transaction() as db:
        if not db.execute("DELETE FROM attachments WHERE page = ? AND name = ?", (page, name)).rowcount:
            raise Refused(404, "attachment not found")
        record(db, request.actor, "detach", f"{page}/{name}")
    return Response(204)


application = wsgi(service)
