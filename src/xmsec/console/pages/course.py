"""An incident's timeline in the language of who reads it: findings, people and playbooks in one order, the latest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from xmsec.console.ask import Ask
from xmsec.console.pages.runs import step_name
from xmsec.model.clock import rfc3339
from xmsec.model.types import Act
from xmsec.respond.chain import Entry
from xmsec.respond.timeline import Moment
from xmsec.runtime.cases import Course

SHOWN = 300  # moments of a timeline: a person reads the latest ones


class Happening(msgspec.Struct, frozen=True):
    """One line. mark: a severity, or who did it (`person`, `playbook`); said: our words; quoted: a log's or a person's."""

    at: str
    mark: str
    by: str
    said: str = ""
    quoted: str = ""
    link: str = ""


def happenings(ask: Ask, course: Course) -> list[Happening]:
    """Tell what happened to an incident."""
    findings = {row["id"]: row for row in course.findings}
    latest = sorted(course.timeline, key=_at, reverse=True)[:SHOWN]
    return [_told(ask, moment, findings, course.runs) for moment in latest]


def _at(moment: Moment) -> datetime:
    return moment.at


def _told(ask: Ask, moment: Moment, findings: Mapping[str, dict[str, Any]], runs: Mapping[str, Sequence[Entry]]) -> Happening:
    at = rfc3339(moment.at)
    if moment.act is not None:
        said, quoted, link = _decided(ask, moment.act, findings)
        return Happening(at, "person", moment.by, said, quoted, link)
    if moment.sort == "finding":
        row = findings[moment.about[0]]
        said = ask.t("incidents.moment-finding", n=row["count"])
        return Happening(at, moment.what, moment.by, said, ask.said(row["title"]), f"/findings/{row['id']}")
    step = ask.said(step_name(ask, runs[moment.about[0]], moment.text)) if moment.text else ""
    return Happening(at, "playbook", moment.by, ask.t(f"incidents.moment-{moment.what}"), step, f"#run-{moment.about[0]}")


def _decided(ask: Ask, act: Act, findings: Mapping[str, Any]) -> tuple[str, str, str]:
    """Say what a person decided: in our words, in theirs, and where it leads."""
    own = sum(one in findings for one in act.findings)
    if act.kind == "comment":
        return ask.t("incidents.moment-comment"), act.text, ""
    if act.kind == "status":
        status = ask.t(f"base.status-{act.status}")
        kind = "status-findings" if act.findings else "assigned" if act.assignee else "status"
        said = ask.t(f"incidents.moment-{kind}", status=status, n=own)
        return said, act.assignee or "", ""
    if act.kind == "merge":
        return ask.t("incidents.moment-merge", n=len(act.incidents)), ", ".join(one[:12] for one in act.incidents), ""
    other = act.into if act.kind == "split" else act.incident
    said = ask.t(f"incidents.moment-{act.kind}", n=len(act.findings))
    return said, other[:12], f"/incidents/{other}"
