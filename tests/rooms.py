"""The console over a test's own store, and people and machines to ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.routing import Route
from tests.contract.every_store import Sqlite, outcomes
from tests.ledgers import about

from xmsec.console.access import granted
from xmsec.console.app import Desk, desk, house, routes
from xmsec.console.given import Records
from xmsec.model.ports import Acts, Reader
from xmsec.respond.connectors import every_connector
from xmsec.respond.playbook import Playbook, load_playbooks
from xmsec.runtime.approval import Means
from xmsec.runtime.cases import told_of
from xmsec.store.acts import SqliteActs
from xmsec.store.read import SqliteReader
from xmsec.store.readers import Connections
from xmsec.store.runs import Runs

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **span: float) -> None:
        self.time += timedelta(**span)


def _noon() -> datetime:
    return NOON


@contextmanager
def rooms(
    folder: Path,
    reader: Callable[[], Reader],
    clock: Callable[[], datetime] = _noon,
    answers: tuple[Acts, Means] | None = None,
) -> Iterator[tuple[Desk, list[Route]]]:
    """Open the console's own file in a folder, and make its routes."""
    kept, connections = desk(folder, clock), Connections(folder / "store.sqlite")
    try:
        workers = not (folder / "store.sqlite").exists()  # over Elasticsearch others carry records
        facts = {**about(folder, reader), "workers": workers}
        records = Records(reader, *(answers or answering(connections, clock)), UTC, **facts)
        yield kept, routes(house(records, kept, clock))
    finally:
        connections.close()
        kept.keep.close()


@contextmanager
def furnished(folder: Path, clock: Clock) -> Iterator[tuple[Sqlite, Connections, Desk]]:
    """Open a store with what the toys found in it, connections beside its own, and the console's own file."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(Sqlite(folder)))
        store.commit(outcomes(60))
        connections = stack.enter_context(closing(Connections(folder / "store.sqlite")))
        kept = desk(folder, clock)
        stack.callback(kept.keep.close)
        yield store, connections, kept


def playbooks(*content: Path) -> dict[str, Playbook]:
    """Load what is shipped, and what a test's own content replaces of it."""
    return load_playbooks([Path(__file__).parents[1], *content])[0]


def answering(connections: Connections, now: Callable[[], datetime], *content: Path) -> tuple[SqliteActs, Means]:
    """Return where decisions on a test's store are recorded, and what incidents are answered with: the shipped playbook."""
    runs = Runs(connections.mine, now)
    means = Means(playbooks(*content), runs, every_connector(), lambda one: told_of(SqliteReader(connections.mine()), one))
    return SqliteActs(connections.mine), means


def bearer(kept: Desk, role: str = "viewer", *systems: str) -> str:
    """Return the Authorization header of a new token."""
    name = f"{role}-{len(kept.bearers.every())}"
    return f"Bearer {kept.bearers.add(name, granted(role, systems), 'test')}"
