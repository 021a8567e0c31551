"""Destinations as content: what is refused with its line, and which findings go where."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.receivers import told

from xmsec.content.load import parse
from xmsec.content.notify import Destination, Where, destination_of, load_destinations, tried
from xmsec.model.errors import ConfigError, ContentError
from xmsec.notify.target import Target, fit, targets_of

GOOD = """
title: {zh: 值班群, en: Duty group}
channel: dingtalk
where: {severity: [high, critical], system: [office, "credit-*"]}
quiet: {start: "22:00", end: "07:00"}
fold: {more_than: 5, minutes: 10}
tests:
  - {name: grave, finding: {severity: high, system: credit-medical}, goes: true}
  - {name: slight, finding: {severity: low, system: office}, goes: false}
"""


def load(text: str, name: str = "duty-group") -> Destination:
    return destination_of(parse(Path(f"notify/{name}.yaml"), text))


def test_a_destination_is_named_by_its_file_and_finds_its_address_by_that_name() -> None:
    found = load(GOOD)
    assert (found.id, found.target, found.rate, found.to_people) == ("duty-group", "duty-group", 20, True)
    assert tried(found) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("channel: dingtalk", "channel: pager", 3, "Invalid enum value 'pager'"),
        ("channel: dingtalk", "channel: webhook", 1, "webhook needs a format"),
        ("channel: dingtalk", "channel: webhook\nformat: ecs", 6, "machines sleep never"),
        ("channel: dingtalk", "channel: mail\nformat: ecs", 4, "people are told in words"),
        ('"22:00"', '"25:00"', 5, "not a time of the day"),
        ('"22:00"', '"07:00"', 5, "quiet hours end where they start"),
        ('"07:00"}', '"07:00", zone: Xiamen}', 5, "no such zone"),
        ("goes: false", "goes: true", 8, "tests are missing"),
        ("quiet:", "per_minute: 30\nquiet:", 5, "robots take 20 messages a minute"),
        ("quiet:", "secret: SEC1\nquiet:", 1, "unknown field `secret`"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(old: str, new: str, line: int, what: str) -> None:
    with pytest.raises(ContentError) as error:
        load(GOOD.replace(old, new))
    assert what in error.value.what
    if line > 1:
        assert error.value.where.endswith(f":{line}")


def test_a_test_that_does_not_hold_is_named() -> None:
    assert tried(load(GOOD.replace("severity: high, system: credit-medical", "severity: medium"))) == [
        "grave: it does not go there"
    ]


@pytest.mark.parametrize(
    ("where", "goes"),
    [
        (Where(), True),
        (Where(severity=("high",)), True),
        (Where(severity=("critical",)), False),
        (Where(kind=("sigma",), detector=("mass-*",)), True),
        (Where(kind=("anomaly",), detector=("mass-*",)), False),
        (Where(stream=("office.*",)), True),
        (Where(stage=("use",)), False),
    ],
)
def test_every_key_that_is_written_must_hold(where: Where, goes: bool) -> None:
    assert where.holds(told("a")) is goes


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        ("first", ["high", "critical"]),
        ("final", ["final 3", "final 4"]),
        ("each", ["high", "critical", "final 3", "final 4"]),
    ],
)
def test_a_finding_is_told_when_there_is_news_of_it(tell: str, said: list[str]) -> None:
    course = [
        ("high", told("a")),
        ("", told("a", count=13)),
        ("critical", told("a", severity="critical", count=14)),
        ("final 3", told("a", severity="critical", count=3, state="final")),
        ("", told("a", severity="critical", count=3, state="final")),
        ("final 4", told("a", severity="critical", count=4, state="final")),
    ]
    destination = load(f"title: {{zh: 甲, en: A}}\nchannel: mail\ntell: {tell}\n")
    mark, told_of = None, []
    for name, finding in course:
        news = destination.mark(finding)
        if news is not None and destination.news(news, mark):
            mark = news
            told_of.append(name)
    assert told_of == said


def test_one_bad_file_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "notify").mkdir()
    (tmp_path / "notify" / "duty-group.yaml").write_text(GOOD)
    (tmp_path / "notify" / "bad.yaml").write_text("channel: mail")
    (tmp_path / "notify" / "off.yaml").write_text(GOOD + "enabled: false\n")
    found, problems = load_destinations([tmp_path])
    assert (list(found), len(problems)) == (["duty-group"], 1)


@pytest.mark.parametrize(
    ("channel", "target", "what"),
    [
        ("webhook", Target("smtp://here"), "another kind of address"),
        ("webhook", Target("https://here/in"), "neither signed nor has a token"),
        ("mail", Target("smtps://here"), "needs sender and recipients"),
        ("syslog", Target("tls://here"), "needs a port"),
        ("wecom", Target("https:///nowhere"), "another kind of address"),
    ],
)
def test_an_address_that_does_not_fit_is_refused(channel: str, target: Target, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        fit(channel, target, "one")  # type: ignore[arg-type]  # names from the table


def test_what_is_said_of_a_target_quotes_no_secret() -> None:
    target = Target("https://oapi.dingtalk.com/robot/send?access_token=SECRET", secret="SECRET", password="SECRET")
    assert "SECRET" not in repr(target)
    with pytest.raises(ConfigError) as error:
        targets_of({"duty": {"url": 7, "secret": "SECRET"}}, "targets.toml")
    assert "SECRET" not in str(error.value)
