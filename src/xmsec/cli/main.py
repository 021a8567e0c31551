"""The command `xmsec`: its commands, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import sys
from typing import Any

import typer

from xmsec.cli import (
    dead,
    demo,
    incidents,
    key,
    ledger,
    parse,
    playbook,
    replay,
    run,
    scan,
    simulate,
)
from xmsec.model.errors import EXIT_INTERRUPTED, EXIT_USAGE, XmsecError

app = typer.Typer(
    name="xmsec",
    help="Watch and protect data: from raw logs to graded, explained findings and rehearsed responses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("scan", epilog=scan.EXAMPLE)(scan.scan)
app.command("run", epilog=run.EXAMPLE)(run.run)
app.command("parse", epilog=parse.EXAMPLE)(parse.parse)
app.command("replay", epilog=replay.EXAMPLE)(replay.replay)
app.add_typer(dead.app, name="dead")
app.add_typer(ledger.app, name="ledger")
app.add_typer(incidents.app, name="incidents")
app.add_typer(playbook.app, name="playbook")
app.command("simulate", epilog=simulate.EXAMPLE)(simulate.simulate)
app.add_typer(key.app, name="keys")


# typer carries its own copy of click, and exports this branch of its errors only
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
ClickError: type[Exception] = UsageError.__bases__[0]


def main() -> None:
    """Run a command; `--debug` anywhere shows the traceback of an error."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(_run(arguments, debug))


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code = app(arguments, prog_name="xmsec", standalone_mode=False)
    except XmsecError as error:
        if debug:
            raise
        return _say(str(error), error.exit_code)
    except ClickError as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted; state is saved; the same command continues", EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe left: nobody is there to be told
        return 0
    return code if isinstance(code, int) else 0


def _misused(error: Any) -> int:
    """Say what is wrong with the way a command was typed; a group without a command shows its help."""
    where = getattr(getattr(error, "ctx", None), "command_path", "xmsec")
    what = " ".join(error.format_message().split()).rstrip(".")
    return _say(f"{what}; {where}; see {where} --help", EXIT_USAGE) if what else EXIT_USAGE


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"xmsec: {text}\n")
    return code
