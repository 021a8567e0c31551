"""Raw values end here: parse and classify a batch. Has no state.

A record that a leg cannot carry becomes a dead letter, named by position and reason, and an ECS `pipeline_error` event without
content goes on in its place, so that silence is never taken for safety.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

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
    parsed: list[Parsed] = []
    done: dict[int, Tokened | None] = {}  # by place in the order; None: a blank line
    places: list[int] = []
    rejected: list[Rejected] = []
    blank: dict[Source, tuple[int, int]] = {}
    for place, raw in enumerate(order):
        if isinstance(raw, Tick):
            continue
        document, reason = attempt(road.parse, raw)
        if reason:
            rejected.append(Rejected(raw.position, "parse", reason, raw.received))
            counts["cut", raw.position.stream, ""] += raw.cut
            done[place] = (_rejected_event(raw, road, "parse", reason), ())
        elif document is None:
            counts["blank", raw.position.stream, ""] += 1
            blank[raw.position.source] = (raw.position.offset, raw.position.part)
            done[place] = None
        else:
            parsed.append(document)
            places.append(place)
    for place, document, (tokened, reason) in zip(places, parsed, _classify(parsed, road), strict=True):
        if tokened is None:
            rejected.append(Rejected(document.position, "classify", reason, document.received))
            tokened = (_rejected_event(document, road, "classify", reason), ())
        done[place] = tokened
    passed = [item if isinstance(item, Tick) else done[place] for place, item in enumerate(order)]
    kept = [item for item in passed if item is not None]
    _tally(kept, counts)
    return Taken(kept, rejected, counts, _proposals(kept), blank)


def _classify(parsed: Sequence[Parsed], road: Road) -> Iterable[tuple[Tokened | None, str]]:
    """Classify a batch at once; when that fails, one by one, to find who broke it."""
    batch, _ = attempt(road.classify, parsed)
    if batch is not None:
        return [(tokened, "") for tokened in batch]
    alone = (attempt(road.classify, [document]) for document in parsed)
    return [(got[0] if got else None, why) for got, why in alone]


def _rejected_event(record: Raw | Parsed, road: Road, leg: str, reason: str) -> Event:
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


def _tally(passed: Iterable[Tokened | Tick], counts: Counter[tuple[str, str, str]]) -> None:
    for item in passed:
        if isinstance(item, Tick):
            continue
        event, spans = item
        if event.flags:
            for flag in event.flags:
                if flag == "rejected":
                    counts["rejected", event.stream, f"{event.fields['error.code']}:{event.fields['error.type']}"] += 1
                else:
                    counts[flag.partition(":")[0], event.stream, flag.partition(":")[2]] += 1
        if "rejected" not in event.flags:
            counts["parsed", event.stream, ""] += 1
        for span in spans:
            if span.field not in _PARTS or _WHOLE not in event.fields:
                counts["tokens", event.stream, span.type] += 1


def _proposals(passed: Iterable[Tokened | Tick]) -> Counter[tuple[str, str, str]]:
    """Count what was seen in which field of which dataset: proposals for a later revision of the ledger."""
    return Counter(
        (dataset, span.field, span.type)
        for item in passed
        if not isinstance(item, Tick)
        for span in item[1]
        for dataset in item[0].datasets
    )
