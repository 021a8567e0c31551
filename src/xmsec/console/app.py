"""The console put together: what its pages share, and their routes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from starlette.routing import Route

from xmsec.console.ask import House
from xmsec.console.audit import Audit
from xmsec.console.federation import Federation
from xmsec.console.given import Records
from xmsec.console.guard import guarded
from xmsec.console.issuer import Issuer
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
    issuer: Issuer | None = None,
) -> House:
    """Put together what all pages share.

    hosts: names beside `localhost` and addresses under which it is asked for; per_minute: requests of one machine;
    issuer: by which people may sign in, too.
    """
    return House(
        records=records,
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
        pace=Pace(now),
        hosts=hosts,
        federation=None if issuer is None else Federation(kept.keep, kept.users, issuer, now),
    )


def routes(shared: House) -> list[Route]:
    """Make the routes of all pages. Raises ConfigError for one without a permission."""
    return guarded(shared, (view for page in PAGES for view in page.views))
