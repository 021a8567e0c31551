"""Playbook runs as a page shows them: the plan step by step, what became of each, and what is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from xmsec.console.ask import Ask
from xmsec.console.records import Asks
from xmsec.model.errors import XmsecError
from xmsec.model.ids import intent_id
from xmsec.model.types import Incident
from xmsec.respond.chain import Entry
from xmsec.respond.drive import Driver, Rehearsed
from xmsec.respond.playbook import Playbook
from xmsec.respond.run import Next, about


class Line(msgspec.Struct, frozen=True):
    """One command of a plan.

    step: the id of its step; name: what content calls it; needs: the role that approves, `person` where one carries it out;
    state: the kind of what is recorded last of it (last), `waits`, or nothing before its turn.
    """

    step: str
    name: str
    would: str
    against: str
    needs: str
    state: str
    last: Entry | None


class Plan(msgspec.Struct, frozen=True):
    """A playbook for an incident, begun or not.

    run: its id; stands: where it is, None before it begins and when its playbook left the content; follows: whether what is
    recorded of it is whole; wished: a finding asks for it.
    """

    run: str
    playbook: str
    name: str
    lines: Sequence[Line] = ()
    entries: Sequence[Entry] = ()
    stands: Next | None = None
    follows: bool = True
    wished: bool = False

    @property
    def role(self) -> str:
        """Who approves what is waited for, as the playbook says."""
        return "" if self.stands is None else self.stands.step.extension.approval

    @property
    def asks(self) -> str:
        """Why a person is needed: `unknown`, `manual` or `approval`; nothing when none is."""
        return asks(self.stands) or ""


def asks(stands: Next | None) -> Asks | None:
    """Say why a run needs a person; None when it needs none."""
    if stands is None or stands.doing != "wait":
        return None
    if stands.why.startswith("whether"):
        return "unknown"
    return "manual" if stands.step.commands[stands.command]["type"] == "manual" else "approval"


def begun(ask: Ask, runs: Mapping[str, Sequence[Entry]]) -> list[Plan]:
    """Show runs, the latest first."""
    return [_begun(ask, run, entries) for run, entries in reversed([*runs.items()])]


def _begun(ask: Ask, run: str, entries: Sequence[Entry]) -> Plan:
    means = ask.house.records.means
    name = entries[0].body.get("playbook", "")
    known, incident, stands = means.playbooks.get(name), about(entries), means.stands(entries)
    follows = means.runs.follows(run)
    if known is None or incident is None:
        return Plan(run, name, name, entries=entries, stands=stands, follows=follows)
    lines = _lines(ask, known, incident, run, entries, stands)
    return Plan(run, name, known.name, lines, entries, stands, follows)


def possible(ask: Ask, incident: Incident, runs: Iterable[str], wished: Iterable[str]) -> list[Plan]:
    """Show what could be begun for an incident, what its findings ask for first."""
    found = []
    for name, playbook in sorted(ask.house.records.means.playbooks.items()):
        run = intent_id(name, incident.id)
        if run not in runs:
            lines = _lines(ask, playbook, incident, run, (), None)
            found.append(Plan(run, name, playbook.name, lines, wished=name in wished))
    return sorted(found, key=lambda plan: (not plan.wished, plan.playbook))


def _lines(
    ask: Ask, playbook: Playbook, incident: Incident, run: str, entries: Sequence[Entry], stands: Next | None
) -> Sequence[Line]:
    """Rehearse a playbook: nothing is asked or changed outside. What cannot be planned, for want of an address, is empty."""
    means = ask.house.records.means
    try:
        told = Driver(playbook, incident, means.runs, means.connectors, "").rehearse(run)
    except XmsecError:
        return ()
    numbers: dict[str, int] = {}
    lines = []
    for one in told:
        number = numbers[one.step] = numbers.get(one.step, -1) + 1
        lines.append(_line(ask, one, number, entries, stands))
    return lines


def _line(ask: Ask, one: Rehearsed, number: int, entries: Sequence[Entry], stands: Next | None) -> Line:
    own = [entry for entry in entries if entry.step == one.step and entry.body.get("command") == str(number)]
    waits = stands is not None and stands.doing == "wait" and (stands.step.id, stands.command) == (one.step, number)
    state = "waits" if waits else own[-1].kind if own else ""
    manual = one.needs == "a person"
    target, _, place = one.plan.target.rpartition(" ")
    return Line(
        one.step,
        one.name,
        one.plan.to_be,
        "" if manual else f"{ask.said(target)} {place}",
        "person" if manual else one.needs,
        state,
        own[-1] if own else None,
    )


def step_name(ask: Ask, run: Sequence[Entry], step: str) -> str:
    """Return what content calls a step of a run."""
    known = ask.house.records.means.playbooks.get(run[0].body.get("playbook", "")) if run else None
    return known.steps[step].name if known is not None and step in known.steps else step
