"""One real Kafka and one real Elasticsearch a module, started when its first test asks: the shipped names are everybody's."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from tests.servers import real

os.environ.setdefault("KAFKA_HEAP", "384m")
os.environ.setdefault("ES_HEAP", "512m")


@pytest.fixture(scope="module")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the module's broker."""
    server = real.kafka(tmp_path_factory.mktemp("kafka"))
    yield server.start()
    server.kill()


@pytest.fixture(scope="module")
def es_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the module's Elasticsearch."""
    server = real.elasticsearch(tmp_path_factory.mktemp("elasticsearch"))
    yield server.start()
    server.kill()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A name of this test's own for its topics, groups and indices."""
    return "t-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:80]
