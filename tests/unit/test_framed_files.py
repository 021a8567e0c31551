"""Files whose records span lines: whole records, positions that hold, a killed reading that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.parsers import LINES

from xmsec.content.streams import Framing, load_streams
from xmsec.model.types import Position, Raw, Tick
from xmsec.parse.guess import guess
from xmsec.parse.road import parser
from xmsec.sources.file import FileSource
from xmsec.sources.records import cut_of
from xmsec.sources.tail import Tail

TOP = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 1, tzinfo=UTC)
IDLE = timedelta(seconds=10)
STREAMS = {name: stream for name, stream in load_streams([TOP])[0].items() if name.startswith("generic.")}
CSV, XML = Framing(quotes=True), Framing(begins=r"\s*<R", ends="/>$")


def files(path: Path, framing: Framing | None, batch_lines: int = 4000, stream: str = "city.db") -> FileSource:
    return FileSource(stream, [str(path)], lambda: NOW, batch_lines=batch_lines, cut=cut_of(framing))


def raws(source: FileSource, after: Mapping[str, Position] | None = None) -> list[Raw]:
    return [record for batch in source.read(after or {}) for record in batch if isinstance(record, Raw)]


records = st.lists(st.sampled_from([b"1,a", b'2,"a\nb"', b'3,"\n\n""\n"', b'4,"x"', b"", b'5,"torn']), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(rows=records, data=st.data())
def test_a_reading_killed_after_any_batch_goes_on_at_the_next_record(
    rows: list[bytes], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "db.csv"
    path.write_bytes(b"\n".join(rows) + b"\n")
    whole = raws(files(path, CSV))
    place = data.draw(st.integers(0, len(whole) - 1))
    position = whole[place].position
    rest = raws(files(path, CSV, batch_lines=2), {position.partition: position})
    assert [(raw.position, raw.line) for raw in rest] == [(raw.position, raw.line) for raw in whole[place + 1 :]]


def test_a_summary_never_counts_an_unfinished_record_as_reached(tmp_path: Path) -> None:
    path = tmp_path / "db.csv"
    path.write_bytes(b'1,"a\nb"\n2,c\n')
    source = files(path, CSV, batch_lines=1)
    reading = source.open({})[0]
    reached = [reading.reached for _ in reading.batches()]
    assert reached == [8, 12]


class Grown:
    """A file that grows while it is followed."""

    def __init__(self, folder: Path, framing: Framing) -> None:
        self.path = folder / "a.log"
        self.now = NOW
        self.tail = Tail("city.db", [str(self.path)], IDLE, {}, cut_of(framing))

    def close(self) -> None:
        self.tail.close()

    def write(self, text: bytes, after_s: int = 1) -> list[bytes]:
        with self.path.open("ab") as file:
            file.write(text)
        return self.poll(after_s)

    def poll(self, after_s: int = 1) -> list[bytes]:
        self.now += timedelta(seconds=after_s)
        found: list[bytes] = []
        while batch := self.tail.poll(self.now):
            found += [record.line for record in batch if isinstance(record, Raw)]
            if all(isinstance(record, Tick) for record in batch):
                break
        return found


def test_a_record_that_is_still_written_is_waited_for(tmp_path: Path) -> None:
    with closing(Grown(tmp_path, CSV)) as grown:
        assert grown.write(b'1,"a\n') == []
        assert grown.write(b'b"\n2,c\n') == [b'1,"a\nb"', b"2,c"]


def test_an_element_is_given_as_soon_as_it_ends(tmp_path: Path) -> None:
    with closing(Grown(tmp_path, XML)) as grown:
        assert grown.write(b"<R\n a\n") == []
        assert grown.write(b"/>\n") == [b"<R\n a\n/>"]


def test_a_record_whose_end_nothing_tells_is_given_when_the_file_is_quiet(tmp_path: Path) -> None:
    with closing(Grown(tmp_path, Framing(begins=r"[^\t]"))) as grown:
        assert grown.write(b"one\n\tmore\n") == []
        assert grown.poll(after_s=11) == [b"one\n\tmore"]
        assert grown.write(b"two\nthr") == [], "the next one is not known yet"
        assert grown.poll(after_s=11) == [b"two"]
        assert grown.write(b"ee\nfour\n") == [b"three"]
        grown.path.unlink()
        assert grown.poll(after_s=30) == [b"four"]


LOG = b"""\
2026-11-24 08:00:00.000 CST [7] clerk@people ERROR:  no such
\ttable
2026-11-24 08:00:00.000 CST [7] clerk@people STATEMENT:  select 1
\tfrom t
2026-11-24 08:00:01.000 CST [7] clerk@people LOG:  next
"""
AUDIT = b"""\
<?xml version="1.0" encoding="utf-8"?>
<AUDIT>
 <AUDIT_RECORD>
  <TIMESTAMP>2026-11-24T00:00:00 UTC</TIMESTAMP>
  <NAME>Query</NAME>
  <SQLTEXT>select 1</SQLTEXT>
 </AUDIT_RECORD>
<AUDIT_RECORD
  NAME="Quit"
  TIMESTAMP="2026-11-24T00:00:01 UTC"
/>
</AUDIT>
"""
ARRAY = b"""\
[
  {
    "timestamp": "2026-11-24 00:00:00",
    "class": "general",
    "event": "status",
    "general_data": {
      "command": "Query",
      "query": "select 1"
    }
  },
{ "timestamp": "2026-11-24 00:00:01", "class": "connection", "event": "disconnect" }
]
"""
ROW = (
    '2026-11-24 08:00:0{n}.000 CST,"clerk","people",7,"[local]",65.12,3,"SELECT",2026-11-24 07:59:00 CST,5/12,0,LOG,00000,'
    '"{message}",,,,,,,,,"psql"\n'
)
ROWS = (ROW.format(n=0, message='statement: select\n""a"" from t') + ROW.format(n=1, message="next")).encode()


APISIX = b"[" + LINES["apisix"] + b"," + LINES["apisix"].replace(b"GET", b"PUT") + b"]\n" + LINES["apisix"] + b"\n"


@pytest.mark.parametrize(
    ("stream", "text", "told"),
    [
        ("generic.apisix", APISIX, ["GET", "PUT", "GET"]),
        ("generic.postgresql-stderr", LOG, ["select 1 from t", "next"]),
        ("generic.mysql", AUDIT, ["select 1", "logout"]),
        ("generic.mysql", ARRAY, ["select 1", "logout"]),
        ("generic.postgresql", ROWS, ['select "a" from t', "next"]),
    ],
    ids=["batches", "plain log", "xml", "json array", "csv"],
)
def test_a_shipped_stream_reads_records_of_many_lines(tmp_path: Path, stream: str, text: bytes, told: list[str]) -> None:
    path = tmp_path / "db.log"
    path.write_bytes(text)
    assert guess(text.split(b"\n"), STREAMS) == stream
    parse = parser(STREAMS, UTC)
    documents = [parse(raw) for raw in raws(files(path, STREAMS[stream].lines, stream=stream))]
    known = [document.fields for document in documents if document is not None]
    names = ("db.query.text", "message", "http.request.method", "event.action")
    assert [next(fields[name] for name in names if name in fields) for fields in known] == told
