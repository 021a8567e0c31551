"""Whether what is granted is used: use by the accounts that a grant reaches, on the datasets that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from xmsec.ledger.book import Book
from xmsec.ledger.grant import DEPARTMENT, ROLE, Given, covers
from xmsec.model.ports import Use, UseQuery

RECENT = timedelta(days=30)
MOST = 100_000  # sums of use that one answer takes in
Uses = Callable[[UseQuery], Sequence[Use]]


class GrantUse(msgspec.Struct, frozen=True):
    """Use under a grant, valid or not at the time. first, last: None when none is known; recent: events of the last 30 days."""

    first: datetime | None = None
    last: datetime | None = None
    recent: int = 0


def uses_of(book: Book, grants: Sequence[Given], uses: Uses, now: datetime, dataset: str = "") -> Mapping[str, GrantUse]:
    """Return the use of each grant by its id, of one dataset or of all. uses: the Reader's."""
    reached = {given.id: accounts_of(book, given.grantee) for given in grants}
    accounts = sorted({one for some in reached.values() for one in some})
    if not accounts:
        return {}
    query = UseQuery(datasets=(dataset,) if dataset else (), accounts=tuple(accounts), limit=MOST)
    every = _by_account(uses(query))
    recent = _by_account(uses(msgspec.structs.replace(query, since=now - RECENT)))
    return {given.id: _use(given, reached[given.id], every, recent) for given in grants}


def accounts_of(book: Book, grantee: str) -> list[str]:
    """Return the accounts that a grant to somebody reaches: an account's own, a person's, those of a department or role."""
    people = book.entries.people
    if grantee.startswith(DEPARTMENT):
        reached = [one for one in people if one.department == grantee.removeprefix(DEPARTMENT)]
    elif grantee.startswith(ROLE):
        reached = [one for one in people if one.role == grantee.removeprefix(ROLE)]
    else:
        reached = [one for one in people if one.id == grantee]
    return [account for one in reached for account in one.accounts] or [grantee]


_ByAccount = Mapping[str, Sequence[Use]]


def _by_account(uses: Iterable[Use]) -> _ByAccount:
    found: dict[str, list[Use]] = {}
    for use in uses:
        found.setdefault(use.account, []).append(use)
    return found


def _use(given: Given, accounts: Sequence[str], every: _ByAccount, recent: _ByAccount) -> GrantUse:
    grant = given.grant()
    mine, lately = (
        [use for account in accounts for use in some.get(account, ()) if covers(grant, use.dataset)] for some in (every, recent)
    )
    if not mine:
        return GrantUse()
    return GrantUse(min(use.first for use in mine), max(use.last for use in mine), sum(use.events for use in lately))
