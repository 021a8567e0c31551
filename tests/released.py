"""A small deployment whose content changes: two rules, one correlation, one stream, and what was published of it."""

from __future__ import annotations

from pathlib import Path

STREAM = """
id: office.desk
title: {zh: 窗口, en: Desk}
format: json
map: {"@timestamp": at, user.name: who, event.action: what}
identities: [user.name]
samples: [{line: '{"at":"2025-03-03T09:00:00+08:00","who":"lin","what":"export"}', fields: {user.name: lin}}]
"""
RULE = """
title: Rule
title_zh: 规则
name: {name}
id: {uuid}
status: test
description: Tells every {action}.
logsource: {{category: desk}}
detection:
  named:
    event.action: {action}
  condition: named
level: {level}
entity: user.name
window: 1d
tests:
  - name: one
    given: {{events: [{{user.name: lin, event.action: {action}}}]}}
    findings: [{{entity: lin, severity: {level}}}]
  - name: another one
    given: {{events: [{{user.name: lin, event.action: look}}]}}
    findings: []
"""
MANY = """
title: Many
title_zh: 多次
name: many
id: 0c5b1c0e-52a7-5d0e-8a6f-6f0a4a3c9b29
status: test
description: Two prints within a while.
correlation:
  type: event_count
  rules: [print]
  group-by: [user.name]
  timespan: {timespan}
  condition: {{gte: 2}}
level: low
tests:
  - name: two
    given: {{events: [{{user.name: lin, event.action: print, repeat: 2, every: 1s}}]}}
    findings: [{{entity: lin, severity: low, count: 2}}]
  - name: one
    given: {{events: [{{user.name: lin, event.action: print}}]}}
    findings: []
"""
UUIDS = {"export": "1", "print": "2", "erase": "3", "copy": "4"}


def write_content(folder: Path, *, level: str = "low", timespan: str = "1h", more: str = "") -> Path:
    """Write the content anew: `export` at a level, `print` that only feeds `many` of a timespan, and one rule more."""
    (folder / "streams" / "office").mkdir(parents=True, exist_ok=True)
    (folder / "detectors" / "office").mkdir(parents=True, exist_ok=True)
    (folder / "streams" / "office" / "desk.yaml").write_text(STREAM)
    rules = {"export": rule("export", level), "print": rule("print"), "many": MANY.format(timespan=timespan)}
    if more:
        rules[more] = rule(more)
    for name, text in rules.items():
        (folder / "detectors" / "office" / f"{name}.yaml").write_text(text)
    return folder


def rule(name: str, level: str = "low") -> str:
    """Write a rule that holds for the action that it is called after."""
    return RULE.format(name=name, action=name, level=level, uuid=f"7a4e9d52-1f63-5b58-9c0b-2f1d7c5e8a4{UUIDS[name]}")
