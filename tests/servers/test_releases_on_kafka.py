"""Content published to workers that run: taken up between two frames, refused when bad or forged, found by late starters."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaProducer
from tests.command import KEY, XMSEC, called, environment, new_home, rows
from tests.released import rule, write_content
from tests.servers import real
from tests.servers.toy_scene import Reader

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.model.types import Finding
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.topics import Cluster, ensure
from xmsec.runtime.releases import Release, sealed

pytestmark = [pytest.mark.servers, pytest.mark.faults]

STREAM = "office.desk"
NINE = datetime(2025, 3, 3, 9, tzinfo=UTC)
BURST = 40
PATIENCE_S = 300.0  # of a machine that does much else


class Findings(Reader):
    """The last word on each finding."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(Cluster(bootstrap, (STREAM,)), "cases")

    @property
    def told(self) -> list[Finding]:
        found: dict[str, Finding] = {}
        for value in self.values:
            found.update((one.id, one) for one in frames.unpack(value, frames.Cases).findings)
        return list(found.values())

    def of(self, detector: str) -> set[tuple[int, str, str]]:
        return {(one.count, one.severity, one.state) for one in self.told if one.detector == detector}

    def wait(self, holds: Callable[[], bool]) -> None:
        self.until(lambda _: holds(), PATIENCE_S)
        assert holds(), self.told


class Desk(ExitStack):
    """The operator's place: a home with content and key, a producer of records, and workers.

    A worker under `own` has the operator's folders and key file; one under `env` has no content, and a copy of the key.
    """

    def __init__(self, bootstrap: str, folder: Path) -> None:
        super().__init__()
        self.folder, self.bootstrap = folder, bootstrap
        self.content = write_content(folder / "content")
        self.home = new_home(folder / "operator", folder)
        self.env = {
            "XMSEC_KAFKA_BOOTSTRAP": bootstrap,
            "XMSEC_ES_URL": "http://127.0.0.1:9",
            "XMSEC_RECORDINGS": str(folder / "r"),
        }
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self.callback(self._producer.close)
        self._second = 0
        ensure(Cluster(bootstrap, (STREAM,)), 2)

    @property
    def own(self) -> Mapping[str, str]:
        return {**self.env, "XMSEC_CONTENT_DIRS": str(self.content), "XMSEC_KEY_FILE": str(self.home / "key")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return called(*arguments, "--home", self.home, env=self.own)

    def publish(self) -> list[str]:
        done = self.run("content", "publish")
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()

    def send(self, *actions: str, at: datetime = NINE) -> None:
        for number, action in enumerate(actions):
            self._second += 1
            when = (at + timedelta(seconds=self._second)).isoformat()
            line = json.dumps({"at": when, "who": "lin", "what": action}).encode()
            self._producer.send(f"xmsec.raw.{STREAM}", line, partition=number % 2)
        self._producer.flush()

    def forge(self, value: bytes) -> None:
        self._producer.send("xmsec.control", value, b"99-forged", partition=0).get(timeout=60)

    @contextmanager
    def worker(self, name: str, env: Mapping[str, str]) -> Iterator[Worker]:
        worker = Worker(self.folder / name, env, self.home)
        try:
            yield worker
        finally:
            worker.process.kill()
            worker.process.wait()


class Worker:
    """`xmsec worker classify detect` in a home of its own."""

    def __init__(self, home: Path, env: Mapping[str, str], warm: Path) -> None:
        new_home(home, warm)
        self.log = home / "log"
        command = [*XMSEC, "worker", "classify", "detect", "--streams", STREAM, "--idle", "3600", "--home", str(home)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(env))

    def says(self, text: str) -> bool:
        real.until(lambda: text in self.log.read_text() or self.process.poll() is not None, PATIENCE_S)
        assert text in self.log.read_text(), self.log.read_text()
        return True


def test_content_is_taken_up_by_workers_that_run(kafka_bootstrap: str, tmp_path: Path) -> None:
    with Desk(kafka_bootstrap, tmp_path) as desk, Findings(kafka_bootstrap) as findings:
        desk.publish()
        with desk.worker("first", desk.own) as first:
            bad_content_is_refused(desk)
            windows_are_open(desk, findings)
            a_release_is_taken_up(desk, findings, first)
            a_forged_one_is_not(desk, findings, first)
            desk.send(*["export"] * BURST)
            write_content(desk.content, level="high", timespan="2h", more="copy")
            desk.publish()
            first.process.kill()
        with desk.worker("late", desk.env) as late, desk.worker("again", desk.own) as again:
            every_window_closes_with_its_count(desk, findings)
            newer_keys_are_told(desk, late, again)


def windows_are_open(desk: Desk, findings: Findings) -> None:
    desk.send("export", "export", "export", "print", "print")
    findings.wait(lambda: findings.of("export") == {(3, "low", "open")} and bool(findings.of("many")))


def bad_content_is_refused(desk: Desk) -> None:
    bad = desk.content / "detectors" / "office" / "erase.yaml"
    bad.write_text(rule("erase").replace("condition: named", "condition: nothing"))
    refused = desk.run("content", "publish")
    bad.unlink()
    assert refused.returncode == 1
    assert "nothing was published" in refused.stderr.decode().splitlines()[-1]
    (only,) = rows(desk.run("content", "status").stdout)
    assert only["state"] == "newest"


def a_release_is_taken_up(desk: Desk, findings: Findings, worker: Worker) -> None:
    write_content(desk.content, level="high", timespan="2h", more="erase")
    name, *said = desk.publish()
    assert said == ["new: erase", "changed, its states go on: export", "changed, starts anew: many"]
    assert desk.publish() == [f"{name} already says all this"]
    worker.says(f"content {name} from now on")
    assert "; ".join(said) in worker.log.read_text()
    desk.send("export", "export", "erase", "print", "print")
    findings.wait(lambda: findings.of("export") == {(5, "high", "open")} and findings.of("erase") == {(1, "low", "open")})


def a_forged_one_is_not(desk: Desk, findings: Findings, worker: Worker) -> None:
    other = Keyring([Epoch.of(os.urandom(32))])
    desk.forge(sealed(Release(99, datetime.now(UTC), other.check, {}), other)[1])
    worker.says("a message is passed over: is not signed")
    desk.send("erase")
    findings.wait(lambda: findings.of("erase") == {(2, "low", "open")})


def every_window_closes_with_its_count(desk: Desk, findings: Findings) -> None:
    desk.send("copy")
    desk.send("look", "look", at=NINE + timedelta(days=3))
    total = 5 + BURST
    findings.wait(lambda: {one.state for one in findings.told} == {"final"} and bool(findings.of("copy")))
    assert findings.of("export") == {(total, "high", "final")}
    assert findings.of("erase") == {(2, "low", "final")}
    assert findings.of("copy") == {(1, "low", "final")}
    assert {(one.version, one.count) for one in findings.told if one.detector == "many"} == two_of_each_version(findings)


def two_of_each_version(findings: Findings) -> set[tuple[str, int]]:
    versions = {one.version for one in findings.told if one.detector == "many"}
    assert len(versions) == 2
    return {(version, 2) for version in versions}


def newer_keys_are_told(desk: Desk, without: Worker, with_file: Worker) -> None:
    assert desk.run("keys", "rotate").returncode == 0
    (name, *_) = desk.publish()
    with_file.says(f"content {name} from now on")
    assert without.process.wait(PATIENCE_S) == 2
    assert "epoch 2" in without.log.read_text().splitlines()[-1]
    assert KEY not in without.log.read_text()
    assert with_file.process.poll() is None
