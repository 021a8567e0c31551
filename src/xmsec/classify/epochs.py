"""The keys of a deployment, one an epoch: which of them makes a record's tokens, and how tokens of two epochs are linked.

A record's own time says its epoch, so that a window between two midnights lies in one and the same record has the same token
whenever it is read. For a while after a rotation a new token carries a link to the one before: its fingerprint, sealed under
the earlier key. Who has that key opens it, in recordings too; when the key is gone, nobody does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from hmac import compare_digest, digest

import msgspec

from xmsec.classify.token import CACHED_VALUES, SHA256, Hash, check_value, identity, signature, tokener
from xmsec.model.clock import EPOCH, FAR

_LINK = b"xmsec link\0"
_AGAIN = b"xmsec again\0"
_WRITTEN = re.compile(r"([0-9]{1,9}):([0-9a-f]{16})")


class Epoch(msgspec.Struct, frozen=True):
    """One key. start: of the records it is for; link: how long after it tokens of the epoch before can be linked.

    key: None when it was retired; check: its check value, which outlives it.
    """

    number: int
    how: Hash
    start: datetime
    link: timedelta
    key: bytes | None
    check: str

    @classmethod
    def of(
        cls, key: bytes, how: Hash = SHA256, number: int = 1, start: datetime = EPOCH, link: timedelta = timedelta(0)
    ) -> Epoch:
        """Make an epoch of its key."""
        return cls(number, how, start, link, key, check_value(key, how))

    def __repr__(self) -> str:
        return f"Epoch({self.number}, {self.how}, {self.start.isoformat()}, {self.check})"


class Pen:
    """Writes tokens of one epoch; and, while it lasts, their links to the epoch before."""

    def __init__(self, epoch: Epoch, before: Epoch | None = None) -> None:
        self.epoch = epoch
        self._key = _held(epoch)
        self.token: Callable[[str, str], str] = tokener(self._key, epoch.how)
        self.link: Callable[[str, str], str] | None = None if before is None else _linker(before, self.token)

    def identity(self, given: str) -> str:
        """Return what stands for a producer's own id of a record."""
        return identity(self._key, given, self.epoch.how)

    def __repr__(self) -> str:
        return f"Pen({self.epoch})"


class Keyring:
    """The epochs of a deployment, in their order; the last one's key is always there."""

    def __init__(self, epochs: Sequence[Epoch]) -> None:
        self.epochs = tuple(epochs)
        self.ends = _ends(self.epochs)
        self._pens: dict[tuple[int, bool], Pen] = {}
        self._only = Pen(self.epochs[0]) if len(self.epochs) == 1 else None

    @classmethod
    def of(cls, key: bytes | Keyring) -> Keyring:
        """Return the keyring of one key; a keyring itself."""
        return key if isinstance(key, Keyring) else cls([Epoch.of(key)])

    @property
    def check(self) -> str:
        """The check values of all epochs: a longer one is of the same keyring when it begins with the shorter."""
        return "+".join(each.check for each in self.epochs)

    def pen(self, time: datetime, received: datetime) -> Pen:
        """Return what writes the tokens of a record of this time; an epoch whose while had ended when it came writes none."""
        if self._only is not None:
            return self._only
        live = self._live(received)
        at = len(self.epochs) - 1
        while at > live and self.epochs[at].start > time:
            at -= 1
        linked = at > live and bool(self.epochs[at].link)
        pen = self._pens.get((at, linked))
        if pen is None:
            pen = self._pens[at, linked] = Pen(self.epochs[at], self.epochs[at - 1] if linked else None)
        return pen

    def marks(self, now: datetime) -> bytes:
        """Return the key of marks by which a repetition is known: the oldest that still writes, so that it changes late."""
        return _held(self.epochs[self._live(now)])

    def former(self, token: str, link: str, now: datetime) -> str | None:
        """Return the token that a linked one had in the epoch before; None when there is none, or the while is over."""
        found = _WRITTEN.fullmatch(link)
        if found is None:
            return None
        for before in self.epochs[self._live(now) : -1]:
            if before.number == int(found[1]):
                return f"{token.partition(':')[0]}:{_sealed(before, token, found[2])}⟩"
        return None

    def number(self, time: datetime, received: datetime) -> int:
        """Return which epoch wrote the tokens of a record, also when its key was retired since."""
        at, live = len(self.epochs) - 1, 0
        while self.ends[live] <= received:
            live += 1
        while at > live and self.epochs[at].start > time:
            at -= 1
        return self.epochs[at].number

    def signatures(self, message: bytes, now: datetime) -> dict[str, bytes]:
        """Sign a message under each epoch that writes at a moment, by check value: who lacks the newest key still knows it."""
        return {each.check: signature(_held(each), message, each.how) for each in self.epochs[self._live(now) :]}

    def knows(self, message: bytes, signatures: Mapping[str, bytes], now: datetime) -> bool:
        """Whether a message was signed by this deployment: the newest signature of an epoch that writes at a moment decides."""
        for each in reversed(self.epochs[self._live(now) :]):
            if each.check in signatures:
                return compare_digest(signatures[each.check], signature(_held(each), message, each.how))
        return False

    def _live(self, moment: datetime) -> int:
        """Return the place of the oldest epoch that writes at a moment."""
        at = 0
        while self.ends[at] <= moment or self.epochs[at].key is None:
            at += 1
        return at

    def __repr__(self) -> str:
        return f"Keyring({self.check})"


def renewed(token: str, epoch: Epoch) -> str:
    """Return what stands for an earlier token under an epoch's key when nobody knows its value: one for one, and one way."""
    fingerprint = digest(_held(epoch), _AGAIN + token.encode(), epoch.how.removeprefix("hmac-")).hex()[:16]
    return f"{token.partition(':')[0]}:{fingerprint}⟩"


def _ends(epochs: Sequence[Epoch]) -> list[datetime]:
    """Return until when each key writes: as long as what came after it can be linked, and no longer than a later key."""
    ends = [FAR]
    for later in reversed(epochs[1:]):
        ends.insert(0, min(later.start + later.link, ends[0]))
    return ends


def _linker(before: Epoch, token: Callable[[str, str], str]) -> Callable[[str, str], str]:
    earlier = tokener(_held(before), before.how)

    @lru_cache(maxsize=CACHED_VALUES)
    def link(canonical_type: str, canonical: str) -> str:
        fingerprint = earlier(canonical_type, canonical)[-17:-1]
        return f"{before.number}:{_sealed(before, token(canonical_type, canonical), fingerprint)}"

    return link


def _sealed(before: Epoch, token: str, fingerprint: str) -> str:
    """Seal an earlier fingerprint for a token, or open it again: 64 bits that nobody without the earlier key can tell."""
    pad = digest(_held(before), _LINK + token.encode(), before.how.removeprefix("hmac-"))[:8]
    return f"{int.from_bytes(pad) ^ int(fingerprint, 16):016x}"


def _held(epoch: Epoch) -> bytes:
    if epoch.key is None:
        raise ValueError(f"the key of epoch {epoch.number} was retired")
    return epoch.key
