"""The token key: made once, and no other one is taken for a home that has tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import xmsec

pytestmark = pytest.mark.faults

LINE = b'203.0.113.9 - - [24/Nov/2025:08:00:00 +0800] "GET / HTTP/1.1" 200 512 "-" "x"\n'


@pytest.fixture
def used(home: Path) -> Path:
    """A home with a key and a store."""
    assert xmsec("scan", "-", "--home", home, given=LINE).returncode == 0
    return home


def test_the_key_of_a_store_is_checked(used: Path) -> None:
    checked = xmsec("keys", "check", "--home", used)
    assert (checked.returncode, checked.stdout.split()[0].decode()) == (0, str(used / "key"))


@pytest.mark.parametrize("command", [["keys", "check"], ["incidents", "list"], ["scan", "-"]], ids=" ".join)
def test_another_key_is_refused_by_name(used: Path, command: list[str]) -> None:
    (used / "key").write_text("77" * 32)
    ended = xmsec(*command, "--home", used, given=LINE)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"made with another key" in ended.stderr


def test_a_key_that_was_lost_is_not_replaced_by_a_scan(used: Path) -> None:
    (used / "key").unlink()
    ended = xmsec("scan", "-", "--home", used, given=LINE)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"no key file" in ended.stderr
    assert not (used / "key").exists()
