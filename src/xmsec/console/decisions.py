"""What people decide of an incident as a page and the API do it alike: within reach, carried out, and noted in the audit trail.

Each takes the incident's record as who asks may see it under the permission that the decision needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from xmsec.console.ask import Ask
from xmsec.model.errors import ConfigError, PolicyError, XmsecError
from xmsec.model.ids import intent_id
from xmsec.model.ports import Query
from xmsec.model.types import Act
from xmsec.respond.chain import Entry
from xmsec.respond.drive import HeldError, TargetError
from xmsec.runtime import approval, cases

Row = Mapping[str, Any]


class RoleError(PolicyError):
    """A playbook names another role for this step."""


class NoRunError(ConfigError):
    """An incident has no such run."""


# What a decision that was not carried out is told with: in this order, because the later ones hold the earlier ones.
REFUSALS: Sequence[tuple[type[XmsecError], int, str]] = (
    (HeldError, 409, "incidents.held"),
    (RoleError, 403, "incidents.another-role"),
    (PolicyError, 409, "incidents.moved-on"),
    (ConfigError, 400, "incidents.cannot"),
)


def refusal(error: XmsecError) -> tuple[int, str]:
    """Return the status and the text that say why a decision was not carried out."""
    return next((status, text) for kind, status, text in REFUSALS if isinstance(error, kind))


def merge(ask: Ask, saying: cases.Said, row: Row, others: Sequence[str]) -> Act:
    """Make other incidents part of one. Raises ConfigError."""
    names = sorted({*others})
    act = cases.merge(ask.place("incidents.act"), saying, row["id"], names)
    ask.note("incident.merge", row["id"], others=" ".join(names))
    return act


def split(ask: Ask, saying: cases.Said, row: Row, findings: Sequence[str]) -> Act:
    """Make some of an incident's findings one of their own. Raises ConfigError."""
    names = sorted(held(ask, findings))
    act = cases.split(ask.place("incidents.act"), saying, row["id"], names)
    for each in names:
        ask.note("finding.split", each, incident=row["id"], into=act.into)
    return act


def move(ask: Ask, saying: cases.Said, findings: Sequence[str], into: str) -> Act:
    """Put findings into an incident. Raises ConfigError."""
    sources = held(ask, findings)
    act = cases.move(ask.place("incidents.act"), saying, sorted(sources), into)
    for each, source in sorted(sources.items()):
        ask.note("finding.move", each, incident=source, into=into)
    return act


def held(ask: Ask, findings: Sequence[str]) -> Mapping[str, str]:
    """Return findings with their incidents, if all may be changed: an incident's record names those of foreign systems, too."""
    names = tuple({*findings})
    rows = ask.reader("incidents.act").page(Query("findings", {"id": names}, limit=len(names))).rows if names else ()
    if not names or len(rows) != len(names):
        raise ConfigError("no such findings", remedy="name findings that may be seen")
    return {row["id"]: row["incident"] or "" for row in rows}


def begin(ask: Ask, row: Row, playbook: str) -> str:
    """Begin a playbook run for an incident, unless it has begun; return its id. Raises ConfigError, TargetError."""
    incident = cases.told_of(ask.reader("runs.approve"), row["id"])
    run = intent_id(playbook, incident.id)
    with _noted(ask, "run.begin", run, incident=incident.id, playbook=playbook):
        approval.begin(ask.house.records.means, playbook, incident, ask.who.name)
    return run


def runs_of(ask: Ask, row: Row) -> Mapping[str, Sequence[Entry]]:
    """Return the runs of an incident and of those that became part of it, with what is recorded of them."""
    return ask.house.records.means.runs.of(ask.house.records.acts.parts(row["id"]))


def decide(ask: Ask, row: Row, run: str, word: approval.Word | None, action: str) -> None:
    """Say something of the step that a run waits with; None: go on with it. Raises ConfigError, PolicyError, TargetError."""
    means, entries = ask.house.records.means, runs_of(ask, row).get(run, ())
    if not entries:
        raise NoRunError("no such run", where=row["id"], remedy="look at the incident again")
    stands = means.stands(entries)
    if stands is not None and stands.doing == "wait" and not stands_in(ask, row, stands.step.extension.approval):
        raise RoleError(stands.why, where=run, remedy="ask somebody who has this role")
    step = "" if word is None else word.step
    with _noted(ask, f"run.{action}", run, incident=row["id"], step=step):
        if word is None:
            approval.resume(means, run, ask.who.name)
        else:
            approval.decide(means, run, word)


def stands_in(ask: Ask, row: Row, role: str) -> bool:
    """Whether who asks has a role for one of an incident's systems."""
    return any(ask.who.acts_as(role, system) for system in row["systems"])


@contextmanager
def _noted(ask: Ask, kind: str, run: str, **body: str) -> Iterator[None]:
    """Note what was said of a run; also where its target is away: the word stands, what the target did is not known yet."""
    try:
        yield
    except TargetError:
        ask.note(kind, run, **body, target="away")
        raise
    ask.note(kind, run, **body)
