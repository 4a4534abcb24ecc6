"""Runs the four applications in this process: python3 -m unittest, from the example's folder."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sqlite3
import tempfile
import tomllib
import unittest
import warnings
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

STATE = tempfile.TemporaryDirectory()
unittest.addModuleCleanup(STATE.cleanup)
os.environ["WIKI_DB"] = f"{STATE.name}/wiki.db"
os.environ["MEDIA_DIR"] = f"{STATE.name}/media"

from audit import compact, service as audit  # noqa: E402  (they read the environment)
from common import database  # noqa: E402
from common.version import VERSION  # noqa: E402
from media import service as media  # noqa: E402
from search import service as search  # noqa: E402
from wiki import service as wiki  # noqa: E402

Answer = "tuple[int, dict[str, str], bytes]"


def over_wsgi(service: Any, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {"SCRIPT_NAME": "", "REQUEST_METHOD": method, "PATH_INFO": path.encode().decode("latin-1")}
    environ |= {"QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    setup_testing_defaults(environ)
    started: list[Any] = []
    chunks = validator(service.application)(environ, lambda *given: started.extend(given))
    content = b"".join(chunks)
    chunks.close()
    return int(started[0].split()[0]), dict(started[1]), content


def over_asgi(service: Any, method: str, path: str) -> Answer:
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(service.application(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"]


class Services(unittest.TestCase):
    def setUp(self) -> None:
        # asyncio.run ends its threads, and the connection of each goes with it
        warnings.filterwarnings("ignore", "unclosed database", ResourceWarning)
        with database.transaction() as db:
            for table in ("pages", "revisions", "attachments", "events"):
                db.execute(f"DELETE FROM {table}")

    def put(self, name: str, text: str, **headers: str) -> Answer:
        return over_wsgi(wiki, "PUT", f"/pages/{name}", text.encode(), **headers)

    def found(self, words: str) -> list[str]:
        status, _, body = over_asgi(search, "GET", f"/search?q={words}")
        self.assertEqual(status, 200)
        return [result["name"] for result in json.loads(body)["results"]]

    def events(self) -> list[tuple[str, str, str]]:
        _, _, body = over_wsgi(audit, "GET", "/events")
        return [(event["actor"], event["action"], event["subject"]) for event in json.loads(body)["events"]]

    def test_every_service_answers_its_health_and_version(self) -> None:
        for name, call, service in [
            ("wiki", over_wsgi, wiki), ("search", over_asgi, search),
            ("media", over_wsgi, media), ("audit", over_wsgi, audit),
        ]:  # fmt: skip
            with self.subTest(name):
                status, _, body = call(service, "GET", "/healthz")
                self.assertEqual((status, json.loads(body)), (200, {"status": "ok", "service": name, "version": VERSION}))
                status, _, body = call(service, "GET", "/version")
                self.assertEqual((status, json.loads(body)), (200, {"service": name, "version": VERSION}))

    def test_the_manifest_has_the_version_of_the_release(self) -> None:
        manifest = tomllib.loads((Path(__file__).parent.parent / "robot.toml").read_text())
        self.assertEqual(manifest["app"]["version"], VERSION)

    def test_a_page_is_read_as_it_was_written(self) -> None:
        self.assertEqual(self.put("Größe", "Ein Meter")[0], 201)
        status, headers, body = over_wsgi(wiki, "GET", "/pages/Größe")
        self.assertEqual((status, headers["ETag"], body), (200, '"1"', b"Ein Meter"))
        self.assertEqual(over_wsgi(wiki, "HEAD", "/pages/Größe")[2], b"")

    def test_an_edit_makes_a_revision_and_guards_against_lost_updates(self) -> None:
        self.put("Home", "one")
        self.assertEqual(self.put("Home", "two", if_match='"1"')[0], 200)
        self.assertEqual(self.put("Home", "lost", if_match='"1"')[0], 412)
        self.assertEqual(over_wsgi(wiki, "GET", "/pages/Home")[2], b"two")
        self.assertEqual(over_wsgi(wiki, "GET", "/pages/Home/revisions/1")[2], b"one")

    def test_search_follows_every_change(self) -> None:
        self.put("Boats", "how to sail against the wind")
        self.assertEqual(self.found("wind+sai"), ["Boats"])
        self.put("Boats", "how to row")
        self.assertEqual((self.found("wind"), self.found("row")), ([], ["Boats"]))
        over_wsgi(wiki, "DELETE", "/pages/Boats")
        self.assertEqual(self.found("row"), [])

    def test_no_query_breaks_the_search(self) -> None:
        self.assertEqual(self.found('"a" OR NEAR(*'), [])
        self.assertEqual(over_asgi(search, "GET", "/search?q=%22*")[0], 400)

    def test_an_attachment_is_kept_until_nothing_refers_to_it(self) -> None:
        self.assertEqual(over_wsgi(media, "PUT", "/attachments/Home/a.bin", b"\0\1")[0], 404)
        self.put("Home", "text")
        self.assertEqual(over_wsgi(media, "PUT", "/attachments/Home/a.bin", b"\0\1")[0], 201)
        self.assertEqual(over_wsgi(media, "GET", "/attachments/Home/a.bin")[2], b"\0\1")
        self.assertIn("0 unused attachments", compact.compact(90))
        self.assertEqual(over_wsgi(media, "DELETE", "/attachments/Home/a.bin")[0], 204)
        self.assertIn("1 unused attachments", compact.compact(90))

    def test_the_audit_log_tells_who_did_what(self) -> None:
        self.put("Home", "one", x_remote_user="ann")
        self.put("Home", "two")
        over_wsgi(media, "PUT", "/attachments/Home/a.bin", b"x")
        self.put("Home", "refused", if_match='"7"')
        self.assertEqual(
            self.events(),
            [("ann", "create", "Home"), ("anonymous", "edit", "Home"), ("anonymous", "attach", "Home/a.bin")],
        )

    def test_the_daily_job_forgets_old_events_only(self) -> None:
        self.put("Old", "text")
        database.connect().execute("UPDATE events SET time = '2001-01-01T00:00:00Z'")
        self.put("New", "text")
        self.assertIn("1 events older than 90 days", compact.compact(90))
        self.assertEqual(self.events(), [("anonymous", "create", "New")])
        self.assertEqual(self.found("text"), ["New", "Old"])

    def test_what_is_wrong_is_said(self) -> None:
        for status, method, path in [
            (404, "GET", "/nothing"), (404, "GET", "/pages/Nothing"), (405, "POST", "/pages"),
            (400, "PUT", "/pages/.hidden"), (400, "GET", "/pages?limit=x"),
        ]:  # fmt: skip
            with self.subTest(f"{method} {path}"):
                answered, _, body = over_wsgi(wiki, method, path)
                self.assertEqual(answered, status)
                self.assertTrue(json.loads(body)["error"])

    def test_a_failed_transaction_leaves_nothing(self) -> None:
        with self.assertRaises(sqlite3.IntegrityError), database.transaction() as db:
            database.record(db, "ann", "create", "Home")
            db.execute("INSERT INTO pages (name) VALUES ('Home')")
        self.assertEqual(self.events(), [])


if __name__ == "__main__":
    unittest.main()
