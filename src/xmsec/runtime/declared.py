"""What a route that no page guards says of itself: the API's description is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

F = TypeVar("F", bound=Callable[..., Any])
INGEST = "ingest"  # a token of XMSEC_INGEST_TOKENS; roles have no part in it


class Declared(msgspec.Struct, frozen=True):
    """Who may ask, and what goes in and comes out.

    takes: media types of the body; gives: a type, of which the answer is JSON, or a media type; status: of the answer;
    problems: what else is answered.
    """

    permission: str = "anyone"
    takes: Sequence[str] = ()
    gives: Any = "text/plain"
    status: int = 200
    problems: Sequence[int] = ()


class Accepted(msgspec.Struct, frozen=True):
    """What became of the records of one request."""

    accepted: int
    rejected: int
    duplicate: int


def declared(what: Declared) -> Callable[[F], F]:
    """Say of an endpoint what it takes and answers."""

    def said(endpoint: F) -> F:
        endpoint.__dict__["declared"] = what
        return endpoint

    return said
