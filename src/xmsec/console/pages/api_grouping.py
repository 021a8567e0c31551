"""Which findings make an incident, decided by the API: incidents merged, findings split off or moved."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from xmsec.console import decisions
from xmsec.console.ask import Ask, View
from xmsec.console.once import once
from xmsec.console.pages.answers import answer, changed_since, not_done, out_of_reach, saying
from xmsec.console.records import Chosen, IncidentRecord, Parts, content
from xmsec.model.errors import ConfigError
from xmsec.runtime import cases


def merge(ask: Ask) -> Response:
    """Make other incidents part of one; return it as it is now."""
    parts = content(ask.body, Parts).incidents
    return _grouped(ask, lambda row: decisions.merge(ask, saying(ask), row, parts).incident)


def split(ask: Ask) -> Response:
    """Make some findings of an incident one of their own; return the new one."""
    chosen = content(ask.body, Chosen).findings
    return _grouped(ask, lambda row: decisions.split(ask, saying(ask), row, chosen).into, 201)


def move(ask: Ask) -> Response:
    """Put findings into an incident; return it as it is now."""
    chosen = content(ask.body, Chosen).findings
    return _grouped(ask, lambda row: decisions.move(ask, saying(ask), chosen, row["id"]).incident)


def _grouped(ask: Ask, decide: Callable[[decisions.Row], str], status: int = 200) -> Response:
    name = ask.request.path_params["id"]

    def change() -> Response:
        if problem := out_of_reach(ask, "incidents", name, "incidents.act") or changed_since(ask, "incidents", name):
            return problem
        try:
            leads = decide(cases.shown(ask.reader("incidents.act"), name))
        except ConfigError as error:
            return not_done(ask, error)
        return answer(ask, ask.reader("incidents.read").one("incidents", leads), status)

    return once(ask, change)


def _view(path: str, run: Callable[[Ask], Response], takes: type, status: int = 200) -> View:
    return View(
        f"/api/incidents/{{id}}/{path}",
        "incidents.act",
        run,
        "POST",
        takes=takes,
        gives=IncidentRecord,
        status=status,
        matches=True,
        conflicts=True,
    )


GROUPING = (_view("merge", merge, Parts), _view("split", split, Chosen, 201), _view("move", move, Chosen))
