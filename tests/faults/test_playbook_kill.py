"""A playbook's run is killed with -9 in the middle of an act; continued, it does each step once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from tests.command import rows, started, xmsec

pytestmark = pytest.mark.faults

SHIPPED = Path(__file__).parents[2] / "playbooks" / "contain-account.json"
PROBE = b'203.0.113.7 - - [24/Nov/2025:08:00:%02d +0800] "GET /wp-login.php HTTP/1.1" 404 512 "-" "x"\n'


class Target(ThreadingHTTPServer):
    """An identity service that kills who asks it: `fate` says, request by request, when; afterwards it answers in peace.

    before: the request is lost with its sender; after: it is carried out, nobody is there to hear so; answered: it is carried
    out and answered, and then its sender dies.
    """

    def __init__(self, fate: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.fate = fate
        self.posts: Counter[str] = Counter()  # requests by idempotency key
        self.done: Counter[str] = Counter()  # what was carried out
        self.suspended: set[str] = set()
        self.victim = 0
        self.known = Event()

    def kill(self) -> None:
        self.known.wait(60)
        os.kill(self.victim, signal.SIGKILL)


class Answer(BaseHTTPRequestHandler):
    server: Target

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key, account = self.headers["Idempotency-Key"], self.path.split("/")[2]
        self.server.posts[key] += 1
        fate = self.server.fate.pop(0) if self.server.fate else ""
        if fate == "before":
            self.server.kill()
            return
        if account not in self.server.suspended:
            self.server.done[key] += 1
            self.server.suspended.add(account)
        if fate == "after":
            self.server.kill()
            return
        self._answer(200)
        if fate == "answered":
            self.server.kill()

    def do_GET(self) -> None:
        if self.server.fate and self.server.fate[0] == "asked":
            self.server.fate.pop(0)
            self.server.kill()
            return
        self._answer(200 if self.path.split("/")[2] in self.server.suspended else 404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def aim(tmp_path: Path) -> Iterator[Callable[[list[str], bool], Target]]:
    """Start a target and aim the shipped playbook at it; without `verify` nobody can ask what happened."""
    servers: list[Target] = []

    def start(fate: list[str], verify: bool = True) -> Target:
        server = Target(fate)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        body = json.loads(SHIPPED.read_text("utf-8"))
        for definition in body["target_definitions"].values():
            definition["address"], definition["port"] = {"ipv4": ["127.0.0.1"]}, str(server.server_port)
        for step in body["workflow"].values():
            for extension in step.get("step_extensions", {}).values():
                if not verify:
                    del extension["verify"]
        folder = tmp_path / "content" / "playbooks"
        folder.mkdir(parents=True)
        (folder / SHIPPED.name).write_text(json.dumps(body), "utf-8")
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Run:
    """One run, driven by the command."""

    def __init__(self, home: Path, content: Path) -> None:
        self._home, self._env = home, {"XMSEC_CONTENT_DIRS": str(content)}
        self.stands: dict[str, Any] = {}

    def playbook(self, *arguments: str) -> list[dict[str, Any]]:
        done = xmsec("playbook", *arguments, "--home", self._home, env=self._env)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    def begin(self) -> None:
        done = xmsec("scan", "-", "--home", self._home, "--format", "jsonl", given=b"".join(PROBE % at for at in range(5)))
        incident = rows(done.stdout)[0]["incident"]
        (self.stands,) = self.playbook("run", "contain-account", "--incident", incident, "--by", "duty")

    def approve(self, *more: str) -> None:
        (self.stands,) = self.playbook("approve", self.stands["run"], self.stands["step"], "--by", "duty", *more)

    def die(self, target: Target, *arguments: str) -> bool:
        """Go on until the target kills; false when the command came to its end before that."""
        target.known.clear()
        life = started("playbook", *arguments, "--by", "duty", "--home", self._home, env=self._env)
        target.victim = life.pid
        target.known.set()
        life.communicate()
        return life.returncode == -signal.SIGKILL

    def entries(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["step"]) for one in self.playbook("show", self.stands["run"])]


def test_each_step_is_done_once_however_often_its_run_dies(
    home: Path, tmp_path: Path, aim: Callable[[list[str], bool], Target]
) -> None:
    target = aim(["before", "asked", "before", "asked", "asked", "after", "asked"], True)
    run = Run(home, tmp_path / "content")
    run.begin()
    run.approve()
    acting = run.stands["step"]
    assert run.die(target, "approve", run.stands["run"], acting)
    deaths = 1
    while run.die(target, "resume", run.stands["run"]):
        deaths += 1
    assert deaths == 7
    (key,) = target.posts
    assert target.done == {key: 1}
    assert [kind for kind, step in run.entries() if step == acting].count("applied") == 1
    (run.stands,) = run.playbook("resume", run.stands["run"])
    while run.stands["stands"] == "wait":
        run.approve()
    assert run.stands["stands"] == "done"
    applied = [step for kind, step in run.entries() if kind == "applied"]
    assert len(applied) == len(set(applied)) == 4
    assert xmsec("playbook", "verify", "--home", home).stdout.endswith(b"whole\n")


def test_a_run_that_dies_after_the_answer_does_not_act_again(
    home: Path, tmp_path: Path, aim: Callable[[list[str], bool], Target]
) -> None:
    target = aim(["answered"], True)
    run = Run(home, tmp_path / "content")
    run.begin()
    run.approve()
    run.die(target, "approve", run.stands["run"], run.stands["step"])
    (run.stands,) = run.playbook("resume", run.stands["run"])
    assert run.stands["stands"] == "wait"
    assert set(target.posts.values()) == set(target.done.values()) == {1}


def test_what_nobody_can_ask_for_is_left_to_a_person(
    home: Path, tmp_path: Path, aim: Callable[[list[str], bool], Target]
) -> None:
    target = aim(["after"], False)
    run = Run(home, tmp_path / "content")
    run.begin()
    run.approve()
    acting = run.stands["step"]
    assert run.die(target, "approve", run.stands["run"], acting)
    (run.stands,) = run.playbook("resume", run.stands["run"])
    assert (run.stands["stands"], run.stands["step"]) == ("wait", acting)
    assert "whether it happened" in run.stands["why"]
    run.approve("--done")
    assert run.stands["step"] != acting
    assert sum(target.posts.values()) == 1
