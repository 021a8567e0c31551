"""Findings become the same incidents in any order, told once or often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from xmsec.findings.incident import KEPT, LISTED, ByEntityAndDay, Cases
from xmsec.model.clock import HOUR
from xmsec.model.types import SEVERITIES, Entity, Finding, Incident, Intent, Key, Window

START = datetime(2026, 10, 12, tzinfo=UTC)
XIAMEN = ZoneInfo("Asia/Shanghai")


def finding(
    number: int, hour: int = 0, who: str = "u1", severity: int = 3, playbooks: tuple[str, ...] = (), final: bool = True
) -> Finding:
    start = START + hour * HOUR
    return Finding(
        id=f"f{number:04}",
        time=start + timedelta(minutes=number % 60),
        first_seen=start,
        detector=f"d{number % 3}",
        version="1",
        kind="sigma",
        title="t",
        severity=SEVERITIES[severity],
        risk=severity * 20,
        system="s",
        stream="s.x",
        entity=Entity("user", who),
        count=1,
        window=Window(start, start + HOUR),
        state="final" if final else "open",
        playbooks=playbooks,
    )


findings = st.builds(
    finding,
    number=st.integers(0, 400),
    hour=st.integers(0, 72),
    who=st.sampled_from(["u1", "u2"]),
    severity=st.integers(0, 4),
    playbooks=st.sampled_from([(), ("p",), ("p", "q")]),
)


def grouped(batches: list[list[Finding]]) -> tuple[dict[str, Incident], set[Intent]]:
    grouping = ByEntityAndDay(XIAMEN)
    states: dict[Key, Cases] = {}
    incidents: dict[str, Incident] = {}
    intents: set[Intent] = set()
    for batch in batches:
        touched, told, wanted = grouping.step(states, batch)
        states.update(touched)
        incidents.update({incident.id: incident for incident in told})
        intents.update(wanted)
    return incidents, intents


@given(st.lists(findings, max_size=30, unique_by=lambda one: one.id), st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_batches_and_repetition_change_nothing(told: list[Finding], chance: Random, size: int) -> None:
    shuffled = [*told, *told[: len(told) // 2]]
    chance.shuffle(shuffled)
    batches = [shuffled[at : at + size] for at in range(0, len(shuffled), size)]
    assert grouped(batches) == grouped([told])


def test_a_day_of_xiamen_begins_at_sixteen_hundred_utc() -> None:
    incidents, _ = grouped([[finding(1, hour=15), finding(2, hour=16)]])
    assert sorted(len(incident.findings) for incident in incidents.values()) == [1, 1]


def test_an_incident_is_as_grave_as_its_gravest_finding_and_final_when_all_are() -> None:
    incidents, _ = grouped([[finding(1, severity=1), finding(2, severity=4, final=False)]])
    ((_, incident),) = incidents.items()
    assert (incident.severity, incident.state, incident.detectors) == ("critical", "open", ("d1", "d2"))


def test_a_finding_that_is_told_less_grave_again_takes_its_incident_along() -> None:
    grave, milder = finding(1, severity=4, final=False), finding(1, severity=2)
    assert grouped([[finding(2, severity=1)], [grave], [milder]]) == grouped([[finding(2, severity=1), milder]])


def test_one_intent_a_playbook_and_incident() -> None:
    _, intents = grouped([[finding(1, playbooks=("p",)), finding(2, playbooks=("p", "q"))], [finding(1, playbooks=("p",))]])
    assert sorted(intent.playbook for intent in intents) == ["p", "q"]


def test_a_storm_lists_the_least_ids_and_its_state_stays_small() -> None:
    storm = [finding(number) for number in range(2 * LISTED)]
    incidents, _ = grouped([storm[::-1]])
    ((_, incident),) = incidents.items()
    assert incident.findings == tuple(one.id for one in storm[:LISTED])
    states, _, _ = ByEntityAndDay(XIAMEN).step({}, storm)
    assert all(len(msgspec.msgpack.encode(state)) < 48 << 10 for state in states.values())


def test_days_that_no_finding_can_join_are_forgotten() -> None:
    grouping = ByEntityAndDay(XIAMEN)
    ((_, state),) = grouping.step({}, [finding(1), finding(2, hour=48)])[0].items()
    due = grouping.due(state)
    assert due is not None
    left = grouping.advance(state, due)
    assert left is not None
    assert len(left.by_day) == 1
    assert grouping.advance(left, due + KEPT) is None
