"""Options that many commands share, and the frame in which every command runs."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xmsec.cli.logs import Form


class Format(StrEnum):
    """How data is printed; without the option: a table on a terminal, JSON lines elsewhere."""

    table = "table"
    json = "json"
    jsonl = "jsonl"


Home = Annotated[
    Path | None, typer.Option("--home", help="Folder of this deployment's state.", show_default="$XMSEC_HOME, else ./.xmsec")
]
Output = Annotated[Format | None, typer.Option("--format", help="How to print: a table on a terminal, JSON lines elsewhere.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")]
By = Annotated[str, typer.Option("--by", help="Who says so; it is recorded.", envvar="USER")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; anywhere on the line.")]
Log = Annotated[
    Form | None,
    typer.Option("--log", help="How remarks are written; anywhere on the line.", show_default="$XMSEC_LOG, else text"),
]
Version = Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)]


def example(text: str) -> str:
    """Make the epilogue of a command's help: how it is typed."""
    return "Example: " + text


def moment(option: str, text: str | None) -> datetime | None:
    """Read a moment that was given as RFC 3339. Raises ConfigError."""
    from xmsec.model.clock import from_rfc3339
    from xmsec.model.errors import ConfigError, InputError

    try:
        return None if text is None else from_rfc3339(text)
    except InputError as error:
        raise ConfigError("not a moment", where=option, remedy=error.remedy) from error
