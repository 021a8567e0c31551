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

from xmsec.classify.epochs import Keyring, Pen
from xmsec.classify.kept import KEPT
from xmsec.classify.recognise import Place, Recognisers
from xmsec.classify.token import UNTOKENISED
from xmsec.classify.typed import kind_of, may_be_large
from xmsec.classify.work import CUT_FROM_IT, FIELD_CHARACTERS, WHOLE, WHOLE_URL, Field, Hits, Parts, Plan, Work, text_of
from xmsec.content.classifiers import Classifiers, Recogniser
from xmsec.content.streams import Stream
from xmsec.model.errors import ContentError
from xmsec.model.ids import event_id
from xmsec.model.types import Event, Fields, Parsed, Span

Tokened = tuple[Event, tuple[Span, ...]]
REMEMBERED_CHARACTERS = 512  # a longer clean text seldom comes again
REMEMBERED = 1 << 16  # clean texts that are not scanned again; at most 32 MiB, and flat
SHAPES = 4096  # sets of field names whose plan is remembered
FIELDS = 1 << 14  # field names in those plans
RENAMED = "xmsec.renamed"  # tokens that stand in field names, so that spans reach them


_Kept = tuple[tuple[str, Callable[[str, datetime], str | None]], ...]


class _Writing(msgspec.Struct, frozen=True):
    """How the values that a recogniser finds are written. kept: what survives of them, by name."""

    canonical_type: str
    type: str
    recogniser: str
    kept: _Kept


class _Moment(msgspec.Struct, frozen=True):
    """A record's own time, and what writes its tokens."""

    time: datetime
    pen: Pen


def classifier(
    classifiers: Classifiers, streams: Mapping[str, Stream], key: bytes | Keyring, cache: Path | None = None
) -> Callable[[Sequence[Parsed]], Sequence[Tokened]]:
    """Return the leg for one deployment. Raises ContentError for content that names what does not exist."""
    for recogniser in classifiers.recognisers:
        for name in recogniser.xmsec.kept.values():
            if name not in KEPT:
                raise ContentError(f'kept "{name}" is unknown', where=recogniser.name, remedy=f"use {', '.join(sorted(KEPT))}")
    return _Leg(Recognisers(classifiers.recognisers, cache), streams, Keyring.of(key))


class _Leg:
    """The classify leg; what it remembers (clean texts, plans, tokens) is bounded and never changes a result."""

    def __init__(self, recognisers: Recognisers, streams: Mapping[str, Stream], keyring: Keyring) -> None:
        self._recognisers = recognisers
        self._writings = list(map(_writing, recognisers.content))
        self._streams = streams
        self._fields: dict[tuple[str, str], Field] = {}
        self._plans: dict[tuple[Pen, str, tuple[str, ...]], Plan] = {}
        self._remembered = 0
        readable = Place("", readable=True)  # a dataset's name begins with a server's address
        self._dataset = Field("", readable, None, set())
        self._pen = keyring.pen

    def __repr__(self) -> str:
        return f"classify({self._recognisers})"

    def __call__(self, batch: Sequence[Parsed]) -> Sequence[Tokened]:
        plans = [self._plan(parsed) for parsed in batch]
        work = Work()
        for index, (parsed, plan) in enumerate(zip(batch, plans, strict=True)):
            work.gather(index, parsed, plan, self._dataset)
        self._scan(work)
        found = work.found
        return [
            self._event(parsed, plan, found.get(index)) for index, (parsed, plan) in enumerate(zip(batch, plans, strict=True))
        ]

    def _scan(self, work: Work) -> None:
        found, unsettled = self._recognisers.find(work.texts, work.places, work.parts)
        for at, (text, (event, field, part)) in enumerate(zip(work.texts, work.owners, strict=True)):
            if at in unsettled:
                work.note(event, field, part, text, None)
            elif at in found:
                work.note(event, field, part, text, found[at])
            elif len(text) <= REMEMBERED_CHARACTERS:
                field.clean.add(text)
                work.remembered += 1
        self._remembered += work.remembered
        if self._remembered > REMEMBERED:
            self._forget()

    def _forget(self) -> None:
        self._remembered = 0
        for field in (*self._fields.values(), self._dataset):
            field.clean.clear()

    def _plan(self, parsed: Parsed) -> Plan:
        pen = self._pen(parsed.time, parsed.received)
        shape = (pen, parsed.position.stream, tuple(parsed.fields))
        plan = self._plans.get(shape)
        if plan is None:
            if len(self._plans) >= SHAPES or len(self._fields) >= FIELDS:
                self._plans.clear()
                self._fields.clear()
            plan = self._plans[shape] = self._make_plan(shape[1], shape[2], _Moment(parsed.time, pen))
        return plan

    def _make_plan(self, stream: str, names: Sequence[str], moment: _Moment) -> Plan:
        renamed: dict[str, str] = {}
        tokens: list[Span] = []
        for name in names:
            new, spans = self._rename(name, moment)
            if new != name:
                while new in renamed.values() or new in names:  # two ways of writing one value
                    new += "_"
                renamed[name] = new
                tokens += (msgspec.structs.replace(span, kept={}) for span in spans)  # a plan outlives its event's time
        known = self._streams.get(stream)
        left = frozenset(() if known is None else known.typed) - frozenset(() if known is None else known.scan)
        fields = tuple(self._field(stream, name) for name in names if name not in left)
        url = self._url(fields)
        scanned = tuple((field.name, field.clean, field) for field in fields)
        alone = tuple(one for one in scanned if one[2] not in url)
        return Plan(stream.partition(".")[0], scanned, alone, url, renamed, tuple(tokens), moment.pen)

    def _url(self, fields: Sequence[Field]) -> tuple[Field, ...]:
        """Return the whole URL and the fields cut from it, as far as they are scanned alike and their names are no context."""
        alike = {field.name: field for field in fields if field.kind is None and not field.place.readable}
        url = tuple(alike[name] for name in (WHOLE_URL, *CUT_FROM_IT) if name in alike and self._recognisers.silent(name))
        return url if len(url) > 1 and url[0].name == WHOLE_URL else ()

    def _rename(self, name: str, moment: _Moment) -> tuple[str, list[Span]]:
        """Replace values in a field's name: in the whole of it (an address has dots of its own), then between its dots."""
        if len(name) > FIELD_CHARACTERS:
            return UNTOKENISED, []
        new, spans = self._replaced(name, moment)
        parts = [self._replaced(part, moment) for part in new.split(".")]
        return ".".join(part for part, _ in parts), [*spans, *(span for _, more in parts for span in more)]

    def _replaced(self, text: str, moment: _Moment) -> tuple[str, list[Span]]:
        found, unsettled = self._recognisers.find([text])
        return self._spliced("", text, None if unsettled else found.get(0, []), moment)

    def _field(self, stream: str, name: str) -> Field:
        field = self._fields.get((stream, name))
        if field is None:
            known = self._streams.get(stream)
            kind = kind_of(name)
            if known is not None:
                kind = None if name in known.scan else kind
            readable = kind == "address" or (known is not None and name in known.identities)
            field = self._fields[stream, name] = Field(
                name, Place(name, readable), kind, set(), kind is not None and (kind != "number" or may_be_large(name))
            )
        return field

    def _event(self, parsed: Parsed, plan: Plan, found: dict[str, Parts] | None) -> Tokened:
        position = parsed.position
        fields, datasets, flags = parsed.fields, parsed.datasets, parsed.flags
        given = None if parsed.given_id is None else plan.pen.identity(parsed.given_id)
        spans: tuple[Span, ...] = ()
        if found is not None or plan.renamed:
            found = found or {}
            moment = _Moment(parsed.time, plan.pen)
            datasets = self._datasets(parsed, found.get(self._dataset.name), moment)
            fields, spans, flags = self._tokened(parsed, plan, found, moment)
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

    def _datasets(self, parsed: Parsed, parts: Parts | None, moment: _Moment) -> tuple[str, ...]:
        names = list(parsed.datasets)
        for part, (text, hits) in (parts or {}).items():
            names[part] = self._spliced("", text, hits, moment)[0]
        return tuple(names)

    def _tokened(
        self, parsed: Parsed, plan: Plan, found: dict[str, Parts], moment: _Moment
    ) -> tuple[Fields, tuple[Span, ...], tuple[str, ...]]:
        """Return the fields with tokens in the place of values, their spans, and the flags with what was replaced whole."""
        renamed = plan.renamed
        fields: Fields = (
            {renamed.get(old, old): value for old, value in parsed.fields.items()} if renamed else parsed.fields.copy()
        )
        spans: list[Span] = []
        flags = parsed.flags
        for old in filter(found.__contains__, parsed.fields):
            parts = found[old]
            name = renamed.get(old, old)
            fields[name], more = self._value(name, fields[name], parts, moment)
            spans += more
            if None in [hits for _, hits in parts.values()]:
                flags = (*flags, f"untokenised:{name}")
        if plan.tokens:
            fields[RENAMED], more = _listed(plan.tokens)
            spans += more
        return fields, tuple(spans), flags

    def _value(self, name: str, value: Any, parts: Parts, moment: _Moment) -> tuple[Any, list[Span]]:
        if WHOLE in parts:
            return self._spliced(name, *parts[WHOLE], moment)
        items = list(value)
        spans: list[Span] = []
        at = 0
        for index in range(len(items)):
            if index in parts:
                items[index], more = self._spliced(name, *parts[index], moment)
                spans += (msgspec.structs.replace(span, start=span.start + at, end=span.end + at) for span in more)
            at += len(text_of(items[index])) + 1
        return items, spans

    def _spliced(self, name: str, text: str, hits: Hits, moment: _Moment) -> tuple[str, list[Span]]:
        """Put tokens in the place of hits; a text that could not be settled is replaced whole."""
        if hits is None:
            return UNTOKENISED, []
        pieces: list[str] = []
        spans: list[Span] = []
        at = length = 0
        write, seal = moment.pen.token, moment.pen.link
        for hit in hits:
            writing = self._writings[hit.which]
            canonical = self._recognisers.canonical(hit, text)
            token = write(writing.canonical_type, canonical)
            link = "" if seal is None else seal(writing.canonical_type, canonical)
            kept = _kept(writing.kept, canonical, moment.time) if writing.kept else {}
            pieces += (text[at : hit.left], token)
            start = length + hit.left - at
            at, length = hit.right, start + len(token)
            spans.append(Span(name, start, length, writing.type, writing.recogniser, hit.score, token, kept, link))
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
