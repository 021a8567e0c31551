"""A word is found wherever it stands in what a finding is called by, however few names there are to look among."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.every_acts import Sqlite
from tests.property.test_tally import findings

from xmsec.model.ports import Query
from xmsec.model.types import Entity, Finding
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import SqliteStore

IDS = ("3fa0", "0bc1", "f-3", "导1")  # digests, and what is none
NAMES = ("user-10", "USER-3", "3f", "张三", "100%_a")
TITLES = ("夜间导出数据", "导入", "Bulk export", "50% of _all")
WORDS = ("导出", "导", "user", "3f", "3FA", "10", "export bulk", "张三 夜间", "%", "_", "of-a", "a", "zz", "\\")

called = st.builds(
    lambda finding, number, name, title: msgspec.structs.replace(finding, id=number, entity=Entity("user", name), title=title),
    findings,
    st.sampled_from(IDS),
    st.sampled_from(NAMES),
    st.sampled_from(TITLES),
)


@settings(deadline=None, max_examples=60)
@given(written=st.lists(st.lists(called, max_size=4), max_size=4), text=st.sampled_from(WORDS))
def test_words_find_what_is_called_so(written: Sequence[Sequence[Finding]], text: str) -> None:
    last: dict[str, Finding] = {}
    with TemporaryDirectory() as folder, closing(SqliteStore(Path(folder) / "s", {})) as store:
        for some in written:
            Sqlite(store).write(some, ())
            last.update({one.id: one for one in some})
        reader, query = SqliteReader(store.connection), Query("findings", text=text, limit=10, excepted=True)
        wanted = {one.id for one in last.values() if all(word in _called(one) for word in text.lower().split())}
        assert {row["id"] for row in reader.page(query).rows} == wanted
        assert reader.count(query, ()) == {(): len(wanted)}


def _called(finding: Finding) -> str:
    return "\n".join((finding.title, finding.entity.id, finding.detector, finding.system, finding.id)).lower()
