"""The console as commands serve it: over the embedded store or Elasticsearch, and the links that a terminal prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from xmsec.cli.settings import Settings
    from xmsec.console.app import Desk
    from xmsec.console.given import Lag, Records
    from xmsec.console.issuer import Issuer
    from xmsec.console.live import Live
    from xmsec.content.streams import Stream
    from xmsec.ledger.book import Book
    from xmsec.model.ports import Observer, Reader
    from xmsec.respond.drive import Runs
    from xmsec.runtime.approval import Means
    from xmsec.runtime.exceptions import Shelf
    from xmsec.runtime.ledgers import Ledgers
    from xmsec.runtime.reasons import Newest, Reasons
    from xmsec.runtime.service import Problems
    from xmsec.runtime.trails import Trails

LINK = timedelta(hours=24)  # how long a printed link works, unless it was used or another was printed


class Rooms(msgspec.Struct, frozen=True):
    """The routes of the console, and what belongs to them while it is served."""

    routes: Sequence[BaseRoute]
    desk: Desk
    live: Live

    @contextmanager
    def open(self) -> Iterator[None]:
        """Tell open pages to close before the server waits for them."""
        try:
            yield
        finally:
            self.live.end()

    def invitation(self, url: str) -> str | None:
        """Return the one-time link by which the first administrator is made; None when there are people already."""
        if self.desk.users.every():
            return None
        return f"{url}/welcome/{self.desk.links.make('first-admin', LINK)}"

    def entrance(self, url: str) -> str:
        """Return a one-time link that signs a browser in as the first person, who is made where there is none."""
        from xmsec.console.access import Grant
        from xmsec.console.secret import made

        if not self.desk.users.every():
            self.desk.users.add("demo", made(), [Grant("admin")], "demo")
        return f"{url}/enter/{self.desk.links.make('sign-in', LINK)}"


@contextmanager
def desk_of(home: Path) -> Iterator[Desk]:
    """Open what the console keeps of people. Raises ConfigError."""
    from xmsec.cli.home import now
    from xmsec.console.app import desk
    from xmsec.model.errors import ConfigError

    if not home.is_dir():
        raise ConfigError("no such home", where=str(home), remedy="run xmsec demo, run or console first, or name --home")
    kept = desk(home, now)
    try:
        yield kept
    finally:
        kept.keep.close()


def streams_of(given: Settings) -> Mapping[str, Stream]:
    """Load the streams of the content; what is wrong with others is said where the road is assembled."""
    from xmsec.cli.home import content_dirs
    from xmsec.content.streams import load_streams

    return load_streams(content_dirs(given))[0]


def means_of(given: Settings, runs: Runs, reader: Callable[[], Reader]) -> Means:
    """Load what incidents are answered with; what is wrong with a playbook is said where the road is assembled."""
    from xmsec.cli.home import content_dirs
    from xmsec.respond.connectors import every_connector
    from xmsec.respond.playbook import load_playbooks
    from xmsec.runtime.approval import Means
    from xmsec.runtime.cases import told_of

    playbooks = load_playbooks(content_dirs(given))[0]
    return Means(playbooks, runs, every_connector(), lambda incident: told_of(reader(), incident))


def reasons_of(given: Settings, book: Callable[[], Book]) -> Reasons:
    """Load what grades findings."""
    from xmsec.cli.home import content_dirs
    from xmsec.content.classifiers import load_classifiers
    from xmsec.runtime.reasons import Reasons

    return Reasons(load_classifiers(content_dirs(given))[0].grades, book)


def ledgers_of(given: Settings, book: Newest, observer: Callable[[], Observer]) -> Ledgers:
    """Return how a home's ledger is reviewed."""
    from xmsec.cli.home import content_dirs
    from xmsec.content.classifiers import load_classifiers
    from xmsec.runtime.ledgers import Ledgers

    return Ledgers(given.home, book, load_classifiers(content_dirs(given))[0].grades, observer)


def shelf_of(given: Settings) -> Shelf:
    """Return where a home's exceptions lie."""
    from xmsec.cli.home import content_dirs
    from xmsec.runtime.exceptions import Shelf

    return Shelf(content_dirs(given), given.home)


def uncommitted() -> None:
    """Say that no recording of this home's own is open."""


def trails_of(given: Settings, committed: Callable[[], str | None] = uncommitted) -> Trails:
    """Return what trails are followed over. committed: how far the home's own recording was written."""
    from xmsec.cli.home import content_dirs, key_of
    from xmsec.runtime.trails import Trails

    return Trails(given.home, given.shelf, content_dirs(given), lambda: key_of(given, create=False), committed)


def issuer_of(given: Settings) -> Issuer | None:
    """Read by whom people may sign in, too; nothing is asked of it. Raises ConfigError."""
    import tomllib
    from importlib.util import find_spec

    from xmsec.cli.home import now
    from xmsec.cli.secret import secret
    from xmsec.console.issuer import Issuer
    from xmsec.console.oidc import declared
    from xmsec.model.errors import ConfigError
    from xmsec.notify.http import context
    from xmsec.notify.target import Target

    path = given.oidc
    if path is None:
        return None
    if find_spec("joserfc") is None:
        raise ConfigError("joserfc is not installed", where=f"XMSEC_OIDC={path}", remedy="pip install 'xmsec[oidc]'")
    try:
        body = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("cannot be read", where=f"XMSEC_OIDC={path}", remedy="check path and permission") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", where=str(path), remedy="see docs/sso.md") from None
    found = declared(body, str(path))
    context(Target(found.issuer, ca=found.ca))  # a CA that cannot be read is said now, not at the first sign-in
    file = Path(found.client_secret_file) if found.client_secret_file else None
    return Issuer(found, secret(None, file, "client_secret"), now)


@contextmanager
def rooms(given: Settings, records: Records) -> Iterator[Rooms]:
    """Put the console together over what it shows."""
    from xmsec.cli.home import now
    from xmsec.console.app import house, routes

    with desk_of(given.home) as kept:
        shared = house(records, kept, now, frozenset(given.public_hosts), given.api_per_minute, issuer_of(given))
        yield Rooms(routes(shared), kept, shared.live)


@contextmanager
def embedded_rooms(given: Settings, lag: Lag = dict, problems: Problems = tuple) -> Iterator[Rooms]:
    """Put the console together over a home's store, with connections beside the writer's.

    lag: bytes not read yet; problems: what is wrong, a line each.
    """
    from xmsec.cli.home import now
    from xmsec.console.given import Records
    from xmsec.runtime.reasons import Newest
    from xmsec.store.acts import SqliteActs
    from xmsec.store.figures import recorded
    from xmsec.store.lock import PLAYBOOKS, HomeLock
    from xmsec.store.read import SqliteReader
    from xmsec.store.readers import Connections
    from xmsec.store.runs import Runs as SqliteRuns

    connections = Connections(given.store_path)

    def reader() -> SqliteReader:
        return SqliteReader(connections.mine())

    book = Newest(given.home)
    runs = SqliteRuns(connections.mine, now, lambda: HomeLock(given.home, PLAYBOOKS))
    try:
        records = Records(
            reader,
            SqliteActs(connections.mine),
            means_of(given, runs, reader),
            given.zone,
            streams_of(given),
            lag,
            exceptions=shelf_of(given),
            book=book,
            why=reasons_of(given, book),
            problems=problems,
            trails=trails_of(given, lambda: recorded(connections.mine())),
            ledgers=ledgers_of(given, book, reader),
        )
        with rooms(given, records) as made:
            yield made
    finally:
        connections.close()
