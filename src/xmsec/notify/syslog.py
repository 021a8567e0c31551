"""Syslog to a SOC: RFC 5424 over UDP, TCP (octet counting, RFC 6587) or TLS (RFC 5425).

Syslog acknowledges nothing: what lay in the network when a receiver died is lost with it, and UDP may lose any line. Who needs
certainty takes the webhook.
"""

from __future__ import annotations

import socket
from datetime import datetime
from urllib.parse import urlsplit

from xmsec.model.clock import rfc3339
from xmsec.model.types import SEVERITIES, Severity
from xmsec.notify.http import TIMEOUT_S, context
from xmsec.notify.target import Target, UndeliveredError

FACILITY = 13  # log audit
DATAGRAM_BYTES = 8_192  # what receivers are set to take; a longer line is cut
_LEVELS = (6, 5, 4, 3, 2)  # informational, notice, warning, error, critical


def line(message: str, severity: Severity, message_id: str, host: str, now: datetime) -> bytes:
    """Write an RFC 5424 line, in UTF-8."""
    priority = FACILITY * 8 + _LEVELS[SEVERITIES.index(severity)]
    return f"<{priority}>1 {rfc3339(now)} {host or '-'} xmsec - {message_id[:32] or '-'} - \ufeff{message}".encode()


class Wire:
    """A connection that is kept, and made anew when the receiver has closed it."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        self._target, self._kind = target, parts.scheme
        self._place = (parts.hostname or "", parts.port or 0)
        self._socket: socket.socket | None = None

    def send(self, said: bytes) -> None:
        """Send a line. Raises UndeliveredError."""
        try:
            if self._kind == "udp":
                self._datagram(said[:DATAGRAM_BYTES].decode("utf-8", "ignore").encode())
                return
            if self._socket is None or self.ended:
                self.close()
                self._socket = self._connected()
            self._socket.sendall(b"%d %b" % (len(said), said))
        except OSError as error:
            self.close()
            what = f"the receiver does not answer ({type(error).__name__})"
            raise UndeliveredError(what, where=self._target.shown, remedy="it is sent again") from error

    @property
    def ended(self) -> bool:
        """Whether the receiver is known to have closed the connection."""
        return self._socket is not None and _closed(self._socket)

    def close(self) -> None:
        """Give the connection back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        plain = socket.create_connection(self._place, timeout=TIMEOUT_S)
        if self._kind == "tcp":
            return plain
        try:
            return context(self._target).wrap_socket(plain, server_hostname=self._place[0])
        except BaseException:
            plain.close()
            raise

    def _datagram(self, said: bytes) -> None:
        family, kind, protocol, _, place = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as out:
            out.sendto(said, place)


def _closed(connection: socket.socket) -> bool:
    """Whether the receiver has ended a connection: it never says anything else."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError as error:
        return type(error).__name__ not in ("SSLWantReadError", "SSLWantWriteError")
    finally:
        connection.settimeout(TIMEOUT_S)
