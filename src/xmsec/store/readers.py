"""A connection a thread, so that no request waits for another one's query."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Lock, local

from xmsec.store.sqlite import connect


class Connections:
    """Opens connections where they are asked for, and closes all of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._all: list[sqlite3.Connection] = []
        self._local = local()

    def mine(self) -> sqlite3.Connection:
        """Return this thread's connection. Raises ConfigError."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = connect(self._path)
            with self._lock:
                self._all.append(found)
        return found

    def close(self) -> None:
        """Close what was opened, when nobody asks any more."""
        with self._lock:
            for one in self._all:
                one.close()
            self._all.clear()
