"""A worker on the toys' road, as a process of its own: `python -m tests.servers.toy_worker BOOTSTRAP PREFIX FOLDER`.

What is indexed is appended to FOLDER/indexed.jsonl.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests import toys

from xmsec.model.types import Finding, Incident, Intent
from xmsec.runtime.faust.app import Place, worker
from xmsec.runtime.faust.topics import Cluster

STREAMS = ("toys.a", "toys.b")


def main(bootstrap: str, prefix: str, folder: Path) -> None:
    with (folder / "indexed.jsonl").open("ab", buffering=0) as out:

        def sink(findings: Sequence[Finding], incidents: Sequence[Incident], intents: Sequence[Intent]) -> None:
            out.write(msgspec.json.encode([findings, incidents, intents]) + b"\n")

        place = Place(Cluster(bootstrap, STREAMS, prefix), folder / "faust", idle_s=3, session_s=2)
        worker(toys.road(), place, ("classify", "detect", "index"), sink)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
