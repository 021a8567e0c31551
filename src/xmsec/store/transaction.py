"""A transaction on the embedded store: committed at its end, or undone when an error leaves it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from xmsec.model.errors import ServiceError


@contextmanager
def transaction(connection: sqlite3.Connection, where: str = "store") -> Iterator[sqlite3.Connection]:
    """Hold a transaction; waits some seconds for another writer. Raises ServiceError."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise ServiceError(f"the store cannot be written: {error}", where=where, remedy="check the disk") from error
