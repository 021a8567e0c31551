"""`xmsec parse`: the events of files as they would be recorded."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from xmsec.cli.options import Home, example

EXAMPLE = example("xmsec parse access.log | head -1")


def parse(
    path: Annotated[str, typer.Argument(help="A log file, also .gz and .zst; - reads standard input.")],
    stream: Annotated[str | None, typer.Option("--stream", help="Whose records these are.", show_default="guessed")] = None,
    home: Home = None,
) -> None:
    """Print the events of a file as they would be recorded, tokened; what is rejected is counted on stderr."""
    from xmsec.cli.home import roaded
    from xmsec.cli.inputs import sources_of
    from xmsec.cli.output import encode, remark, write
    from xmsec.model.types import Tick
    from xmsec.pipeline.tokenise import tokenise
    from xmsec.store.rows import event_row, span_row

    rejected: Counter[str] = Counter()
    deployment = roaded(home)
    for source in sources_of(deployment.streams, [path], () if stream is None else (stream,)):
        for batch in source.read({}):
            taken = tokenise(batch, deployment.road)
            rejected.update(f"{one.leg}:{one.reason}" for one in taken.rejected)
            for item in taken.passed:
                if not isinstance(item, Tick) and "rejected" not in item[0].flags:
                    write(encode({"event": event_row(item[0]), "spans": [span_row(span) for span in item[1]]}))
        rejected.update(f"source:{problem.reason}" for problem in source.problems)
    for reason, count in sorted(rejected.items()):
        remark(f"rejected {count} × {reason}")
