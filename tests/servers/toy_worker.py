"""A worker on the toys' road, as a process of its own: `python -m tests.servers.toy_worker BOOTSTRAP PREFIX FOLDER ROLE…`.
Its login is that of the settings in its environment.

What is indexed is appended to FOLDER/indexed.jsonl, by a store that is away for its first three requests.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from tests import toys

from xmsec.cli.kafka import access
from xmsec.cli.settings import settings
from xmsec.model.errors import ServiceError
from xmsec.model.types import Finding, Incident, Intent
from xmsec.runtime.faust.app import Place, Shelf, worker
from xmsec.runtime.faust.topics import Cluster

STREAMS = ("toys.a", "toys.b")


def main(bootstrap: str, prefix: str, folder: Path, roles: Sequence[str]) -> None:
    away = iter(range(3))
    with (folder / "indexed.jsonl").open("ab", buffering=0) as out:

        def sink(findings: Sequence[Finding], incidents: Sequence[Incident], intents: Sequence[Intent]) -> Mapping[str, str]:
            if next(away, None) is not None:
                raise ServiceError("away")
            out.write(msgspec.json.encode([findings, incidents, intents]) + b"\n")
            return {}

        shelf = Shelf(str(folder / "recordings"), "toys", 3_600)
        place = Place(Cluster(bootstrap, STREAMS, prefix, access=access(settings())), folder / "faust", 3, 2, shelf)
        worker(toys.road(), place, roles, sink)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
