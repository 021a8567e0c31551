"""What nobody can be faster than: Faust that does nothing, a plain consumer, Elasticsearch's bulk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xmsec.bench.clock import Taken, timed
from xmsec.bench.kafka.load import STREAM
from xmsec.bench.kafka.site import Site
from xmsec.runtime.faust.access import arguments

if TYPE_CHECKING:
    from xmsec.bench.kafka.process import Gauge

BULK = 1_000
DOCUMENT_BYTES = 900


def pass_through(gauge: Gauge, site: Site) -> None:
    """Be a Faust worker whose only agent takes messages as they are and does nothing; ends the process."""
    import faust

    from xmsec.runtime.faust.access import credentials, servers

    cluster = site.cluster
    app = faust.App(
        f"{cluster.prefix}-pass",
        broker=";".join(f"kafka://{one}" for one in servers(cluster.bootstrap)),
        broker_credentials=credentials(cluster.access),
        datadir=str(site.folder / "pass"),
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
    )

    async def take(stream: Any) -> None:
        async for _ in stream:
            gauge.count(1)

    app.agent(app.topic(cluster.raw(STREAM), key_type=bytes, value_type=bytes))(take)
    worker = faust.Worker(app, loglevel="WARN", quiet=True, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


def consume(gauge: Gauge, site: Site) -> None:
    """Read messages with aiokafka alone, as many at a time as come."""

    async def read() -> None:
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            site.cluster.raw(STREAM),
            bootstrap_servers=site.cluster.bootstrap,
            group_id=f"{site.cluster.prefix}-plain",
            auto_offset_reset="earliest",
            **arguments(site.cluster.access),
        )
        await consumer.start()
        try:
            while True:
                found = await consumer.getmany(timeout_ms=200, max_records=500)
                if found:
                    gauge.count(sum(map(len, found.values())))
        finally:
            await consumer.stop()

    asyncio.run(read())


def bulk(site: Site, documents: int) -> Taken:
    """Write documents with ids of their own into a plain index, one request after the other."""
    index = f"{site.prefix}-bulk"

    def operations(start: int) -> Iterator[dict[str, Any]]:
        for number in range(start, min(start + BULK, documents)):
            yield {"index": {"_index": index, "_id": f"{number:016x}"}}
            yield {"number": number, "text": "x" * (DOCUMENT_BYTES - 40)}

    with site.connect() as client:

        def write() -> None:
            for start in range(0, documents, BULK):
                client.bulk(operations=list(operations(start)))

        return timed(write)
