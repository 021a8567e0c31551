"""Findings and incidents in a real Elasticsearch: as the embedded store has them, written any number of times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk, scan
from tests import toys
from tests.contract.every_acts import ADA, BOB, EVE, SCENES, Engine, Kept, everything, held, said, sqlite, started
from tests.contract.every_store import CODECS
from tests.servers.indexed import FINDINGS, INCIDENTS, MADE, write

from xmsec.findings.hidden import hits, would_hide
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, InputError, ServiceError
from xmsec.model.ports import Query
from xmsec.model.types import Finding, Incident
from xmsec.runtime import cases
from xmsec.store import elastic
from xmsec.store.acts import SqliteActs
from xmsec.store.elastic_acts import ElasticActs
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.elastic_schema import incident_index
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import SqliteStore

pytestmark = pytest.mark.servers


@pytest.fixture
def client(es_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url) as made:
        yield made


@pytest.fixture
def reader(client: Elasticsearch, prefix: str) -> ElasticReader:
    ensure(client, "aaaa", prefix)
    return ElasticReader(client, prefix)


def rows(reader: ElasticReader | SqliteReader, query: Query) -> list[dict[str, Any]]:
    """All rows of a query, page by page, as they are written out."""
    page = reader.page(query)
    found = list(page.rows)
    while page.next is not None:
        page = reader.page(query, page.next)
        found += page.rows
    return [msgspec.to_builtins(row) for row in found]


def test_an_empty_deployment_answers(reader: ElasticReader) -> None:
    assert rows(reader, Query("findings")) == []
    assert reader.count(Query("incidents"), ()) == {(): 0}


def test_it_says_what_the_embedded_store_says(
    client: Elasticsearch, prefix: str, reader: ElasticReader, tmp_path: Path
) -> None:
    write(client, prefix, FINDINGS, INCIDENTS)
    with closing(SqliteStore(tmp_path / "s", CODECS)) as store:
        store.commit(MADE)
        embedded = SqliteReader(store.connection)
        for place in (
            cases.Place(reader, ElasticActs(client, prefix)),
            cases.Place(embedded, SqliteActs(lambda: store.connection)),
        ):
            cases.triage_findings(place, said("1"), [FINDINGS[0].id], "acknowledged", "wang")
            cases.triage(place, said("2"), INCIDENTS[1].id, "closed", "li")
            place.acts.cover([FINDINGS[2].id, FINDINGS[3].id, "none"], "from-the-console")
        times = sorted(finding.time for finding in FINDINGS)
        for query in (
            Query("findings", {"status": ("closed", "acknowledged")}, limit=2),
            Query("findings", {"status": ("new",)}, order="time", limit=5),
            Query("findings", {"assignee": ("wang",)}),
            Query("findings", {"assignee": ("",)}, order="-risk", limit=50),
            Query("findings", since=times[3], until=times[-3], limit=4),
            Query("findings", {"incident": (INCIDENTS[0].id, INCIDENTS[1].id)}, limit=3),
            Query("findings", text="USER-1 toys", limit=3),
            Query("findings", {"stage": ("",), "grade": ("",)}, limit=40),
            Query("incidents", {"status": ("closed",)}),
            Query("incidents", {"system": ("toys",), "assignee": ("",)}, limit=3),
            Query("incidents", text="user-2"),
            Query("findings", limit=3),
            Query("findings", {"severity": ("high",)}, order="severity", limit=4),
            Query("findings", {"entity.id": ("user-1", "user-2")}, order="-count", limit=2),
            Query("findings", excepted=True, limit=7),
            Query("findings", {"exception": ("known",)}, limit=1),
            Query("findings", {"exception": ("from-the-console",)}),
            Query("incidents", {"status": ("new",)}, order="-opened", limit=2),
            Query("incidents", order="risk", limit=1),
        ):
            told = rows(embedded, query)
            assert told, f"a comparison of nothing: {query}"
            for ours, theirs in zip(rows(reader, query), told, strict=True):
                assert ours == theirs
        for by in (
            ("severity", "detector"),
            ("window.start",),
            ("entity.type", "entity.id", "state"),
            ("stage", "grade"),
            ("status",),
        ):
            assert reader.count(Query("findings"), by) == embedded.count(Query("findings"), by)
        assert reader.count(Query("incidents"), ("system",)) == embedded.count(Query("incidents"), ("system",)) != {}
        for query, by in (
            (Query("findings", since=times[2]), ("severity", "system")),
            (Query("incidents", since=EPOCH), ("risk",)),
        ):
            told_by_step = embedded.course(query, timedelta(minutes=1), by)
            assert told_by_step
            assert reader.course(query, timedelta(minutes=1), by) == told_by_step
        every = Query("findings", excepted=True)
        assert reader.count(every, ("exception", "kind")) == embedded.count(every, ("exception", "kind"))
        assert hits(toys.EXCEPTIONS, reader) == hits(toys.EXCEPTIONS, embedded)
        assert would_hide(toys.EXCEPTIONS[0], reader) == would_hide(toys.EXCEPTIONS[0], embedded)
        assert reader.count(Query("incidents"), ("status", "assignee")) == embedded.count(
            Query("incidents"), ("status", "assignee")
        )


def test_writing_again_changes_nothing(client: Elasticsearch, prefix: str, reader: ElasticReader) -> None:
    assert write(client, prefix, FINDINGS, INCIDENTS) == len(FINDINGS) + len(INCIDENTS)
    ensure(client, "aaaa", prefix)
    assert write(client, prefix, FINDINGS, INCIDENTS) == 0
    assert reader.count(Query("findings", excepted=True), ()) == {(): len(FINDINGS)}


def test_what_people_set_stays_when_the_engine_writes_again(client: Elasticsearch, prefix: str, reader: ElasticReader) -> None:
    (incident, *_) = INCIDENTS
    write(client, prefix, FINDINGS, [incident])
    client.update(index=f"{prefix}-incidents-0", id=incident.id, doc={"status": "closed", "assignee": "wang"}, refresh=True)
    write(client, prefix, [], [msgspec.structs.replace(incident, risk=99)])
    (row,) = rows(reader, Query("incidents", {"status": ("closed",)}))
    assert (row["status"], row["assignee"], row["risk"]) == ("closed", "wang", 99)
    of_incident = [row for row in rows(reader, Query("findings")) if row["incident"] == incident.id]
    assert {row["status"] for row in of_incident} == {"closed"}


def test_a_finding_lies_in_the_month_of_its_window(client: Elasticsearch, prefix: str, reader: ElasticReader) -> None:
    (finding, *_) = FINDINGS
    window = msgspec.structs.replace(finding.window, start=finding.window.start + timedelta(days=31))
    write(client, prefix, [finding, msgspec.structs.replace(finding, id="f" * 32, window=window)], [])
    indices = sorted(client.indices.get(index=f"{prefix}-findings").body)
    assert indices == [f"{prefix}-findings-{name}" for name in ("0", "1970.01", "1970.02")]


def test_an_unknown_column_or_a_foreign_cursor_is_one_clear_error(reader: ElasticReader) -> None:
    with pytest.raises(ConfigError, match="no column"):
        reader.page(Query("findings", order="_script"))
    with pytest.raises(ConfigError, match="no table"):
        reader.page(Query("dead"))
    with pytest.raises(InputError, match="bad-cursor"):
        reader.page(Query("findings"), "bm9uZQ==")


def test_a_server_that_is_not_there_is_a_service_error(prefix: str) -> None:
    with Elasticsearch("http://127.0.0.1:9", max_retries=0) as client:
        with pytest.raises(ServiceError, match="findings are not taken"):
            elastic.index(client, FINDINGS, prefix=prefix)
        with pytest.raises(ServiceError, match="does not answer"):
            ElasticReader(client, prefix).page(Query("findings"))


class Indexed:
    """Elasticsearch as workers and people use it."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self.reader, self.acts = ElasticReader(client, prefix), ElasticActs(client, prefix)
        self._client, self._prefix = client, prefix

    def write(self, findings: Sequence[Finding], incidents: Sequence[Incident]) -> None:
        written = elastic.index(self._client, findings, incidents, prefix=self._prefix, refresh=True)
        assert written.refused == {}


PREFIX = "t-acts"


@pytest.fixture(scope="module")
def shared(es_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url) as made:
        ensure(made, "aaaa", PREFIX)
        yield made


@pytest.fixture
def kept(shared: Elasticsearch) -> Indexed:
    """Empty indices: making them anew takes longer than a scene."""
    tables = [f"{PREFIX}-{name}" for name in ("findings", "incidents", "acts")]
    hits = scan(shared, index=",".join(tables), query={"_source": False})
    bulk(shared, ({"_op_type": "delete", "_index": hit["_index"], "_id": hit["_id"]} for hit in hits), refresh=True)
    return Indexed(shared, PREFIX)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_people_decide_as_in_the_embedded_store(scene: Callable[[Kept], None], kept: Indexed, tmp_path: Path) -> None:
    scene(kept)
    with sqlite(tmp_path) as embedded:
        scene(embedded)
        assert everything(kept) == everything(embedded)


def test_a_document_of_an_older_version_is_shaped_and_a_worker_that_says_all_again_changes_nothing(
    shared: Elasticsearch, kept: Indexed
) -> None:
    _, place, ada, bob, eve = started(kept)
    index = incident_index(PREFIX)
    for name in (ada, bob):
        source = dict(shared.get(index=index, id=name)["_source"])
        del source["own"]
        shared.index(index=index, id=name, document=source, refresh=True)
    cases.merge(place, said("m"), ada, [bob])
    assert held(kept) == {ada: {ADA[0].id, ADA[1].id, BOB[0].id}, eve: {EVE[0].id}}
    before = everything(kept)
    kept.write(*Engine().tells(*ADA[:2], BOB[0], *EVE))
    ensure(shared, "aaaa", PREFIX)
    assert everything(kept) == before


def test_an_act_that_was_cut_off_is_finished_when_it_is_said_again(shared: Elasticsearch, kept: Indexed) -> None:
    _, place, ada, bob, eve = started(kept)
    act = cases.merge(place, said("m"), ada, [bob])
    for name in (ada, bob):  # as if the process had been killed behind the act's own document
        own = [one.id for one in ADA[:2]] if name == ada else [BOB[0].id]
        shared.update(index=incident_index(PREFIX), id=name, doc={"root": None, "findings": own}, refresh=True)
    assert cases.merge(place, said("m"), ada, [bob]) == act
    assert held(kept) == {ada: {ADA[0].id, ADA[1].id, BOB[0].id}, eve: {EVE[0].id}}
