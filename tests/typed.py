"""Commands as somebody types them, run in this process: what they print on each side, and their exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from xmsec.cli.main import main


class Typed(NamedTuple):
    """What a command gave."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its output as JSON lines."""
        return [json.loads(line) for line in self.out]


def typed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Typed:
    """Run a command to its end."""
    before, sys.argv = sys.argv, ["xmsec", *map(str, arguments)]
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = before
    told = capsys.readouterr()
    return Typed(int(ended.value.code or 0), told.out.splitlines(), told.err.splitlines())
