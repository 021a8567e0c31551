"""A small deployment's own content: doors that write JSON lines, and a rule that tells of those that are forced."""

from __future__ import annotations

from pathlib import Path

STREAM = """
id: office.door
title: {{zh: 门禁, en: Doors}}
format: json
map: {{"@timestamp": {time}, user.name: who, event.action: what, message: note}}
identities: [user.name]
typed: [event.action]
paths: [{paths}]
idle_s: 1
samples:
  - line: '{{"{time}":"2025-03-03T09:00:00+08:00","who":"lin","what":"opened"}}'
    fields: {{user.name: lin, event.action: opened}}
"""
DETECTOR = """
title: Door forced
title_zh: 门被强行打开
id: 3d9a1f52-0c55-5f5e-9a4e-6f1f0f4d7a10
name: door-forced
status: test
level: high
logsource: {product: office, service: office.door}
detection: {forced: {event.action: forced}, condition: forced}
entity: user.name
playbooks: [contain-account]
tests:
  - name: a door is forced
    given: {events: [{stream: office.door, user.name: lin, event.action: forced}]}
    findings: [{entity: lin, severity: high}]
  - name: a door is opened
    given: {events: [{stream: office.door, user.name: lin, event.action: opened}]}
    findings: []
"""


def stream(paths: str = "", time: str = "ts") -> str:
    """The stream's file. paths: a pattern of files that a service follows; time: where the parser looks for it."""
    return STREAM.format(paths=f'"{paths}"' if paths else "", time=time)


def doors(top: Path, paths: str = "", time: str = "ts") -> Path:
    """Write the content into a directory, over what is there; return it."""
    for kind, name, text in (("streams", "door", stream(paths, time)), ("detectors", "door-forced", DETECTOR)):
        path = top / kind / "office" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top
