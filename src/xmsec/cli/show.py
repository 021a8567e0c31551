"""Findings and incidents as people read them on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xmsec.cli.output import table, write
from xmsec.model.clock import rfc3339

if TYPE_CHECKING:
    from xmsec.findings.scope import Scope
    from xmsec.respond.timeline import Moment
    from xmsec.runtime.cases import Course

GRAVEST = 5
TOLD = 50  # moments of a timeline on a terminal


def findings_table(findings: Sequence[Mapping[str, Any]]) -> None:
    """Print findings, one a line."""
    cells = [
        [
            one["severity"],
            str(one["risk"]),
            one["title"].replace(" · ", "\n"),
            _name(one["entity"]["id"]),
            str(one["count"]),
            _minute(one["first_seen"]),
            _minute(one["time"]),
            one["detector"],
        ]
        for one in findings
    ]
    table(["severity", "risk", "finding", "entity", "count", "first", "last", "detector"], cells)


def coverage(findings: Sequence[Mapping[str, Any]], counted: Mapping[str, Any], missing: Sequence[str]) -> None:
    """Print what became of every line, and what was not seen."""
    numbers = ", ".join(f"{counted[name]} {name}" for name in ("parsed", "blank", "cut", "replaced", "late") if counted[name])
    refused = sum(counted["rejected"].values())
    write(f"\nCoverage · 覆盖: {counted['lines']} lines: {numbers}, {refused} rejected")
    for reason, count in counted["rejected"].items():
        write(f"  rejected {count} × {reason}")
    tokens = ", ".join(f"{count} {kind}" for kind, count in counted["tokens"].items())
    write(f"  sensitive values replaced by tokens: {tokens or 'none found'}")
    for one in findings:
        if one["kind"] == "coverage":
            write(f"  [{one['severity']}] {one['title']} ({one['window']['start'][:10]} {one['stream']})")
            for reason in one["explanation"][:3]:
                write(f"      {reason['what']}: {reason['value']}")
    for line in missing:
        write(f"  {line}")
    write("  An access log holds no response bodies: what was handed out, and to whom it belonged, is not seen here.")
    write("  访问日志不含响应内容:交付了什么数据、属于谁,此处看不到。")


def gravest(findings: Sequence[Mapping[str, Any]]) -> None:
    """Print the gravest findings and the next command to type for each."""
    worst = sorted(findings, key=lambda one: (-one["risk"], one["time"], one["id"]))[:GRAVEST]
    if not worst:
        return
    write(f"\nThe {len(worst)} gravest · 最严重的 {len(worst)} 项")
    for number, one in enumerate(worst, 1):
        write(f"{number}. [{one['severity']}] {one['title']}")
        span = f"{_minute(one['first_seen'])} – {_minute(one['time'])}"
        write(f"   {one['entity']['type']} {_name(one['entity']['id'])} · {one['count']} × · {span}")
        for reason in one["explanation"][:2]:
            usual = f" (usual: {reason['usual']})" if reason["usual"] else ""
            write(f"   {reason['what']}: {reason['value']}{usual}")
        if one["incident"]:
            write(f"   next: xmsec incidents show {one['incident'][:12]}")


def incident_page(course: Course) -> None:
    """Print one incident with all that explains it."""
    row, findings = course.incident, course.findings
    write(f"{row['id']}  {row['severity']}, risk {row['risk']}, {row['state']}, {row['status']}")
    write(
        f"{row['entity']['type']} {_name(row['entity']['id'])} · opened {_minute(row['opened'])} · {', '.join(row['systems'])}"
    )
    _scope(course.scope)
    _timeline(course.timeline)
    for one in findings:
        write(f"\n[{one['severity']}] {one['title']}  ({one['detector']} {one['version']}, {one['kind']}, {one['state']})")
        write(f"  {one['id']}")
        write(f"  {one['count']} events, {_minute(one['first_seen'])} – {_minute(one['time'])}, grade {one['grade'] or 'none'}")
        for reason in one["explanation"]:
            write(f"  why: {reason['what']}: {reason['value']}" + (f"  (usual: {reason['usual']})" if reason["usual"] else ""))
        for event in one["evidence"]:
            write(f"  seen: {event['time']} {event['stream']} {_line(event['fields'])}")
        for playbook in one["playbooks"]:
            write(f"  next: xmsec playbook rehearse {playbook} --incident {row['id'][:12]}")
    if row["related"]:
        write("\nrelated: " + ", ".join(one[:12] for one in row["related"]))
    sys.stdout.flush()


def _scope(found: Scope | None) -> None:
    if found is None:
        return
    more = "at least " if found.at_least else ""
    people = ", ".join(f"{count} {kind}" for kind, count in found.subjects.items()) or "none seen"
    write(f"\nscope · 范围: {found.findings} findings, {found.events} events, {len(found.entities)} entities")
    write(f"  datasets: {', '.join(found.datasets) or 'none named'}")
    write(f"  grades: {', '.join(f'{level} × {count}' for level, count in found.grades.items()) or 'none'}")
    write(f"  distinct subjects in the evidence: {more}{people}")


def _timeline(moments: Sequence[Moment]) -> None:
    write("\ntimeline · 时间线")
    for one in moments[:TOLD]:
        about = f" [{', '.join(name[:12] for name in one.about)}]" if one.about else ""
        write(f"  {rfc3339(one.at)[:16].replace('T', ' ')}  {one.what}  {one.by}  {one.text}{about}")
    if len(moments) > TOLD:
        write(f"  and {len(moments) - TOLD} more, see --format json")


def _name(entity: str) -> str:
    """Write an entity's composite value with a slash between its parts."""
    return entity.replace("\x1f", " / ")


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _line(fields: Mapping[str, Any], above: str = "") -> str:
    parts = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            parts.append(_line(value, f"{above}{name}."))
        else:
            parts.append(f"{above}{name}={value}")
    return " ".join(parts)
