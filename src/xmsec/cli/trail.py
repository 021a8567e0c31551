"""`xmsec trail`: who touched this subject's data, and what this actor touched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Format, Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings
    from xmsec.model.ports import Reader
    from xmsec.runtime.trail import Asked, Trail

app = typer.Typer(help="Who touched whose data; asking needs a reason and leaves a record.", no_args_is_help=True)

COLUMNS = {
    "what": "what",
    "first": "first_seen",
    "last": "time",
    "actor": "actor",
    "dataset": "dataset",
    "action": "action",
    "stream": "stream",
    "count": "count",
    "subjects": "subjects",
    "detector": "detector",
}
Reason = Annotated[str, typer.Option("--reason", help="Why you ask; it goes on record.")]
From = Annotated[str | None, typer.Option("--from", help="First moment of event time.", show_default="all")]
To = Annotated[str | None, typer.Option("--to", help="First moment that is not asked for.", show_default="all")]


@app.command("subject", epilog=example("xmsec trail subject ⟨CN_MOBILE:5f2a9c1e00112233⟩ --reason 'request 2026-117'"))
def subject(
    token: Annotated[str, typer.Argument(help="A token; - reads the value itself from standard input, and keeps none of it.")],
    reason: Reason,
    start: From = None,
    end: To = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """Say who touched this subject's data: actors, datasets, actions and findings.

    Over recordings and findings, under all keys that the value's tokens can still be linked by.
    """
    from xmsec.cli.options import moment
    from xmsec.cli.settings import settings
    from xmsec.runtime.trail import Asked

    given = settings(home)
    names = _by_value(given) if token == "-" else _by_token(given, token)
    _answer(given, Asked("subject", names, moment("--from", start), moment("--to", end)), reason, form)


@app.command("actor", epilog=example("xmsec trail actor u7 --reason 'request 2026-117' --from 2026-11-01"))
def actor(
    name: Annotated[str, typer.Argument(metavar="ID", help="An account, address or device, as findings name it.")],
    reason: Reason,
    start: From = None,
    end: To = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """Say what this actor touched: datasets, actions, of how many subjects, and findings."""
    from xmsec.cli.options import moment
    from xmsec.cli.rooms import trails_of
    from xmsec.cli.settings import settings
    from xmsec.runtime.trail import Asked

    given = settings(home)
    names = trails_of(given).tokened(name)
    _answer(given, Asked("actor", names, moment("--from", start), moment("--to", end)), reason, form)


@app.command("asked", epilog=example("xmsec trail asked"))
def asked_before(home: Home = None, form: Output = None) -> int:
    """List who asked for which trail and why; exit code 1 when the record was altered."""
    import msgspec

    from xmsec.cli.output import remark, rows
    from xmsec.cli.settings import settings
    from xmsec.store.inquiries import Inquiries

    record = Inquiries(settings(home).home)
    told = [msgspec.to_builtins(one) for one in record.entries()]
    rows(told, form, {"#": "number", "at": "at", "what": "what", "by": "by", "about": "body"})
    wrong = record.broken()
    if wrong is not None:
        remark(f"xmsec: the record was altered at line {wrong}")
    return 0 if wrong is None else 1


def _by_token(given: Settings, token: str) -> tuple[str, ...]:
    """Return the tokens of a token's value."""
    from xmsec.cli.home import now
    from xmsec.cli.rooms import trails_of
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.trails import is_token
    from xmsec.store.search import Effort

    if not is_token(token):
        raise ConfigError("not a token", where="trail subject", remedy="write ⟨TYPE:16 hexadecimal digits⟩, or - for a value")
    return trails_of(given).of_token(token, now(), Effort())


def _by_value(given: Settings) -> tuple[str, ...]:
    """Read a value and return its tokens; the value goes no further."""
    from xmsec.cli.rooms import trails_of
    from xmsec.runtime.trails import VALUE_BYTES

    return trails_of(given).of_value(sys.stdin.buffer.read(VALUE_BYTES).decode("utf-8", "replace").strip())


def _answer(given: Settings, asked: Asked, reason: str, form: Format | None) -> None:
    from xmsec.cli.home import now
    from xmsec.cli.output import remark, rows
    from xmsec.cli.rooms import trails_of
    from xmsec.runtime.trail import Why
    from xmsec.runtime.trails import Reach

    given.home.mkdir(parents=True, exist_ok=True)
    with _reader(given) as (reader, committed):
        found = trails_of(given, lambda: committed).answer(Why(_who(), reason), asked, Reach(reader), now)
    rows(_rows(found), form, COLUMNS)
    remark(f"read {found.read} of {found.groups} row groups in {found.files} files; the question is on record")


def _rows(found: Trail) -> Iterator[dict[str, Any]]:
    """Write an answer as lines: what was touched, then what was found."""
    from xmsec.model.clock import rfc3339
    from xmsec.model.types import UNIT_SEPARATOR

    for one in found.touches:
        yield {
            "what": "touch",
            "actor": f"{one.actor.type} {one.actor.id}",
            **{name: getattr(one, name) for name in ("dataset", "action", "system", "stream", "count", "subjects")},
            "first_seen": rfc3339(one.first_seen),
            "time": rfc3339(one.time),
            "ids": list(one.events),
        }
    for row in found.findings:
        yield {
            "what": "finding",
            "actor": f"{row['entity']['type']} {row['entity']['id'].replace(UNIT_SEPARATOR, ' / ')}",
            **{name: row[name] for name in ("first_seen", "time", "system", "stream", "count", "detector", "severity")},
            "ids": [row["id"]],
        }


@contextmanager
def _reader(given: Settings) -> Iterator[tuple[Reader | None, str | None]]:
    """Open what knows the findings, and say how far the home's own recording was committed."""
    if given.on_elastic:
        from xmsec.cli.elastic import elastic
        from xmsec.store.elastic_read import ElasticReader

        with elastic(given) as client:
            yield ElasticReader(client, given.es_prefix), None
        return
    if not given.store_path.exists():
        yield None, None
        return
    from xmsec.store.figures import recorded
    from xmsec.store.read import SqliteReader
    from xmsec.store.sqlite import SqliteStore
    from xmsec.store.unfinished import refuse

    refuse(given.home)
    store = SqliteStore(given.store_path, {})
    try:
        yield SqliteReader(store.connection), recorded(store.connection)
    finally:
        store.close()


def _who() -> str:
    """Name the account that asks, as the system knows it."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
