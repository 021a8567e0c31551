"""The console over a test's own store, and people and machines to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.routing import Route

from xmsec.console.access import granted
from xmsec.console.app import Desk, Records, desk, house, routes
from xmsec.model.ports import Reader, Table
from xmsec.model.types import Status

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **span: float) -> None:
        self.time += timedelta(**span)


class Untriaged:
    """A Triage for tests that change nothing."""

    def set(self, table: Table, ids: object, status: Status, assignee: str | None = None) -> None:
        raise AssertionError("nothing is triaged here")


def _noon() -> datetime:
    return NOON


@contextmanager
def rooms(
    folder: Path, reader: Callable[[], Reader], clock: Callable[[], datetime] = _noon
) -> Iterator[tuple[Desk, list[Route]]]:
    """Open the console's own file in a folder, and make its routes."""
    kept = desk(folder, clock)
    try:
        yield kept, routes(house(Records(reader, Untriaged(), UTC), kept, clock))
    finally:
        kept.keep.close()


def bearer(kept: Desk, role: str = "viewer", *systems: str) -> str:
    """Return the Authorization header of a new token."""
    name = f"{role}-{len(kept.bearers.every())}"
    return f"Bearer {kept.bearers.add(name, granted(role, systems), 'test')}"
