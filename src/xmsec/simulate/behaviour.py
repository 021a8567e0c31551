"""A session: what is drawn for it, and the lines that its steps write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from random import Random
from typing import Any

import msgspec

from xmsec.content.scenario import Behaviour, Draw, Scenario, Step
from xmsec.simulate.actor import Addresses, Member
from xmsec.simulate.calendar import Calendar
from xmsec.simulate.line import Line, compile_line
from xmsec.simulate.values import MAKERS, SERIES, mix

POPULATION = 400_000  # of each kind of thing that is drawn: a small city
BETWEEN_LINES_MS = 3  # a step's lines are written one after the other, as a request passes from leg to leg

Written = tuple[int, int, int, str, int]  # at (ms), order, stream's number, text, happening's number or -1
Fill = Callable[[Mapping[str, str]], Any]


class Session(msgspec.Struct, frozen=True):
    """One session to be played: when it begins, who acts, which behaviour.

    happening: number of the incident or oddity that it belongs to, or -1; turn: which repetition of it; series: where things
    drawn one after the other begin; carrier, chance: where and how often the address changes on the way.
    """

    at: int
    member: Member
    behaviour: str
    happening: int = -1
    turn: int = 0
    series: int = 0
    carrier: Addresses | None = None
    chance: float = 0.0


class _Made(msgspec.Struct, frozen=True):
    """One line as a session fills it."""

    stream: int
    fill: Fill
    line: Line


class _Drawn(msgspec.Struct, frozen=True):
    """One thing as a session draws it: only the attributes that some text asks for are made."""

    name: str
    draw: Draw
    base: int
    makers: tuple[tuple[str, Callable[[int], str]], ...]


class Script:
    """One behaviour, compiled."""

    def __init__(self, behaviour: Behaviour, scenario: Scenario, calendar: Calendar, seed: int) -> None:
        streams = list(scenario.streams)
        asked: set[str] = set()
        self._steps: list[tuple[Step, list[_Made]]] = []
        for step in behaviour.steps:
            lines = [compile_line(name, scenario.streams[name], step.lines[name], calendar) for name in step.lines]
            asked.update(slot for line in lines for slot in line.slots)
            self._steps.append((step, [_Made(streams.index(line.stream), _fill(line.slots), line) for line in lines]))
        bases = {kind: Random(f"{seed}/{kind}").getrandbits(64) for kind in MAKERS}
        self._drawn = {name: _drawn(name, draw, bases[draw.kind], asked) for name, draw in _ordered(behaviour.draw)}

    def play(self, session: Session, rng: Random, order: int) -> list[Written]:
        """Play a session; return its lines, `order` counting on from the one given."""
        slots = msgspec.structs.asdict(session.member) | {"n": str(session.turn)}
        bits: dict[str, int] = {}
        for drawn in self._drawn.values():
            _draw(drawn, session, slots, bits, rng)
        written: list[Written] = []
        at = float(session.at)
        for step, lines in self._steps:
            if step.chance < 1.0 and rng.random() >= step.chance:
                continue
            low, high = step.times
            for _ in range(low if low == high else rng.randint(low, high)):
                at += 1000 * (step.after_s[0] + rng.random() * (step.after_s[1] - step.after_s[0]))
                for name in step.redraw:
                    _draw(self._drawn[name], session, slots, bits, rng)
                if session.carrier is not None and rng.random() < session.chance:
                    slots["address"] = session.carrier.address(rng.getrandbits(48))
                written += _write(lines, int(at), slots, rng, (order + len(written), session.happening))
        return written


def _write(lines: Sequence[_Made], at: int, slots: dict[str, Any], rng: Random, tag: tuple[int, int]) -> list[Written]:
    order, happening = tag
    written = []
    for made in lines:
        for name, choose in made.line.choices:
            slots[name] = choose(rng)
        for name, stamp in made.line.stamps:
            slots[name] = stamp(at)
        written.append((at, order, made.stream, made.line.text % made.fill(slots), happening))
        at += BETWEEN_LINES_MS
        order += 1
    return written


def _draw(drawn: _Drawn, session: Session, slots: dict[str, Any], bits: dict[str, int], rng: Random) -> None:
    by = drawn.draw.by
    if by == "next":
        index = got = session.series + session.turn
    else:
        of = drawn.draw.of
        if of is not None:
            index = bits[of]
        elif by == "self":
            index = session.member.number
        else:
            index = int(rng.random() * POPULATION)
        got = mix(drawn.base, index)
    bits[drawn.name] = got
    for slot, make in drawn.makers:
        slots[slot] = make(got)


def _drawn(name: str, draw: Draw, base: int, asked: set[str]) -> _Drawn:
    makers = SERIES[draw.kind] if draw.by == "next" else MAKERS[draw.kind]
    wanted = ((f"{name}.{attribute}", make) for attribute, make in makers.items())
    return _Drawn(name, draw, base, tuple((slot, make) for slot, make in wanted if slot in asked))


def _ordered(draws: Mapping[str, Draw]) -> list[tuple[str, Draw]]:
    """Put a draw after the one to which it belongs."""
    return sorted(draws.items(), key=lambda item: item[1].of is not None)


def _fill(slots: tuple[str, ...]) -> Fill:
    """Return what picks a line's slots for its format: a tuple, or the text alone when there is one."""
    return itemgetter(*slots) if slots else lambda _: ()


def lines_of(behaviour: Behaviour) -> float:
    """Return how many lines a session of a behaviour writes on average."""
    return sum(step.chance * sum(step.times) / 2 * len(step.lines) for step in behaviour.steps)
