"""How Kafka is spoken to: settings become the arguments of three libraries (kafka-python, aiokafka, Faust) here alone."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import msgspec

from xmsec.model.errors import ConfigError


class Access(msgspec.Struct, frozen=True):
    """TLS and login; what is empty is not used. Its text never shows the password."""

    security: str = "plaintext"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    mechanism: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Show how, not with what."""
        return f"Access({self.security}, {self.mechanism})"

    @property
    def tls(self) -> bool:
        """Whether the line is encrypted."""
        return self.security.endswith("ssl")

    @property
    def login(self) -> bool:
        """Whether there is a login."""
        return self.security.startswith("sasl")

    def at(self, bootstrap: str) -> str:
        """Return where, and as whom."""
        return f"{bootstrap}, user {self.user}" if self.login else bootstrap

    def context(self) -> ssl.SSLContext | None:
        """Make what certificates are checked with, always. Raises ConfigError when a file is not what it should be."""
        if not self.tls:
            return None
        context = self._trusting()
        if self.cert is not None:
            try:
                context.load_cert_chain(self.cert, self.key, password=lambda: "")  # never ask at the terminal
            except FileNotFoundError as error:
                where, remedy = f"{self.cert}, {self.key}", "correct XMSEC_KAFKA_CERT and XMSEC_KAFKA_KEY"
                raise ConfigError("no certificate or key file", where=where, remedy=remedy) from error
            except (ssl.SSLError, ValueError) as error:
                remedy = "XMSEC_KAFKA_CERT and XMSEC_KAFKA_KEY name PEM files of one pair, the key without a password"
                raise ConfigError("no certificate with its key", where=str(self.cert), remedy=remedy) from error
        return context

    def _trusting(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca)
        except FileNotFoundError as error:
            raise ConfigError("no CA file", where=str(self.ca), remedy="correct XMSEC_KAFKA_CA") from error
        except ssl.SSLError as error:
            raise ConfigError("holds no certificate", where=str(self.ca), remedy="XMSEC_KAFKA_CA names a PEM file") from error


def arguments(access: Access) -> dict[str, Any]:
    """Return what the clients of kafka-python and of aiokafka take alike."""
    given: dict[str, Any] = {"security_protocol": access.security.upper(), "ssl_context": access.context()}
    if access.login:
        login = {"mechanism": access.mechanism, "plain_username": access.user, "plain_password": access.password}
        given |= {f"sasl_{name}": value for name, value in login.items()}
    return given


def credentials(access: Access) -> Any:
    """Return what a Faust app takes."""
    from faust import SASLCredentials, SSLCredentials

    context = access.context()
    if access.login:
        return SASLCredentials(username=access.user, password=access.password, ssl_context=context, mechanism=access.mechanism)
    return SSLCredentials(context) if context is not None else None


def servers(bootstrap: str) -> list[str]:
    """Return the addresses of a bootstrap setting, one each."""
    return [one.strip() for one in bootstrap.split(",") if one.strip()]
