"""How a deployment's settings name its Kafka: where it is, how it is spoken to, which topics are its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings
    from xmsec.content.streams import Stream
    from xmsec.runtime.faust.access import Access
    from xmsec.runtime.faust.topics import Cluster


def cluster(given: Settings, known: Mapping[str, Stream], streams: str | None = None) -> Cluster:
    """Return the deployment's cluster, for the streams that are named (all without a name). Raises ConfigError."""
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.faust.topics import Cluster

    names = tuple(sorted(known)) if streams is None else tuple(streams.split(","))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f'no stream "{unknown[0]}"', where="--streams", remedy=f"one of {', '.join(sorted(known))}")
    framing = {name: lines for name in names if (lines := known[name].lines) is not None}
    return Cluster(
        given.kafka_bootstrap, names, given.kafka_prefix, framing=framing, access=access(given), raw_hours=given.kafka_raw_hours
    )


def named(given: Settings, streams: str | None) -> Cluster:
    """Return the cluster with the streams of these names, separated by commas; None: all of the content. Raises ConfigError."""
    from xmsec.cli.home import content_dirs
    from xmsec.content.streams import load_streams

    return cluster(given, load_streams(content_dirs(given))[0], streams)


def access(given: Settings) -> Access:
    """Return TLS and login. Raises ConfigError when settings contradict each other, or the password cannot be read."""
    from xmsec.cli.secret import secret
    from xmsec.runtime.faust.access import Access

    _agree(given)
    login = given.kafka_security.startswith("sasl")
    return Access(
        given.kafka_security,
        given.kafka_ca,
        given.kafka_cert,
        given.kafka_key,
        given.kafka_sasl_mechanism if login else "",
        given.kafka_user or "",
        secret(None, given.kafka_password_file, "XMSEC_KAFKA_PASSWORD") or "",
    )


def _agree(given: Settings) -> None:
    """Refuse settings that would silently do nothing, or cannot work."""
    from xmsec.model.errors import ConfigError

    tls, sasl = given.kafka_security.endswith("ssl"), given.kafka_security.startswith("sasl")
    where = f"XMSEC_KAFKA_SECURITY={given.kafka_security}"
    if not tls and (given.kafka_ca or given.kafka_cert or given.kafka_key):
        remedy = "set it to ssl or sasl_ssl, or take XMSEC_KAFKA_CA, _CERT and _KEY away"
        raise ConfigError("certificates are set, and nothing is encrypted", where=where, remedy=remedy)
    if not sasl and (given.kafka_user or given.kafka_password_file):
        remedy = "set it to sasl_ssl, or take XMSEC_KAFKA_USER and _PASSWORD_FILE away"
        raise ConfigError("a login is set, and none is made", where=where, remedy=remedy)
    if sasl and not (given.kafka_user and given.kafka_password_file):
        remedy = "set XMSEC_KAFKA_USER and XMSEC_KAFKA_PASSWORD_FILE"
        raise ConfigError("a login without user or password", where=where, remedy=remedy)
    if bool(given.kafka_cert) != bool(given.kafka_key):
        remedy = "set XMSEC_KAFKA_CERT and XMSEC_KAFKA_KEY, or neither"
        raise ConfigError("a certificate without its key, or the reverse", where=where, remedy=remedy)
