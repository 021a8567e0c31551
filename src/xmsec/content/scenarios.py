"""Scenario files become typed records whose references hold, so that a scenario that loads can be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from xmsec.content.load import Document, convert, files, load_each
from xmsec.content.scenario import ACTOR, KINDS, MOMENT, SLOT, Choice, Draw, Scenario, Value
from xmsec.model.errors import ContentError

Problem = tuple[str, str, str]  # what is wrong, where, what to do


def load_scenarios(dirs: Sequence[Path]) -> tuple[dict[str, Scenario], list[ContentError]]:
    """Load the scenarios of content directories; good ones and all problems."""
    good, problems = load_each(files(dirs, "scenarios"), load_scenario)
    return {scenario.id: scenario for scenario in good}, problems


def load_scenario(document: Document) -> Scenario:
    """Turn one file into a scenario, its references resolved. Raises ContentError with the line."""
    scenario = convert(document, Scenario)
    for what, at, remedy in chain(_of_itself(scenario, document.path), _of_groups(scenario), _of_behaviours(scenario)):
        raise document.error(what, at, remedy)
    for what, at, remedy in chain(_of_happenings(scenario, "incidents"), _of_happenings(scenario, "oddities")):
        raise document.error(what, at, remedy)
    return scenario


def _of_itself(scenario: Scenario, path: Path) -> Iterator[Problem]:
    if scenario.id != path.stem:
        yield f'id "{scenario.id}" is not that of its file', "$.id", f'write "{path.stem}" or rename the file'
    try:
        ZoneInfo(scenario.zone)
    except (KeyError, ValueError, OSError):
        yield f'zone "{scenario.zone}" is unknown', "$.zone", "write an IANA name, Asia/Shanghai"
    if scenario.start.weekday() != 0:
        yield "start is no Monday", "$.start", "begin with a week, so that weekends fall where the file says"
    if scenario.train_days >= scenario.days:
        yield "train_days leaves no day for what happens", "$.train_days", "make it smaller than days"
    for name, use in scenario.streams.items():
        if not use.stream.startswith(f"{scenario.system}."):
            yield f'stream "{use.stream}" is not of this system', f"$.streams.{name}.stream", f"begin with {scenario.system}."


def _of_groups(scenario: Scenario) -> Iterator[Problem]:
    for name, group in scenario.groups.items():
        at = f"$.groups.{name}"
        if group.sessions and group.rhythm not in scenario.rhythms:
            yield f'rhythm "{group.rhythm}" is not declared', f"{at}.rhythm", "declare it under rhythms"
        if sum((group.sessions > 0, group.every_s is not None, bool(group.at))) > 1:
            yield "more than one kind of life", at, "keep one of sessions, every_s, at"
        yield from _unknown(group.does, scenario.behaviours, f"{at}.does", "behaviour")


def _of_behaviours(scenario: Scenario) -> Iterator[Problem]:
    for name, behaviour in scenario.behaviours.items():
        at = f"$.behaviours.{name}"
        for drawn, draw in behaviour.draw.items():
            yield from _unknown([draw.kind], KINDS, f"{at}.draw.{drawn}.kind", "kind")
            yield from _unknown([draw.of] if draw.of else [], behaviour.draw, f"{at}.draw.{drawn}.of", "draw")
        for number, step in enumerate(behaviour.steps):
            yield from _unknown(step.redraw, behaviour.draw, f"{at}.steps.{number}.redraw", "draw")
            for stream, fields in step.lines.items():
                here = f"{at}.steps.{number}.lines.{stream}"
                yield from _unknown([stream], scenario.streams, here, "stream")
                use = scenario.streams.get(stream)
                if use is not None:
                    yield from _unknown(fields, use.fields, here, "field of the stream")
                    yield from _slots({**use.fields, **fields}, behaviour.draw, here)


def _of_happenings(scenario: Scenario, where: Literal["incidents", "oddities"]) -> Iterator[Problem]:
    for number, happening in enumerate(scenario.incidents if where == "incidents" else scenario.oddities):
        at = f"$.{where}.{number}"
        if (where == "incidents") != bool(happening.expect):
            yield "an incident expects a finding, an oddity expects none", f"{at}.expect", "move it or correct expect"
        actors = [name for name in (happening.actors, happening.group, *happening.rates) if name]
        yield from _unknown(actors, scenario.groups, at, "group")
        yield from _unknown([happening.does] if happening.does else [], scenario.behaviours, f"{at}.does", "behaviour")
        streams = [name for name in (happening.stream, *happening.silences) if name]
        yield from _unknown(streams, scenario.streams, at, "stream")


def _slots(fields: Mapping[str, Value], draws: Mapping[str, Draw], at: str) -> Iterator[Problem]:
    """Find slots that nothing fills."""
    for field, value in fields.items():
        texts = tuple(value.pick) if isinstance(value, Choice) else (value,) if isinstance(value, str) else ()
        for slot in chain.from_iterable(map(SLOT.findall, texts)):
            drawn, dot, attribute = slot.partition(".")
            known = slot in ACTOR | MOMENT if not dot else drawn in draws and attribute in KINDS.get(draws[drawn].kind, ())
            if not known:
                yield f"{{{slot}}} stands for nothing here", f"{at}.{field}", "draw it first, or write another attribute"


def _unknown(names: Any, known: Any, at: str, what: str) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield f'{what} "{name}" is not declared', at, f"use one of {', '.join(sorted(known))}"
