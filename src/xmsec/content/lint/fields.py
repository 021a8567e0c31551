"""Fields that a detector reads and no stream carries: such a rule never fires, and nobody would notice."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from xmsec.content.detectors import DetectorFile
from xmsec.content.lint.issue import Issue, Known, issue


def carried(file: DetectorFile, known: Known) -> Iterator[Issue]:
    """Every field that a file names is carried by some stream; pseudo-fields of ours (`xmsec.*`) always are."""
    if not known.fields_by_stream:
        return
    fields = known.fields
    for field, at in fields_of(file):
        if field not in fields and not field.startswith("xmsec."):
            near = get_close_matches(field, sorted(fields), 1)
            hint = f'nearest: "{near[0]}"; ' if near else ""
            yield issue(file, f'field "{field}" is in no stream', at, f"{hint}correct it or declare it under streams/")


def fields_of(file: DetectorFile) -> list[tuple[str, str]]:
    """Return the fields that a file names, with the place of each, in order and each once."""
    found: dict[str, str] = {}
    body = file.body
    for name, detection in _mapping(body.get("detection")).items():
        if name not in ("condition", "timeframe"):
            _walk(detection, f"$.detection.{name}", found)
    _walk(body.get("selection"), "$.selection", found)
    correlation = _mapping(body.get("correlation"))
    group_by = correlation.get("group-by", [])
    for field in [group_by] if isinstance(group_by, str) else group_by:
        found.setdefault(str(field), "$.correlation.group-by")
    field = _mapping(correlation.get("condition")).get("field")
    if isinstance(field, str):
        found.setdefault(field, "$.correlation.condition.field")
    return list(found.items())


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _walk(detection: Any, at: str, found: dict[str, str]) -> None:
    if isinstance(detection, list):
        for place, item in enumerate(detection):
            _walk(item, f"{at}[{place}]", found)
    for key, value in _mapping(detection).items():
        field, *modifiers = str(key).split("|")
        if field:
            found.setdefault(field, at)
        if "fieldref" in modifiers:
            for other in value if isinstance(value, list) else [value]:
                found.setdefault(str(other), at)
