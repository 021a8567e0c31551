"""Backups of a home that is written to, and restores that are killed: all of one moment, or nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.command import KEY, called, environment, new_home, rows, table
from tests.contract.every_store import CODECS, records
from tests.toys import road

from xmsec.pipeline.batch import process_batch
from xmsec.store.backup import About, read, write
from xmsec.store.recording import ENTRY, Recording
from xmsec.store.recording import read as recorded
from xmsec.store.sqlite import SqliteStore

pytestmark = pytest.mark.faults

ABOUT = About("0", datetime(2026, 1, 1, tzinfo=UTC), "", "r1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that a scan has filled."""
    folder = tmp_path_factory.mktemp("deployment")
    lines = gzip.decompress((resources.files("xmsec.bench") / "apache_access_sample.log.gz").read_bytes()).splitlines(True)
    (folder / "access.log").write_bytes(b"".join(lines[:2_000]))
    home = new_home(folder / "home", folder)
    done = called("scan", folder / "access.log", "--stream", "generic.web", "--home", home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def file(home: Path) -> Path:
    """A backup of it, without its key."""
    done = called("backup", home.parent / "backup", "--home", home)
    assert done.returncode == 0, done.stderr
    return home.parent / "backup"


def content(home: Path) -> list[Any]:
    return [
        table(home, f"SELECT * FROM {name} ORDER BY 1, 2") for name in ("findings", "incidents", "clocks", "counts", "meta")
    ]


def empty(home: Path, key: str = KEY) -> Path:
    home.mkdir()
    (home / "key").write_text(key)
    (home / "key").chmod(0o600)
    return home


def test_a_restored_home_is_what_it_was(home: Path, file: Path, tmp_path: Path) -> None:
    restored = empty(tmp_path / "restored")
    done = called("restore", file, "--home", restored)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    assert content(restored) == content(home)
    names = {path.name for path in restored.iterdir()}
    assert {"store.sqlite", "recordings", "key"} <= names <= {"store.sqlite", "recordings", "key", "lock", "models", "ledger"}
    again = called("replay", "--home", restored)
    assert (again.returncode, again.stdout) == (0, called("replay", "--home", home).stdout)


def test_the_key_is_in_a_backup_only_when_it_is_asked_for(home: Path, file: Path, tmp_path: Path) -> None:
    with pa.input_stream(str(file), compression="zstd") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        contents = [(member.name, stream.read()) for member in archive if (stream := archive.extractfile(member))]
    assert contents[-1][0] == "manifest.json"
    assert all(KEY.encode() not in body and name != "key" for name, body in contents)
    assert called("backup", tmp_path / "whole", "--with-key", "--home", home).returncode == 0
    assert (tmp_path / "whole").stat().st_mode & 0o077 == 0
    done = called("restore", tmp_path / "whole", "--home", tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere" / "key").read_text().strip() == KEY


@pytest.mark.parametrize("what", ["a home that is used", "no key", "another key", "cut off", "changed", "no backup"])
def test_what_cannot_be_restored_is_refused_and_leaves_nothing(what: str, home: Path, file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    given, said = file, {"no key": "no key; ", "another key": "made with another key"}.get(what, "")
    if what == "a home that is used":
        target, said = home, "not an empty home: "
    elif what != "no key":
        empty(target, KEY if what != "another key" else "7c" * 32)
    if what in ("cut off", "changed", "no backup"):
        body = bytearray(file.read_bytes())
        given = tmp_path / "damaged"
        body[len(body) // 2] ^= 1
        given.write_bytes(
            {"cut off": bytes(file.read_bytes()[: len(body) - 200]), "changed": bytes(body), "no backup": b"x" * 999}[what]
        )
    before = sorted(path.name for path in target.iterdir()) if target.exists() else []
    done = called("restore", given, "--home", target)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    assert said.encode() in done.stderr
    assert {path.name for path in target.iterdir()} - {"lock"} == {*before} - {"lock"}


def test_a_backup_replaces_no_file(home: Path, file: Path) -> None:
    before = file.read_bytes()
    done = called("backup", file, "--home", home)
    assert (done.returncode, file.read_bytes() == before) == (2, True)
    assert b"a file is there already" in done.stderr


# ends like a killed process at a call of its kind
KILLED = """
import os, sys

event, number, home, *sys.argv = sys.argv[1:]
seen = 0

def watch(name, args):
    global seen
    if name == event and home in str(args[0]):
        seen += 1
        if seen == int(number):
            os._exit(137)

from xmsec.cli.entry import main
sys.argv = ["xmsec", *sys.argv]
sys.addaudithook(watch)
main()
"""


@pytest.mark.parametrize("at", ["os.mkdir 1", "os.mkdir 2", "open 4", "os.rename 1", "os.rename 2", "os.rmdir 1"])
def test_a_killed_restore_is_no_home_and_is_done_by_the_next(at: str, home: Path, file: Path, tmp_path: Path) -> None:
    restored = empty(tmp_path / "restored")
    command = [sys.executable, "-c", KILLED, *at.split(), str(restored), "restore", str(file), "--home", str(restored)]
    assert subprocess.run(command, env=environment(), capture_output=True).returncode == 137
    assert (restored / ".restoring").exists() or not (restored / "store.sqlite").exists()
    if (restored / ".restoring").exists():
        opened = called("incidents", "list", "--home", restored)
        assert (opened.returncode, opened.stderr[:38]) == (2, b"xmsec: a restore has not ended here; /")
    done = called("restore", file, "--home", restored)
    assert done.returncode == 0, done.stderr
    assert content(restored) == content(home)


def test_every_moment_between_two_commits_is_whole(tmp_path: Path) -> None:
    """Also that in which a part is sealed and its commit not yet written."""
    (tmp_path / "home").mkdir()
    committed: list[int] = []
    with closing(SqliteStore(tmp_path / "home" / "store.sqlite", CODECS)) as store:
        recording = Recording(tmp_path / "home" / "recordings", None, seal_bytes=6_000)
        for number, batch in enumerate(records(60)):
            outcome = process_batch(batch, road(), store.states())
            store.states().absorb(outcome.states, outcome.clocks)
            entries = recording.append([outcome])
            backed_up(tmp_path, f"{number}-before", committed)
            store.commit([outcome], meta=entries)
            committed.append(len(outcome.passed))
            backed_up(tmp_path, f"{number}-after", committed)
    assert len(list((tmp_path / "home" / "recordings").glob("*.parquet"))) >= 3


def backed_up(tmp_path: Path, name: str, committed: list[int]) -> None:
    """Back up, restore, and find what was committed: no row less, none more."""
    write(tmp_path / "home", tmp_path / name, ABOUT)
    (folder := tmp_path / f"{name}-restored").mkdir()
    read(tmp_path / name, folder)
    with closing(SqliteStore(folder / "store.sqlite", CODECS)) as store:
        entry = store.meta().get(ENTRY)
    assert sum(map(len, recorded(folder / "recordings", entry))) == sum(committed)
    Recording(folder / "recordings", entry)


# commits every batch, and stands still after the first with events
STANDING = """
import os, signal

from xmsec.cli.entry import main
from xmsec.runtime import embedded
from xmsec.store.sqlite import SqliteStore

commit, embedded.COMMIT_S = SqliteStore.commit, 0.0

def until_events(store, outcomes, **more):
    commit(store, outcomes, **more)
    if any(outcome.counts for outcome in outcomes):
        SqliteStore.commit = commit
        os.kill(os.getpid(), signal.SIGSTOP)

SqliteStore.commit = until_events
main()
"""


def test_a_store_that_another_process_fills_is_copied_whole(tmp_path: Path, home: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(b"".join(map(later, range(10))))
    scan = ("scan", str(log), "--stream", "generic.web", "--home")
    busy = new_home(tmp_path / "busy", home)
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-c", STANDING, *scan, str(busy)]
        scanning = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
        taken = list(backups(scanning, busy, tmp_path))
    found = (tmp_path / "out").read_bytes()
    assert scanning.returncode == 0, found
    assert 0 < taken[0][0] < parsed(busy)
    replayed = told(called("replay", "--home", busy).stdout)
    for _, file in (taken[0], taken[len(taken) // 2]):
        restored = new_home(file.with_suffix(".home"), home)
        assert called("restore", file, "--home", restored).returncode == 0
        went_on = called(*scan, restored)
        assert (went_on.returncode, told(went_on.stdout)) == (0, told(found)), went_on.stderr
        assert told(called("replay", "--home", restored).stdout) == replayed


def later(times: int) -> bytes:
    """The sample's four days, so many times four days later."""
    sample = gzip.decompress((resources.files("xmsec.bench") / "apache_access_sample.log.gz").read_bytes())

    def moved(found: re.Match[bytes]) -> bytes:
        return (date(2015, 5, int(found[1])) + timedelta(days=4 * times)).strftime("%d/%b/%Y").encode()

    return re.sub(rb"(\d\d)/May/2015", moved, sample)


def backups(scanning: subprocess.Popen[bytes], busy: Path, folder: Path) -> Iterator[tuple[int, Path]]:
    """Take backups until the scan has ended, the first while it stands still; yield them with how far they came."""
    _, status = os.waitpid(scanning.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), "the scan ended before it committed an event"
    for number in count():
        file = folder / f"backup-{number}"
        done = called("backup", file, "--home", busy)
        assert done.returncode == 0, done.stderr
        scanning.send_signal(signal.SIGCONT)
        (probe := file.with_suffix(".probe")).mkdir()
        read(file, probe)
        yield parsed(probe), file
        if scanning.poll() is not None:
            return


def parsed(home: Path) -> int:
    """How many lines a home has committed."""
    [[total]] = table(home, "SELECT total FROM counts WHERE what = 'parsed'")
    return int(total)


def told(out: bytes) -> list[str]:
    """Findings, but for when their events were read."""
    found = rows(out)
    for event in (event for finding in found for event in finding["evidence"]):
        del event["received"]
    return sorted(json.dumps(row, sort_keys=True) for row in found)
