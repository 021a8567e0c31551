"""`xmsec worker respond` and `notify`: what comes of cases on Kafka, whoever is killed.

Intents become runs in Elasticsearch, each step done once; findings reach their receivers.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaProducer
from tests.command import KEY, XMSEC, called, environment, new_home
from tests.playbooks import Aim, Run, dies
from tests.receivers import Web, told
from tests.servers import real
from tests.servers.emptied import put_out
from tests.servers.indexed import INCIDENTS, write

from xmsec.classify.token import check_value
from xmsec.model.ids import intent_id
from xmsec.model.types import Finding, Intent, Rejected
from xmsec.runtime.faust import frames
from xmsec.store.elastic_ensure import ensure
from xmsec.store.outbox import Outbox

pytestmark = [pytest.mark.servers, pytest.mark.faults]

INCIDENT = msgspec.structs.replace(INCIDENTS[0], id="5e5b0d" + "0" * 26)  # nobody else's
INTENT = Intent(intent_id("contain-account", INCIDENT.id), "contain-account", INCIDENT.id)
UNKNOWN = Intent("0" * 32, "no-such-playbook", INCIDENT.id)


@pytest.fixture
def aim(tmp_path: Path) -> Iterator[Aim]:
    with Aim(tmp_path / "content") as made:
        yield made


@pytest.fixture
def run(aim: Aim, kafka_bootstrap: str, es_url: str, prefix: str, tmp_path: Path) -> Run:
    home = new_home(tmp_path / "home", Path("/nowhere"))
    settings = {"XMSEC_CONTENT_DIRS": str(tmp_path / "content"), "XMSEC_ES_URL": es_url, "XMSEC_ES_PREFIX": prefix}
    settings |= {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, "XMSEC_LEASE_S": "2", "XMSEC_KEY_FILE": str(home / "key")}
    with Elasticsearch(es_url) as client:
        ensure(client, check_value(bytes.fromhex(KEY)), prefix)
        write(client, prefix, [], [INCIDENT])
    made = called("topics", "ensure", "--partitions", "3", "--streams", "generic.web", env=settings)
    assert made.returncode == 0, made.stderr
    return Run(home, settings)


def worker(run: Run) -> subprocess.Popen[bytes]:
    """One of any number of workers that share a home."""
    command = [*XMSEC, "worker", "respond", "--streams", "generic.web", "--home", str(run.home)]
    with (run.home / "worker.log").open("ab") as log:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=environment(run.settings))


def send(bootstrap: str, intents: tuple[Intent, ...]) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    value = frames.pack(frames.Cases((), (INCIDENT,), intents))
    for partition in (0, 1, 1):  # an incident asks again with each of its findings
        producer.send("xmsec.cases", value, partition=partition).get(timeout=30)
    producer.close()


def stands(run: Run) -> str:
    listed = run.playbook("list")
    return next((one["stands"] for one in listed if one.get("run") == INTENT.id), "")


def test_each_intent_becomes_one_run_and_each_step_is_done_once(run: Run, aim: Aim, kafka_bootstrap: str) -> None:
    target = aim(["before", "asked", "before", "asked", "after", "asked"])
    send(kafka_bootstrap, (INTENT, UNKNOWN))
    with ExitStack() as stack:
        for process in [worker(run), worker(run)]:
            stack.callback(process.wait)
            stack.callback(process.kill)
        real.until(lambda: stands(run).startswith("wait"))
        assert [entry["kind"] for entry in run.playbook("show", INTENT.id)] == ["started"]
    (run.stands,) = run.playbook("resume", INTENT.id)
    run.approve()
    assert run.die(target, "approve", INTENT.id, run.stands["step"])
    for _ in range(5):  # each goes on with what the one before left, and is killed
        put_out(kafka_bootstrap)
        assert dies(target, lambda: worker(run))
    put_out(kafka_bootstrap)
    with ExitStack() as stack:
        for process in [worker(run), worker(run)]:
            stack.callback(process.wait)
            stack.callback(process.kill)
        real.until(lambda: stands(run).startswith("wait"))
        assert stands(run).startswith("wait")
    (key,) = target.posts
    assert target.done == {key: 1}
    run.finish()
    assert reasons(kafka_bootstrap) == {"no-playbook"}


def reasons(bootstrap: str) -> set[str]:
    """Why respond refused what it refused."""
    from tests.servers.toy_scene import Reader

    from xmsec.runtime.faust.topics import Cluster

    with Reader(Cluster(bootstrap, ()), "dead") as dead:
        dead.until(lambda values: any(letter.leg == "respond" for letter in letters(values)))
        return {letter.reason for letter in letters(dead.values) if letter.leg == "respond"}


def letters(values: list[bytes]) -> list[Rejected]:
    return [msgspec.json.decode(value, type=Rejected) for value in values]


def ids(server: Web) -> list[str]:
    return [json.loads(one.body)["event"]["id"] for one in server.asked]


def tell(bootstrap: str, *findings: Finding) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    for place, finding in enumerate(findings):
        value = frames.pack(frames.Cases((finding,), (), ()))
        producer.send("xmsec.cases", value, partition=place % 3).get(timeout=30)
    producer.close()


def test_findings_reach_a_receiver_through_kills_of_both_sides(kafka_bootstrap: str, es_url: str, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", Path("/nowhere"))
    (tmp_path / "content/notify").mkdir(parents=True)
    text = "title: {zh: 接口, en: Hook}\nchannel: webhook\nformat: ecs\nwhere: {detector: [notify-test]}\n"
    tests = (
        "tests:\n- {name: a, finding: {detector: notify-test}, goes: true}\n- {name: b, finding: {detector: b}, goes: false}\n"
    )
    (tmp_path / "content/notify/hook.yaml").write_text(text + tests)
    server = Web([(200, {}, b"")])
    targets = tmp_path / "targets.toml"
    targets.write_text(f'[hook]\nurl = "{server.url}"\ntoken = "t"\n')
    targets.chmod(0o600)
    settings = {"XMSEC_CONTENT_DIRS": str(tmp_path / "content"), "XMSEC_NOTIFY_TARGETS": str(targets)}
    settings |= {"XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap, "XMSEC_ES_URL": es_url, "XMSEC_KEY_FILE": str(home / "key")}
    made = called("topics", "ensure", "--partitions", "3", "--streams", "generic.web", env=settings)
    assert made.returncode == 0, made.stderr
    tell(kafka_bootstrap, told("before", detector="notify-test"))

    def notifying() -> subprocess.Popen[bytes]:
        command = [*XMSEC, "worker", "notify", "--streams", "generic.web", "--home", str(home)]
        with (home / "worker.log").open("ab") as log:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=environment(settings))

    with ExitStack() as stack:
        stack.callback(lambda: print((home / "worker.log").read_text()))
        stack.callback(server.close)
        box = Outbox(home)
        stack.callback(box.close)
        box.begin("hook", 0, datetime.now(UTC))
        tell(kafka_bootstrap, told("a", detector="notify-test"), told("other", detector="other"))
        first = notifying()
        stack.callback(first.wait)
        stack.callback(first.kill)
        real.until(lambda: ids(server) == ["a"])
        server.answers = [(503, {}, b"")]
        tell(kafka_bootstrap, told("b", detector="notify-test"))
        real.until(lambda: ids(server)[1:2] == ["b"])
        first.kill()
        first.wait()
        put_out(kafka_bootstrap)
        tell(kafka_bootstrap, told("c", detector="notify-test"))
        server.answers = [(200, {}, b"")]
        for _ in range(2):  # over one home one of them delivers
            another = notifying()
            stack.callback(another.wait)
            stack.callback(another.kill)
        real.until(lambda: {"a", "b", "c"} <= set(ids(server)))
        assert len({one.headers["webhook-id"] for one in server.asked}) == 3, "sent again, it has its id"
        assert set(ids(server)) == {"a", "b", "c"}
