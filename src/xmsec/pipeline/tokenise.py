"""Raw values end here: parse and classify a batch. Has no state.

A record that a leg cannot carry becomes a dead letter, named by position and reason, and an ECS `pipeline_error` event without
content goes on in its place, so that silence is never taken for safety.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from xmsec.model.ids import event_id
from xmsec.model.types import Event, Parsed, Raw, Rejected, Source, Tick
from xmsec.pipeline.attempt import attempt
from xmsec.pipeline.road import Road, Taken, Tokened

_WHOLE = "url.original"
_PARTS = frozenset({"url.path", "url.query", "url.domain", "url.username"})  # ECS: what stands there stands in the whole too


def tokenise(records: Iterable[Raw | Tick], road: Road) -> Taken:
    """Parse and classify: from here on there are tokens only. Has no state."""
    order: list[Raw | Tick] = list(records)
    counts: Counter[tuple[str, str, str]] = Counter()
    passed: list[Tokened | Tick | None] = [None] * len(order)  # by place in the order; None: a blank line
    parsed: list[Parsed] = []
    places: list[int] = []
    rejected: list[Rejected] = []
    blank: dict[Source, tuple[int, int]] = {}
    for place, raw in enumerate(order):
        if isinstance(raw, Tick):
            passed[place] = raw
            continue
        document, reason = attempt(road.parse, raw)
        if document is not None:
            parsed.append(document)
            places.append(place)
        elif reason:
            rejected.append(Rejected(raw.position, "parse", reason, raw.received))
            counts["cut", raw.position.stream, ""] += raw.cut
            passed[place] = (stand_in(raw, road, "parse", reason), ())
        else:
            counts["blank", raw.position.stream, ""] += 1
            blank[raw.position.source] = (raw.position.offset, raw.position.part)
    tokened, wrong = _classify(parsed, road)
    for place, one in zip(places, tokened, strict=True):
        passed[place] = one
    for at, reason in wrong.items():
        document = parsed[at]
        rejected.append(Rejected(document.position, "classify", reason, document.received))
        passed[places[at]] = (stand_in(document, road, "classify", reason), ())
    kept = [item for item in passed if item is not None]
    events = [item for item in kept if not isinstance(item, Tick)]
    _tally(events, counts)
    return Taken(kept, rejected, counts, _proposals(events), blank)


def _classify(parsed: Sequence[Parsed], road: Road) -> tuple[Sequence[Tokened | None], Mapping[int, str]]:
    """Classify a batch at once; when that fails, one by one, to find who broke it: by place, and why."""
    batch, _ = attempt(road.classify, parsed)
    if batch is not None:
        return batch, {}
    alone = [attempt(road.classify, [document]) for document in parsed]
    return [got[0] if got else None for got, _ in alone], {at: why for at, (got, why) in enumerate(alone) if not got}


def stand_in(record: Raw | Parsed | Event, road: Road, leg: str, reason: str) -> Event:
    """Stand in for a record that is in the dead letters (ECS event.kind `pipeline_error`); `enrich` gives it its time.

    A producer's own id may be a value that nobody tokenised: it stays behind, and the position names the record.
    """
    position = record.position
    return Event(
        id=event_id(position),
        time=record.received,
        received=record.received,
        position=position,
        system=road.system(position.stream),
        stream=position.stream,
        fields={"event.kind": "pipeline_error", "error.code": leg, "error.type": reason},
        flags=("rejected",),
    )


def _tally(events: Sequence[Tokened], counts: Counter[tuple[str, str, str]]) -> None:
    for stream, total in Counter([event.stream for event, _ in events]).items():
        counts["parsed", stream, ""] += total
    for event, spans in events:
        if event.flags:
            _tally_flags(event, counts)
        if spans:
            whole = _WHOLE in event.fields
            for span in spans:
                if not whole or span.field not in _PARTS:
                    counts["tokens", event.stream, span.type] += 1


def _tally_flags(event: Event, counts: Counter[tuple[str, str, str]]) -> None:
    for flag in event.flags:
        if flag == "rejected":
            counts["rejected", event.stream, f"{event.fields['error.code']}:{event.fields['error.type']}"] += 1
            counts["parsed", event.stream, ""] -= 1
        else:
            counts[flag.partition(":")[0], event.stream, flag.partition(":")[2]] += 1


def _proposals(events: Iterable[Tokened]) -> Counter[tuple[str, str, str]]:
    """Count what was seen in which field of which dataset: proposals for a later revision of the ledger."""
    return Counter(
        (dataset, span.field, span.type) for event, spans in events if spans for span in spans for dataset in event.datasets
    )
