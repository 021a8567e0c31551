"""Whose turn it is: the offsets of a partition are taken one after the other, whatever a consumer delivers.

Faust resumes partitions before it seeks them to what was committed, and remembers the highest offset that it handed on:
messages that were under way at a rebalance make it drop those that it reads again, and its commit steps over a hole of one.
So a hop that must miss nothing counts for itself. Topics may have true holes (a transaction's markers, records that retention
took): a hole that is read again and again is one.
"""

from __future__ import annotations

from typing import Literal, TypeVar

P = TypeVar("P")
Turn = Literal["now", "again", "seek"]
SURE = 5  # times that the same hole must be read


class Turns(dict[P, int]):
    """The next offset of each partition."""

    def __init__(self) -> None:
        super().__init__()
        self._holes: dict[P, tuple[int, int]] = {}  # the offset behind it, and how often it was read

    def take(self, partition: P, offset: int) -> Turn:
        """Say whether a message is the next, was taken already, or comes before its turn: then the next must be sought."""
        if offset < self[partition]:
            return "again"
        if offset > self[partition] and not self._sure(partition, offset):
            return "seek"
        self._holes.pop(partition, None)
        self[partition] = offset + 1
        return "now"

    def clear(self) -> None:
        """Forget all partitions."""
        super().clear()
        self._holes.clear()

    def _sure(self, partition: P, offset: int) -> bool:
        behind, times = self._holes.get(partition, (offset, 0))
        times = times + 1 if behind == offset else 1
        self._holes[partition] = (offset, times)
        return times > SURE
