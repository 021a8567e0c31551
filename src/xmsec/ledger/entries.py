"""One revision of the ledger as its file writes it, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from xmsec.ledger.dataset import Dataset, Owner
from xmsec.ledger.grant import ANY, DEPARTMENT, ROLE, Given, Member

Entry = Owner | Dataset | Member | Given
E = TypeVar("E", Owner, Dataset, Member, Given)
Placed = Sequence[tuple[str, E]]  # entries, each with the place where it stands


class Entries(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that one revision knows. as_of: the date of every judgement that carries none of its own."""

    as_of: datetime
    revision: int = 1
    owners: tuple[Owner, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    people: tuple[Member, ...] = ()
    grants: tuple[Given, ...] = ()


class Fault(msgspec.Struct, frozen=True):
    """Something wrong: at which place (`$.grants[3].end`), what, and what to do."""

    at: str
    what: str
    remedy: str


class Found(msgspec.Struct, frozen=True):
    """Entries that are well formed, each with its place, before they are compared with each other."""

    owners: Placed[Owner]
    datasets: Placed[Dataset]
    people: Placed[Member]
    grants: Placed[Given]


def identity(entry: Entry) -> str:
    """Return what an entry is known by within its section."""
    return entry.name if isinstance(entry, Dataset) else entry.id


def sift(as_of: datetime, revision: int, found: Found) -> tuple[Entries, list[Fault]]:
    """Keep the entries that fit together, and say what is wrong with the others."""
    faults: list[Fault] = []
    owners = _keep(found.owners, lambda _: (), faults)
    offices = {owner.id for owner in owners}
    datasets = _keep(found.datasets, lambda dataset: _in_dataset(dataset, offices), faults)
    holders: dict[str, str] = {}
    people = _keep(found.people, lambda member: _in_member(member, holders), faults)
    names = {dataset.name for dataset in datasets}
    groups = {member.department for member in people} | {member.role for member in people}
    grants = _keep(found.grants, lambda given: _in_grant(given, names, groups), faults)
    return Entries(as_of, revision, tuple(owners), tuple(datasets), tuple(people), tuple(grants)), faults


def _keep(placed: Placed[E], check: Callable[[E], Iterable[Fault]], faults: list[Fault]) -> list[E]:
    kept: dict[str, E] = {}
    for at, entry in placed:
        wrong = list(check(entry))
        if identity(entry) in kept:
            wrong.append(Fault("", f'"{identity(entry)}" stands twice', "keep one of them"))
        faults += (Fault(f"{at}{fault.at}", fault.what, fault.remedy) for fault in wrong)
        if not wrong:
            kept[identity(entry)] = entry
    return list(kept.values())


def _in_dataset(dataset: Dataset, offices: set[str]) -> Iterator[Fault]:
    if dataset.name.endswith(ANY):
        yield Fault(".name", f"a dataset's name ends in {ANY}", "only a grant may name many datasets so")
    if dataset.owner not in offices:
        yield Fault(".owner", f'owner "{dataset.owner}" is not among owners', "list it under owners")
    yield from _zoned(".as_of", dataset.as_of)
    for place, field in enumerate(dataset.fields):
        at = f".fields[{place}]"
        if field.type is not None and field.grade is None and dataset.level is None:
            yield Fault(at, f'field "{field.name}" has a type and no grade', "grade the field or its dataset")
        if not 0 <= field.confidence <= 100:
            yield Fault(f"{at}.confidence", "confidence is not within 0 and 100", "use STIX's scale, 0 to 100")
        yield from _zoned(f"{at}.as_of", field.as_of)
    names = [field.name for field in dataset.fields]
    for place, name in enumerate(names):
        if name in names[:place]:
            yield Fault(f".fields[{place}]", f'field "{name}" stands twice', "keep one of them")


def _in_member(member: Member, holders: dict[str, str]) -> Iterator[Fault]:
    for place, account in enumerate(member.accounts):
        holder = holders.setdefault(account, member.id)
        if holder != member.id:
            yield Fault(f".accounts[{place}]", f'account "{account}" belongs to "{holder}" too', "give it to one of them")
    yield from _zoned(".leaves", member.leaves)


def _in_grant(given: Given, names: set[str], groups: set[str]) -> Iterator[Fault]:
    if given.grantee in groups:
        yield Fault(".grantee", f'"{given.grantee}" is a group', f"write {DEPARTMENT}NAME or {ROLE}NAME")
    if not given.datasets:
        yield Fault(".datasets", "a grant of nothing", "name a dataset")
    for place, pattern in enumerate(given.datasets):
        if not pattern.endswith(ANY) and pattern not in names:
            yield Fault(f".datasets[{place}]", f'no dataset "{pattern}"', "list it under datasets, or correct the name")
    zones = [*_zoned(".start", given.start), *_zoned(".end", given.end)]
    yield from zones
    if not zones and given.end is not None and given.end <= given.start:
        yield Fault(".end", "a grant that ends before it starts", "correct start or end")


def _zoned(at: str, time: datetime | None) -> Iterator[Fault]:
    if time is not None and time.tzinfo is None:
        yield Fault(at, "a time without an offset", "write 2026-11-01T00:00:00+08:00")
