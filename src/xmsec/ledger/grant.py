"""What authorises a use: by whom, of what, until when; and to whom an account belongs."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from xmsec.model.types import Grant, Person

ANY = "*"  # at the end of a dataset's name in a grant: every dataset whose name begins so
DEPARTMENT = "department:"
ROLE = "role:"


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much a grantee may take in a day."""

    rows: int | None = None
    subjects: int | None = None


class Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A grant as the ledger's file writes it; valid in [start, end), for ever when `end` is left out.

    grantee: an account or a person's (or machine's) id as it is, or `department:NAME`, or `role:NAME`: a group is always named
    as such, so that an account called like a department gets nothing. datasets: names, or beginnings that end in `*`.
    fields: when left out, all.
    """

    id: str
    grantee: str
    datasets: tuple[str, ...]
    start: datetime
    end: datetime | None = None
    fields: tuple[str, ...] = ()
    purpose: str | None = None
    channel: str | None = None
    quota: Quota = Quota()
    masked: bool = False
    onward: bool = False

    def grant(self) -> Grant:
        """Return the grant that the road knows, with its times in UTC."""
        return Grant(
            id=self.id,
            grantee=self.grantee,
            datasets=self.datasets,
            start=self.start.astimezone(UTC),
            end=None if self.end is None else self.end.astimezone(UTC),
            fields=self.fields,
            purpose=self.purpose,
            channel=self.channel,
            quota_rows=self.quota.rows,
            quota_subjects=self.quota.subjects,
            masked=self.masked,
            onward=self.onward,
        )


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A person, or a machine that uses accounts of its own (role `system`), as the ledger's file writes it."""

    id: str
    accounts: tuple[str, ...]
    department: str = ""
    role: str = ""
    leaves: datetime | None = None

    def person(self) -> Person:
        """Return the person that the road knows."""
        leaves = None if self.leaves is None else self.leaves.astimezone(UTC)
        return Person(self.id, self.accounts, self.department, self.role, leaves)


def names_of(account: str, person: Person | None) -> tuple[str, ...]:
    """Return the names under which grants may reach an account: itself, its person, that one's department and role."""
    if person is None:
        return (account,)
    groups = [prefix + name for prefix, name in ((DEPARTMENT, person.department), (ROLE, person.role)) if name]
    return tuple(dict.fromkeys((account, person.id, *groups)))


def matches(pattern: str, dataset: str) -> bool:
    """Whether a dataset's name in a grant means this dataset.

    >>> matches("postgres://a:5432/tax.*", "postgres://a:5432/tax.public.payer")
    True
    """
    return dataset.startswith(pattern[:-1]) if pattern.endswith(ANY) else pattern == dataset


def covers(grant: Grant, dataset: str) -> bool:
    """Whether a grant speaks of this dataset, whenever it is valid."""
    return dataset in grant.datasets or any(matches(pattern, dataset) for pattern in grant.datasets)


def valid(grant: Grant, time: datetime) -> bool:
    """Whether a grant is valid at a time: from its start on, and before its end."""
    return grant.start <= time and (grant.end is None or time < grant.end)
