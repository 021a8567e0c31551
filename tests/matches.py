"""Detectors that read what rules matched, and contexts in which rules match."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st
from tests.rules import ZONE, file_of, loaded
from tests.strategies import contexts

from xmsec.content.detectors import DetectorFile
from xmsec.detect.fold import About
from xmsec.detect.kinds.correlation import Correlation, Rule
from xmsec.model.ports import Detector
from xmsec.model.types import Context

RULES = ("rule-of-an-hour", "rule-of-a-day")


def rule_file(name: str, window: str = "1h", level: str = "medium", more: str = "") -> DetectorFile:
    """Make a rule that holds when the field `rule` names it."""
    return file_of(
        f"title: Rule\ntitle_zh: 规则\nname: {name}\nlevel: {level}\nwindow: {window}\nlogsource: {{category: test}}\n"
        f"detection:\n  named:\n    rule: {name}\n  condition: named\n{more}"
    )


def sigma() -> Detector[Any]:
    """Fold two rules of different windows."""
    files = [rule_file(RULES[0], level="high"), rule_file(RULES[1], "1d", more="entity: source.ip\n")]
    return loaded(files).detectors["sigma"]


def correlation(field: str | None, threshold: int = 3, timespan: timedelta = timedelta(hours=6)) -> Correlation:
    """Correlate the two rules by address."""
    about = About("many", "1", "correlation", "多 · Many", "medium")
    return Correlation(Rule(about, frozenset(RULES), ("source.ip",), timespan, threshold, field, "6h"), ZONE)


def matching() -> st.SearchStrategy[list[Context]]:
    """Contexts of three addresses and two accounts, in which rules match."""
    fields = st.fixed_dictionaries(
        {
            "source.ip": st.sampled_from(("10.0.0.1", "10.0.0.2", "10.0.0.3")),
            "url.path": st.sampled_from(("/a", "/b", "/c", "/d", None)),
            "rule": st.sampled_from((*RULES, list(RULES), "no-rule")),
        },
        optional={
            "user.id": st.sampled_from(("lin", "wang")),
        },
    )
    # half a day, so that the windows of a few hours are full often enough
    return contexts(fields, flags=((), (), (), ("far_future",)), seconds=43_200).map(
        lambda made: [_matched(context) for context in made]
    )


def _matched(context: Context) -> Context:
    named = context.event.fields.get("rule", ())
    return msgspec.structs.replace(context, matches=tuple(sorted({named} & {*RULES} if isinstance(named, str) else named)))
