"""`xmsec exceptions`: findings that are known and accepted until a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import By, Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings
    from xmsec.content.exceptions import ExceptionFile
    from xmsec.findings.hidden import Hidden, Hits

app = typer.Typer(help="Exceptions: findings that are accepted for a reason, until a day.", no_args_is_help=True)

COLUMNS = {
    "exception": "id",
    "standing": "standing",
    "until": "until",
    "hits": "hits",
    "last hit": "last",
    "days past": "overdue",
    "owner": "owner",
    "reason": "reason",
}
Texts = list[str] | None


@app.command("list", epilog=example("xmsec exceptions list"))
def list_(home: Home = None, form: Output = None) -> int:
    """List exceptions with their hits; of one past its expiry also on how many days it still would have covered something."""
    from xmsec.cli.asked import asked
    from xmsec.cli.home import content_dirs, now
    from xmsec.cli.output import remark, rows
    from xmsec.cli.settings import settings
    from xmsec.content.exceptions import load_exceptions
    from xmsec.findings.hidden import Hits, hits

    given = settings(home)
    placed, problems = load_exceptions([*content_dirs(given), given.home])
    for problem in problems:
        remark(f"xmsec: {problem}")
    files = sorted((one.file for one in placed), key=lambda file: file.id)
    told: Any = {}
    if given.on_elastic or given.store_path.exists():
        with asked(given) as reader:
            told = hits(files, reader)
    rows([_row(file, told.get(file.id, Hits()), now()) for file in files], form, COLUMNS)
    return 1 if problems else 0


def _row(file: ExceptionFile, hit: Hits, now: datetime) -> dict[str, Any]:
    from xmsec.findings.hidden import standing
    from xmsec.model.clock import rfc3339

    return {
        "id": file.id,
        "standing": standing(file, now),
        "from": rfc3339(file.start),
        "until": rfc3339(file.until),
        "when": {column: list(file.wanted(column)) for column in file.when},
        "hits": hit.count,
        "last": None if hit.last is None else rfc3339(hit.last),
        "overdue": hit.overdue,
        "owner": file.owner,
        "reason": file.reason,
    }


@app.command("test", epilog=example("xmsec exceptions test exceptions/report-service-exports.yaml"))
def run_tests(
    path: Annotated[Path, typer.Argument(help="An exception's file.", exists=True, dir_okay=False)],
    home: Home = None,
    form: Output = None,
) -> int:
    """Run an exception's own tests, and say which recorded findings it would hide, whatever their time."""
    from xmsec.cli.asked import asked
    from xmsec.cli.output import remark
    from xmsec.cli.settings import settings
    from xmsec.content.exceptions import exception_of
    from xmsec.content.load import read
    from xmsec.findings.exceptions import tried
    from xmsec.findings.hidden import would_hide

    file = exception_of(read(path)).file
    failures = tried(file)
    for line in failures:
        remark(f"{path}: {line}")
    with asked(settings(home)) as reader:
        _print(would_hide(file, reader), form)
    return 1 if failures else 0


def _print(hidden: Hidden, form: Any) -> None:
    from xmsec.cli.output import chosen, encode, rows, write

    by = [{"detector": one[0], "type": one[1], "id": one[2], "findings": count} for one, count in hidden.by.items()]
    if chosen(form) != "table":
        write(encode({**{name: getattr(hidden, name) for name in hidden.__struct_fields__}, "by": by}))
        return
    rows(by, form, {"detector": "detector", "type": "type", "entity": "id", "findings": "findings"})
    share = f"{hidden.findings} findings{'' if hidden.all else f' of the newest {hidden.looked_at}'}"
    write(f"{share}; {hidden.within} of them in its span, {hidden.new} covered by no exception now")


@app.command(
    "add", epilog=example("xmsec exceptions add nightly --finding 5f2a9c1e --reason 'a service' --owner ops --days 90")
)
def add(
    name: Annotated[str, typer.Argument(help="Its name, in kebab-case.")],
    reason: Annotated[str, typer.Option("--reason", help="Why nothing is wrong.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    days: Annotated[int, typer.Option("--days", help="How long it covers; a year at most.", min=1, max=366)] = 90,
    start: Annotated[
        str | None, typer.Option("--from", help="From which windows on, RFC 3339.", show_default="now, or the finding's")
    ] = None,
    finding: Annotated[str | None, typer.Option("--finding", help="Its detector and entity, unless they are named.")] = None,
    when: Annotated[Texts, typer.Option("--when", help="COLUMN=WILDCARD; again for more.")] = None,
    by: By = "",
    home: Home = None,
) -> None:
    """Write an exception to HOME/exceptions, tests included; running services take it up with their content."""
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.runtime.exceptions import Draft
    from xmsec.runtime.exceptions import add as put

    given = settings(home)
    row = _finding(given, finding) if finding else {}
    begins = _moment(start, row)
    draft = Draft(
        id=name,
        reason=reason,
        owner=owner,
        author=by,
        start=begins,
        expires=begins + timedelta(days=days),
        when=_conditions(when or (), row),
    )
    write(str(put(content_dirs(given), given.home, draft).path))


def _moment(start: str | None, row: dict[str, Any]) -> datetime:
    """Return when it begins: as told, with the finding's window, or now."""
    from xmsec.cli.home import now
    from xmsec.cli.options import moment

    told = moment("--from", start or (row["window"]["start"] if row else None))
    return told or now().replace(microsecond=0)


def _conditions(given: Texts | tuple[()], row: dict[str, Any]) -> dict[str, list[str]]:
    from xmsec.model.errors import ConfigError

    when: dict[str, list[str]] = {}
    for text in given or ():
        column, equals, wildcard = text.partition("=")
        if not equals:
            raise ConfigError("no condition", where=f"--when {text}", remedy="write COLUMN=WILDCARD")
        when.setdefault(column, []).append(wildcard)
    if row:
        when.setdefault("detector", [row["detector"]])
        when.setdefault("entity.id", [row["entity"]["id"].replace("\x1f", " / ")])
        when.setdefault("entity.type", [row["entity"]["type"]])
    return when


def _finding(given: Settings, name: str) -> dict[str, Any]:
    from xmsec.cli.asked import asked
    from xmsec.model.errors import ConfigError
    from xmsec.model.ports import Query

    with asked(given) as reader:
        rows = reader.page(Query("findings", {"id": (name,)}, limit=1)).rows
    if not rows:
        raise ConfigError(f'no finding "{name}"', where="--finding", remedy="name its whole id")
    return rows[0]


@app.command("expire", epilog=example("xmsec exceptions expire nightly"))
def expire(
    name: Annotated[str, typer.Argument(help="Its name.")],
    at: Annotated[str | None, typer.Option("--at", help="From which windows on, RFC 3339.", show_default="now")] = None,
    by: By = "",
    home: Home = None,
) -> None:
    """End an exception early: windows from then on are told again, and nobody is reminded of it."""
    from xmsec.cli.home import content_dirs, now
    from xmsec.cli.options import moment
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.model.clock import rfc3339
    from xmsec.runtime.exceptions import end

    given = settings(home)
    file = end(content_dirs(given), given.home, name, moment("--at", at) or now().replace(microsecond=0), by)
    write(f"{file.id} {rfc3339(file.until)}")
