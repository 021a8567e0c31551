"""Which fields a dataset has, and what each is judged to hold."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from xmsec.model.types import LEVELS, Label, Level

WHOLE = "*"  # field of the label that grades a dataset as a whole
WHOLE_TYPE = "DATASET"
CERTAIN = 100  # a person said so; what was only observed stays below


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field of a dataset; without a type it is only known to exist.

    grade: when left out, the dataset's. as_of, author: when left out, the ledger's date and the dataset's owner.
    """

    name: str
    type: str | None = None
    grade: Level | None = None
    confidence: int = CERTAIN
    why: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    as_of: datetime | None = None
    author: str | None = None


def gravest(levels: tuple[Level | None, ...]) -> Level | None:
    """Return the gravest level (a dataset is as grave as its gravest field: 就高从严); None when there is none.

    >>> gravest(("general-2", None, "general-4"))
    'general-4'
    """
    known = [level for level in levels if level is not None]
    return max(known, key=LEVELS.index) if known else None


def label_of(dataset: str, field: Field, grade: Level, as_of: datetime, owner: str) -> Label:
    """Make the judgement that a typed field of the ledger stands for; `grade`, `as_of`, `owner` fill what it leaves out."""
    return Label(
        dataset=dataset,
        field=field.name,
        type=field.type or "",
        grade=field.grade or grade,
        confidence=field.confidence,
        why=field.why,
        evidence=field.evidence,
        as_of=(field.as_of or as_of).astimezone(UTC),
        author=field.author or owner,
    )
