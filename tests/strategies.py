"""Generators that several tests share; append, and leave what others wrote."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from xmsec.model.types import Context, Event, Position

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
LATENESS = timedelta(minutes=5)


def at(seconds: float) -> datetime:
    """Return the time so many seconds after START."""
    return START + timedelta(seconds=seconds)


def event(number: int, seconds: float, stream: str = "city.web", **more: Any) -> Event:
    """Make an event with little in it."""
    fields = more.pop("fields", {})
    time = at(seconds)
    position = Position(stream, "p", number)
    return Event(f"{number:032x}", time, time, position, stream.partition(".")[0], stream, fields, **more)


REJECTED = {"event.kind": "pipeline_error", "error.code": "parse", "error.type": "no-match"}


@st.composite
def contexts(
    draw: st.DrawFn,
    fields: st.SearchStrategy[dict[str, Any]],
    *,
    streams: Sequence[str] = ("city.web", "city.db"),
    flags: Sequence[tuple[str, ...]] = ((),),
    seconds: int = 3 * 86_400,
) -> list[Context]:
    """Contexts of up to 24 events over three days, in order of time; some stand for rejected records, some are late."""
    times = sorted(draw(st.lists(st.integers(0, seconds), min_size=1, max_size=24)))
    made = []
    for number, second in enumerate(times):
        what = draw(st.sampled_from(("timely", "timely", "timely", "timely", "rejected", "late")))
        plain = event(number, second, draw(st.sampled_from(streams)), fields=draw(fields), flags=draw(st.sampled_from(flags)))
        if what == "rejected":
            plain = msgspec.structs.replace(plain, fields=dict(REJECTED), flags=("rejected",))
        made.append(Context(plain, late=what == "late"))
    return made


@st.composite
def arrivals(draw: st.DrawFn, made: Sequence[Context]) -> list[list[Context]]:
    """Batches of contexts as they may arrive: out of order within the lateness, cut anywhere."""
    delays = draw(st.lists(st.integers(0, int(LATENESS.total_seconds())), min_size=len(made), max_size=len(made)))
    order = sorted(range(len(made)), key=lambda place: (made[place].event.time + timedelta(seconds=delays[place]), place))
    cuts = sorted(draw(st.sets(st.integers(1, len(made)), max_size=8)) | {len(made)})
    return [[made[place] for place in order[begin:end]] for begin, end in zip([0, *cuts], cuts, strict=False)]
