"""All Sigma rules as one Matcher: values are judged once, and what follows from them is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from importlib.metadata import version
from os import getpid
from pathlib import Path
from typing import Any

import msgspec

from xmsec.content.detectors import DetectorFile
from xmsec.detect.holds import View, holds, true_leaves, true_term
from xmsec.detect.judge import Judge
from xmsec.detect.scope import Candidate, Scope
from xmsec.detect.terms import Compiled, Leaf, fields_of, written
from xmsec.detect.verdict import decided, need, worth_judging
from xmsec.model.errors import ContentError
from xmsec.model.types import Event, Explanation

_FORM = "1"  # of the compiled rules; another number makes old caches void
_VALUE = 80  # characters of a value that an explanation shows
STREAM, SYSTEM, DATASET = "xmsec.stream", "xmsec.system", "xmsec.dataset"  # what an event says of itself, for rules that ask


class RuleSet:
    """The loaded Sigma rules; `fields` are those that they read.

    scopes: the streams that a rule is about, by its id; one that is not named here is about every stream.
    """

    def __init__(
        self, rules: Sequence[Compiled], cache: Path | None = None, scopes: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        self.scopes = dict(scopes or {})
        self.rules = {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id)}
        nodes = [rule.node for rule in self.rules.values()]
        self.fields = frozenset(field for node in nodes for field in fields_of(node))
        self._leaves = worth_judging(nodes)
        self._judge = Judge(list(self._leaves), cache)
        self._candidates = {
            name: Candidate(name, decided(rule.node, self._leaves), need(rule.node), holds(rule.node))
            for name, rule in self.rules.items()
        }
        self._by_stream: dict[str, Scope] = {}
        self._own = bool(self.fields & {STREAM, SYSTEM, DATASET})

    def match(self, batch: Sequence[Event]) -> Sequence[tuple[str, ...]]:
        """Return, for each event, the sorted ids of the rules that hold; a rejected record matches nothing."""
        documents = [{} if event.flags and "rejected" in event.flags else self._fields(event) for event in batch]
        return self.match_fields(documents, [event.stream for event in batch])

    def match_fields(self, batch: Sequence[Mapping[str, Any]], streams: Sequence[str] = ()) -> list[tuple[str, ...]]:
        """Return the same for flat documents; without their streams no rule's scope is looked at."""
        if self._judge.full:
            self._judge.forget()
        scopes = [self._scope(stream) for stream in streams] if streams else [self._scope("")] * len(batch)
        true = [scope.true(fields) for scope, fields in zip(scopes, batch, strict=True)]
        if None in true:
            self._judge.answer()
            true = [
                scope.true(fields) if found is None else found for found, scope, fields in zip(true, scopes, batch, strict=True)
            ]
        told = [scope.told(found, fields) for found, scope, fields in zip(true, scopes, batch, strict=True)]
        self._judge.pass_by()
        return told

    def _scope(self, stream: str) -> Scope:
        scope = self._by_stream.get(stream)
        if scope is None:
            rules = [
                rule for name, rule in self._candidates.items() if not stream or stream in self.scopes.get(name, (stream,))
            ]
            fields = frozenset(field for rule in rules for field in fields_of(self.rules[rule.id].node))
            scope = self._by_stream[stream] = Scope(rules, self._leaves, self._judge, fields)
        return scope

    def every(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what `match_fields` does for one document, evaluating every rule: what the index is tested against."""
        view = View(fields)
        return tuple(name for name, rule in self._candidates.items() if fields and rule.holds(view))

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


def compile_rules(
    files: Iterable[DetectorFile], cache: Path | None = None, streams: Iterable[str] = ()
) -> tuple[RuleSet, list[ContentError]]:
    """Compile the Sigma rules among the files; gives what is good and all problems.

    cache: a folder in which the compiled form is kept under the hash of what the files say (pySigma parses 300 rules a second).
    streams: those of the deployment; a rule whose `logsource` names one as `service`, or its system as `product`, is about it.
    """
    wanted = [file for file in files if file.type == "sigma"]
    path = cache / f"sigma-{_hash(wanted)}.mp" if cache is not None else None
    kept = _kept(path)
    known = {rule.id for rule in kept}
    rules, problems = _translated(file for file in wanted if file.id not in known)
    if path is not None and rules:
        _write(path, msgspec.msgpack.encode([*kept, *rules]))
    return RuleSet([*kept, *rules], cache, _scopes(wanted, sorted(streams))), problems


def _scopes(files: Iterable[DetectorFile], streams: Sequence[str]) -> dict[str, frozenset[str]]:
    scopes: dict[str, frozenset[str]] = {}
    for file in files:
        source = file.body.get("logsource")
        service, product = (source.get("service"), source.get("product")) if isinstance(source, dict) else (None, None)
        found = [stream for stream in streams if service == stream or (not service and stream.startswith(f"{product}."))]
        if found:
            scopes[file.id] = frozenset(found)
    return scopes


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
    content = None if path is None else _read(path)
    try:
        return [] if content is None else msgspec.msgpack.decode(content, type=list[Compiled])
    except (msgspec.DecodeError, msgspec.ValidationError):  # an older form
        return []


def _write(path: Path, content: bytes) -> None:
    """Write a cache file under its own hash, by rename, so that nobody reads half of it; no cache is no error."""
    part = path.with_suffix(f".{getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(blake2b(content, digest_size=16).digest() + content)
        part.replace(path)
    except OSError:
        return


def _read(path: Path) -> bytes | None:
    """Read a cache file; None when there is none, or when its bytes are not those that were written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content[16:] if blake2b(content[16:], digest_size=16).digest() == content[:16] else None
