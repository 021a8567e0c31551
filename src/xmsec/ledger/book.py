"""The ledger as the road asks it: one immutable revision, indexed once.

A ledger is one YAML document; all keys that there are:

```yaml
as_of: 2026-11-01T00:00:00+08:00      # date of every judgement that carries none of its own; times always with an offset
revision: 1                            # optional; `ledger import` counts by itself
owners:                                # who answers for datasets
  - id: cert-office
    name: 电子证照中心                  # optional, like contact
    contact: certs@xm.example
datasets:
  - name: postgres://certs.xm:5432/certs.public.certificate   # OpenLineage namespace, slash, name; as events name it
    system: onestop-service
    owner: cert-office                 # an id of owners
    title: 电子证照主表                 # optional
    grade: general-3                   # optional: core, important, general-4 … general-1; a graver field raises it
    retention_days: 1095               # optional
    as_of: 2026-10-01T00:00:00+08:00   # optional
    fields:                            # optional
      - name: holder_id
        type: CN_RESIDENT_ID           # optional: an entity type; without it the field is only known to exist
        grade: general-4               # optional: else the dataset's
        confidence: 100                # optional: 0–100, 100 when a person said so
        why: [GB/T 45574-2025]         # optional
        evidence: []                   # optional
        as_of: 2026-10-01T00:00:00+08:00   # optional
        author: chen.wei               # optional: else the dataset's owner
people:
  - id: p-lin
    accounts: [lin.mei, lin.mei@xm.example]
    department: 市民中心                # optional, like role and leaves
    role: clerk                        # a machine with accounts of its own has the role `system`
    leaves: 2027-06-30T00:00:00+08:00
grants:
  - id: G-2026-014
    grantee: department:市民中心        # an account or a person's id as it is, or department:NAME, or role:NAME
    datasets: ["postgres://certs.xm:5432/certs.*"]    # names that are listed, or beginnings that end in *
    start: 2026-01-01T00:00:00+08:00
    end: 2027-01-01T00:00:00+08:00     # optional; valid before it, not at it
    fields: [holder_name, status]      # optional: else all
    purpose: 窗口办件                   # optional, like all that follow; kept, and not compared yet
    channel: web
    quota: {rows: 500, subjects: 200}  # a day
    masked: false
    onward: false
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec

from xmsec.content.load import Document
from xmsec.ledger.dataset import Dataset, labels_of
from xmsec.ledger.entries import Entries
from xmsec.ledger.grant import covers, names_of
from xmsec.ledger.label import WHOLE
from xmsec.ledger.read import entries_of
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ContentError
from xmsec.model.types import LEVELS, Grant, Label, Level, Person

Section = Literal["owners", "datasets", "fields", "people", "grants"]
ANSWERS = 1 << 16  # remembered (account, dataset) pairs, about 16 MiB; a log may name any account and any table


class Book:
    """One revision of the ledger; implements the seam `Ledger`. Reading has no effect that anyone could see."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.revision = entries.revision
        self._datasets = {dataset.name: dataset for dataset in entries.datasets}
        self._labels = {dataset.name: labels_of(dataset, entries.as_of) for dataset in entries.datasets}
        people = [member.person() for member in entries.people]
        self._person_by_account = {account: person for person in people for account in person.accounts}
        self._grants_by_grantee: dict[str, tuple[Grant, ...]] = {}
        for given in sorted(entries.grants, key=lambda given: given.id):
            grants = self._grants_by_grantee.get(given.grantee, ())
            self._grants_by_grantee[given.grantee] = (*grants, given.grant())
        self._answers: dict[tuple[str, str], tuple[Grant, ...]] = {}

    @classmethod
    def load(cls, document: Document) -> tuple[Book, list[ContentError]]:
        """Read a ledger: a book of what is good (empty when the document's head is wrong), and all problems."""
        entries, problems = entries_of(document)
        return cls(Entries(as_of=EPOCH, revision=0) if entries is None else entries), problems

    def dataset(self, name: str) -> Dataset | None:
        """Return a dataset by its OpenLineage name."""
        return self._datasets.get(name)

    def labels(self, dataset: str) -> Sequence[Label]:
        """Return the labels of a dataset: first that of the whole (field `*`), then its fields'; none when it is unknown."""
        return self._labels.get(dataset, ())

    @cached_property
    def grades(self) -> Mapping[str, Level]:
        """The gravest grade that a field of each type has."""
        labels = [label for labels in self._labels.values() for label in labels if label.field != WHOLE]
        return {label.type: label.grade for label in sorted(labels, key=lambda label: LEVELS.index(label.grade))}

    def grants(self, grantee: str, dataset: str) -> Sequence[Grant]:
        """Return what authorises an account on this dataset, whenever it is valid, by id.

        It may be granted to the account, to its person, or to that one's department or role.
        """
        answer = self._answers.get((grantee, dataset))
        return self._look_up(grantee, dataset) if answer is None else answer

    def _look_up(self, account: str, dataset: str) -> tuple[Grant, ...]:
        found = [
            grant
            for name in names_of(account, self._person_by_account.get(account))
            for grant in self._grants_by_grantee.get(name, ())
            if covers(grant, dataset)
        ]
        answer = tuple(sorted(found, key=lambda grant: grant.id))
        if len(self._answers) < ANSWERS:
            self._answers[account, dataset] = answer
        return answer

    def person(self, account: str) -> Person | None:
        """Return whom an account belongs to."""
        return self._person_by_account.get(account)

    def rows(self, section: Section) -> Sequence[dict[str, Any]]:
        """Return one section as rows to print, in the ledger's order."""
        return _ROWS[section](self.entries)


def _field_rows(entries: Entries) -> Sequence[dict[str, Any]]:
    return [
        {"dataset": dataset.name, **msgspec.structs.asdict(field)} for dataset in entries.datasets for field in dataset.fields
    ]


def _dataset_rows(entries: Entries) -> Sequence[dict[str, Any]]:
    return [
        {**msgspec.structs.asdict(dataset), "grade": dataset.level, "fields": len(dataset.fields)}
        for dataset in entries.datasets
    ]


_ROWS: dict[Section, Callable[[Entries], Sequence[dict[str, Any]]]] = {
    "owners": lambda entries: [msgspec.structs.asdict(owner) for owner in entries.owners],
    "datasets": _dataset_rows,
    "fields": _field_rows,
    "people": lambda entries: [msgspec.structs.asdict(member) for member in entries.people],
    "grants": lambda entries: [msgspec.structs.asdict(given) for given in entries.grants],
}
