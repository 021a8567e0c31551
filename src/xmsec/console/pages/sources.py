"""Sources and their health: what each stream brought, how fast, what was refused and why, and which have fallen silent."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from xmsec.console.access import EVERY, Permission
from xmsec.console.ask import Ask, Page, View
from xmsec.content.streams import Stream
from xmsec.model.clock import rfc3339
from xmsec.model.ports import Backlog, Flow, Query

ROWS = 50
STORE = "store.sqlite"
OLD = timedelta(seconds=30)  # workers say it every 5 s
SILENCES = 200  # findings that are looked through for the latest of each stream


class Health(msgspec.Struct, frozen=True):
    """What is wrong, a line each; the size of the store's file, None where there is none; free bytes of its disk."""

    problems: Sequence[str]
    store_bytes: int | None
    free_bytes: int


class Source(msgspec.Struct, frozen=True):
    """One stream as the page shows it.

    flow: None where nothing of it is known; rate: records a second, None: not yet known; lag: bytes that this process, or
    messages that workers did not read yet.
    """

    id: str
    stream: Stream | None
    flow: Flow | None
    rate: float | None
    lag: int | None
    silent: bool
    told: str

    @property
    def system(self) -> str:
        """Its system."""
        return self.id.partition(".")[0]

    @property
    def heard(self) -> str:
        """The latest event time."""
        return rfc3339(self.flow.heard) if self.flow and self.flow.heard else ""

    @property
    def received(self) -> str:
        """When the last record came."""
        return rfc3339(self.flow.received) if self.flow and self.flow.received else ""


class Waiting(msgspec.Struct, frozen=True):
    """What a role had not carried of a topic. told: of the partition that was spoken of longest ago; old: no more."""

    role: str
    topic: str
    messages: int
    told: str
    old: bool


def listed(ask: Ask) -> Response:
    """Show all streams that who asks may see, and what is wrong; the house's own health to who may see all systems."""
    health = _health(ask) if EVERY in ask.who.reaches("sources.read") else None
    return ask.page("sources.html", health=health, **figures_of(ask, "sources.read"))


def figures(ask: Ask) -> Response:
    """Show what has become of them since: the page asks by itself."""
    return ask.page("sources_figures.html", **figures_of(ask, "sources.read"))


def figures_of(ask: Ask, permission: Permission) -> Mapping[str, Any]:
    """Return what all streams brought that a permission reaches."""
    reader = ask.reader(permission)
    every, backlogs = ask.house.records.reader().flows(), reader.backlogs()
    rates = ask.house.pace.rates({name: flow.records for name, flow in every.items()})  # of one house, whoever asks first
    flows = {name: flow for name, flow in every.items() if reader.reaches(name)}
    seen = sorted({*filter(reader.reaches, ask.house.records.streams), *flows})
    sources = _sources(ask, seen, flows, rates, _lag(ask, backlogs))
    refused = [(name, *why, total) for name, flow in flows.items() for why, total in flow.refused.items()]
    return {
        "sources": sources,
        "workers": ask.house.records.workers,
        "waiting": _waiting(backlogs, ask.house.now()),
        "refused": sorted(refused, key=lambda one: (-one[-1], one)),
        "heard": sum(one.flow is not None for one in sources),
        "records": sum(one.flow.records for one in sources if one.flow),
        "rate": None if all(one.rate is None for one in sources) else sum(one.rate or 0 for one in sources),
        "silent": sum(one.silent for one in sources),
    }


def _health(ask: Ask) -> Health:
    """Look at the store's file and its disk, and try to write as a commit does."""
    home = ask.house.keep.path.parent
    store = home / STORE
    size = store.stat().st_size if store.exists() else None
    return Health(ask.house.records.problems(), size, shutil.disk_usage(home).free)


def dead(ask: Ask) -> Response:
    """Show the latest records that were refused: where they stand and why, never what they hold."""
    if ask.house.records.workers:
        return ask.page("sources_dead.html", rows=(), next=None, stream="", workers=True)
    stream = ask.request.query_params.get("stream", "")
    where: dict[str, tuple[str, ...]] = {"stream": (stream,)} if stream else {}
    page = ask.reader("sources.read").page(Query("dead", where, limit=ROWS), ask.request.query_params.get("after"))
    part = "sources_dead_rows.html" if ask.partial else "sources_dead.html"
    return ask.page(part, rows=page.rows, next=page.next, stream=stream, workers=False)


def _sources(
    ask: Ask, names: Sequence[str], flows: Mapping[str, Flow], rates: Mapping[str, float] | None, lag: Mapping[str, int]
) -> list[Source]:
    told = _silences(ask)
    sources = []
    for name in names:
        stream, flow = ask.house.records.streams.get(name), flows.get(name)
        silent = _silent(stream, flow, ask.house.now())
        rate = None if rates is None or flow is None else rates.get(name, 0.0)
        sources.append(Source(name, stream, flow, rate, lag.get(name), silent, told.get(name, "")))
    return sorted(sources, key=lambda one: (not one.silent, one.flow is None, one.id))


def _lag(ask: Ask, backlogs: Sequence[Backlog]) -> Mapping[str, int]:
    """Return what was not read yet of each stream, by this process or by workers."""
    lag: dict[str, int] = {}
    for (name, *_), behind in ask.house.records.lag().items():
        lag[name] = lag.get(name, 0) + int(behind)
    for one in backlogs:
        lag[one.stream] = lag.get(one.stream, 0) + one.messages
    return lag


def _waiting(backlogs: Sequence[Backlog], now: datetime) -> Sequence[Waiting]:
    """Add up partitions, those of which nothing was said for the longest time first."""
    by: dict[tuple[str, str], list[Backlog]] = {}
    for one in backlogs:
        by.setdefault((one.role, one.topic), []).append(one)
    found = [(min(one.told for one in some), *key, sum(one.messages for one in some)) for key, some in sorted(by.items())]
    told = [Waiting(role, topic, total, rfc3339(at), now - at > OLD) for at, role, topic, total in found]
    return sorted(told, key=lambda one: not one.old)


def _silences(ask: Ask) -> Mapping[str, str]:
    """Return when each stream was last found silent."""
    found: dict[str, str] = {}
    where: dict[str, tuple[str, ...]] = {"kind": ("silence",), "entity.type": ("stream",)}  # the second has an index
    for row in ask.reader("sources.read").page(Query("findings", where, limit=SILENCES)).rows:
        entity: Any = row["entity"]
        found.setdefault(entity["id"], str(row["time"]))
    return found


def _silent(stream: Stream | None, flow: Flow | None, now: datetime) -> bool:
    """Whether a stream that says how long it may say nothing has said nothing for longer, by the clock on the wall."""
    if stream is None or stream.silence_s is None or flow is None or flow.heard is None:
        return False
    return now - flow.heard > timedelta(seconds=stream.silence_s)


PAGE = Page(
    "sources",
    (
        View("/sources", "sources.read", listed),
        View("/sources/figures", "sources.read", figures, by_itself=True),
        View("/sources/dead", "sources.read", dead),
    ),
    icon="sources",
)
