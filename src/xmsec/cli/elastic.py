"""`xmsec index`, and the connection to Elasticsearch: TLS, login, and what goes wrong as one line."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from xmsec.cli.settings import Settings

index = typer.Typer(help="What Elasticsearch needs.", no_args_is_help=True)

REQUEST_S = 30.0  # a bulk of 1,000 findings takes a tenth of a second; more means that the node is in trouble
COLUMNS = {"index": "index", "documents": "documents", "bytes": "bytes", "schema": "schema", "age (days)": "age_days"}


@index.command("ensure", epilog=example("xmsec index ensure"))
def ensure(home: Home = None) -> None:
    """Create index templates and aliases, take older indices along, write the keys' check values; safe to repeat."""
    from xmsec.cli.home import key_of
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.store.elastic_ensure import ensure as make

    given = settings(home)
    check = key_of(given, create=False).check
    with elastic(given) as client:
        for line in make(client, check, given.es_prefix):
            write(line)
    write(f"{given.es_url} {check}")


@index.command("status", epilog=example("xmsec index status"))
def status(home: Home = None, form: Output = None) -> None:
    """List the indices with documents, size, schema, and days since their month ended."""
    import msgspec

    from xmsec.cli.home import now
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings
    from xmsec.model.errors import ConfigError
    from xmsec.store.elastic_keep import status as look

    given = settings(home)
    with elastic(given) as client:
        told = [msgspec.to_builtins(one) for one in look(client, now(), given.es_prefix)]
    if not told:
        raise ConfigError("no index yet", where=f"{given.es_url}, {given.es_prefix}-*", remedy="run `xmsec index ensure`")
    rows(told, form, COLUMNS)


@index.command("prune", epilog=example("xmsec index prune --older-than 400"))
def prune(
    older_than: Annotated[int, typer.Option("--older-than", help="Days since a month ended.", min=1)],
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Only say what would go.")] = False,
    home: Home = None,
    form: Output = None,
) -> None:
    """Delete months of findings that ended so many days ago, then the incidents of which no finding is left."""
    from xmsec.cli.home import now
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings
    from xmsec.store.elastic_keep import prune as drop

    given = settings(home)
    with elastic(given) as client:
        gone = drop(client, now(), older_than, given.es_prefix, rehearse=rehearse)
    told: list[dict[str, Any]] = [{"deleted": one.index, "documents": one.documents} for one in gone.indices]
    told.append({"deleted": "incidents", "documents": gone.incidents})
    rows(told, form, {"would delete" if rehearse else "deleted": "deleted", "documents": "documents"})


@contextmanager
def elastic(given: Settings) -> Iterator[Elasticsearch]:
    """Connect; what does not answer, or refuses, becomes one line. Raises ConfigError, ServiceError."""
    from elasticsearch import ApiError, Elasticsearch, TransportError

    from xmsec.store.elastic_error import told

    hosts = list(dict.fromkeys(one.strip().rstrip("/") for one in given.es_url.split(",")))
    options = {**_tls(given), **_login(given)}
    options |= {
        "max_retries": len(hosts) - 1,
        "retry_on_status": (),
        "retry_on_timeout": False,
    }  # only past a node that is away
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # says at each try that a node is away; we say it once
    with Elasticsearch(hosts, request_timeout=REQUEST_S, **options) as client:
        try:
            yield client
        except (ApiError, TransportError) as error:
            raise told(client, error) from error


def _tls(given: Settings) -> dict[str, Any]:
    """Make what certificates are checked with: always, and against the given CA alone where there is one."""
    from xmsec.model.errors import ConfigError

    if not given.es_url.startswith("https:"):
        if given.es_ca is not None:
            remedy = "write https:// in XMSEC_ES_URL, or take XMSEC_ES_CA away"
            raise ConfigError("a CA is set, and nothing is encrypted", where=given.es_url, remedy=remedy)
        return {}
    try:
        return {"ssl_context": ssl.create_default_context(cafile=given.es_ca)}
    except FileNotFoundError as error:
        raise ConfigError("no CA file", where=str(given.es_ca), remedy="correct XMSEC_ES_CA") from error
    except ssl.SSLError as error:
        raise ConfigError("holds no certificate", where=str(given.es_ca), remedy="XMSEC_ES_CA names a PEM file") from error


def _login(given: Settings) -> dict[str, Any]:
    from xmsec.cli.secret import secret
    from xmsec.model.errors import ConfigError

    api_key = secret(given.es_api_key, given.es_api_key_file, "XMSEC_ES_API_KEY")
    password = secret(given.es_password, given.es_password_file, "XMSEC_ES_PASSWORD")
    if api_key and given.es_user:
        remedy = "keep XMSEC_ES_API_KEY or XMSEC_ES_USER"
        raise ConfigError("an API key and a user are set", where="Elasticsearch's login", remedy=remedy)
    if bool(given.es_user) != bool(password):
        remedy = "set XMSEC_ES_USER, and XMSEC_ES_PASSWORD or XMSEC_ES_PASSWORD_FILE"
        raise ConfigError("a user without a password, or the reverse", where="Elasticsearch's login", remedy=remedy)
    return {"api_key": api_key} if api_key else {"basic_auth": (given.es_user, password)} if given.es_user else {}
