"""Mail by SMTP: over TLS from the beginning (smtps), or STARTTLS; a login is never sent in the clear."""

from __future__ import annotations

import smtplib
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

from xmsec.notify.http import TIMEOUT_S, context
from xmsec.notify.target import Target, UndeliveredError


def to_mail(target: Target, subject: str, text: str, message_id: str, now: datetime) -> None:
    """Send one mail to all recipients. Raises UndeliveredError; refused by some of them, it counts as sent."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, target.sender, ", ".join(target.recipients)
    mail["Date"], mail["Auto-Submitted"] = format_datetime(now), "auto-generated"
    mail["Message-ID"] = f"<{message_id}@{target.sender.partition('@')[2].rstrip('>') or 'xmsec'}>"
    mail.set_content(text)
    try:
        with _connected(target) as server:
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        _undelivered(target, error.smtp_code)
    except smtplib.SMTPRecipientsRefused as error:
        _undelivered(target, max(code for code, _ in error.recipients.values()))
    except (OSError, smtplib.SMTPException) as error:
        what = f"the mail server does not answer ({type(error).__name__})"
        raise UndeliveredError(what, where=target.shown, remedy="it is sent again") from error


def _undelivered(target: Target, code: int) -> None:
    """Say what a code means: 5xx is for good, but 53x says that the login or the way is wrong, which a person can put right."""
    lasting = code >= 500 and not 530 <= code < 540
    remedy = "see the mail server's own log" if lasting else "it is sent again"
    raise UndeliveredError(f"the mail server answers {code}", where=target.shown, remedy=remedy, retry=not lasting)


def _connected(target: Target) -> smtplib.SMTP:
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context(target))
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
    try:
        server.ehlo_or_helo_if_needed()
        secure = parts.scheme == "smtps"
        if not secure and server.has_extn("starttls"):
            server.starttls(context=context(target))
            secure = True
        if target.user:
            if not secure:
                what = "the mail server offers no TLS, and the login stays here"
                raise UndeliveredError(what, where=target.shown, remedy="write smtps://, or take the login out")
            server.login(target.user, target.password)
    except BaseException:
        server.close()
        raise
    return server
