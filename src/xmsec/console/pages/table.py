"""All pages, in the order of the navigation. A new page: its module, its template, its texts, and a line here."""

from __future__ import annotations

from xmsec.console.ask import Page
from xmsec.console.pages import account, api, findings, front

PAGES: tuple[Page, ...] = (
    front.PAGE,
    findings.PAGE,
    account.PAGE,
    api.PAGE,
)
