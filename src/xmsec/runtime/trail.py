"""Who touched a subject's data, and what an actor touched: over recordings and findings, wherever they lie.

`answer` leaves a record of who asked and why; `runtime/trails.py` brings what it is asked over.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from xmsec.detect.entity import KIND_BY_FIELD, default_keys
from xmsec.model.clock import EPOCH, from_rfc3339, rfc3339
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Query, Reader
from xmsec.model.types import UNIT_SEPARATOR, Context, Entity, Event, Key, Span
from xmsec.store.archive import Archive
from xmsec.store.inquiries import Inquiries
from xmsec.store.search import Effort, Tokened, Wanted, never, search

EVENTS = 5  # ids that a line shows, the earliest
ASKED = 200  # entities whose findings are asked for at once
PAGE_ROWS = 500
WITHOUT = "-"  # a dataset that an event does not name


class Asked(msgspec.Struct, frozen=True):
    """A subject's tokens (one a key's epoch), or an actor's name; of event time in [start, end)."""

    of: Literal["subject", "actor"]
    names: tuple[str, ...]
    start: datetime | None = None
    end: datetime | None = None

    @property
    def wanted(self) -> Wanted:
        """What is looked for in recordings."""
        return Wanted(self.names, "spans" if self.of == "subject" else "fields", self.start, self.end)


class Touch(msgspec.Struct, frozen=True):
    """Events of one actor on one dataset by one action. subjects: how many distinct tokens they hold; events: the earliest."""

    actor: Entity
    dataset: str
    action: str
    system: str
    stream: str
    count: int
    subjects: int
    first_seen: datetime
    time: datetime
    events: tuple[str, ...]


class Trail(msgspec.Struct, frozen=True):
    """The answer. touches: by their first event; findings: rows, by time; files, groups, read: what it took.

    events: how many were found; cut: whether there may be more, because the search ended before it had seen all.
    """

    touches: Sequence[Touch]
    findings: Sequence[Mapping[str, Any]]
    files: int
    groups: int
    read: int
    events: int = 0
    cut: bool = False


class Seen(msgspec.Struct, frozen=True):
    """Where recordings lie, what of them is still open, and who knows the findings.

    systems: whose events are told, None: of all; most: events, and findings, that are taken in; enough: whether to end.
    """

    places: Sequence[Archive]
    reader: Reader | None = None
    open: Iterable[Tokened] = ()
    systems: frozenset[str] | None = None
    most: int | None = None
    enough: Callable[[], bool] = never


class Why(msgspec.Struct, frozen=True):
    """Who asks, and the reason that goes on record."""

    by: str
    reason: str


def answer(inquiries: Inquiries, why: Why, asked: Asked, seen: Seen, now: Callable[[], datetime]) -> Trail:
    """Follow a subject or an actor, and record who asked and why: before anything is read, and what was answered after.

    Raises ConfigError without a reason, PolicyError when the record was altered.
    """
    if not why.reason.strip():
        raise ConfigError("a trail is not followed without a reason", where=asked.of, remedy="say why: --reason")
    about = {"of": asked.of, "names": " ".join(asked.names), "reason": why.reason.strip()}
    bounds = {"from": asked.start, "to": asked.end}
    about |= {name: rfc3339(moment) for name, moment in bounds.items() if moment is not None}
    number = inquiries.append("asked", why.by, about, now()).number
    found = trail(asked, seen)
    told = {"asked": str(number), "touches": str(len(found.touches)), "findings": str(len(found.findings))}
    inquiries.append("answered", why.by, told, now())
    return found


def trail(asked: Asked, seen: Seen) -> Trail:
    """Follow a subject or an actor. Raises ServiceError when a place or the findings' store does not answer."""
    effort, gathered = Effort(seen.enough), _Gathered()
    for event, spans in _events(asked, seen, effort):
        if len(gathered.ids) == seen.most:
            effort.cut = True
            break
        if _concerns(asked, event, spans) and (seen.systems is None or event.system in seen.systems):
            gathered.add(event, spans)
    touches = gathered.touches()
    findings = [] if seen.reader is None else _findings(asked, touches, gathered.ids, seen, effort)
    return Trail(touches, findings, effort.files, effort.groups, effort.read, len(gathered.ids), effort.cut)


def _events(asked: Asked, seen: Seen, effort: Effort) -> Iterator[Tokened]:
    yield from (row for row in seen.open if asked.wanted.within(row[0].time))
    for archive in seen.places:
        yield from search(archive, asked.wanted, effort)


def _concerns(asked: Asked, event: Event, spans: Sequence[Span]) -> bool:
    """Whether an event is about it: a text may hold another's name, or a part of one."""
    if asked.of == "subject":
        return any(span.token in asked.names for span in spans)
    return any(str(event.fields.get(field)) in asked.names for field in KIND_BY_FIELD if field in event.fields)


class _Fold:
    """What is kept of the events of one line."""

    def __init__(self) -> None:
        self.count = 0
        self.last = EPOCH
        self.first: list[tuple[datetime, str]] = []
        self.subjects: set[str] = set()

    def add(self, event: Event, spans: Sequence[Span]) -> None:
        """Take in an event."""
        self.count += 1
        self.last = max(self.last, event.time)
        insort(self.first, (event.time, event.id))
        del self.first[EVENTS:]
        self.subjects.update(span.token for span in spans)


class _Gathered:
    """Folds events, each once however often it is recorded."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self._folds: dict[tuple[Key, str, str, str, str], _Fold] = {}

    def add(self, event: Event, spans: Sequence[Span]) -> None:
        """Take in an event."""
        if event.id in self.ids:
            return
        self.ids.add(event.id)
        (actor, *_) = default_keys(Context(event, tuple(spans)))
        action = str(event.fields.get("event.action") or event.fields.get("http.request.method") or "")
        for dataset in event.datasets or (WITHOUT,):
            key = (actor, dataset, action, event.system, event.stream)
            self._folds.setdefault(key, _Fold()).add(event, spans)

    def touches(self) -> list[Touch]:
        """Return what was gathered, by the first event."""
        found = [
            Touch(
                actor=Entity(actor.kind, actor.value),
                dataset=dataset,
                action=action,
                system=system,
                stream=stream,
                count=fold.count,
                subjects=len(fold.subjects),
                first_seen=fold.first[0][0],
                time=fold.last,
                events=tuple(event for _, event in fold.first),
            )
            for (actor, dataset, action, system, stream), fold in self._folds.items()
        ]
        return sorted(found, key=lambda one: (one.first_seen, one.actor, one.dataset, one.action, one.stream))


def _findings(asked: Asked, touches: Sequence[Touch], ids: set[str], seen: Seen, effort: Effort) -> list[Mapping[str, Any]]:
    """Return the findings about it: of an actor all, of a subject those of who touched it that rest on it."""
    datasets = sorted({one.dataset for one in touches})
    actors = sorted({one.actor.id for one in touches}) if asked.of == "subject" else list(asked.names)
    entities = [*asked.names, *actors, *(UNIT_SEPARATOR.join((actor, dataset)) for actor in actors for dataset in datasets)]
    found: dict[str, Mapping[str, Any]] = {}
    assert seen.reader is not None
    inside = asked.wanted.within
    for number, row in enumerate(_rows(seen.reader, list(dict.fromkeys(entities)))):
        if number == seen.most or effort.spent():
            effort.cut = True
            break
        if _rests(asked, row, ids) and (inside(_time(row["first_seen"])) or inside(_time(row["time"]))):
            found[row["id"]] = row
    return sorted(found.values(), key=lambda row: (row["time"], row["id"]))


def _rests(asked: Asked, row: Mapping[str, Any], ids: set[str]) -> bool:
    if asked.of == "actor" or row["entity"]["id"] in asked.names:
        return True
    written = msgspec.json.encode(row["evidence"]).decode()
    return bool(ids & set(row["events"])) or any(name in written for name in asked.names)


def _rows(reader: Reader, entities: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    for start in range(0, len(entities), ASKED):
        query = Query("findings", {"entity.id": tuple(entities[start : start + ASKED])}, "time", PAGE_ROWS)
        after = None
        while True:
            page = reader.page(query, after)
            yield from page.rows
            after = page.next
            if after is None:
                break


def _time(text: Any) -> datetime:
    return text if isinstance(text, datetime) else from_rfc3339(text)
