"""All pages, in the order of the navigation. A new page: its module, its template, its texts, and a line here."""

from __future__ import annotations

from xmsec.console.ask import Page
from xmsec.console.pages import (
    account,
    admin,
    api,
    audit,
    exceptions,
    findings,
    front,
    incidents,
    ledger,
    situation,
    sources,
    sso,
    trail,
)

PAGES: tuple[Page, ...] = (
    front.PAGE,
    sso.PAGE,
    situation.PAGE,
    findings.PAGE,
    incidents.PAGE,
    exceptions.PAGE,
    trail.PAGE,
    ledger.PAGE,
    sources.PAGE,
    admin.PAGE,
    audit.PAGE,
    account.PAGE,
    api.PAGE,
)
