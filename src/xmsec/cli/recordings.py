"""`xmsec recordings`: what was recorded, how long it is kept, and what is kept for a case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings
    from xmsec.store.archive import Archive
    from xmsec.store.holds import Hold
    from xmsec.store.inventory import Kept

app = typer.Typer(
    help="What was recorded: list it, prune it by age, hold it for a case, bring it under the present key.",
    no_args_is_help=True,
)

COLUMNS = {name: name for name in ("path", "received", "rows", "revisions", "bytes", "key_check", "held", "sealed")}


@app.command("list", epilog=example("xmsec recordings list --format table"))
def list_(home: Home = None, form: Output = None) -> None:
    """List the files with their span, rows, revisions, size, key and holds; what is still open has only a size."""
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings

    rows((_row(one) for _, one in _all(settings(home))), form, COLUMNS)


@app.command("prune", epilog=example("xmsec recordings prune --older-than 180d --yes"))
def prune(
    older_than: Annotated[str, typer.Option("--older-than", help="Age since it was received: 180d, 36h.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only say what would be removed.")] = False,
    home: Home = None,
    form: Output = None,
) -> None:
    """Remove files all of which is older, but none that is held or not sealed; prints what it removed, or would."""
    from xmsec.cli.home import now
    from xmsec.cli.output import remark, rows
    from xmsec.cli.settings import settings
    from xmsec.store.inventory import prunable

    before = now() - _age(older_than)
    found = list(_all(settings(home)))
    going = [(archive, one) for archive, one in found if prunable(one, before)]
    held = sum(bool(one.held) and prunable(_unheld(one), before) for _, one in found)
    if yes:
        going = _removed(going, _holds(_places(settings(home))))
    rows(({**_row(one), "removed": yes} for _, one in going), form, {**COLUMNS, "removed": "removed"})
    size = sum(one.bytes for _, one in going)
    done = "removed" if yes else "would be removed; --yes removes them"
    remark(f"{len(going)} of {len(found)} files, {size} bytes {done}; {held} as old are held")


@app.command("retoken", epilog=example("xmsec recordings retoken --yes"))
def retoken(
    yes: Annotated[bool, typer.Option("--yes", help="Rewrite; without it, only say what would be rewritten.")] = False,
    home: Home = None,
    form: Output = None,
) -> None:
    """Bring sealed files of older epochs under the present key, but none that is held; while links last, tokens are joined.

    Safe to interrupt and to repeat: each file is replaced whole, and what is under the present key already stays.
    """
    import msgspec

    from xmsec.cli.home import key_of, now
    from xmsec.cli.output import remark, rows
    from xmsec.cli.settings import settings
    from xmsec.runtime.retoken import retoken as renew
    from xmsec.store.lock import RETOKEN, HomeLock

    given = settings(home)
    keyring, places = key_of(given, create=False), _places(given)
    for place in places:
        place.check(keyring.check)
    with HomeLock(given.home, RETOKEN):
        found = [(place, one) for place, one in _all(given) if one.path.endswith(".parquet")]
        told = list(renew(found, places, keyring, now(), yes))
    names = ("path", "epoch", "rows", "changed", "held", "done")
    rows((msgspec.to_builtins(one) for one in told), form, {name: name for name in names})
    kept = sum(bool(one.held) for one in told)
    did = "rewritten" if yes else "would be rewritten; --yes rewrites them"
    remark(f"{len(told) - kept} of {len(found)} files {did}; {kept} are held and stay as they are")


def _removed(going: Sequence[tuple[Archive, Kept]], held: Sequence[Hold]) -> list[tuple[Archive, Kept]]:
    """Remove files, but none that a hold covers by now; return those that went."""
    free = [(archive, one) for archive, one in going if not any(hold.covers((one.received, one.time)) for hold in held)]
    for archive, one in free:
        archive.remove([one.path])
    return free


def _unheld(one: Kept) -> Kept:
    import msgspec

    return msgspec.structs.replace(one, held=())


class Action(StrEnum):
    """What is done about a hold."""

    add = "add"
    remove = "remove"
    list = "list"


@app.command("hold", epilog=example("xmsec recordings hold add 2026-017 --from 2026-10-01 --reason 'court order'"))
def hold(
    action: Annotated[Action, typer.Argument(help="add, remove or list.")],
    case: Annotated[str, typer.Argument(help="Name of the case: letters, digits, dots and dashes.", show_default=False)] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays on record.", show_default=False)] = "",
    start: Annotated[
        str | None, typer.Option("--from", help="First moment, of event or receiving.", show_default="all")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="First moment that is not held.", show_default="all")] = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """Hold for a case what was recorded in a span, and what still will be; lift a hold; list all, lifted ones too."""
    import msgspec

    from xmsec.cli.options import moment
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings
    from xmsec.model.errors import ConfigError

    places = _places(settings(home))
    if action is Action.list:
        told = _holds(places)
    elif not case or not reason:
        raise ConfigError("case or reason is missing", where=f"hold {action}", remedy="name the case, and --reason")
    elif action is Action.add:
        told = [_added(places, case, reason, (moment("--from", start), moment("--to", end)))]
    else:
        told = [_lifted(places, case, reason)]
    fields = ("case", "reason", "placed", "start", "end", "lifted", "because")
    rows((msgspec.to_builtins(one) for one in told), form, {name: name for name in fields})


def _added(places: Sequence[Archive], case: str, reason: str, between: tuple[datetime | None, datetime | None]) -> Hold:
    from xmsec.cli.home import now
    from xmsec.store.holds import Hold, place

    placed = Hold(case, reason, now(), *between)
    place(places[-1], placed)
    return placed


def _lifted(places: Sequence[Archive], case: str, reason: str) -> Hold:
    from xmsec.cli.home import now
    from xmsec.store.holds import holds, lift

    holding = [one for one in places if any(found.case == case and found.lifted is None for found in holds(one))]
    return lift((holding or places)[-1], case, now(), reason)


def _places(given: Settings) -> list[Archive]:
    """Return where recordings may lie: the home's own folder, and last the place of the workers'."""
    from xmsec.store.archive import Archive

    own = str(given.home / "recordings")
    return [Archive(place) for place in dict.fromkeys((own, given.shelf))]


def _holds(places: Sequence[Archive]) -> list[Hold]:
    from xmsec.store.holds import holds

    return [one for archive in places for one in holds(archive)]


def _all(given: Settings) -> list[tuple[Archive, Kept]]:
    from xmsec.store.inventory import inventory
    from xmsec.store.recording import ENTRY
    from xmsec.store.sqlite import SqliteStore

    committed = None
    if given.store_path.exists():
        store = SqliteStore(given.store_path, {})
        committed = store.meta().get(ENTRY)
        store.close()
    places = _places(given)
    held = _holds(places)
    return [
        (archive, one) for archive in places for one in inventory(archive, committed if archive is places[0] else None, held)
    ]


def _row(one: Kept) -> dict[str, Any]:
    from xmsec.model.clock import rfc3339

    spans = {
        name: span and [rfc3339(moment) for moment in span] for name, span in (("received", one.received), ("time", one.time))
    }
    return {
        "place": one.place,
        "path": one.path,
        **spans,
        "rows": one.rows,
        "revisions": [f"{made.content}/{made.ledger}" for made in one.revisions],
        "bytes": one.bytes,
        "key_check": one.key_check,
        "retokened": one.retokened or None,
        "held": list(one.held),
        "sealed": one.sealed,
    }


def _age(text: str) -> timedelta:
    from xmsec.model.errors import ConfigError

    found = re.fullmatch(r"([1-9]\d{0,4})([dh])", text)
    if found is None:
        raise ConfigError("not an age", where=f"--older-than {text}", remedy="write days or hours: 180d, 36h")
    return timedelta(days=int(found[1])) if found[2] == "d" else timedelta(hours=int(found[1]))
