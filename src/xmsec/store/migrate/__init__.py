"""The store's schema, one numbered file a version; forward only, each in a transaction of its own."""

from __future__ import annotations

import sqlite3
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
            connection.executescript(f"BEGIN IMMEDIATE;\n{statements}\nPRAGMA user_version = {number};\nCOMMIT;")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
