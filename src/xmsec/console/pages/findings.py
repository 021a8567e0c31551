"""Findings: the list, live and by keyboard, with facets and saved views; one with its reasons; triage of one or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from starlette.datastructures import QueryParams
from starlette.responses import Response, StreamingResponse

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask, Page, View
from xmsec.console.pages.facets import counted
from xmsec.console.pages.filters import Filter, read
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Query
from xmsec.model.types import Status
from xmsec.runtime.cases import triage_findings

ROWS = 50
EARLIER = 10
BULK = 500  # findings that one request changes
ACTIONS: Mapping[str, Status] = {
    "acknowledge": "acknowledged",
    "close": "closed",
    "false-positive": "false-positive",
    "reopen": "new",
}


def listed(ask: Ask) -> Response:
    """Show the list; asked for by htmx, its results alone."""
    wanted = _wanted(ask)
    page = ask.reader("findings.read").page(wanted.query(ROWS), ask.request.query_params.get("after"))
    facts: dict[str, Any] = {"rows": page.rows, "next": page.next, "filter": wanted}
    if ask.partial:
        part = "findings_rows.html" if "after" in ask.request.query_params else "findings_results.html"
        return ask.page(part, **facts)
    return ask.page("findings.html", **facts, views=_views(ask))


def facets(ask: Ask) -> Response:
    """Count what each further choice would leave."""
    return counted(ask, _wanted(ask), "findings.read")


def one(ask: Ask) -> Response:
    """Show a finding: beside the list, or as a page of its own that a link leads to."""
    finding = ask.reader("findings.read").one("findings", ask.request.path_params["id"])
    if finding is None:
        return ask.problem(404, ask.t("findings.gone"))
    if finding["grade"]:
        ask.note("graded.read", str(finding["id"]), grade=str(finding["grade"]))
    entity: Any = finding["entity"]
    where: dict[str, tuple[str, ...]] = {"entity.type": (entity["type"],), "entity.id": (entity["id"],)}
    others = ask.reader("findings.read").page(Query("findings", where, limit=EARLIER + 1)).rows
    labels: Any = finding.get("labels") or ()
    datasets: Any = finding.get("datasets") or ()
    facts: dict[str, Any] = {"f": finding, "why": ask.house.records.why(labels, datasets), "datasets": datasets}
    facts["earlier"] = [row for row in others if row["id"] != finding["id"]][:EARLIER]
    return ask.page("findings_detail.html" if ask.partial else "findings_one.html", **facts)


def triage(ask: Ask) -> Response:
    """Give findings a status, or somebody; answer with their rows as they are now."""
    ids, action = list(dict.fromkeys(ask.form.get("id", ())))[:BULK], ask.value("action")
    assignee = {"me": ask.who.name, "nobody": ""}.get(ask.value("assignee"))
    place = ask.place("findings.triage")
    reader = place.reader
    if action not in (*ACTIONS, "assign"):
        raise ConfigError("no such action", where="action", remedy=f"one of {', '.join(ACTIONS)}, assign")
    if action == "assign":
        present = reader.page(Query("findings", {"id": tuple(ids)}, limit=BULK)).rows if ids else ()
        for status in get_args(Status):
            of_status = [row["id"] for row in present if row["status"] == status]
            triage_findings(place, ask.saying(), of_status, status, assignee)
        changed: Sequence[str] = [row["id"] for row in present]
    else:
        changed = triage_findings(place, ask.saying(), ids, ACTIONS[action], assignee)
    for each in changed:
        ask.note(f"finding.{action}", each, **({} if assignee is None else {"assignee": assignee}))
    rows = reader.page(Query("findings", {"id": tuple(changed)}, limit=BULK)).rows if changed else ()
    return ask.page("findings_rows.html", rows=rows, next=None, filter=Filter())


def live(ask: Ask) -> Response:
    """Tell how many findings arrive that the page's filter would show."""
    wanted = _wanted(ask)
    reached = ask.who.reaches("findings.read")

    def matches(row: Mapping[str, Any]) -> bool:
        return (EVERY in reached or row["system"] in reached) and wanted.matches(row)

    return StreamingResponse(
        ask.house.live.stream(matches, reached), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )


def save_view(ask: Ask) -> Response:
    """Keep a filter under a name, for oneself."""
    name = ask.value("name").strip()[:40]
    if name:
        with ask.house.keep.writing() as connection:
            row = (ask.who.name, "findings", name, read(QueryParams(ask.value("query")), ask.house.records.zone).encoded)
            connection.execute("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)", row)
    return ask.page("findings_views.html", views=_views(ask))


def drop_view(ask: Ask) -> Response:
    """Forget a filter that was kept."""
    with ask.house.keep.writing() as connection:
        connection.execute(
            "DELETE FROM views WHERE owner = ? AND page = 'findings' AND name = ?", (ask.who.name, ask.value("name"))
        )
    return ask.page("findings_views.html", views=_views(ask))


def _views(ask: Ask) -> Sequence[tuple[str, str]]:
    with ask.house.keep.reading() as connection:
        return connection.execute(
            "SELECT name, query FROM views WHERE owner = ? AND page = 'findings' ORDER BY name", (ask.who.name,)
        ).fetchall()


def _wanted(ask: Ask) -> Filter:
    return read(ask.request.query_params, ask.house.records.zone)


PAGE = Page(
    "findings",
    (
        View("/findings", "findings.read", listed),
        View("/findings/facets", "findings.read", facets),
        View("/findings/live", "findings.read", live, by_itself=True),
        View("/findings/triage", "findings.triage", triage, "POST"),
        View("/findings/views", "findings.read", save_view, "POST"),
        View("/findings/views/drop", "findings.read", drop_view, "POST"),
        View("/findings/{id}", "findings.read", one),
    ),
    icon="findings",
)
