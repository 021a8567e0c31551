"""Incidents: the list, and one as a whole: how far it reaches, what happened, its findings, and playbook runs with approval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from xmsec.console import decisions
from xmsec.console.access import Permission
from xmsec.console.ask import Ask, Page, View
from xmsec.console.pages.course import happenings
from xmsec.console.pages.facets import counted
from xmsec.console.pages.filters import Filter, read
from xmsec.console.pages.findings import ACTIONS, BULK
from xmsec.console.pages.runs import begun, possible
from xmsec.console.scoped import Scoped
from xmsec.console.secret import made
from xmsec.model.clock import from_rfc3339, rfc3339
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.model.ports import Query
from xmsec.model.types import SEVERITIES, Incident
from xmsec.respond.drive import TargetError
from xmsec.runtime import approval, cases

Decide = Callable[[cases.Place, dict[str, Any]], str]  # does it, and says which page it leads to
ROWS = 50
MOST = 500  # findings of an incident that a page looks at; the engine names 256, people may merge more
RELATED = 20
DIGITS = 10  # of a number of entries: fewer
PARTS = 10  # incidents that one was merged into in turn, until the one that is shown


class Head(msgspec.Struct, frozen=True):
    """What a list says of an incident: the title of its gravest finding, and when something was last seen."""

    title: str
    last: str


def listed(ask: Ask) -> Response:
    """Show the list; asked for by htmx, its results alone."""
    wanted = _wanted(ask)
    reader = ask.reader("incidents.read")
    page = reader.page(wanted.query(ROWS), ask.request.query_params.get("after"))
    facts: dict[str, Any] = {"rows": page.rows, "next": page.next, "filter": wanted}
    facts |= {"heads": heads(reader, page.rows), "waiting": _waiting(ask, [row["id"] for row in page.rows])}
    if ask.partial:
        return ask.page("incidents_rows.html" if "after" in ask.request.query_params else "incidents_results.html", **facts)
    return ask.page("incidents.html", **facts)


def facets(ask: Ask) -> Response:
    """Count what each further choice would leave."""
    return counted(ask, _wanted(ask), "incidents.read")


def heads(reader: Scoped, rows: Sequence[dict[str, Any]]) -> dict[str, Head]:
    """Look at what a list says of incidents, in one look at all their findings."""
    owner = {finding: row["id"] for row in rows for finding in row["findings"][:MOST]}
    asked = Query("findings", {"id": tuple(owner)})
    gravest: dict[str, tuple[int, str, str]] = {}
    last: dict[str, str] = {}
    for finding, severity, time, title in reader.count(asked, ("id", "severity", "time", "title")) if owner else ():
        incident = owner[finding]
        gravest[incident] = max(gravest.get(incident, (-1, "", "")), (SEVERITIES.index(severity), finding, title))
        last[incident] = max(last.get(incident, time), time, key=from_rfc3339)
    return {incident: Head(title, last[incident]) for incident, (_, _, title) in gravest.items()}


def _waiting(ask: Ask, incidents: Sequence[str]) -> set[str]:
    """Return those of which a playbook run waits for a person."""
    means = ask.house.records.means
    stands = [(entries[0], means.stands(entries)) for entries in means.runs.of(incidents).values()]
    return {first.body.get("incident", "") for first, at in stands if at is not None and at.doing == "wait"}


def one(ask: Ask) -> Response:
    """Show an incident; one that was merged leads to the one that shows it."""
    incident = ask.request.path_params["id"]
    if ask.reader("incidents.read").one("incidents", incident) is None:
        into = _merged_into(ask, incident)
        return ask.go(f"/incidents/{into}") if into else ask.problem(404, ask.t("incidents.gone"))
    return _shown(ask, incident)


def _merged_into(ask: Ask, incident: str) -> str | None:
    reader = ask.reader("incidents.read")
    for _ in range(PARTS):
        merges = [act for act in ask.house.records.acts.of(incident) if act.kind == "merge" and incident in act.incidents]
        if not merges:
            return None
        incident = merges[-1].incident
        if reader.one("incidents", incident) is not None:
            return incident
    return None


def _shown(ask: Ask, incident: str, status: int = 200, problem: str = "") -> Response:
    place = ask.place("incidents.read")
    course = cases.course(place, ask.house.records.means.runs, incident, MOST)
    row = course.incident
    if course.scope is not None and course.scope.grades:
        ask.note("graded.read", incident, grade=next(iter(course.scope.grades)))
    gravest = max(course.findings, key=lambda one: (SEVERITIES.index(one["severity"]), one["risk"], one["id"]), default=None)
    wished = {name for finding in course.findings for name in finding["playbooks"]}
    related = Query("incidents", {"id": tuple(row["related"][:RELATED])}, limit=RELATED)
    return ask.page(
        "incidents_one.html",
        status,
        i=row,
        title=gravest["title"] if gravest else "",
        scope=course.scope,
        last=rfc3339(course.scope.last) if course.scope is not None else row["opened"],
        findings=sorted(course.findings, key=lambda one: (-SEVERITIES.index(one["severity"]), -one["risk"], one["id"])),
        happenings=happenings(ask, course),
        runs=begun(ask, course.runs),
        possible=possible(ask, msgspec.convert(row, Incident), course.runs, wished),
        related=place.reader.page(related).rows if row["related"] else (),
        people=_people(ask),
        acts=any(ask.who.may("incidents.act", system) for system in row["systems"]),
        approves=any(ask.who.may("runs.approve", system) for system in row["systems"]),
        stands_in=lambda role: decisions.stands_in(ask, row, role),
        key=made(),
        problem=problem,
        quiet=ask.request.query_params.get("target", ""),
    )


def triage(ask: Ask) -> Response:
    """Give an incident a status, or somebody."""
    action = ask.value("action")
    if action not in (*ACTIONS, "assign"):
        raise ConfigError("no such action", where="action", remedy=f"one of {', '.join(ACTIONS)}, assign")

    def decide(place: cases.Place, row: dict[str, Any]) -> str:
        assignee = ask.value("assignee") if action == "assign" else None
        if assignee and assignee not in _people(ask):
            raise ConfigError("no such person", where="assignee", remedy="choose one of those that are there")
        status = row["status"] if action == "assign" else ACTIONS[action]
        cases.triage(place, _saying(ask, action, assignee or ""), row["id"], status, assignee)
        ask.note(f"incident.{action}", row["id"], **({} if assignee is None else {"assignee": assignee}))
        return str(row["id"])

    return _decided(ask, decide)


def comment(ask: Ask) -> Response:
    """Say something of an incident."""

    def decide(place: cases.Place, row: dict[str, Any]) -> str:
        text = ask.value("text").replace("\r\n", "\n").strip()
        cases.comment(place, _saying(ask, "comment", text), row["id"], text)
        ask.note("incident.comment", row["id"])
        return str(row["id"])

    return _decided(ask, decide)


def merge(ask: Ask) -> Response:
    """Make other incidents part of one."""

    def decide(place: cases.Place, row: dict[str, Any]) -> str:
        others = sorted({name.strip() for name in ask.form.get("other", ()) if name.strip()})
        decisions.merge(ask, _saying(ask, "merge", *others), row, others)
        return str(row["id"])

    return _decided(ask, decide)


def findings(ask: Ask) -> Response:
    """Split findings off, move them to another incident, or give them a status of their own."""

    def decide(place: cases.Place, row: dict[str, Any]) -> str:
        ids, action, to = sorted({*ask.form.get("finding", ())})[:BULK], ask.value("action"), ask.value("to").strip()
        saying = _saying(ask, action, to, *ids)
        if action == "split":
            return decisions.split(ask, saying, row, ids).into
        if action == "move":
            return decisions.move(ask, saying, ids, to).incident
        if action not in ACTIONS:
            raise ConfigError("no such action", where="action", remedy=f"one of split, move, {', '.join(ACTIONS)}")
        held = sorted(decisions.held(ask, ids))
        cases.triage_findings(place, saying, held, ACTIONS[action])
        for each in held:
            ask.note(f"finding.{action}", each, incident=row["id"])
        return str(row["id"])

    return _decided(ask, decide)


def begin(ask: Ask) -> Response:
    """Begin a playbook run for an incident."""

    def decide(place: cases.Place, row: dict[str, Any]) -> str:
        run = decisions.begin(ask, row, ask.value("playbook"))
        return f"{row['id']}#run-{run}"

    return _decided(ask, decide, "runs.approve")


def decide_run(ask: Ask) -> Response:
    """Approve or refuse the step that a run waits with, or go on with a run that was interrupted."""
    run, action = ask.request.path_params["run"], ask.value("action")

    def decide(place: cases.Place, row: dict[str, Any]) -> str:
        decisions.decide(ask, row, run, None if action == "resume" else _word(ask, action), action)
        return f"{row['id']}#run-{run}"

    return _decided(ask, decide, "runs.approve")


def _word(ask: Ask, action: str) -> approval.Word:
    """Read what was said of a step."""
    if action not in ("approve", "done", "again", "refuse"):
        raise ConfigError("no such action", where="action", remedy="one of approve, done, again, refuse, resume")
    seen = ask.value("seen")
    return approval.Word(
        ask.who.name,
        ask.value("step"),
        refused=ask.value("why") if action == "refuse" else None,
        done=action == "done",
        again=action == "again",
        seen=int(seen) if seen.isdecimal() and len(seen) < DIGITS else None,
    )


def _decided(ask: Ask, decide: Decide, permission: Permission = "incidents.act") -> Response:
    """Decide something of an incident that may be seen, and show it: what it became, or why it was not done."""
    incident, place = ask.request.path_params["id"], ask.place(permission)
    row = ask.reader(permission).one("incidents", incident)
    if row is None:
        return ask.problem(404, ask.t("incidents.gone"))
    try:
        leads = decide(place, row)
    except TargetError:
        return ask.go(f"/incidents/{incident}?target=away")
    except (ConfigError, PolicyError) as error:
        status, text = decisions.refusal(error)
        return _shown(ask, incident, status, ask.t(text))
    return ask.go(f"/incidents/{leads}")


def _people(ask: Ask) -> list[str]:
    return [user.name for user in ask.house.users.every() if not user.disabled]


def _saying(ask: Ask, *what: str) -> cases.Said:
    """Return who decides: the same form sent again with the same content is one decision."""
    return ask.saying(" ".join((ask.value("key"), *what)) if ask.value("key") else "")


def _wanted(ask: Ask) -> Filter:
    return read(ask.request.query_params, ask.house.records.zone, "incidents")


PAGE = Page(
    "incidents",
    (
        View("/incidents", "incidents.read", listed),
        View("/incidents/facets", "incidents.read", facets),
        View("/incidents/{id}", "incidents.read", one),
        View("/incidents/{id}/status", "incidents.act", triage, "POST"),
        View("/incidents/{id}/comments", "incidents.act", comment, "POST"),
        View("/incidents/{id}/merge", "incidents.act", merge, "POST"),
        View("/incidents/{id}/findings", "incidents.act", findings, "POST"),
        View("/incidents/{id}/runs", "runs.approve", begin, "POST"),
        View("/incidents/{id}/runs/{run}", "runs.approve", decide_run, "POST"),
    ),
    icon="incidents",
)
