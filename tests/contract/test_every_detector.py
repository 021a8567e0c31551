"""What holds for every detector: the road may bring its events in any order and any batches, and stop anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.every_detector import Trial, every_detector
from tests.strategies import LATENESS, arrivals, at

from xmsec.model.clock import FAR
from xmsec.model.ports import Detector
from xmsec.model.types import Context, Finding, Key

STATE_BYTES = 64 << 10

trials = pytest.mark.parametrize("trial", every_detector(), ids=lambda trial: trial.name)
few = settings(max_examples=60, deadline=None)


class Run:
    """A detector with its states, driven as the road drives it: step a batch, then advance what is due."""

    def __init__(self, detector: Detector[Any], *, stored: bool = False) -> None:
        self.detector = detector
        self.states: dict[Key, Any] = {}
        self.told: dict[str, Finding] = {}
        self.all: list[Finding] = []
        self._stored = stored

    def step(self, batch: Sequence[Context]) -> None:
        fresh = [(key, context) for context in batch for key in self.detector.keys(context)]
        if not fresh:
            return
        before = {key: self.states.get(key, self.detector.start()) for key, _ in fresh}
        seal = _sealed(before)
        self._take(*self.detector.step(before, fresh))
        assert _sealed(before) == seal, "step changed a state that it was handed"

    def advance(self, watermark: datetime) -> None:
        due = {key: time for key, state in self.states.items() if (time := self.detector.due(state)) is not None}
        before = {key: self.states[key] for key, time in due.items() if time <= watermark}
        if before:
            seal = _sealed(before)
            self._take(*self.detector.advance(before, watermark))
            assert _sealed(before) == seal, "advance changed a state that it was handed"

    def _take(self, states: Mapping[Key, Any], findings: Iterable[Finding]) -> None:
        for key, state in states.items():
            if state is None:
                self.states.pop(key, None)
            else:
                self.states[key] = _through_store(self.detector, state) if self._stored else state
        for finding in findings:
            self.all.append(finding)
            self.told[finding.id] = finding


def _sealed(states: Mapping[Key, Any]) -> bytes:
    return msgspec.msgpack.encode(list(states.items()))


def _through_store(detector: Detector[Any], state: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=detector.state)


def at_once(trial: Trial, made: Sequence[Context]) -> dict[str, Finding]:
    run = Run(trial.make())
    run.step(made)
    run.advance(FAR)
    return run.told


def as_it_came(trial: Trial, batches: Sequence[Sequence[Context]], *, stored: bool = False) -> Run:
    run = Run(trial.make(), stored=stored)
    latest: datetime | None = None
    for batch in batches:
        run.step(batch)
        times = [context.event.time for context in batch if not context.untimely]
        latest = max([*times, *([latest] if latest else [])], default=None)
        if latest is not None:
            run.advance(latest - LATENESS)
    run.advance(FAR)
    return run


@trials
@few
@given(data=st.data())
def test_order_and_batching_change_nothing(trial: Trial, data: st.DataObject) -> None:
    made = data.draw(trial.contexts)
    batches = data.draw(arrivals(made))
    assert as_it_came(trial, batches).told == at_once(trial, made)


@trials
@few
@given(data=st.data())
def test_one_big_advance_equals_many_small_ones(trial: Trial, data: st.DataObject) -> None:
    made = data.draw(trial.contexts)
    seconds = data.draw(st.lists(st.integers(-3600, 8 * 86_400), max_size=12))
    run = Run(trial.make())
    run.step(made)
    for second in sorted(seconds):
        run.advance(at(second))
    run.advance(FAR)
    assert run.told == at_once(trial, made)


@trials
@few
@given(data=st.data())
def test_states_survive_the_store_and_stay_small(trial: Trial, data: st.DataObject) -> None:
    made = data.draw(trial.contexts)
    batches = data.draw(arrivals(made))
    run = as_it_came(trial, batches, stored=True)
    assert run.told == at_once(trial, made)
    assert all(len(msgspec.msgpack.encode(state)) <= STATE_BYTES for state in run.states.values())


@trials
@few
@given(data=st.data(), second=st.integers(0, 4 * 86_400))
def test_after_an_advance_nothing_is_due_that_it_passed(trial: Trial, data: st.DataObject, second: int) -> None:
    run = Run(trial.make())
    run.step(data.draw(trial.contexts))
    run.advance(at(second))
    left = [run.detector.due(state) for state in run.states.values()]
    assert all(time is None or time > at(second) for time in left)


@trials
@few
@given(data=st.data())
def test_an_advance_before_its_time_tells_nothing(trial: Trial, data: st.DataObject) -> None:
    run = Run(trial.make())
    run.step(data.draw(trial.contexts))
    for key, state in run.states.items():
        due = run.detector.due(state)
        if due is not None:
            left, told = run.detector.advance({key: state}, due - timedelta(microseconds=1))
            assert (not told, left.get(key, state)) == (True, state)


@trials
@few
@given(data=st.data())
def test_what_is_told_twice_is_the_same(trial: Trial, data: st.DataObject) -> None:
    made = data.draw(trial.contexts)
    assert at_once(trial, made) == at_once(trial, made)


@trials
@few
@given(data=st.data())
def test_an_untimely_event_touches_no_state(trial: Trial, data: st.DataObject) -> None:
    detector = trial.make()
    for context in data.draw(trial.contexts):
        late = msgspec.structs.replace(context, late=True)
        fresh = [(key, late) for key in detector.keys(late)]
        states = detector.step({key: detector.start() for key, _ in fresh}, fresh)[0] if fresh else {}
        assert all(state == detector.start() for state in states.values())


@trials
@few
@given(data=st.data())
def test_a_rejected_record_is_left_to_coverage(trial: Trial, data: st.DataObject) -> None:
    detector = trial.make()
    rejected = [context for context in data.draw(trial.contexts) if "rejected" in context.event.flags]
    assert trial.hears_rejected or not any(detector.keys(context) for context in rejected)


@trials
@few
@given(data=st.data())
def test_a_finding_explains_itself(trial: Trial, data: st.DataObject) -> None:
    made = data.draw(trial.contexts)
    run = as_it_came(trial, data.draw(arrivals(made)))
    for finding in run.all:
        assert trial.many or finding.version == run.detector.version
        assert finding.explanation
        assert finding.window.start < finding.window.end
        assert finding.first_seen <= finding.time
        assert finding.count >= 1
        assert 0 <= finding.risk <= 100
        assert len(finding.events) <= 20
        assert len(finding.evidence) <= 5
        assert len({event.id for event in finding.evidence}) == len(finding.evidence)


@trials
def test_the_trial_gives_the_detector_something_to_say(trial: Trial) -> None:
    told: list[int] = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(data=st.data())
    def count(data: st.DataObject) -> None:
        told.append(len(at_once(trial, data.draw(trial.contexts))))

    count()
    assert max(told) > 0


@trials
def test_a_key_that_saw_nothing_waits_for_nothing(trial: Trial) -> None:
    detector = trial.make()
    assert detector.due(detector.start()) is None
