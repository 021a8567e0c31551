"""The streams for files of unknown origin: no value survives classification, wherever in a line it stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from xmsec.content.streams import load_streams
from xmsec.model.types import Position, Raw, Tick
from xmsec.parse.numbers import NUMERIC
from xmsec.pipeline.road import Road
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.assemble import assemble

TOP = Path(__file__).parents[2]
RECEIVED = datetime(2026, 11, 25, tzinfo=UTC)
VALUE = "13800138000"
STREAMS = {name: stream for name, stream in load_streams([TOP])[0].items() if name.startswith("generic.")}


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    return assemble([TOP], tmp_path_factory.mktemp("home"), b"k" * 32, ZoneInfo("Asia/Shanghai")).road


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_value_in_any_place_of_a_sample_is_nowhere_behind_classification(name: str, road: Road) -> None:
    samples = [sample.line for sample in STREAMS[name].samples if not sample.rejected]
    places = [(line, word.span()) for line in samples for word in re.finditer(r"[A-Za-z0-9_.]{3,}", line)]
    lines = [(line[:start] + VALUE + line[end:]).encode() for line, (start, end) in places]
    taken = tokenise([Raw(Position(name, "p", at), RECEIVED, line) for at, line in enumerate(lines)], road)
    events = [item[0] for item in taken.passed if not isinstance(item, Tick)]
    assert len(events) > len(lines) // 2
    for event in events:
        shown = {field: value for field, value in event.fields.items() if field not in NUMERIC}
        assert VALUE not in str(shown)
        assert not any(VALUE in dataset for dataset in event.datasets)
