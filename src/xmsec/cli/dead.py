"""`xmsec dead`: the records that a leg refused."""

from __future__ import annotations

from typing import Annotated

import typer

from xmsec.cli.options import Home, Output, example

app = typer.Typer(help="Dead letters: where a refused record stands and why; never the record.", no_args_is_help=True)


@app.command("list", epilog=example("xmsec dead list --stream generic.web"))
def list_(
    stream: Annotated[str | None, typer.Option("--stream", help="Of one stream.")] = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """List dead letters by source and reason; the first thousand of each are kept, all are counted."""
    from xmsec.cli.home import opened
    from xmsec.cli.output import chosen, rows
    from xmsec.model.ports import Query
    from xmsec.store.read import SqliteReader

    with opened(home, write=False) as here:
        reader = SqliteReader(here.store.connection)
        if chosen(form) == "table":
            totals = [
                {"stream": of, "leg": leg, "reason": reason, "count": count}
                for (of, leg, reason), count in reader.dead_totals().items()
                if stream in (None, of)
            ]
            rows(totals, form, {"stream": "stream", "leg": "leg", "reason": "reason", "count": "count"})
            return
        where: dict[str, tuple[str, ...]] = {} if stream is None else {"stream": (stream,)}
        after = None
        while True:
            page = reader.page(Query("dead", where, order="at", limit=1000), after)
            rows(page.rows, form, {})
            after = page.next
            if after is None:
                return


@app.command("retry", epilog=example("xmsec dead retry"))
def retry(home: Home = None) -> int:
    """Read refused records again at their positions. Not covered yet: scan the file with a new home instead."""
    from xmsec.model.errors import PolicyError

    raise PolicyError(
        "dead retry is not covered yet", where="this version", remedy="correct the parser, then scan with a new --home"
    )
