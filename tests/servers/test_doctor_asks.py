"""What the doctor asks servers, and what it says of their answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from tests.command import called, environment, new_home, rows

pytestmark = pytest.mark.servers

STREAMS = ("--streams", "generic.web")


def asked(env: dict[str, str], *more: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Ask the doctor; return its exit code and its lines of each check."""
    done = called("doctor", "--production", *STREAMS, *more, env=env)
    told: dict[str, list[dict[str, str]]] = {}
    for line in rows(done.stdout):
        told.setdefault(line["check"], []).append(line)
    assert told, done.stderr
    return done.returncode, told


def said(lines: list[dict[str, str]], state: str) -> str:
    return json.dumps([line for line in lines if line["state"] == state])


def test_topics_and_indices_are_looked_at_one_by_one(kafka_bootstrap: str, es_url: str, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", tmp_path)
    env = {
        "XMSEC_HOME": str(home),
        "XMSEC_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "XMSEC_ES_URL": es_url,
        "XMSEC_ES_PREFIX": "doctor",
    }
    code, told = asked(env)
    assert code == 1
    assert "no index yet" in said(told["elasticsearch"], "fail")
    assert "xmsec.raw.generic.web: missing" in said(told["kafka"], "fail")
    for command in (("topics", "ensure", "--partitions", "3", *STREAMS), ("index", "ensure")):
        assert called(*command, env=env).returncode == 0
    code, told = asked(env)
    assert (code, said(told["kafka"], "fail"), said(told["elasticsearch"], "fail")) == (0, "[]", "[]"), told
    assert "one replica" in said(told["kafka"], "warn")
    change(kafka_bootstrap, "xmsec.raw.generic.web", {"retention.ms": "1000"})
    code, told = asked(env)
    assert code == 1
    assert "xmsec.raw.generic.web: retention.ms is 1000, 172800000 is wanted" in said(told["kafka"], "fail")
    change(kafka_bootstrap, "xmsec.raw.generic.web", {"retention.ms": "172800000"})
    with Elasticsearch(es_url) as client:
        for index in client.indices.get(index="doctor-*"):
            client.indices.delete(index=index)


def change(bootstrap: str, topic: str, settings: dict[str, str]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=settings)])
    admin.close()


def test_a_service_that_does_not_answer_is_exit_three(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", tmp_path)
    env = {"XMSEC_HOME": str(home), "XMSEC_KAFKA_BOOTSTRAP": "127.0.0.1:9", "XMSEC_ES_URL": "http://127.0.0.1:9"}
    code, told = asked(environment(env) | env)
    assert code == 3
    assert [told[name][-1]["state"] for name in ("kafka", "elasticsearch")] == ["fail", "fail"]
    assert all(told[name][-1]["remedy"] for name in ("kafka", "elasticsearch"))
