"""The API's lists, for machines with a token and for scripts of a page; who sends records is let in elsewhere (`intake`)."""

from __future__ import annotations

from starlette.responses import Response

from xmsec.console.ask import Ask, Page, View
from xmsec.runtime.service import listing


def findings(ask: Ask) -> Response:
    """List findings of the systems that the token reaches."""
    return listing(ask.reader("findings.read"), "findings", ask.request)


def incidents(ask: Ask) -> Response:
    """List incidents of the systems that the token reaches."""
    return listing(ask.reader("incidents.read"), "incidents", ask.request)


PAGE = Page(
    "api",
    (
        View("/api/findings", "findings.read", findings),
        View("/api/incidents", "incidents.read", incidents),
    ),
)
