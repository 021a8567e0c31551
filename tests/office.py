"""Ordinary office traffic for models to learn from: people at work, one nightly batch account, and whatever a test adds.

It shares nothing with detection, and is a function of its seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from xmsec.model.types import Context, Event, Grade, Position, Span

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 3, 2, tzinfo=ZONE)
PEOPLE = 24
BATCH = "batch-archive"


def visit(user: str, time: datetime, number: int, **more: object) -> Context:
    """One request: `path`, `subjects` (a number each), `address`, `status`, `sent` bytes, `level` of the data."""
    fields = {
        "user.id": user,
        "source.ip": str(more.get("address", f"10.1.0.{sum(user.encode()) % 250}")),
        "url.path": str(more.get("path", "/")),
        "http.response.status_code": int(str(more.get("status", 200))),
        "http.response.body.bytes": int(str(more.get("sent", 900))),
    }
    subjects = more.get("subjects", ())
    assert isinstance(subjects, tuple | range)
    spans = tuple(Span("url.path", 0, 1, "CN_RESIDENT_ID", "cn", 1.0, f"⟨CN_RESIDENT_ID:{at:016x}⟩") for at in subjects)
    position = Position("office.web", "p0", number)
    level = more.get("level")
    grade = Grade(level) if isinstance(level, str) else None  # type: ignore[arg-type]  # a test names the level
    moment = time.astimezone(UTC)
    event = Event(f"{number:032x}", moment, moment, position, "office", "office.web", fields)
    return Context(event, spans, grade=grade)


def office(seed: int, days: int, start: datetime = MONDAY) -> Iterator[Context]:
    """Return the events of some days, each day's by person: quiet people, busy people, overtime, home office, mistakes."""
    chance = random.Random(seed)
    number = 0
    for day in range(days):
        midnight = start + timedelta(days=day)
        for at in range(1_500):  # as much every night, from the same machine
            when = midnight + timedelta(hours=2, seconds=chance.uniform(0, 3_500))
            sent = chance.randrange(2_000, 4_000)
            yield visit(BATCH, when, number, path=f"/archive/{at}", subjects=(chance.randrange(1 << 40),), sent=sent)
            number += 1
        for person in range(PEOPLE):
            for context in _day_of(person, midnight, chance, number):
                yield context
                number += 1


def _day_of(person: int, midnight: datetime, chance: random.Random, number: int) -> Iterator[Context]:
    if midnight.weekday() >= 5 and chance.random() > 0.05:
        return
    pace = (2, 6, 15, 30)[person % 4]
    home = chance.random() < 0.06
    late = chance.random() < 0.08
    for hour in (*range(9, 18), *((20, 21) if late else ())):
        for _ in range(round(pace * chance.lognormvariate(0, 0.5))):
            when = midnight + timedelta(hours=hour, seconds=chance.uniform(0, 3_599))
            looks_up = chance.random() < 0.5
            yield visit(
                f"u{person:02}",
                when,
                number,
                path=f"/case/{chance.randrange(300)}" if looks_up else f"/page/{chance.randrange(20)}",
                subjects=(chance.randrange(1 << 40),) if looks_up else (),
                address=f"10.8.0.{person}" if home and hour > 13 else f"10.1.0.{person}",
                status=404 if chance.random() < 0.02 else 200,
                sent=chance.randrange(500, 5_000),
            )
            number += 1
