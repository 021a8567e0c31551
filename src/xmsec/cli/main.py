"""The command `xmsec`: its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import typer

from xmsec.cli import (
    backup,
    bench,
    classify,
    console,
    content,
    dead,
    demo,
    detectors,
    doctor,
    elastic,
    exceptions,
    incidents,
    key,
    ledger,
    notify,
    parse,
    playbook,
    recordings,
    replay,
    run,
    scan,
    simulate,
    trail,
    user,
    worker,
)
from xmsec.cli.logs import Form, ask, line
from xmsec.cli.options import Debug, Log, Version
from xmsec.model.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, XmsecError

app = typer.Typer(
    name="xmsec",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def every(debug: Debug = False, log: Log = None, version: Version = False) -> None:
    """Watch and protect data: from raw logs to graded, explained findings and rehearsed responses."""
    if version:
        from importlib.metadata import version as installed

        sys.stdout.write(f"xmsec {installed('xmsec')}\n")
        raise typer.Exit


app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("scan", epilog=scan.EXAMPLE)(scan.scan)
app.command("run", epilog=run.EXAMPLE)(run.run)
app.command("console", epilog=console.EXAMPLE)(console.console)
app.command("parse", epilog=parse.EXAMPLE)(parse.parse)
app.command("replay", epilog=replay.EXAMPLE)(replay.replay)
app.command("worker", epilog=worker.WORKER_EXAMPLE)(worker.worker)
app.add_typer(worker.topics, name="topics")
app.add_typer(elastic.index, name="index")
app.add_typer(content.app, name="content")
app.add_typer(dead.app, name="dead")
app.add_typer(recordings.app, name="recordings")
app.command("classify", epilog=classify.EXAMPLE)(classify.classify)
app.add_typer(ledger.app, name="ledger")
app.add_typer(detectors.app, name="detectors")
app.add_typer(incidents.app, name="incidents")
app.add_typer(exceptions.app, name="exceptions")
app.add_typer(playbook.app, name="playbook")
app.add_typer(notify.app, name="notify")
app.add_typer(trail.app, name="trail")
app.command("simulate", epilog=simulate.EXAMPLE)(simulate.simulate)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("backup", epilog=backup.BACKUP_EXAMPLE)(backup.backup)
app.command("restore", epilog=backup.RESTORE_EXAMPLE)(backup.restore)
app.add_typer(bench.app, name="bench")
app.add_typer(key.app, name="keys")
app.add_typer(user.app, name="user")


# typer carries its own copy of click, and exports this branch of its errors only
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
ClickError: type[Exception] = UsageError.__bases__[0]


def main() -> None:
    """Run a command; `--debug` anywhere shows the traceback of an error, `--log json` writes remarks for collectors."""
    debug = "--debug" in sys.argv
    arguments = _logged([argument for argument in sys.argv[1:] if argument != "--debug"])
    sys.exit(_run(arguments, debug))


def _logged(arguments: list[str]) -> list[str]:
    """Take `--log FORM` out of the arguments, wherever it stands; what is no form is left for the command to refuse."""
    forms = {str(one): one for one in Form}
    wanted, rest = None, list(arguments)
    for place, argument in enumerate(arguments):
        value = argument.removeprefix("--log=") if argument.startswith("--log=") else ""
        following = arguments[place + 1] if argument == "--log" and place + 1 < len(arguments) else ""
        if (value or following) in forms:
            wanted = forms[value or following]
            del rest[place : place + (2 if following else 1)]
            break
    ask(wanted)
    return rest


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code = _invoke(arguments)
        sys.stdout.flush()  # here, and not when the interpreter ends, because the reader of a pipe may have left
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted; state is saved; the same command continues", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _close_output()
        return 0
    except Exception as error:  # noqa: BLE001 - the edge of every command: an error is one line, and --debug shows the rest
        if debug:
            traceback.print_exc()
        return _failed(error)
    return code if isinstance(code, int) else 0


def _invoke(arguments: list[str]) -> Any:
    """Run a command without typer's own ways of ending: it answers an interrupt with 130 and a closed pipe with 1."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("xmsec", arguments) as context:
            return command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code


def _failed(error: Exception) -> int:
    """Say what went wrong, where, and what to do."""
    if isinstance(error, XmsecError):
        return _say(str(error), error.exit_code)
    if isinstance(error, ClickError):
        return _misused(error)
    if isinstance(error, OSError):
        _close_output()
        where = error.filename or _place(error)
        return _say(f"{error.strerror or type(error).__name__}; {where}; check path, permission and disk", EXIT_USAGE)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "xmsec").startswith("xmsec"):
        what = f"{error.name} is not installed"  # an extra that this command needs
        return _say(f"{what}; {_place(error)}; pip install 'xmsec[kafka,elastic]'", EXIT_USAGE)
    return _say(f"internal error ({type(error).__name__}); {_place(error)}; run it with --debug and report it", EXIT_INTERNAL)


def _close_output() -> None:
    """Drop what is left of the output: its reader left, or its disk is full, and the interpreter would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _place(error: Exception) -> str:
    """Return where in our own code an error came up: module and line."""
    places = [(frame.f_globals.get("__name__", ""), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    ours = [f"{name}:{line}" for name, line in places if name.startswith("xmsec.")]
    return ours[-1] if ours else "outside our code"


def _misused(error: Any) -> int:
    """Say what is wrong with the way a command was typed; a group without a command shows its help."""
    where = getattr(getattr(error, "ctx", None), "command_path", "xmsec")
    what = " ".join(error.format_message().split()).rstrip(".")
    return _say(f"{what}; {where}; see {where} --help", EXIT_USAGE) if what else EXIT_USAGE


def _say(text: str, code: int) -> int:
    text = "".join(character if character.isprintable() else "?" for character in text)
    sys.stderr.write(line(f"xmsec: {text}", "error", exit=code))
    return code
