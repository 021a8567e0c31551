"""What really happened, as `xmsec simulate` or a person writes it down: `truth.jsonl`, a happening a line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from xmsec.model.clock import from_rfc3339
from xmsec.model.errors import InputError


class Row(msgspec.Struct, frozen=True):
    """One happening of the truth: expect is empty for an oddity, which must stay silent."""

    scenario: str
    system: str
    start: datetime
    end: datetime
    entity: Mapping[str, str]
    expect: tuple[str, ...] = ()

    def covers(self, finding: Mapping[str, Any]) -> bool:
        """Whether a finding speaks of this entity, in a window that overlaps with this time."""
        window = finding["window"]
        return (
            finding["entity"] == self.entity
            and from_rfc3339(window["start"]) < self.end
            and self.start < from_rfc3339(window["end"])
        )


def read_truth(path: Path) -> list[Row]:
    """Read a file of happenings. Raises InputError with the line."""
    found: list[Row] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found.append(msgspec.json.decode(line, type=Row))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            remedy = "write scenario, system, start, end, entity and expect, as xmsec simulate does"
            raise InputError("no happening of a truth", where=f"{path}:{number}", remedy=remedy) from error
    return found
