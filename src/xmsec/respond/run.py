"""What a run does next: a pure function of its playbook and of what is recorded of it. The record is the state.

A command is recorded as `applying` before it is carried out and as `applied` after; a run that finds the first without the
second was interrupted in between, and asks the target instead of guessing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from xmsec.model.ids import digest
from xmsec.model.ports import WorkflowStep
from xmsec.model.types import Incident
from xmsec.respond.chain import Entry
from xmsec.respond.playbook import Playbook, Step

Doing = Literal["wait", "apply", "verify", "done", "failed"]
ABOUT = (
    "about"  # in a run's first entry: its incident as it was then, so that a command names the same whenever it is carried out
)


class Next(msgspec.Struct, frozen=True):
    """What comes next: which step and command, and for `wait` why a person is needed."""

    doing: Doing
    step: Step
    command: int = 0
    why: str = ""


def following(playbook: Playbook, entries: Sequence[Entry]) -> Next:
    """Say what a run does next, from what is recorded of it."""
    step = playbook.steps[playbook.start]
    while step.type != "end":
        if step.type == "action":
            following = _within(step, [entry for entry in entries if entry.step == step.id])
            if following is not None and following.doing != "failed":
                return following
            if following is not None:
                if step.otherwise is None:
                    return following
                step = playbook.steps[step.otherwise]
                continue
        step = playbook.steps[step.next or ""]
    return Next("done", step)


def _within(step: Step, entries: Sequence[Entry]) -> Next | None:
    """Say what comes next inside one action step; None when it is done."""
    approved = any(entry.kind == "approved" for entry in entries)
    for number, command in enumerate(step.commands):
        kinds = [entry.kind for entry in entries if entry.body.get("command") == str(number)]
        if "applied" in kinds:
            continue
        last = kinds[-1] if kinds else ""
        if last in ("failed", "refused"):
            return Next("failed", step, number)
        if last == "unknown":
            return Next("wait", step, number, "whether it happened cannot be seen: look, then approve --done or --again")
        if last == "applying":
            return Next("verify", step, number)
        if not approved and (step.acts or step.manual):
            why = (
                "a person carries it out, then approves"
                if command["type"] == "manual"
                else f"approval by {step.extension.approval}"
            )
            return Next("wait", step, number, why)
        return Next("apply", step, number)
    return None


def told_of(incident: Incident) -> str:
    """Write what a run's commands may name of its incident."""
    return msgspec.json.encode(msgspec.structs.replace(incident, findings=(), detectors=(), systems=())).decode()


def about(entries: Sequence[Entry]) -> Incident | None:
    """Return the incident as it was when a run began; None in records of before that was kept."""
    told = entries[0].body.get(ABOUT) if entries else None
    return None if told is None else msgspec.json.decode(told, type=Incident)


def command_key(run: str, step: str, number: int) -> str:
    """The same for the same command of the same run: what a target recognises a repetition by."""
    return digest("command", run, step, str(number))


def resolved(playbook: Playbook, step: Step, number: int, incident: Incident, run: str) -> WorkflowStep:
    """Fill a command's variables (CACAO 2.0 section 10.18): percent-encoded in a start line, as they are elsewhere."""
    values = {
        **playbook.variables,
        "__incident_id__": incident.id,
        "__entity_id__": incident.entity.id,
        "__entity_type__": incident.entity.type,
        "__severity__": incident.severity,
        "__run_id__": run,
    }
    command = dict(step.commands[number])
    if command["type"] == "http-api":
        command["command"] = _fill(command["command"], {name: quote(value, safe="") for name, value in values.items()})
        command["content"] = _fill(command.get("content", ""), {name: _in_json(value) for name, value in values.items()})
    else:
        command["command"] = _fill(command.get("command", ""), values)
    if step.extension.verify is not None:
        line = _fill(step.extension.verify.command, {name: quote(value, safe="") for name, value in values.items()})
        command["verify"] = {"command": line, "status": step.extension.verify.status}
    return WorkflowStep(step.id, command["type"], command, step.target, values)


def _fill(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"(__[A-Za-z_][\w-]*?__):value", lambda found: values.get(found[1], found[0]), text)


def _in_json(value: Any) -> str:
    return msgspec.json.encode(str(value)).decode()[1:-1]
