"""What changed in an embedded store, to follow with a cursor: each finding once, at the place of its last change.

Places are committed with the findings themselves, so that a cursor misses nothing that was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import RLock
from typing import Protocol

import msgspec

from xmsec.model.types import Finding
from xmsec.store.sqlite import connect

Placed = tuple[int, Finding]


class Feed(Protocol):
    """Findings by the place of their last change."""

    def head(self) -> int:
        """Return the last place there is."""
        ...

    def after(self, place: int, limit: int) -> Sequence[Placed]:
        """Return what changed after a place, in order."""
        ...

    def behind(self, place: int) -> int:
        """Return how many findings changed after a place."""
        ...


class StoreFeed:
    """Over a connection of its own; threads take turns."""

    def __init__(self, path: Path) -> None:
        self._connection, self._turn = connect(path), RLock()

    def close(self) -> None:
        """Give the file back."""
        with self._turn:
            self._connection.close()

    def head(self) -> int:
        """Return the last place there is."""
        return self._number("SELECT coalesce(max(seq), 0) FROM changes")

    def after(self, place: int, limit: int) -> Sequence[Placed]:
        """Return what changed after a place, in order."""
        query = "SELECT c.seq, f.body FROM changes c JOIN findings f ON f.id = c.finding WHERE c.seq > ? ORDER BY c.seq LIMIT ?"
        with self._turn:
            rows = self._connection.execute(query, (place, limit)).fetchall()
        return [(seq, msgspec.json.decode(body, type=Finding)) for seq, body in rows]

    def behind(self, place: int) -> int:
        """Return how many findings changed after a place."""
        return self._number("SELECT count(*) FROM changes WHERE seq > ?", place)

    def _number(self, query: str, *values: int) -> int:
        with self._turn:
            return int(self._connection.execute(query, values).fetchone()[0])
