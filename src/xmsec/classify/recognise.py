"""One set recogniser: the prefilter says which patterns can hit, each pattern's own engine verifies, validators decide.

Results equal those of Presidio's pattern recognisers under the same flags (a test compares them). What Presidio lacks without a
language model is added: context words are looked for in the raw text around a hit, and hits of different types that overlap are
resolved in one total order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import hyperscan
import msgspec
import regex

from xmsec.classify.canonical import CANONICAL, normal
from xmsec.classify.hit import MASK, Hit, mask, start_of
from xmsec.classify.part import NO_PARTS, Part, covered, handed_down
from xmsec.classify.prefilter import Prefilter
from xmsec.classify.token import TOKEN
from xmsec.classify.validators.table import VALIDATORS, Validator
from xmsec.content.classifiers import FLAGS, Language, Recogniser
from xmsec.model.errors import ContentError

THRESHOLD = 0.5  # a hit below it is none
CERTAIN = 1.0  # what a validator proved: no context word adds to it, which only counts where hits overlap
BOOST = 0.35  # what a context word adds, as in Presidio
BEFORE, AFTER = 24, 12  # characters around a value in which a context word counts
VALIDATED = 1 << 12  # values whose proof is remembered: one stands in a URL and again in its path or query
ROUNDS = 8  # masking one hit can bare another beside it; a text that still bares more is replaced whole


class Place(msgspec.Struct, frozen=True):
    """Where a text comes from: a field's name is context too; in a readable field actors' addresses are left."""

    name: str = ""
    readable: bool = False


NOWHERE = Place()


class _Pattern(msgspec.Struct, frozen=True):
    which: int
    finditer: Callable[[str], Iterable[Any]]
    score: float
    validator: Validator | None


class Recognisers:
    """A set of recognisers, compiled. language: whose recognisers and context words are used; None means all."""

    def __init__(self, content: Sequence[Recogniser], cache: Path | None = None, language: Language | None = None) -> None:
        self.content = [
            one for one in content if language is None or any(s.language == language for s in one.supported_languages)
        ]
        self._patterns = [
            _Pattern(which, regex.compile(pattern.regex, FLAGS).finditer, pattern.score, _validator(one))
            for which, one in enumerate(self.content)
            for pattern in one.all_patterns()
        ]
        self._words = [_words(one, language) for one in self.content]
        self._canonical = [_canonical(one) for one in self.content]
        self._actors = frozenset(which for which, one in enumerate(self.content) if one.xmsec.actor)
        self._ranks = [(one.xmsec.chance, one.supported_entity, one.name) for one in self.content]
        self._prefilter = _prefilter(self.content, cache)

    def __repr__(self) -> str:
        return f"Recognisers({len(self.content)})"

    def canonical(self, hit: Hit, text: str) -> str:
        """Return the canonical form of what was hit in a text."""
        value = text[hit.start : hit.end]
        return self._canonical[hit.which](value if value.isascii() else normal(value))

    def candidates(self, texts: Sequence[str]) -> Iterable[tuple[int, int]]:
        """Return which pattern can hit in which text; texts must be normal."""
        return self._prefilter.scan(texts)

    def verify(self, text: str, patterns: Iterable[int]) -> list[Hit]:
        """Return what patterns hit in a normal text, as Presidio's pattern recognisers do: without context, overlaps and all.

        A validator that says True makes the score 1, one that says False drops the hit.
        """
        hits: list[Hit] = []
        for number in patterns:
            pattern = self._patterns[number]
            for match in pattern.finditer(text):
                start, end = match.span()
                proved = None if pattern.validator is None else pattern.validator(text[start:end])
                score = pattern.score if proved is None else float(proved)
                if score > 0 and end > start:
                    hits.append(Hit(start, end, pattern.which, score, False, start, end))
        return hits

    def silent(self, name: str) -> bool:
        """Whether no context word stands in the name of a field."""
        return not any(_stands(words, name.lower()) for words in self._words)

    def find(
        self, texts: Sequence[str], places: Sequence[Place] | None = None, parts: Mapping[int, Part] = NO_PARTS
    ) -> tuple[Mapping[int, list[Hit]], frozenset[int]]:
        """Return the hits of each text that has any, in order and without overlaps, and the texts that could not be settled.

        What was found is masked and the rest is looked at again, until nothing is left: a telephone number that is glued to an
        e-mail address shows only when the address is gone.

        parts: texts that are cut from another one, by index. A part has what its whole has in that place, where more context
        stands; then the rest of it is looked at for itself, so that nothing stays which only the part shows.
        """
        found: dict[int, list[Hit]] = {}
        scanned = [text if text.isascii() else _masked_tokens(normal(text)) for text in texts]
        whole = [index for index in range(len(texts)) if index not in parts]
        unsettled = [*self._exhaust(whole, scanned, places, found)]
        if parts:
            opened, torn = handed_down(parts, found, scanned)
            unsettled += self._exhaust(opened, scanned, places, found)
            for index, hit in torn:
                found[index] = covered(found.get(index, []), hit)
        for hits in found.values():
            hits.sort(key=start_of)
        return found, frozenset(unsettled)

    def _exhaust(
        self, opened: Sequence[int], scanned: list[str], places: Sequence[Place] | None, found: dict[int, list[Hit]]
    ) -> Sequence[int]:
        """Find and mask in texts until nothing is left; return those that could not be settled."""
        for _ in range(ROUNDS):
            bared: list[int] = []
            try:
                pairs = self._prefilter.scan([scanned[index] for index in opened])
            except hyperscan.error:
                return opened
            for at, group in groupby(pairs, itemgetter(0)):
                index = opened[at]
                place = NOWHERE if places is None else places[index]
                hits = self._settle(scanned[index], (number for _, number in group), place)
                if hits:
                    found.setdefault(index, []).extend(hits)
                    scanned[index] = mask(scanned[index], hits)
                    bared.append(index)
            if not bared:
                return ()
            opened = bared
        return opened

    def _settle(self, text: str, patterns: Iterable[int], place: Place) -> list[Hit]:
        hits = self.verify(text, patterns)
        if not text.isascii() and MASK in text:
            hits = [hit for hit in hits if MASK not in text[hit.start : hit.end]]
        if place.readable:
            hits = [hit for hit in hits if hit.which not in self._actors]
        if not hits or (len(hits) == 1 and hits[0].score == CERTAIN):
            return hits
        weighed = [self._weigh(hit, text, place) for hit in hits]
        return self._resolve([hit for hit in weighed if hit.score >= THRESHOLD])

    def _weigh(self, hit: Hit, text: str, place: Place) -> Hit:
        """Add what a context word is worth; it stands close to the value on its line, or in the field's name."""
        near = False
        words = self._words[hit.which]
        if words:
            before = text[max(0, hit.start - BEFORE) : hit.start]
            after = text[hit.end : hit.end + AFTER]
            if "\n" in before or MASK in before:
                before = before.rpartition("\n")[2].rpartition(MASK)[2]
            if "\n" in after or MASK in after:
                after = after.partition("\n")[0].partition(MASK)[0]
            near = _stands(words, f"{before}\n{after}\n{place.name}".lower())
        if not near:
            return hit
        return Hit(hit.start, hit.end, hit.which, min(CERTAIN, round(hit.score + BOOST, 2)), near, hit.start, hit.end)

    def _resolve(self, hits: list[Hit]) -> list[Hit]:
        """Keep the longest of hits that overlap, then the better proved, then the one that chance gives least often."""
        if len(hits) < 2:
            return hits
        hits.sort(key=start_of)
        kept: list[Hit] = []
        together = [hits[0]]
        reach = hits[0].end
        for hit in hits[1:]:
            if hit.start >= reach:
                kept += self._best(together)
                together = []
            together.append(hit)
            reach = max(reach, hit.end)
        return [*kept, *self._best(together)]

    def _best(self, hits: list[Hit]) -> list[Hit]:
        """Choose among hits that touch one another, a few as a rule."""
        if len(hits) == 1:
            return hits
        kept: list[Hit] = []
        refused: list[Hit] = []
        for hit in sorted(hits, key=self._order):
            clear = all(hit.end <= other.start or hit.start >= other.end for other in kept)
            (kept if clear else refused).append(hit)
        kept.sort(key=start_of)
        return _overhung(kept, refused)

    def _order(self, hit: Hit) -> tuple[Any, ...]:
        return (hit.start - hit.end, -hit.score, not hit.context, *self._ranks[hit.which], hit.start)


def _overhung(kept: list[Hit], refused: Sequence[Hit]) -> list[Hit]:
    """Stretch what is replaced over refused hits that hang over an edge, so that no part of a value stays."""
    for index, hit in enumerate(kept):
        over = [other for other in refused if other.start < hit.end and hit.start < other.end]
        if over:
            floor = kept[index - 1].right if index else 0
            ceiling = kept[index + 1].start if index + 1 < len(kept) else max(other.end for other in (*over, hit))
            left = max(floor, min(hit.start, *(other.start for other in over)))
            right = min(ceiling, max(hit.end, *(other.end for other in over)))
            kept[index] = msgspec.structs.replace(hit, left=left, right=right)
    return kept


def _masked_tokens(text: str) -> str:
    """Hide tokens that stand in a text already, so that no digit of one is taken for a value."""
    if MASK not in text:
        return text
    return TOKEN.sub(lambda match: MASK * len(match[0]), text)


def _validator(recogniser: Recogniser) -> Validator | None:
    name = recogniser.xmsec.validator
    if name is not None and name not in VALIDATORS:
        raise ContentError(
            f'validator "{name}" is unknown', where=recogniser.name, remedy=f"use {', '.join(sorted(VALIDATORS))}"
        )
    return None if name is None else lru_cache(VALIDATED)(VALIDATORS[name])


def _canonical(recogniser: Recogniser) -> Callable[[str], str]:
    name = recogniser.xmsec.canonical
    if name not in CANONICAL:
        raise ContentError(
            f'canonical "{name}" is unknown', where=recogniser.name, remedy=f"use {', '.join(sorted(CANONICAL))}"
        )
    return CANONICAL[name]


_Words = tuple[tuple[str, re.Pattern[str] | None], ...]


def _words(recogniser: Recogniser, language: Language | None) -> _Words:
    """Return context words: Chinese ones stand anywhere, others as whole words (there is no `ip` in `zip`)."""
    spoken = [one for one in recogniser.supported_languages if language is None or one.language == language]
    words = sorted({word.lower() for one in spoken for word in one.context})
    return tuple((word, re.compile(rf"(?<![a-z]){re.escape(word)}(?![a-z])") if word.isascii() else None) for word in words)


def _stands(words: _Words, window: str) -> bool:
    """Whether one of the words stands in a window in lower case; looking for plain text first is ten times as fast."""
    for word, whole in words:
        if word in window and (whole is None or whole.search(window)):
            return True
    return False


def _prefilter(content: Sequence[Recogniser], cache: Path | None) -> Prefilter:
    patterns = [pattern for one in content for pattern in one.scanned_patterns()]
    try:
        return Prefilter(patterns, cache=cache)
    except hyperscan.error as error:
        raise ContentError(f"the set engine refuses a pattern: {error}", remedy="xmsec detectors lint names it") from error
