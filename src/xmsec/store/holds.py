"""Legal holds: what was recorded in a span is kept for a case, whatever its age, until the hold is lifted.

One small file a case, written whole; what was placed and lifted before stays in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from xmsec.model.errors import ConfigError, InputError
from xmsec.store.archive import Archive

_FOLDER = "holds"
_CASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Span = tuple[datetime, datetime]


class Hold(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why and since when a span is held; None: without end on that side. lifted, because: when that ended, and why."""

    case: str
    reason: str
    placed: datetime
    start: datetime | None = None
    end: datetime | None = None
    lifted: datetime | None = None
    because: str = ""

    def covers(self, spans: Iterable[Span | None]) -> bool:
        """Whether one of these spans touches what is held, and still is."""
        if self.lifted is not None:
            return False
        return any(
            (self.end is None or first < self.end) and (self.start is None or last >= self.start)
            for first, last in filter(None, spans)
        )


def holds(archive: Archive) -> list[Hold]:
    """Return every hold that was placed here, those that were lifted too. Raises InputError when one cannot be read."""
    return [hold for name, _ in archive.names(_FOLDER) for hold in _read(archive, name)]


def place(archive: Archive, hold: Hold) -> None:
    """Place a hold. Raises ConfigError when its case holds something already."""
    if not _CASE.fullmatch(hold.case):
        raise ConfigError("not a case's name", where=hold.case[:64], remedy="letters, digits, dots and dashes, at most 64")
    before = _read(archive, _path(hold.case))
    if before and before[-1].lifted is None:
        raise ConfigError(
            f'case "{hold.case}" holds something already', where=archive.place, remedy="remove it, or name another"
        )
    archive.put(_path(hold.case), msgspec.json.encode([*before, hold]))


def lift(archive: Archive, case: str, at: datetime, because: str) -> Hold:
    """Lift a case's hold; that it was, and why it no longer is, stays. Raises ConfigError when there is none."""
    before = _read(archive, _path(case)) if _CASE.fullmatch(case) else []
    if not before or before[-1].lifted is not None:
        raise ConfigError(f'no hold of case "{case}"', where=archive.place, remedy="see xmsec recordings hold list")
    lifted = msgspec.structs.replace(before[-1], lifted=at, because=because)
    archive.put(_path(case), msgspec.json.encode([*before[:-1], lifted]))
    return lifted


def _path(case: str) -> str:
    return f"{_FOLDER}/{case}.json"


def _read(archive: Archive, path: str) -> Sequence[Hold]:
    content = archive.get(path)
    if content is None:
        return []
    try:
        return msgspec.json.decode(content, type=list[Hold])
    except msgspec.MsgspecError as error:  # not known what it holds: then nothing may be removed
        raise InputError("damaged-hold", where=f"{archive.place} {path}", remedy="restore the file") from error
