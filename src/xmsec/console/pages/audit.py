"""The audit trail: who read graded data, who changed what; by person, kind and time, and whether its chain is whole."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

from starlette.responses import Response

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask, Page, View
from xmsec.console.audit import Wanted
from xmsec.console.pages.filters import moment
from xmsec.model.errors import PolicyError

ROWS = 100
CHARACTERS = 128


def listed(ask: Ask) -> Response:
    """Show the latest entries that are meant, a page at a time."""
    _whole(ask)
    asked, zone = ask.request.query_params, ask.house.records.zone
    kind, by, what = (asked.get(name, "").strip()[:CHARACTERS] for name in ("kind", "by", "what"))
    wanted = Wanted(kind, by, what, moment(asked.get("since", ""), zone), moment(asked.get("until", ""), zone))
    before = asked.get("before", "")
    entries = ask.house.audit.entries(int(before) if before.isdecimal() and len(before) < 19 else None, ROWS + 1, wanted)
    kept = [(name, value) for name, value in asked.multi_items() if value and name != "before"]
    older = urlencode([*kept, ("before", str(entries[ROWS - 1].number))]) if len(entries) > ROWS else ""
    audit = ask.house.audit
    return ask.page(
        "audit_rows.html" if ask.partial else "audit.html",
        entries=entries[:ROWS],
        older=older,
        wanted=wanted,
        kinds=audit.named("kind"),
        persons=audit.named("by"),
        known=ask.house.texts.has,
    )


def chain(ask: Ask) -> Response:
    """Check every entry against the one before it. Takes some seconds for a million."""
    _whole(ask)
    broken = ask.house.audit.broken()
    state: Literal["whole", "broken"] = "whole" if broken is None else "broken"
    last = ask.house.audit.entries(limit=1)
    ask.note("audit.checked", "" if broken is None else str(broken))
    return ask.page("audit_chain.html", state=state, number=broken, last=last[0] if last else None)


def _whole(ask: Ask) -> None:
    """What people did has no system: it is shown to those alone who may see all."""
    if EVERY not in ask.who.reaches("audit.read"):
        raise PolicyError(ask.t("admin.whole"))


PAGE = Page(
    "audit",
    (
        View("/admin/audit", "audit.read", listed),
        View("/admin/audit/chain", "audit.read", chain),
    ),
)
