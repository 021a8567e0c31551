"""All Sigma rules as one Matcher: an index says which rules can hold, and only those are evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from xmsec.content.detectors import DetectorFile, load_detector_paths
from xmsec.detect.atoms import Index, read_whole, write_whole
from xmsec.detect.holds import View, holds, true_leaves, true_term
from xmsec.detect.terms import Compiled, Leaf, written
from xmsec.model.errors import ContentError, InputError
from xmsec.model.types import Event, Explanation

_FORM = "1"  # of the compiled rules; another number makes old caches void
_VALUE = 80  # characters of a value that an explanation shows
STREAM, SYSTEM, DATASET = "xmsec.stream", "xmsec.system", "xmsec.dataset"  # what an event says of itself, for rules that ask


class RuleSet:
    """The loaded Sigma rules; `fields` are those that they read."""

    def __init__(self, rules: Sequence[Compiled], cache: Path | None = None) -> None:
        self.rules = {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id)}
        self._ordered = list(self.rules.values())
        self._ids = [rule.id for rule in self._ordered]
        self._holds = [holds(rule.node) for rule in self._ordered]
        self._index = Index([rule.node for rule in self._ordered], cache)
        self.fields = self._index.fields
        self._own = bool(self.fields & {STREAM, SYSTEM, DATASET})

    def match(self, batch: Sequence[Event]) -> Sequence[tuple[str, ...]]:
        """Return, for each event, the sorted ids of the rules that hold; a rejected record matches nothing."""
        return self.match_fields([{} if "rejected" in event.flags else self._fields(event) for event in batch])

    def match_fields(self, batch: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
        """Return the same for flat documents."""
        told: list[tuple[str, ...]] = []
        for fields, places in zip(batch, self._index.candidates(batch), strict=True):
            if not places or not fields:
                told.append(())
                continue
            view = View(fields)
            told.append(tuple(self._ids[place] for place in sorted(places) if self._holds[place](view)))
        return told

    def every(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what `match_fields` does for one document, evaluating every rule: what the index is tested against."""
        view = View(fields)
        return tuple(name for name, test in zip(self._ids, self._holds, strict=True) if fields and test(view))

    def why(self, rule: str, event: Event) -> tuple[Explanation, ...]:
        """Say which fields made a rule hold: the field, its tokened value, and the pattern of the rule, heaviest first."""
        compiled = self.rules.get(rule)
        if compiled is None:
            return ()
        view = View(self._fields(event))
        leaves = true_leaves(compiled.node, view)
        return tuple(_reason(leaf, view, 1 / len(leaves)) for leaf in leaves[:5])

    def _fields(self, event: Event) -> Mapping[str, Any]:
        if not self._own:
            return event.fields
        return {**event.fields, STREAM: event.stream, SYSTEM: event.system, DATASET: list(event.datasets)}


def _reason(leaf: Leaf, view: View, weight: float) -> Explanation:
    term, value = true_term(leaf, view)
    shown = value if len(value) <= _VALUE else f"{value[: _VALUE - 1]}…"
    return Explanation(leaf.field or "keyword", shown, written(term), round(weight, 3))


def compile_rules(files: Iterable[DetectorFile], cache: Path | None = None) -> tuple[RuleSet, list[ContentError]]:
    """Compile the Sigma rules among the files; gives what is good and all problems.

    cache: a folder in which the compiled form is kept under the hash of what the files say (pySigma parses 300 rules a second).
    """
    wanted = [file for file in files if file.type == "sigma"]
    path = cache / f"sigma-{_hash(wanted)}.mp" if cache is not None else None
    kept = _kept(path)
    known = {rule.id for rule in kept}
    rules, problems = _translated(file for file in wanted if file.id not in known)
    if path is not None and rules:
        write_whole(path, msgspec.msgpack.encode([*kept, *rules]))
    return RuleSet([*kept, *rules], cache), problems


def _translated(files: Iterable[DetectorFile]) -> tuple[list[Compiled], list[ContentError]]:
    rules: list[Compiled] = []
    problems: list[ContentError] = []
    for file in files:
        from xmsec.detect.translate import translate  # here, so that nothing imports pySigma when the cache knows all rules

        try:
            rules.append(translate(file))
        except ContentError as error:
            problems.append(error)
    return rules, problems


def _hash(files: Iterable[DetectorFile]) -> str:
    total = blake2b(f"{_FORM} {version('pysigma')}".encode(), digest_size=16)
    for file in files:
        total.update(msgspec.msgpack.encode((file.id, file.rule, file.title, file.body)))
    return total.hexdigest()


def _kept(path: Path | None) -> list[Compiled]:
    content = read_whole(path)
    try:
        return [] if content is None else msgspec.msgpack.decode(content, type=list[Compiled])
    except (msgspec.DecodeError, msgspec.ValidationError):  # an older form
        return []


def flatten(document: Mapping[str, Any]) -> dict[str, Any]:
    """Make a nested document flat: dotted names to values, lists of objects to lists of values; names as written win.

    >>> flatten({"a": {"b": 1}, "c.d": "x"})
    {'a': {'b': 1}, 'a.b': 1, 'c.d': 'x'}
    """
    flat: dict[str, Any] = {}
    _spread(document, "", flat, 0)
    return {**flat, **document}


def _spread(value: Any, name: str, flat: dict[str, Any], depth: int) -> None:
    if depth > 64:
        raise InputError("nested-too-deep", remedy="an event nests at most 64 objects")
    if isinstance(value, Mapping):
        if name:
            flat.setdefault(name, value)
        for key, inner in value.items():
            _spread(inner, f"{name}.{key}" if name else str(key), flat, depth + 1)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for item in value:
            below: dict[str, Any] = {}
            _spread(item, name, below, depth + 1)
            for key, found in below.items():
                flat[key] = [*_list(flat.get(key)), *_list(found)]
    else:
        flat[name] = value


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


class Hit(msgspec.Struct, frozen=True):
    """One match as `detectors match` prints it: the event's line from 0, Sigma's id of the rule, its title."""

    event: int
    rule: str
    title: str


def rules_match(
    rules: Sequence[Path], lines: Iterable[bytes | str], cache: Path | None = None
) -> tuple[Iterator[Hit], list[ContentError]]:
    """Match JSONL events against plain Sigma rules.

    rules: files, or folders of them. Gives the matches in the order of the events (and of the rules' ids), as they are
    consumed, and at once the files that did not load. A line that is not a JSON object raises InputError with its number.
    """
    files, problems = load_detector_paths(rule_files(rules))
    others = [file.error("no Sigma rule", "$", "match takes rules only") for file in files if file.type != "sigma"]
    ruleset, wrong = compile_rules(files, cache)
    return _hits(ruleset, {file.id: file for file in files}, lines), [*problems, *others, *wrong]


def rule_files(paths: Iterable[Path]) -> list[Path]:
    """List the YAML files among paths and below folders, sorted."""
    found: list[Path] = []
    for path in paths:
        inside = (inner for inner in path.rglob("*") if inner.suffix in (".yml", ".yaml") and inner.is_file())
        found += sorted(inside) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _hits(rules: RuleSet, files: Mapping[str, DetectorFile], lines: Iterable[bytes | str]) -> Iterator[Hit]:
    for start, batch in _batches(lines):
        for number, matched in enumerate(rules.match_fields(batch), start):
            for name in matched:
                yield Hit(number, files[name].rule, str(files[name].body["title"]))


def _batches(lines: Iterable[bytes | str], size: int = 500) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    batch: list[dict[str, Any]] = []
    start = 0
    for number, line in enumerate(lines):
        batch.append(_document(line, number))
        if len(batch) == size:
            yield start, batch
            batch, start = [], number + 1
    yield start, batch


def _document(line: bytes | str, number: int) -> dict[str, Any]:
    """Read one line; a blank line is an event without fields."""
    if not line.strip():
        return {}
    try:
        found = json.loads(line)
        if isinstance(found, dict):
            return flatten(found)
    except (ValueError, RecursionError) as error:
        raise InputError("not-json", where=f"line {number}", remedy="one JSON object a line") from error
    raise InputError("not-an-object", where=f"line {number}", remedy="one JSON object a line")
