"""Trail: who touched a subject's data, what an actor touched. Asking needs a reason, is a POST, and leaves a record.

A value is turned into its tokens at once: it is no part of an address, of a record, of what is shown, or of a log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask, Page, View
from xmsec.console.pages.filters import moment
from xmsec.model.errors import InputError
from xmsec.model.types import Entity
from xmsec.runtime.trail import Asked, Touch, Trail, Why
from xmsec.runtime.trails import VALUE_BYTES, Reach, Trails, is_token
from xmsec.store.search import Effort

ROWS = 300  # lines that are shown of an answer, and findings
ACTORS = 12
EVENTS = 20_000  # and findings that one question takes in
LONGEST = timedelta(seconds=20)
MINE = 12
REASON = 500  # characters


class Question(msgspec.Struct, frozen=True):
    """What stands in the form. name: a token or an actor's name; of a value nothing."""

    of: Literal["subject", "actor"] = "subject"
    name: str = ""
    reason: str = ""
    start: datetime | None = None
    end: datetime | None = None


class Actor(msgspec.Struct, frozen=True):
    """Somebody in an answer, over all lines."""

    who: Entity
    count: int
    datasets: int
    first: datetime
    last: datetime


def form(ask: Ask) -> Response:
    """Show the form, filled in as a link says; nothing is asked before a reason is given."""
    asked = ask.request.query_params
    since, until = (moment(asked.get(name, ""), ask.house.records.zone) for name in ("since", "until"))
    typed = Question(_of(asked.get("of", "")), asked.get("name", ""), "", since, until)
    return _shown(ask, typed) if _kept(ask, typed) == typed else ask.go("/trail")


def ask_for(ask: Ask) -> Response:
    """Answer a question, on record."""
    since, until = (moment(ask.value(name), ask.house.records.zone) for name in ("since", "until"))
    name, reason = ask.value("name").strip()[:VALUE_BYTES], ask.value("reason").strip()[:REASON]
    trails = ask.house.records.trails
    reason = reason if trails is None else trails.tokened(reason)[-1]
    asked = Question(_of(ask.value("of")), name, reason, since, until)
    if not name or not reason or trails is None:
        missing = "no-reason" if name else "no-name"
        return _shown(ask, _kept(ask, asked), 400, problem=ask.t("trail.elsewhere" if trails is None else f"trail.{missing}"))
    with trails.turn() as mine:
        if not mine:
            return _shown(ask, _kept(ask, asked), 429, problem=ask.t("trail.busy"))
        try:
            return _answered(ask, trails, asked)
        except InputError:
            return _shown(ask, _kept(ask, asked), 400, problem=ask.t("trail.no-value"))


def _answered(ask: Ask, trails: Trails, asked: Question) -> Response:
    ends, now = ask.house.now() + LONGEST, ask.house.now
    effort = Effort(lambda: now() > ends)
    names = trails.tokened(asked.name) if asked.of == "actor" else _tokens(trails, asked.name, now(), effort)
    question = msgspec.structs.replace(asked, name=names[-1])
    ask.note("trail.asked", " ".join(names), of=asked.of, reason=asked.reason)
    reached = ask.who.reaches("trail.ask")
    systems = None if EVERY in reached else reached
    reach = Reach(ask.reader("trail.ask"), systems, EVENTS, lambda: now() > ends)
    why = Why(ask.who.name, asked.reason)
    found = trails.answer(why, Asked(asked.of, names, asked.start, asked.end), reach, now)
    return _shown(ask, question, answer=_told(found), cut=found.cut or effort.cut, names=names)


def _tokens(trails: Trails, typed: str, now: datetime, effort: Effort) -> tuple[str, ...]:
    return trails.of_token(typed, now, effort) if is_token(typed) else trails.of_value(typed)


def _of(typed: str) -> Literal["subject", "actor"]:
    return "actor" if typed == "actor" else "subject"


def _kept(ask: Ask, asked: Question) -> Question:
    """Forget what may be a value."""
    if is_token(asked.name) or not asked.name:
        return asked
    trails = ask.house.records.trails
    name = "" if asked.of == "subject" or trails is None else trails.tokened(asked.name)[-1]
    return msgspec.structs.replace(asked, name=name)


def _told(found: Trail) -> Mapping[str, Any]:
    """Write an answer as the page shows it."""
    everyone = actors(found.touches)
    return {
        "touches": msgspec.to_builtins(found.touches[:ROWS]),
        "findings": found.findings[-ROWS:],
        "lines": len(found.touches),
        "told": len(found.findings),
        "events": found.events,
        "actors": msgspec.to_builtins(everyone[:ACTORS]),
        "everyone": len(everyone),
        "datasets": len({one.dataset for one in found.touches}),
        "systems": len({one.system for one in found.touches}),
        "files": found.files,
        "groups": found.groups,
        "read": found.read,
    }


def actors(touches: Sequence[Touch]) -> list[Actor]:
    """Return everybody in an answer, who touched the most first."""
    by: dict[tuple[str, str], list[Touch]] = {}
    for one in touches:
        by.setdefault((one.actor.type, one.actor.id), []).append(one)
    everyone = [
        Actor(
            lines[0].actor,
            sum(one.count for one in lines),
            len({one.dataset for one in lines}),
            min(one.first_seen for one in lines),
            max(one.time for one in lines),
        )
        for lines in by.values()
    ]
    return sorted(everyone, key=lambda one: (-one.count, one.who.type, one.who.id))


def _shown(ask: Ask, question: Question, status: int = 200, **facts: Any) -> Response:
    trails = ask.house.records.trails
    mine = [] if trails is None else trails.inquiries.latest(ask.who.name, MINE)
    given: Mapping[str, Any] = {"problem": "", "answer": None, "cut": False, "names": (), **facts}
    return ask.page("trail.html", status, question=question, mine=mine, rows=ROWS, seconds=LONGEST.seconds, **given)


PAGE = Page(
    "trail",
    (
        View("/trail", "trail.ask", form),
        View("/trail", "trail.ask", ask_for, "POST"),
    ),
    icon="trail",
)
