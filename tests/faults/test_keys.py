"""The token key: made once, rotated whole or not at all, and no other one is taken for a home that has tokens."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from pyarrow.parquet import read_table
from tests.command import KEY, called, environment, rows

from xmsec.classify.token import TOKEN
from xmsec.cli.keyfile import read_keys
from xmsec.model.clock import EPOCH
from xmsec.model.types import Revisions, Tick
from xmsec.store.archive import Archive
from xmsec.store.columns import Row
from xmsec.store.recorder import Origin, Recorder
from xmsec.store.recording import read

pytestmark = pytest.mark.faults

LINE = b'203.0.113.9 - - [24/Nov/2025:08:00:00 +0800] "GET / HTTP/1.1" 200 512 "-" "x"\n'


@pytest.fixture
def used(home: Path) -> Path:
    """A home with a key and a store."""
    assert called("scan", "-", "--home", home, given=LINE).returncode == 0
    return home


def test_the_key_of_a_store_is_checked(used: Path) -> None:
    checked = called("keys", "check", "--home", used)
    assert (checked.returncode, checked.stdout.split()[0].decode()) == (0, str(used / "key"))


@pytest.mark.parametrize("command", [["keys", "check"], ["incidents", "list"], ["scan", "-"]], ids=" ".join)
def test_another_key_is_refused_by_name(used: Path, command: list[str]) -> None:
    (used / "key").write_text("77" * 32)
    ended = called(*command, "--home", used, given=LINE)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"made with another key" in ended.stderr


def test_a_key_that_was_lost_is_not_replaced_by_a_scan(used: Path) -> None:
    (used / "key").unlink()
    ended = called("scan", "-", "--home", used, given=LINE)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"no key file" in ended.stderr
    assert not (used / "key").exists()


def test_another_hash_is_refused_by_name(used: Path) -> None:
    for command in (["keys", "check"], ["replay"], ["scan", "-"], ["doctor"]):
        told = called(*command, "--home", used, given=LINE, env={"XMSEC_TOKEN_HASH": "hmac-sm3"})
        said = told.stderr + told.stdout
        assert told.returncode in (1, 2)
        assert b"made under HMAC-SHA-256 (check value " in said
        assert b"this key's hash is HMAC-SM3 (sm3:" in said


# kills the process, for good, at the n-th thing that it does to a file after the key was read
KILLED = """
import os, sys
seen, last = 0, int(sys.argv.pop(1))
def watch(event, arguments):
    global seen
    if event in ("open", "os.rename", "os.remove", "os.chmod") and (seen or str(arguments[0]).endswith(".part")):
        seen += 1
        if seen > last:
            os.kill(os.getpid(), 9)
sys.addaudithook(watch)
from xmsec.cli.entry import main
main()
"""


def test_a_rotation_that_is_killed_leaves_the_old_file_or_the_new_one(home: Path) -> None:
    before = read_keys(home / "key").check
    outcomes = []
    for last in range(20):
        (home / "key").write_text(KEY)
        command = [sys.executable, "-c", KILLED, str(last), "keys", "rotate", "--home", str(home)]
        ended = subprocess.run(command, capture_output=True, env=environment(), check=False)
        found = read_keys(home / "key").check.split("+")
        assert found[0] == before
        outcomes.append((ended.returncode, len(found)))
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert {(-signal.SIGKILL, 1), (-signal.SIGKILL, 2), (0, 2)} == set(outcomes)
    assert (home / "key").stat().st_mode & 0o777 == 0o600


def test_two_rotations_at_once_are_one(home: Path) -> None:
    folder = os.open(home, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    told = called("keys", "rotate", "--home", home)
    os.close(folder)
    assert (told.returncode, told.stdout) == (2, b"")
    assert b"keys are replaced by another process" in told.stderr


def visit(number: int) -> bytes:
    when = datetime.now(UTC) + timedelta(seconds=1)
    return (
        f'203.0.113.9 - - [{when:%d/%b/%Y:%H:%M:%S +0000}] "GET /people/13959200{number:03d} HTTP/1.1" 200 1 "-" "x"\n'.encode()
    )


def token_of(home: Path, number: int, **more: str) -> str:
    (event,) = rows(called("parse", "-", "--stream", "generic.web", "--home", home, given=visit(number), env=more).stdout)
    return event["spans"][0]["token"]


def test_tokens_of_two_epochs_are_linked_both_ways_for_the_while_and_not_after(used: Path) -> None:
    old, other = token_of(used, 1), token_of(used, 2)
    told = called("keys", "rotate", "--at", "now", "--link", "1h", "--home", used)
    assert told.returncode == 0, told.stderr
    new = token_of(used, 1)
    assert old != new
    assert called("scan", "-", "--stream", "generic.web", "--home", used, given=visit(1) + LINE).returncode == 0

    def linked(token: str) -> list[str]:
        asked = called("keys", "linked", token, "--home", used)
        assert asked.returncode == 0, asked.stderr
        return asked.stdout.decode().split()

    assert (linked(old), linked(new), linked(other)) == ([new], [old], [])
    key, body = used / "key", (used / "key").read_text()
    passed = re.sub(r"(?m)^2 (\S+) \S+ 1h", r"2 \1 2026-01-02T03:04:05+08:00 1h", body)
    key.write_text(passed)  # as if the while had passed
    assert (linked(old), linked(new)) == ([], [])
    assert b"its while ended" in called("keys", "check", "--home", used).stdout
    retired = called("keys", "retire", "--home", used)
    assert (retired.returncode, retired.stdout.count(b"retired")) == (0, 1)
    assert KEY not in key.read_text()
    key.write_text(key.read_text().replace(" 1h ", " 3650d "))  # whoever makes the while longer has no key to open links with
    assert (linked(old), linked(new)) == ([], [])
    assert token_of(used, 1) == new


def test_who_does_not_know_the_newest_epoch_is_told_by_name(used: Path, tmp_path: Path) -> None:
    old = (used / "key").read_bytes()
    assert called("keys", "rotate", "--home", used).returncode == 0
    assert called("scan", "-", "--home", used, given=LINE).returncode == 0
    checks = read_keys(used / "key").check
    archive = Archive(str(tmp_path / "shelf"))
    archive.claim(checks)
    behind = tmp_path / "old-key"
    behind.write_bytes(old)
    behind.chmod(0o600)
    given = {"XMSEC_KEY_FILE": str(behind), "XMSEC_RECORDINGS": str(tmp_path / "shelf"), "XMSEC_ES_URL": "http://127.0.0.1:9"}
    for command in (
        ["scan", "-"],
        ["replay"],
        ["worker", "classify"],
        ["worker", "record"],
        ["backup", tmp_path / "b"],
    ):
        told = called(*command, "--home", used if command[0] != "worker" else tmp_path / "w", env=given, given=LINE)
        assert (told.returncode, told.stdout) == (2, b""), command
        newest = checks.split("+")[-1].encode()
        assert b"made under epoch 2 (check value " + newest + b"); the key file here ends with epoch 1" in told.stderr


def test_keys_by_a_command_are_rotated_where_they_are(home: Path) -> None:
    for command in ("create", "rotate", "retire"):
        told = called("keys", command, "--home", home, env={"XMSEC_KEY_COMMAND": "cat key"})
        assert (told.returncode, told.stdout) == (2, b"")
        assert b"the key comes from a command; XMSEC_KEY_COMMAND=cat; " in told.stderr


# kills the process, for good, at the n-th file that it puts in the place of another
KILLED_AT = """
import os, sys
left = [int(sys.argv.pop(1))]
def watch(event, arguments):
    if event == "os.rename" and ".parquet" in str(arguments[0]):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), 9)
sys.addaudithook(watch)
from xmsec.cli.entry import main
main()
"""
SCAN = (
    '203.0.113.{n} - - [{when}] "GET /people/13959200{who:03d}?id=1\'%20union%20select%201 HTTP/1.1" 500 1 "-" "sqlmap/1.7"\n'
)


def test_recordings_brought_under_the_present_key_are_whole_wherever_it_is_killed(home: Path, tmp_path: Path) -> None:
    (home / "key").write_text(f"1 hmac-sha256 - - {KEY}\n2 hmac-sm3 2026-01-01T00:00:00+08:00 3650d {'6c' * 32}\n")
    lines = [SCAN.format(n=n, who=n, when=f"24/Nov/2025:08:{n:02d}:00 +0800") for n in range(12)]
    lines += [SCAN.format(n=n, who=n, when=f"24/Feb/2026:08:{n:02d}:00 +0800") for n in range(6)]
    scan = ("scan", "-", "--stream", "generic.web", "--home", home, "--format", "jsonl")
    assert called(*scan, given="".join(lines).encode()).returncode == 0
    keyring = read_keys(home / "key")
    shelf = Archive(str(tmp_path / "shelf"))
    worker = Recorder(shelf, Origin("0123456789", keyring.check))
    for number, batch in enumerate(read(home / "recordings", None)):
        for place, row in enumerate(batch):
            offset = 1_000 * number + place
            worker.add(0, offset, [moved(row)], Revisions("c", 1), 0.0)
            if offset % 5 == 4:
                worker.written(*worker.seal(0))
    if worker.parts:
        worker.written(*worker.seal(0))
    env = {"XMSEC_RECORDINGS": str(tmp_path / "shelf")}

    def told() -> list[tuple[str, str, str, int]]:
        found = rows(called("replay", "--home", home, "--format", "jsonl", env=env).stdout)
        return sorted((one["id"], one["detector"], one["severity"], one["count"]) for one in found)

    def tokens() -> set[str]:
        kept = list((tmp_path / "shelf").rglob("*.parquet")) + list((home / "recordings").glob("*.parquet"))
        return {
            token for path in kept for text in read_table(path)["fields"].to_pylist() for token in TOKEN.findall(text or "")
        }

    before, was = told(), tokens()
    old = {keyring.pen(EPOCH, EPOCH).token("CN_MOBILE", f"13959200{n:03d}") for n in range(12)}
    assert old <= was
    assert "web-sql-injection" in {one[1] for one in before}
    would = rows(called("recordings", "retoken", "--home", home, env=env).stdout)
    assert {one["done"] for one in would} == {False}
    assert tokens() == was
    command = [sys.executable, "-c", KILLED_AT, "1", "recordings", "retoken", "--yes", "--home", str(home)]
    assert subprocess.run(command, capture_output=True, env=environment(env), check=False).returncode == -signal.SIGKILL
    assert tokens() & old
    done = called("recordings", "retoken", "--yes", "--home", home, env=env)
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == len(would) - 1
    assert not tokens() & old
    assert was - old <= tokens()
    assert told() == before
    assert not list((home / "recordings").glob("*.part"))
    assert rows(called("recordings", "retoken", "--yes", "--home", home, env=env).stdout) == []
    assert {one["retokened"] for one in rows(called("recordings", "list", "--home", home, env=env).stdout)} >= {2}
    assert called(*scan, given="".join(lines).encode()).returncode == 0


def moved(row: Row) -> Row:
    """The row as of another stream, whose positions the home does not have."""
    if isinstance(row, Tick):
        return msgspec.structs.replace(row, stream="generic.cef")
    event, spans = row
    position = msgspec.structs.replace(event.position, stream="generic.cef")
    return msgspec.structs.replace(event, position=position, id=f"moved-{event.id}"), spans


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--at", "2020-01-01T00:00:00Z"], b"lies in the past"),
        (["--at", "soon"], b"not a moment; --at"),
        (["--link", "long"], b"not a while; --link"),
        (["--hash", "md5"], b'no hash "md5"; --hash'),
    ],
    ids=["past", "no moment", "no while", "no hash"],
)
def test_what_cannot_be_a_rotation_changes_nothing(home: Path, arguments: list[str], said: bytes) -> None:
    before = (home / "key").read_bytes()
    told = called("keys", "rotate", *arguments, "--home", home)
    assert (told.returncode, told.stderr.count(b"\n")) == (2, 1)
    assert said in told.stderr
    assert (home / "key").read_bytes() == before
