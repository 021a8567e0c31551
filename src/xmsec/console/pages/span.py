"""The span of time that the situation looks at: it ends now, or, where nothing was found within it, with what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from xmsec.console.ask import Ask
from xmsec.console.pages.filters import Filter
from xmsec.console.scoped import Scoped
from xmsec.model.clock import from_rfc3339
from xmsec.model.ports import Query

UNRESOLVED = ("new", "acknowledged")
SPANS: Mapping[str, tuple[timedelta, timedelta]] = {  # name → how long, and a step of it
    "day": (timedelta(hours=24), timedelta(hours=1)),
    "week": (timedelta(days=7), timedelta(hours=6)),
    "month": (timedelta(days=30), timedelta(days=1)),
}


class Span(msgspec.Struct, frozen=True):
    """What the page looks at: [since, until), in steps. past: it ends with what was found, not now."""

    name: str
    since: datetime
    until: datetime
    step: timedelta
    past: bool

    @property
    def steps(self) -> Sequence[datetime]:
        """The beginning of each step."""
        return [self.since + self.step * number for number in range((self.until - self.since) // self.step)]

    def query(self, **where: tuple[str, ...]) -> Query:
        """Ask for the findings within."""
        return Query("findings", dict(where), since=self.since, until=self.until)

    def link(self, **where: str) -> str:
        """Return the list of findings behind a figure."""
        return f"/findings?{Filter({name: (value,) for name, value in where.items()}, '', self.since, self.until).encoded}"


def asked_for(ask: Ask, reader: Scoped) -> Span:
    """Read the span from the address."""
    name = ask.request.query_params.get("span", "week")
    name = name if name in SPANS else "week"
    whole, step = SPANS[name]
    now, past = ask.house.now(), False
    latest = reader.page(Query("findings", limit=1)).rows
    if latest and (last := from_rfc3339(latest[0]["time"])) < now - whole:
        now, past = last, True
    midnight = now.astimezone(ask.house.records.zone).replace(hour=0, minute=0, second=0, microsecond=0)
    until = midnight + ((now - midnight) // step + 1) * step
    return Span(name, until - whole, until, step, past)
