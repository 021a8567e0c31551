"""Recipes of trained models are read strictly, and the shipped ones are sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmsec.content.load import parse
from xmsec.content.recipes import Feature, load_recipes, recipe_of
from xmsec.model.errors import ContentError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "detectors" / "models" / "user-hour.yaml").read_text()


def test_the_shipped_recipes_load_with_all_features() -> None:
    good, problems = load_recipes([ROOT])
    assert (list(good), problems) == (["user-day", "user-hour"], [])
    assert {recipe.window for recipe in good.values()} == {"1h", "1d"}
    assert all(recipe.features == Feature.__args__ for recipe in good.values())  # type: ignore[attr-defined]  # a Literal


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
        ("severity: low", "severity: mild", 19, "Invalid enum value"),
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

    assert digest("severity: low", "severity: high") == digest()
    assert digest("zh: 账号", "zh: 用户") == digest()
    assert digest("seed: 20240917", "seed: 1") != digest()
    assert digest("start: 8", "start: 9") != digest()
