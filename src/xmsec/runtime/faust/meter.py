"""What a worker says of itself: figures and health, asked for from another thread than the one that works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from xmsec.model.ports import Backlog
from xmsec.model.types import Clock, Finding, Proposals, Rejected, Source
from xmsec.runtime.metrics import Metric, Rows, budgets, counted, counter, gauge
from xmsec.store.elastic_counts import Counted, Kind

Counts = Mapping[tuple[str, str, str], int]
PLACES = 50_000  # fields with a type that one life remembers, some 400 bytes each: a log may name fields without an end


class Meter:
    """One process's figures, from zero when it begins; a record that is carried again after a crash is counted again.

    zone: of the days that budgets are for; per_day: each model's budget, detector → entities; release: the number of what was
    published and is gone by. apps: by role; tables: by name; waits: what is being waited for now, by role;
    clocks: of the source partitions that it carried; more: further families.
    """

    def __init__(self, zone: tzinfo = UTC, per_day: Mapping[str, float] | None = None) -> None:
        self._zone, self.per_day, self.release = zone, per_day or {}, 0
        self.more: Callable[[], Iterable[Metric]] = tuple
        self.apps: dict[str, Any] = {}
        self.tables: dict[str, Any] = {}
        self.waits: dict[tuple[str, str], str] = {}
        self.clocks: dict[Source, Clock] = {}
        self._dead: Counter[tuple[str, str, str]] = Counter()
        self._observed: Counter[tuple[str, str, str]] = Counter()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._findings: Counter[tuple[str, str]] = Counter()
        self._told: dict[tuple[date, str], set[tuple[str, str]]] = {}

    def count(self, counts: Counts) -> None:
        """Add what a hop counted."""
        self._counts.update(counts)

    def reject(self, rejected: Iterable[Rejected]) -> None:
        """Count dead letters."""
        self._dead.update((one.position.stream, one.leg, one.reason) for one in rejected)

    def observe(self, proposals: Proposals) -> None:
        """Count what was seen in which field of which dataset."""
        for place, spans in proposals.items():
            if place in self._observed or len(self._observed) < PLACES:
                self._observed[place] += spans

    def counted(self, streams: Mapping[str, str], now: datetime) -> Counted:
        """Return what this life counted, and how its partitions stand. streams: by their raw topics."""
        records: Counter[tuple[str, ...]] = Counter()
        for (what, stream, _), total in dict(self._counts).items():
            records[stream, what] += total
        backlogs = [
            Backlog(role, topic, int(partition), int(lag), now, streams.get(topic, ""))
            for (role, topic, partition), lag in self._lag().items()
        ]
        sums: Mapping[Kind, Any] = {"records": records, "refused": dict(self._dead), "observed": dict(self._observed)}
        return Counted(sums, dict(self.clocks), backlogs)

    def tell(self, findings: Iterable[Finding]) -> None:
        """Note findings as they are told: open, grown, final."""
        for finding in findings:
            if finding.exception is not None:
                continue
            self._findings[finding.severity, finding.state] += 1
            if finding.detector in self.per_day:
                day = finding.time.astimezone(self._zone).date()
                self._told.setdefault((day, finding.detector), set()).add((finding.entity.type, finding.entity.id))

    def metrics(self, now: datetime) -> list[Metric]:
        """Return every family."""
        today = now.astimezone(self._zone).date()
        for day, detector in [key for key in list(self._told) if key[0] < today]:
            self._told.pop((day, detector), None)
        told = {detector: len(entities) for (day, detector), entities in list(self._told.items()) if day == today}
        rows: Rows = {(name,): len(table) for name, table in list(self.tables.items())}
        dead: Counter[tuple[str, ...]] = Counter()
        for (_, *why), total in list(self._dead.items()):
            dead[tuple(why)] += total
        findings: Rows = dict(list(self._findings.items()))
        return [
            *counted(dict(self._counts)),
            *budgets(told, self.per_day),
            counter("xmsec_dead_letters_total", "Dead letters written.", ("leg", "reason"), dead),
            counter("xmsec_findings_told_total", "Findings told on.", ("severity", "state"), findings),
            gauge(
                "xmsec_content_release",
                "Number of the release that is gone by; 0: nothing was published.",
                (),
                {(): self.release},
            ),
            gauge("xmsec_table_rows", "Rows of a table on this worker.", ("table",), rows),
            gauge("xmsec_consumer_lag_records", "Messages not committed yet.", ("role", "topic", "partition"), self._lag()),
            *self.more(),
        ]

    def _lag(self) -> dict[tuple[str, ...], float]:
        lag: dict[tuple[str, ...], float] = {}
        for role, app in list(self.apps.items()):
            consumer = app._consumer  # the property makes one where there is none
            for tp in sorted(consumer.assignment()) if _works(app) else ():
                end = consumer.highwater(tp)
                if end is not None and not tp.topic.endswith("-changelog"):
                    lag[role, tp.topic, str(tp.partition)] = max(end - (consumer._committed_offset.get(tp) or 0), 0)
        return lag

    def problems(self) -> Sequence[str]:
        """Return why this worker is not ready, a sentence each."""
        wrong: list[str] = []
        for role, app in sorted(self.apps.items()):
            if not _works(app):
                wrong.append(f"{role}: partitions are being assigned")
            elif not _connected(app):
                wrong.append(f"{role}: Kafka does not answer")
        return [*wrong, *(f"{role}: {what}" for (role, _), what in sorted(self.waits.items()))]


def _works(app: Any) -> bool:
    consumer = app._consumer
    thread = getattr(consumer, "_thread", None)
    return bool(thread is not None and thread._consumer is not None and not app.rebalancing)


def _connected(app: Any) -> bool:
    client = app._consumer._thread._consumer._client
    return any(connection.connected() for connection in list(client._conns.values()))
