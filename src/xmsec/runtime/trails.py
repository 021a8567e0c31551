"""Trails over one deployment, as `xmsec trail` and the console ask for them: recordings, keys, the record of inquiries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import BoundedSemaphore

import msgspec

from xmsec.classify.epochs import Epoch, Keyring, Pen
from xmsec.classify.text import line_classifier
from xmsec.classify.token import TOKEN, UNTOKENISED
from xmsec.content.classifiers import load_classifiers
from xmsec.model.errors import ConfigError, InputError
from xmsec.model.ports import Reader
from xmsec.runtime.linked import names, standing
from xmsec.runtime.trail import Asked, Seen, Trail, Why, answer
from xmsec.store.archive import Archive
from xmsec.store.inquiries import Inquiries
from xmsec.store.search import Effort, linking, never, unsealed

RECORDINGS = "recordings"
VALUE_BYTES = 4_096
AT_ONCE = 2  # each holds a core while it reads


class Reach(msgspec.Struct, frozen=True):
    """How far a question goes; as `Seen` has it. reader: None where no findings are known."""

    reader: Reader | None
    systems: frozenset[str] | None = None
    most: int | None = None
    enough: Callable[[], bool] = never


class Trails:
    """What a deployment's trails are followed over.

    shelf: where workers' recordings lie; dirs: of the content; keyring: reads the keys; committed: says how far the home's own
    recording was written.
    """

    def __init__(
        self,
        home: Path,
        shelf: str,
        dirs: Sequence[Path],
        keyring: Callable[[], Keyring],
        committed: Callable[[], str | None],
    ) -> None:
        self._home, self._shelf, self._dirs = home, shelf, dirs
        self._keyring, self._committed = keyring, committed
        self._free = BoundedSemaphore(AT_ONCE)
        self.inquiries = Inquiries(home)

    def of_token(self, token: str, now: datetime, effort: Effort) -> tuple[str, ...]:
        """Return the tokens of a token's value: itself alone while there is one key."""
        keyring = self._agreeing()
        if len(keyring.epochs) == 1:
            return (token,)
        return names(token, (link for place in self._places() for link in linking(place, effort)), keyring, now)

    def of_value(self, text: str) -> tuple[str, ...]:
        """Return a value's tokens under every key that there is; the value goes no further.

        Raises InputError for a text that does not hold exactly one.
        """
        keyring = self._agreeing()
        classifiers, _ = load_classifiers(self._dirs)
        found: set[str] = set()
        for epoch in keyring.epochs:
            if epoch.key is not None:
                entities = line_classifier(classifiers, Pen(epoch), cache=self._home / "cache")(text)
                if len(entities) != 1:
                    what = f"{len(entities) or 'no'} values that a recogniser knows"
                    raise InputError(what, where="the value", remedy="give one, with its name before it, or name its token")
                found.add(entities[0].token)
        return standing(found, keyring)

    def tokened(self, text: str) -> tuple[str, ...]:
        """Return a text with tokens in the place of values, as events have it, under every key; the newest last.

        For what people write beside a value, and for actors whose account is one; addresses, by which actors are known, stay.
        Where no key lies, nothing of a value is left.
        """
        classifiers, _ = load_classifiers(self._dirs)
        actors = {one.name for one in classifiers.recognisers if one.xmsec.actor}
        pens = [Pen(epoch) for epoch in self._epochs() if epoch.key is not None]
        found: dict[str, None] = {}
        for pen in pens or [Pen(Epoch.of(bytes(32)))]:
            said, end = "", 0
            written = [token.span() for token in TOKEN.finditer(text)]
            for one in line_classifier(classifiers, pen, cache=self._home / "cache")(text):
                if one.recogniser not in actors and not any(a < one.end and one.start < b for a, b in written):
                    said, end = f"{said}{text[end : one.start]}{one.token if pens else UNTOKENISED}", one.end
            found[said + text[end:]] = None
        return tuple(found)

    def _epochs(self) -> Sequence[Epoch]:
        try:
            return self._keyring().epochs
        except ConfigError:  # keys may lie apart from those who ask
            return ()

    def answer(self, why: Why, asked: Asked, reach: Reach, now: Callable[[], datetime]) -> Trail:
        """Follow a subject or an actor over all recordings, on record; of a value in the reason its token alone."""
        why = Why(why.by, self.tokened(why.reason)[-1])
        open_part = unsealed(self._home / RECORDINGS, self._committed(), asked.wanted)
        seen = Seen(self._places(), reach.reader, open_part, reach.systems, reach.most, reach.enough)
        return answer(self.inquiries, why, asked, seen, now)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Let a few questions be answered at once; false: there are as many already."""
        mine = self._free.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._free.release()

    def _agreeing(self) -> Keyring:
        """Read the keys, and refuse others than those of the recordings: nothing would be found, and nobody told why."""
        keyring = self._keyring()
        for place in self._places():
            place.check(keyring.check)
        return keyring

    def _places(self) -> list[Archive]:
        return [Archive(place) for place in dict.fromkeys((str(self._home / RECORDINGS), self._shelf))]


def is_token(text: str) -> bool:
    """Whether a text is one token and nothing else."""
    return TOKEN.fullmatch(text) is not None
