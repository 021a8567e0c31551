"""Plain Sigma: which rules match which of the events in a JSONL file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xmsec.content.detectors import DetectorFile, load_detector_paths
from xmsec.content.flatten import flatten
from xmsec.detect.match import RuleSet, compile_rules
from xmsec.model.errors import ContentError, InputError


class Hit(msgspec.Struct, frozen=True):
    """One match as `detectors match` prints it: the event's line from 0, Sigma's id of the rule, its title."""

    event: int
    rule: str
    title: str


class Matching(msgspec.Struct, frozen=True):
    """Matches in the order of the events (and of the rules' ids), as they are consumed.

    problems: the files that did not load, known at once; refused: lines that are no JSON object, as they are met.
    """

    hits: Iterator[Hit]
    problems: list[ContentError]
    refused: list[InputError]


def rules_match(rules: Sequence[Path], lines: Iterable[bytes | str], cache: Path | None = None) -> Matching:
    """Match JSONL events against plain Sigma rules.

    rules: files, or folders of them. A line that is not a JSON object is named by its number; the others are matched.
    """
    files, problems = load_detector_paths(rule_files(rules))
    others = [file.error("no Sigma rule", "$", "match takes rules only") for file in files if file.type != "sigma"]
    ruleset, wrong = compile_rules(files, cache)
    refused: list[InputError] = []
    hits = _hits(ruleset, {file.id: file for file in files}, _batches(lines, refused))
    return Matching(hits, [*problems, *others, *wrong], refused)


def rule_files(paths: Iterable[Path]) -> list[Path]:
    """List the YAML files among paths and below folders, sorted."""
    found: list[Path] = []
    for path in paths:
        inside = (inner for inner in path.rglob("*") if inner.suffix in (".yml", ".yaml") and inner.is_file())
        found += sorted(inside) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _hits(
    rules: RuleSet, files: Mapping[str, DetectorFile], batches: Iterable[tuple[int, list[dict[str, Any]]]]
) -> Iterator[Hit]:
    for start, batch in batches:
        for number, matched in enumerate(rules.match_fields(batch), start):
            for name in matched:
                yield Hit(number, files[name].rule, str(files[name].body["title"]))


def _batches(
    lines: Iterable[bytes | str], refused: list[InputError], size: int = 500
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    batch: list[dict[str, Any]] = []
    start = 0
    for number, line in enumerate(lines):
        try:
            batch.append(_document(line, number))
        except InputError as error:
            refused.append(error)
            batch.append({})
        if len(batch) == size:
            yield start, batch
            batch, start = [], number + 1
    yield start, batch


def _document(line: bytes | str, number: int) -> dict[str, Any]:
    """Read one line; a blank line is no event, an empty object is one in which every field is null."""
    if not line.strip():
        return {}
    try:
        found = json.loads(line)
        if isinstance(found, dict):
            return flatten(found) or {"": None}
    except (ValueError, RecursionError) as error:
        raise InputError("not-json", where=f"line {number}", remedy="one JSON object a line") from error
    raise InputError("not-an-object", where=f"line {number}", remedy="one JSON object a line")
