"""A change that a machine asks for twice under one key is made once: the first answer is kept for a day, and given again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

from starlette.responses import Response

from xmsec.console.ask import Ask
from xmsec.model.clock import rfc3339

KEY_CHARACTERS = 255
KEPT = timedelta(hours=24)


def once(ask: Ask, change: Callable[[], Response]) -> Response:
    """Make a change, or give the answer to the one that this principal made under the same Idempotency-Key.

    Changes by the API follow each other: what If-Match was compared with is still so when the change is made.
    """
    with ask.house.keep.writing():
        return once_apart(ask, change)


def once_apart(ask: Ask, change: Callable[[], Response]) -> Response:
    """The same for what lasts as long as a target outside, and is one by itself when it is sent twice: nobody waits for it."""
    key = ask.request.headers.get("idempotency-key", "")
    if len(key) > KEY_CHARACTERS:
        return ask.problem(400, ask.t("api.long-key"))
    if not key:
        return change()
    owner, now = f"{'token' if ask.who.machine else 'user'} {ask.who.name}", ask.house.now()
    asked = sha256(f"{ask.request.method} {ask.request.url.path}\n".encode() + ask.body).hexdigest()
    with ask.house.keep.writing() as connection:
        connection.execute("DELETE FROM answers WHERE expires <= ?", (rfc3339(now),))
        row = connection.execute(
            "SELECT asked, status, etag, body FROM answers WHERE owner = ? AND key = ?", (owner, key)
        ).fetchone()
    if row is not None and row[0] != asked:
        return ask.problem(422, ask.t("api.other-body"))
    if row is not None:
        return Response(row[3], row[1], {"etag": row[2]} if row[2] else None, "application/json")
    answer = change()
    if answer.status_code < 300:
        kept = (owner, key, asked, answer.status_code, answer.headers.get("etag", ""), bytes(answer.body))
        with ask.house.keep.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", (*kept, rfc3339(now + KEPT)))
    return answer
