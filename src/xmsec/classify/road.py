"""The classify leg: a batch of documents that may hold values becomes events that hold tokens.

All fields of a batch are scanned at once. What is scanned: every text, every text in a list, every number of seven digits or
more, and field names; what is not: fields whose type says what they hold (`typed`), while they do hold it. Values hidden in
hexadecimal, base64 or compressed text are out of reach here; percent-encoding was taken away by parse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from xmsec.classify.kept import KEPT
from xmsec.classify.recognise import Hit, Place, Recognisers
from xmsec.classify.token import UNTOKENISED, tokener
from xmsec.classify.typed import Kind, holds, kind_of, may_be_large
from xmsec.content.classifiers import Classifiers, Recogniser
from xmsec.content.streams import Stream
from xmsec.model.errors import ContentError
from xmsec.model.ids import event_id
from xmsec.model.types import Event, Fields, Parsed, Span

Tokened = tuple[Event, tuple[Span, ...]]
FIELD_CHARACTERS = 1 << 16  # a longer field is replaced whole, so that nobody chooses how long a scan takes
REMEMBERED_CHARACTERS = 512  # a longer clean text seldom comes again
REMEMBERED = 1 << 16  # clean texts that are not scanned again; at most 32 MiB, and flat
SHAPES = 4096  # sets of field names whose plan is remembered
FIELDS = 1 << 14  # field names in those plans
SMALLEST_NUMBER = 10**6  # no identifier has fewer than seven digits
RENAMED = "xmsec.renamed"  # tokens that stand in field names, so that spans reach them


class _Field(msgspec.Struct, frozen=True):
    """How one field of a stream is scanned. clean: texts of it in which nothing was found; large: long numbers are usual."""

    name: str
    place: Place
    kind: Kind | None
    clean: set[str]
    large: bool = False


class _Plan(msgspec.Struct, frozen=True):
    """What is done with a document of these field names. renamed: old name → name with tokens."""

    system: str
    fields: tuple[tuple[str, set[str], _Field], ...]
    renamed: dict[str, str]
    tokens: tuple[Span, ...]


_Kept = tuple[tuple[str, Callable[[str, datetime], str | None]], ...]


class _Writing(msgspec.Struct, frozen=True):
    """How the values that a recogniser finds are written. kept: what survives of them, by name."""

    canonical_type: str
    type: str
    recogniser: str
    kept: _Kept


_Hits = list[Hit] | None  # None: the text cannot be tokenised
_Parts = dict[int, tuple[str, _Hits]]  # which item of a list (WHOLE: the value itself) → its text and what was found in it
WHOLE = -1


class _Work:
    """The texts of a batch that have to be scanned, and whose they are: (event, field, part)."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.places: list[Place] = []
        self.owners: list[tuple[int, _Field, int]] = []
        self.found: dict[int, dict[str, _Parts]] = {}
        self.remembered = 0

    def add(self, event: int, field: _Field, part: int, text: str) -> None:
        """Take a text, unless it is known to be clean, has its field's type, or is too long to be scanned."""
        if text in field.clean:
            return
        if field.kind is not None and holds(field.kind, text):
            field.clean.add(text)
            self.remembered += 1
        elif len(text) > FIELD_CHARACTERS:
            self.note(event, field, part, text, None)
        else:
            self.texts.append(text)
            self.places.append(field.place)
            self.owners.append((event, field, part))

    def note(self, event: int, field: _Field, part: int, text: str, hits: _Hits) -> None:
        """Keep what was found."""
        by_field = self.found.get(event)
        if by_field is None:
            by_field = self.found[event] = {}
        if field.name in by_field:
            by_field[field.name][part] = (text, hits)
        else:
            by_field[field.name] = {part: (text, hits)}


def classifier(
    classifiers: Classifiers, streams: Mapping[str, Stream], key: bytes, cache: Path | None = None
) -> Callable[[Sequence[Parsed]], Sequence[Tokened]]:
    """Return the leg for one deployment. Raises ContentError for content that names what does not exist."""
    for recogniser in classifiers.recognisers:
        for name in recogniser.xmsec.kept.values():
            if name not in KEPT:
                raise ContentError(f'kept "{name}" is unknown', where=recogniser.name, remedy=f"use {', '.join(sorted(KEPT))}")
    return _Leg(Recognisers(classifiers.recognisers, cache), streams, key)


def text_of(value: Any) -> str:
    r"""Return the text of a field's value, to which its spans' offsets refer; a list is its items, joined by line feeds.

    >>> text_of([1, "a"])
    '1\na'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(map(text_of, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()


class _Leg:
    """The classify leg; what it remembers (clean texts, plans, tokens) is bounded and never changes a result."""

    def __init__(self, recognisers: Recognisers, streams: Mapping[str, Stream], key: bytes) -> None:
        self._recognisers = recognisers
        self._writings = list(map(_writing, recognisers.content))
        self._streams = streams
        self._token = tokener(key)
        self._fields: dict[tuple[str, str], _Field] = {}
        self._plans: dict[tuple[str, tuple[str, ...]], _Plan] = {}
        self._remembered = 0
        readable = Place("", readable=True)  # a dataset's name begins with a server's address
        self._dataset = _Field("", readable, None, set())
        self._given = _Field("\0", readable, None, set())

    def __repr__(self) -> str:
        return f"classify({self._recognisers})"

    def __call__(self, batch: Sequence[Parsed]) -> Sequence[Tokened]:
        plans = [self._plan(parsed) for parsed in batch]
        work = _Work()
        for index, (parsed, plan) in enumerate(zip(batch, plans, strict=True)):
            self._gather(index, parsed, plan, work)
        self._scan(work)
        found = work.found
        return [
            self._event(parsed, plan, found.get(index)) for index, (parsed, plan) in enumerate(zip(batch, plans, strict=True))
        ]

    def _gather(self, index: int, parsed: Parsed, plan: _Plan, work: _Work) -> None:
        fields, add = parsed.fields, work.add
        for name, clean, field in plan.fields:
            value = fields[name]
            kind = type(value)
            if kind is str:
                if value not in clean:
                    add(index, field, WHOLE, value)
            elif kind is int or kind is float:
                if not -SMALLEST_NUMBER < value < SMALLEST_NUMBER and not field.large:
                    add(index, field, WHOLE, text_of(value))
            elif kind is list:
                for part, item in enumerate(value):
                    if item is not None and type(item) is not bool:
                        add(index, field, part, text_of(item))
            elif value is not None and kind is not bool:
                add(index, field, WHOLE, text_of(value))
        for part, dataset in enumerate(parsed.datasets):
            if dataset not in self._dataset.clean:
                add(index, self._dataset, part, dataset)
        if parsed.given_id is not None:
            add(index, self._given, WHOLE, parsed.given_id)

    def _scan(self, work: _Work) -> None:
        found, unsettled = self._recognisers.find(work.texts, work.places)
        for at, (text, (event, field, part)) in enumerate(zip(work.texts, work.owners, strict=True)):
            if at in unsettled:
                work.note(event, field, part, text, None)
            elif at in found:
                work.note(event, field, part, text, found[at])
            elif len(text) <= REMEMBERED_CHARACTERS and field is not self._given:  # each of those comes once
                field.clean.add(text)
                work.remembered += 1
        self._remembered += work.remembered
        if self._remembered > REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        self._remembered = 0
        for field in (*self._fields.values(), self._dataset, self._given):
            field.clean.clear()

    def _plan(self, parsed: Parsed) -> _Plan:
        stream = parsed.position.stream
        shape = (stream, tuple(parsed.fields))
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= SHAPES or len(self._fields) >= FIELDS:
                self._plans.clear()
                self._fields.clear()
            plan = self._plans[shape] = self._make_plan(stream, shape[1], parsed.time)
        return plan

    def _make_plan(self, stream: str, names: Sequence[str], time: datetime) -> _Plan:
        renamed: dict[str, str] = {}
        tokens: list[Span] = []
        for name in names:
            new, spans = self._rename(name, time)
            if new != name:
                while new in renamed.values() or new in names:  # two ways of writing one value
                    new += "_"
                renamed[name] = new
                tokens += (msgspec.structs.replace(span, kept={}) for span in spans)  # a plan outlives its event's time
        known = self._streams.get(stream)
        left = frozenset(() if known is None else known.typed) - frozenset(() if known is None else known.scan)
        fields = (self._field(stream, name) for name in names if name not in left)
        return _Plan(
            stream.partition(".")[0], tuple((field.name, field.clean, field) for field in fields), renamed, tuple(tokens)
        )

    def _rename(self, name: str, time: datetime) -> tuple[str, list[Span]]:
        """Replace values in a field's name: in the whole of it (an address has dots of its own), then between its dots."""
        if len(name) > FIELD_CHARACTERS:
            return UNTOKENISED, []
        new, spans = self._replaced(name, time)
        parts = [self._replaced(part, time) for part in new.split(".")]
        return ".".join(part for part, _ in parts), [*spans, *(span for _, more in parts for span in more)]

    def _replaced(self, text: str, time: datetime) -> tuple[str, list[Span]]:
        found, unsettled = self._recognisers.find([text])
        return self._spliced("", text, None if unsettled else found.get(0, []), time)

    def _field(self, stream: str, name: str) -> _Field:
        field = self._fields.get((stream, name))
        if field is None:
            known = self._streams.get(stream)
            kind = kind_of(name)
            if known is not None:
                kind = None if name in known.scan else kind
            readable = kind == "address" or (known is not None and name in known.identities)
            field = self._fields[stream, name] = _Field(
                name, Place(name, readable), kind, set(), kind is not None and (kind != "number" or may_be_large(name))
            )
        return field

    def _event(self, parsed: Parsed, plan: _Plan, found: dict[str, _Parts] | None) -> Tokened:
        position = parsed.position
        fields, datasets, given, flags = parsed.fields, parsed.datasets, parsed.given_id, parsed.flags
        spans: tuple[Span, ...] = ()
        if found is not None or plan.renamed:
            found = found or {}
            datasets = self._datasets(parsed, found.get(self._dataset.name))
            given = self._given_id(parsed, found.get(self._given.name))
            fields, spans, flags = self._tokened(parsed, plan, found)
        event = Event(
            event_id(position, given),
            parsed.time,
            parsed.received,
            position,
            plan.system,
            position.stream,
            fields,
            datasets,
            parsed.stage,
            flags,
            given,
        )
        return event, spans

    def _datasets(self, parsed: Parsed, parts: _Parts | None) -> tuple[str, ...]:
        names = list(parsed.datasets)
        for part, (text, hits) in (parts or {}).items():
            names[part] = self._spliced("", text, hits, parsed.time)[0]
        return tuple(names)

    def _given_id(self, parsed: Parsed, parts: _Parts | None) -> str | None:
        return parsed.given_id if parts is None else self._spliced("", *parts[WHOLE], parsed.time)[0]

    def _tokened(
        self, parsed: Parsed, plan: _Plan, found: dict[str, _Parts]
    ) -> tuple[Fields, tuple[Span, ...], tuple[str, ...]]:
        """Return the fields with tokens in the place of values, their spans, and the flags with what was replaced whole."""
        renamed = plan.renamed
        fields: Fields = (
            {renamed.get(old, old): value for old, value in parsed.fields.items()} if renamed else parsed.fields.copy()
        )
        spans: list[Span] = []
        flags = parsed.flags
        for old, _, _ in plan.fields:
            parts = found.get(old)
            if parts is not None:
                name = renamed.get(old, old)
                fields[name], more = self._value(name, fields[name], parts, parsed.time)
                spans += more
                if None in [hits for _, hits in parts.values()]:
                    flags = (*flags, f"untokenised:{name}")
        if plan.tokens:
            fields[RENAMED], more = _listed(plan.tokens)
            spans += more
        return fields, tuple(spans), flags

    def _value(self, name: str, value: Any, parts: _Parts, time: datetime) -> tuple[Any, list[Span]]:
        if WHOLE in parts:
            return self._spliced(name, *parts[WHOLE], time)
        items = list(value)
        spans: list[Span] = []
        at = 0
        for index in range(len(items)):
            if index in parts:
                items[index], more = self._spliced(name, *parts[index], time)
                spans += (msgspec.structs.replace(span, start=span.start + at, end=span.end + at) for span in more)
            at += len(text_of(items[index])) + 1
        return items, spans

    def _spliced(self, name: str, text: str, hits: _Hits, time: datetime) -> tuple[str, list[Span]]:
        """Put tokens in the place of hits; a text that could not be settled is replaced whole."""
        if hits is None:
            return UNTOKENISED, []
        pieces: list[str] = []
        spans: list[Span] = []
        at = length = 0
        for hit in hits:
            writing = self._writings[hit.which]
            canonical = self._recognisers.canonical(hit, text)
            token = self._token(writing.canonical_type, canonical)
            kept = _kept(writing.kept, canonical, time) if writing.kept else {}
            pieces += (text[at : hit.left], token)
            start = length + hit.left - at
            at, length = hit.right, start + len(token)
            spans.append(Span(name, start, length, writing.type, writing.recogniser, hit.score, token, kept))
        pieces.append(text[at:])
        return "".join(pieces), spans


def _writing(recogniser: Recogniser) -> _Writing:
    kept = tuple((name, KEPT[source]) for name, source in recogniser.xmsec.kept.items())
    return _Writing(recogniser.canonical_type, recogniser.supported_entity, recogniser.name, kept)


@lru_cache(1 << 12)  # a value stands in a URL and again in its path or query
def _kept(functions: _Kept, canonical: str, time: datetime) -> dict[str, str]:
    kept = {name: function(canonical, time) for name, function in functions}
    return {name: value for name, value in kept.items() if value is not None}


def _listed(tokens: Sequence[Span]) -> tuple[list[str], list[Span]]:
    """Return tokens as the value of their own field, with spans in it."""
    spans: list[Span] = []
    at = 0
    for span in tokens:
        spans.append(msgspec.structs.replace(span, field=RENAMED, start=at, end=at + len(span.token)))
        at += len(span.token) + 1
    return [span.token for span in tokens], spans
