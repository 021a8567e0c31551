"""An Elasticsearch under pressure, and people at work in it while the engine writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch
from tests.servers.gateway import gateway
from tests.servers.indexed import FINDINGS, INCIDENTS, write

from xmsec.model.errors import ServiceError
from xmsec.store import elastic
from xmsec.store.elastic import BULK_DOCUMENTS, PAUSES_S, Written, documents, index
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_schema import finding_index

pytestmark = pytest.mark.servers

(FINDING, *_) = FINDINGS
ROUNDS = 60


@pytest.fixture
def client(es_url: str, prefix: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url, request_timeout=60) as made:
        ensure(made, "aaaa", prefix)
        yield made


def without_pause(_pause_s: float) -> None:
    """Ask again at once."""


def test_people_and_the_engine_write_the_same_records_at_once_and_neither_loses(client: Elasticsearch, prefix: str) -> None:
    incident = msgspec.structs.replace(INCIDENTS[0], id="i" * 32)
    write(client, prefix, [FINDING], [incident])
    people_set = ("status", "assignee")
    places = {
        (finding_index(FINDING, prefix), FINDING.id): (*people_set, "incident"),
        (f"{prefix}-incidents-0", incident.id): people_set,
    }

    def engine(number: int) -> None:
        for count in range(number, ROUNDS, 2):
            grown = msgspec.structs.replace(FINDING, count=FINDING.count + count)
            index(client, [grown], [msgspec.structs.replace(incident, risk=count)], prefix=prefix, wait=without_pause)

    def people(place: tuple[str, str], field: str) -> None:
        for turn in range(ROUNDS):
            client.update(index=place[0], id=place[1], doc={field: f"{field}-{turn}"}, retry_on_conflict=100)

    with ThreadPoolExecutor(9) as pool:
        working = [pool.submit(engine, number) for number in range(2)]
        working += [pool.submit(people, place, field) for place, fields in places.items() for field in fields]
        for one in working:
            one.result()
    index(client, [msgspec.structs.replace(FINDING, count=999)], [incident], prefix=prefix)
    for (where, record), fields in places.items():
        row = client.get(index=where, id=record)["_source"]
        assert {field: row[field] for field in fields} == {field: f"{field}-{ROUNDS - 1}" for field in fields}
    assert client.get(index=finding_index(FINDING, prefix), id=FINDING.id)["_source"]["count"] == 999


def test_one_document_that_does_not_fit_stops_no_other(client: Elasticsearch, prefix: str) -> None:
    broken = msgspec.structs.replace(FINDING, id="b" * 32, count=1 << 70)
    written = index(client, [broken, *FINDINGS], prefix=prefix, refresh=True)
    assert written == Written(len(FINDINGS), {broken.id: "refused:document_parsing_exception"})
    assert client.count(index=f"{prefix}-findings")["count"] == len(FINDINGS)


def test_a_disk_that_is_full_is_waited_for(client: Elasticsearch, prefix: str) -> None:
    write(client, prefix, [FINDING], [])
    where = finding_index(FINDING, prefix)
    block = "index.blocks.read_only_allow_delete"  # as Elasticsearch sets it at its flood-stage watermark: 429
    client.indices.put_settings(index=where, settings={block: True})
    pauses = []

    def wait(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 2:
            client.indices.put_settings(index=where, settings={block: None})

    written = index(client, [*FINDINGS, msgspec.structs.replace(FINDING, count=77)], prefix=prefix, refresh=True, wait=wait)
    assert written.refused == {}
    assert pauses == list(PAUSES_S[:2])
    assert client.count(index=f"{prefix}-findings")["count"] == len(FINDINGS)


def test_a_server_that_stays_busy_is_left_to_the_caller(client: Elasticsearch, prefix: str) -> None:
    write(client, prefix, [FINDING], [])
    client.indices.put_settings(index=finding_index(FINDING, prefix), settings={"index.blocks.write": True})
    pauses: list[float] = []
    with pytest.raises(ServiceError, match="Elasticsearch is busy: 403 cluster_block_exception") as caught:
        index(client, FINDINGS, prefix=prefix, wait=pauses.append)
    assert caught.value.retry
    assert tuple(pauses) == PAUSES_S


@pytest.mark.parametrize("answers", [[429], [503, 502], [429, 500, 429], [413, 413]], ids=str)
def test_a_request_that_is_refused_whole_comes_again_in_halves(
    client: Elasticsearch, es_url: str, prefix: str, answers: list[int]
) -> None:
    with gateway(es_url) as door, Elasticsearch(door.url, max_retries=0) as through:
        door.answers = deque(answers)
        assert index(through, FINDINGS, prefix=prefix, refresh=True, wait=without_pause) == Written(len(FINDINGS), {})
    assert door.asked[0] == len(FINDINGS)
    assert door.asked[1] == len(FINDINGS) // 2
    assert sum(door.asked[len(answers) :]) == len(FINDINGS)
    assert client.count(index=f"{prefix}-findings")["count"] == len(FINDINGS)


def test_a_document_that_is_too_large_alone_is_refused(client: Elasticsearch, es_url: str, prefix: str) -> None:
    with gateway(es_url) as door, Elasticsearch(door.url, max_retries=0) as through:
        door.answers = deque([413, 413])
        written = index(through, FINDINGS[:2], prefix=prefix, wait=without_pause)
    assert written == Written(1, {FINDINGS[0].id: "too-large"})


def test_a_request_holds_a_bounded_number_of_documents_and_bytes(client: Elasticsearch, es_url: str, prefix: str) -> None:
    many = [msgspec.structs.replace(FINDING, id=f"{number:032x}") for number in range(BULK_DOCUMENTS + 1)]
    heavy = [msgspec.structs.replace(one, title="x" * 600_000) for one in many[:8]]
    with gateway(es_url) as door, Elasticsearch(door.url, max_retries=0) as through:
        index(through, many, prefix=prefix)
        index(through, heavy, prefix=prefix)
    assert door.asked == [BULK_DOCUMENTS, 1, 6, 2]


def test_the_engine_writes_no_field_of_peoples() -> None:
    bodies: list[Any] = [msgspec.json.decode(one.body)["doc"] for one in documents(FINDINGS, INCIDENTS)]
    assert all(not {"status", "assignee", "incident", "related"} & set(body) for body in bodies)


def test_a_login_that_is_refused_is_waited_for() -> None:
    """An expired key makes no dead letters of what is written meanwhile."""
    part = list(documents(FINDINGS[:1], []))
    item = {"update": {"status": 403, "error": {"type": "security_exception", "reason": "7"}}}
    told = elastic.judged(part, {"items": [item]})
    assert (told.busy, told.refused, told.why) == (part, {}, "403 security_exception")
