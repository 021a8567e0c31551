"""`xmsec incidents`: triage from the shell."""

from __future__ import annotations

from typing import Annotated

import typer

from xmsec.cli.options import Home, Output, example

app = typer.Typer(help="Incidents: findings that need one decision.", no_args_is_help=True)

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
    from xmsec.cli.home import opened
    from xmsec.cli.output import rows
    from xmsec.model.ports import Query
    from xmsec.store.read import SqliteReader

    with opened(home, write=False) as here:
        page = SqliteReader(here.store.connection).page(Query("incidents", order="-risk", limit=limit))
    rows(page.rows, form, COLUMNS)


@app.command("show", epilog=example("xmsec incidents show 5f2a9c1e"))
def show(
    incident: Annotated[str, typer.Argument(help="Id of the incident, or its beginning.")],
    home: Home = None,
    form: Output = None,
) -> None:
    """Show an incident with its findings: what was seen, against what is usual, on which events."""
    from xmsec.cli.home import opened
    from xmsec.cli.output import chosen, encode, write
    from xmsec.cli.show import incident_page
    from xmsec.model.ports import Query
    from xmsec.store.read import SqliteReader

    with opened(home, write=False) as here:
        found = here.incident(incident)
        reader = SqliteReader(here.store.connection)
        row = reader.page(Query("incidents", where={"id": (found.id,)})).rows[0]
        findings = reader.page(Query("findings", where={"id": found.findings}, order="time", limit=len(found.findings))).rows
    if chosen(form) == "table":
        incident_page(row, findings)
    else:
        write(encode({**row, "findings": findings}))
