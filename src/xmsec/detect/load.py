"""Detector files become detectors: one table from kind to builder, and the matcher that all of them share.

To add a kind: its module under `kinds/`, and one line in `BUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

import msgspec

from xmsec.content.detectors import DetectorFile
from xmsec.content.recipes import Recipe
from xmsec.content.streams import Stream
from xmsec.detect.kinds.anomaly import load_anomalies
from xmsec.detect.kinds.contract import contract_of, selection_of
from xmsec.detect.kinds.correlation import Correlation, correlation_of, references
from xmsec.detect.kinds.coverage import coverage_of
from xmsec.detect.kinds.sigma import SigmaFold, Told, told_of
from xmsec.detect.kinds.silence import silence_of
from xmsec.detect.match import RuleSet, compile_rules
from xmsec.detect.terms import fields_of
from xmsec.model.errors import ContentError
from xmsec.model.ports import Detector
from xmsec.model.types import FindingKind


class Place(msgspec.Struct, frozen=True):
    """What detectors are made for: streams and time zone of a deployment, its trained models, and a folder for caches."""

    zone: tzinfo
    streams: Mapping[str, Stream] = {}
    recipes: Sequence[Recipe] = ()
    models: Path | None = None
    cache: Path | None = None


class Loaded(msgspec.Struct, frozen=True):
    """Detectors by id, the rules that feed them, what did not load, and which models there are none of (one line each)."""

    detectors: Mapping[str, Detector[Any]]
    rules: RuleSet
    problems: Sequence[ContentError]
    missing: Sequence[str] = ()


Build = Callable[[DetectorFile, Place], Detector[Any]]

# kinds that need their own file and the deployment; Sigma rules, correlations and coverage need each other: see `detectors`
BUILDERS: Mapping[FindingKind, Build] = {
    "contract": lambda file, place: contract_of(file, place.zone),
    "silence": lambda file, place: silence_of(file, place.streams, place.zone),
}


def detectors(files: Sequence[DetectorFile], place: Place) -> Loaded:
    """Make the detectors of a deployment; gives what is good and all problems."""
    selections = [rule for file in files if (rule := selection_of(file)) is not None]
    rules, problems = compile_rules([*files, *selections], place.cache, place.streams)
    made: dict[str, Detector[Any]] = {}
    correlations, silent = _correlations(files, rules, place, problems)
    fold = _fold(files, rules, silent, place, problems)
    if fold is not None:
        made[fold.id] = fold
    for correlation in correlations:
        made[correlation.id] = correlation
    for file in files:
        if file.type not in ("sigma", "correlation", "coverage"):
            _add(made, file, place, problems)
    missing: Sequence[str] = ()
    if place.models is not None:
        trained = load_anomalies(place.recipes, place.models, place.zone)
        made.update((detector.id, detector) for detector in trained.detectors)
        missing = trained.missing
    _coverage(made, files, rules, place, problems)
    return Loaded({name: made[name] for name in sorted(made)}, rules, problems, missing)


def _add(made: dict[str, Detector[Any]], file: DetectorFile, place: Place, problems: list[ContentError]) -> None:
    build = BUILDERS.get(file.type)
    if build is None:
        problems.append(file.error(f'type "{file.type}" is not covered yet', "$.type", f"write one of {', '.join(BUILDERS)}"))
        return
    try:
        made[file.id] = build(file, place)
    except ContentError as error:
        problems.append(error)


def _correlations(
    files: Iterable[DetectorFile], rules: RuleSet, place: Place, problems: list[ContentError]
) -> tuple[list[Correlation], set[str]]:
    """Return the correlations, and the rules that only feed them (Sigma: unless the correlation says `generate: true`)."""
    ids = {name: file.id for file in files if file.id in rules.rules and file.type == "sigma" for name in (file.id, file.rule)}
    found: list[Correlation] = []
    silent: set[str] = set()
    for file in files:
        if file.type != "correlation":
            continue
        try:
            found.append(correlation_of(file, ids, place.zone))
        except ContentError as error:
            problems.append(error)
            continue
        names, generate = references(file)
        if not generate:
            silent.update(ids[name] for name in names)
    return found, silent


def _fold(
    files: Iterable[DetectorFile], rules: RuleSet, silent: set[str], place: Place, problems: list[ContentError]
) -> SigmaFold | None:
    told: dict[str, Told] = {}
    for file in files:
        if file.type != "sigma" or file.id in silent or file.id not in rules.rules:
            continue
        try:
            told[file.id] = told_of(file)
        except ContentError as error:
            problems.append(error)
    return SigmaFold(told, rules.why, rules.fields, place.zone) if told else None


def _coverage(
    made: dict[str, Detector[Any]], files: Iterable[DetectorFile], rules: RuleSet, place: Place, problems: list[ContentError]
) -> None:
    """Coverage is told which fields the rules ask of the one stream that they are about."""
    asked: dict[str, set[str]] = {}
    for rule in rules.rules.values():
        scope = rules.scopes.get(rule.id, frozenset())
        if len(scope) == 1:
            asked.setdefault(next(iter(scope)), set()).update(fields_of(rule.node))
    for file in files:
        if file.type == "coverage":
            try:
                made[file.id] = coverage_of(file, {name: frozenset(asked[name]) for name in sorted(asked)}, place.zone)
            except ContentError as error:
                problems.append(error)
