"""A simulated system becomes files: each stream in its native form, what the ledger knows, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import yaml

from xmsec.model.clock import rfc3339
from xmsec.simulate.calendar import DAY_MS
from xmsec.simulate.happening import Fact
from xmsec.simulate.scenario import Plan, run

REFERENCES = 50  # lines that the truth names for each happening; its count is exact
BUFFER_BYTES = 1 << 20
EVERY = 10_000  # lines between two calls of `progress`


class Simulated(msgspec.Struct, frozen=True):
    """What was written: the number of lines of each file by its path, the ledger's file and the truth's."""

    lines: dict[Path, int]
    ledger: Path
    truth: Path


class _Traces:
    """Which lines belong to each fact: the first of them by place, and how many."""

    def __init__(self, planned: Plan) -> None:
        self.places: list[list[str]] = [[] for _ in planned.facts]
        self.counts = [0] * len(planned.facts)
        self._silent = [(number, fact) for number, fact in enumerate(planned.facts) if fact.stream]
        self._last: dict[str, str] = {}
        self._watched = {fact.stream for _, fact in self._silent}

    def add(self, number: int, place: str) -> None:
        """Take a line of a fact."""
        self.counts[number] += 1
        if len(self.places[number]) < REFERENCES:
            self.places[number].append(place)

    def pass_by(self, stream: str, at: int, place: str) -> None:
        """Take any line: the last before a silence and the first after it are its evidence."""
        if stream not in self._watched:
            return
        for number, fact in self._silent:
            if fact.stream == stream and at >= fact.end and not self.places[number]:
                self.places[number] = [self._last[stream], place] if stream in self._last else [place]
        self._last[stream] = place


def write(planned: Plan, out: Path, progress: Callable[[int], None] | None = None) -> Simulated:
    """Write a plan's streams, `ledger.yaml` and `truth.jsonl` under a folder, which is made; same plan, same bytes."""
    out.mkdir(parents=True, exist_ok=True)
    uses = planned.scenario.streams
    lines = dict.fromkeys(uses, 0)
    traces = _Traces(planned)
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {
            name: stack.enter_context((out / use.file).open("wb", buffering=BUFFER_BYTES)) for name, use in uses.items()
        }
        for total, record in enumerate(run(planned), 1):
            name = record.stream
            files[name].write(record.text.encode() + b"\n")
            lines[name] += 1
            if record.happening >= 0:
                traces.add(record.happening, f"{uses[name].file}:{lines[name]}")
            traces.pass_by(name, record.at, f"{uses[name].file}:{lines[name]}")
            if progress is not None and total % EVERY == 0:
                progress(total)
    ledger, truth = out / "ledger.yaml", out / "truth.jsonl"
    ledger.write_text(_yaml(ledger_of(planned)), encoding="utf-8")
    rows = sorted(_truth(planned, traces), key=lambda row: (row["start"], row["scenario"]))
    truth.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    return Simulated({out / use.file: lines[name] for name, use in uses.items()}, ledger, truth)


def _truth(planned: Plan, traces: _Traces) -> Iterator[dict[str, Any]]:
    """Yield what happened, as CONTRACT writes it; an oddity expects nothing."""
    for number, fact in enumerate(planned.facts):
        yield {
            "scenario": fact.happening.name,
            "system": planned.scenario.system,
            "start": rfc3339(planned.time(fact.start)),
            "end": rfc3339(planned.time(fact.end)),
            "entity": {"type": fact.entity.type, "id": fact.entity.id},
            "events": traces.places[number],
            "count": traces.counts[number],
            "expect": list(fact.happening.expect),
        }


def ledger_of(planned: Plan) -> dict[str, Any]:
    """Return what the ledger knows: what the scenario says, its people, and the grants that ended."""
    document = dict(planned.scenario.ledger)
    people = [
        {"id": f"p-{member.account}", "accounts": [member.account], "department": member.department, "role": member.role}
        for crowd in planned.crowds.values()
        if crowd.group.person and crowd.group.account
        for member in map(crowd.member, range(crowd.count))
    ]
    document["people"] = [*document.get("people", ()), *people]
    lapses = [(fact, fact.happening.lapse) for fact in planned.facts if fact.mode == "expired"]
    ended = [_ended(planned, fact, lapse.dataset) for fact, lapse in lapses if lapse is not None]
    document["grants"] = [*document.get("grants", ()), *ended]
    return document


def _ended(planned: Plan, fact: Fact, dataset: str) -> dict[str, Any]:
    """Return a grant that ended before the training days did, and that nobody renewed."""
    return {
        "id": f"ended-{fact.entity.id}",
        "grantee": fact.entity.id,
        "datasets": [dataset],
        "start": rfc3339(planned.time(-180 * DAY_MS)),
        "end": rfc3339(planned.time((planned.scenario.train_days - 1) * DAY_MS)),
    }


def _yaml(document: dict[str, Any]) -> str:
    return str(yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False, width=1000))
