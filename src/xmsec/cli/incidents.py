"""`xmsec incidents`: triage from the shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import By, Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.asked import Casebook
    from xmsec.model.types import Act
    from xmsec.runtime.cases import Said

app = typer.Typer(help="Incidents: findings that need one decision.", no_args_is_help=True)

Incident = Annotated[str, typer.Argument(help="Id of the incident, or its beginning.")]
Findings = Annotated[list[str], typer.Argument(help="Ids of findings.")]

COLUMNS = {
    "incident": "id",
    "opened": "opened",
    "severity": "severity",
    "risk": "risk",
    "entity": "entity.id",
    "detectors": "detectors",
    "status": "status",
}


@app.command("list", epilog=example("xmsec incidents list --limit 20"))
def list_(
    limit: Annotated[int, typer.Option("--limit", help="How many, the gravest first.", min=1)] = 100,
    home: Home = None,
    form: Output = None,
) -> None:
    """List incidents, the gravest first."""
    from xmsec.cli.asked import asked
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings
    from xmsec.model.ports import Query

    with asked(settings(home)) as reader:
        page = reader.page(Query("incidents", order="-risk", limit=limit))
    rows(page.rows, form, COLUMNS)


@app.command("show", epilog=example("xmsec incidents show 5f2a9c1e"))
def show(
    incident: Incident,
    home: Home = None,
    form: Output = None,
) -> None:
    """Show an incident: how far it reaches, what happened in which order, and its findings, against what is usual."""
    import msgspec

    from xmsec.cli.asked import casebook
    from xmsec.cli.output import chosen, encode, write
    from xmsec.cli.settings import settings
    from xmsec.cli.show import incident_page
    from xmsec.runtime.cases import course

    with casebook(settings(home)) as book:
        found = course(book.place, book.runs, book.incident(incident))
    if chosen(form) == "table":
        incident_page(found)
    else:
        whole = {"findings": found.findings, "scope": found.scope, "timeline": found.timeline}
        write(encode(msgspec.to_builtins({**found.incident, **whole}, str_keys=True)))


@app.command("comment", epilog=example("xmsec incidents comment 5f2a9c1e 'asked the department'"))
def comment(
    incident: Incident, text: Annotated[str, typer.Argument(help="What to say.")], by: By = "unknown", home: Home = None
) -> None:
    """Say something of an incident; it stays with it."""
    from xmsec.runtime import cases

    _decide(home, by, lambda book, said: cases.comment(book.place, said, book.incident(incident), text))


@app.command("merge", epilog=example("xmsec incidents merge 5f2a9c1e 81c07d22"))
def merge(
    incident: Incident,
    others: Annotated[list[str], typer.Argument(help="Incidents that become part of it, with what they still bring.")],
    by: By = "unknown",
    home: Home = None,
) -> None:
    """Make other incidents part of one."""
    from xmsec.runtime import cases

    _decide(home, by, lambda book, said: cases.merge(book.place, said, book.incident(incident), [*map(book.incident, others)]))


@app.command("split", epilog=example("xmsec incidents split 5f2a9c1e 0c11 2fe8"))
def split(incident: Incident, findings: Findings, by: By = "unknown", home: Home = None) -> None:
    """Make some findings of an incident an incident of their own, for good; the beginnings of their ids are enough."""
    from xmsec.cli.home import one_of
    from xmsec.runtime import cases

    def decide(book: Casebook, said: Said) -> Act:
        whole = book.incident(incident)
        held = cases.shown(book.place.reader, whole)["findings"]
        names = [one_of(one, held, "finding", f"xmsec incidents show {incident}", whole) for one in findings]
        return cases.split(book.place, said, whole, names)

    _decide(home, by, decide)


@app.command("move", epilog=example("xmsec incidents move 5f2a9c1e FINDING"))
def move(incident: Incident, findings: Findings, by: By = "unknown", home: Home = None) -> None:
    """Put findings into an incident, for good; their whole ids are needed."""
    from xmsec.runtime import cases

    _decide(home, by, lambda book, said: cases.move(book.place, said, findings, book.incident(incident)))


def _decide(home: Path | None, by: str, decide: Callable[[Casebook, Said], Act]) -> None:
    """Record a decision, and say of which incident; of a split, which one it made."""
    import uuid

    from xmsec.cli.asked import casebook
    from xmsec.cli.home import now
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.runtime.cases import Said

    with casebook(settings(home)) as book:
        act = decide(book, Said(by, now(), uuid.uuid4().hex))
    write(act.into or act.incident)
