"""Homes for processes that are broken on purpose; rules and patterns are compiled once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command import called, new_home


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose cache is full."""
    home = new_home(tmp_path_factory.mktemp("warm") / "home", Path("/nowhere"))
    done = called("scan", "-", "--home", home, given=b"")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def make_home(tmp_path: Path, warm: Path) -> Callable[[str], Path]:
    """Make a new home of a name."""
    return lambda name="home": new_home(tmp_path / name, warm)


@pytest.fixture
def home(make_home: Callable[[str], Path]) -> Path:
    """A new home."""
    return make_home("home")
