"""Playbook runs by the API: what could be begun, what has begun and what it waits for, and people's words on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET
from starlette.responses import Response

from xmsec.console import decisions
from xmsec.console.access import EVERY
from xmsec.console.ask import Ask, View
from xmsec.console.once import once_apart
from xmsec.console.pages.answers import answer, no_record, not_done, out_of_reach
from xmsec.console.pages.findings import BULK
from xmsec.console.pages.runs import asks, possible
from xmsec.console.records import (
    Approval,
    Asked,
    Begin,
    PlaybookRuns,
    Refusal,
    Rehearsal,
    Rehearsals,
    Resumption,
    RunRecord,
    Waiting,
    Would,
    after,
    content,
    parameters,
)
from xmsec.model.clock import from_rfc3339
from xmsec.model.errors import ConfigError, InputError, PolicyError
from xmsec.model.ids import intent_id
from xmsec.model.ports import Query
from xmsec.model.types import Incident
from xmsec.respond.chain import Entry
from xmsec.respond.drive import TargetError
from xmsec.runtime import approval, cases


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
    return answer(ask, PlaybookRuns(tuple(rows[: asked.limit]), rows[asked.limit - 1].id if more else None))


def of_incident(ask: Ask) -> Response:
    """List an incident's playbook runs, the latest first."""
    row = _incident(ask)
    if row is None:
        return no_record(ask)
    begun = decisions.runs_of(ask, row)
    return answer(ask, PlaybookRuns(tuple(_run(ask, name, begun[name]) for name in reversed([*begun])), None))


def rehearsals(ask: Ask) -> Response:
    """Rehearse the playbooks that have not begun for an incident, those first that its findings ask for; nothing is done."""
    row = _incident(ask)
    if row is None:
        return no_record(ask)
    plans = possible(ask, msgspec.convert(row, Incident), decisions.runs_of(ask, row), _wished(ask, row))
    rows = tuple(
        Rehearsal(
            plan.playbook,
            plan.name,
            tuple(Would(line.step, line.name, line.would, line.against, line.needs) for line in plan.lines),
        )
        for plan in plans
    )
    return answer(ask, Rehearsals(rows))


def begin(ask: Ask) -> Response:
    """Begin a playbook run for an incident, and go on until a person is needed; one that has begun is left as it is."""
    playbook = content(ask.body, Begin).playbook
    run = intent_id(playbook, ask.request.path_params["id"])
    return _decided(ask, run, lambda row: decisions.begin(ask, row, playbook), 201)


def approve(ask: Ask) -> Response:
    """Approve the step that a run waits with, or say that a person did it; the run goes on."""
    said = content(ask.body, Approval)
    word = approval.Word(
        ask.who.name, said.step, done=said.seen == "done", again=said.seen == "not-done", seen=int(said.entries)
    )
    action = "approve" if said.seen is UNSET else "done" if said.seen == "done" else "again"
    return _said(ask, word, action)


def refuse(ask: Ask) -> Response:
    """Refuse the step that a run waits with, for a reason; the run goes on as after a failure."""
    said = content(ask.body, Refusal)
    return _said(ask, approval.Word(ask.who.name, said.step, refused=said.why, seen=int(said.entries)), "refuse")


def resume(ask: Ask) -> Response:
    """Go on with a run that was interrupted; a command whose end is not recorded is asked for at its target."""
    content(ask.body, Resumption)
    return _said(ask, None, "resume")


def _said(ask: Ask, word: approval.Word | None, action: str) -> Response:
    run = str(ask.request.path_params["run"])
    return _decided(ask, run, lambda row: decisions.decide(ask, row, run, word, action))


def _decided(ask: Ask, run: str, decide: Callable[[decisions.Row], object], status: int = 200) -> Response:
    """Decide something of an incident's run, and return the run as it is now: also where its target did not answer."""
    name = ask.request.path_params["id"]

    def change() -> Response:
        if problem := out_of_reach(ask, "incidents", name, "runs.approve"):
            return problem
        try:
            decide(cases.shown(ask.reader("runs.approve"), name))
        except TargetError:
            pass  # the word is recorded: `doing` says that the target is still to be asked
        except decisions.NoRunError:
            return no_record(ask)
        except (ConfigError, PolicyError) as error:
            return not_done(ask, error)
        return answer(ask, _run(ask, run, ask.house.records.means.runs.entries(run)), status)

    return once_apart(ask, change)


def _incident(ask: Ask) -> decisions.Row | None:
    return ask.reader("runs.read").one("incidents", ask.request.path_params["id"])


def _wished(ask: Ask, row: decisions.Row) -> set[str]:
    """Return the playbooks that an incident's findings ask for."""
    ids = tuple(row["findings"][:BULK])
    rows = ask.reader("runs.read").page(Query("findings", {"id": ids}, limit=BULK)).rows if ids else ()
    return {name for finding in rows for name in finding["playbooks"]}


def _run(ask: Ask, name: str, entries: Sequence[Entry]) -> RunRecord:
    first, last = entries[0], entries[-1]
    stands = ask.house.records.means.stands(entries)
    needs = asks(stands)
    return RunRecord(
        name,
        first.body.get("playbook", ""),
        first.body.get("incident", ""),
        "unknown" if stands is None else stands.doing,
        last.step,
        last.by,
        from_rfc3339(last.at),
        len(entries),
        None
        if stands is None or needs is None
        else Waiting(stands.step.id, stands.step.name, needs, stands.step.extension.approval),
    )


def _decision(path: str, run: Callable[[Ask], Response], takes: type, status: int = 200) -> View:
    where = f"/api/incidents/{{id}}/runs{path}"
    return View(where, "runs.approve", run, "POST", takes=takes, gives=RunRecord, status=status, conflicts=True)


RUNS = (
    View("/api/playbook-runs", "runs.read", runs, asks=Asked, gives=PlaybookRuns),
    View("/api/incidents/{id}/rehearsals", "runs.read", rehearsals, gives=Rehearsals),
    View("/api/incidents/{id}/runs", "runs.read", of_incident, gives=PlaybookRuns),
    _decision("", begin, Begin, 201),
    _decision("/{run}/approve", approve, Approval),
    _decision("/{run}/refuse", refuse, Refusal),
    _decision("/{run}/resume", resume, Resumption),
)
