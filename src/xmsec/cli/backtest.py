"""`xmsec detectors backtest` and `diff`: a change to what is watched, tried over recordings before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output

if TYPE_CHECKING:
    from xmsec.cli.home import Opened
    from xmsec.detect.load import Place
    from xmsec.model.errors import ContentError
    from xmsec.runtime.backtest import Backtest
    from xmsec.runtime.contents import Contents

Start = Annotated[str | None, typer.Option("--from", help="First moment of event time, RFC 3339.", show_default="all")]
End = Annotated[str | None, typer.Option("--to", help="First moment that is not looked at.", show_default="all")]

COLUMNS = {
    "change": "change",
    "detector": "detector",
    "severity": "severity",
    "entity": "entity.id",
    "window": "window.start",
    "count": "count",
    "was": "was",
}


def backtest(
    detector: Annotated[str, typer.Argument(help="Id of a detector or of a model's recipe.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders that stand in the place of the content's own.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", help="What really happened: a truth.jsonl.", exists=True, dir_okay=False)
    ] = None,
    start: Start = None,
    end: End = None,
    home: Home = None,
    form: Output = None,
) -> int:
    """Say what a detector would have told over what was recorded: how much, of whom, the gravest; with a truth, how well."""
    from xmsec.cli.home import opened
    from xmsec.cli.options import Format, moment
    from xmsec.cli.output import chosen, encode, remark, write
    from xmsec.runtime.backtest import backtest as carry
    from xmsec.runtime.trial import alone, feeds
    from xmsec.runtime.truth import read_truth

    happened = None if truth is None else read_truth(truth)
    bounds = (moment("--from", start), moment("--to", end))
    with opened(home, write=False) as here:
        contents = _contents(here, paths)
        made, trial = alone(here.deployment.road, contents, _place(here), detector)
        if _problems(trial.problems):
            return 1
        for name in feeds(made, contents):
            remark(f"xmsec: {made.id} feeds {name} and is silent itself; this is what it would tell alone")
        told = carry(made, trial.road, here.recorded(*bounds), here.settings.zone, happened)
    if chosen(form) is Format.table:
        _report(told)
    else:
        write(encode(told))
    return 0


def diff(
    changed: Annotated[
        list[Path], typer.Option("--with", help="Changed or new detectors, recipes, grades or ledgers: files or folders.")
    ],
    start: Start = None,
    end: End = None,
    home: Home = None,
    form: Output = None,
) -> int:
    """Say which findings appear, disappear and change when these files stand in the place of the content's own."""
    from xmsec.cli.home import opened
    from xmsec.cli.options import moment
    from xmsec.cli.output import remark, rows
    from xmsec.runtime.backtest import differences
    from xmsec.runtime.recorded import replays
    from xmsec.runtime.trial import whole

    bounds = (moment("--from", start), moment("--to", end))
    with opened(home, write=False) as here:
        contents = _contents(here, changed)
        trial = whole(here.deployment.road, contents, _place(here), here.deployment.ledger)
        if _problems(trial.problems):
            return 1
        told = replays([here.deployment.road, trial.road], here.recorded(*bounds))
    found = differences(*told)
    rows((_row(one.change, one.before, one.after) for one in found), form, COLUMNS)
    appear, gone, other = (sum(one.change == what for one in found) for what in ("appears", "disappears", "changes"))
    remark(f"{len(told[0])} findings before, {len(told[1])} after: {appear} appear, {gone} disappear, {other} change")
    return 0


def _row(change: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, Any]:
    """Write a finding as it would be (or was, when it disappears) with what it was before, where that differs."""
    from xmsec.runtime.backtest import WHAT

    now: Mapping[str, Any] = after or before or {}
    was = {name: before[name] for name in WHAT if before[name] != now[name]} if before and after else {}
    return {"change": change, **now, "was": was}


def _contents(here: Opened, paths: Sequence[Path] | None) -> Contents:
    """Load the content with these files in it; what no recording can show is said."""
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import remark
    from xmsec.runtime.contents import gather

    contents = gather(content_dirs(here.settings), list(paths or ()), here.settings.home)
    if paths:
        for path in sorted(contents.asked & (contents.streams.keys() | contents.recognisers.keys())):
            remark(f"xmsec: {path}: recordings hold what was parsed and classified before; this file has no say here")
    return contents


def _place(here: Opened) -> Place:
    from xmsec.detect.load import Place

    home = here.settings.home
    return Place(here.settings.zone, here.deployment.streams, (), home / "models", home / "cache")


def _problems(problems: Sequence[ContentError]) -> bool:
    from xmsec.cli.output import remark

    for problem in problems:
        remark(f"xmsec: {problem}")
    return bool(problems)


def _report(told: Backtest) -> None:
    """Print it for people."""
    from xmsec.cli.output import table, write
    from xmsec.cli.show import gravest
    from xmsec.model.clock import rfc3339

    span = f"{rfc3339(told.start)} – {rfc3339(told.end)}" if told.start and told.end else "nothing"
    write(f"{told.detector} {told.version} ({told.severity}): {span}, {told.events} events, {told.days} days")
    kinds = ", ".join(f"{count} {severity}" for severity, count in told.by_severity.items())
    write(f"findings · 发现: {told.findings} ({kinds or 'none'}; {told.open} open), {told.per_day} a day")
    budget = "" if told.budget_per_day is None else f"; budget · 预算: {told.budget_per_day:g} a day"
    write(f"entities · 主体: {told.entities}, {told.entities_per_day} told a day{budget}")
    if told.truth is not None:
        wrong = sum(one["findings"] for one in told.truth.unexplained)
        write(
            f"truth · 真值: {told.truth.found} of {told.truth.expected} incidents, recall {_share(told.truth.recall)}, "
            f"precision {_share(told.truth.precision)}, {wrong} findings that no incident explains"
        )
        for one in told.truth.missed:
            write(f"  missed: {one['scenario']} {one['entity']['type']} {one['entity']['id']} {rfc3339(one['start'])}")
    if told.findings:
        table(["day", "findings"], [[day, str(count)] for day, count in told.by_day.items()])
        cells = [
            [one["entity"]["id"].replace("\x1f", " / "), str(one["findings"]), str(one["count"])] for one in told.by_entity
        ]
        table(["entity", "findings", "events"], cells)
    gravest(told.gravest)


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"
