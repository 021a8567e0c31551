"""`xmsec parse`: the events of files as they would be recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.runtime.assemble import Deployment
    from xmsec.sources.file import FileSource

EXAMPLE = example("xmsec parse access.log | head -1")
_COLUMNS = {
    "time": "event.time",
    "stream": "event.stream",
    "user": "event.fields.user.name",
    "address": "event.fields.source.ip",
    "action": "event.fields.event.action",
    "url": "event.fields.url.original",
    "message": "event.fields.message",
    "datasets": "event.datasets",
}


def parse(
    path: Annotated[str, typer.Argument(help="A log file, also .gz and .zst; - reads standard input.")],
    stream: Annotated[str | None, typer.Option("--stream", help="Whose records these are.", show_default="guessed")] = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """Print the events of a file as they would be recorded, tokened; what is rejected is counted on stderr."""
    from xmsec.cli.home import roaded
    from xmsec.cli.inputs import sources_of
    from xmsec.cli.output import remark, rows

    rejected: Counter[str] = Counter()
    deployment = roaded(home)
    sources = sources_of(deployment.streams, [path], () if stream is None else (stream,))
    rows(_events(deployment, sources, rejected), form, _COLUMNS)
    for reason, count in sorted(rejected.items()):
        remark(f"rejected {count} × {reason}")


def _events(deployment: Deployment, sources: Sequence[FileSource], rejected: Counter[str]) -> Iterator[dict[str, Any]]:
    """Give what is taken, and count what is not."""
    from xmsec.model.types import Tick
    from xmsec.pipeline.tokenise import tokenise
    from xmsec.store.rows import event_row, span_row

    for source in sources:
        for batch in source.read({}):
            taken = tokenise(batch, deployment.road)
            rejected.update(f"{one.leg}:{one.reason}" for one in taken.rejected)
            for item in taken.passed:
                if not isinstance(item, Tick) and "rejected" not in item[0].flags:
                    yield {"event": event_row(item[0]), "spans": [span_row(span) for span in item[1]]}
        rejected.update(f"source:{problem.reason}" for problem in source.problems)
