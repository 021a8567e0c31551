"""What the console itself keeps, in a file of its own: people, sessions, tokens, links, saved views, refusals, the audit trail.

Apart from the engine's store, so that a deployment over Elasticsearch has the same, no index ever holds a password's hash, and
a commit of the engine never waits for a login. Secrets lie as SHA-256 of 256 random bits, passwords as argon2id.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from xmsec.model.errors import ConfigError
from xmsec.store.migrate import whole

FILE = "console.sqlite"
_SCHEMA = """
CREATE TABLE users (
    name TEXT PRIMARY KEY, password TEXT NOT NULL, language TEXT NOT NULL, theme TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0, created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE grants (
    name TEXT NOT NULL, role TEXT NOT NULL, systems TEXT NOT NULL, PRIMARY KEY (name, role)
) WITHOUT ROWID;
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY, name TEXT NOT NULL, csrf TEXT NOT NULL, created TEXT NOT NULL, seen TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tokens (
    hash TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, systems TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0, created TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE links (hash TEXT PRIMARY KEY, kind TEXT NOT NULL, expires TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (key TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX failures_by_key ON failures (key, at);
CREATE TABLE views (
    owner TEXT NOT NULL, page TEXT NOT NULL, name TEXT NOT NULL, query TEXT NOT NULL, PRIMARY KEY (owner, page, name)
) WITHOUT ROWID;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, by TEXT NOT NULL, what TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""
_ADMINISTRATION = """
ALTER TABLE tokens ADD COLUMN used TEXT NOT NULL DEFAULT '';
CREATE INDEX audit_by_kind ON audit (kind, number);
CREATE INDEX audit_by_person ON audit (by, number);
CREATE INDEX audit_by_subject ON audit (what, number);
CREATE INDEX audit_by_time ON audit (at);
"""
_ANSWERS = """
CREATE TABLE answers (
    owner TEXT NOT NULL, key TEXT NOT NULL, asked TEXT NOT NULL, status INTEGER NOT NULL, etag TEXT NOT NULL,
    body BLOB NOT NULL, expires TEXT NOT NULL, PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX answers_by_end ON answers (expires);
"""
_REVIEW = """
CREATE TABLE refused_labels (
    dataset TEXT NOT NULL, field TEXT NOT NULL, type TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (dataset, field, type)
) WITHOUT ROWID;
"""
_FEDERATION = """
CREATE TABLE departures (
    state TEXT PRIMARY KEY, browser TEXT NOT NULL, callback TEXT NOT NULL, following TEXT NOT NULL, expires TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX departures_by_end ON departures (expires);
CREATE TABLE federated (
    issuer TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL UNIQUE, PRIMARY KEY (issuer, subject)
) WITHOUT ROWID;
"""
_VERSIONS = (_SCHEMA, _ADMINISTRATION, _ANSWERS, _REVIEW, _FEDERATION)  # what each version adds; forward only


class Keep:
    """One connection, one thread at a time; other processes (`xmsec user`) write beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        try:
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._begin()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"cannot be opened ({error})", where=str(path), remedy="check path, permission and disk"
            ) from error

    def _begin(self) -> None:
        with self.writing() as connection:
            (present,) = connection.execute("PRAGMA user_version").fetchone()
            if present > len(_VERSIONS):
                raise ConfigError("written by a newer xmsec", where=str(self.path), remedy="upgrade xmsec")
            for script in _VERSIONS[present:]:
                for statement in whole(script):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(_VERSIONS)}")

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection alone."""
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction that is committed at the end, or undone when an error leaves it; inner ones join the outer one."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
