"""What exceptions hide: how often each was hit, and what a draft would have hidden of all that is recorded.

Counted in the store, where every finding is once: replays and duplicates change no figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import msgspec

from xmsec.content.exceptions import ExceptionFile
from xmsec.findings.exceptions import EXPIRED, Rule
from xmsec.model.clock import from_rfc3339
from xmsec.model.ports import Query, Reader
from xmsec.model.types import UNIT_SEPARATOR, Finding

LOOKED_AT = 20_000  # findings of the draft's detectors, the newest: some seconds
EXAMPLES = 5
_PAGE = 1_000

Standing = Literal["coming", "active", "expired", "ended"]


class Hits(msgspec.Struct, frozen=True):
    """How many findings an exception covers, and when the last one was. overdue: days and systems in which it still would."""

    count: int = 0
    last: datetime | None = None
    overdue: int = 0


class Hidden(msgspec.Struct, frozen=True):
    """What a draft would hide. findings: by its conditions, whatever their time; within: of these, those in its span.

    new: of `findings`, those that no exception covers now; by: (detector, entity's type and id) → findings, the most first;
    examples: the newest, as records; looked_at: how many findings were judged; all: whether these were all there are.
    """

    findings: int
    within: int
    new: int
    by: Mapping[tuple[str, str, str], int]
    examples: Sequence[dict[str, Any]]
    looked_at: int
    all: bool


def would_hide(draft: ExceptionFile, reader: Reader, most: int = LOOKED_AT) -> Hidden:
    """Judge the newest recorded findings that its plain conditions leave, whatever their time."""
    rule = Rule(draft)
    by: Counter[tuple[str, str, str]] = Counter()
    examples: list[dict[str, Any]] = []
    within = new = looked_at = 0
    for row in _rows(reader, _asked(draft)):
        if looked_at == most:
            return _hidden(by, within, new, examples, looked_at, whole=False)
        looked_at += 1
        finding = _finding(row)
        if not rule.matches(finding):
            continue
        by[finding.detector, finding.entity.type, finding.entity.id] += 1
        within += rule.covers(finding)
        new += finding.exception is None
        if len(examples) < EXAMPLES:
            examples.append(row)
    return _hidden(by, within, new, examples, looked_at, whole=True)


def covered(file: ExceptionFile, reader: Reader, most: int = LOOKED_AT) -> Sequence[str]:
    """Return the recorded findings that an exception covers and no other does, of the newest that it can mean."""
    rule = Rule(file)
    asked = msgspec.structs.replace(_asked(file), since=file.start, excepted=False)
    return [row["id"] for row in islice(_rows(reader, asked), most) if rule.covers(_finding(row))]


def hits(files: Sequence[ExceptionFile], reader: Reader) -> Mapping[str, Hits]:
    """Return how often each exception was hit, by id."""
    counts = reader.count(Query("findings", {"exception": tuple(file.id for file in files)}), ("exception",)) if files else {}
    overdue = reader.count(Query("findings", {"detector": (EXPIRED,)}), ("entity.id",))
    return {file.id: _hits(file.id, counts.get((file.id,), 0), overdue.get((file.id,), 0), reader) for file in files}


def standing(file: ExceptionFile, now: datetime) -> Standing:
    """Say where an exception stands in its life."""
    if file.ended is not None and file.ended <= now:
        return "ended"
    return "coming" if now < file.start else "active" if now < file.expires else "expired"


def _hits(name: str, count: int, overdue: int, reader: Reader) -> Hits:
    if not count:
        return Hits(overdue=overdue)
    (row,) = reader.page(Query("findings", {"exception": (name,)}, limit=1)).rows
    return Hits(count, from_rfc3339(row["time"]), overdue)


def _asked(file: ExceptionFile) -> Query:
    """Ask for what conditions without wildcards leave: an index finds them among a million."""
    where: dict[str, tuple[str, ...]] = {}
    for column in file.when:
        texts = file.wanted(column)
        if column != "dataset" and not any("*" in text or "?" in text for text in texts):
            where[column] = texts
    if "entity.id" in where:  # one of two parts is written with a slash between them
        ids = where["entity.id"]
        where["entity.id"] = (*ids, *(text.replace(" / ", UNIT_SEPARATOR) for text in ids if " / " in text))
    return Query("findings", where, limit=_PAGE, excepted=True)


def _rows(reader: Reader, query: Query) -> Iterator[dict[str, Any]]:
    page = reader.page(query)
    yield from page.rows
    while page.next is not None:
        page = reader.page(query, page.next)
        yield from page.rows


def _finding(row: Mapping[str, Any]) -> Finding:
    """Read a record back, without what is only shown."""
    kept = {name: value for name, value in row.items() if name not in ("evidence", "explanation")}
    return msgspec.convert(kept, Finding)


def _hidden(
    by: Counter[tuple[str, str, str]], within: int, new: int, examples: Sequence[dict[str, Any]], looked_at: int, *, whole: bool
) -> Hidden:
    most = dict(sorted(by.items(), key=lambda item: (-item[1], item[0])))
    return Hidden(sum(by.values()), within, new, most, examples, looked_at, whole)
