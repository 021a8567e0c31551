"""An incident's course: what was found, what people decided, what playbooks did, in the order of its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from xmsec.model.clock import from_rfc3339
from xmsec.model.types import Act
from xmsec.respond.chain import Entry

Sort = Literal["finding", "act", "step"]


class Moment(msgspec.Struct, frozen=True):
    """One line of the course. what: a severity, an act's or a run entry's kind; by: a detector, a person, or who ran a step."""

    at: datetime
    sort: Sort
    what: str
    by: str
    text: str
    about: tuple[str, ...] = ()
    act: Act | None = None


def timeline(findings: Iterable[Mapping[str, Any]], acts: Iterable[Act], entries: Iterable[Entry]) -> list[Moment]:
    """Put together records of findings, acts and playbook runs."""
    moments = [*map(_found, findings), *map(_decided, acts), *map(_done, entries)]
    return sorted(moments, key=lambda one: (one.at, one.sort, one.what, one.about, one.text))


def _found(row: Mapping[str, Any]) -> Moment:
    text = f"{row['title']} ({row['count']})"
    return Moment(from_rfc3339(row["first_seen"]), "finding", row["severity"], row["detector"], text, (row["id"],))


def _decided(act: Act) -> Moment:
    texts = {"comment": act.text, "status": f"{act.status} {act.assignee or ''}".strip()}
    return Moment(act.at, "act", act.kind, act.by, texts.get(act.kind, ""), (*act.about, *act.findings), act)


def _done(entry: Entry) -> Moment:
    return Moment(from_rfc3339(entry.at), "step", entry.kind, entry.by, entry.step, (entry.run,))
