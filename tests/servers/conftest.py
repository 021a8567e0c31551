"""One real Kafka and one real Elasticsearch a run, started when a first test asks; each module has them empty, as the shipped
names are everybody's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from tests.servers import real
from tests.servers.emptied import empty_elasticsearch, empty_kafka

os.environ.setdefault("KAFKA_HEAP", "384m")
os.environ.setdefault("ES_HEAP", "512m")
os.environ.setdefault("ES_START_S", "180")  # one node serves the whole run: it is waited for, on a busy machine too


@pytest.fixture(scope="session")
def shared_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the run's broker."""
    server = real.kafka(tmp_path_factory.mktemp("kafka"))
    yield server.start()
    server.kill()


@pytest.fixture(scope="session")
def shared_elasticsearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the run's Elasticsearch."""
    server = real.elasticsearch(tmp_path_factory.mktemp("elasticsearch"))
    yield server.start()
    server.kill()


@pytest.fixture(scope="module")
def kafka_bootstrap(shared_kafka: str) -> Iterator[str]:
    """Address of a broker on which this module finds nothing."""
    yield shared_kafka
    empty_kafka(shared_kafka)


@pytest.fixture(scope="module")
def es_url(shared_elasticsearch: str) -> Iterator[str]:
    """Address of an Elasticsearch in which this module finds nothing."""
    yield shared_elasticsearch
    empty_elasticsearch(shared_elasticsearch)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A name of this test's own for its topics, groups and indices."""
    return "t-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:80]
