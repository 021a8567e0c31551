"""`xmsec ledger`: what is known of data and people, in revisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings

app = typer.Typer(help="The ledger: datasets, fields, labels, grants, people.", no_args_is_help=True)

SECTIONS = ("datasets", "fields", "grants", "people", "owners", "proposals", "use")


@app.command("import", epilog=example("xmsec ledger import ledger.yaml"))
def import_(
    path: Annotated[Path, typer.Argument(help="A ledger file.", exists=True, dir_okay=False)], home: Home = None
) -> int:
    """Make a ledger file the next revision; a file with problems changes nothing."""
    from xmsec.cli.output import remark, write
    from xmsec.cli.settings import settings
    from xmsec.content.load import read
    from xmsec.ledger.book import Book
    from xmsec.runtime.assemble import keep_ledger
    from xmsec.store.lock import HomeLock

    given = settings(home)
    book, problems = Book.load(read(path))
    for problem in problems:
        remark(f"xmsec: {problem}")
    if problems:
        return 1
    with HomeLock(given.home):
        revision, changes, problems = keep_ledger(given.home, book.entries)
    for problem in problems:
        remark(f"xmsec: {problem}")
    for change in changes:
        write(str(change))
    write(f"revision {revision}")
    return 1 if problems else 0


@app.command("show", epilog=example("xmsec ledger show grants"))
def show(
    section: Annotated[str, typer.Argument(help=f"One of {', '.join(SECTIONS)}.")] = "datasets",
    home: Home = None,
    form: Output = None,
) -> None:
    """Show one section of the ledger, what the stream proposes for a later revision, or how grants are used."""
    from xmsec.cli.home import opened
    from xmsec.cli.output import remark, rows
    from xmsec.cli.settings import settings
    from xmsec.ledger.book import Section
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.assemble import current_ledger

    if section not in SECTIONS:
        raise ConfigError(f'no section "{section}"', where="ledger show", remedy=f"one of {', '.join(SECTIONS)}")
    if section == "proposals":
        with opened(home, write=False) as here:
            told = [
                {"dataset": dataset, "field": field, "type": kind, "seen": count}
                for (dataset, field, kind), count in here.store.proposals().items()
            ]
    elif section == "use":
        told = _used(settings(home))
    else:
        book, problems = current_ledger(settings(home).home)
        for problem in problems:
            remark(f"xmsec: {problem}")
        kept: dict[str, Section] = {one: one for one in get_args(Section)}
        told = list(book.rows(kept[section]))
    rows(told, form, {name: name for name in (told[0] if told else {"": ""})})


def _used(given: Settings) -> list[dict[str, Any]]:
    """Return each grant with its first and last use, and the events of the last 30 days."""
    from xmsec.cli.asked import asked
    from xmsec.cli.home import now
    from xmsec.ledger.use import uses_of
    from xmsec.runtime.assemble import current_ledger

    book, _ = current_ledger(given.home)
    grants = book.entries.grants
    with asked(given) as reader:
        found = uses_of(book, grants, reader.uses, now())
    return [
        {
            "id": one.id,
            "grantee": one.grantee,
            "first": found[one.id].first,
            "last": found[one.id].last,
            "events_30_days": found[one.id].recent,
        }
        for one in grants
    ]
