"""Options that many commands share, and the frame in which every command runs."""

from __future__ import annotations

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
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; anywhere on the line.")]
Log = Annotated[
    Form | None,
    typer.Option("--log", help="How remarks are written; anywhere on the line.", show_default="$XMSEC_LOG, else text"),
]
Version = Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)]


def example(text: str) -> str:
    """Make the epilogue of a command's help: how it is typed."""
    return "Example: " + text
