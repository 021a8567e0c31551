"""`xmsec demo`: a simulated city's system, and the whole platform on it."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Format, Home, Seed, example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xmsec.cli.home import Opened
    from xmsec.content.scenario import Scenario

EXAMPLE = example("xmsec demo --once")


def demo(
    scenario: Annotated[str | None, typer.Option("--scenario", help="Names, separated by commas.", show_default="all")] = None,
    events: Annotated[int, typer.Option("--events", help="About how many lines.", min=1)] = 60_000,
    seed: Seed = 1,
    once: Annotated[bool, typer.Option("--once", help="Print what was found and end.")] = False,
    port: Annotated[int, typer.Option("--port", help="Where the console is served.", min=0, max=65535)] = 8470,
    home: Home = None,
) -> None:
    """Simulate two weeks, learn from the first, watch the second, print what was found; then serve the console.

    Its end is a link that signs the browser in, once, and what to try there.
    """
    from xmsec.cli.home import content_dirs, opened
    from xmsec.cli.output import remark
    from xmsec.cli.rooms import embedded_rooms
    from xmsec.cli.scan import present
    from xmsec.cli.scenarios import scenarios_of
    from xmsec.cli.settings import settings
    from xmsec.runtime.service import Address, Service
    from xmsec.runtime.vitals import Vitals

    given = settings(home)
    wanted = scenarios_of(content_dirs(given), scenario)
    folder = given.home / "demo"
    _simulate(given.home, folder, wanted, seed, events)
    if not any((given.home / "models").glob("*/*.npz")):
        remark("learning from the first week · 学习第一周")
        with opened(home, write=True) as here:
            _learn(here, folder, wanted)
    remark("watching the second · 监测第二周")
    with opened(home, write=True) as here:
        run = _run(here, folder, wanted)
        run.drive()
        findings = run.findings()
        present(findings, Format.table, run.summary(findings), here.deployment.missing)
        _where(given.home, folder)
        vitals = Vitals(given.store_path, given.zone, here.budgets)
    if not once:
        at = Address(given.host, port)
        with (
            embedded_rooms(given, problems=vitals.problems) as rooms,
            Service(given.store_path, at, vitals, rooms=rooms.routes) as service,
            rooms.open(),
        ):
            remark(f"ready {service.url}")
            _try(rooms.entrance(service.url))
            while True:
                time.sleep(3600)


def _simulate(home: Path, folder: Path, wanted: Sequence[Scenario], seed: int, events: int) -> None:
    """Write the traffic once and make its ledger the home's; a home holds one demo."""
    from xmsec.cli.output import progress, remark
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.rehearsed import adopt, simulate

    made = {"scenarios": [one.id for one in wanted], "seed": seed, "events": events}
    note = folder / "made.json"
    if note.exists():
        if json.loads(note.read_text()) != made:
            raise ConfigError("this home holds another demo", where=str(home), remedy="name another --home, or remove this one")
        return
    for scenario in wanted:
        remark(f"simulating {scenario.id}: {scenario.title.zh} · {scenario.title.en}")
        with progress(f"simulate {scenario.id}", events) as bar:
            written = simulate(scenario, folder / scenario.id, seed, events, bar.to)
        for problem in adopt(home, written.ledger):
            remark(f"xmsec: {problem}")
    note.write_text(json.dumps(made))


def _run(here: Opened, folder: Path, wanted: Sequence[Scenario]) -> Any:
    from xmsec.cli.home import now
    from xmsec.cli.scan import ScanRun
    from xmsec.runtime.rehearsed import sources

    return ScanRun(here, sources({scenario.id: folder / scenario.id for scenario in wanted}, wanted, now), None)


def _learn(here: Opened, folder: Path, wanted: Sequence[Scenario]) -> None:
    """Drive the days in which nothing happens, and train every model on them."""
    from xmsec.cli.output import remark
    from xmsec.runtime.rehearsed import learn, learned

    _run(here, folder, wanted).drive(until=max(map(learned, wanted)))
    for recipe, made in learn(here.rig, here.settings.home / "models", here.settings.zone):
        remark(f"trained {recipe}: {made.stem}" if isinstance(made, Path) else f"xmsec: {made}")


def _try(link: str) -> None:
    """Say by which link to enter, and what to try there."""
    from xmsec.cli.output import remark

    remark(f"open in a browser, once · 在浏览器打开（一次有效）: {link}")
    remark("1. Situation: every figure leads to the list behind it · 态势：每个数字都通向背后的清单")
    remark("2. Findings: j k Enter to look, a c f e to decide, ? for all keys · 告警：用键盘逐条查看与处置")
    remark("3. Incidents: begin a playbook, approve its step, see its record · 事件处置：启动预案、审批、留痕（Ctrl-C ends）")


def _where(home: Path, folder: Path) -> None:
    """Say how to look further, as it can be typed in the shell that this was started from."""
    from xmsec.cli.output import write

    beside = Path(sys.argv[0]).parent / "activate"
    first = f"source {beside}; " if shutil.which("xmsec") is None and beside.exists() else ""
    named = "" if home == Path(".xmsec") else f" --home {home}"
    write(f"\nThe traffic and its truth · 流量与真相: {folder}")
    write(f"Look further · 继续查看: {first}xmsec incidents list{named}")
