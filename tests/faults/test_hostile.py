"""Hostile input: what is good in it is kept and counted, what is not is named in one line, and the exit code says which."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.command import XMSEC, called, environment, new_home, rows, started, table

pytestmark = pytest.mark.faults


def web(count: int, first: int = 0) -> bytes:
    """Good lines of a web log, a second apart."""
    return b"".join(
        b'203.0.113.%d - - [24/Nov/2025:08:%02d:%02d +0800] "GET /page/%d HTTP/1.1" 200 512 "-" "x"\n'
        % (1 + number % 40, number // 60 % 60, number % 60, number)
        for number in range(first, first + count)
    )


def ecs(value: bytes) -> bytes:
    return b'{"@timestamp":"2025-11-24T08:00:00Z","event":{"action":"read"},"a":%s}\n' % value


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


Counts = dict[str, Any]
BOMB = gzip.compress(web(50) + b"A" * (150 << 20), 9)
DEEP = 20_000
HOSTILE: dict[str, tuple[bytes, str, Counts]] = {
    "nuls": (
        web(3) + bytes(5_000) + b"\n" + b"\0\0" + web(1, 3) + b"a\0b\n",
        "generic.web",
        {"parsed": 4, "replaced": 1, "rejected": {"no-match": 1, "nul-line": 1}},
    ),
    "nuls first": (bytes(3 << 20) + b"\n" + web(5), "guessed", {"parsed": 5, "cut": 1, "rejected": {"nul-line": 1}}),
    "a line of 10 MB": (
        web(3) + b"A" * 10_000_000 + b"\n" + web(3, 3),
        "guessed",
        {"parsed": 6, "cut": 1, "rejected": {"no-match": 1}},
    ),
    "a message of 10 MB": (
        b"<34>Oct 11 22:14:15 host su: " + b"A" * 10_000_000 + b"\n<34>Oct 11 22:14:16 host su: x\n",
        "generic.syslog",
        {"parsed": 2, "cut": 1, "untokenised": 1},
    ),
    "invalid UTF-8": (
        web(3) + web(1, 3).replace(b"page", b"\xff\xfe\xc3\x28") + web(1, 4).replace(b"page", b"\xed\xa0\x80"),
        "guessed",
        {"parsed": 5, "replaced": 2},
    ),
    "NaN": (
        ecs(b"1") * 3 + ecs(b"NaN") + ecs(b"-Infinity") + ecs(b"1e999"),
        "guessed",
        {"parsed": 3, "rejected": {"bad-json": 2, "bad-number": 1}},
    ),
    "numbers over 2^64": (
        ecs(b"%d" % (2**64 + 1)) + ecs(b"-%d" % 2**70) + ecs(b'{"http":{"response":{"bytes":%d}}}' % 2**66) + ecs(b"9" * 5_000),
        "generic.ecs",
        {"parsed": 3, "rejected": {"bad-number": 1}},
    ),
    "20,000 deep": (
        ecs(b"1") * 3 + ecs(b'{"a":' * DEEP + b"1" + b"}" * DEEP) + ecs(b"[" * DEEP + b"]" * DEEP),
        "guessed",
        {"parsed": 3, "rejected": {"too-deep": 2}},
    ),
    "a surrogate": (ecs(b"1") + ecs(b'"\\ud800"'), "guessed", {"parsed": 1, "rejected": {"bad-json": 1}}),
    "moments beyond time": (
        ecs(b"1")
        + ecs(b"1").replace(b"2025", b"9999")
        + ecs(b"1").replace(b"2025-11-24T08:00:00Z", b"0001-01-01T00:00:00+14:00"),
        "generic.ecs",
        {"parsed": 1, "rejected": {"bad-time": 2}},
    ),
    "a far future": (web(3) + web(1).replace(b"2025", b"2125"), "guessed", {"parsed": 4, "far_future": 1}),
    "CRLF and BOM": (b"\xef\xbb\xbf" + web(2).replace(b"\n", b"\r\n"), "guessed", {"parsed": 2}),
    "no line end": (web(2)[:-1], "guessed", {"parsed": 2}),
    "blank lines": (b"\n \n\t\n\r\n", "guessed", {"blank": 4}),
    "empty": (b"", "guessed", {}),
    "gzip in two members": (gzip.compress(web(4)) + gzip.compress(web(4, 4)), "guessed", {"parsed": 8}),
    "gzip of nothing": (gzip.compress(b""), "guessed", {}),
    "gzip with bytes behind": (gzip.compress(web(4)) + b"trailing", "guessed", {"parsed": 4, "rejected": {"gzip-damaged": 1}}),
    "gzip bomb": (BOMB, "guessed", {"parsed": 50, "cut": 1, "rejected": {"decompression-ratio": 1, "no-match": 1}}),
    "zstd": (zstd(web(4)), "guessed", {"parsed": 4}),
}
ZERO = {"blank": 0, "parsed": 0, "cut": 0, "replaced": 0, "late": 0, "far_future": 0, "untokenised": 0, "rejected": {}}
OF_FILE = {"gzip-truncated", "gzip-damaged", "zstd-truncated", "zstd-damaged", "decompression-ratio"}


def scanned(home: Path, *paths: str | Path, stream: str = "guessed", given: bytes = b"") -> Counts:
    """Scan and return the summary; nothing but findings is printed."""
    told = () if stream == "guessed" else ("--stream", stream)
    done = called("scan", *paths, "--home", home, "--format", "jsonl", "--summary", home / "summary.json", *told, given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    summary: Counts = json.loads((home / "summary.json").read_bytes())
    found = rows(done.stdout)
    assert sum(summary["findings"].values()) == len(found)
    refused = sum(count for reason, count in summary["rejected"].items() if reason not in OF_FILE)
    assert summary["lines"] == summary["blank"] + summary["parsed"] + refused
    if refused:
        assert any(one["kind"] == "coverage" for one in found), "what was refused is no finding"
    return summary


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_good_is_kept_and_every_line_is_counted(name: str, home: Path, tmp_path: Path) -> None:
    content, stream, expected = HOSTILE[name]
    path = tmp_path / "input"
    path.write_bytes(content)
    summary = scanned(home, path, stream=stream)
    assert {what: summary[what] for what in ZERO} == {**ZERO, **expected}
    assert scanned(home, path, stream=stream) == summary, "a second scan adds something"


@pytest.mark.parametrize("pack, reason", [(gzip.compress, "gzip-truncated"), (zstd, "zstd-truncated")], ids=["gz", "zst"])
def test_lines_before_a_truncated_end_count(pack: Callable[[bytes], bytes], reason: str, home: Path, tmp_path: Path) -> None:
    packed = pack(b"".join(web(1, number) + os.urandom(300).hex().encode() + b"\n" for number in range(2_000)))
    path = tmp_path / "log"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    summary = scanned(home, path, stream="generic.web")
    assert summary["rejected"].pop(reason) == 1
    assert 1_000 < summary["parsed"] < 2_000
    assert 0 <= summary["parsed"] - summary["rejected"]["no-match"] <= 1


def one_line(done: subprocess.CompletedProcess[bytes], code: int, *says: str) -> None:
    """The contract's error: one line WHAT; WHERE; WHAT TO DO, no traceback, nothing on stdout."""
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert re.fullmatch(r"xmsec: [^;\n]+; [^;\n]+; [^\n]+\n", text), text
    assert done.stdout == b""
    for part in says:
        assert part in text


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "is a directory"),
    "a FIFO": (os.mkfifo, "is a FIFO"),
    "missing": (lambda path: None, "No such file"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "is not a regular file"),
    "a loop of links": (lambda path: path.symlink_to(path), "cannot be read"),
    "no format of ours": (lambda path: path.write_bytes(os.urandom(2_000)), "no stream fits"),
}


@pytest.mark.parametrize("command", ["scan", "parse"])
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_one_line_and_exit_2(name: str, command: str, home: Path, tmp_path: Path) -> None:
    make, says = UNREADABLE[name]
    make(tmp_path / "input")
    one_line(called(command, tmp_path / "input", "--home", home), 2, says, "" if "format" in name else str(tmp_path / "input"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every file")
def test_a_file_without_permission_is_one_line_and_exit_2(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(web(1))
    path.chmod(0)
    one_line(called("scan", path, "--home", home), 2, "Permission denied", str(path))


def test_a_name_with_a_line_feed_or_no_utf8_stays_one_line_and_is_counted(home: Path, tmp_path: Path) -> None:
    one_line(called("scan", tmp_path / "a\nb", "--home", home), 2, "a?b")
    odd = os.fsencode(tmp_path) + b"/\xff.log"
    Path(os.fsdecode(odd)).write_bytes(web(3))
    assert scanned(home, os.fsdecode(odd))["positions"] == {os.fsdecode(odd): len(web(3))}


MISUSE: dict[str, tuple[tuple[str, ...], int]] = {
    "no path": (("scan",), 2),
    "no such stream": (("scan", "input", "--stream", "nope"), 2),
    "no such severity": (("scan", "input", "--fail-on", "bad"), 2),
    "no such option": (("scan", "input", "--nope"), 2),
    "no such command": (("nope",), 2),
    "home is a file": (("scan", "input", "--home", "input"), 2),
    "summary in no folder": (("scan", "input", "--summary", "nowhere/summary.json"), 2),
    "no home": (("replay", "--home", "nowhere"), 2),
    "no moment": (("replay", "--home", "home", "--from", "yesterday"), 2),
    "no timezone": (("scan", "input"), 2),
    "no content": (("scan", "input"), 2),
}
SETTINGS = {"no timezone": {"XMSEC_TIMEZONE": "Mars/Olympus"}, "no content": {"XMSEC_CONTENT_DIRS": "nowhere"}}


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_one_line_and_exit_2(name: str, home: Path, tmp_path: Path) -> None:
    arguments, code = MISUSE[name]
    (tmp_path / "input").write_bytes(web(3))
    one_line(called(*arguments, env={"XMSEC_HOME": str(home), **SETTINGS.get(name, {})}, cwd=tmp_path), code)


def test_debug_shows_the_traceback_and_keeps_line_and_code(home: Path, tmp_path: Path) -> None:
    done = called("scan", tmp_path / "missing", "--home", home, "--debug")
    assert done.returncode == 2
    assert done.stderr.startswith(b"Traceback")
    assert done.stderr.splitlines()[-1].startswith(b"xmsec: cannot be read")


def test_another_key_is_refused_by_its_check_value(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(web(3))
    scanned(home, path)
    other = tmp_path / "other"
    other.write_text("ab" * 32)
    other.chmod(0o600)
    for command in (("scan", path), ("replay",), ("incidents", "list"), ("dead", "list")):
        one_line(called(*command, "--home", home, env={"XMSEC_KEY_FILE": str(other)}), 2, "made with another key")
    other.write_text("short")
    one_line(called("scan", path, "--home", home, env={"XMSEC_KEY_FILE": str(other)}), 2, "not a key file")
    scanned(home, path)


def test_two_writers_do_not_share_a_home_and_readers_may_look(home: Path) -> None:
    writer = subprocess.Popen(
        [*XMSEC, "scan", "-", "--home", str(home), "--stream", "generic.web", "--summary", str(home / "summary.json")],
        stdin=subprocess.PIPE,
        env=environment(),
    )
    assert writer.stdin is not None
    writer.stdin.write(web(100))
    writer.stdin.flush()
    while not (home / "summary.json").exists():
        assert writer.poll() is None
        _wait(writer)
    one_line(called("scan", "-", "--home", home, given=web(1)), 2, "another xmsec is writing here", str(home))
    assert called("incidents", "list", "--home", home).returncode == 0
    writer.communicate(web(3, 100))
    assert writer.returncode == 0
    assert json.loads((home / "summary.json").read_bytes())["parsed"] == 103


def test_a_file_that_grows_between_scans_is_read_on_and_its_copies_are_known(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(web(500))
    assert scanned(home, path)["parsed"] == 500
    path.write_bytes(web(800))
    grown = scanned(home, path)
    assert (grown["parsed"], grown["positions"]) == (800, {str(path): len(web(800))})
    rotated, packed = tmp_path / "access.log.1", tmp_path / "access.log.2.gz"
    path.rename(rotated)
    packed.write_bytes(gzip.compress(web(800)))
    path.write_bytes(web(100, 800))
    together = scanned(home, packed, rotated, path)
    assert (together["parsed"], together["late"]) == (900, 0)
    assert table(home, "SELECT sum(total) FROM counts WHERE what = 'parsed'") == [(900,)]
    assert scanned(home, path, rotated, packed)["parsed"] == 900


def test_two_files_with_one_beginning_are_two(home: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_bytes(web(2_000))
    second.write_bytes(web(20) + web(1_000, 3_000))
    assert scanned(home, first, second)["parsed"] == 3_020
    assert scanned(home, second, first)["parsed"] == 3_020
    assert scanned(home, second)["parsed"] == 1_020


@pytest.mark.parametrize("command", [("scan", "--format", "jsonl"), ("parse",)], ids=["scan", "parse"])
def test_a_reader_that_leaves_is_no_error(command: tuple[str, ...], home: Path, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"".join(web(1, number).replace(b"/page", b"/wp-login.php?a=%d" % number) for number in range(3_000)))
    writer = started(*command, path, "--home", home)
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait() == 0
    writer.stderr.close()


def test_a_full_disk_behind_stdout_is_one_line(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(web(3))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*XMSEC, "parse", str(path), "--home", str(home)], stdout=full, stderr=subprocess.PIPE, env=environment()
        )
    done.stdout = b""
    one_line(done, 2, "No space left")


def test_an_interrupt_ends_with_exit_4_and_the_same_command_continues(make_home: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"".join(web(3_600).replace(b":08:", b":%02d:" % hour) for hour in range(14)))
    calm, home = make_home("calm"), make_home("home")
    whole = scanned(calm, path)
    codes = []
    for reached, sent in ((0, signal.SIGINT), (1, signal.SIGTERM), (whole["lines"] // 3, signal.SIGTERM)):
        (home / "summary.json").unlink(missing_ok=True)
        life = started("scan", path, "--home", home, "--summary", home / "summary.json")
        while life.poll() is None and _lines(home / "summary.json") < reached:
            _wait(life)
        _wait(life)
        life.send_signal(sent)
        told, error = life.communicate()
        codes.append(life.returncode)
        if life.returncode:
            assert told == b""
            assert re.fullmatch(r"xmsec: interrupted; [^;\n]+; [^;\n]+\n", error.decode())
    assert 4 in codes
    assert set(codes) <= {0, 4}
    assert scanned(home, path) == whole
    assert table(home, "SELECT id FROM findings ORDER BY id") == table(calm, "SELECT id FROM findings ORDER BY id")


def _lines(summary: Path) -> int:
    return int(json.loads(summary.read_bytes())["lines"]) if summary.exists() else -1


def _wait(life: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        life.wait(0.02)


def test_a_store_or_cache_full_of_rubbish_is_said_or_made_anew(make_home: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(web(3))
    broken = make_home("broken")
    (broken / "store.sqlite").write_bytes(b"rubbish" * 10_000)
    one_line(called("scan", path, "--home", broken), 2, "store")
    stale = make_home("stale")
    for cached in (stale / "cache").iterdir():
        cached.write_bytes(b"rubbish" * 100)
    scanned(stale, path)


def test_parse_prints_what_is_good_and_counts_the_rest_on_stderr(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(gzip.compress(web(3) + b"\n" + b"A" * 10_000_000 + b"\n" + bytes(9) + b"\n" + web(2, 3))[:-4])
    done = called("parse", path, "--home", home)
    assert done.returncode == 0
    assert [row["event"]["position"]["offset"] for row in rows(done.stdout)][:2] == [0, len(web(1))]
    assert len(rows(done.stdout)) == 5
    assert done.stderr.decode().splitlines() == [
        "rejected 1 × parse:no-match",
        "rejected 1 × parse:nul-line",
        "rejected 1 × source:gzip-truncated",
    ]


def test_standard_input_is_scanned_like_a_file(make_home: Callable[[str], Path]) -> None:
    for name, given, parsed in (("plain", web(300), 300), ("packed", gzip.compress(web(300)), 300), ("empty", b"", 0)):
        assert scanned(make_home(name), "-", given=given)["parsed"] == parsed


def test_a_home_of_another_place_is_usable(tmp_path: Path, warm: Path) -> None:
    home = new_home(tmp_path / "数据 安全" / "home", warm)
    path = tmp_path / "输入 日志.log"
    path.write_bytes(web(3))
    assert scanned(home, path)["positions"] == {str(path): len(web(3))}
