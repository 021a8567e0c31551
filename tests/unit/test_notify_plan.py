"""When people are told what: tables of moments, and properties over any day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.content.notify import Folding, Quiet
from xmsec.model.types import Severity
from xmsec.notify import plan
from xmsec.notify.notice import Message, Notice

XIAMEN = ZoneInfo("Asia/Shanghai")
NIGHT = Quiet("22:00", "07:00")
DAY = plan.Rules(XIAMEN, Folding(more_than=2, minutes=10), None, 20)
SLEEPER = plan.Rules(XIAMEN, Folding(more_than=2, minutes=10), NIGHT, 20)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=XIAMEN).astimezone(UTC)
LATE = NOON + timedelta(hours=11)
MORNING = NOON + timedelta(hours=19)


def notice(name: str, severity: Severity = "high", detector: str = "mass-lookup") -> Notice:
    return Notice(name, detector, "批量 · Mass", severity, 50, "office", "user u7", 1, NOON, NOON)


def out(state: plan.State, now: datetime, rules: plan.Rules) -> tuple[plan.State, list[Message]]:
    """Send all that may be sent now."""
    state = plan.release(state, now, rules)
    messages: list[Message] = []
    while (message := plan.following(state, now, rules)) is not None:
        messages.append(message)
        state = plan.sent(state, message, now)
    return state, messages


@pytest.mark.parametrize(
    ("clock", "start", "end", "until"),
    [
        ("12:00", "22:00", "07:00", None),
        ("22:00", "22:00", "07:00", "07:00+1"),
        ("21:59", "22:00", "07:00", None),
        ("23:30", "22:00", "07:00", "07:00+1"),
        ("06:59", "22:00", "07:00", "07:00+0"),
        ("07:00", "22:00", "07:00", None),
        ("13:00", "12:30", "14:00", "14:00+0"),
        ("14:00", "12:30", "14:00", None),
        ("00:00", "00:00", "06:30", "06:30+0"),
    ],
)
def test_quiet_hours_begin_and_end_by_the_local_clock(clock: str, start: str, end: str, until: str | None) -> None:
    hour, minute = map(int, clock.split(":"))
    now = datetime(2026, 11, 25, hour, minute, tzinfo=XIAMEN).astimezone(UTC)
    found = plan.quiet_until(now, Quiet(start, end), XIAMEN)
    local = found and found.astimezone(XIAMEN)
    assert (local and f"{local:%H:%M}+{(local.date() - now.astimezone(XIAMEN).date()).days}") == until


def test_quiet_hours_end_right_on_the_day_on_which_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 10, 24, 23, 0, tzinfo=berlin).astimezone(UTC)
    found = plan.quiet_until(now, NIGHT, berlin)
    assert found == datetime(2026, 10, 25, 6, 0, tzinfo=UTC)


def test_more_than_so_many_of_a_kind_become_one_message_with_counts() -> None:
    state = plan.take(plan.State(), [notice(f"n{number}") for number in range(30)], NOON, DAY)
    state, alone = out(state, NOON, DAY)
    assert [message.notice.id for message in alone if message.notice] == ["n0", "n1"]
    assert out(state, NOON + timedelta(minutes=9), DAY)[1] == []
    state, (folded,) = out(state, NOON + timedelta(minutes=10), DAY)
    assert folded.gathered is not None
    assert (folded.gathered.why, folded.gathered.count, folded.gathered.severities) == ("storm", 28, {"high": 28})
    assert len(folded.gathered.gravest) == plan.GRAVEST
    assert state.gathered == {}


def test_a_storm_of_one_kind_folds_no_other() -> None:
    many = [*(notice(f"n{number}") for number in range(9)), notice("other", detector="grant-exceeded")]
    _, messages = out(plan.take(plan.State(), many, NOON, DAY), NOON, DAY)
    assert {message.notice.detector for message in messages if message.notice} == {"mass-lookup", "grant-exceeded"}


def test_the_next_quiet_while_tells_by_itself_again() -> None:
    state = plan.take(plan.State(), [notice("a"), notice("b")], NOON, DAY)
    state, _ = out(state, NOON, DAY)
    later = NOON + timedelta(minutes=11)
    _, messages = out(plan.take(state, [notice("c")], later, DAY), later, DAY)
    assert [message.notice.id for message in messages if message.notice] == ["c"]


def test_the_night_holds_everything_but_what_is_critical_until_its_end() -> None:
    state = plan.take(plan.State(), [notice("a", "low"), notice("b", "critical"), notice("c")], LATE, SLEEPER)
    state, woken = out(state, LATE, SLEEPER)
    assert [message.notice.id for message in woken if message.notice] == ["b"]
    assert plan.wakes(state, LATE, SLEEPER) == MORNING
    state, (told,) = out(state, MORNING, SLEEPER)
    assert told.gathered is not None
    assert (told.gathered.why, told.gathered.severities) == ("quiet", {"low": 1, "high": 1})


def test_a_storm_that_the_night_meets_is_held_with_the_rest() -> None:
    evening = LATE - timedelta(minutes=65)
    state = plan.take(plan.State(), [notice(f"n{number}") for number in range(8)], evening, SLEEPER)
    state, _ = out(state, evening, SLEEPER)
    state, messages = out(state, LATE, SLEEPER)
    assert messages == []
    _, (told,) = out(state, MORNING, SLEEPER)
    assert told.gathered is not None
    assert told.gathered.count == 6


def test_what_a_robot_did_not_take_before_the_night_waits_for_the_morning() -> None:
    evening = LATE - timedelta(minutes=65)
    state = plan.failed(plan.take(plan.State(), [notice("a")], evening, SLEEPER), evening)
    assert out(state, LATE, SLEEPER)[1] == []


def test_no_more_than_the_rate_goes_out_in_any_minute() -> None:
    rules = msgspec.structs.replace(DAY, per_minute=3)
    state = plan.take(plan.State(), [notice(f"n{number}", detector=f"d{number}") for number in range(10)], NOON, rules)
    state, first = out(state, NOON, rules)
    assert len(first) == 3
    assert plan.wakes(state, NOON + timedelta(seconds=1), rules) is not None
    assert out(state, NOON + timedelta(seconds=59), rules)[1] == []


def test_pauses_double_and_are_bounded_and_a_receiver_may_ask_for_more() -> None:
    assert [plan.pause(tries).total_seconds() for tries in (0, 1, 2, 8, 9, 500)] == [1, 2, 4, 256, 300, 300]
    assert plan.pause(0, 30).total_seconds() == 30
    state = plan.failed(plan.take(plan.State(), [notice("a")], NOON, DAY), NOON, 30)
    assert plan.following(state, NOON + timedelta(seconds=29), DAY) is None
    assert plan.following(state, NOON + timedelta(seconds=30), DAY) is not None


def test_a_message_that_nobody_took_for_three_days_is_given_up() -> None:
    state = plan.take(plan.State(), [notice("a")], NOON, DAY)
    assert plan.given_up(state, NOON + timedelta(hours=71))[1] == 0
    assert plan.given_up(state, NOON + timedelta(hours=72))[1] == 1


SEVERITY = st.sampled_from(["low", "medium", "high", "critical"])
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 90), st.lists(st.tuples(SEVERITY, st.sampled_from("abc")), max_size=12)), max_size=12
)


@settings(max_examples=80, deadline=None)
@given(arrivals=ARRIVALS, per_minute=st.integers(1, 5), asleep=st.booleans(), kept=st.booleans())
def test_every_notice_is_told_exactly_once_within_rate_and_rest(
    arrivals: list[tuple[int, list[tuple[Severity, str]]]], per_minute: int, asleep: bool, kept: bool
) -> None:
    rules = plan.Rules(XIAMEN, Folding(more_than=2, minutes=10), NIGHT if asleep else None, per_minute)
    now, state, number = LATE - timedelta(hours=2), plan.State(), 0
    told: list[tuple[datetime, Message]] = []
    for minutes, severities in [*arrivals, *[(10, [])] * 120]:
        now += timedelta(minutes=minutes)
        some = [notice(f"n{number + place}", severity, kind) for place, (severity, kind) in enumerate(severities)]
        number += len(some)
        state = plan.take(state, some, now, rules)
        if kept:  # through a restart
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=plan.State)
        state, messages = out(state, now, rules)
        assert len(messages) <= per_minute
        told += [(now, message) for message in messages]
    assert (
        sum(1 if message.notice else message.gathered.count for _, message in told if message.notice or message.gathered)
        == number
    )
    assert len({message.id for _, message in told}) == len(told)
    for at, message in told:
        assert message.critical or plan.quiet_until(at, rules.quiet, XIAMEN) is None
    assert len(msgspec.msgpack.encode(state)) < 100_000
