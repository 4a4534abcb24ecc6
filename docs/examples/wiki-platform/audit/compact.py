"""The daily job: forgets old events, frees unused attachments, and compacts the database."""

from __future__ import annotations

import sqlite3

from common import database
from media import blobs


def size(db: sqlite3.Connection) -> int:
    return db.execute("PRAGMA page_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0]


def compact(keep_days: int) -> str:
    database.prepare()
    before = size(database.connect())
    with database.transaction() as db:
        events = db.execute(
            "DELETE FROM events WHERE time < strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)", (f"-{keep_days} days",)
        ).rowcount
        used = {row["digest"] for row in db.execute("SELECT digest FROM attachments")}
        freed = blobs.remove_except(used)
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    removed = f"{events} events older than {keep_days} days and {freed} unused attachments removed"
    return f"{removed}, {before} -> {size(db)} bytes"


if __name__ == "__main__":
    days = database.setting("AUDIT_KEEP_DAYS")
    if not days.isdigit():
        raise SystemExit(f"AUDIT_KEEP_DAYS must be a number of days, not {days!r}")
    print(compact(int(days)))
