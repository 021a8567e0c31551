"""One finding as other systems take it: an ECS alert, an OCSF Detection Finding, a CEF line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from xmsec.model.clock import rfc3339
from xmsec.model.types import SEVERITIES, UNIT_SEPARATOR, Event, Finding, KeyKind

ECS_VERSION = "8.17.0"
OCSF_VERSION = "1.6.0"
PRODUCT = {"name": "xmsec", "vendor_name": "xmsec"}
DETECTION_FINDING = 2004
_ANALYTIC: Mapping[str, int] = {"anomaly": 4, "silence": 3, "coverage": 3}  # OCSF: 1 rule, 3 statistical, 4 learning
_ECS_ENTITY: Mapping[KeyKind, str] = {"user": "user.id", "address": "source.ip", "device": "host.id"}
_CEF_ENTITY: Mapping[KeyKind, str] = {"user": "suser", "address": "src", "device": "dvchost"}
_CEF_SEVERITY = (1, 3, 5, 8, 10)
CEF_CHARACTERS = 1_023  # of `msg`, in ArcSight's dictionary


def ecs(finding: Finding, version: str) -> dict[str, Any]:
    """Write an alert in ECS; what ECS has no name for stands under `xmsec`."""
    document: dict[str, Any] = {
        "@timestamp": rfc3339(finding.time),
        "ecs": {"version": ECS_VERSION},
        "message": finding.title,
        "event": {
            "id": finding.id,
            "kind": "alert",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "module": "xmsec",
            "dataset": "xmsec.finding",
            "start": rfc3339(finding.first_seen),
            "end": rfc3339(finding.time),
            "risk_score": finding.risk,
            "severity": SEVERITIES.index(finding.severity),
        },
        "observer": {"product": "xmsec", "vendor": "xmsec", "version": version},
        "rule": {"id": finding.detector, "name": finding.title, "version": finding.version, "category": finding.kind},
        "xmsec": {"finding": _finding(finding)},
    }
    name = _ECS_ENTITY.get(finding.entity.type)
    if name is not None:
        parent, child = name.split(".")
        document[parent] = {child: finding.entity.id}
    return document


def ocsf(finding: Finding, version: str, *, again: bool) -> dict[str, Any]:
    """Write an OCSF Detection Finding (class 2004); again: the receiver was told of it before."""
    activity = 2 if again else 1
    datasets = sorted({name for event in finding.evidence for name in event.datasets})
    analytic = {"type_id": _ANALYTIC.get(finding.kind, 1), "uid": finding.detector, "name": finding.title}
    return {
        "category_uid": 2,
        "class_uid": DETECTION_FINDING,
        "activity_id": activity,
        "type_uid": DETECTION_FINDING * 100 + activity,
        "time": _ms(finding.first_seen),
        "start_time": _ms(finding.first_seen),
        "end_time": _ms(finding.time),
        "severity_id": SEVERITIES.index(finding.severity) + 1,
        "severity": finding.severity.capitalize(),
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "message": finding.title,
        "count": finding.count,
        "risk_score": finding.risk,
        "metadata": {"version": OCSF_VERSION, "product": {**PRODUCT, "version": version}, "uid": finding.id},
        "finding_info": {
            "uid": finding.id,
            "title": finding.title,
            "types": [finding.kind],
            "desc": "; ".join(f"{one.what}: {one.value}" for one in finding.explanation),
            "first_seen_time": _ms(finding.first_seen),
            "last_seen_time": _ms(finding.time),
            "related_events_count": finding.count,
            "analytic": {**analytic, "version": finding.version},
        },
        "resources": [{"type": "dataset", "uid": one} for one in datasets],
        "evidences": [_evidence(event) for event in finding.evidence],
        "unmapped": {"xmsec": _finding(finding)},
    }


def _evidence(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"uid": event.id, "data": {"time": _ms(event.time), "stream": event.stream, **event.fields}}
    user, address = event.fields.get("user.id") or event.fields.get("user.name"), event.fields.get("source.ip")
    if user is not None:
        found["actor"] = {"user": {"uid": str(user)}}
    if address is not None:
        found["src_endpoint"] = {"ip": str(address)}
    return found


def cef(finding: Finding, version: str) -> str:
    """Write a CEF line (ArcSight's Common Event Format, version 0)."""
    header = ("xmsec", "xmsec", version, finding.detector, finding.title)
    reasons = "; ".join(f"{one.what}: {one.value}" + (f" ({one.usual})" if one.usual else "") for one in finding.explanation)
    entity = finding.entity.id.replace(UNIT_SEPARATOR, "/")
    extension = {
        "externalId": finding.id,
        "rt": str(_ms(finding.time)),
        "start": str(_ms(finding.first_seen)),
        "end": str(_ms(finding.time)),
        "cnt": str(finding.count),
        "cat": finding.kind,
        "outcome": finding.state,
        _CEF_ENTITY.get(finding.entity.type, "cs4"): entity,
        **({} if finding.entity.type in _CEF_ENTITY else {"cs4Label": finding.entity.type}),
        **_labelled(1, "system", finding.system),
        **_labelled(2, "stream", finding.stream),
        **(_labelled(3, "grade", finding.grade) if finding.grade else {}),
        "cn1": str(finding.risk),
        "cn1Label": "risk",
        "msg": reasons[:CEF_CHARACTERS],
    }
    written = " ".join(f"{name}={_escaped(value, '=')}" for name, value in extension.items() if value)
    severity = _CEF_SEVERITY[SEVERITIES.index(finding.severity)]
    return f"CEF:0|{'|'.join(_escaped(part, '|') for part in header)}|{severity}|{written}"


def _labelled(number: int, name: str, value: str) -> dict[str, str]:
    return {f"cs{number}": value, f"cs{number}Label": name}


def _escaped(text: str, special: str) -> str:
    """Escape a part as CEF says; other control characters become spaces, so that a line stays one."""
    text = text.replace("\\", "\\\\").replace(special, f"\\{special}")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n" if special == "=" else " ")
    return "".join(character if character.isprintable() else " " for character in text)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _finding(finding: Finding) -> dict[str, Any]:
    """Write what the engine says of a finding, with the names that our own API uses; evidence as ids and flat fields."""
    return {
        "id": finding.id,
        "detector": finding.detector,
        "kind": finding.kind,
        "severity": finding.severity,
        "state": finding.state,
        "system": finding.system,
        "stream": finding.stream,
        "stage": finding.stage,
        "entity": {"type": finding.entity.type, "id": finding.entity.id},
        "grade": finding.grade,
        "labels": list(finding.labels),
        "count": finding.count,
        "window": {"start": rfc3339(finding.window.start), "end": rfc3339(finding.window.end)},
        "events": list(finding.events),
        "explanation": [
            {"what": one.what, "value": one.value, "usual": one.usual, "weight": one.weight} for one in finding.explanation
        ],
        "controls": list(finding.controls),
        "playbooks": list(finding.playbooks),
    }
