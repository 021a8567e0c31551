"""What workers counted in a real Elasticsearch: answered as the embedded store does, however often and by whom it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch
from tests.contract.every_store import Sqlite, brought, outcomes
from tests.ledgers import CASES, CERTS, SEEN, bare

from xmsec.model.errors import ConfigError
from xmsec.model.ports import Backlog, Outcome
from xmsec.runtime.faust.meter import Meter
from xmsec.store.elastic_counts import Counted, Life, Telling
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_keep import prune
from xmsec.store.elastic_read import ElasticReader

pytestmark = pytest.mark.servers

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MADE = [*outcomes(60), bare(proposals=SEEN), bare(proposals={(CASES, "note", "CN_MOBILE"): 2})]


@pytest.fixture
def client(es_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url) as made:
        yield made


def asked(client: Elasticsearch, prefix: str) -> ElasticReader:
    client.indices.refresh(index=f"{prefix}-counts")
    return ElasticReader(client, prefix)


def carry(client: Elasticsearch, prefix: str, life: str, made: Sequence[Outcome]) -> None:
    """Let a worker carry batches, and say after each what it counted, some times twice."""
    meter, telling = Meter(), Telling(client, Life(life, NOW), prefix)
    for number, outcome in enumerate(made):
        meter.count(outcome.counts)
        meter.observe(outcome.proposals)
        meter.reject(outcome.rejected)
        meter.clocks.update(outcome.clocks)
        for again in range(1 + number % 2):
            telling.tell(meter.counted({}, NOW), NOW + timedelta(seconds=again))


def test_both_stores_answer_alike(client: Elasticsearch, prefix: str, tmp_path: Path) -> None:
    ensure(client, "aaaa", prefix)
    assert brought(ElasticReader(client, prefix), [CERTS, CASES]) == ({}, [], {}, [])
    half = len(MADE) // 2
    carry(client, prefix, "one", MADE[:half])
    carry(client, prefix, "two", MADE[half:])  # as when a partition moves
    with closing(Sqlite(tmp_path)) as store:
        store.commit(MADE)
        told = brought(store.reader, [CERTS, CASES, "none"])
        assert brought(asked(client, prefix), [CERTS, CASES, "none"]) == told
        assert list(asked(client, prefix).observed_datasets(1)) == list(store.reader.observed_datasets(1))
    assert all(told[place] for place in (0, 2, 3))


def test_what_a_worker_says_of_a_partition_is_the_last_word_with_its_moment(client: Elasticsearch, prefix: str) -> None:
    ensure(client, "aaaa", prefix)
    first, second = (Telling(client, Life(name, NOW), prefix) for name in ("one", "two"))
    waits = [Backlog("classify", "xmsec.raw.a.web", 0, 7, NOW, "a.web"), Backlog("index", "xmsec.cases", 1, 3, NOW)]
    first.tell(Counted(backlogs=waits), NOW)
    later = Backlog("classify", "xmsec.raw.a.web", 0, 0, NOW + timedelta(seconds=5), "a.web")
    second.tell(Counted(backlogs=[later]), NOW)
    assert list(asked(client, prefix).backlogs()) == [later, waits[1]]


def test_without_its_index_nothing_is_written(client: Elasticsearch, prefix: str) -> None:
    with pytest.raises(ConfigError, match="index ensure"):
        carry(client, prefix, "one", MADE)
    assert not client.indices.exists(index=f"{prefix}-counts-2026.11")


def test_what_was_counted_is_kept_as_long_as_use(client: Elasticsearch, prefix: str) -> None:
    ensure(client, "aaaa", prefix)
    carry(client, prefix, "one", MADE)
    month = f"{prefix}-counts-2026.11"
    for days, gone in ((399, False), (400, True)):
        pruned = prune(client, datetime(2026, 12, 1, tzinfo=UTC) + timedelta(days=days), 30, prefix)
        assert (month in [one.index for one in pruned.indices]) is gone
