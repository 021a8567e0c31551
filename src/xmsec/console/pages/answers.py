"""What all of the API's answers have in common: tags of what they say, and what holds a change back.

Each answer bears an ETag: of its bytes, so that the same record has the same wherever it is read.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from starlette.responses import Response

from xmsec.console.access import Permission
from xmsec.console.ask import Ask
from xmsec.console.decisions import refusal
from xmsec.model.errors import XmsecError
from xmsec.model.ports import Table
from xmsec.runtime import cases

READ: dict[Table, Permission] = {"findings": "findings.read", "incidents": "incidents.read"}


def answer(ask: Ask, body: Any, status: int = 200) -> Response:
    """Answer with JSON and its tag; to who has just this already, with the tag alone."""
    encoded = msgspec.json.encode(body)
    tag = _tag(encoded)
    headers = {"etag": tag, "cache-control": "private, no-cache", "content-disposition": 'attachment; filename="api.json"'}
    if ask.request.method in ("GET", "HEAD") and _matches(ask.request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(encoded, status, headers, "application/json")


def no_record(ask: Ask) -> Response:
    """Say that a record is not there, or of no system that who asks reaches."""
    return ask.problem(404, ask.t("api.no-record"))


def out_of_reach(ask: Ask, table: Table, name: str, change: Permission) -> Response | None:
    """Say that a record is not there for who asks, or may be read alone."""
    if ask.reader(READ[table]).one(table, name) is None:
        return no_record(ask)
    if ask.reader(change).one(table, name) is None:
        return ask.problem(403, ask.t("base.refused-403"))
    return None


def changed_since(ask: Ask, table: Table, name: str) -> Response | None:
    """Say that a record has changed since it was read as If-Match says."""
    read = ask.reader(READ[table]).one(table, name)  # as who asks was given it: they may change less than they read
    same = _matches(ask.request.headers.get("if-match", "*"), _tag(msgspec.json.encode(read)))
    return None if same else ask.problem(412, ask.t("api.changed-since"))


def not_done(ask: Ask, error: XmsecError) -> Response:
    """Say why a decision was not carried out: its form was right, the records do not allow it."""
    status, text = refusal(error)
    own = text in ("incidents.held", "incidents.another-role")  # the others speak of what stands on a page
    return ask.problem(status, ask.t(text)) if own else ask.problem(409, ask.t("api.not-as-it-stands"))


def saying(ask: Ask) -> cases.Said:
    """Return who decides; under an Idempotency-Key the same decision for good, also when its answer was lost."""
    key = ask.request.headers.get("idempotency-key", "")
    return ask.saying(f"{ask.request.method} {ask.request.url.path} {key} {sha256(ask.body).hexdigest()}" if key else "")


def _tag(encoded: bytes) -> str:
    return f'"{sha256(encoded).hexdigest()[:32]}"'


def _matches(said: str, tag: str) -> bool:
    names = [one.strip().removeprefix("W/") for one in said.split(",")]
    return "*" in names or tag in names
