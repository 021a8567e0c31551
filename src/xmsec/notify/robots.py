"""The robots of group chats: what each takes, how it is signed, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from xmsec.notify.http import post
from xmsec.notify.sign import dingtalk, feishu
from xmsec.notify.target import Target, UndeliveredError

SLOW_DOWN = frozenset((130101, 410100, 45009, 9499, 11232))  # DingTalk's, WeCom's and Feishu's words for too many messages
PAUSE_S = 60.0
TEXT_BYTES = 2_048  # WeCom's limit of a text; the others take more
Robot = Callable[[Target, str, float], None]


def to_dingtalk(target: Target, text: str, now_s: float) -> None:
    """Send a text to a DingTalk group. Raises UndeliveredError."""
    query = dingtalk(target.secret, int(now_s * 1000)) if target.secret else ""
    _send(target, query, {"msgtype": "text", "text": {"content": text}}, now_s)


def to_wecom(target: Target, text: str, now_s: float) -> None:
    """Send a text to a WeCom group; its address is its only secret. Raises UndeliveredError."""
    _send(target, "", {"msgtype": "text", "text": {"content": text}}, now_s)


def to_feishu(target: Target, text: str, now_s: float) -> None:
    """Send a text to a Feishu group. Raises UndeliveredError."""
    signed = feishu(target.secret, int(now_s)) if target.secret else {}
    _send(target, "", {**signed, "msg_type": "text", "content": {"text": text}}, now_s)


def _send(target: Target, query: str, body: Mapping[str, Any], now_s: float) -> None:
    answer = post(target, query, msgspec.json.encode(body), {}, now_s)
    try:
        told = msgspec.json.decode(answer.body, type=dict[str, Any])
        code = int(told.get("errcode", told.get("code", told.get("StatusCode", -1))))
    except (msgspec.DecodeError, ValueError, TypeError):
        code = -1
    if code:
        what, remedy = f"the robot answers code {code}", "check address, secret and the robot's own rules"
        raise UndeliveredError(what, where=target.shown, remedy=remedy, after_s=PAUSE_S if code in SLOW_DOWN else 0.0)


def fitting(text: str) -> str:
    """Cut a text to what every robot takes, at a line."""
    kept: list[str] = []
    size = 0
    for line in text.split("\n"):
        size += len(line.encode()) + 1
        if size > TEXT_BYTES - len("\n…".encode()):
            return "\n".join([*kept, "…"])
        kept.append(line)
    return text


ROBOTS: Mapping[str, Robot] = {"dingtalk": to_dingtalk, "wecom": to_wecom, "feishu": to_feishu}
