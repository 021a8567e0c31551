"""The ledger: datasets, their fields with label and grade, who is granted what; labels that the stream proposes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask, Page, View
from xmsec.console.refused import Refusals, Refused
from xmsec.ledger.book import Book
from xmsec.ledger.dataset import Dataset, Owner
from xmsec.ledger.grant import Given, covers, valid
from xmsec.ledger.use import GrantUse, accounts_of, uses_of
from xmsec.model.errors import InputError
from xmsec.model.ports import Query
from xmsec.model.types import LEVELS, UNIT_SEPARATOR, Level
from xmsec.runtime.ledgers import Ledgers, Proposed, Verdict

ROWS = 100
WALKED = 1_000  # datasets that a request looks at for open proposals; the next page goes on from there
CHARACTERS = 512
USES = 500  # accounts and findings that are looked at for the use of grants
UNKNOWN = 500  # datasets that were observed and are looked up
ACCEPT, REFUSE, REOPEN = "accept", "refuse", "reopen"
DONE = {ACCEPT: "accepted", REFUSE: "refused", REOPEN: "reopened"}


class Line(msgspec.Struct, frozen=True):
    """A dataset in the list. bare: fields without a label; open: proposals that nobody decided on."""

    dataset: Dataset
    owner: Owner
    level: Level | None
    bare: int
    searched: str
    open: int = 0


class Use(msgspec.Struct, frozen=True):
    """A grant on a dataset, how it is used, and the latest finding about that. accounts: that it reaches."""

    grant: Given
    state: Literal["valid", "expired", "early"]
    accounts: Sequence[str]
    seen: GrantUse
    told: Mapping[str, Any] | None = None


class Wanted(msgspec.Struct, frozen=True):
    """Which datasets are meant; what is empty asks for nothing. open: with open proposals alone."""

    text: str = ""
    system: str = ""
    grade: str = ""
    bare: bool = False
    open: bool = False

    def matches(self, line: Line) -> bool:
        """Whether a dataset passes, whatever is proposed of it."""
        return (
            self.system in ("", line.dataset.system)
            and self.grade in ("", line.level or "none")
            and (not self.bare or line.bare > 0)
            and all(word in line.searched for word in self.text.lower().split())
        )

    def encoded(self, start: int) -> str:
        """The filter as it stands in an address, with the place where a page starts."""
        pairs = {
            "q": self.text,
            "system": self.system,
            "grade": self.grade,
            "bare": "1" if self.bare else "",
            "open": "1" if self.open else "",
            "from": str(start) if start else "",
        }
        return urlencode({name: value for name, value in pairs.items() if value})


def listed(ask: Ask) -> Response:
    """List the datasets that who asks may see."""
    ledgers = ask.house.records.ledgers
    if ledgers is None:
        return ask.problem(404, ask.t("ledger.elsewhere"))
    asked, book, inside = ask.request.query_params, ledgers.book(), _inside(ask)
    text, system, grade = (asked.get(name, "").strip()[:CHARACTERS] for name in ("q", "system", "grade"))
    wanted = Wanted(text, system, grade, "bare" in asked, "open" in asked)
    every = [line for line in _lines(book) if inside(line.dataset.system)]
    found = [line for line in every if wanted.matches(line)]
    start = int(asked.get("from", "0")) if asked.get("from", "0").isdecimal() and len(asked.get("from", "0")) < 9 else 0
    lines, end = _walked(ask, ledgers, found, start, wanted.open)
    return ask.page(
        "ledger.html",
        lines=lines,
        wanted=wanted,
        start=start,
        end=end,
        before=max(0, start - (WALKED if wanted.open else ROWS)),
        total=len(found),
        revision=book.revision,
        systems=sorted({line.dataset.system for line in every}),
        levels=[*reversed(LEVELS), "none"],
        datasets=len(every),
        fields=sum(len(line.dataset.fields) for line in every),
        bare=sum(line.bare for line in every),
        unknown=_unknown(ask, ledgers, book),
    )


def dataset(ask: Ask) -> Response:
    """Show a dataset: its fields, its grants, what is proposed."""
    return _dataset(ask, ask.request.query_params.get("name", ""))


def review(ask: Ask) -> Response:
    """Accept or reject a proposed label, with a reason; or take a rejection back."""
    ledgers = ask.house.records.ledgers
    place = (ask.value("dataset"), ask.value("field"), ask.value("type"))
    known = None if ledgers is None else ledgers.book().dataset(place[0])
    if ledgers is None or known is None or not ask.who.may("ledger.review", known.system):
        return ask.problem(404, ask.t("ledger.gone"))
    verdict, reason = ask.value("verdict"), ask.value("reason").strip()[:CHARACTERS]
    if verdict not in DONE:
        raise InputError("no such verdict", where="verdict", remedy=f"one of {', '.join(DONE)}")
    if not reason and verdict != REOPEN:
        return _dataset(ask, place[0], 400, ask.t("ledger.no-reason"))
    refusals, now = Refusals(ask.house.keep), ask.house.now()
    if verdict == REFUSE and place not in {one.place for one in ledgers.proposals(place[:1], now)[place[0]]}:
        raise InputError("no such proposal", where="ledger", remedy="load the page again")  # none is rejected beforehand
    facts = {"field": place[1], "type": place[2], "reason": reason}
    if verdict == ACCEPT:
        grade = next((level for level in LEVELS if level == ask.value("grade")), None)
        if grade is None:
            raise InputError("no such grade", where="grade", remedy=f"one of {', '.join(LEVELS)}")
        facts |= {
            "grade": grade,
            "revision": str(ledgers.accept(place, Verdict(ask.who.name, grade, reason, ask.value("instead")), now)),
        }
    with ask.house.keep.writing():
        if verdict == REFUSE:
            refusals.add(place, ask.who.name, reason, now)
        else:
            refusals.drop(place)
        ask.note(f"ledger.{DONE[verdict]}", place[0], **facts)
    return ask.go(f"/ledger/dataset?name={quote(place[0], safe='')}")


def _dataset(ask: Ask, name: str, status: int = 200, problem: str = "") -> Response:
    ledgers = ask.house.records.ledgers
    found = None if ledgers is None else ledgers.book().dataset(name)
    if ledgers is None or found is None or not _inside(ask)(found.system):
        return ask.problem(404, ask.t("ledger.gone"))
    book = ledgers.book()
    proposed = ledgers.proposals((name,), ask.house.now())[name]
    refused = Refusals(ask.house.keep).of((name,))
    uses = _uses(ask, book, found)
    owner = next((one for one in book.entries.owners if one.id == found.owner), Owner(found.owner))
    return ask.page(
        "ledger_dataset.html",
        status,
        problem=problem,
        d=msgspec.to_builtins(found),
        level=found.level,
        raised=found.level != found.grade,
        owner=owner,
        as_of=book.entries.as_of,
        revision=book.revision,
        open=[one for one in proposed if one.place not in refused],
        refused=_decided(proposed, refused),
        uses=uses[:ROWS],
        granted=len(uses),
        levels=LEVELS,
        may=ask.who.may("ledger.review", found.system),
    )


def _decided(proposed: Iterable[Proposed], refused: Mapping[tuple[str, str, str], Refused]) -> list[tuple[Proposed, Refused]]:
    return [(one, refused[one.place]) for one in proposed if one.place in refused]


def _inside(ask: Ask) -> Callable[[str], bool]:
    reached = ask.who.reaches("ledger.read")
    return lambda system: EVERY in reached or system in reached


@lru_cache(maxsize=1)  # a revision never changes, and a city's ledger has thousands of datasets
def _lines(book: Book) -> Sequence[Line]:
    owners = {owner.id: owner for owner in book.entries.owners}
    lines = (_line(one, owners.get(one.owner, Owner(one.owner))) for one in book.entries.datasets)
    return sorted(lines, key=lambda line: (line.dataset.system, line.dataset.name))


def _line(one: Dataset, owner: Owner) -> Line:
    searched = f"{one.name} {one.title} {owner.id} {owner.name}".lower()
    return Line(one, owner, one.level, sum(field.type is None for field in one.fields), searched)


def _walked(ask: Ask, ledgers: Ledgers, found: Sequence[Line], start: int, only_open: bool) -> tuple[list[Line], int]:
    """Return a page of lines from a place on, and the place where the next page starts."""
    lines: list[Line] = []
    end = start
    while end < len(found) and len(lines) < ROWS and end - start < WALKED:
        some = _with_proposals(ask, ledgers, found[end : end + ROWS])
        lines += [line for line in some if line.open or not only_open]
        end += len(some)
    return lines, end


def _with_proposals(ask: Ask, ledgers: Ledgers, lines: Sequence[Line]) -> list[Line]:
    names = [line.dataset.name for line in lines]
    if not names:
        return []
    proposed, refused = ledgers.proposals(names, ask.house.now()), Refusals(ask.house.keep).of(names)
    return [
        msgspec.structs.replace(line, open=sum(one.place not in refused for one in proposed[line.dataset.name]))
        for line in lines
    ]


def _unknown(ask: Ask, ledgers: Ledgers, book: Book) -> Sequence[str]:
    """Return datasets that the stream speaks of and the ledger does not: without a system, for those who see all."""
    if EVERY not in ask.who.reaches("ledger.read"):
        return []
    return [name for name in ledgers.observer().observed_datasets(UNKNOWN) if book.dataset(name) is None]


def _uses(ask: Ask, book: Book, found: Dataset) -> Sequence[Use]:
    """Return the grants on a dataset, those that are valid first; with their use, and what was last found about it."""
    now = ask.house.now()
    grants = [given for given in book.entries.grants if covers(given.grant(), found.name)]
    seen = uses_of(book, grants, ask.reader("ledger.read").uses, now, found.name)
    uses = [Use(given, _state(given, now), accounts_of(book, given.grantee), seen[given.id]) for given in grants]
    latest = _told(ask, found.name, [account for use in uses for account in use.accounts][:USES])
    order = {"valid": 0, "early": 1, "expired": 2}
    told = [
        msgspec.structs.replace(use, told=next((latest[one] for one in use.accounts if one in latest), None)) for use in uses
    ]
    return sorted(told, key=lambda use: (order[use.state], use.grant.id))


def _told(ask: Ask, name: str, accounts: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """Return the latest finding of a contract about each account's use of a dataset; looks at the latest of them all."""
    latest: dict[str, Mapping[str, Any]] = {}
    if accounts:
        entities = (*accounts, *(UNIT_SEPARATOR.join((account, name)) for account in accounts))
        where = {"kind": ("contract",), "entity.type": ("user", "consumer-dataset"), "entity.id": entities}
        for row in ask.reader("ledger.read").page(Query("findings", where, limit=USES)).rows:
            entity: Any = row["entity"]
            if name in row["datasets"]:
                latest.setdefault(entity["id"].partition(UNIT_SEPARATOR)[0], row)
    return latest


def _state(given: Given, now: datetime) -> Literal["valid", "expired", "early"]:
    return "valid" if valid(given.grant(), now) else "early" if now < given.start else "expired"


PAGE = Page(
    "ledger",
    (
        View("/ledger", "ledger.read", listed),
        View("/ledger/dataset", "ledger.read", dataset),
        View("/ledger/review", "ledger.review", review, "POST"),
    ),
    icon="ledger",
)
