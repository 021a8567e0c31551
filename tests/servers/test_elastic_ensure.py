"""`index ensure`: what is there afterwards, what becomes of older indices, and which it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch
from tests.servers.indexed import FINDINGS, INCIDENTS, write

from xmsec.model.errors import ConfigError
from xmsec.model.ports import Query
from xmsec.model.types import Label
from xmsec.respond.chain import Entry
from xmsec.store import elastic, elastic_ensure
from xmsec.store.elastic_ensure import check, ensure, kept_check
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.elastic_schema import SCHEMA, TABLES, Table
from xmsec.store.rows import finding_row, incident_row

pytestmark = pytest.mark.servers

(FINDING, *_), (INCIDENT, *_) = FINDINGS, INCIDENTS
MONTH = f"{FINDING.window.start:%Y.%m}"


@pytest.fixture
def client(es_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url, request_timeout=60) as made:
        yield made


def old_index(client: Elasticsearch, name: str, schema: int | None, properties: Mapping[str, Any]) -> None:
    """An index as another version of us made it, in its alias, with one record that people have worked on."""
    mappings: dict[str, Any] = {"dynamic": False, "properties": properties}
    if schema is not None:
        mappings["_meta"] = {"schema": schema}
    client.indices.create(index=name, mappings=mappings, aliases={name.rpartition("-")[0]: {}})
    row = {**finding_row(FINDING), "status": "closed", "assignee": "wang"}
    client.create(index=name, id=FINDING.id, document=row, refresh=True)


def test_it_makes_every_alias_and_changes_nothing_when_repeated(client: Elasticsearch, prefix: str) -> None:
    assert ensure(client, "aaaa", prefix) == [f"created {prefix}-{table.name}-0" for table in TABLES]
    assert ensure(client, "aaaa", prefix) == []
    for name in ("findings", "incidents", "labels", "coverage", "runs"):
        assert client.count(index=f"{prefix}-{name}")["count"] == 0
    check(client, "aaaa", prefix)


def test_after_a_rotation_it_notes_the_new_key_and_who_lacks_it_is_told(client: Elasticsearch, prefix: str) -> None:
    ensure(client, "aaaa", prefix)
    with pytest.raises(ConfigError, match=r"not told of epoch 2 yet \(check value aaaa\).*run `xmsec index ensure`"):
        check(client, "aaaa+bbbb", prefix)
    ensure(client, "aaaa+bbbb", prefix)
    assert (check(client, "aaaa+bbbb", prefix), kept_check(client, prefix)) == (None, "aaaa+bbbb")
    for use in (check, ensure):
        with pytest.raises(ConfigError, match=r"made under epoch 2 \(check value bbbb\); the key file here ends with epoch 1"):
            use(client, "aaaa", prefix)
        with pytest.raises(ConfigError, match="made with another key"):
            use(client, "aaaa+cccc", prefix)
    with pytest.raises(ConfigError, match=r"made under HMAC-SHA-256 \(check value aaaa\), this key's hash is HMAC-SM3"):
        ensure(client, "sm3:aaaa", prefix)


def test_two_at_once_do_not_hinder_each_other(es_url: str, client: Elasticsearch, prefix: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ensure(client, "aaaa", prefix), range(4)))
    check(client, "aaaa", prefix)


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        (TABLES[0], finding_row(FINDING).keys()),
        (TABLES[1], incident_row(INCIDENT).keys()),
        (TABLES[2], Label.__struct_fields__),
        (TABLES[3], {*Entry.__struct_fields__, "entries"} - {"body"}),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_every_field_of_a_record_is_mapped(table: Table, fields: Any) -> None:
    assert set(fields) <= set(table.properties)


def test_a_field_that_no_mapping_names_is_refused(client: Elasticsearch, prefix: str) -> None:
    ensure(client, "aaaa", prefix)
    write(client, prefix, [FINDING], [INCIDENT])
    made = client.indices.get_mapping(index=f"{prefix}-findings").body
    assert {found["mappings"]["dynamic"] for found in made.values()} == {"strict"}
    assert {found["mappings"]["_meta"]["schema"] for found in made.values()} == {SCHEMA}


def test_coverage_shows_the_findings_of_that_kind(client: Elasticsearch, prefix: str) -> None:
    ensure(client, "aaaa", prefix)
    uncovered = msgspec.structs.replace(FINDING, id="c" * 32, kind="coverage")
    write(client, prefix, [FINDING, uncovered], [])
    hits = client.search(index=f"{prefix}-coverage")["hits"]["hits"]
    assert [hit["_id"] for hit in hits] == [uncovered.id]


def test_an_older_mapping_is_completed_in_place(client: Elasticsearch, prefix: str) -> None:
    name = f"{prefix}-findings-{MONTH}"
    old_index(client, name, None, {"id": {"type": "keyword"}, "time": {"type": "date"}, "status": {"type": "keyword"}})
    assert f"changed {name} from schema 1 to {SCHEMA}" in ensure(client, "aaaa", prefix)
    assert write(client, prefix, FINDINGS, []) == len(FINDINGS)
    (row,) = ElasticReader(client, prefix).page(Query("findings", {"id": (FINDING.id,)})).rows
    assert (row["status"], row["assignee"], row["count"]) == ("closed", "wang", FINDING.count)


def test_a_mapping_that_cannot_be_completed_is_copied_without_loss(client: Elasticsearch, prefix: str) -> None:
    name = f"{prefix}-findings-{MONTH}"
    old_index(client, name, 1, {"id": {"type": "keyword"}, "count": {"type": "keyword"}, "status": {"type": "text"}})
    assert f"copied {name} from schema 1 to {SCHEMA}" in ensure(client, "aaaa", prefix)
    assert ensure(client, "aaaa", prefix) == []
    assert list(client.indices.get(index=name)) == [f"{prefix}-v{SCHEMA}-findings-{MONTH}"]
    reader = ElasticReader(client, prefix)
    assert reader.count(Query("findings"), ("count",)) == {(str(FINDING.count),): 1}
    write(client, prefix, FINDINGS, [])
    assert reader.count(Query("findings", excepted=True), ()) == {(): len(FINDINGS)}
    (row,) = reader.page(Query("findings", {"id": (FINDING.id,)})).rows
    assert (row["status"], row["assignee"]) == ("closed", "wang")


def test_a_copy_that_was_killed_is_finished_by_the_next(client: Elasticsearch, prefix: str) -> None:
    name, half = f"{prefix}-findings-{MONTH}", f"{prefix}-v{SCHEMA}-findings-{MONTH}"
    old_index(client, name, 1, {"count": {"type": "keyword"}})
    client.create(index=name, id="later", document={**finding_row(FINDING), "id": "later"}, refresh=True)
    client.indices.create(index=half, mappings=TABLES[0].mappings())
    client.create(index=half, id=FINDING.id, document=finding_row(FINDING), refresh=True)
    client.indices.put_settings(index=name, settings={"index.blocks.write": True})
    assert [one.index for one in elastic_ensure.present(client, prefix)] == [name]
    ensure(client, "aaaa", prefix)
    assert client.count(index=f"{prefix}-findings")["count"] == 2
    assert list(client.indices.get(index=name)) == [half]


def test_what_is_written_during_a_copy_waits_and_arrives(client: Elasticsearch, prefix: str) -> None:
    name = f"{prefix}-findings-{MONTH}"
    old_index(client, name, 1, {"count": {"type": "keyword"}})
    client.indices.put_settings(index=name, settings={"index.blocks.write": True})
    refused, copied = Event(), Event()

    def wait(_pause_s: float) -> None:
        refused.set()
        assert copied.wait(60)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(elastic.index, client, FINDINGS, prefix=prefix, refresh=True, wait=wait)
        assert refused.wait(60)
        ensure(client, "aaaa", prefix)
        copied.set()
        assert writing.result() == elastic.Written(len(FINDINGS), {})
    assert client.count(index=f"{prefix}-findings")["count"] == len(FINDINGS)


def test_records_that_do_not_fit_leave_the_old_index_as_it_was(client: Elasticsearch, prefix: str) -> None:
    name = f"{prefix}-findings-{MONTH}"
    old_index(client, name, 1, {"count": {"type": "keyword"}})
    client.create(index=name, id="odd", document={"count": "many"}, refresh=True)
    with pytest.raises(ConfigError, match=rf"does not fit schema {SCHEMA} \(document_parsing_exception\), id odd"):
        ensure(client, "aaaa", prefix)
    client.delete(index=name, id="odd")
    assert f"copied {name} from schema 1 to {SCHEMA}" in ensure(client, "aaaa", prefix)


def test_an_index_of_a_newer_version_is_refused_by_name_and_left_alone(client: Elasticsearch, prefix: str) -> None:
    name = f"{prefix}-findings-{MONTH}"
    old_index(client, name, SCHEMA + 1, {"count": {"type": "keyword"}})
    with pytest.raises(ConfigError, match=rf"newer version \(schema {SCHEMA + 1}, this version writes {SCHEMA}\); {name}"):
        ensure(client, "aaaa", prefix)
    assert not client.indices.exists_index_template(name=f"{prefix}-findings")


@pytest.mark.parametrize(
    ("schema", "said"), [(SCHEMA + 1, "made by a newer version"), (SCHEMA - 1, "older mapping .* it takes the records along")]
)
def test_a_worker_refuses_indices_of_another_version(client: Elasticsearch, prefix: str, schema: int, said: str) -> None:
    ensure(client, "aaaa", prefix)
    client.update(index=f"{prefix}-deployment", id="key", doc={"schema": schema}, refresh=True)
    with pytest.raises(ConfigError, match=said):
        check(client, "aaaa", prefix)


def test_another_key_is_refused_by_name(client: Elasticsearch, prefix: str) -> None:
    ensure(client, "aaaa", prefix)
    for refuse in (ensure, check):
        with pytest.raises(ConfigError, match="check value aaaa, this key's is bbbb"):
            refuse(client, "bbbb", prefix)


def test_without_an_index_a_worker_is_told_what_to_run(client: Elasticsearch, prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"no index yet; .*; run `xmsec index ensure`"):
        check(client, "aaaa", prefix)
