"""People's decisions on incidents in a real Elasticsearch: the scenes of tests/contract, and what becomes of them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import bulk, scan
from tests.contract.every_acts import ADA, BOB, EVE, SCENES, Engine, Kept, everything, held, said, sqlite, started

from xmsec.model.types import Finding, Incident
from xmsec.runtime import cases
from xmsec.store import elastic
from xmsec.store.elastic_acts import ElasticActs
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.elastic_schema import incident_index

pytestmark = pytest.mark.servers


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
def client(es_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url) as made:
        ensure(made, "aaaa", PREFIX)
        yield made


@pytest.fixture
def kept(client: Elasticsearch) -> Indexed:
    """Empty indices: making them anew takes longer than a scene."""
    tables = [f"{PREFIX}-{name}" for name in ("findings", "incidents", "acts")]
    hits = scan(client, index=",".join(tables), query={"_source": False})
    bulk(client, ({"_op_type": "delete", "_index": hit["_index"], "_id": hit["_id"]} for hit in hits), refresh=True)
    return Indexed(client, PREFIX)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Callable[[Kept], None], kept: Indexed, tmp_path: Path) -> None:
    scene(kept)
    with sqlite(tmp_path) as embedded:
        scene(embedded)
        assert everything(kept) == everything(embedded)


def test_a_document_of_an_older_version_is_shaped_and_a_worker_that_says_all_again_changes_nothing(
    client: Elasticsearch, kept: Indexed
) -> None:
    _, place, ada, bob, eve = started(kept)
    index = incident_index(PREFIX)
    for name in (ada, bob):
        source = dict(client.get(index=index, id=name)["_source"])
        del source["own"]
        client.index(index=index, id=name, document=source, refresh=True)
    cases.merge(place, said("m"), ada, [bob])
    assert held(kept) == {ada: {ADA[0].id, ADA[1].id, BOB[0].id}, eve: {EVE[0].id}}
    before = everything(kept)
    kept.write(*Engine().tells(*ADA[:2], BOB[0], *EVE))
    ensure(client, "aaaa", PREFIX)
    assert everything(kept) == before


def test_an_act_that_was_cut_off_is_finished_when_it_is_said_again(client: Elasticsearch, kept: Indexed) -> None:
    _, place, ada, bob, eve = started(kept)
    act = cases.merge(place, said("m"), ada, [bob])
    for name in (ada, bob):  # as if the process had been killed behind the act's own document
        own = [one.id for one in ADA[:2]] if name == ada else [BOB[0].id]
        client.update(index=incident_index(PREFIX), id=name, doc={"root": None, "findings": own}, refresh=True)
    assert cases.merge(place, said("m"), ada, [bob]) == act
    assert held(kept) == {ada: {ADA[0].id, ADA[1].id, BOB[0].id}, eve: {EVE[0].id}}
