"""`xmsec detectors`: what is watched; whether content is sound; plain Sigma; trained models; changes tried beforehand."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from xmsec.cli.backtest import backtest, diff
from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.content.detectors import DetectorFile
    from xmsec.content.recipes import Recipe
    from xmsec.runtime.checked import Bench

app = typer.Typer(
    help="Detectors and other content: list, check, test, match, train, try over recordings.", no_args_is_help=True
)

Paths = Annotated[list[Path] | None, typer.Argument(help="Files or folders, also outside the content.", show_default="all")]

NAMED = 20  # lines that are no events and are told one by one

COLUMNS = {name: name for name in ("id", "kind", "severity", "title", "status", "entity", "where")}


@app.command("list", epilog=example("xmsec detectors list --format table"))
def list_(paths: Paths = None, home: Home = None, form: Output = None) -> int:
    """List the detectors: what each watches, for whom, and where its file is."""
    from xmsec.cli.output import rows

    on = _bench(home, paths)
    asked = on.contents.asked
    told = [_row(file, file.type, file.title, file.path) for file in on.contents.detectors if file.path in asked]
    told += [_row(recipe, "anomaly", recipe.label, path) for path, recipe in on.contents.recipes.items() if path in asked]
    rows(sorted(told, key=lambda one: str(one["id"])), form, COLUMNS)
    return _problems(on)


def _row(file: DetectorFile | Recipe, kind: str, title: str, path: Path) -> dict[str, Any]:
    """Make a row. entity: the field that the file names, a correlation's groups, or None where each event decides."""
    return {
        "id": file.id,
        "kind": kind,
        "severity": file.severity,
        "title": title,
        "status": file.status or None,
        "entity": file.entity or _groups(file),
        "where": str(_near(path)),
    }


def _groups(file: DetectorFile | Recipe) -> str | None:
    correlation = getattr(file, "body", {}).get("correlation")
    groups = correlation.get("group-by") if isinstance(correlation, dict) else None
    return ", ".join(map(str, groups)) if isinstance(groups, list) else groups


def _near(path: Path) -> Path:
    """Return a path as it is shortest to type."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _bench(home: Path | None, paths: Iterable[Path] | None) -> Bench:
    from xmsec.cli.home import content_dirs
    from xmsec.cli.settings import settings
    from xmsec.runtime.checked import bench
    from xmsec.runtime.contents import gather

    given = settings(home)
    return bench(gather(content_dirs(given), list(paths or ()), given.home), given.zone, given.home / "cache")


def _problems(on: Bench) -> int:
    """Name what did not load on stderr, one line each; return the exit code."""
    from xmsec.cli.output import remark

    for problem in on.problems:
        remark(f"xmsec: {problem}")
    return 1 if on.problems else 0


@app.command("lint", epilog=example("xmsec detectors lint detectors/web"))
def lint(paths: Paths = None, home: Home = None) -> int:
    """Check content without running it: what does not load, names, references, fields that no stream carries, tests missing."""
    from xmsec.cli.output import write
    from xmsec.runtime.checked import issues

    on = _bench(home, paths)
    found = issues(on)
    for one in found:
        write(f"{one.severity}: {one}")
    errors = sum(one.severity == "error" for one in found)
    write(f"{len(on.contents.asked)} files, {errors} errors, {len(found) - errors} warnings")
    return 1 if errors else 0


@app.command("test", epilog=example("xmsec detectors test detectors/web/web-sql-injection.yaml"))
def run_tests(paths: Paths = None, home: Home = None) -> int:
    """Run the tests that content files hold: detectors' inline tests, streams' sample lines, classifiers' examples."""
    from xmsec.cli.output import progress, write
    from xmsec.runtime.checked import tried

    on = _bench(home, paths)
    ran = failed = 0
    with progress("test", len(on.contents.asked)) as bar:
        for number, one in enumerate(tried(on), 1):
            ran += one.tests
            failed += len(one.failures)
            for line in one.failures:
                write(line)
            bar.to(number, f"{ran} tests")
    write(f"{ran} tests, {failed} failed")
    return _problems(on) or (1 if failed else 0)


@app.command("match", epilog=example("xmsec detectors match --rules sigma/rules --events events.jsonl"))
def match(
    rules: Annotated[list[Path], typer.Option("--rules", help="Sigma rules: files or folders of them.", exists=True)],
    events: Annotated[str, typer.Option("--events", help="JSON lines, also .gz and .zst; - reads standard input.")],
    more: Annotated[list[Path] | None, typer.Argument(help="More rules.", exists=True, metavar="PATH")] = None,
    home: Home = None,
    form: Output = None,
) -> int:
    """Say which Sigma rules match which events, one JSON line a match.

    Rules that do not load, and lines that are no JSON object, are named on stderr; the others are matched.
    """
    from xmsec.cli.inputs import lines_of
    from xmsec.cli.output import remark, rows
    from xmsec.cli.settings import settings
    from xmsec.detect.plain import rules_match
    from xmsec.model.errors import EXIT_USAGE

    lines = lines_of(events)
    matching = rules_match([*rules, *(more or ())], lines, settings(home).home / "cache")
    for problem in matching.problems:
        remark(f"xmsec: {problem}")
    rows(map(msgspec.structs.asdict, matching.hits), form, {"event": "event", "rule": "rule", "title": "title"})
    sys.stdout.flush()
    for refused in matching.refused[:NAMED]:
        remark(f"xmsec: {refused}")
    if len(matching.refused) > NAMED:
        remark(f"xmsec: {len(matching.refused) - NAMED} more lines; {events}; one JSON object a line")
    return EXIT_USAGE if matching.refused else 1 if matching.problems else 0


@app.command("train", epilog=example("xmsec detectors train user-hour"))
def train(
    model: Annotated[str, typer.Argument(help="Id of a model's recipe, or all.")],
    home: Home = None,
    form: Output = None,
) -> int:
    """Train models on what was recorded; each is written with its card and used from the next start on."""
    from xmsec.cli.home import opened
    from xmsec.cli.output import remark, rows
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.recorded import train_on

    refused = 0
    told: list[dict[str, str]] = []
    with opened(home, write=False) as here:
        for recipe in _wanted(here.deployment.recipes, model):
            try:
                path = train_on(
                    recipe, here.deployment.road, here.recorded(), here.settings.home / "models", here.settings.zone
                )
            except ConfigError as error:
                remark(f"xmsec: {error}")
                refused = 1
                continue
            told.append({"model": recipe.id, "version": path.stem, "card": str(path.with_suffix(".md"))})
    rows(told, form, {"model": "model", "version": "version", "card": "card"})
    return refused


def _wanted(recipes: Any, model: str) -> Iterator[Recipe]:
    from xmsec.model.errors import ConfigError

    if model != "all" and model not in recipes:
        known = ", ".join(sorted(recipes)) or "there is none"
        raise ConfigError(f'no model "{model}"', where="detectors train", remedy=f"all, or one of {known}")
    yield from (recipes[name] for name in sorted(recipes) if model in ("all", name))


app.command("backtest", epilog=example("xmsec detectors backtest user-hour --from 2026-10-20"))(backtest)
app.command("diff", epilog=example("xmsec detectors diff --with mass-lookup.yaml --from 2026-10-20"))(diff)
