"""Why a finding has its grade: by types that were found and by labels of the ledger, as it is now."""

from __future__ import annotations

from pathlib import Path

from xmsec.content.classifiers import Grades, Title, TypeGrade
from xmsec.runtime.reasons import MOST, Newest, Reasons

GRADES = Grades(Title("级别", "grades"), types={"CN_MOBILE": TypeGrade("general-3", "a telephone")})


def ledger(home: Path, revision: int, grade: str, fields: int = 1) -> None:
    """Write a revision of a ledger that knows one dataset."""
    (home / "ledger").mkdir(exist_ok=True)
    said = "".join(f"  - {{name: f{number}, type: CN_RESIDENT_ID, grade: {grade}}}\n" for number in range(fields))
    body = f"""as_of: '2026-10-01T00:00:00+08:00'
revision: {revision}
owners: [{{id: approval, name: 审批局}}]
datasets:
- name: db.person
  system: office
  owner: approval
  title: 人员
  fields:
{said}"""
    (home / "ledger" / f"{revision:06d}.yaml").write_text(body, "utf-8")


def test_the_gravest_reason_comes_first_and_says_whose_it_is(tmp_path: Path) -> None:
    ledger(tmp_path, 1, "general-4")
    found = Reasons(GRADES, Newest(tmp_path))(["CN_MOBILE", "UNKNOWN"], ["db.person", "db.other"])
    assert [(one.level, one.dataset, one.field, one.type) for one in found] == [
        ("general-4", "db.person", "f0", "CN_RESIDENT_ID"),
        ("general-3", "", "", "CN_MOBILE"),
    ]
    assert found[1].why == "a telephone"


def test_a_newer_revision_is_read_and_long_answers_are_cut(tmp_path: Path) -> None:
    reasons = Reasons(GRADES, Newest(tmp_path))
    assert reasons([], ["db.person"]) == []
    ledger(tmp_path, 1, "general-2")
    assert [one.level for one in reasons([], ["db.person"])] == ["general-2"]
    ledger(tmp_path, 2, "important", fields=MOST + 5)
    assert [one.level for one in reasons([], ["db.person"])] == ["important"] * MOST
