"""The store's schema, one numbered file a version; forward only, each in a transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib import resources

from xmsec.model.errors import ConfigError


def versions() -> list[tuple[int, str]]:
    """Return the number and the statements of each version, in order."""
    folder = resources.files(__package__)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.removesuffix(".sql")), folder.joinpath(name).read_text("utf-8")) for name in names]


def migrate(connection: sqlite3.Connection, where: str) -> None:
    """Bring a database to the newest version. Raises ConfigError for one that a newer xmsec wrote."""
    known = versions()
    present = _version(connection)
    if present > known[-1][0]:
        raise ConfigError(
            f"written by a newer xmsec (store version {present}, this one knows {known[-1][0]})",
            where=where,
            remedy="upgrade xmsec, or restore a backup made before",
        )
    for number, statements in known:
        if number > present:
            connection.execute("BEGIN IMMEDIATE")
            try:
                if number > _version(connection):  # another process may have brought it there while this one waited
                    for statement in whole(statements):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number}")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def whole(script: str) -> Iterator[str]:
    """Cut a script where SQLite says that a statement is whole: a trigger holds semicolons of its own."""
    held = ""
    for piece in script.split(";"):
        held += piece + ";"
        if sqlite3.complete_statement(held):
            yield held
            held = ""


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
