"""`xmsec user`: people, their roles, and tokens of machines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsec.console.access import Grant

app = typer.Typer(help="People who use the console, their roles, and tokens of machines.", no_args_is_help=True)

COLUMNS = {"name": "name", "kind": "kind", "roles": "roles", "disabled": "disabled", "since": "since"}
BY = "terminal"  # who did it, in the audit trail: whoever may write to the home
Name = Annotated[str, typer.Argument(help="Name of the person or token.")]
Roles = Annotated[list[str], typer.Option("--role", help="A role; several are all given.")]
Systems = Annotated[list[str] | None, typer.Option("--system", help="A system that the roles reach.", show_default="all")]


@app.command("add", epilog=example("xmsec user add wang --role operator --system onestop-service"))
def add(name: Name, role: Roles, system: Systems = None, home: Home = None) -> None:
    """Add a person; the password is asked for, or read from stdin."""
    from xmsec.cli.output import remark
    from xmsec.cli.rooms import desk_of
    from xmsec.cli.settings import settings

    grants = _grants(role, system)
    password = _password()
    with desk_of(settings(home).home) as desk:
        desk.users.add(name, password, grants, BY)
    remark(f"added {name}")


@app.command("list", epilog=example("xmsec user list"))
def list_(home: Home = None, form: Output = None) -> None:
    """List people and tokens with their roles."""
    from xmsec.cli.output import rows
    from xmsec.cli.rooms import desk_of
    from xmsec.cli.settings import settings

    with desk_of(settings(home).home) as desk:
        people = [
            {"name": one.name, "kind": "person", "roles": _said(one.grants), "disabled": one.disabled, "since": one.created}
            for one in desk.users.every()
        ]
        tokens = [
            {"name": one.name, "kind": "token", "roles": _said([one.grant]), "disabled": one.disabled, "since": one.created}
            for one in desk.bearers.every()
        ]
    rows([*people, *tokens], form, COLUMNS)


@app.command("role", epilog=example("xmsec user role wang --role responder --role assessor"))
def role_(name: Name, role: Roles, system: Systems = None, home: Home = None) -> None:
    """Give a person these roles and no others; who is signed in must sign in again."""
    from xmsec.cli.rooms import desk_of
    from xmsec.cli.settings import settings

    with desk_of(settings(home).home) as desk:
        desk.users.grant(name, _grants(role, system), BY)


@app.command("token", epilog=example("xmsec user token soc-export --role viewer"))
def token(
    name: Name, role: Annotated[str, typer.Option("--role", help="Its role.")], system: Systems = None, home: Home = None
) -> None:
    """Make a bearer token for a machine and print it, this once."""
    from xmsec.cli.output import write
    from xmsec.cli.rooms import desk_of
    from xmsec.cli.settings import settings

    with desk_of(settings(home).home) as desk:
        write(desk.bearers.add(name, _grants([role], system)[0], BY))


@app.command("disable", epilog=example("xmsec user disable wang"))
def disable(name: Name, home: Home = None) -> None:
    """Let a person or a token in no more; sessions end at once."""
    from xmsec.cli.rooms import desk_of
    from xmsec.cli.settings import settings

    with desk_of(settings(home).home) as desk:
        if not desk.bearers.disable(name, BY):
            desk.users.disable(name, BY)


def _grants(roles: Sequence[str], systems: Sequence[str] | None) -> list[Grant]:
    from xmsec.console.access import granted

    return [granted(role, systems or ()) for role in roles]


def _said(grants: Sequence[Grant]) -> str:
    return ", ".join(f"{one.role} ({' '.join(one.systems)})" for one in grants)


def _password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
