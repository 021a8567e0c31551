"""Talking to Kafka: it is asked once, by hand, to let us in, and what it refuses becomes one line.

aiokafka and kafka-python try for half a minute each time and forget why it failed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xmsec.model.errors import ConfigError, ServiceError, XmsecError
from xmsec.runtime.faust.access import Access, arguments, servers

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

PATIENCE_S = 5.0  # for one broker to let us in
REQUEST_MS = 15_000
CLIENTS = ("kafka", "aiokafka")  # their loggers, which at their lowest level quote passwords
NOT_ALLOWED = 29  # Kafka's TOPIC_AUTHORIZATION_FAILED
RIGHTS = "give it what docs/kafka.md lists for its role"


@contextmanager
def admin(bootstrap: str, access: Access) -> Iterator[KafkaAdminClient]:
    """Connect as administrator. Raises ConfigError, ServiceError."""
    from kafka import KafkaAdminClient

    with talking(bootstrap, access) as given:
        client = KafkaAdminClient(bootstrap_timeout_ms=REQUEST_MS, request_timeout_ms=REQUEST_MS, **given)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def talking(bootstrap: str, access: Access) -> Iterator[dict[str, Any]]:
    """Ask to be let in, and give what a client of kafka-python takes: the addresses that answered, and the rest.

    What Kafka refuses then becomes one line, without the clients' own lines about it.
    """
    from kafka.errors import KafkaError

    loggers = [logging.getLogger(name) for name in CLIENTS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield {"bootstrap_servers": knock(bootstrap, access), **arguments(access)}
    except KafkaError as error:
        raise refused(error, bootstrap, access) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def knock(bootstrap: str, access: Access) -> list[str]:
    """Connect and log in once, at each address; return those that let us in. Raises ConfigError, ServiceError for none."""
    addresses, given = servers(bootstrap), arguments(access)
    loop = asyncio.new_event_loop()
    try:
        told = loop.run_until_complete(_knocked(addresses, given))
    finally:
        loop.close()
    if all(told):
        errors = [refused(one, bootstrap, access) for one in told if one is not None]
        raise min(errors, key=lambda error: isinstance(error, ServiceError))  # one that says no knows more than a silent one
    return [address for address, error in zip(addresses, told, strict=True) if error is None]


async def _knocked(addresses: list[str], given: dict[str, Any]) -> list[Exception | None]:
    return await asyncio.gather(*(_knock(address, given) for address in addresses))


async def _knock(address: str, given: dict[str, Any]) -> Exception | None:
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.protocol.metadata import MetadataRequest

    host, _, port = address.rpartition(":")
    connection = AIOKafkaConnection(host.strip("[]"), int(port), request_timeout_ms=int(PATIENCE_S * 1000), **given)
    try:
        await connection.connect()
        await connection.send(MetadataRequest([]))
    except Exception as error:  # noqa: BLE001 - the edge: told by its kind
        return error
    finally:
        closed = connection.close()
        if closed is not None:
            await asyncio.wait([closed], timeout=0.2)
    return None


_LOGIN = "check XMSEC_KAFKA_USER, XMSEC_KAFKA_PASSWORD_FILE and XMSEC_KAFKA_SASL_MECHANISM"
_BY_KIND = {
    "SaslAuthenticationFailed": ("Kafka refuses the login", _LOGIN),
    "UnsupportedSaslMechanism": ("Kafka does not take this SASL mechanism", "set another XMSEC_KAFKA_SASL_MECHANISM"),
    "IllegalSaslState": ("Kafka wants no login there", "set XMSEC_KAFKA_SECURITY to plaintext or ssl, or name another port"),
    "TopicAuthorizationFailed": ("Kafka does not let this login use a topic", RIGHTS),
    "GroupAuthorizationFailed": ("Kafka does not let this login use a consumer group", RIGHTS),
    "ClusterAuthorizationFailed": ("Kafka does not let this login do that", RIGHTS),
    "InvalidReplicationFactor": ("Kafka has too few brokers for so many replicas", "give fewer with --replicas"),
    "PolicyViolation": ("a policy of this Kafka forbids that", "ask who runs it, or give other --partitions and --replicas"),
}
_BY_TEXT = {
    "CERTIFICATE_REQUIRED": ("Kafka wants a certificate of ours", "set XMSEC_KAFKA_CERT and XMSEC_KAFKA_KEY"),
    "ALERT_UNKNOWN_CA": ("Kafka does not trust our certificate", "let a CA that it trusts sign XMSEC_KAFKA_CERT"),
    "_CERTIFICATE_UNKNOWN": ("Kafka does not trust our certificate", "let a CA that it trusts sign XMSEC_KAFKA_CERT"),
    "ALERT_BAD_CERTIFICATE": ("Kafka does not take our certificate", "check XMSEC_KAFKA_CERT and XMSEC_KAFKA_KEY"),
    "mismatch": (
        "Kafka's certificate is for another host",
        "use a name that the certificate holds in XMSEC_KAFKA_BOOTSTRAP, or a certificate for this one",
    ),
    "CERTIFICATE_VERIFY_FAILED": (
        "Kafka's certificate is not trusted",
        "name the CA that signed it by XMSEC_KAFKA_CA, or renew what has expired",
    ),
    "WRONG_VERSION_NUMBER": ("Kafka speaks no TLS there", "correct XMSEC_KAFKA_SECURITY, or name another port"),
}


def refused(error: BaseException, bootstrap: str, access: Access) -> XmsecError:
    """Return the error of ours that one of a client's is: by kind and place, never by content."""
    chain = list(_causes(error))
    for kind, (what, remedy) in _BY_KIND.items():
        if any(type(one).__name__.startswith(kind) for one in chain):
            what = f"{what} ({access.mechanism})" if "mechanism" in what else what
            return ConfigError(what, where=access.at(bootstrap), remedy=remedy)
    text = " ".join(map(repr, chain))
    if "ALERT_" in text and "CERTIFICATE" in text and access.cert is None:
        text = "CERTIFICATE_REQUIRED"  # which some say so, others by a word for a bad one
    for part, (what, remedy) in _BY_TEXT.items():
        if part in text:
            return ConfigError(what, where=bootstrap, remedy=remedy)
    if any(isinstance(one, ConnectionRefusedError | TimeoutError) for one in chain) or "KafkaTimeout" in text:
        return ServiceError("Kafka does not answer", where=bootstrap, remedy="start it, or correct XMSEC_KAFKA_BOOTSTRAP")
    if any(isinstance(one, EOFError | ConnectionError | ssl.SSLError) for one in chain):
        remedy = f"check XMSEC_KAFKA_SECURITY ({access.security}): this port may be for another; or see its log"
        return ServiceError("Kafka ends the connection", where=bootstrap, remedy=remedy)
    what = f"Kafka does not answer as it should ({type(error).__name__})"
    return ServiceError(what, where=bootstrap, remedy="check XMSEC_KAFKA_BOOTSTRAP, or see its log")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
