"""Feeds a simulated system's traffic to the raw topics, as producers would: `feed.py FOLDER SCENARIO [LINES_A_SECOND]`.

One line a message; without a rate all is sent at once. Where Kafka is, how it is spoken to and what its topics begin with say
the same settings as a worker's (XMSEC_KAFKA_BOOTSTRAP and those beside it).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from kafka import KafkaProducer

from xmsec.cli.kafka import named
from xmsec.cli.settings import settings
from xmsec.content.load import shipped
from xmsec.content.scenarios import load_scenarios
from xmsec.model.errors import XmsecError
from xmsec.runtime.faust.talk import talking


def main(folder: Path, name: str, rate: float) -> None:
    """Send every file of the scenario to its stream's topic, line by line."""
    scenarios, _ = load_scenarios([shipped()])
    cluster = named(settings(), None)
    begun, sent = time.monotonic(), 0
    with talking(cluster.bootstrap, cluster.access) as access:
        producer = KafkaProducer(acks="all", linger_ms=20, **access)
        waiting = []
        for use in scenarios[name].streams.values():
            with (folder / use.file).open("rb") as file:
                for line in file:
                    waiting.append(producer.send(cluster.raw(use.stream), line.rstrip(b"\n")))
                    sent += 1
                    if sent % 100 == 0:
                        waiting = _answered(waiting)
                        if rate:
                            time.sleep(max(0.0, begun + sent / rate - time.monotonic()))
        producer.flush()
        _answered(waiting)
        producer.close()
    print(f"sent {sent} lines of {name}")


def _answered(waiting: list) -> list:
    """Fail with what Kafka refused, such as a topic that this login may not write; return what has no answer yet."""
    for future in [one for one in waiting if one.is_done]:
        future.get()
    return [one for one in waiting if not one.is_done]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
    except XmsecError as error:
        sys.exit(f"feed.py: {error}")
