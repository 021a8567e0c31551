"""The toys' road on real servers: traffic, worker processes, what was told, and where it was lost when that is not all."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from tests import toys
from tests.servers import real
from tests.servers.toy_worker import STREAMS

from xmsec.model.clock import EPOCH
from xmsec.model.ids import event_id
from xmsec.model.states import Memory
from xmsec.model.types import Event, Finding, Incident, Intent, Position, Raw, Rejected, Tick
from xmsec.pipeline.batch import process_batch
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.topics import Cluster
from xmsec.sources.records import records_of
from xmsec.store.rows import finding_row, incident_row

PARTITIONS = 4
PATIENCE_S = 120.0
ALL = ("classify", "detect", "index")
STOP_S = 30.0
NOWHERE = Position("", "", -1)


class Sent(msgspec.Struct, frozen=True):
    """A record on its way. line None: a message without a value; stamp_ms: what the producer's clock says."""

    stream: str
    partition: int
    line: bytes | None
    given_id: str | None = None
    stamp_ms: int | None = None


class Crowd(msgspec.Struct, frozen=True):
    """Who acts. reads: of so many actions and three more all but three are ordinary."""

    users: int
    reads: int

    def acts(self, chance: random.Random) -> dict[str, str]:
        """Return who did what."""
        user = f"user-{chance.randrange(self.users)}"
        return {"user": user, "action": chance.choice(("login", "change", "forbidden", *["read"] * self.reads))}


BUSY = Crowd(40, 3)  # two findings of five records: much to lose in few
CITY = Crowd(400, 17)  # one of a dozen


def traffic(records: int, seed: int, crowd: Crowd = BUSY) -> list[Sent]:
    """Records of two streams in four partitions each, about in the order of time: late ones, repeated ids, broken lines.

    Those that are in time are so by three minutes: while a source says nothing, event time passes by the wall.
    """
    chance = random.Random(seed)
    sent: list[Sent] = []
    for number in range(records):
        stream, partition = STREAMS[number % 2], number // 2 % PARTITIONS
        back = chance.choice((0, 0, 0, 0, 1, 1, 2, 8, 90))
        said = {"t": number / 20 + 0.25 - back, **crowd.acts(chance)}
        line = b"{broken" if chance.random() < 0.01 else json.dumps(said).encode()
        given_id = f"{stream}-{number}" if chance.random() < 0.3 else None
        sent.append(Sent(stream, partition, line, given_id))
        if given_id is not None and chance.random() < 0.3:
            sent.append(sent[-1])
    return sent


class Wire(ExitStack):
    """Sends records, and remembers them as the broker has them."""

    def __init__(self, cluster: Cluster, raws: Sequence[Raw] = ()) -> None:
        super().__init__()
        self._cluster = cluster
        self._producer = KafkaProducer(
            bootstrap_servers=cluster.bootstrap, acks="all", linger_ms=5, max_request_size=frames.MESSAGE_BYTES
        )
        self.callback(self._producer.close)
        self.raws: list[Raw] = [*raws]

    def send(self, sent: Iterable[Sent]) -> None:
        waiting = [(self._hand_over(one), one) for one in sent]
        for future, one in waiting:
            offset = future.get(timeout=PATIENCE_S).offset
            self.raws += records(one, offset)

    def _hand_over(self, one: Sent) -> Any:
        headers = [] if one.given_id is None else [("xmsec-id", one.given_id.encode())]
        topic = self._cluster.raw(one.stream)
        key = b"none" if one.line is None else None
        return self._producer.send(topic, one.line, key, partition=one.partition, headers=headers, timestamp_ms=one.stamp_ms)


def records(one: Sent, offset: int) -> list[Raw]:
    """What a message's reader makes of it."""
    place = Position(one.stream, str(one.partition), offset)
    return list(hops.records(place, EPOCH, records_of(None, one.line or b""), one.given_id))


@dataclass
class Told:
    """The last word under each id, without what depends on the moment and the place at which events came."""

    findings: dict[str, Finding] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)

    def hear(self, findings: Iterable[Finding], incidents: Iterable[Incident]) -> None:
        self.findings.update((one.id, plain(one)) for one in findings)
        for one in incidents:
            if one.findings:
                self.incidents[one.id] = one
            else:  # an exception covers all that it had
                self.incidents.pop(one.id, None)


def plain(finding: Finding) -> Finding:
    evidence = tuple(msgspec.structs.replace(event, received=EPOCH, position=NOWHERE) for event in finding.evidence)
    return msgspec.structs.replace(finding, evidence=evidence)


def in_one_process(raws: Sequence[Raw]) -> Told:
    """What the road says of these records in one process, undisturbed, and that all of it is final."""
    ended = [Tick(*source, EPOCH, "ended") for source in sorted({raw.position.source for raw in raws})]
    outcome = process_batch([*raws, *ended], toys.road(), Memory())
    told = Told()
    told.hear(outcome.findings, outcome.incidents)
    return told


class Reader(ExitStack):
    """Reads topics from their beginning, as far as it is asked."""

    def __init__(self, cluster: Cluster, *names: str) -> None:
        super().__init__()
        self._consumer = KafkaConsumer(
            *map(cluster.topic, names),
            bootstrap_servers=cluster.bootstrap,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=frames.MESSAGE_BYTES,
        )
        self.callback(self._consumer.close)
        self.values: list[bytes] = []

    def until(self, enough: Callable[[list[bytes]], bool], patience_s: float = PATIENCE_S) -> None:
        """Read on until it is enough, or patience ends."""
        deadline = monotonic() + patience_s
        while not enough(self.values) and monotonic() < deadline:
            for messages in self._consumer.poll(timeout_ms=500).values():
                self.values += (message.value for message in messages)


class Cases(Reader):
    """Reads what group says: the last word under each id."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, "cases")
        self._told, self._heard = Told(), 0

    @property
    def told(self) -> Told:
        for value in self.values[self._heard :]:
            case = frames.unpack(value, frames.Cases)
            self._told.hear(case.findings, case.incidents)
        self._heard = len(self.values)
        return self._told

    def grow(self, by: int = 5, patience_s: float = PATIENCE_S) -> None:
        """Wait until work is under way."""
        aim = len(self.values) + by
        self.until(lambda values: len(values) >= aim, patience_s)


def letters(values: Sequence[bytes]) -> set[Position]:
    return {msgspec.json.decode(value, type=Rejected).position for value in values}


class Worker:
    """A worker process, which may be killed, or told to end, and started again in its folder."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path, roles: Sequence[str] = ALL, elastic: str = "") -> None:
        self.folder = folder
        self.log = folder / "log"
        self._command = [sys.executable, "-m", "tests.servers.toy_worker", bootstrap, prefix, str(folder), elastic, *roles]
        folder.mkdir()
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self, *codes: int) -> None:
        """Let it end, by these codes too; one that does not says where it stands."""
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            before = self.log.stat().st_size
            real.until(lambda: self.log.stat().st_size > before + 1_000, 10)
            raise AssertionError(f"did not stop within {STOP_S:.0f} s:\n{self.log.read_text()[-20_000:]}") from None
        assert code in (0, -signal.SIGTERM, *codes), self.log.read_text()  # the signal, where it came before Faust listened


@contextmanager
def running(bootstrap: str, prefix: str, folder: Path, roles: Sequence[str] = ALL, elastic: str = "") -> Iterator[Worker]:
    """A worker that ends with the test."""
    worker = Worker(bootstrap, prefix, folder, roles, elastic)
    try:
        yield worker
    finally:
        worker.kill()


class Indexed:
    """What the store of a folder's workers was told, last under each id."""

    def __init__(self, folder: Path) -> None:
        self._path, self._read = folder / "indexed.jsonl", 0
        self._told = Told()

    @property
    def told(self) -> Told:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # it is being written: its rest, read as a line of its own, would be lost
                    self._read += len(line)
                    with suppress(msgspec.DecodeError):  # torn by a kill: it was not acknowledged, and comes again
                        findings, incidents, _ = _indexed.decode(line)
                        self._told.hear(findings, incidents)
        return self._told


_indexed = msgspec.json.Decoder(tuple[list[Finding], list[Incident], list[Intent]])


def indexed(folder: Path) -> Told:
    """What the store of a folder's workers was told, last under each id."""
    return Indexed(folder).told


@dataclass
class Rows:
    """Findings and incidents as Elasticsearch has them, the engine's part."""

    findings: dict[str, Any]
    incidents: dict[str, Any]


def as_rows(told: Told) -> Rows:
    """Write what was told as Elasticsearch gets it."""
    return Rows(
        {one.id: _engines(finding_row(one)) for one in told.findings.values()},
        {one.id: _engines(incident_row(one)) for one in told.incidents.values()},
    )


def are_final(client: Elasticsearch, prefix: str) -> int:
    """Count the final findings in Elasticsearch: to ask for all of them again and again would keep it from taking more."""
    index = f"{prefix}-findings"
    client.indices.refresh(index=index)
    return int(client.count(index=index, query={"term": {"state": "final"}})["count"])


def stored(client: Elasticsearch, prefix: str) -> Rows:
    """Everything in Elasticsearch."""
    client.indices.refresh(index=f"{prefix}-*")
    findings, incidents = (_table(client, f"{prefix}-{name}") for name in TABLES)
    return Rows(findings, {name: row for name, row in incidents.items() if row["findings"]})


def _table(client: Elasticsearch, index: str) -> dict[str, Any]:
    hits = scan(client, index=index, size=SCANNED, source_excludes=sorted(PEOPLES))
    return {hit["_id"]: _engines(hit["_source"]) for hit in hits}


SCANNED = 5_000
TABLES = ("findings", "incidents")
PEOPLES = {"status", "assignee", "incident", "related", "root", "own", "severity_rank"}


def _engines(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave people's part, and what depends on the moment and the place."""
    kept = {name: value for name, value in row.items() if name not in PEOPLES}
    if "evidence" in kept:
        kept["evidence"] = [{**event, "received": "", "position": ""} for event in kept["evidence"]]
    return kept


def difference(expected: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    """Say which ids are missing, extra and changed, a few of each; nothing when all is equal."""
    missing, extra = sorted(expected.keys() - got.keys()), sorted(got.keys() - expected.keys())
    changed = {one: _fields(expected[one], got[one]) for one in expected.keys() & got.keys() if expected[one] != got[one]}
    said = [f"{len(found)} {what}: {', '.join(found[:5])}" for what, found in (("missing", missing), ("extra", extra)) if found]
    if changed:
        counted = Counter(name for names in changed.values() for name in names)
        some = "; ".join(f"{one}: {', '.join(changed[one].values())}" for one in sorted(changed)[:3])
        said.append(f"{len(changed)} changed in {dict(counted)}: {some}")
    return f"of {len(expected)}: " + " · ".join(said) if said else ""


def _fields(expected: Any, got: Any) -> dict[str, str]:
    """Name the fields in which two records differ, and how."""
    one, other = msgspec.to_builtins(expected), msgspec.to_builtins(got)
    names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    return {name: f"{name} {str(one.get(name))[:80]} → {str(other.get(name))[:80]}" for name in sorted(names)}


def assert_told(expected: Told, got: Told | Rows, cluster: Cluster, raws: Sequence[Raw]) -> None:
    """Fail with what differs, and where on the road it was lost."""
    awaits = as_rows(expected) if isinstance(got, Rows) else expected
    found = difference(awaits.findings, got.findings)
    cases = difference(awaits.incidents, got.incidents)
    if not found and not cases:
        return
    wrong = [one for one, finding in awaits.findings.items() if finding != got.findings.get(one)]
    awaited = {one for name in wrong for one in expected.findings[name].events}
    where = "\n".join(f"  {line}" for line in _places(cluster, raws, awaited, expected))
    raise AssertionError(f"findings {found or 'equal'}\nincidents {cases or 'equal'}\n{where}")


def _places(cluster: Cluster, raws: Sequence[Raw], awaited: set[str], expected: Told) -> Iterator[str]:
    """Say of each topic on the road what does not come out of it."""
    sent = {event_id(one.position, one.given_id): one.position for one in raws}
    tokened = {one.id for value in everything(cluster, "tokened") for one in _tokened(value)}
    events = {copy.event.id for value in everything(cluster, "events") for copy in frames.unpack(value, frames.Contexts).copies}
    findings, cases = Told(), Told()
    for value in everything(cluster, "findings"):
        findings.hear(frames.unpack(value, frames.Findings).findings, ())
    for value in everything(cluster, "cases"):
        case = frames.unpack(value, frames.Cases)
        cases.hear(case.findings, case.incidents)
    for name, seen in (("raw", sent.keys()), ("tokened", tokened), ("events", events)):
        lost = sorted(awaited - seen)
        yield f"{name}: {len(lost)} of their {len(awaited)} events are not in it {[sent.get(one) for one in lost[:5]]}"
    for name, told in (("findings", findings), ("cases", cases)):
        yield f"{name}: {difference(expected.findings, told.findings) or 'equal'}"


def _tokened(value: bytes) -> list[Event]:
    return [item[0] for item in frames.unpack(value, frames.Tokened).items if not isinstance(item, Tick)]


def everything(cluster: Cluster, name: str) -> Iterator[bytes]:
    """Read a topic up to where it ends now: idle sources go on speaking."""
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap, max_partition_fetch_bytes=frames.MESSAGE_BYTES)
    try:
        places = [TopicPartition(cluster.topic(name), number) for number in range(PARTITIONS)]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning()
        deadline = monotonic() + PATIENCE_S
        while any(consumer.position(place) < ends[place] for place in places) and monotonic() < deadline:
            for messages in consumer.poll(timeout_ms=500).values():
                yield from (message.value for message in messages)
    finally:
        consumer.close()
