"""Shows who changed what; the services that change something write the events.

    GET /events[?after=ID][&limit=N][&subject=PAGE]   events in order, oldest first
    GET /summary                                      how many events of each kind, and since when
"""

from __future__ import annotations

from common.database import connect
from common.web import Request, Response, Service, answer, wsgi

service = Service("audit")


@service.route("GET", "/events")
def list_events(request: Request) -> Response:
    subject = request.query.get("subject")
    rows = connect().execute(
        """SELECT id, time, actor, action, subject FROM events
        WHERE id > ? AND (? IS NULL OR subject = ?) ORDER BY id LIMIT ?""",
        (request.number("after", 0, most=2**62), subject, subject, request.number("limit", 100, most=1000)),
    )
    return answer({"events": [dict(row) for row in rows]})


@service.route("GET", "/summary")
def summary(_: Request) -> Response:
    rows = connect().execute("SELECT action, count(*) AS count, min(time) AS since FROM events GROUP BY action")
    return answer({"actions": {row["action"]: {"count": row["count"], "since": row["since"]} for row in rows}})


application = wsgi(service)
