"""Traffic for one process and for workers alike: simulated systems, every format's samples; and how two runs are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from kafka import KafkaProducer
from tests.command import called, new_home, rows, xmsec
from tests.office import ZONE
from tests.shipped import ROOT

from xmsec.content.scenarios import load_scenarios
from xmsec.content.streams import load_streams
from xmsec.model.types import Position, Raw
from xmsec.parse.road import parser

SEED = 4711
LINES_A_MESSAGE = 3
SCENARIOS = load_scenarios([ROOT])[0]
RULE = """title: Anything of one format
id: {id}
name: every-{name}
logsource: {{product: generic, service: {stream}}}
detection:
  seen: ['?*']
  condition: seen
level: low
tests: []
"""
Same = tuple[str, str, str, str, str, str, int]


def same(finding: Mapping[str, Any]) -> Same:
    """What two runs must agree on (the records of xmsec: detector, entity, window, severity, count)."""
    entity, window = finding["entity"], finding["window"]
    named = (finding["detector"], entity["type"], entity["id"], window["start"], window["end"], finding["severity"])
    return (*named, finding["count"])


def finals(found: Iterable[Mapping[str, Any]]) -> list[Same]:
    """What is final, in its order."""
    return sorted(same(finding) for finding in found if finding["state"] == "final")


class Log(NamedTuple):
    """What a stream brings. records: as they stand in the file, one after the other; some span lines."""

    path: Path
    stream: str
    records: Sequence[bytes]

    def messages(self) -> list[bytes]:
        """The same for Kafka: some lines a message, a record that spans lines alone."""
        if any(b"\n" in record for record in self.records):
            return list(self.records)
        starts = range(0, len(self.records), LINES_A_MESSAGE)
        return [b"\n".join(self.records[start : start + LINES_A_MESSAGE]) for start in starts]


class Traffic(NamedTuple):
    """Logs, and the ledgers of the systems that they are of."""

    logs: Sequence[Log]
    ledgers: Sequence[Path]

    @property
    def names(self) -> str:
        """Its streams, as commands take them."""
        return ",".join(log.stream for log in self.logs)

    def __add__(self, other: Any) -> Traffic:
        return Traffic([*self.logs, *other.logs], [*self.ledgers, *other.ledgers])


def simulated(folder: Path, events: int, scenarios: Iterable[str] = ("onestop-service",)) -> Traffic:
    """Some days of simulated systems. events: about how many lines of each."""
    logs: list[Log] = []
    ledgers: list[Path] = []
    for name in scenarios:
        out = folder / name
        made = xmsec("simulate", "--out", out, "--scenario", name, "--events", str(events), "--seed", str(SEED))
        assert made.returncode == 0, made.stderr
        used = [(out / use.file, use.stream) for use in SCENARIOS[name].streams.values()]
        logs += (Log(path, stream, path.read_bytes().splitlines()) for path, stream in used)
        ledgers.append(out / "ledger.yaml")
    return Traffic(logs, ledgers)


def samples(folder: Path, times: int) -> Traffic:
    """What every generic stream's file shows as accepted, each several times, in the order of event time.

    Left out: samples without a time of their own, whose windows would be those of the run.
    """
    streams = load_streams([ROOT])[0]
    parse = parser(streams, ZONE)
    now = datetime.now(UTC)
    logs: list[Log] = []
    for name in sorted(one for one in streams if one.startswith("generic.")):
        timed: list[tuple[datetime, bytes]] = []
        for sample in streams[name].samples:
            line = sample.line.rstrip("\n").encode()
            if sample.rejected is None:
                first, again = (
                    parse(Raw(Position(name, "", 0), now + apart, line)) for apart in (timedelta(), timedelta(days=1))
                )
                if first is not None and again is not None and first.time == again.time:
                    timed.append((first.time, line))
        records = [line for _, line in sorted(timed) for _ in range(times)]
        path = folder / f"{name}.log"
        path.write_bytes(b"".join(record + b"\n" for record in records))
        logs.append(Log(path, name, records))
    return Traffic(logs, [])


def own_rules(folder: Path, traffic: Traffic) -> Path:
    """A content directory with a rule for each generic stream, which tells of each of its records whom it speaks of."""
    (folder / "detectors/generic").mkdir(parents=True)
    for log in traffic.logs:
        name = log.stream.partition(".")[2]
        rule = RULE.format(id=uuid5(NAMESPACE_URL, log.stream), name=name, stream=log.stream)
        (folder / f"detectors/generic/every-{name}.yaml").write_text(rule)
    return folder


def home_of(folder: Path, traffic: Traffic, learned: Path) -> Path:
    """A home that knows the traffic's ledgers, and the cache and the models of another home."""
    home = new_home(folder, learned)
    if (learned / "models").is_dir():
        (home / "models").symlink_to(learned / "models")
    for ledger in traffic.ledgers:
        imported = called("ledger", "import", ledger, "--home", home)
        assert imported.returncode == 0, imported.stderr
    return home


def scanned(home: Path, traffic: Traffic, env: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What one process finds in a home."""
    named = [part for log in traffic.logs for part in ("--stream", log.stream)]
    paths = [log.path for log in traffic.logs]
    found = xmsec("scan", *paths, *named, "--home", home, "--format", "jsonl", env=env)
    assert found.returncode == 0, found.stderr
    return rows(found.stdout)


def send(bootstrap: str, traffic: Traffic, partitions: int, half: int | None = None) -> None:
    """Send all (or one half of) the records to their streams' topics, spread over the partitions."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, batch_size=256 << 10)
    for log in traffic.logs:
        messages = log.messages()
        for place, message in enumerate(messages):
            if half is None or (place < len(messages) // 2) == (half == 0):
                producer.send(f"xmsec.raw.{log.stream}", message, partition=place % partitions)
    producer.flush()
    producer.close()
