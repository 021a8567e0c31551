"""The API, for machines with a token and for scripts of a page; who sends records is let in elsewhere (`intake`).

Each answer bears an ETag: of its bytes, so that the same record has the same wherever it is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from xmsec.console.access import EVERY, Permission
from xmsec.console.ask import Ask, Page, View
from xmsec.console.once import once
from xmsec.console.openapi import document
from xmsec.console.pages.findings import live
from xmsec.console.records import (
    Asked,
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
    PlaybookRuns,
    Remark,
    RunRecord,
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
from xmsec.model.clock import from_rfc3339
from xmsec.model.errors import InputError
from xmsec.model.ports import Query, Table
from xmsec.model.types import LEVELS
from xmsec.respond.chain import Entry
from xmsec.runtime import cases

ORDERS: dict[Table, str] = {"findings": "-time", "incidents": "-risk"}
READ: dict[Table, Permission] = {"findings": "findings.read", "incidents": "incidents.read"}
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
    return _answer(ask, Labels(rows, cursor(rows[-1].dataset, rows[-1].field) if len(rest) > len(rows) else None))


def runs(ask: Ask) -> Response:
    """List playbook runs, the latest first."""
    asked = parameters(ask.request, Asked)
    known = list(reversed(ask.house.records.means.runs.runs()))
    start = after(asked)
    if start is not None and start not in known:
        raise InputError("bad-cursor", remedy="take it from the page before, unchanged")
    names = known if start is None else known[known.index(start) + 1 :]
    rows: list[RunRecord] = []
    reader, all_systems = ask.reader("runs.read"), EVERY in ask.who.reaches("runs.read")
    for name in names:
        row = _run(ask, name, ask.house.records.means.runs.entries(name))
        if all_systems or reader.one("incidents", row.incident) is not None:
            rows.append(row)
        if len(rows) > asked.limit:
            break
    more = len(rows) > asked.limit
    return _answer(ask, PlaybookRuns(tuple(rows[: asked.limit]), rows[asked.limit - 1].id if more else None))


def _run(ask: Ask, name: str, entries: Sequence[Entry]) -> RunRecord:
    first, last = entries[0], entries[-1]
    stands = ask.house.records.means.stands(entries)
    doing = "unknown" if stands is None else stands.doing
    return RunRecord(
        name, first.body.get("playbook", ""), first.body.get("incident", ""), doing, last.step, last.by, from_rfc3339(last.at)
    )


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
        if problem := _out_of_reach(ask, "incidents", name):
            return problem
        act = cases.comment(ask.place("incidents.act"), _saying(ask), name, said.text)
        ask.note("incident.comment", name)
        return _answer(ask, Said(act.id, act.incident, act.by, act.at, act.text), 201)

    return once(ask, change)


def description(ask: Ask) -> Response:
    """Return this document."""
    return _answer(ask, document(ask.request.app.routes))


def _listed(ask: Ask, table: Table, asked: CoverageAsked | IncidentsAsked, **fixed: tuple[str, ...]) -> Response:
    where = {**chosen(asked), **fixed}
    query = Query(table, where, ORDERS[table], asked.limit, since=moment(asked.since), until=moment(asked.until), text=asked.q)
    page = ask.reader(READ[table]).page(query, after(asked))
    if graded := [one["grade"] for one in page.rows if one.get("grade")]:
        ask.note("graded.read", "", grade=max(graded, key=LEVELS.index), records=str(len(graded)))
    return _answer(ask, {"rows": page.rows, "next": page.next})


def _one(ask: Ask, table: Table) -> Response:
    row = ask.reader(READ[table]).one(table, ask.request.path_params["id"])
    if row is None:
        return ask.problem(404, ask.t("api.no-record"))
    if row.get("grade"):
        ask.note("graded.read", str(row["id"]), grade=str(row["grade"]))
    return _answer(ask, row)


def _changed(ask: Ask, table: Table) -> Response:
    """Change what people say of a record, unless it changed since who asks had read it; return it as it is now."""
    wanted = content(ask.body, Triage)
    name = ask.request.path_params["id"]

    def change() -> Response:
        if problem := _out_of_reach(ask, table, name):
            return problem
        here = ask.place(CHANGE[table])
        row = here.reader.page(Query(table, {"id": (name,)}, limit=1)).rows[0]
        read = ask.reader(READ[table]).one(table, name)  # as who asks was given it: they may change less than they read
        if not _matches(ask.request.headers.get("if-match", "*"), _tag(msgspec.json.encode(read))):
            return ask.problem(412, ask.t("api.changed-since"))
        status = row["status"] if wanted.status is UNSET else wanted.status
        assignee = None if wanted.assignee is UNSET else wanted.assignee or ""
        if table == "findings":
            cases.triage_findings(here, _saying(ask), (name,), status, assignee)
        else:
            cases.triage(here, _saying(ask), name, status, assignee)
        ask.note(
            f"{table.removesuffix('s')}.triage", name, status=status, **({} if assignee is None else {"assignee": assignee})
        )
        return _answer(ask, ask.reader(READ[table]).one(table, name))

    return once(ask, change)


def _out_of_reach(ask: Ask, table: Table, name: str) -> Response | None:
    """Say that a record is not there for who asks, or may be read alone."""
    if ask.reader(READ[table]).one(table, name) is None:
        return ask.problem(404, ask.t("api.no-record"))
    if ask.reader(CHANGE[table]).one(table, name) is None:
        return ask.problem(403, ask.t("base.refused-403"))
    return None


def _saying(ask: Ask) -> cases.Said:
    """Return who decides; under an Idempotency-Key the same decision for good, also when its answer was lost."""
    key = ask.request.headers.get("idempotency-key", "")
    return ask.saying(f"{ask.request.method} {ask.request.url.path} {key} {sha256(ask.body).hexdigest()}" if key else "")


def _answer(ask: Ask, body: Any, status: int = 200) -> Response:
    """Answer with JSON and its tag; to who has just this already, with the tag alone."""
    encoded = msgspec.json.encode(body)
    tag = _tag(encoded)
    headers = {"etag": tag, "cache-control": "private, no-cache", "content-disposition": 'attachment; filename="api.json"'}
    if ask.request.method in ("GET", "HEAD") and _matches(ask.request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(encoded, status, headers, "application/json")


def _tag(encoded: bytes) -> str:
    return f'"{sha256(encoded).hexdigest()[:32]}"'


def _matches(said: str, tag: str) -> bool:
    names = [one.strip().removeprefix("W/") for one in said.split(",")]
    return "*" in names or tag in names


PAGE = Page(
    "api",
    (
        View("/api/openapi.json", "signed-in", description, gives=dict[str, Any]),
        View("/api/findings", "findings.read", findings, asks=FindingsAsked, gives=Findings),
        View("/api/findings/{id}", "findings.read", finding, gives=FindingRecord),
        View("/api/findings/{id}", "findings.triage", triage_finding, "PATCH", takes=Triage, gives=FindingRecord),
        View("/api/incidents", "incidents.read", incidents, asks=IncidentsAsked, gives=Incidents),
        View("/api/incidents/{id}", "incidents.read", incident, gives=IncidentRecord),
        View("/api/incidents/{id}", "incidents.act", triage_incident, "PATCH", takes=Triage, gives=IncidentRecord),
        View("/api/incidents/{id}/comments", "incidents.act", comment, "POST", takes=Remark, gives=Said, status=201),
        View("/api/coverage", "findings.read", coverage, asks=CoverageAsked, gives=Findings),
        View("/api/labels", "ledger.read", labels, asks=LabelsAsked, gives=Labels),
        View("/api/playbook-runs", "runs.read", runs, asks=Asked, gives=PlaybookRuns),
        View("/api/live", "findings.read", live, by_itself=True, gives="text/event-stream"),
    ),
)
