"""Finds pages by the words in them; reads only.

    GET /search?q=WORDS[&limit=N]   pages with all the words, best first; the last may be a beginning
"""

from __future__ import annotations

import re

from common.database import connect
from common.web import Refused, Request, Response, Service, answer, asgi

service = Service("search")


@service.route("GET", "/search")
def search(request: Request) -> Response:
    words = re.findall(r"\w+", request.query.get("q", ""))
    if not words:
        raise Refused(400, "q must hold at least one word")
    rows = connect().execute(
        """SELECT name, snippet(page_index, 1, '[', ']', '…', 12) AS excerpt
        FROM page_index WHERE page_index MATCH ? ORDER BY bm25(page_index, 4.0, 1.0), name LIMIT ?""",
        (" ".join(f'"{word}"' for word in words) + "*", request.number("limit", 20, most=200)),
    )
    return answer({"results": [dict(row) for row in rows]})


application = asgi(service)
