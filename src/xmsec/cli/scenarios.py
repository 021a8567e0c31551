"""Which simulated systems a command was asked for, and their traffic on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xmsec.content.scenario import Scenario


def scenarios_of(dirs: Sequence[Path], names: str | None) -> Sequence[Scenario]:
    """Return the scenarios named (all when none is), by their ids. Raises ConfigError for an unknown name."""
    from xmsec.cli.output import remark
    from xmsec.content.scenarios import load_scenarios
    from xmsec.model.errors import ConfigError

    known, problems = load_scenarios(dirs)
    for problem in problems:
        remark(f"xmsec: {problem}")
    wanted = sorted(known) if names is None else names.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f'no scenario "{unknown[0]}"', where="--scenario", remedy=f"one of {', '.join(sorted(known))}")
    return [known[name] for name in wanted]


def simulated(dirs: Sequence[Path], names: str | None, seed: int, events: int | None, out: Path) -> Iterator[dict[str, Any]]:
    """Write the traffic of scenarios, one folder each when there are several; yields what was written."""
    from xmsec.cli.output import progress
    from xmsec.simulate.scenario import plan
    from xmsec.simulate.write import write

    wanted = scenarios_of(dirs, names)
    for scenario in wanted:
        folder = out if len(wanted) == 1 else out / scenario.id
        with progress(f"simulate {scenario.id}", events) as bar:
            made = write(plan(scenario, seed, events), folder, bar.to)
        yield {
            "scenario": scenario.id,
            "lines": {str(path): count for path, count in made.lines.items()},
            "ledger": str(made.ledger),
            "truth": str(made.truth),
        }
