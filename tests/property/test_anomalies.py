"""The anomaly detector tells what is unusual for an account, whatever the order, and leaves honest work in peace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learned import anomaly, learned, recipe, week
from tests.office import BATCH, MONDAY, ZONE, office, visit

from xmsec.content.recipes import Feature
from xmsec.detect.explain import explain
from xmsec.detect.kinds.anomaly import Anomaly, Windows
from xmsec.detect.model import above, far
from xmsec.detect.train import rows, train
from xmsec.model.clock import FAR
from xmsec.model.types import Context, Event, Finding, Key

NIGHT = MONDAY + timedelta(days=9, hours=3)
SATURDAY = MONDAY + timedelta(days=12)
KEY = Key("user", "u06")


def folded(detector: Anomaly, contexts: Sequence[Context], size: int = 2_000) -> dict[Key, Windows]:
    states: dict[Key, Windows] = {}
    for start in range(0, len(contexts), size):
        fresh = [(key, context) for context in contexts[start : start + size] for key in detector.keys(context)]
        before = {key: states.get(key, detector.start()) for key, _ in fresh}
        states.update(detector.step(before, fresh)[0])
    return states


def told(detector: Anomaly, contexts: Iterable[Context]) -> Sequence[Finding]:
    return detector.advance(folded(detector, list(contexts)), FAR)[1]


def look_ups(count: int, user: str = "u06", level: str | None = None) -> list[Context]:
    return [
        visit(user, NIGHT + timedelta(seconds=at), at, path=f"/case/{at}", subjects=(at + (1 << 41),), sent=4_000, level=level)
        for at in range(count)
    ]


@pytest.mark.parametrize("name", ["user-hour", "user-day"])
def test_honest_weeks_keep_to_the_budget_in_the_mean_and_the_batch_is_silent(name: str) -> None:
    told_per_day = []
    for seed in (11, 12, 13, 14):  # one alone may bring more: a week has few extremes to set a threshold by
        findings = told(anomaly(name, seed), office(seed + 100, 14, MONDAY + timedelta(days=7)))
        by_day = {(finding.entity.id, finding.window.start.astimezone(ZONE).date()) for finding in findings}
        told_per_day.append(len(by_day) / 14)
        assert not any(finding.entity.id == BATCH for finding in findings)
    assert np.mean(told_per_day) <= 2 * recipe(name).budget_per_day


@pytest.mark.parametrize(("name", "count"), [("user-hour", 300), ("user-day", 1_200)])
def test_a_mass_look_up_is_told_with_what_was_unusual(name: str, count: int) -> None:
    (finding,) = told(anomaly(name), look_ups(count))
    assert (finding.entity.id, finding.count, finding.severity, finding.state) == ("u06", count, "low", "final")
    subjects = next(reason for reason in finding.explanation if reason.what == "distinct_subjects")
    assert 0.9 * count < int(subjects.value.replace(",", "")) < 1.1 * count
    assert re.match(r"own p50 .+, p90 .+", subjects.usual)
    assert 0 < sum(reason.weight for reason in finding.explanation) <= 1.001


def shift(start: timedelta, times: int) -> list[Context]:
    """Nine hours on a Saturday, each so many times what u06 does in an hour of the week (some 15 requests, 7 people)."""
    hours = [SATURDAY + start + timedelta(hours=hour) for hour in range(9)]
    numbered = enumerate((hour, at) for hour in hours for at in range(15 * times))
    return [
        visit("u06", hour + timedelta(seconds=at), number, path=f"/case/{number}", subjects=(number,) if number % 2 else ())
        for number, (hour, at) in numbered
    ]


@pytest.mark.parametrize("name", ["user-hour", "user-day"])
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("start", [timedelta(hours=9), timedelta()], ids=["by day", "at night"])
def test_a_saturday_shift_is_work_and_not_a_finding(name: str, times: int, start: timedelta) -> None:
    assert told(anomaly(name), shift(start, times)) == []


@pytest.mark.parametrize(("name", "windows"), [("user-hour", 9), ("user-day", 1)])
def test_a_saturday_of_many_times_the_usual_is_told(name: str, windows: int) -> None:
    findings = told(anomaly(name), shift(timedelta(hours=9), 20))
    assert len(findings) == windows
    assert {finding.entity.id for finding in findings} == {"u06"}


def test_an_incident_in_training_does_not_hide_its_like() -> None:
    before = [msgspec.structs.replace(each, event=_earlier(each.event)) for each in look_ups(300)]
    model = train(recipe("user-hour"), rows(recipe("user-hour"), [*week(0), *before], ZONE), ZONE)
    (finding,) = told(Anomaly(recipe("user-hour"), model, ZONE), look_ups(300))
    assert finding.count == 300


def _earlier(event: Event) -> Event:
    return msgspec.structs.replace(event, time=event.time - timedelta(days=7))


FEATURES: tuple[Feature, ...] = ("requests", "failures", "off_hours_share")


@pytest.mark.parametrize(
    ("row", "busy", "expected"),
    [
        ((600.0, 0.0, 0.0), (100.0, 0.0, 0.0), False),
        ((606.0, 0.0, 0.0), (100.0, 0.0, 0.0), True),
        ((100.0, 5.0, 0.0), (100.0, 0.0, 0.0), False),
        ((100.0, 6.0, 0.0), (100.0, 0.0, 0.0), True),
        ((100.0, 0.0, 1.0), (100.0, 0.0, 0.0), False),
    ],
    ids=["six times", "more", "some failures after none", "many", "off hours alone"],
)
def test_far_is_a_count_of_more_than_so_many_times_the_busy_value(
    row: Sequence[float], busy: Sequence[float], expected: bool
) -> None:
    assert far(row, busy, FEATURES, 6) is expected


def test_an_unknown_account_is_measured_against_all() -> None:
    (finding,) = told(anomaly("user-hour"), look_ups(300, user="nobody-knows"))
    assert all(re.match(r"all p50 .+, p99 .+", reason.usual) for reason in finding.explanation)


@pytest.mark.parametrize("user", ["u06", "nobody-knows"])
def test_one_look_up_in_office_hours_is_nothing(user: str) -> None:
    assert told(anomaly("user-hour"), [visit(user, MONDAY + timedelta(hours=34), 1, subjects=(1,))]) == []


@pytest.mark.parametrize(("level", "severity"), [("general-3", "low"), ("general-4", "medium"), ("core", "medium")])
def test_grave_data_makes_it_one_level_more_severe(level: str, severity: str) -> None:
    (finding,) = told(anomaly("user-hour"), look_ups(300, level=level))
    assert finding.severity == severity


def test_untimely_and_rejected_events_have_no_key() -> None:
    context = look_ups(1)[0]
    marked = [msgspec.structs.replace(context.event, flags=(flag,)) for flag in ("far_future", "rejected")]
    late = [msgspec.structs.replace(context, late=True), *(msgspec.structs.replace(context, event=event) for event in marked)]
    assert [anomaly("user-hour").keys(each) for each in (context, *late)] == [(KEY,), (), (), ()]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.randoms(use_true_random=False))
def test_order_and_batches_change_no_state_and_no_finding(size: int, chance: object) -> None:
    detector = anomaly("user-hour")
    contexts = [*look_ups(150), *look_ups(40, user="u01")]
    whole = folded(detector, contexts)
    chance.shuffle(contexts)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert folded(detector, contexts, size) == whole
    assert told(detector, contexts) == detector.advance(whole, FAR)[1]


def test_closing_one_by_one_tells_what_closing_together_tells() -> None:
    detector = anomaly("user-hour")
    states = folded(detector, list(office(3, 2, MONDAY + timedelta(days=7))) + look_ups(300))
    together = detector.advance(states, FAR)[1]
    alone = [finding for key, state in states.items() for finding in detector.advance({key: state}, FAR)[1]]
    assert sorted(alone, key=lambda finding: finding.id) == sorted(together, key=lambda finding: finding.id)


def test_only_windows_that_ended_close() -> None:
    detector = anomaly("user-hour")
    later = [visit("u06", NIGHT + timedelta(hours=1), 999)]
    states = folded(detector, look_ups(300) + later)
    left, findings = detector.advance(states, NIGHT + timedelta(hours=1))
    assert [finding.count for finding in findings] == [300]
    assert left[KEY] == folded(detector, later)[KEY]
    assert detector.advance(left, FAR)[0] == {KEY: None}  # type: ignore[arg-type]  # nothing was evicted before


def test_a_state_survives_the_store_and_keeps_its_stated_bytes() -> None:
    state = folded(anomaly("user-hour"), look_ups(3_000))[KEY]
    packed = msgspec.msgpack.encode(state)
    assert msgspec.msgpack.decode(packed, type=Windows) == state
    assert len(packed) < 16 << 10


def test_reasons_are_ordered_by_weight_and_the_same_every_time() -> None:
    model = learned("user-day")
    raw = [(400.0, 350.0, 350.0, 3.0, 9e6, 40.0, 0.5)] * 3
    rows = model.rows(["u01", "u06", "nobody-knows"], raw)
    reasons = explain(model, ["u01", "u06", "nobody-knows"], raw, rows)
    assert reasons == explain(model, ["u01", "u06", "nobody-knows"], raw, rows)
    assert reasons[1:2] == explain(model, ["u06"], raw[1:2], rows[1:2])
    for each in reasons:
        weights = [reason.weight for reason in each]
        assert weights == sorted(weights, reverse=True)
        assert len(each) == 5


def test_less_than_usual_is_usual() -> None:
    features = recipe("user-day").features
    assert above((1, 1, 0, 1, 10, 0, 0), (50, 40, 30, 1, 9e4, 2, 0.5), features) == [0.0] * len(features)
    little = [(1.0, 1.0, 0.0, 1.0, 10.0, 0.0, 0.0)]
    assert not learned("user-day").unusual(["u06"], little, np.zeros((1, len(features))))[0]
