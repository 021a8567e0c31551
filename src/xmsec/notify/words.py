"""Messages in words, Chinese or English: a subject and lines of plain text. Everything that came from a log is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Literal

from xmsec.model.types import SEVERITIES
from xmsec.notify.notice import Gathered, Message, Notice

Language = Literal["zh", "en"]
MOST = 12  # detectors that a message counts by name
_SEVERITY: Mapping[str, Mapping[str, str]] = {
    "zh": {"informational": "提示", "low": "低", "medium": "中", "high": "高", "critical": "严重"},
    "en": {name: name for name in SEVERITIES},
}
_SAY: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "test": "测试消息,无需处理",
        "storm": "同类告警 {count} 条已合并",
        "quiet": "静默时段内共 {count} 条告警",
        "entity": "对象",
        "system": "系统",
        "risk": "风险",
        "seen": "时间",
        "count": "次数",
        "grade": "数据级别",
        "why": "依据",
        "id": "编号",
        "span": "起于 {since}",
        "gravest": "最严重的:",
        "more": "其他检测器",
    },
    "en": {
        "test": "A test message, nothing to do",
        "storm": "{count} findings of one kind, folded",
        "quiet": "{count} findings of the quiet hours",
        "entity": "entity",
        "system": "system",
        "risk": "risk",
        "seen": "seen",
        "count": "count",
        "grade": "grade",
        "why": "why",
        "id": "id",
        "span": "since {since}",
        "gravest": "The gravest:",
        "more": "other detectors",
    },
}


def subject(message: Message, language: Language) -> str:
    """Return one line that says what it is."""
    say = _SAY[language]
    if message.notice is not None:
        return f"[xmsec] [{_SEVERITY[language][message.notice.severity]}] {_title(message.notice.title, language)}"
    if message.gathered is not None:
        worst = next(name for name in reversed(SEVERITIES) if name in message.gathered.severities)
        return f"[xmsec] [{_SEVERITY[language][worst]}] {say[message.gathered.why].format(count=message.gathered.count)}"
    return f"[xmsec] {say['test']}"


def lines(message: Message, language: Language, zone: tzinfo) -> list[str]:
    """Return the text below the subject."""
    if message.notice is not None:
        return _notice(message.notice, language, zone)
    if message.gathered is not None:
        return _gathered(message.gathered, language, zone)
    return [_local(message.at, zone)]


def _notice(one: Notice, language: Language, zone: tzinfo) -> list[str]:
    say, colon = _SAY[language], ":" if language == "zh" else ": "
    told = [
        (say["entity"], one.entity),
        (say["system"], one.system),
        (say["risk"], str(one.risk)),
        (say["seen"], _span(one.first_seen, one.time, zone)),
        (say["count"], str(one.count)),
        *([(say["grade"], one.grade)] if one.grade else []),
        *((say["why"], why) for why in one.why),
        (say["id"], one.id),
    ]
    return [f"{name}{colon}{_plain(value)}" for name, value in told]


def _gathered(one: Gathered, language: Language, zone: tzinfo) -> list[str]:
    say = _SAY[language]
    severities = [
        f"{_SEVERITY[language][name]} {one.severities[name]}" for name in reversed(SEVERITIES) if name in one.severities
    ]
    counts = sorted(one.counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in counts[MOST:])
    return [
        f"{', '.join(severities)} · {say['span'].format(since=_local(one.since, zone))}",
        *(f"{name} × {count}" for name, count in counts[:MOST]),
        *([f"{say['more']} × {rest}"] if rest else []),
        say["gravest"],
        *(
            f"[{_SEVERITY[language][notice.severity]}] {_title(notice.title, language)} · {_plain(notice.entity)} · {notice.id}"
            for notice in one.gravest
        ),
    ]


def _title(title: str, language: Language) -> str:
    """Return the part of a bilingual title in one language; the whole of any other."""
    parts: Sequence[str] = title.split(" · ")
    return _plain(parts[0 if language == "zh" else 1] if len(parts) == 2 else title)


def _span(first: datetime, last: datetime, zone: tzinfo) -> str:
    start, end = _local(first, zone), _local(last, zone)
    return start if start == end else f"{start} – {end}"


def _local(time: datetime, zone: tzinfo) -> str:
    return time.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _plain(text: str) -> str:
    """Return a text without line breaks and control characters: a value of a log cannot add a line of its own."""
    return "".join(character if character.isprintable() else " " for character in text)
