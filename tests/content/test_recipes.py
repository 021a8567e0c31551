"""Recipes of trained models are read strictly, and the shipped ones are sound."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from xmsec.content.load import parse
from xmsec.content.recipes import Feature, load_recipes, recipe_of
from xmsec.model.errors import ContentError
from xmsec.runtime.checked import bench, tried
from xmsec.runtime.contents import gather

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "detectors" / "models" / "user-hour.yaml").read_text()


def test_the_shipped_recipes_load_with_all_features() -> None:
    good, problems = load_recipes([ROOT])
    assert (list(good), problems) == (["user-day", "user-hour"], [])
    assert {recipe.window for recipe in good.values()} == {"1h", "1d"}
    assert all(recipe.features == Feature.__args__ for recipe in good.values())  # type: ignore[attr-defined]  # a Literal


def test_their_own_tests_hold_and_look_both_ways() -> None:
    contents = gather([ROOT], [ROOT / "detectors" / "models"])
    checked = {done.path.stem: done for done in tried(bench(contents, ZoneInfo("Asia/Shanghai")))}
    assert {name: done.failures for name, done in checked.items()} == {"user-day": [], "user-hour": []}
    for recipe in contents.recipes.values():
        assert {bool(case.findings) for case in recipe.tests} == {True, False}


def test_what_makes_no_finding_would_make_one_but_for_its_size(tmp_path: Path) -> None:
    """The near misses are near: rare enough for the forest, and only too little."""
    folder = tmp_path / "detectors" / "models"
    folder.mkdir(parents=True)
    for path in (ROOT / "detectors" / "models").iterdir():
        (folder / path.name).write_text(path.read_text().replace("busy_times: 6", "busy_times: 1"))
    done = list(tried(bench(gather([tmp_path]), ZoneInfo("Asia/Shanghai"))))
    assert [(one.tests, len(one.failures)) for one in done] == [(2, 1), (2, 1)]


def test_a_history_too_short_to_learn_from_is_a_failure_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "detectors" / "models" / "user-hour.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(TEXT.replace("repeat: 3000", "repeat: 30").replace("repeat: 300", "repeat: 3"))
    (done,) = tried(bench(gather([tmp_path]), ZoneInfo("Asia/Shanghai")))
    assert all("too few to train from" in failure for failure in done.failures)
    assert len(done.failures) == 2


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("id: user-hour", "id: other", 3, "not the file's name"),
        ("entity: user.id", "entity: user.shoe", 5, "Invalid enum value"),
        ("window: 1h", "window: 2h", 6, "Invalid enum value"),
        ("  - bytes ", "  - shoes ", 12, "Invalid enum value"),
        ("  - bytes ", "  - requests ", 8, "stands twice"),
        ("start: 8", "start: 21", 15, "end before they start"),
        ("seed: 20240917", "seed: -1", 16, ">= 0"),
        ("own_windows: 4", "own_windows: 1", 17, ">= 2"),
        ("budget_per_day: 0.5", "budget_per_day: 0", 18, "> 0"),
        ("busy_times: 6", "busy_times: 0.5", 19, ">= 1"),
        ("severity: low", "severity: mild", 20, "Invalid enum value"),
        ("status: test", "status: test\ncolour: red", 3, "unknown field"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: int, what: str) -> None:
    assert old in TEXT
    with pytest.raises(ContentError, match=what) as caught:
        recipe_of(parse(Path("user-hour.yaml"), TEXT.replace(old, new)))
    assert caught.value.where == f"user-hour.yaml:{line}"


def test_the_digest_follows_what_a_model_depends_on_and_nothing_else() -> None:
    def digest(old: str = "", new: str = "") -> str:
        return recipe_of(parse(Path("user-hour.yaml"), TEXT.replace(old, new))).digest

    assert digest("severity: low\n", "severity: high\n") == digest()
    assert digest("zh: 账号", "zh: 用户") == digest()
    assert digest("seed: 20240917", "seed: 1") != digest()
    assert digest("start: 8", "start: 9") != digest()
    assert digest("busy_times: 6", "busy_times: 5") != digest()
