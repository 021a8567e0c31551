"""Which refused records may be read again, and what they are known by then: the same in a home and on Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from xmsec.model.types import Position, Raw
from xmsec.pipeline.road import Road
from xmsec.pipeline.tokenise import tokenise

RECEIVE = "receive"  # a message that broke before its records were told apart
LEGS = ("parse", "classify", RECEIVE)  # behind them the record has gone on: carried again it would count twice
AT_ONCE = 500

Fate = Literal["retried", "failed", "gone"]


def name_of(position: Position) -> str:
    """Name a record after its old place: what its event and its message are known by.

    >>> name_of(Position("generic.web", "3", 17))
    'dead/3/17/0'
    """
    return f"dead/{position.partition}/{position.offset}/{position.part}"


def is_taken(raws: Sequence[Raw], road: Road) -> bool:
    """Whether the road takes records now."""
    return not tokenise(raws, road).rejected
