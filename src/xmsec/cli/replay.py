"""`xmsec replay`: recordings back through detection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.home import Opened
    from xmsec.pipeline.road import Taken

EXAMPLE = example("xmsec replay --from 2026-10-20T00:00:00+08:00 --to 2026-10-21T00:00:00+08:00")


def replay(
    start: Annotated[str | None, typer.Option("--from", help="First moment of event time, RFC 3339.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="First moment that is not replayed.")] = None,
    to_topic: Annotated[str | None, typer.Option("--to-topic", help="A Kafka topic instead of this process.")] = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """Carry what was recorded through detection again and print the findings; the home's own findings stay as they are.

    With --to-topic, write it to a topic instead, as the frames that classify writes: a deployment of its own detects there.
    """
    from xmsec.cli.home import opened
    from xmsec.cli.options import moment
    from xmsec.cli.output import chosen, rows
    from xmsec.cli.show import findings_table
    from xmsec.runtime.recorded import replay as carry
    from xmsec.store.rows import finding_row

    bounds = [moment(name, text) for name, text in (("--from", start), ("--to", end))]
    with opened(home, write=False) as here:
        if to_topic is not None:
            _publish(here, to_topic, here.recorded(*bounds))
            return
        told = [finding_row(finding) for finding in carry(here.deployment.road, here.recorded(*bounds))]
    if chosen(form) == "table":
        findings_table(told)
    else:
        rows(told, form, {})


def _publish(here: Opened, topic: str, batches: Iterator[Taken]) -> None:
    from xmsec.cli.kafka import cluster
    from xmsec.cli.output import remark
    from xmsec.runtime.faust.again import publish

    own = cluster(here.settings, here.deployment.streams)
    remark(f"{publish(own, topic, batches, here.deployment.road)} events written to {topic}")
