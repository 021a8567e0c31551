"""Feeds a simulated system's traffic to the raw topics, as producers would: `feed.py FOLDER SCENARIO [LINES_A_SECOND]`.

One line a message; without a rate all is sent at once.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from kafka import KafkaProducer

from xmsec.content.load import shipped
from xmsec.content.scenarios import load_scenarios


def main(folder: Path, name: str, rate: float) -> None:
    """Send every file of the scenario to its stream's topic, line by line."""
    scenarios, _ = load_scenarios([shipped()])
    producer = KafkaProducer(bootstrap_servers=os.environ["XMSEC_KAFKA_BOOTSTRAP"], acks="all", linger_ms=20)
    begun, sent = time.monotonic(), 0
    for use in scenarios[name].streams.values():
        with (folder / use.file).open("rb") as file:
            for line in file:
                producer.send(f"xmsec.raw.{use.stream}", line.rstrip(b"\n"))
                sent += 1
                if rate and sent % 100 == 0:
                    time.sleep(max(0.0, begun + sent / rate - time.monotonic()))
    producer.close()
    print(f"sent {sent} lines of {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
