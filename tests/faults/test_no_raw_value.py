"""Traffic full of known values goes through every command; then the whole home and all output are searched for each of them."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from tests import toys
from tests.command import XMSEC, called, environment, rows, xmsec
from tests.values import FORGED, MOBILE, VALUES, WAYS, combined, every_byte, leaks, traffic

from xmsec.model.types import Context, Event, Finding, Key, Parsed, Position, Raw, Span, Tick
from xmsec.runtime.embedded import Embedded
from xmsec.runtime.metrics import counted, exposition
from xmsec.runtime.summary import Tally
from xmsec.store.recording import Recording
from xmsec.store.sqlite import SqliteStore

pytestmark = pytest.mark.faults


def held(home: Path) -> Iterator[tuple[str, bytes]]:
    """All that a home holds: every file as it is, the store's tables and the recordings' columns as they are read."""
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        yield str(path), path.read_bytes()
        if path.suffix == ".parquet":
            yield f"columns of {path}", repr(pq.read_table(path).to_pydict()).encode("utf-8", "surrogatepass")
    with closing(sqlite3.connect(home / "store.sqlite")) as store:
        names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in store.execute(f"SELECT * FROM {name}"):
                yield name, b"\0".join(part if isinstance(part, bytes) else str(part).encode() for part in row)


def assert_clean(home: Path) -> None:
    for where, content in held(home):
        assert not leaks(content), where


def test_the_search_finds_what_it_seeks() -> None:
    for value in VALUES.values():
        plain = value.encode()
        for written in (
            plain,
            plain.hex().encode(),
            every_byte(value).encode(),
            *(base64.b64encode(b"x" * n + plain) for n in range(3)),
        ):
            assert leaks(b"a" + written + b"z")


def test_no_value_leaves_the_classify_leg(home: Path, tmp_path: Path) -> None:
    paths = traffic(tmp_path)
    summary = home / "summary.json"
    scan = xmsec("scan", *paths, "--home", home, "--format", "jsonl", "--summary", summary, "--debug")
    assert scan.returncode == 0, scan.stderr
    incidents = called("incidents", "list", "--home", home, "--format", "jsonl")
    shown = [called("incidents", "show", row["id"], "--home", home, "--debug") for row in rows(incidents.stdout)[:2]]
    ran = [scan, incidents, *shown, called("scan", *paths, "--home", home, "--format", "table")]
    ran += [called("parse", path, "--home", home, "--debug") for path in paths]
    ran += [called("replay", "--home", home, "--format", form) for form in ("jsonl", "table")]
    ran += [called("dead", "list", "--home", home, "--format", form) for form in ("jsonl", "table")]
    ran += [called("playbook", "list", "--home", home), called("ledger", "show", "--home", home)]
    for done in ran:
        assert done.returncode == 0, (done.args, done.stderr)
        assert not leaks(done.stdout), done.args
        assert not leaks(done.stderr), done.args
    summed = json.loads(summary.read_bytes())
    assert summed["tokens"].keys() >= VALUES.keys()
    assert summed["parsed"] > 1_500
    assert any(one["evidence"] for one in rows(scan.stdout))
    assert_clean(home)
    with closing(SqliteStore(home / "store.sqlite", {})) as store:
        assert not leaks(exposition(counted(store.counts())).encode())


def test_what_a_dead_process_leaves_holds_no_value(home: Path, tmp_path: Path) -> None:
    content = b"".join(path.read_bytes() for path in traffic(tmp_path)[:1])
    scan = ("scan", "-", "--home", str(home), "--stream", "generic.web", "--summary", str(tmp_path / "summary.json"))
    life = subprocess.Popen([*XMSEC, *scan], stdin=subprocess.PIPE, env=environment())
    assert life.stdin is not None
    while not (tmp_path / "summary.json").exists() or not json.loads((tmp_path / "summary.json").read_bytes())["lines"]:
        assert life.poll() is None
        life.stdin.write(content)
        life.stdin.flush()
    life.kill()
    life.communicate()
    assert list((home / "recordings").glob("*.open"))
    assert_clean(home)


def test_classify_shows_masks_and_errors_show_nothing(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"值 {value} 在此" for value in VALUES.values()) + "\n", "utf-8")
    done = called("classify", path, "--home", home, "--debug")
    assert done.returncode == 0, done.stderr
    assert {one["type"] for row in rows(done.stdout) for one in row["entities"]} >= VALUES.keys()
    assert not leaks(done.stdout)
    assert not leaks(done.stderr)


@pytest.mark.parametrize("way", ["plain", "percent", "twice"])
def test_a_forged_token_in_a_url_stays_text(way: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    written = WAYS[way](FORGED)
    path.write_text("\n".join(combined(lambda _: written, "")) + "\n", "utf-8")
    done = called("parse", path, "--home", home)
    found = [row for row in rows(done.stdout) if "0011223344556677" in json.dumps(row)]
    assert len(found) == len(path.read_text("utf-8").splitlines())
    for row in found:
        assert row["spans"] == []
        assert "⟨" not in json.dumps(row, ensure_ascii=False)
        assert "‹CN_MOBILE:0011223344556677›" in json.dumps(row, ensure_ascii=False)


class Breaks(toys.Each):
    """A detector that a record breaks, with the record's own value in the error."""

    id = "test-breaks"

    def step(self, states: Any, batch: Sequence[tuple[Key, Context]]) -> tuple[dict[Key, None], list[Finding]]:
        raise ValueError(f"cannot work with {MOBILE}: {batch[0][1].event.fields}")

    def keys(self, context: Context) -> Sequence[Key]:
        return (Key("user", "any"),)


def breaking(leg: str) -> Any:
    """A road of which one leg raises with a value in its error."""

    def parse(raw: Raw) -> Parsed | None:
        if leg == "parse":
            raise ValueError(f"no such line: {raw.line!r}")
        return toys.parse(raw)

    def classify(batch: Sequence[Parsed]) -> Sequence[tuple[Event, tuple[Span, ...]]]:
        if leg == "classify":
            raise KeyError(batch[0].fields["user.id"])
        clean = [msgspec.structs.replace(one, fields={**one.fields, "user.id": "⟨CN_MOBILE:0⟩"}) for one in batch]
        return toys.classify(clean)

    detectors: dict[str, Any] = {"test-breaks": Breaks()} if leg == "detect" else {}
    return msgspec.structs.replace(toys.road(), parse=parse, classify=classify, detectors=detectors)


@pytest.mark.parametrize("leg", ["parse", "classify", "detect"])
def test_a_leg_that_raises_with_a_value_in_its_error_leaks_none(
    leg: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    line = json.dumps({"t": 1, "user": MOBILE, "action": "forbidden"}).encode()
    records: list[Raw | Tick] = [
        Raw(Position("toys.a", "0", offset), now + timedelta(seconds=offset), line) for offset in range(3)
    ]
    with closing(SqliteStore(tmp_path / "store.sqlite", {"test-breaks": type(None), "incidents": Any})) as store:
        ticks = count()
        recording = Recording(tmp_path / "recordings", None)
        for _ in Embedded(breaking(leg), store, [Tally({}), recording], lambda: float(next(ticks))).drive([records]):
            pass
        refused = store.connection.execute("SELECT leg, reason, total FROM dead_totals").fetchall()
        assert not leaks(exposition(counted(store.counts())).encode())
    assert [(name.partition(":")[0], reason.partition(":")[0], total) for name, reason, total in refused] == [
        (leg, "broken", 3)
    ]
    assert_clean(tmp_path)
    assert not leaks("".join(capfd.readouterr()).encode())
