"""Nothing but the result on stdout: tables for people, JSON for machines; progress and remarks on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from xmsec.cli.logs import line
from xmsec.cli.options import Format


def chosen(given: Format | None) -> Format:
    """Return the format asked for, else a table on a terminal and JSON lines elsewhere."""
    return given or (Format.table if sys.stdout.isatty() else Format.jsonl)


def write(text: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(text + "\n")


def remark(text: str) -> None:
    """Write a line beside the result."""
    sys.stderr.write(line(text))


def encode(row: Any) -> str:
    """Write one record as JSON on one line."""
    return msgspec.json.encode(row).decode()


def rows(records: Iterable[Mapping[str, Any]], given: Format | None, columns: Mapping[str, str]) -> None:
    """Print records; columns: heading → dotted field, for the table alone."""
    form = chosen(given)
    if form is Format.jsonl:
        for record in records:
            write(encode(record))
    elif form is Format.json:
        write(msgspec.json.format(msgspec.json.encode(list(records)), indent=2).decode())
    elif told := list(records):
        table(list(columns), ([_cell(record, field) for field in columns.values()] for record in told))
    else:
        remark("none · 无")


def table(headings: Sequence[str], cells: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for heading in headings:
        drawn.add_column(heading, overflow="fold")  # Chinese has no spaces to break at, and a cut id cannot be typed
    for row in cells:
        drawn.add_row(*map(Text, row))  # Text: what came from a log is never markup
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160).print(drawn)


def _cell(record: Mapping[str, Any], field: str) -> str:
    value: Any = record
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


class Progress:
    """A bar on stderr once work takes over a second; nothing where stderr is no terminal."""

    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def to(self, done: float, note: str = "") -> None:
        """Say how much of the total is done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)


@contextmanager
def progress(what: str, total: float | None) -> Iterator[Progress]:
    """Show progress of work that may take longer; total None: not known."""
    if not sys.stderr.isatty():
        yield Progress(None, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(bar, bar.add_task(what, total=total, note=""))
