"""Playbook runs that are killed in the middle of an act, and the service that they act on: shared by both stores' tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from tests.command import called, rows, started

SHIPPED = Path(__file__).parents[1] / "playbooks" / "contain-account.json"


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


class Aim(ExitStack):
    """Starts a target and aims the shipped playbook at it, in a content folder; without `verify` nobody knows what happened."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder / "playbooks"
        self._folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, fate: list[str], verify: bool = True) -> Target:
        server = Target(fate)
        self.callback(server.server_close)
        self.callback(server.shutdown)
        Thread(target=server.serve_forever, daemon=True).start()
        body = json.loads(SHIPPED.read_text("utf-8"))
        for definition in body["target_definitions"].values():
            definition["address"], definition["port"] = {"ipv4": ["127.0.0.1"]}, str(server.server_port)
        for step in body["workflow"].values():
            for extension in step.get("step_extensions", {}).values():
                if not verify:
                    del extension["verify"]
        (self._folder / SHIPPED.name).write_text(json.dumps(body), "utf-8")
        return server


class Run:
    """One run, driven by the command."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.home, self.settings = home, dict(settings)
        self.stands: dict[str, Any] = {}

    def playbook(self, *arguments: str) -> list[dict[str, Any]]:
        done = called("playbook", *arguments, "--home", self.home, env=self.settings)
        assert done.returncode == 0, done.stderr
        return rows(done.stdout)

    def begin(self, incident: str) -> None:
        (self.stands,) = self.playbook("run", "contain-account", "--incident", incident, "--by", "duty")

    def approve(self, *more: str) -> None:
        (self.stands,) = self.playbook("approve", self.stands["run"], self.stands["step"], "--by", "duty", *more)

    def resume(self) -> None:
        (self.stands,) = self.playbook("resume", self.stands["run"])

    def die(self, target: Target, *arguments: str) -> bool:
        """Go on until the target kills; false when the command came to its end before that."""
        return dies(target, lambda: started("playbook", *arguments, "--by", "duty", "--home", self.home, env=self.settings))

    def entries(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["step"]) for one in self.playbook("show", self.stands["run"])]

    def finish(self) -> None:
        """Approve what is left; every step was done, once, and the record is whole."""
        self.resume()
        while self.stands["stands"] == "wait":
            self.approve()
        assert self.stands["stands"] == "done"
        applied = [step for kind, step in self.entries() if kind == "applied"]
        assert len(applied) == len(set(applied)) == 4
        verified = called("playbook", "verify", "--home", self.home, env=self.settings)
        assert verified.stdout.endswith(b"whole\n")


def dies(target: Target, start: Callable[[], subprocess.Popen[bytes]]) -> bool:
    """Start a process that the target may kill, and wait for its end; whether it was killed."""
    target.known.clear()
    life = start()
    target.victim = life.pid
    target.known.set()
    life.communicate()
    return life.returncode == -signal.SIGKILL


SEVEN = ("before", "asked", "before", "asked", "asked", "after", "asked")


def dies_seven_times(run: Run, target: Target) -> None:
    """Each step is done once, however often its run dies; the target's fate is `SEVEN`."""
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
    run.finish()


def dies_after_the_answer(run: Run, target: Target) -> None:
    """It does not act again; the target's fate is `answered`."""
    run.approve()
    run.die(target, "approve", run.stands["run"], run.stands["step"])
    run.resume()
    assert run.stands["stands"] == "wait"
    assert set(target.posts.values()) == set(target.done.values()) == {1}


def is_left_to_a_person(run: Run, target: Target) -> None:
    """What nobody can ask for; the target's fate is `after`, and it cannot be verified."""
    run.approve()
    acting = run.stands["step"]
    assert run.die(target, "approve", run.stands["run"], acting)
    run.resume()
    assert (run.stands["stands"], run.stands["step"]) == ("wait", acting)
    assert "whether it happened" in run.stands["why"]
    run.approve("--done")
    assert run.stands["step"] != acting
    assert sum(target.posts.values()) == 1
