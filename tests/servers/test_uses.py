"""Use in a real Elasticsearch: answered as the embedded store does, and each file summed once wherever a worker dies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from tests.contract.every_store import Sqlite
from tests.trails import START, archived, row

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.ports import Use, UseQuery
from xmsec.store import uses
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.elastic_uses import ElasticUses, Mark
from xmsec.store.threads import Threads
from xmsec.store.uses import DAY_MICROS, DayUse

pytestmark = pytest.mark.servers

DAY = 20_500


def held(number: int, day: int) -> DayUse:
    """One account's use on one day."""
    first = day * DAY_MICROS + number
    return DayUse(day, f"d{number % 3}", f"user-{number}", f"s{number % 2}", number + day % 7, first, first + 5)


HELD = [held(number, DAY + day) for number in range(1, 8) for day in (0, 1, 40)]
QUERIES = [
    UseQuery(),
    UseQuery(systems=("s1",)),
    UseQuery(datasets=("d0", "d2"), accounts=("user-0", "user-2", "nobody")),
    UseQuery(since=uses.from_micros((DAY + 1) * DAY_MICROS + 7)),
    UseQuery(until=uses.from_micros((DAY + 1) * DAY_MICROS + 3)),
    UseQuery(limit=3),
]


@pytest.fixture
def client(es_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(es_url) as made:
        yield made


def answers(client: Elasticsearch, prefix: str, query: UseQuery) -> Sequence[Use]:
    client.indices.refresh(index=f"{prefix}-uses")
    return ElasticReader(client, prefix).uses(query)


def test_both_stores_answer_alike(client: Elasticsearch, prefix: str, tmp_path: Path) -> None:
    ensure(client, "aaaa", prefix)
    sums = ElasticUses(client, prefix)
    for thread, some in (("one-00000", HELD[:12]), ("one-00001", HELD[12:]), ("two-00000", HELD)):
        sums.add(thread, some, Mark(5, {("a.web", "0"): (17, 2)}))
    assert sums.mark("one-00001") == Mark(5, {("a.web", "0"): (17, 2)})
    with closing(Sqlite(tmp_path)) as store:
        for _ in range(2):
            with store.transaction() as connection:
                uses.add(connection, HELD)
        for query in QUERIES:
            assert list(answers(client, prefix, query)) == list(store.reader.uses(query)), query


class Dying:
    """A client that is cut off after some requests."""

    def __init__(self, client: Elasticsearch, requests: int) -> None:
        self._client, self._left = client, requests

    def __getattr__(self, name: str) -> Any:
        if name in ("mget", "bulk", "index"):
            self._left -= 1
            if self._left < 0:
                raise ServiceError("cut off")
        return getattr(self._client, name)


def test_a_worker_that_dies_while_it_sums_loses_and_doubles_nothing(client: Elasticsearch, prefix: str, tmp_path: Path) -> None:
    ensure(client, "aaaa", prefix)
    rows = [row(number, {"user.id": f"user-{number % 3}"}, (), number) for number in range(12)]
    archive = archived(tmp_path, [rows[:5], rows[4:8], rows[8:]])
    last = archive.files()[-1].path
    for requests in range(10):
        dying: Any = Dying(client, requests)
        try:
            Threads(archive, ElasticUses(dying, prefix)).settle(last)
        except ServiceError:
            continue
        break
    else:
        pytest.fail("never came through")
    assert requests > 3  # it was cut off in each of them
    assert [(use.account, use.events) for use in answers(client, prefix, UseQuery())] == [
        (f"user-{number}", 4) for number in range(3)
    ]
    assert answers(client, prefix, UseQuery())[0].first == START


def test_a_thread_that_was_left_is_looked_at_again(client: Elasticsearch, prefix: str, tmp_path: Path) -> None:
    ensure(client, "aaaa", prefix)
    rows = [row(number, {"user.id": "lin"}, (), number) for number in range(3)]
    archive = archived(tmp_path, [[one] for one in rows])
    first, second, third = (file.path for file in archive.files())
    mine = Threads(archive, ElasticUses(client, prefix))
    mine.settle(first)
    mine.forget()
    mine.settle(third)
    mine.settle(second)
    assert [use.events for use in answers(client, prefix, UseQuery())] == [3]


def test_what_was_never_made_is_not_written_to(client: Elasticsearch, prefix: str, tmp_path: Path) -> None:
    archive = archived(tmp_path, [[row(0, {"user.id": "lin"}, (), 0)]])
    with pytest.raises(ConfigError, match="index ensure"):
        Threads(archive, ElasticUses(client, prefix)).settle(archive.files()[0].path)
    assert not client.indices.exists(index=f"{prefix}-uses-{START + timedelta(0):%Y.%m}")
