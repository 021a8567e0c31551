"""`xmsec doctor`: whether a deployment is fit to run, one line a check, each with what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from xmsec.cli.options import Home, Output, example
from xmsec.model.errors import EXIT_NO, EXIT_SERVICE, ServiceError, XmsecError

EXAMPLE = example("xmsec doctor --production")
COLUMNS = {"check": "check", "state": "state", "says": "says", "what to do": "remedy"}


def doctor(
    production: Annotated[bool, typer.Option("--production", help="Also ask Kafka and Elasticsearch.")] = False,
    streams: Annotated[
        str | None, typer.Option("--streams", help="Those whose topics there must be, separated by commas.", show_default="all")
    ] = None,
    home: Home = None,
    form: Output = None,
) -> int:
    """Check dependencies, permissions, clock, disk, key, content, sources, store, and on request the servers.

    Exit 1 when something fails, 3 when a service does not answer; a warning is no failure.
    """
    from xmsec.cli.checks import LOCAL, Verdict
    from xmsec.cli.output import rows
    from xmsec.cli.servers import asked
    from xmsec.cli.settings import settings

    given = settings(home)
    told: list[dict[str, str]] = []
    silent = False
    for name, check in {**LOCAL, **(asked(streams) if production else {})}.items():
        try:
            verdicts = list(check(given))
        except XmsecError as error:
            silent = silent or (isinstance(error, ServiceError) and name not in LOCAL)
            verdicts = [Verdict("fail", "; ".join(filter(None, (error.what, error.where))), error.remedy)]
        except ImportError as error:
            verdicts = [Verdict("fail", f"{error.name} is not installed", "pip install 'xmsec[kafka,elastic]'")]
        told += [{"check": name, "state": one.state, "says": one.says, "remedy": one.remedy} for one in verdicts]
    rows(told, form, COLUMNS)
    if silent:
        return EXIT_SERVICE
    return EXIT_NO if any(one["state"] == "fail" for one in told) else 0
