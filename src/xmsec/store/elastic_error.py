"""What Elasticsearch, or the way to it, says no with, as one of our errors: by kind and place, never by content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xmsec.model.errors import ConfigError, ServiceError, XmsecError

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

PRIVILEGES = "give it the privileges that docs/elasticsearch.md lists"


@contextmanager
def answering(client: Elasticsearch) -> Iterator[None]:
    """Turn what Elasticsearch, or the way to it, says no with into an error of ours."""
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except (ApiError, TransportError) as error:
        raise told(client, error) from error


def told(client: Elasticsearch, error: Exception) -> XmsecError:
    """Return the error of ours that an ApiError or TransportError of the client is."""
    from elastic_transport import TlsError
    from elasticsearch import ApiError, UnsupportedProductError

    where = address(client)
    if isinstance(error, TlsError):
        return _untrusted(repr(error.__cause__), where)
    if isinstance(error, UnsupportedProductError):
        return ConfigError("not an Elasticsearch", where=where, remedy="correct XMSEC_ES_URL; Elasticsearch 9 is needed")
    if isinstance(error, ApiError):
        return _refused(error, where)
    what = f"Elasticsearch does not answer: {type(error).__name__}"
    return ServiceError(what, where=where, remedy="check that it runs, and XMSEC_ES_URL (http or https)")


def address(client: Elasticsearch) -> str:
    """Return where a client's nodes are; a login is no part of it."""
    return ", ".join(node.base_url for node in client.transport.node_pool.all())


def kind(error: Any) -> str:
    """Return the type that Elasticsearch gives an error; of its text, which may quote a document, nothing."""
    body = error.body
    found = body.get("error") if isinstance(body, dict) else None
    named = found.get("type") if isinstance(found, dict) else None
    return str(named or type(error).__name__)


def _untrusted(text: str, where: str) -> XmsecError:
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return ConfigError("Elasticsearch speaks no TLS there", where=where, remedy="write http:// in XMSEC_ES_URL")
    if "mismatch" in text:
        remedy = "use a name that the certificate holds in XMSEC_ES_URL, or a certificate for this one"
        return ConfigError("Elasticsearch's certificate is for another host", where=where, remedy=remedy)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        remedy = "name the CA that signed it by XMSEC_ES_CA, or renew what has expired"
        return ConfigError("Elasticsearch's certificate is not trusted", where=where, remedy=remedy)
    return ServiceError("TLS with Elasticsearch fails", where=where, remedy="check its log, and what stands between")


def _refused(error: Any, where: str) -> XmsecError:
    status, named = error.meta.status, kind(error)
    if status == 401:
        remedy = "check XMSEC_ES_API_KEY_FILE, or XMSEC_ES_USER and XMSEC_ES_PASSWORD_FILE"
        return ConfigError("Elasticsearch refuses the login", where=where, remedy=remedy)
    if status == 403 and named == "security_exception":
        return ConfigError("Elasticsearch does not let this login do that", where=where, remedy=PRIVILEGES)
    if named == "index_not_found_exception":
        return ConfigError("no index yet", where=where, remedy="run `xmsec index ensure`")
    what = f"Elasticsearch does not answer as it should: {status} {named}"
    return ServiceError(what, where=where, remedy="try again, or see its log", retry=status in (403, 408, 429) or status >= 500)
