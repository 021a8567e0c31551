"""Where findings are told: `notify/<name>.yaml`, one destination a file. Addresses and secrets are no content.

People are told in words (mail and the robots of group chats: folded, held overnight, limited in their rate), machines in a
format (webhook, syslog: each finding by itself, with nothing held back).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from xmsec.content.load import Document, convert, files, load_each
from xmsec.content.streams import Title
from xmsec.model.errors import ContentError
from xmsec.model.types import SEVERITIES, Finding, FindingKind, Severity, Stage

Channel = Literal["mail", "dingtalk", "wecom", "feishu", "webhook", "syslog"]
Format = Literal["ecs", "ocsf", "cef"]
Tell = Literal["first", "final", "each"]
ROBOTS: tuple[Channel, ...] = ("dingtalk", "wecom", "feishu")
PEOPLE: tuple[Channel, ...] = ("mail", *ROBOTS)
FORMATS: dict[Channel, tuple[Format, ...]] = {"webhook": ("ecs", "ocsf"), "syslog": ("cef",)}
ROBOT_PER_MINUTE = 20  # DingTalk and WeCom take no more, and DingTalk then shuts a robot up for ten minutes
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HOUR = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which findings go there: every key that is written must hold; systems, streams and detectors may have wildcards."""

    severity: tuple[Severity, ...] = ()
    kind: tuple[FindingKind, ...] = ()
    stage: tuple[Stage, ...] = ()
    system: tuple[str, ...] = ()
    stream: tuple[str, ...] = ()
    detector: tuple[str, ...] = ()

    def holds(self, given: Any) -> bool:
        """Whether a finding, or what a test gives of one, is meant."""
        exact = all(not getattr(self, name) or getattr(given, name) in getattr(self, name) for name in _EXACT)
        return exact and all(
            not patterns or any(fnmatchcase(getattr(given, name), pattern) for pattern in patterns)
            for name, patterns in ((name, getattr(self, name)) for name in _LIKE)
        )


_EXACT = ("severity", "kind", "stage")
_LIKE = ("system", "stream", "detector")


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours [start, end) of the local day in which nothing but what is critical is told; over midnight when end is earlier.

    zone: an IANA name, else the deployment's.
    """

    start: str
    end: str
    zone: str | None = None


class Folding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """More than so many of one detector within so many minutes become one message with counts."""

    more_than: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 10


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a test says of a finding."""

    severity: Severity = "medium"
    kind: FindingKind = "sigma"
    stage: Stage | None = None
    system: str = ""
    stream: str = ""
    detector: str = ""


class Try(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One test: whether a finding goes there."""

    name: str
    finding: Told
    goes: bool


class Destination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One destination.

    tell: a finding's first word (and again when it becomes graver), its final one, or each; target: the section of the targets'
    file that has address and secrets, else the file's name; id: the file's name.
    """

    title: Title
    channel: Channel
    where: Where = Where()
    format: Format | None = None
    language: Literal["zh", "en"] = "zh"
    tell: Tell | None = None
    quiet: Quiet | None = None
    fold: Folding = Folding()
    per_minute: Annotated[int, msgspec.Meta(ge=1, le=600)] | None = None
    target: str = ""
    enabled: bool = True
    tests: tuple[Try, ...] = ()
    id: str = ""

    @property
    def to_people(self) -> bool:
        """Whether people read it."""
        return self.channel in PEOPLE

    @property
    def rate(self) -> int:
        """Messages a minute at most."""
        return self.per_minute or (ROBOT_PER_MINUTE if self.channel in ROBOTS else 60)

    def mark(self, finding: Finding) -> str | None:
        """Return what is to be said of a finding by now: told once, the same is not told again; None: nothing yet."""
        tell = self.tell or ("first" if self.to_people else "each")
        if tell == "first":
            return str(SEVERITIES.index(finding.severity))
        if tell == "final" and finding.state != "final":
            return None
        closed = f" {finding.count}" if finding.state == "final" else ""
        return f"{finding.state} {finding.severity}{closed}"

    def news(self, mark: str, told: str | None) -> bool:
        """Whether a mark says more than the one that was told."""
        if told is None:
            return True
        graver_only = (self.tell or ("first" if self.to_people else "each")) == "first"
        return mark > told if graver_only else mark != told


def destination_of(document: Document) -> Destination:
    """Turn one file into a destination. Raises ContentError with the line."""
    found = convert(document, Destination)
    name = document.path.stem
    if found.id not in ("", name):
        raise document.error(f'id "{found.id}" is not the file\'s name', "$.id", f'write "{name}" or rename the file')
    if not _NAME.fullmatch(name):
        raise document.error("the file's name is not in kebab-case", "$", "write small letters, digits and single hyphens")
    if found.to_people:
        _told_people(document, found)
    else:
        _told_machines(document, found)
    ways = {one.goes for one in found.tests}
    if found.where != Where() and ways != {True, False}:
        raise document.error("tests are missing", "$.tests", "write one finding that goes there, and one that does not")
    return msgspec.structs.replace(found, id=name, target=found.target or name)


def _told_people(document: Document, found: Destination) -> None:
    if found.format is not None:
        raise document.error("people are told in words", "$.format", "take format out")
    if found.channel in ROBOTS and found.rate > ROBOT_PER_MINUTE:
        raise document.error(f"robots take {ROBOT_PER_MINUTE} messages a minute", "$.per_minute", "write less")
    quiet = found.quiet
    if quiet is None:
        return
    for key in ("start", "end"):
        if not _HOUR.fullmatch(getattr(quiet, key)):
            raise document.error("not a time of the day", f"$.quiet.{key}", 'write it in quotes: "22:00"')
    if quiet.start == quiet.end:
        raise document.error("quiet hours end where they start", "$.quiet", "write a later end, or enabled: false")
    try:
        ZoneInfo(quiet.zone or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise document.error("no such zone", "$.quiet.zone", "write an IANA name, Asia/Shanghai") from error


def _told_machines(document: Document, found: Destination) -> None:
    formats = FORMATS[found.channel]
    if found.format not in formats:
        raise document.error(f"{found.channel} needs a format", "$.format", f"one of {', '.join(formats)}")
    if found.quiet is not None:
        raise document.error("machines sleep never", "$.quiet", "take quiet out: nothing is held back from a machine")
    if "fold" in document.body:
        raise document.error("machines are told each finding", "$.fold", "take fold out")


def tried(found: Destination) -> list[str]:
    """Run a destination's tests; return a line for each that failed."""
    said = {True: "goes there", False: "does not go there"}
    return [f"{one.name}: it {said[not one.goes]}" for one in found.tests if found.where.holds(one.finding) != one.goes]


def load_destinations(dirs: Sequence[Path]) -> tuple[dict[str, Destination], list[ContentError]]:
    """Load `notify/` of the content directories; those that are enabled by id, and all problems."""
    good, problems = load_each(files(dirs, "notify"), destination_of)
    return {one.id: one for one in good if one.enabled}, problems
