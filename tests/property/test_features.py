"""What an entity did in a window is counted the same in any order and any batches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.office import MONDAY, ZONE, visit

from xmsec.content.recipes import LENGTHS, Feature, Hours
from xmsec.detect.features import MOST_BYTES, Calendar, Tally, scaled, shown, tally, values
from xmsec.detect.sketch import BYTES
from xmsec.model.types import Context, Event

ALL: tuple[Feature, ...] = Feature.__args__  # type: ignore[attr-defined]  # a Literal's members
CALENDAR = Calendar(LENGTHS["1h"], Hours(), ZONE)


@st.composite
def visits(draw: st.DrawFn) -> Context:
    number = draw(st.integers(0, 10_000))
    return visit(
        "u1",
        MONDAY + timedelta(minutes=draw(st.integers(0, 59))),
        number,
        path=f"/{number % 700}",
        subjects=range(number, number + draw(st.integers(0, 3))),
        address=f"10.0.0.{number % 5}",
        status=draw(st.sampled_from([200, 302, 403, 500])),
        sent=draw(st.integers(0, 10_000)),
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(visits(), max_size=60), st.integers(1, 20), st.randoms(use_true_random=False))
def test_order_and_batches_change_no_tally(contexts: list[Context], size: int, chance: object) -> None:
    whole = tally(Tally(), contexts, len(contexts))
    chance.shuffle(contexts)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    parts = Tally()
    for start in range(0, len(contexts), size):
        part = contexts[start : start + size]
        parts = tally(parts, part, len(part))
    assert parts == whole
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(whole), type=Tally) == whole


def bare(**fields: object) -> Context:
    event = visit("u1", MONDAY, 1).event
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return Context(msgspec.structs.replace(event, fields=named, datasets=("pg://db:5432/people",)))


@pytest.mark.parametrize(
    ("context", "feature", "value"),
    [
        (bare(url__path="/a"), "distinct_objects", 1),
        (bare(), "distinct_objects", 1),
        (bare(), "distinct_addresses", 0),
        (bare(client__ip="::1"), "distinct_addresses", 1),
        (bare(http__response__status_code=404), "failures", 1),
        (bare(http__response__status_code=399), "failures", 0),
        (bare(http__response__status_code=500, event__outcome="success"), "failures", 0),
        (bare(event__outcome="failure"), "failures", 1),
        (bare(http__response__status_code="404"), "failures", 0),
        (bare(destination__bytes=7, network__bytes=9), "bytes", 7),
        (bare(http__response__body__bytes=-5), "bytes", 0),
        (bare(http__response__body__bytes=float("nan")), "bytes", 0),
        (bare(http__response__body__bytes=float("inf")), "bytes", 0),
        (bare(http__response__body__bytes="many"), "bytes", 0),
        (bare(http__response__body__bytes=True), "bytes", 0),
        (bare(http__response__body__bytes=2**80), "bytes", MOST_BYTES),
    ],
)
def test_a_feature_reads_what_an_event_carries(context: Context, feature: Feature, value: float) -> None:
    assert values(tally(Tally(), [context], 0), (feature,)) == (value,)


def test_a_path_and_no_dataset_counts_as_the_object() -> None:
    seen = tally(Tally(), [bare(url__path="/a"), bare(url__path="/b")], 0)
    assert values(seen, ("distinct_objects",)) == (2,)


@pytest.mark.parametrize(
    ("local", "off"),
    [
        ("2026-03-02T07:59:59", True),
        ("2026-03-02T08:00:00", False),
        ("2026-03-02T19:59:59", False),
        ("2026-03-02T20:00:00", True),
        ("2026-03-07T12:00:00", True),
        ("2026-03-08T12:00:00", True),
        ("2026-03-09T00:10:00", True),
    ],
)
def test_office_hours_are_those_of_the_deployment(local: str, off: bool) -> None:
    time = datetime.fromisoformat(local).replace(tzinfo=ZONE).astimezone(UTC)
    assert CALENDAR.slot(time).off_hours is off


@given(st.datetimes(datetime(1975, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["Asia/Shanghai", "Asia/Kathmandu", "UTC"]))
def test_a_slot_is_the_window_that_holds_the_time(naive: datetime, zone: str) -> None:
    time = naive.replace(tzinfo=UTC)
    for length in LENGTHS.values():
        start = Calendar(length, Hours(), ZoneInfo(zone)).slot(time).start
        assert start <= time < start + length


def test_a_tally_keeps_its_stated_bytes() -> None:
    contexts = [visit("u1", MONDAY, at, path=f"/{at}", subjects=(at,), address=f"a{at}") for at in range(257)]
    assert len(msgspec.msgpack.encode(tally(Tally(), contexts[:256], 0))) < 3 * BYTES + 200 < 8 << 10
    assert len(msgspec.msgpack.encode(tally(Tally(), contexts, 0))) < 3 * BYTES + 200


def test_tenfold_is_tenfold_anywhere_on_the_scale() -> None:
    small, large = (scaled((number * 10, 0), ALL[:2])[0] - scaled((number, 0), ALL[:2])[0] for number in (1e3, 1e6))
    assert small == pytest.approx(large, abs=1e-2)


@pytest.mark.parametrize(
    ("value", "feature", "text"), [(1234567.0, "bytes", "1,234,567"), (0.5, "off_hours_share", "50 %"), (0.0, "failures", "0")]
)
def test_values_are_written_for_people(value: float, feature: Feature, text: str) -> None:
    assert shown(value, feature) == text


def test_an_event_without_any_field_counts_as_a_request_alone() -> None:
    event = visit("u1", MONDAY, 1).event
    empty = Context(Event(event.id, event.time, event.time, event.position, "s", "s.w", {}))
    assert values(tally(Tally(), [empty], 0), ALL) == (1, 0, 0, 0, 0, 0, 0)
