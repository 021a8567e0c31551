"""What docker-compose.yml starts, as processes: its own commands and settings, with the addresses of real servers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from tests.command import XMSEC, environment
from tests.servers import real
from tests.servers.overseen import Overseer, overseen

pytestmark = [pytest.mark.servers, pytest.mark.faults]

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
WORKERS = ("worker-1", "worker-2")
GATEWAY = "onestop-service.gateway"


class Machine:
    """One machine: what a service's containers would see, and the processes in their place."""

    def __init__(self, folder: Path, servers: dict[str, str]) -> None:
        self._folder, self._servers = folder, servers
        self.running: list[subprocess.Popen[bytes]] = []
        (folder / "bin").mkdir()
        script = folder / "bin" / "xmsec"
        script.write_text(f"#!{sys.executable}\nfrom xmsec.cli.entry import main\nmain()\n")
        script.chmod(0o755)

    def environment(self, name: str) -> dict[str, str]:
        """A service's environment, its folders and servers here."""
        given = {key: self._here(str(value)) for key, value in SERVICES[name]["environment"].items()}
        for key in ("XMSEC_ES_USER", "XMSEC_ES_PASSWORD_FILE") if name != "secrets" else ():
            del given[key]  # the tests' Elasticsearch knows no logins
        here = {"XMSEC_HOME": str(self._folder / name), "XMSEC_HOST": "127.0.0.1", **self._servers}
        (self._folder / name).mkdir(exist_ok=True)
        path = os.pathsep.join((str(self._folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
        return environment({**given, **here, "PATH": path})

    def _here(self, value: str) -> str:
        value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$")
        return re.sub(r"^/(run|var/lib|etc)/xmsec|^/var/lib", str(self._folder), value)

    def command(self, name: str) -> list[str]:
        """What a service runs."""
        service = SERVICES[name]
        words = [self._here(word) for word in (*service.get("entrypoint", ()), *service.get("command", ()))]
        words = [str(ROOT / "deploy" / Path(word).name) if word.endswith((".sh", ".py")) else word for word in words]
        return words if "entrypoint" in service else [*XMSEC, *words]

    def ends(self, name: str, *instead: tuple[str, str]) -> subprocess.CompletedProcess[bytes]:
        """Run a one-shot service to its end."""
        words = [dict(instead).get(word, word) for word in self.command(name)]
        done = subprocess.run(words, env=self.environment(name), capture_output=True, cwd=self._folder, timeout=300)
        assert done.returncode == 0, done.stderr
        return done

    def start(self, name: str) -> str:
        """Start a service that runs on; return where it says how it is."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        words = [port if word in ("9464", "8470", "8471") else word for word in self.command(name)]
        with (self._folder / f"{name}.log").open("wb") as log:
            started = subprocess.Popen(
                words, stdout=subprocess.DEVNULL, stderr=log, env=self.environment(name), cwd=self._folder
            )
        self.running.append(started)
        return f"http://127.0.0.1:{port}"

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()


def told(url: str, path: str) -> tuple[int, str]:
    """Ask a service of its health; 0: nobody answers yet."""
    try:
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def is_ready(url: str) -> bool:
    return told(url, "/readyz") == (200, "ok\n")


def figures(url: str, name: str) -> list[float]:
    """The samples whose line begins so."""
    return [float(line.rpartition(" ")[2]) for line in told(url, "/metrics")[1].splitlines() if line.startswith(name)]


def lag(urls: list[str]) -> float:
    """What roles have not carried yet; record commits when it seals, a quarter of an hour later."""
    roles = ("classify", "detect", "index")
    return sum(sum(figures(url, f'xmsec_consumer_lag_records{{role="{role}"')) for url in urls for role in roles)


def send(bootstrap: str, topic: str, line: bytes) -> None:
    """Send one record."""
    with closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all")) as producer:
        producer.send(topic, line).get(timeout=60)


def assert_shown(overseer: Overseer) -> None:
    """What workers counted is on the pages of a console that reads Elasticsearch alone."""
    row = overseer.row(GATEWAY)
    records_rate_times_lag_refused_late = r"nginx-json [1-9][\d,]* [1-9][\d,]*\.\d( \d\d-\d\d [\d:]{8}){2} [\d,]+ [1-9]\d* \d+ "
    assert re.search(f"{records_rate_times_lag_refused_late}静默中", row), row  # the simulated days are over
    page = overseer.look()
    why = page.partition("拒收原因")[2]
    assert f'>{GATEWAY}</a></td><td translate="no">parse</td>' in why
    assert f"xmsec.raw.{GATEWAY}" in page.partition("工作进程积压")[2]
    overseer.accept("onestop-service")


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[real.Server]:
    """A broker that may be killed."""
    server = real.kafka(tmp_path / "kafka")
    yield server
    server.kill()


def test_the_compose_files_services_find_what_the_simulator_sends(kafka: real.Server, es_url: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"XMSEC_KAFKA_BOOTSTRAP": kafka.start(), "XMSEC_ES_URL": es_url})
    for folder in ("key", "elastic", "ingest", "simulated", "recordings"):
        (tmp_path / folder).mkdir(mode=0o700)
    made, again = (machine.ends("secrets").stdout.splitlines()[-1] for _ in range(2))
    assert made == again, "a second start replaces no secret"
    assert (tmp_path / "elastic" / "password").stat().st_mode & 0o777 == 0o400
    machine.ends("prepare")
    machine.ends("simulate", ("60000", "12000"))
    try:
        urls = {name: machine.start(name) for name in (*WORKERS, "console", "intake")}
        for name, url in urls.items():
            real.until(partial(is_ready, url))
            assert is_ready(url), machine.log(name)
        workers = [urls[name] for name in WORKERS]
        with Elasticsearch(es_url) as client, overseen(client, tmp_path / "overseer") as overseer:
            overseer.look()  # rates are told from the second look on
            send(machine.environment("worker-1")["XMSEC_KAFKA_BOOTSTRAP"], f"xmsec.raw.{GATEWAY}", b"{broken")
            fed = machine.ends("simulator", ("200", "0"))
            sent = int(fed.stdout.split()[1])
            real.until(lambda: client.count(index="xmsec-findings")["count"] >= 3)
            assert client.count(index="xmsec-findings")["count"] >= 3, machine.log("worker-1")
            assert all(figures(url, "xmsec_consumer_lag_records") for url in workers), "both have partitions"
            real.until(lambda: not lag(workers))
            assert lag(workers) == 0
            overseer.until_told(records=sent + 1, refused=1)
            assert_shown(overseer)
        # a partition that moves, as on a slow machine, is read again from its last commit
        assert sum(sum(figures(url, 'xmsec_records_total{what="parsed"')) for url in workers) >= sent
        assert sum(sum(figures(url, "xmsec_findings_told_total")) for url in workers) >= 3
        assert sum(sum(figures(url, "xmsec_table_rows")) for url in workers) > 0
        kafka.kill()
        real.until(lambda: told(workers[0], "/readyz")[0] == 503)
        assert "Kafka" in told(workers[0], "/readyz")[1]
        assert told(workers[0], "/healthz") == (200, "ok\n")
    finally:
        for process in machine.running:
            process.kill()
            process.wait()
    assert all(line.startswith("{") for line in machine.log("worker-1").splitlines())
