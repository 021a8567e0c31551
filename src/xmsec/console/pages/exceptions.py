"""Exceptions from a finding: what they would hide is shown before they are made; all of them, with their hits and their end.

The same functions as `xmsec exceptions`. One always names the finding's detector and system: nobody hides more than they reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.responses import Response

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask, Page, View
from xmsec.content.exceptions import LONGEST, ExceptionFile
from xmsec.findings.hidden import hits, standing, would_hide
from xmsec.model.clock import EPOCH, FAR, from_rfc3339
from xmsec.model.errors import ContentError, InputError, PolicyError
from xmsec.model.types import UNIT_SEPARATOR
from xmsec.runtime.exceptions import Draft, Shelf, add, cover, drafted, end

NARROWER = ("stream", "stage", "severity", "grade")  # conditions that the form offers besides
DAYS = 30
BEFORE = timedelta(days=90)  # told earlier, and covered when that is wanted
LOOKED_AT = 5_000  # findings that a form is drawn up against: half a second
CHARACTERS = 500


class Form(msgspec.Struct, frozen=True):
    """What somebody fills in. entity: a wildcard, empty for any; narrower: further columns with the finding's own value.

    earlier: whether it covers what was told before the finding, too.
    """

    finding: Mapping[str, Any]
    entity: str
    narrower: tuple[str, ...]
    earlier: bool
    reason: str
    owner: str
    expires: datetime

    @property
    def start(self) -> datetime:
        """From which windows on it covers: no earlier than its longest span before its expiry."""
        return max(from_rfc3339(self.finding["window"]["start"]) - BEFORE * self.earlier, self.expires - LONGEST)

    @property
    def draft(self) -> dict[str, Sequence[str]]:
        """The conditions."""
        row = self.finding
        when: dict[str, Sequence[str]] = {"detector": (row["detector"],), "system": (row["system"],)}
        when["entity.type"] = (row["entity"]["type"],)
        if self.entity and self.entity.strip("*"):
            when["entity.id"] = (self.entity,)
        return when | {column: (row[column],) for column in self.narrower if row[column]}


def ask_for(ask: Ask) -> Response:
    """Show the form, filled in from a finding."""
    return _shown(ask, _form(ask, ask.request.query_params, filled=False))


def preview(ask: Ask) -> Response:
    """Say what an exception as it is filled in would hide of what is recorded."""
    form = _form(ask, ask.request.query_params, filled=True)
    return ask.page("exceptions_hidden.html", **_hidden(ask, form))


def make(ask: Ask) -> Response:
    """Write the exception, and let it cover what was told before; the findings leave the list."""
    form = _form(ask, QueryParams([(name, value) for name, values in ask.form.items() for value in values]), filled=True)
    if problem := _problem(ask, form):
        return _shown(ask, form, problem)
    shelf = _shelf(ask)
    try:
        placed = add(shelf.dirs, shelf.home, _draft(ask, form, _name(form, shelf)))
    except ContentError as error:
        return _shown(ask, form, f"{ask.t('exceptions.wrong')} {error.what}")
    ids = cover(placed.file, ask.place("findings.except"))
    said = {"reason": placed.file.reason, "owner": placed.file.owner, "expires": f"{placed.file.expires:%Y-%m-%d}"}
    ask.note("exception.added", placed.file.id, **said, covered=str(len(ids)))
    if not ask.partial:
        return ask.go("/findings/exceptions")
    answer = ask.page("exceptions_made.html", file=placed.file, covered=len(ids), at_once=not ask.house.records.workers)
    answer.headers["hx-trigger-after-swap"] = "excepted"
    return answer


def listed(ask: Ask) -> Response:
    """List exceptions that may cover findings of systems that one reaches."""
    reached = ask.who.reaches("findings.read")
    files = [file for file in _shelf(ask).files() if EVERY in reached or not file.wanted("system") or _reaches(reached, file)]
    counted = hits(files, ask.reader("findings.read"))
    now, may = ask.house.now(), ask.who.reaches("findings.except")
    order = {"expired": 0, "active": 1, "coming": 2, "ended": 3}
    rows = [(file, standing(file, now), counted[file.id], _reaches(may, file)) for file in files]
    rows.sort(key=lambda row: (order[row[1]], row[0].until, row[0].id))
    return ask.page("exceptions.html", rows=rows, separator=UNIT_SEPARATOR)


def finish(ask: Ask) -> Response:
    """End an exception now: later windows are told again."""
    shelf, name = _shelf(ask), ask.value("name")
    known = next((file for file in shelf.files() if file.id == name), None)
    if known is None:
        return ask.problem(404, ask.t("exceptions.gone"))
    if not _reaches(ask.who.reaches("findings.except"), known):
        raise PolicyError(ask.t("exceptions.foreign"))
    end(shelf.dirs, shelf.home, name, ask.house.now().replace(microsecond=0), ask.who.name)
    ask.note("exception.ended", name)
    return ask.go("/findings/exceptions")


def _reaches(systems: frozenset[str], file: ExceptionFile) -> bool:
    """Whether all that an exception may cover lies in these systems."""
    wanted = file.wanted("system")
    return EVERY in systems or (bool(wanted) and {*wanted} <= systems)


def _shelf(ask: Ask) -> Shelf:
    if ask.house.records.exceptions is None:
        raise PolicyError(ask.t("exceptions.none-here"))
    return ask.house.records.exceptions


def _form(ask: Ask, given: QueryParams, *, filled: bool) -> Form:
    """Read the form. Raises PolicyError when the finding is not there or not within reach."""
    finding: dict[str, Any] | None = ask.reader("findings.except").one("findings", given.get("id", ""))
    if finding is None:
        raise PolicyError(ask.t("findings.gone"))
    named = finding["entity"]["id"].replace(UNIT_SEPARATOR, " / ").replace("*", "?")  # what a log says is no wildcard
    return Form(
        finding,
        given.get("entity", "").strip()[:CHARACTERS] if filled else named,
        tuple(column for column in NARROWER if column in given.getlist("narrower")),
        not filled or "earlier" in given,
        given.get("reason", "").strip()[:CHARACTERS],
        given.get("owner", "").strip()[:CHARACTERS] if filled else ask.who.name,
        _day(ask, given.get("expires", "")),
    )


def _day(ask: Ask, text: str) -> datetime:
    """Read a day, at whose end the exception expires; without one, the usual span from now."""
    zone, days = ask.house.records.zone, timedelta(days=1)
    try:
        day = min(max(from_rfc3339(f"{text}T00:00:00Z"), EPOCH), FAR).replace(tzinfo=zone)  # a year away at most is taken
    except InputError:
        day = ask.house.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) + DAYS * days
    return day + days


def _problem(ask: Ask, form: Form) -> str:
    if not form.reason or not form.owner:
        return ask.t("exceptions.reason-needed")
    now = ask.house.now()
    return "" if now < form.expires <= now + LONGEST else ask.t("exceptions.too-long")


def _name(form: Form, shelf: Shelf) -> str:
    """Name it after the detector and the finding, and the first number that is free."""
    taken = {file.id for file in shelf.files()}
    stem = f"{form.finding['detector']}-{form.finding['id'][:8]}"
    return next(name for number in range(1, len(taken) + 2) if (name := f"{stem}-{number}") not in taken)


def _draft(ask: Ask, form: Form, name: str) -> Draft:
    return Draft(
        id=name,
        reason=form.reason or "-",
        owner=form.owner or "-",
        author=ask.who.name,
        start=form.start,
        expires=form.expires,
        when=form.draft,
    )


def _hidden(ask: Ask, form: Form) -> Mapping[str, Any]:
    file = drafted(_draft(ask, form, "draft")).file
    return {"hidden": would_hide(file, ask.reader("findings.except"), LOOKED_AT), "form": form, "separator": UNIT_SEPARATOR}


def _shown(ask: Ask, form: Form, problem: str = "") -> Response:
    zone = ask.house.records.zone
    last = (ask.house.now() + LONGEST - timedelta(days=1)).astimezone(zone)
    return ask.page(
        "exceptions_form.html" if ask.partial else "exceptions_alone.html",
        200 if ask.partial or not problem else 400,
        f=form.finding,
        narrower=NARROWER,
        days=BEFORE.days,
        problem=problem,
        expires=f"{form.expires.astimezone(zone) - timedelta(days=1):%Y-%m-%d}",
        first=f"{ask.house.now().astimezone(zone):%Y-%m-%d}",
        last=f"{last:%Y-%m-%d}",
        **_hidden(ask, form),
    )


PAGE = Page(
    "exceptions",
    (
        View("/findings/exceptions", "findings.read", listed),
        View("/findings/exceptions/end", "findings.except", finish, "POST"),
        View("/findings/except", "findings.except", ask_for),
        View("/findings/except", "findings.except", make, "POST"),
        View("/findings/except/preview", "findings.except", preview),
    ),
)
