"""`xmsec ledger`: a home's ledger is imported and shown, also before anything was read there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import called, rows

LEDGER = """as_of: 2026-10-01T00:00:00+08:00
owners: [{id: shop}]
datasets: [{name: "postgres://db:5432/shop.public.orders", system: mine, owner: shop, grade: general-4}]
grants:
  - {id: G1, grantee: lin, datasets: ["postgres://db:5432/shop.public.orders"], start: 2026-01-01T00:00:00+08:00}
"""


def test_an_imported_ledger_is_shown_in_a_home_without_a_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "ledger.yaml").write_text(LEDGER)
    assert called("ledger", "import", tmp_path / "ledger.yaml", "--home", home).returncode == 0
    shown = called("ledger", "show", "grants", "--home", home)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert [(row["id"], row["grantee"]) for row in rows(shown.stdout)] == [("G1", "lin")]


def test_a_ledger_with_problems_changes_nothing_and_names_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "ledger.yaml").write_text(LEDGER.replace("owner: shop", "owner: nobody"))
    ended = called("ledger", "import", tmp_path / "ledger.yaml", "--home", home)
    assert ended.returncode == 1
    assert b'owner "nobody" is not among owners' in ended.stderr
    assert rows(called("ledger", "show", "--home", home).stdout) == []


@pytest.mark.parametrize("command", [["ledger", "import"], ["playbook", "validate"]], ids=" ".join)
def test_a_file_that_is_not_there_is_unreadable_input(command: list[str], tmp_path: Path) -> None:
    ended = called(*command, tmp_path / "none.json", "--home", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr.count(b"\n")) == (2, b"", 1)
