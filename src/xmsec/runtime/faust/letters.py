"""Dead letters as they are written: the first thousand of each source and reason, and how many came after them.

A tally stands for those of one batch that came after. It names the messages that they were found in, because a worker that was
killed leaves a batch half told, and another takes the same messages again, cut where the last commit was: what is told again
of a message takes the place of what was told of it before, and totals stay exact. (Of a worker that is cut off from Kafka but
lives, two may tell the same messages at a time: then a total is a bound.)
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from xmsec.model.types import Position, Rejected, Source

KEPT = 1_000  # of each stream, leg and reason, as in a home: to see what is wrong, and to send again when it is mended

Group = tuple[str, str, str]
Name = tuple[Position, str, str]


class Letter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dead letter, or a tally: `more` of its kind, of which it is the first, in the messages from `read` to `last`.

    read: the message in which a hop found it, where that is not its own place; by: a name of the worker's life.
    """

    position: Position
    leg: str
    reason: str
    at: datetime
    read: Position | None = None
    by: str = ""
    last: int = -1
    more: int = 0

    @property
    def group(self) -> Group:
        """Return what it is counted under."""
        return (self.position.stream, self.leg, self.reason)

    @property
    def name(self) -> Name:
        """Return what two letters of the same refusal share."""
        return (self.position, self.leg, self.reason)

    @property
    def found(self) -> Position:
        """Return the message in which it was found."""
        return self.read or self.position

    @property
    def rejected(self) -> Rejected:
        """Return it without what is only for counting."""
        return Rejected(self.position, self.leg, self.reason, self.at)


class Cap:
    """What one life of a worker has told, so that it tells a thousand of each, and counts the others."""

    def __init__(self, by: str) -> None:
        self._by = by
        self._told: dict[Group, set[Name]] = {}

    def letters(self, rejected: Sequence[Rejected], found: Sequence[Position] | None = None) -> list[Letter]:
        """Return what is written of a batch's refusals. found: the message of each, in their order."""
        told: list[Letter] = []
        tallies: dict[tuple[Group, Source], Letter] = {}
        for one, at in zip(rejected, found or [one.position for one in rejected], strict=True):
            letter = Letter(one.position, one.leg, one.reason, one.at, None if at == one.position else at, self._by)
            before = self._told.setdefault(letter.group, set())
            if letter.name in before:  # a batch that was left comes again
                continue
            if len(before) < KEPT:
                before.add(letter.name)
                told.append(letter)
                continue
            of = (letter.group, at.source)
            first = tallies.get(of, letter)
            tallies[of] = msgspec.structs.replace(first, last=max(first.last, at.offset), more=first.more + 1)
        return [*told, *tallies.values()]


class Totals:
    """How many letters there are, heard in the order in which they were written.

    kept: the first thousand of each kind that wait; sent: how many do not, because their records were sent again.
    """

    def __init__(self) -> None:
        self.kept: dict[Name, Rejected] = {}
        self.sent: Counter[Group] = Counter()
        self._told: Counter[Group] = Counter()
        self._by: dict[Name, str] = {}  # of each letter, the life that told it last
        self._places: dict[tuple[Group, Source], list[tuple[int, Name]]] = {}  # of letters, in the order of their messages
        self._tallies: dict[tuple[Group, Source], list[Letter]] = {}

    @property
    def counts(self) -> Mapping[Group, int]:
        """Return how many of each kind wait."""
        counts = self._told - self.sent
        for (group, _), tallies in self._tallies.items():
            counts[group] += sum(one.more for one in tallies)
        return +counts

    def hear(self, letter: Letter, sent: bool = False) -> None:
        """Take in the next. sent: its record was sent again."""
        group, offset = letter.group, letter.found.offset
        of = (group, letter.found.source)
        tallies = self._tallies.setdefault(of, [])
        while tallies and tallies[-1].last >= offset:  # these messages are told again
            tallies.pop()
        if letter.more:
            again = letter.more - self._singly(of, letter)
            if again > 0:
                tallies.append(msgspec.structs.replace(letter, more=again))
            return
        if letter.name not in self._by:
            insort(self._places.setdefault(of, []), (offset, letter.name))
            self._told[group] += 1
            self.sent[group] += sent
            if not sent and self._told[group] - self.sent[group] <= KEPT:
                self.kept[letter.name] = letter.rejected
        self._by[letter.name] = letter.by

    def _singly(self, of: tuple[Group, Source], tally: Letter) -> int:
        """How many of a tally were told one by one, by another life alone."""
        places = self._places.get(of, [])
        start = bisect_left(places, tally.found.offset, key=lambda one: one[0])
        end = bisect_left(places, tally.last + 1, key=lambda one: one[0])
        return sum(self._by[name] != tally.by for _, name in places[start:end])
