"""`xmsec simulate`: a system's traffic in its native formats, with its ledger and its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmsec.cli.options import Home, Seed, example

EXAMPLE = example("xmsec simulate --out traffic --scenario onestop-service --seed 7")


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")],
    scenario: Annotated[str | None, typer.Option("--scenario", help="Names, separated by commas.", show_default="all")] = None,
    events: Annotated[int | None, typer.Option("--events", help="About how many lines.", min=1)] = None,
    seed: Seed = 1,
    home: Home = None,
) -> None:
    """Write each stream in its native format, ledger.yaml and truth.jsonl; same seed, same bytes."""
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import encode, write
    from xmsec.cli.scenarios import simulated
    from xmsec.cli.settings import settings

    for made in simulated(content_dirs(settings(home)), scenario, seed, events, out):
        write(encode(made))
