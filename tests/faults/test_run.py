"""The embedded service as a process of its own: it follows files that grow and rotate, serves what it finds, and goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.command import called, rows, started, xmsec
from tests.doors import doors
from tests.receivers import Web, web
from tests.rooms import bearer

from xmsec.cli.rooms import desk_of

pytestmark = pytest.mark.faults

DEADLINE_S = 30  # a line is there within two seconds; two busy cores may take their time
MOBILE = "13959200417"


def line(number: int, who: str, what: str = "forced") -> str:
    """One record of the stream; its note holds a telephone number."""
    said = {"ts": f"2025-03-03T09:{number // 60:02}:{number % 60:02}+08:00", "who": who, "what": what, "note": f"call {MOBILE}"}
    return json.dumps(said) + "\n"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The folder whose files are followed."""
    (folder := tmp_path / "logs").mkdir()
    return folder


@pytest.fixture
def content(tmp_path: Path, logs: Path) -> dict[str, str]:
    """A deployment's own content: one stream that names paths, one detector that asks for a playbook."""
    return {"XMSEC_CONTENT_DIRS": str(doors(tmp_path / "content", f"{logs}/door.log*"))}


class Service:
    """One life of the service."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        with desk_of(home) as kept:
            self._token = bearer(kept)
        self._process = started("run", "--port", "0", "--home", home, env=env)
        self.told: list[str] = []
        assert self._process.stderr is not None
        for said in self._process.stderr:
            self.told.append(said.decode())
            if said.startswith(b"ready "):
                self.url = said.decode().split()[1]
                return
        raise AssertionError(f"not ready: {self.told}")

    def get(self, path: str) -> str:
        asked = urllib.request.Request(self.url + path, headers={"Authorization": self._token})
        with urllib.request.urlopen(asked, timeout=DEADLINE_S) as answer:
            return str(answer.read().decode())

    def findings(self, parameters: str = "?detector=door-forced") -> list[dict[str, Any]]:
        return list(json.loads(self.get(f"/api/findings{parameters}"))["rows"])

    def counted(self) -> dict[str, int]:
        """How many records of the stream became what, as the metrics say it."""
        named: dict[str, int] = {}
        for one in self.get("/metrics").splitlines():
            family, _, labels = one.partition("{")
            what = {"xmsec_records_total": labels.split('"')[1:2], "xmsec_rejected_records_total": ["rejected"]}.get(family, [])
            if 'stream="office.door"' in labels and (what or family == "xmsec_tokens_total"):
                named[what[0] if what else "tokens"] = int(one.rpartition(" ")[2])
        return named

    def until(self, wanted: Callable[[Service], bool]) -> None:
        """Ask again and again until it is as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        while not wanted(self):
            assert time.monotonic() < deadline, (self.told, self.counted(), self.findings())
            time.sleep(0.05)

    def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        out, rest = self._process.communicate(timeout=DEADLINE_S)
        assert out == b""
        self.told += rest.decode().splitlines()
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        print(self._process.communicate()[1].decode())  # pytest shows it where a test failed


@pytest.fixture
def serve(home: Path, content: dict[str, str]) -> Iterator[Callable[[], Service]]:
    """Start the service over the same home; what still lives at the end of a test is ended."""
    lives: list[Service] = []

    def start() -> Service:
        lives.append(Service(home, content))
        return lives[-1]

    yield start
    for life in lives:
        life.kill()


def count_of(service: Service, who: str) -> int:
    return sum(one["count"] for one in service.findings() if one["entity"]["id"] == who)


def test_lines_that_are_appended_become_findings_through_a_rotation(serve: Callable[[], Service], logs: Path) -> None:
    log = logs / "door.log"
    log.write_text(line(0, "lin"))
    service = serve()
    assert (service.get("/healthz"), service.get("/readyz")) == ("ok\n", "ok\n")
    service.until(lambda one: count_of(one, "lin") == 1)

    with log.open("a") as writer:
        writer.write(line(1, "lin") + line(2, "wang", "opened"))
        writer.flush()
        service.until(lambda one: count_of(one, "lin") == 2)
        log.rename(logs / "door.log.1")
        log.write_text(line(4, "chen"))
        writer.write(line(3, "lin"))  # whoever writes has not turned to the new file yet
    service.until(lambda one: (count_of(one, "lin"), count_of(one, "chen")) == (3, 1))

    assert count_of(service, "wang") == 0
    assert service.counted()["parsed"] == 5
    (one,) = (finding for finding in service.findings() if finding["entity"]["id"] == "lin")
    assert (one["severity"], one["state"], one["count"]) == ("high", "open", 3)


def test_it_ends_when_it_is_told_and_goes_on_without_reading_twice(serve: Callable[[], Service], logs: Path) -> None:
    log = logs / "door.log"
    log.write_text("".join(line(number, "lin") for number in range(5)) + "not a record\n")
    first = serve()
    first.until(lambda one: one.counted().get("parsed") == 5)
    before, found = first.counted(), first.findings()
    asked_at = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(first.url.rpartition(":")[2]))) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")  # and no more: nobody waits for it
        assert first.end() == 4
    assert time.monotonic() - asked_at < 10
    assert first.told[-1] == "xmsec: interrupted; state is saved; the same command continues"

    with log.open("a") as writer:
        writer.write(line(5, "lin"))
    second = serve()
    second.until(lambda one: count_of(one, "lin") == 6)
    assert second.counted() == {name: total + (name in ("parsed", "tokens")) for name, total in before.items()}
    assert [one["id"] for one in second.findings()] == [one["id"] for one in found]
    assert second.end() == 4


def test_a_playbook_that_an_incident_asks_for_begins_and_waits(
    serve: Callable[[], Service], logs: Path, home: Path, content: dict[str, str]
) -> None:
    (logs / "door.log").write_text(line(0, "lin"))
    service = serve()
    service.until(lambda one: count_of(one, "lin") == 1)

    def runs() -> list[dict[str, Any]]:
        listed = called("playbook", "list", "--home", home, env=content)  # beside the writer
        assert listed.returncode == 0, listed.stderr
        return [one for one in rows(listed.stdout) if "run" in one]

    service.until(lambda _: bool(runs()))
    (run,) = runs()
    assert (run["playbook"], run["stands"].split()[0]) == ("contain-account", "wait")
    (incident,) = json.loads(service.get("/api/incidents"))["rows"]
    assert incident["id"] == run["incident"]
    approved = called("playbook", "approve", run["run"], run["stands"].split()[1], "--home", home, env=content)
    assert approved.returncode == 0, approved.stderr
    (after,) = runs()
    assert after["stands"] != run["stands"]

    assert service.end() == 4
    verified = called("playbook", "verify", "--home", home, env=content)
    assert (verified.returncode, verified.stdout.rstrip().endswith(b", whole")) == (0, True)


def test_a_second_writer_is_refused_while_it_runs(
    serve: Callable[[], Service], logs: Path, home: Path, content: dict[str, str]
) -> None:
    (logs / "door.log").write_text(line(0, "lin"))
    serve()
    other = called("scan", logs / "door.log", "--stream", "office.door", "--home", home, env=content)
    assert (other.returncode, other.stdout, other.stderr.count(b"\n")) == (2, b"", 1)
    assert b"another xmsec is writing here" in other.stderr


def test_pages_follow_by_cursor_and_bad_parameters_are_problems(serve: Callable[[], Service], logs: Path) -> None:
    people = [f"person-{number}" for number in range(7)]
    (logs / "door.log").write_text("".join(line(number, who) for number, who in enumerate(people)))
    service = serve()
    service.until(lambda one: len(one.findings()) == len(people))
    page = json.loads(service.get("/api/findings?detector=door-forced&limit=4"))
    rest = json.loads(service.get(f"/api/findings?detector=door-forced&limit=4&after={page['next']}"))
    assert sorted(one["entity"]["id"] for one in [*page["rows"], *rest["rows"]]) == people
    assert rest["next"] is None
    for query in ("limit=0", "limit=many", "after=nothing", "severity=grave", "sverity=high"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            service.get(f"/api/findings?{query}")
        with refused.value:
            assert refused.value.code == 400
            assert refused.value.headers["content-type"] == "application/problem+json"
            assert json.loads(refused.value.read())["detail"]


def test_nothing_that_it_serves_or_says_holds_a_value(serve: Callable[[], Service], logs: Path) -> None:
    (logs / "door.log").write_text("".join(line(number, "lin") for number in range(3)) + f"{MOBILE} alone\n")
    service = serve()
    service.until(lambda one: count_of(one, "lin") == 3)
    service.until(lambda one: "rejected" in one.counted())
    served = [service.get(path) for path in ("/metrics", "/api/findings", "/api/incidents")]
    assert service.end() == 4
    assert "⟨CN_MOBILE:" in served[1]
    assert all(MOBILE not in text for text in [*served, *service.told])


def test_it_is_not_ready_while_a_source_or_the_store_is_away(serve: Callable[[], Service], logs: Path, home: Path) -> None:
    service = serve()
    for path, said in ((logs, f"office.door: no such folder: {logs}"), (home / "store.sqlite", "the store cannot be written")):
        path.rename(away := path.with_name("away"))
        with pytest.raises(urllib.error.HTTPError) as refused:
            service.get("/readyz")
        with refused.value:
            assert (refused.value.code, refused.value.read().decode().startswith(said)) == (503, True)
        assert service.get("/healthz") == "ok\n"
        away.rename(path)
        assert service.get("/readyz") == "ok\n"


def test_a_damaged_file_is_told_and_the_others_are_followed(serve: Callable[[], Service], logs: Path) -> None:
    (logs / "door.log").write_text(line(0, "lin"))
    packed = logs / "door.log.2.gz"
    packed.write_bytes(bytes.fromhex("1f8b0800000000000003") + b"no deflate")
    os.utime(packed, (0, 0))  # long packed: nobody writes to it any more
    service = serve()
    service.until(lambda one: count_of(one, "lin") == 1)
    service.until(lambda one: "rejected" in one.counted())


def refused(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    done = xmsec("run", *arguments, env=env)
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert done.stderr.count(b"\n") == 1, done.stderr
    return done


def test_without_a_stream_that_names_paths_it_says_what_to_do(home: Path) -> None:
    assert b"no stream names paths" in refused("--port", "0", "--home", home).stderr


def test_a_port_that_is_taken_is_named(home: Path, content: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused("--port", str(port), "--home", home, env=content).stderr
    assert f"127.0.0.1:{port}".encode() in said


def told(server: Web) -> dict[str, str]:
    """Of whom a receiver was told, by the ids of what it was sent."""
    return {one.headers["webhook-id"]: json.loads(one.body)["user"]["id"] for one in server.asked}


def test_findings_are_told_where_content_says_and_once_through_a_kill(
    serve: Callable[[], Service], content: dict[str, str], logs: Path, tmp_path: Path
) -> None:
    folder, targets = tmp_path / "content/notify", tmp_path / "targets.toml"
    folder.mkdir()
    (folder / "hook.yaml").write_text("title: {zh: 接口, en: Hook}\nchannel: webhook\nformat: ecs\ntell: first\n")
    with web() as server:
        targets.write_text(f'[hook]\nurl = "{server.url}"\nsecret = "whsec_{"c2VjcmV0" * 3}"\n')
        targets.chmod(0o600)
        content["XMSEC_NOTIFY_TARGETS"] = str(targets)
        log = logs / "door.log"
        log.write_text(line(0, "lin"))
        first = serve()
        first.until(lambda one: 'xmsec_deliveries_total{destination="hook",outcome="sent"} 1' in one.get("/metrics"))
        first.kill()
        with log.open("a") as writer:
            writer.write(line(1, "lin") + line(2, "wang"))
        serve().until(lambda _: len(told(server)) == 2)
        assert sorted(told(server).values()) == ["lin", "wang"], "what was on its way comes once more, under its id"
        assert MOBILE.encode() not in b"".join(one.body for one in server.asked)
