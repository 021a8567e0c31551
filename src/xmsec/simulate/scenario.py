"""Two weeks in a system's life, hour by hour: the same scenario, seed and size give the same lines, and no clock is read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from random import Random

import msgspec

from xmsec.content.scenario import Scenario
from xmsec.simulate.actor import Crowd, Life
from xmsec.simulate.behaviour import Script, Session, Written, lines_of
from xmsec.simulate.calendar import HOUR_MS, Calendar
from xmsec.simulate.happening import Casting, Fact


class Record(msgspec.Struct, frozen=True):
    """One line of one stream. happening: number of the fact it belongs to, or -1."""

    stream: str
    text: str
    at: int
    happening: int = -1


class Plan(msgspec.Struct, frozen=True):
    """A scenario with its seed and size: the crowds that live in it, and what will happen."""

    scenario: Scenario
    seed: int
    calendar: Calendar
    crowds: Mapping[str, Crowd]
    facts: Sequence[Fact]

    def time(self, ms: int) -> datetime:
        """Return a moment of the plan in UTC."""
        return self.calendar.at(ms)


def plan(scenario: Scenario, seed: int, events: int | None = None) -> Plan:
    """Size the crowds so that about `events` lines come out (None: as the file says), and draw what happens."""
    calendar = Calendar(scenario.start, scenario.days, scenario.zone)
    factor = 1.0 if events is None else _factor(scenario, calendar, seed, events)
    crowds = {
        name: Crowd(name, group, group.count * (factor if group.scale else 1.0), seed)
        for name, group in scenario.groups.items()
    }
    casting = Casting(scenario, crowds, calendar, seed)
    happenings = (*scenario.incidents, *scenario.oddities)
    facts = [casting.cast(number, happening) for number, happening in enumerate(happenings)]
    return Plan(scenario, seed, calendar, crowds, facts)


def _factor(scenario: Scenario, calendar: Calendar, seed: int, events: int) -> float:
    """Return by what the groups' numbers are multiplied; what does not scale is taken off first."""
    fixed = scaled = 0.0
    for name, group in scenario.groups.items():
        life = Life(Crowd(name, group, group.count, seed), scenario, calendar)
        weight = sum(group.does.values())
        lines = sum(share / weight * lines_of(scenario.behaviours[does]) for does, share in group.does.items())
        total = lines * sum(map(life.expected, range(calendar.hours)))
        fixed, scaled = (fixed, scaled + total) if group.scale else (fixed + total, scaled)
    for happening in scenario.incidents:
        if happening.does:
            fixed += happening.days * sum(happening.count) / 2 * lines_of(scenario.behaviours[happening.does])
    return max(0.0, events - fixed) / scaled if scaled else 1.0


def simulate(scenario: Scenario, seed: int, events: int | None = None) -> Iterator[Record]:
    """Yield every line of every stream in the order of time; only one hour is held at a time."""
    return run(plan(scenario, seed, events))


def run(planned: Plan) -> Iterator[Record]:
    """Yield the lines of a plan."""
    names = list(planned.scenario.streams)
    silences = [(names.index(fact.stream), fact.start, fact.end) for fact in planned.facts if fact.stream]
    for at, _, stream, text, happening in _hours(planned):
        if not any(stream == silent and start <= at < end for silent, start, end in silences):
            yield Record(names[stream], text, at, happening)


def _hours(planned: Plan) -> Iterator[Written]:
    scenario, calendar, seed = planned.scenario, planned.calendar, planned.seed
    scripts = {name: Script(behaviour, scenario, calendar, seed) for name, behaviour in scenario.behaviours.items()}
    rng = Random(f"{seed}/lines")
    lives = [_Flow(Life(crowd, scenario, calendar), planned) for crowd in planned.crowds.values()]
    planted = [session for fact in planned.facts for session in fact.sessions]
    planted.sort(key=attrgetter("at", "happening", "turn"))
    waiting: list[Written] = []
    order = 0
    for hour in range(calendar.hours):
        end = (hour + 1) * HOUR_MS
        until = bisect_left(planted, end, key=attrgetter("at"))
        sessions = [*planted[:until], *(session for flow in lives for session in flow.begins(hour))]
        del planted[:until]
        for session in sessions:
            written = scripts[session.behaviour].play(session, rng, order)
            order += len(written)
            waiting += written
        waiting.sort()
        ready = bisect_left(waiting, (end,))
        yield from waiting[:ready]
        del waiting[:ready]
    yield from (written for written in waiting if written[0] < calendar.hours * HOUR_MS)


class _Flow:
    """The sessions of one crowd, hour after hour, from a chance of its own: another crowd's size changes nothing in them."""

    def __init__(self, life: Life, planned: Plan) -> None:
        self._life, self._crowd = life, life.crowd
        self._rng = Random(f"{planned.seed}/{self._crowd.name}")
        self._does = list(self._crowd.group.does)
        self._weights = list(self._crowd.group.does.values())
        self._mark = next((n for n, f in enumerate(planned.facts) if f.happening.group == self._crowd.name), -1)
        self._rates = [
            (fact.start, fact.end, fact.happening.rates[self._crowd.name])
            for fact in planned.facts
            if self._crowd.name in fact.happening.rates
        ]

    def begins(self, hour: int) -> list[Session]:
        """Return the sessions that begin in an hour."""
        at, factor = hour * HOUR_MS, 1.0
        for start, end, rate in self._rates:
            factor *= rate if start < at + HOUR_MS and at < end else 1.0
        begun = self._life.begins(hour, self._rng, factor)
        behaviours = self._rng.choices(self._does, self._weights, k=len(begun))
        roaming, carrier = self._crowd.group.roaming, self._crowd.carrier
        chance = 0.0 if roaming is None else roaming.chance
        return [
            Session(at + moment, member, does, self._mark, carrier=carrier, chance=chance)
            for (moment, member), does in zip(begun, behaviours, strict=True)
        ]
