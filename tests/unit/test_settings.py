"""Settings from the environment: what is wrong is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import called


@pytest.mark.parametrize("zone", ["Foo/Bar", "", "../etc/passwd", "Asia"], ids=["unknown", "empty", "a path", "a folder"])
def test_a_time_zone_that_is_none_is_wrong_usage(zone: str, tmp_path: Path) -> None:
    ended = called("keys", "check", "--home", tmp_path, env={"XMSEC_TIMEZONE": zone})
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.decode().startswith("xmsec: setting timezone: ")
    assert ended.stderr.count(b"\n") == 1
