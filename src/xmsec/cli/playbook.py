"""`xmsec playbook`: check, rehearse, run and approve CACAO playbooks, and verify the record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import By, Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.desk import Desk
    from xmsec.respond.run import Next
    from xmsec.runtime.approval import Means

app = typer.Typer(help="CACAO 2.0 playbooks. Nothing acts without its approval.", no_args_is_help=True)

IncidentOption = Annotated[str, typer.Option("--incident", help="Id of the incident, or its beginning.")]


@app.command("list", epilog=example("xmsec playbook list"))
def list_(home: Home = None, form: Output = None) -> None:
    """List the playbooks, and the runs with where they stand."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import rows

    with desk(home) as here:
        means = here.means
        told: list[dict[str, Any]] = [
            {"playbook": one.id, "name": one.name, "version": one.version} for one in means.playbooks.values()
        ]
        told += [_standing(means, run) for run in means.runs.runs()]
        told += [
            {"playbook": intent.playbook, "incident": intent.incident, "stands": "wished, not begun"}
            for intent in here.wished()
            if not means.runs.entries(intent.id)
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
    from xmsec.model.ids import intent_id
    from xmsec.respond.drive import Driver

    with desk(home) as here:
        found = here.means.incident(incident)
        known, run = here.means.playbook(playbook), intent_id(playbook, found.id)
        driver = Driver(known, found, here.means.runs, here.means.connectors, "rehearsal")
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
    from xmsec.runtime.approval import begin

    with desk(home) as here:
        here.means.playbook(playbook)  # what is misspelt is said before an incident is looked for
        return _say(*begin(here.means, playbook, here.means.incident(incident), by))


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
    from xmsec.runtime.approval import Word, decide

    with desk(home) as here:
        name = _run_of(here, run)
        return _say(name, decide(here.means, name, Word(by, step, done=done, again=again)))


@app.command("refuse", epilog=example("xmsec playbook refuse 81c0 action--4f3c… 'ordered by the department'"))
def refuse(
    run: Annotated[str, typer.Argument(help="Id of the run, or its beginning.")],
    step: Annotated[str, typer.Argument(help="The step that waits.")],
    why: Annotated[str, typer.Argument(help="Why it shall not be done.")],
    by: By = "unknown",
    home: Home = None,
) -> int:
    """Refuse the step that a run waits with, and go on as the playbook says for a step that failed."""
    from xmsec.cli.desk import desk
    from xmsec.runtime.approval import Word, decide

    with desk(home) as here:
        name = _run_of(here, run)
        return _say(name, decide(here.means, name, Word(by, step, refused=why)))


@app.command("resume", epilog=example("xmsec playbook resume 81c0"))
def resume(run: Annotated[str, typer.Argument(help="Id of the run.")], by: By = "unknown", home: Home = None) -> int:
    """Go on with a run that was interrupted; a step whose end is not recorded is asked for at its target."""
    from xmsec.cli.desk import desk
    from xmsec.runtime import approval

    with desk(home) as here:
        name = _run_of(here, run)
        return _say(name, approval.resume(here.means, name, by))


@app.command("show", epilog=example("xmsec playbook show 81c0"))
def show(run: Annotated[str, typer.Argument(help="Id of the run.")], home: Home = None, form: Output = None) -> None:
    """Show what is recorded of a run."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import rows

    with desk(home) as here:
        name = _run_of(here, run)
        told = [{field: getattr(entry, field) for field in entry.__struct_fields__} for entry in here.means.runs.entries(name)]
    rows(told, form, {"#": "number", "at": "at", "kind": "kind", "step": "step", "by": "by", "hash": "hash"})


@app.command("verify", epilog=example("xmsec playbook verify"))
def verify(home: Home = None) -> int:
    """Check the hash chain over all runs."""
    from xmsec.cli.desk import desk
    from xmsec.cli.output import write

    with desk(home) as here:
        told = here.means.runs.verify()
    of = f" of run {told.run}" if told.run else ""
    write(f"{told.count} entries, whole" if told.wrong is None else f"{told.count} entries, broken at entry {told.wrong}{of}")
    return 0 if told.wrong is None else 1


def _run_of(here: Desk, given: str) -> str:
    from xmsec.cli.home import one_of

    return one_of(given, here.means.runs.runs(), "run", "xmsec playbook list", here.where)


def _standing(means: Means, run: str) -> dict[str, Any]:
    entries = means.runs.entries(run)
    began, stands = entries[0].body, means.stands(entries)  # the body may have been altered
    return {
        "run": run,
        "playbook": began.get("playbook", ""),
        "incident": began.get("incident", ""),
        "stands": f"{stands.doing} {stands.step.id}" if stands else "its playbook left the content",
    }


def _say(run: str, stands: Next) -> int:
    """Say where a run stands and what to type next."""
    from xmsec.cli.output import encode, remark, write

    write(encode({"run": run, "stands": stands.doing, "step": stands.step.id, "name": stands.step.name, "why": stands.why}))
    if stands.doing == "wait":
        remark(f"next: xmsec playbook approve {run} {stands.step.id}")
    return 1 if stands.doing == "failed" else 0
