"""How long records stay, and that a snapshot brings them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch
from tests.command import called
from tests.servers.indexed import FINDINGS, INCIDENTS, write

from xmsec.model.clock import EPOCH
from xmsec.model.types import Finding, Incident
from xmsec.store.elastic_ensure import check, ensure
from xmsec.store.elastic_keep import Pruned, prune, status
from xmsec.store.elastic_schema import SCHEMA
from xmsec.store.elastic_uses import ElasticUses, Mark
from xmsec.store.uses import DayUse

pytestmark = pytest.mark.servers

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def client(es_url: str, prefix: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url, request_timeout=60) as made:
        ensure(made, "aaaa", prefix)
        yield made


def finding(start: datetime, name: str) -> Finding:
    window = msgspec.structs.replace(FINDINGS[0].window, start=start, end=start + timedelta(hours=1))
    return msgspec.structs.replace(FINDINGS[0], id=name * 32, window=window, first_seen=start, time=start)


def incident(of: Finding) -> Incident:
    return msgspec.structs.replace(INCIDENTS[0], id=of.id, opened=of.first_seen, findings=(of.id,))


OLD, EDGE, YOUNG = (
    finding(datetime(2026, 8, 10, tzinfo=UTC), "0"),
    finding(datetime(2026, 8, 31, 23, tzinfo=UTC), "e"),
    finding(datetime(2026, 11, 2, tzinfo=UTC), "9"),
)
ALL = [OLD, EDGE, YOUNG]


def ids(client: Elasticsearch, alias: str) -> list[str]:
    client.indices.refresh(index=alias)
    return sorted(hit["_id"][0] for hit in client.search(index=alias)["hits"]["hits"])


def test_status_says_documents_size_schema_and_age(client: Elasticsearch, prefix: str) -> None:
    write(client, prefix, ALL, [])
    told = {one.index.removeprefix(f"{prefix}-"): one for one in status(client, NOW, prefix)}
    assert sorted(told) == [
        "acts-0",
        "counts-0",
        "findings-0",
        "findings-2026.08",
        "findings-2026.11",
        "incidents-0",
        "labels-0",
        "runs-0",
        "uses-0",
    ]
    august = told["findings-2026.08"]
    assert (august.documents, august.schema, august.age_days) == (2, SCHEMA, 85)
    assert august.bytes > 0
    assert told["findings-2026.11"].age_days == 0
    assert told["findings-0"].age_days is None


@pytest.mark.parametrize(
    ("days", "left"), [(1, ["uses-2025.10"]), (500, ["uses-2025.09", "uses-2025.10"])], ids=["400 at least", "as long as asked"]
)
def test_sums_of_use_stay_for_more_than_a_year(client: Elasticsearch, prefix: str, days: int, left: list[str]) -> None:
    for month in (9, 10):
        day = (datetime(2025, month, 30, tzinfo=UTC) - EPOCH).days
        ElasticUses(client, prefix).add("one-00000", [DayUse(day, "people", "lin", "city", 1, 0, 1)], Mark(month))
    prune(client, NOW, days, prefix)
    told = [one.index.removeprefix(f"{prefix}-") for one in status(client, NOW, prefix)]
    assert [one for one in told if one.startswith("uses-20")] == left


@pytest.mark.parametrize(("days", "left"), [(85, ["9", "e"]), (86, ["0", "9", "e"])], ids=["over", "not yet"])
def test_a_month_goes_when_it_ended_long_enough_ago(client: Elasticsearch, prefix: str, days: int, left: list[str]) -> None:
    write(client, prefix, ALL, [incident(one) for one in ALL])
    gone = prune(client, NOW, days, prefix)
    assert [one.index for one in gone.indices] == ([f"{prefix}-findings-2026.08"] if days == 85 else [])
    assert ids(client, f"{prefix}-findings") == (["9"] if days == 85 else left)
    assert ids(client, f"{prefix}-incidents") == left, "one near the month's end may still hold findings of the next"
    assert prune(client, NOW, days, prefix) == Pruned([], 0)


def test_a_rehearsal_deletes_nothing(client: Elasticsearch, prefix: str) -> None:
    write(client, prefix, ALL, [incident(one) for one in ALL])
    gone = prune(client, NOW, 85, prefix, rehearse=True)
    assert [(one.documents, one.age_days) for one in gone.indices] == [(2, 85)]
    assert gone.incidents == 1
    assert len(ids(client, f"{prefix}-findings")) == 3


def test_what_people_set_on_an_incident_outlives_its_findings(client: Elasticsearch, prefix: str) -> None:
    """An incident is deleted only by a run that has deleted every month its findings may lie in."""
    first, last = OLD, msgspec.structs.replace(EDGE, entity=OLD.entity)
    case = msgspec.structs.replace(incident(last), findings=(first.id, last.id))
    write(client, prefix, [first, last, YOUNG], [case])
    client.update(index=f"{prefix}-incidents-0", id=case.id, doc={"status": "closed"}, refresh=True)
    prune(client, NOW, 85, prefix)
    assert client.get(index=f"{prefix}-incidents-0", id=case.id)["_source"]["status"] == "closed"
    prune(client, NOW + timedelta(days=61), 85, prefix)
    assert ids(client, f"{prefix}-incidents") == []
    assert ids(client, f"{prefix}-findings") == ["9"]


def test_the_command_prunes_and_says_what_went(client: Elasticsearch, es_url: str, prefix: str, tmp_path: Path) -> None:
    write(client, prefix, [finding(datetime(2020, 1, 2, tzinfo=UTC), "0")], [])
    settings = {"XMSEC_ES_URL": es_url, "XMSEC_ES_PREFIX": prefix, "XMSEC_HOME": str(tmp_path)}
    told = [
        called("index", "prune", "--older-than", "400", *more, "--format", "jsonl", env=settings).stdout.splitlines()
        for more in (("--rehearse",), (), ())
    ]
    deleted = [[json.loads(line)["deleted"] for line in lines] for lines in told]
    assert deleted == [[f"{prefix}-findings-2020.01", "incidents"]] * 2 + [["incidents"]]


def test_a_snapshot_brings_back_records_aliases_and_what_people_set(client: Elasticsearch, prefix: str) -> None:
    write(client, prefix, ALL, [])
    client.update(index=f"{prefix}-findings-2026.11", id=YOUNG.id, doc={"status": "closed"}, refresh=True)
    repository = {"type": "fs", "settings": {"location": prefix}}
    client.snapshot.create_repository(name=prefix, repository=repository)
    what = {"indices": f"{prefix}-*", "include_global_state": False, "wait_for_completion": True}
    client.snapshot.create(repository=prefix, snapshot="day", **what)
    for index in client.indices.get(index=f"{prefix}-*"):
        client.indices.delete(index=index)
    for table in ("findings", "incidents", "labels", "runs"):
        client.indices.delete_index_template(name=f"{prefix}-{table}")
    client.snapshot.restore(repository=prefix, snapshot="day", **what)
    assert ensure(client, "aaaa", prefix) == []
    check(client, "aaaa", prefix)
    assert ids(client, f"{prefix}-findings") == ["0", "9", "e"]
    assert client.get(index=f"{prefix}-findings-2026.11", id=YOUNG.id)["_source"]["status"] == "closed"
