"""A ledger's YAML document becomes entries; what is good is kept, and all problems are told at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import yaml

from xmsec.content.load import Document, convert
from xmsec.ledger.dataset import Dataset, Owner
from xmsec.ledger.entries import Entries, Found, sift
from xmsec.ledger.grant import Given, Member
from xmsec.model.errors import ContentError

E = TypeVar("E")

PROBLEMS = 100  # told of one file: each looks its line up, and nobody corrects more at a time


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: datetime
    revision: int = 1
    owners: Sequence[Any] = ()
    datasets: Sequence[Any] = ()
    people: Sequence[Any] = ()
    grants: Sequence[Any] = ()


def entries_of(document: Document) -> tuple[Entries | None, list[ContentError]]:
    """Return the good entries of a ledger's document and what is wrong with the others.

    No entries at all when its head is wrong: `as_of`, a section that is no list, or a key that no ledger has.
    """
    try:
        head = convert(document, _Head)
        if head.as_of.tzinfo is None:
            raise document.error("a time without an offset", "$.as_of", "write 2026-11-01T00:00:00+08:00")
    except ContentError as error:
        return None, [error]
    problems: list[ContentError] = []
    datasets = _section(document, "datasets", head.datasets, Dataset, problems)
    found = Found(
        owners=_section(document, "owners", head.owners, Owner, problems),
        datasets=[(at, dataset.judged(head.as_of)) for at, dataset in datasets],
        people=_section(document, "people", head.people, Member, problems),
        grants=_section(document, "grants", head.grants, Given, problems),
    )
    entries, faults = sift(head.as_of, head.revision, found)
    problems += [document.error(fault.what, fault.at, fault.remedy) for fault in faults[:PROBLEMS]]
    return entries, problems


def _section(
    document: Document, name: str, rows: Sequence[Any], kind: type[E], problems: list[ContentError]
) -> list[tuple[str, E]]:
    good: list[tuple[str, E]] = []
    for place, row in enumerate(rows):
        at = f"$.{name}[{place}]"
        try:
            good.append((at, convert(document, kind, row, at)))
        except ContentError as error:
            problems.append(error)
            if len(problems) >= PROBLEMS:
                break
    return good


def write(entries: Entries) -> str:
    """Write entries as the YAML that `entries_of` reads; the same entries give the same text."""
    body = msgspec.to_builtins(entries)
    return yaml.dump(body, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False, default_flow_style=False, width=1000)
