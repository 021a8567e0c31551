"""The Triage seam of the embedded store, over a connection of its own beside the writer's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from xmsec.model.errors import ServiceError
from xmsec.model.ports import Table
from xmsec.model.types import Status

_SET = (
    "INSERT INTO triage VALUES (?1, ?2, COALESCE(?3, '')) ON CONFLICT (subject) DO UPDATE"
    " SET status = excluded.status, assignee = COALESCE(?3, assignee)"
)


class SqliteTriage:
    """Writes what people say, over the connection of the thread that asks; waits some seconds for the engine's own commit."""

    def __init__(self, connection: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connection

    def set(self, table: Table, ids: Sequence[str], status: Status, assignee: str | None = None) -> None:
        """Give records a status, all or none. Raises ServiceError."""
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_SET, [(one, status, assignee) for one in ids])
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise ServiceError(f"the store cannot be written: {error}", where="store", remedy="check the disk") from error
