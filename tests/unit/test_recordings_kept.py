"""What was recorded is listed, pruned by age and held for a case: of one process and of workers, in folders and in stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.command import called, new_home, rows
from tests.objectstore import bucket

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, InputError, ServiceError
from xmsec.model.types import Event, Position, Revisions
from xmsec.store.archive import Archive
from xmsec.store.holds import Hold, holds, lift, place
from xmsec.store.inventory import Kept, inventory, prunable
from xmsec.store.merged import read_archive
from xmsec.store.recorder import Origin, Recorder

OLD = datetime(2026, 3, 2, 8, tzinfo=UTC)
NEW = OLD + timedelta(days=200)
WEB = b'192.0.2.7 - - [02/Mar/2026:08:00:00 +0800] "GET /a HTTP/1.1" 200 5 "-" "-"\n'


@pytest.fixture(params=["folder", "object store"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place that has two files of workers, one old and one new."""
    with ExitStack() as stack:
        where = str(tmp_path / "kept") if request.param == "folder" else stack.enter_context(bucket())[1]
        recorded(where)
        yield where


def recorded(where: str) -> None:
    worker = Recorder(Archive(where), Origin("0123456789", "aaaa"))
    for offset, at in enumerate((OLD, NEW)):
        event = Event(f"e{offset}", at, at, Position("a.web", "0", offset), "a", "a.web", {"user.id": "u"})
        worker.add(0, offset, [(event, ())], Revisions("c0ffee", 3), 0.0)
        worker.written(*worker.seal(0))


def listed(archive: Archive) -> list[Kept]:
    return list(inventory(archive, None, holds(archive)))


def test_a_file_says_its_span_rows_revisions_size_and_key(uri: str) -> None:
    old, new = listed(Archive(uri))
    assert (old.rows, old.received, old.time, old.key_check) == (1, (OLD, OLD), (OLD, OLD), "aaaa")
    assert old.revisions == (Revisions("c0ffee", 3),)
    assert old.bytes > 1_000
    assert old.sealed
    assert new.path.startswith("date=2026-09-18/hour=08/")


def test_what_is_old_may_go_and_what_is_held_may_not(uri: str) -> None:
    archive = Archive(uri)
    before = OLD + timedelta(days=1)
    assert [prunable(one, before) for one in listed(archive)] == [True, False]
    place(archive, Hold("2026-017", "court order", NEW, end=OLD + timedelta(hours=1)))
    assert [(one.held, prunable(one, before)) for one in listed(archive)] == [(("2026-017",), False), ((), False)]
    with pytest.raises(ConfigError, match="holds something already"):
        place(archive, Hold("2026-017", "again", NEW))
    lift(archive, "2026-017", NEW, "case closed")
    assert [prunable(one, before) for one in listed(archive)] == [True, False]
    assert [(one.reason, one.because) for one in holds(archive)] == [("court order", "case closed")]
    with pytest.raises(ConfigError, match="no hold of case"):
        lift(archive, "2026-017", NEW, "again")
    place(archive, Hold("2026-017", "appeal", NEW))
    assert [one.lifted is None for one in holds(archive)] == [False, True]


def test_what_was_removed_is_gone_and_the_rest_is_read(uri: str) -> None:
    archive = Archive(uri)
    archive.remove([listed(archive)[0].path, "never/there"])
    found = [row for batch in read_archive(archive, "aaaa") for row in batch]
    assert [row[0].id for row in found if isinstance(row, tuple)] == ["e1"]


def test_a_hold_that_cannot_be_read_stops_everything(uri: str) -> None:
    archive = Archive(uri)
    archive.put("holds/x.json", b"[{")
    with pytest.raises(InputError, match=r"damaged-hold; .*holds/x\.json"):
        holds(archive)


def test_a_name_that_leads_elsewhere_is_no_case(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a case's name"):
        place(Archive(str(tmp_path)), Hold("../x", "no", EPOCH))


def test_an_object_store_that_refuses_is_named_without_its_credentials() -> None:
    with bucket() as (held, where):
        archive = Archive(where)
        held.broken = 1
        with pytest.raises(ServiceError, match="does not answer; s3://bucket/recordings") as caught:
            archive.put("x", b"y")
        assert "secret" not in str(caught.value)
        archive.put("x", b"y")
        assert archive.get("x") == b"y"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has scanned one line."""
    folder = tmp_path_factory.mktemp("home")
    home = new_home(folder / "home", folder)
    (folder / "web.log").write_bytes(WEB)
    assert called("scan", folder / "web.log", "--stream", "generic.web", "--home", home).returncode == 0
    return home


def test_files_of_one_process_are_listed_too_and_the_last_one_stays(home: Path) -> None:
    (found,) = rows(called("recordings", "list", "--home", home).stdout)
    assert (found["path"], found["sealed"], found["held"]) == ("00000001.parquet", False, [])
    assert found["rows"] >= 1
    assert found["time"][0] == "2026-03-02T00:00:00Z"
    assert len(found["key_check"]) >= 8
    assert len(found["revisions"]) == 1


def test_prune_removes_on_request_only_and_never_what_is_held(home: Path, tmp_path: Path) -> None:
    env = {"XMSEC_RECORDINGS": str(tmp_path / "kept"), "XMSEC_HOME": str(home)}
    recorded(env["XMSEC_RECORDINGS"])

    def prune(*more: str) -> list[str]:
        ran = called("recordings", "prune", "--older-than", "1h", *more, env=env)
        assert ran.returncode == 0, ran.stderr
        return [one["path"][:15] for one in rows(ran.stdout)]

    def files() -> int:
        return len(list((tmp_path / "kept").rglob("*.parquet")))

    assert (prune(), files()) == (["date=2026-03-02", "date=2026-09-18"], 2)
    span = ("--from", "2026-03-01", "--to", "2026-03-03")
    assert called("recordings", "hold", "add", "c1", *span, "--reason", "order", env=env).returncode == 0
    assert (prune("--yes"), files()) == (["date=2026-09-18"], 1)
    assert (prune("--yes"), files()) == ([], 1)
    assert called("recordings", "hold", "remove", "c1", "--reason", "closed", env=env).returncode == 0
    assert (prune("--yes"), files()) == (["date=2026-03-02"], 0)
    told = rows(called("recordings", "hold", "list", env=env).stdout)
    assert [(one["case"], one["because"]) for one in told] == [("c1", "closed")]
    wrong = called("recordings", "prune", "--older-than", "soon", env=env)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        b"xmsec: not an age; --older-than soon; write days or hours: 180d, 36h\n",
    )
