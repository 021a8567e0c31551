"""`xmsec scan`: files through the whole pipeline once, up to the end of the input."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.home import Opened
    from xmsec.model.ports import Outcome
    from xmsec.runtime.files import FileRun
    from xmsec.sources.file import FileSource

EXAMPLE = example("xmsec scan /var/log/nginx/access.log* --summary summary.json --fail-on high")


def scan(
    paths: Annotated[list[str], typer.Argument(help="Log files, also .gz and .zst; - reads standard input.")],
    stream: Annotated[
        list[str] | None,
        typer.Option("--stream", help="Whose records these are: once, or once a path.", show_default="guessed"),
    ] = None,
    fail_on: Annotated[str | None, typer.Option("--fail-on", help="Exit 1 at a finding of this severity or graver.")] = None,
    summary: Annotated[Path | None, typer.Option("--summary", help="Write what became of every line, as JSON.")] = None,
    home: Home = None,
    form: Output = None,
) -> int:
    """Read log files, find what is in them, and account for every line.

    An interrupted scan continues where it was; a repeated one prints the same and adds nothing.
    """
    from xmsec.cli.home import opened
    from xmsec.cli.inputs import sources_of

    worst = _severity(fail_on)
    with opened(home, write=True) as here:
        sources = sources_of(here.deployment.streams, paths, stream or ())
        run = ScanRun(here, sources, summary)
        run.drive()
        findings = run.findings()
        present(findings, form, run.summary(findings), here.deployment.missing)
    return 1 if worst is not None and any(_severity(one["severity"]) >= worst for one in findings) else 0


def _severity(name: str | None) -> Any:
    from xmsec.model.errors import ConfigError
    from xmsec.model.types import SEVERITIES

    if name is not None and name not in SEVERITIES:
        raise ConfigError(f'no severity "{name}"', where="--fail-on", remedy=f"one of {', '.join(SEVERITIES)}")
    return None if name is None else SEVERITIES.index(name)


class ScanRun:
    """One scan: its readings, its tally, and the summary that is rewritten at each commit."""

    def __init__(self, here: Opened, sources: Sequence[FileSource], summary: Path | None) -> None:
        from xmsec.cli.home import monotonic
        from xmsec.runtime.files import FileRun

        self._sources, self._summary = sources, summary
        self._run: FileRun = FileRun(here.rig, sources, monotonic)
        self.findings = self._run.findings

    def drive(self, until: datetime | None = None) -> None:
        """Carry the input along the road: all of it, or until every partition has reached a moment of event time."""
        from xmsec.cli.output import progress

        self._write_summary(self.summary([]))  # where it cannot be written is known before the work is done
        contents = [content for reading in self._run.readings for content in reading.contents]
        with progress("scan", sum(content.size_bytes for content in contents) or None) as bar:
            for outcomes in self._run.drive(until):
                bar.to(sum(content.taken_bytes for content in contents), f"{_findings(outcomes)} findings")
                self._write_summary(self.summary([]))
        self._write_summary(self.summary(self.findings()))

    def summary(self, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what became of every line."""
        from xmsec.runtime.summary import summary

        reached = {reading.source[1]: reading.reached for reading in self._run.readings}
        positions = {
            path: reached[partition] for source in self._sources for path, partition in source.partition_by_path.items()
        }
        problems = [problem.reason for source in self._sources for problem in source.problems]
        return summary(self._run.tally.total(self._run.partitions), (one["severity"] for one in findings), positions, problems)

    def _write_summary(self, summary: Mapping[str, Any]) -> None:
        if self._summary is not None:
            part = self._summary.with_name(f".{self._summary.name}.part")
            text = json.dumps(summary, ensure_ascii=False) + "\n"
            part.write_bytes(text.encode("utf-8", "backslashreplace"))  # a path may be no UTF-8; JSON writes that just so
            os.replace(part, self._summary)


def _findings(outcomes: Sequence[Outcome]) -> int:
    return len({finding.id for outcome in outcomes for finding in outcome.findings if finding.exception is None})


def present(findings: Sequence[Mapping[str, Any]], form: Any, counted: Mapping[str, Any], missing: Sequence[str]) -> None:
    """Print findings: all of them for machines; for people with coverage, the gravest, and what to type next.

    missing: which models there are none of.
    """
    from xmsec.cli.output import chosen, rows
    from xmsec.cli.show import coverage, findings_table, gravest

    if chosen(form) != "table":
        rows(findings, form, {})
        return
    findings_table([one for one in findings if one["kind"] != "coverage"])
    coverage(findings, counted, missing)
    gravest(findings)
    sys.stdout.flush()
