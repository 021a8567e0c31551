"""Labels re-judged from evidence: what the stream observed is proposed, and a person accepts it for a later revision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import sqrt

import msgspec

from xmsec.ledger.book import Book
from xmsec.ledger.change import merge
from xmsec.ledger.entries import Entries
from xmsec.ledger.label import Field
from xmsec.model.errors import ContentError
from xmsec.model.types import Label, Level, Proposals

OBSERVER = "observed"  # author of a proposal
MOST = 95  # confidence that observation alone can give; certainty is a person's
_Z = 1.645  # one-sided 95 %
CAUTIOUS: Level = "general-4"  # of a type that no table grades: the gravest general level, until a person decides


def propose(book: Book, counts: Proposals, as_of: datetime, grades: Mapping[str, Level] | None = None) -> list[Label]:
    """Make labels of what was observed and the ledger does not say yet, by dataset, field and type; nothing is applied.

    counts: (dataset, field, type) → spans seen. grades: of types, where the ledger grades none of that type. The confidence is
    the lower bound (Wilson, 95 %) of the type's share among all that was found in the field.
    """
    known = {(dataset, label.field, label.type) for dataset in {place[0] for place in counts} for label in book.labels(dataset)}
    seen: dict[tuple[str, str], int] = {}
    for (dataset, field, _), number in counts.items():
        seen[dataset, field] = seen.get((dataset, field), 0) + number
    levels = {**(grades or {}), **book.grades}
    return [
        _label(place, number, seen[place[:2]], as_of, levels)
        for place, number in sorted(counts.items())
        if number > 0 and place not in known
    ]


def accept(book: Book, label: Label, author: str) -> tuple[Book, list[ContentError]]:
    """Let a person take a proposal over: the next revision, in which the label is theirs. Its evidence is kept."""
    dataset = book.dataset(label.dataset)
    if dataset is None:
        error = ContentError(f'no dataset "{label.dataset}"', where="ledger", remedy="import it first, with its owner")
        return book, [error]
    field = Field(label.field, label.type, label.grade, 100, label.why, label.evidence, label.as_of, author)
    others = tuple(other for other in dataset.fields if other.name != field.name)
    changed = msgspec.structs.replace(dataset, fields=(*others, field))
    return merge(book, Entries(as_of=book.entries.as_of, datasets=(changed,)))


def _label(place: tuple[str, str, str], number: int, seen: int, as_of: datetime, levels: Mapping[str, Level]) -> Label:
    dataset, field, kind = place
    why = [f"{kind} was recognised in this field"]
    if kind not in levels:
        why.append(f"no table grades {kind}: {CAUTIOUS} until a person decides")
    return Label(
        dataset=dataset,
        field=field,
        type=kind,
        grade=levels.get(kind, CAUTIOUS),
        confidence=min(MOST, confidence(number, seen)),
        why=tuple(why),
        evidence=(f"{number} of {seen} values found in this field",),
        as_of=as_of,
        author=OBSERVER,
    )


def confidence(number: int, seen: int) -> int:
    """Return the lower bound of a share in per cent: few sightings say little, however clear they are.

    >>> confidence(1, 1), confidence(100, 100), confidence(50, 100)
    (27, 97, 42)
    """
    share = number / seen
    spread = _Z * sqrt(share * (1 - share) / seen + _Z * _Z / (4 * seen * seen))
    return round(100 * (share + _Z * _Z / (2 * seen) - spread) / (1 + _Z * _Z / seen))
