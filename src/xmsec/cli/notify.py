"""`xmsec notify`: where findings are told, and whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from xmsec.cli.settings import Settings
    from xmsec.content.notify import Destination
    from xmsec.notify.send import Letter
    from xmsec.notify.target import Target
    from xmsec.store.outbox import Outbox

app = typer.Typer(help="Where findings are told.", no_args_is_help=True)

COLUMNS = {
    "name": "name",
    "channel": "channel",
    "address": "address",
    "findings": "where",
    "tell": "tell",
    "told": "told",
    "waiting": "waiting",
    "problem": "problem",
}


@app.command("list", epilog=example("xmsec notify list"))
def list_all(home: Home = None, form: Output = None) -> None:
    """List destinations: which findings go where, how many were told, what waits, and what is wrong with an address."""
    from xmsec.cli.deliveries import destinations_of, targets
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings
    from xmsec.store.outbox import NAME, Outbox

    given = settings(home)
    found = destinations_of(given)
    known = targets(given) if found else {}
    outbox = Outbox(given.home) if (given.home / NAME).exists() else None
    try:
        rows([_row(given, one, known, outbox) for one in found.values()], form, COLUMNS)
    finally:
        if outbox is not None:
            outbox.close()


def _row(given: Settings, one: Destination, known: Mapping[str, Target], outbox: Outbox | None) -> dict[str, Any]:
    import msgspec

    from xmsec.cli.deliveries import route
    from xmsec.model.errors import ConfigError
    from xmsec.notify.plan import State

    problem = None
    try:
        route(given, one, known)
    except ConfigError as error:
        problem = str(error)
    kept = outbox.state(one.id) if outbox is not None else b""
    state = msgspec.msgpack.decode(kept, type=State) if kept else State()
    where = {name: value for name, value in msgspec.to_builtins(one.where).items() if value}
    return {
        "name": one.id,
        "channel": one.channel,
        "address": known[one.target].shown if one.target in known else None,
        "where": [f"{name}={','.join(values)}" for name, values in where.items()],
        "tell": one.tell or ("first" if one.to_people else "each"),
        "told": outbox.count(one.id) if outbox is not None else 0,
        "waiting": state.held + len(state.ready),
        "problem": problem,
    }


@app.command("test", epilog=example("xmsec notify test duty-group"))
def try_one(name: Annotated[str, typer.Argument(help="Name of a destination.")], home: Home = None) -> None:
    """Send one test message, marked as such; exit code 3 when it is not taken."""
    from xmsec.cli.deliveries import destinations_of, route, targets
    from xmsec.cli.home import now
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.model.errors import ConfigError
    from xmsec.model.ids import digest
    from xmsec.notify.notice import Message

    given = settings(home)
    found = destinations_of(given)
    if name not in found:
        raise ConfigError(f'no destination "{name}"', where="notify/", remedy="see xmsec notify list")
    known = targets(given)
    ready, at = route(given, found[name], known), now()
    test = Message(digest("test", name, at.isoformat()), at, test=True) if found[name].to_people else _letter(name, at)
    ready.carry(test, at)
    write(f"{name}: sent to {known[found[name].target].shown}")


def _letter(name: str, at: datetime) -> Letter:
    """Make a finding that speaks of nobody."""
    from xmsec.model.ids import digest
    from xmsec.model.types import Entity, Finding, Window
    from xmsec.notify.send import Letter

    finding = Finding(
        id=digest("test", name, at.isoformat()),
        time=at,
        first_seen=at,
        detector="xmsec-notify-test",
        version="0",
        kind="coverage",
        title="测试消息,无需处理 · A test message, nothing to do",
        severity="informational",
        risk=0,
        system="xmsec",
        stream="xmsec.test",
        entity=Entity("stream", "xmsec.test"),
        count=1,
        window=Window(at, at),
        state="final",
    )
    return Letter(finding.id, finding)
