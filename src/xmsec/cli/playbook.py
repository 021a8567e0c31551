"""`xmsec playbook`: check, rehearse, run and approve CACAO playbooks, and verify the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import By, Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.desk import Desk
    from xmsec.respond.drive import Driver
    from xmsec.respond.playbook import Playbook
    from xmsec.respond.run import Next

app = typer.Typer(help="CACAO 2.0 playbooks. Nothing acts without its approval.", no_args_is_help=True)

IncidentOption = Annotated[str, typer.Option("--incident", help="Id of the incident, or its beginning.")]


@app.command("list", epilog=example("xmsec playbook list"))
def list_(home: Home = None, form: Output = None) -> None:
    """List the playbooks, and the runs with where they stand."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import rows

    with desk(home) as here:
        known = here.playbooks
        told: list[dict[str, Any]] = [{"playbook": one.id, "name": one.name, "version": one.version} for one in known.values()]
        told += [_standing(here, run) for run in here.runs.runs()]
        told += [
            {"playbook": intent.playbook, "incident": intent.incident, "stands": "wished, not begun"}
            for intent in here.wished()
            if not here.runs.entries(intent.id)
        ]
    rows(told, form, {"playbook": "playbook", "run": "run", "incident": "incident", "stands": "stands", "name": "name"})


@app.command("validate", epilog=example("xmsec playbook validate playbooks/*.json"))
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Playbook files.", exists=True, dir_okay=False)], home: Home = None
) -> int:
    """Check playbooks against the CACAO schemas and against what can be carried out."""
    from xmsec.cli.output import remark, write
    from xmsec.content.load import load_each
    from xmsec.respond.playbook import load_playbook

    good, problems = load_each(paths, load_playbook)
    for one in good:
        write(f"{one.id}: valid")
    for problem in problems:
        remark(f"xmsec: {problem}")
    return 1 if problems else 0


@app.command("rehearse", epilog=example("xmsec playbook rehearse contain-account --incident 5f2a9c1e"))
def rehearse(
    playbook: Annotated[str, typer.Argument(help="Id of the playbook.")],
    incident: IncidentOption,
    home: Home = None,
    form: Output = None,
) -> None:
    """Say what each step would do, against what, and whose approval it needs; nothing is changed."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import rows

    with desk(home) as here:
        driver, run = _driver(here, playbook, incident, "rehearsal")
        told = [
            {
                "name": one.name,
                "target": one.plan.target,
                "present": one.plan.present,
                "to_be": one.plan.to_be,
                "needs": one.needs,
            }
            for one in driver.rehearse(run)
        ]
    rows(told, form, {"step": "name", "against": "target", "would": "to_be", "approval": "needs"})


@app.command("run", epilog=example("xmsec playbook run contain-account --incident 5f2a9c1e"))
def run(
    playbook: Annotated[str, typer.Argument(help="Id of the playbook.")],
    incident: IncidentOption,
    by: By = "unknown",
    home: Home = None,
) -> int:
    """Begin a run for an incident (one a playbook and incident), and go on until a person is needed."""
    from xmsec.cli.desk import desk

    with desk(home) as here:
        driver, name = _driver(here, playbook, incident, by)
        with here.runs.hold(name):
            driver.start(name)
            return _say(name, driver.carry(name))


@app.command("approve", epilog=example("xmsec playbook approve 81c0 action--4f3c…"))
def approve(
    run: Annotated[str, typer.Argument(help="Id of the run, or its beginning.")],
    step: Annotated[str, typer.Argument(help="The step that waits.")],
    done: Annotated[bool, typer.Option("--done", help="A person saw that it happened.")] = False,
    again: Annotated[bool, typer.Option("--again", help="A person saw that it did not happen.")] = False,
    by: By = "unknown",
    home: Home = None,
) -> int:
    """Approve the step that a run waits with, and go on."""
    from xmsec.cli.desk import desk

    with desk(home) as here:
        name, driver = _resumed(here, run, by)
        with here.runs.hold(name):
            driver.approve(name, step, done=done, again=again)
            return _say(name, driver.carry(name))


@app.command("resume", epilog=example("xmsec playbook resume 81c0"))
def resume(run: Annotated[str, typer.Argument(help="Id of the run.")], by: By = "unknown", home: Home = None) -> int:
    """Go on with a run that was interrupted; a step whose end is not recorded is asked for at its target."""
    from xmsec.cli.desk import desk

    with desk(home) as here:
        name, driver = _resumed(here, run, by)
        with here.runs.hold(name):
            return _say(name, driver.carry(name))


@app.command("show", epilog=example("xmsec playbook show 81c0"))
def show(run: Annotated[str, typer.Argument(help="Id of the run.")], home: Home = None, form: Output = None) -> None:
    """Show what is recorded of a run."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import rows

    with desk(home) as here:
        name = _run_of(here, run)
        told = [{field: getattr(entry, field) for field in entry.__struct_fields__} for entry in here.runs.entries(name)]
    rows(told, form, {"#": "number", "at": "at", "kind": "kind", "step": "step", "by": "by", "hash": "hash"})


@app.command("verify", epilog=example("xmsec playbook verify"))
def verify(home: Home = None) -> int:
    """Check the hash chain over all runs."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import write

    with desk(home) as here:
        told = here.runs.verify()
    of = f" of run {told.run}" if told.run else ""
    write(f"{told.count} entries, whole" if told.wrong is None else f"{told.count} entries, broken at entry {told.wrong}{of}")
    return 0 if told.wrong is None else 1


def _driver(here: Desk, playbook: str, incident: str, by: str) -> tuple[Driver, str]:
    """Return the driver of a playbook for an incident, and the run's id."""
    from xmsec.model.ids import intent_id
    from xmsec.respond.connectors import every_connector
    from xmsec.respond.drive import Driver

    known = _known(here, playbook)
    found = here.incident(incident)
    return Driver(known, found, here.runs, every_connector(), by), intent_id(playbook, found.id)


def _known(here: Desk, playbook: str) -> Playbook:
    from xmsec.model.errors import ConfigError

    known = here.playbooks.get(playbook)
    if known is None:
        raise ConfigError(f'no playbook "{playbook}"', where="playbooks/", remedy="see xmsec playbook list")
    return known


def _run_of(here: Desk, given: str) -> str:
    from xmsec.cli.home import one_of

    return one_of(given, here.runs.runs(), "run", "xmsec playbook list", here.where)


def _resumed(here: Desk, run: str, by: str) -> tuple[str, Driver]:
    from xmsec.respond.connectors import every_connector
    from xmsec.respond.drive import Driver
    from xmsec.respond.run import about

    name = _run_of(here, run)
    entries = here.runs.entries(name)
    began = entries[0].body
    incident = about(entries) or here.incident(began.get("incident", name))
    return name, Driver(_known(here, began.get("playbook", "")), incident, here.runs, every_connector(), by)


def _standing(here: Desk, run: str) -> dict[str, Any]:
    from xmsec.respond.run import following

    entries = here.runs.entries(run)
    began = entries[0].body
    playbook, incident = began.get("playbook", ""), began.get("incident", "")  # none in a record that was altered
    known = here.playbooks.get(playbook)
    stands = following(known, entries) if known else None
    return {
        "run": run,
        "playbook": playbook,
        "incident": incident,
        "stands": f"{stands.doing} {stands.step.id}" if stands else "its playbook left the content",
    }


def _say(run: str, stands: Next) -> int:
    """Say where a run stands and what to type next."""
    from xmsec.cli.output import encode, remark, write

    write(encode({"run": run, "stands": stands.doing, "step": stands.step.id, "name": stands.step.name, "why": stands.why}))
    if stands.doing == "wait":
        remark(f"next: xmsec playbook approve {run} {stands.step.id}")
    return 1 if stands.doing == "failed" else 0
