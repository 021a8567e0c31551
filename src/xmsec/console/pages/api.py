"""The API, for machines with a token and for scripts of a page; who sends records is let in elsewhere (`intake`)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from xmsec.console.access import EVERY, Permission
from xmsec.console.ask import Ask, Page, View
from xmsec.console.once import once
from xmsec.console.openapi import document
from xmsec.console.pages.answers import READ, answer, changed_since, no_record, out_of_reach, saying
from xmsec.console.pages.api_grouping import GROUPING
from xmsec.console.pages.api_runs import RUNS
from xmsec.console.pages.findings import live
from xmsec.console.records import (
    CoverageAsked,
    FindingRecord,
    Findings,
    FindingsAsked,
    IncidentRecord,
    Incidents,
    IncidentsAsked,
    LabelRecord,
    Labels,
    LabelsAsked,
    Remark,
    Said,
    Triage,
    after,
    chosen,
    content,
    cursor,
    moment,
    parameters,
    place,
)
from xmsec.model.ports import Query, Table
from xmsec.model.types import LEVELS
from xmsec.runtime import cases

ORDERS: dict[Table, str] = {"findings": "-time", "incidents": "-risk"}
CHANGE: dict[Table, Permission] = {"findings": "findings.triage", "incidents": "incidents.act"}


def findings(ask: Ask) -> Response:
    """List findings, the latest first."""
    return _listed(ask, "findings", parameters(ask.request, FindingsAsked))


def incidents(ask: Ask) -> Response:
    """List incidents, the gravest first."""
    return _listed(ask, "incidents", parameters(ask.request, IncidentsAsked))


def coverage(ask: Ask) -> Response:
    """List what is not seen: the findings of kind coverage, the latest first."""
    return _listed(ask, "findings", parameters(ask.request, CoverageAsked), kind=("coverage",))


def finding(ask: Ask) -> Response:
    """Return one finding."""
    return _one(ask, "findings")


def incident(ask: Ask) -> Response:
    """Return one incident."""
    return _one(ask, "incidents")


def labels(ask: Ask) -> Response:
    """List what fields are judged to hold, by dataset and field."""
    asked = parameters(ask.request, LabelsAsked)
    reached, start = ask.who.reaches("ledger.read"), place(asked)
    book = ask.house.records.book()
    found = [
        LabelRecord(**msgspec.structs.asdict(label), system=dataset.system)
        for dataset in book.entries.datasets
        if EVERY in reached or dataset.system in reached
        for label in book.labels(dataset.name)
    ]
    wanted = chosen(asked).items()
    passing = [one for one in found if all(getattr(one, name) in values for name, values in wanted)]
    passing.sort(key=lambda one: (one.dataset, one.field))
    rest = [one for one in passing if start is None or (one.dataset, one.field) > start]
    rows = tuple(rest[: asked.limit])
    return answer(ask, Labels(rows, cursor(rows[-1].dataset, rows[-1].field) if len(rest) > len(rows) else None))


def triage_finding(ask: Ask) -> Response:
    """Give a finding a status, or somebody."""
    return _changed(ask, "findings")


def triage_incident(ask: Ask) -> Response:
    """Give an incident a status, or somebody."""
    return _changed(ask, "incidents")


def comment(ask: Ask) -> Response:
    """Say something of an incident."""
    said = content(ask.body, Remark)
    name = ask.request.path_params["id"]

    def change() -> Response:
        if problem := out_of_reach(ask, "incidents", name, "incidents.act"):
            return problem
        act = cases.comment(ask.place("incidents.act"), saying(ask), name, said.text)
        ask.note("incident.comment", name)
        return answer(ask, Said(act.id, act.incident, act.by, act.at, act.text), 201)

    return once(ask, change)


def description(ask: Ask) -> Response:
    """Return this document."""
    return answer(ask, document(ask.request.app.routes))


def _listed(ask: Ask, table: Table, asked: CoverageAsked | IncidentsAsked, **fixed: tuple[str, ...]) -> Response:
    where = {**chosen(asked), **fixed}
    query = Query(table, where, ORDERS[table], asked.limit, since=moment(asked.since), until=moment(asked.until), text=asked.q)
    page = ask.reader(READ[table]).page(query, after(asked))
    if graded := [one["grade"] for one in page.rows if one.get("grade")]:
        ask.note("graded.read", "", grade=max(graded, key=LEVELS.index), records=str(len(graded)))
    return answer(ask, {"rows": page.rows, "next": page.next})


def _one(ask: Ask, table: Table) -> Response:
    row = ask.reader(READ[table]).one(table, ask.request.path_params["id"])
    if row is None:
        return no_record(ask)
    if row.get("grade"):
        ask.note("graded.read", str(row["id"]), grade=str(row["grade"]))
    return answer(ask, row)


def _changed(ask: Ask, table: Table) -> Response:
    """Change what people say of a record, unless it changed since who asks had read it; return it as it is now."""
    wanted = content(ask.body, Triage)
    name = ask.request.path_params["id"]

    def change() -> Response:
        if problem := out_of_reach(ask, table, name, CHANGE[table]) or changed_since(ask, table, name):
            return problem
        here = ask.place(CHANGE[table])
        row = here.reader.page(Query(table, {"id": (name,)}, limit=1)).rows[0]
        status = row["status"] if wanted.status is UNSET else wanted.status
        assignee = None if wanted.assignee is UNSET else wanted.assignee or ""
        if table == "findings":
            cases.triage_findings(here, saying(ask), (name,), status, assignee)
        else:
            cases.triage(here, saying(ask), name, status, assignee)
        ask.note(
            f"{table.removesuffix('s')}.triage", name, status=status, **({} if assignee is None else {"assignee": assignee})
        )
        return answer(ask, ask.reader(READ[table]).one(table, name))

    return once(ask, change)


PAGE = Page(
    "api",
    (
        View("/api/openapi.json", "signed-in", description, gives=dict[str, Any]),
        View("/api/findings", "findings.read", findings, asks=FindingsAsked, gives=Findings),
        View("/api/findings/{id}", "findings.read", finding, gives=FindingRecord),
        View("/api/findings/{id}", "findings.triage", triage_finding, "PATCH", takes=Triage, gives=FindingRecord, matches=True),
        View("/api/incidents", "incidents.read", incidents, asks=IncidentsAsked, gives=Incidents),
        View("/api/incidents/{id}", "incidents.read", incident, gives=IncidentRecord),
        View(
            "/api/incidents/{id}", "incidents.act", triage_incident, "PATCH", takes=Triage, gives=IncidentRecord, matches=True
        ),
        View("/api/incidents/{id}/comments", "incidents.act", comment, "POST", takes=Remark, gives=Said, status=201),
        *GROUPING,
        View("/api/coverage", "findings.read", coverage, asks=CoverageAsked, gives=Findings),
        View("/api/labels", "ledger.read", labels, asks=LabelsAsked, gives=Labels),
        *RUNS,
        View("/api/live", "findings.read", live, by_itself=True, gives="text/event-stream"),
    ),
)
