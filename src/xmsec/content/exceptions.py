"""Exception files: findings that are known, accepted by somebody for a reason, and shown only when asked for, until a day.

```yaml
id: report-service-exports        # the file's name
reason: 夜间报表服务的例行导出 · nightly exports of the report service
owner: 数据中心运维 · operations
from: 2026-11-01T00:00:00+08:00
expires: 2027-02-01T00:00:00+08:00   # at most `LONGEST` later
when: {detector: bulk-export, entity.id: [svc-report, svc-backup-*]}
tests:
  - {name: the service, finding: {detector: bulk-export, entity.id: svc-report}, covered: true}
  - {name: a person, finding: {detector: bulk-export, entity.id: li.wei}, covered: false}
```

A file that is wrong does not load and hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec

from xmsec.content.load import Document, convert, files, load_each
from xmsec.model.errors import ContentError

FOLDER = "exceptions"
LONGEST = timedelta(
    days=366
)  # a decision that nobody looks at again within a year is no exception but a detector to be changed
COLUMNS = ("detector", "kind", "system", "stream", "stage", "severity", "grade", "dataset", "entity.type", "entity.id")

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One inline test: a finding by the columns that matter, and whether it is covered. at: its window's start, else `from`."""

    name: str
    finding: dict[str, str | tuple[str, ...]]
    covered: bool
    at: Moment | None = None


class ExceptionFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One exception as its file says it. when: column → wildcards, all must hold.

    start (`from`), expires: for windows that begin in between; ended: when somebody ended it early; then it covers
    nothing and asks for nothing.
    """

    id: Text
    reason: Text
    owner: Text
    start: Moment = msgspec.field(name="from")
    expires: Moment
    when: dict[str, Text | tuple[Text, ...]]
    ended: Moment | None = None
    author: str = ""
    ended_by: str = ""
    references: tuple[str, ...] = ()
    status: str = ""
    tests: tuple[Trial, ...] = ()

    def wanted(self, column: str) -> tuple[str, ...]:
        """Return the texts of one column, none when the exception does not ask for it."""
        texts = self.when.get(column, ())
        return (texts,) if isinstance(texts, str) else texts

    @property
    def until(self) -> datetime:
        """When it stops to cover."""
        return self.expires if self.ended is None else min(self.ended, self.expires)


class Placed(msgspec.Struct, frozen=True):
    """An exception and where it was read from."""

    file: ExceptionFile
    document: Document

    @property
    def path(self) -> Path:
        """Where it was read from."""
        return self.document.path


def exception_of(document: Document) -> Placed:
    """Turn a document into an exception. Raises ContentError with the line."""
    file = convert(document, ExceptionFile)
    for what, at, remedy in _wrong(file, document.path.stem):
        raise document.error(what, at, remedy)
    return Placed(file, document)


def _wrong(file: ExceptionFile, stem: str) -> Iterable[tuple[str, str, str]]:
    if file.id != stem:
        yield f'id "{file.id}" is not the file\'s name', "$.id", f'write "{stem}" or rename the file'
    for column in file.when:
        if column not in COLUMNS:
            yield f'no column "{column}"', f"$.when.{column}", f"one of {', '.join(COLUMNS)}"
        if not file.wanted(column):
            yield f'nothing named under "{column}"', f"$.when.{column}", "name what is covered, or leave the key out"
    for place, trial in enumerate(file.tests):
        for column in trial.finding.keys() - set(COLUMNS):
            yield f'no column "{column}"', f"$.tests[{place}].finding", f"one of {', '.join(COLUMNS)}"
    if not file.wanted("detector") or any("*" in name or "?" in name for name in file.wanted("detector")):
        yield "no detector", "$.when", "name the detectors in full: an exception is made for what is known"
    if file.expires <= file.start:
        yield "ends before it begins", "$.expires", "write a later `expires`"
    if file.expires - file.start > LONGEST:
        yield f"longer than {LONGEST.days} days", "$.expires", "let it expire earlier, and renew it then"


def load_exceptions(dirs: Iterable[Path]) -> tuple[list[Placed], list[ContentError]]:
    """Load all exceptions of these directories; of two with one id the first is kept and the other a problem."""
    found, problems = load_each(files(dirs, FOLDER), exception_of)
    return distinct(found, problems), problems


def distinct(found: Sequence[Placed], problems: list[ContentError]) -> list[Placed]:
    """Keep the first of each id; say which others there are."""
    by_id: dict[str, Placed] = {}
    twice = [one for one in found if by_id.setdefault(one.file.id, one) is not one]
    problems += (one.document.error(f'exception "{one.file.id}" stands twice', "$.id", "rename one") for one in twice)
    return list(by_id.values())


def written(file: ExceptionFile) -> str:
    """Write an exception as its file."""
    import yaml

    body: dict[str, Any] = msgspec.to_builtins(file)
    return str(yaml.safe_dump(body, allow_unicode=True, sort_keys=False, width=120))
