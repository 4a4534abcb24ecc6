"""The one SQLite database, shared by all services through the state directory.

Two releases may use it at the same moment during an upgrade, so a new schema
version may only add to the previous one.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import Iterator

SCHEMA_VERSION = 1
SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE pages (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
    revision INTEGER NOT NULL, changed TEXT NOT NULL);
CREATE TABLE revisions (
    page TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL,
    author TEXT NOT NULL, changed TEXT NOT NULL, PRIMARY KEY (page, number));
CREATE TABLE attachments (
    page TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    content_type TEXT NOT NULL, changed TEXT NOT NULL, PRIMARY KEY (page, name));
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL,
    actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL);
CREATE INDEX events_by_subject ON events (subject, id);
CREATE INDEX events_by_time ON events (time);
CREATE VIRTUAL TABLE page_index USING fts5 (
    name, body, content='pages', content_rowid='id', tokenize='unicode61 remove_diacritics 2');
CREATE TRIGGER page_added AFTER INSERT ON pages BEGIN
    INSERT INTO page_index (rowid, name, body) VALUES (new.id, new.name, new.body);
END;
CREATE TRIGGER page_removed AFTER DELETE ON pages BEGIN
    INSERT INTO page_index (page_index, rowid, name, body) VALUES ('delete', old.id, old.name, old.body);
END;
CREATE TRIGGER page_changed AFTER UPDATE ON pages BEGIN
    INSERT INTO page_index (page_index, rowid, name, body) VALUES ('delete', old.id, old.name, old.body);
    INSERT INTO page_index (rowid, name, body) VALUES (new.id, new.name, new.body);
END;
PRAGMA user_version = 1;
COMMIT;
"""
NOW = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"

_open = threading.local()


def setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"the environment variable {name} is not set")
    return value


def prepare() -> None:
    """Creates the schema if it is not there; safe when all services start at once."""
    with open(setting("WIKI_DB") + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        db = connect()
        if db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)


def connect() -> sqlite3.Connection:
    """The connection of this thread, in autocommit mode."""
    path = setting("WIKI_DB")
    if getattr(_open, "path", None) != path:
        _open.db = sqlite3.connect(path, timeout=5, isolation_level=None)
        _open.db.row_factory = sqlite3.Row
        _open.db.execute("PRAGMA synchronous = NORMAL")
        _open.path = path
    return _open.db


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A write transaction: committed at the end, rolled back on an exception."""
    db = connect()
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def record(db: sqlite3.Connection, actor: str, action: str, subject: str) -> None:
    """Adds an audit event, in the caller's transaction: both happen, or neither."""
    db.execute(
        f"INSERT INTO events (time, actor, action, subject) VALUES ({NOW}, ?, ?, ?)",
        (actor, action, subject),
    )
