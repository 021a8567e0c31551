"""What a stranger can type and ask for, read off the code: commands with their options, names, routes."""

from __future__ import annotations

from collections.abc import Iterator
from enum import EnumMeta
from types import ModuleType
from typing import Any, NamedTuple, get_args

import msgspec
from starlette.routing import Route
from typer.main import get_command

import xmsec
from xmsec.cli.main import app
from xmsec.console.guard import guarded
from xmsec.console.pages.table import PAGES
from xmsec.runtime.service import application


class Command(NamedTuple):
    """One command. name: `ledger import`; usage: as it is typed; example: the end of its help."""

    name: str
    usage: str
    help: str
    example: str


def commands(command: Any = None, name: str = "") -> Iterator[Command]:
    """Return the commands in the order in which help lists them."""
    command = command or get_command(app)
    if not hasattr(command, "commands"):
        typed = " ".join(("xmsec", name, *map(_typed, sorted(command.params, key=_place))))
        yield Command(name, typed, command.help, command.epilog or "")
        return
    for word, below in command.commands.items():
        yield from commands(below, f"{name} {word}".strip())


def _place(parameter: Any) -> tuple[bool, str]:
    return not _positional(parameter), "" if _positional(parameter) else parameter.opts[0]


def _positional(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _typed(parameter: Any) -> str:
    several = "…" if parameter.nargs == -1 or parameter.multiple else ""
    if _positional(parameter):
        name = (parameter.metavar or parameter.name).strip("_").upper() + several
        return name if parameter.required else f"[{name}]"
    kind = next(iter(get_args(parameter.type_descriptor.annotation)), parameter.type_descriptor.annotation)
    choices = "|".join(kind) if isinstance(kind, EnumMeta) else kind.__name__.upper()
    option = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {choices}{several}"
    return option if parameter.required else f"[{option}]"


def names() -> list[str]:
    """Return what `from xmsec import …` offers."""
    return sorted(name for name, value in vars(xmsec).items() if name[0] != "_" and not isinstance(value, ModuleType))


def routes() -> Iterator[str]:
    """Return what the API answers, with the parameters that it takes; pages may change."""
    views = [view for page in PAGES for view in page.views if view.path.startswith("/api/")]
    rooms = guarded(None, views)  # type: ignore[arg-type]  # nobody asks
    for route in application(tuple, rooms=rooms).routes:
        assert isinstance(route, Route)
        view = getattr(route.endpoint, "view", None)
        asked = "&".join(field.encode_name for field in msgspec.structs.fields(view.asks)) if view and view.asks else ""
        yield f"{min({*(route.methods or ())} - {'HEAD'})} {route.path}" + (f"?{asked}" if asked else "")
