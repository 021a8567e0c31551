"""Detector files: Sigma rules, Sigma correlations, and our own kinds in the same spirit, read into one typed record.

A file with `detection:` and no `type:` is a Sigma rule, one with `correlation:` a Sigma correlation; a file may hold several
documents (a correlation with its rules). Every document may carry what Sigma calls custom attributes: entity, window,
playbooks, controls, tests, known_false. What a kind reads besides is in `body`, and its own module says how.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import msgspec

from xmsec.content.load import Document, convert, files, parse, text_of
from xmsec.model.errors import ContentError
from xmsec.model.types import FindingKind, Severity

MODELS = "models"  # detectors/models/ holds recipes of trained models, which are no detectors
TESTS = "tests"  # a folder of this name holds ledgers that inline tests name
DURATION = re.compile(r"([1-9][0-9]{0,6})(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Title(msgspec.Struct, frozen=True):
    """A title in both languages."""

    zh: str
    en: str


class Given(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a test starts from.

    events: flat or nested ECS documents, which may also say `time`, `stream`, `datasets`, `repeat` and `every`
    (content/expect.py); ledger: a ledger document or a path beside the file; until: how far event time passes after the last.
    """

    events: tuple[dict[str, Any], ...] = ()
    ledger: str | dict[str, Any] | None = None
    until: str | None = None
    history: tuple[dict[str, Any], ...] = ()


class Expected(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One finding that a test wants: what is said must hold, what is not said may be anything."""

    entity: str | None = None
    severity: Severity | None = None
    count: int | None = None
    title: str | None = None
    grade: str | None = None
    state: Literal["open", "final"] | None = None
    explanation: tuple[dict[str, Any], ...] = ()


class Case(msgspec.Struct, frozen=True):
    """One inline test: findings that must come out of the given events; none of them makes it a near miss."""

    name: str
    given: Given
    findings: tuple[Expected, ...]


class KnownFalse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a detector may fire although nothing is wrong: where, why, who answers for it, until when."""

    where: str
    why: str
    owner: str
    until: str


class DetectorFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One detector as its file says it.

    id: the file's name (a Sigma document's `name`, else its UUID, else the file's name); rule: a Sigma document's UUID, else
    the id; version: hash of all but tests and known_false; title: "中文 · English", or the one language there is; entity: an
    ECS field, or None for the default (user, else address, else device, else stream); window: None when the file says nothing;
    body: the whole mapping.
    """

    document: Document
    id: str
    rule: str
    type: FindingKind
    version: str
    title: str
    body: dict[str, Any]
    severity: Severity = "medium"
    entity: str | None = None
    window: timedelta | None = None
    playbooks: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    status: str = ""
    tests: tuple[Case, ...] = ()
    known_false: tuple[KnownFalse, ...] = ()

    @property
    def path(self) -> Path:
        """Where it was read from."""
        return self.document.path

    def error(self, what: str, at: str = "$", remedy: str = "") -> ContentError:
        """Make an error that names this file and the line of a place in it."""
        return self.document.error(what, at, remedy)


class _Head(msgspec.Struct, frozen=True):
    """What every document may say, whatever its kind."""

    title: str | Title
    id: str | None = None
    name: str | None = None
    type: FindingKind | None = None
    title_zh: str | None = None
    level: Severity | None = None
    severity: Severity | None = None
    entity: str | None = None
    window: str | None = None
    playbooks: tuple[str, ...] | None = None
    controls: tuple[str, ...] | None = None
    references: tuple[str, ...] | None = None
    status: str | None = None
    tests: tuple[Case, ...] | None = None
    known_false: tuple[KnownFalse, ...] | None = None


def duration(text: str) -> timedelta | None:
    """Read a duration such as `30m`, `1h` or `7d`; None when it is none.

    >>> duration("1h30"), duration("36h")
    (None, datetime.timedelta(days=1, seconds=43200))
    """
    match = DURATION.fullmatch(text)
    return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None


def documents(path: Path) -> list[Document]:
    """Read a file that may hold several YAML documents; each knows its lines. Raises ContentError."""
    text = text_of(path)
    parts = re.split(r"(?m)^---(?=\s|$)", text) if path.suffix != ".json" else [text]
    found: list[Document] = []
    line = 0
    for part in parts:
        document = parse(path, "\n" * line + part)
        line += part.count("\n")
        if document.body is not None:
            found.append(document)
    if not found:
        raise ContentError("empty", where=f"{path}:1", remedy="write a detector or remove the file")
    return found


def detector_of(document: Document) -> DetectorFile:
    """Turn one document into a detector's record. Raises ContentError with the line."""
    head = convert(document, _Head)
    sigma = head.type is None
    kind: FindingKind | None = head.type or _sigma_kind(document.body)
    if kind is None:
        raise document.error("neither `type`, `detection` nor `correlation`", remedy="say what kind of detector it is")
    name = (head.name or head.id or document.path.stem) if sigma else head.id
    if not name:
        raise document.error("no id", remedy="give it the file's name")
    window = duration(head.window) if head.window else None
    if head.window and window is None:
        raise document.error(f'"{head.window}" is no duration', "$.window", "write 30m, 1h or 7d")
    return DetectorFile(
        document=document,
        id=name,
        rule=head.id or name,
        type=kind,
        version=_version(document.body),
        title=_title(head),
        body=document.body,
        severity=head.severity or head.level or "medium",
        entity=head.entity,
        window=window,
        playbooks=head.playbooks or (),
        controls=head.controls or (),
        references=head.references or (),
        status=head.status or "",
        tests=head.tests or (),
        known_false=head.known_false or (),
    )


def load_detector_paths(paths: Iterable[Path]) -> tuple[list[DetectorFile], list[ContentError]]:
    """Load detector files one by one; gives what is good and all problems. The first of two with one id is kept."""
    good: dict[str, DetectorFile] = {}
    problems: list[ContentError] = []
    for path in paths:
        try:
            found = documents(path)
        except ContentError as error:
            problems.append(error)
            continue
        for document in found:
            try:
                detector = detector_of(document)
            except ContentError as error:
                problems.append(error)
                continue
            if detector.id in good:
                problems.append(
                    detector.error(f'id "{detector.id}" is taken by {good[detector.id].path}', "$.id", "rename one")
                )
            else:
                good[detector.id] = detector
    return list(good.values()), problems


def load_detectors(dirs: Sequence[Path]) -> tuple[list[DetectorFile], list[ContentError]]:
    """Load `detectors/` of the content directories; recipes of models and ledgers of tests are left out."""
    return load_detector_paths(path for path in files(dirs, "detectors") if not {MODELS, TESTS} & {*_below(path, dirs)})


def _below(path: Path, dirs: Sequence[Path]) -> tuple[str, ...]:
    """Return the folders of a file below `detectors/`."""
    for top in dirs:
        if path.is_relative_to(top / "detectors"):
            return path.relative_to(top / "detectors").parts[:-1]
    return ()


def _sigma_kind(body: Any) -> FindingKind | None:
    if "correlation" in body:
        return "correlation"
    return "sigma" if "detection" in body else None


def _title(head: _Head) -> str:
    if isinstance(head.title, Title):
        return f"{head.title.zh} · {head.title.en}"
    return f"{head.title_zh} · {head.title}" if head.title_zh else head.title


def _version(body: dict[str, Any]) -> str:
    told = {key: value for key, value in body.items() if key not in ("tests", "known_false")}
    return blake2b(msgspec.json.encode(told, order="deterministic"), digest_size=4).hexdigest()
