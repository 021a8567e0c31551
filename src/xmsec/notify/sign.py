"""Signatures by which a receiver knows who sent: Standard Webhooks, DingTalk's 加签, Feishu's 签名校验."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from urllib.parse import quote_plus

from xmsec.model.errors import ConfigError

PREFIX = "whsec_"


def standard(secret: str, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks 1.0: the id, which a receiver knows a repetition by, the time, the signature.

    Raises ConfigError for a secret that is not `whsec_` and base64.

    >>> standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')[
    ...     "webhook-signature"
    ... ]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except (Error, ValueError) as error:
        raise ConfigError("the webhook's secret is not base64", where="secret", remedy="write whsec_ and base64") from error
    signed = _base64(key, f"{message_id}.{timestamp_s}.".encode() + body)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s), "webhook-signature": f"v1,{signed}"}


def dingtalk(secret: str, timestamp_ms: int) -> str:
    """Return what DingTalk wants at the end of a robot's address: HMAC by the secret over time, line break and secret."""
    signed = _base64(secret.encode(), f"{timestamp_ms}\n{secret}".encode())
    return f"&timestamp={timestamp_ms}&sign={quote_plus(signed)}"


def feishu(secret: str, timestamp_s: int) -> dict[str, str]:
    """Return what Feishu wants in a robot's message: HMAC of nothing, by time, line break and secret as the key."""
    return {"timestamp": str(timestamp_s), "sign": _base64(f"{timestamp_s}\n{secret}".encode(), b"")}


def _base64(key: bytes, message: bytes) -> str:
    return b64encode(hmac.digest(key, message, "sha256")).decode()
