"""The console put together: what its pages share, and their routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import msgspec
from starlette.routing import Route

from xmsec.console.ask import Flows, House, Lag, Why, unexplained, unknown, unwritten
from xmsec.console.audit import Audit
from xmsec.console.guard import guarded
from xmsec.console.keep import FILE, Keep
from xmsec.console.limits import Limits
from xmsec.console.live import Live
from xmsec.console.pace import Pace
from xmsec.console.pages.table import PAGES
from xmsec.console.rates import PER_MINUTE, Rates
from xmsec.console.render import Renderer, assets
from xmsec.console.sessions import Bearers, Links, Sessions
from xmsec.console.texts import catalogue
from xmsec.console.users import Users
from xmsec.content.streams import Stream
from xmsec.ledger.book import Book
from xmsec.model.ports import Acts, Reader
from xmsec.runtime.approval import Means
from xmsec.runtime.exceptions import Shelf
from xmsec.runtime.ledgers import Ledgers
from xmsec.runtime.trails import Trails


class Records(msgspec.Struct, frozen=True):
    """What the console shows and changes.

    reader: opens what is read from, once a request; acts: where decisions on incidents are recorded; means: what they are
    answered with; zone: of the times shown; streams: of the content; flows: what they brought, None where nobody counts; lag:
    (stream, partition) → bytes that were not read yet; exceptions: where they lie, None: none are made here;
    book: the ledger, as it is now; why: reasons of a grade; problems: why the deployment is not ready, or not whole, a line
    each; trails: what they are followed over, None: none are; ledgers: how the ledger is reviewed, None: it is not.
    """

    reader: Callable[[], Reader]
    acts: Acts
    means: Means
    zone: tzinfo
    streams: Mapping[str, Stream] = {}
    flows: Flows = unknown
    lag: Lag = dict
    exceptions: Shelf | None = None
    book: Callable[[], Book] = unwritten
    why: Why = unexplained
    problems: Callable[[], Sequence[str]] = tuple
    trails: Trails | None = None
    ledgers: Ledgers | None = None


class Desk(msgspec.Struct, frozen=True):
    """The console's own records, as `xmsec user` works with them too."""

    keep: Keep
    audit: Audit
    users: Users
    sessions: Sessions
    links: Links
    bearers: Bearers
    limits: Limits


def desk(home: Path, now: Callable[[], datetime]) -> Desk:
    """Open the console's own file in a home. Raises ConfigError."""
    keep = Keep(home / FILE)
    audit = Audit(keep, now)
    users = Users(keep, audit, now)
    return Desk(keep, audit, users, Sessions(keep, users, now), Links(keep, now), Bearers(keep, audit, now), Limits(keep, now))


def house(
    records: Records,
    kept: Desk,
    now: Callable[[], datetime],
    hosts: frozenset[str] = frozenset(),
    per_minute: int = PER_MINUTE,
) -> House:
    """Put together what all pages share.

    hosts: names beside `localhost` and addresses under which it is asked for; per_minute: requests of one machine.
    """
    return House(
        reader=records.reader,
        acts=records.acts,
        means=records.means,
        keep=kept.keep,
        users=kept.users,
        sessions=kept.sessions,
        links=kept.links,
        bearers=kept.bearers,
        limits=kept.limits,
        rates=Rates(now, per_minute),
        audit=kept.audit,
        texts=catalogue(),
        render=Renderer(PAGES, assets()),
        live=Live(records.reader),
        now=now,
        zone=records.zone,
        streams=records.streams,
        flows=records.flows,
        lag=records.lag,
        exceptions=records.exceptions,
        book=records.book,
        trails=records.trails,
        ledgers=records.ledgers,
        why=records.why,
        problems=records.problems,
        pace=Pace(now),
        hosts=hosts,
    )


def routes(shared: House) -> list[Route]:
    """Make the routes of all pages. Raises ConfigError for one without a permission."""
    return guarded(shared, (view for page in PAGES for view in page.views))
