"""The log formats by name: ours, and those that installed packages offer through the entry point group `xmsec.parsers`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from xmsec.model.errors import ConfigError
from xmsec.parse.cef import cef
from xmsec.parse.combined import combined
from xmsec.parse.debezium import debezium
from xmsec.parse.ecs import ecs
from xmsec.parse.gateway import apisix, kong
from xmsec.parse.json_map import json_map
from xmsec.parse.leef import leef
from xmsec.parse.mysql_audit import mysql_audit
from xmsec.parse.nginx_json import nginx_json
from xmsec.parse.openlineage import openlineage
from xmsec.parse.pg_json import pg_json
from xmsec.parse.pg_stderr import pg_stderr
from xmsec.parse.pgaudit import pgaudit
from xmsec.parse.reading import Maker
from xmsec.parse.rfc5424 import rfc5424
from xmsec.parse.syslog import syslog
from xmsec.parse.web import web

GROUP = "xmsec.parsers"
FORMATS: Mapping[str, Maker] = {
    "apisix": apisix,
    "cef": cef,
    "combined": combined,
    "debezium": debezium,
    "ecs": ecs,
    "json": json_map,
    "kong": kong,
    "leef": leef,
    "mysql-audit": mysql_audit,
    "nginx-json": nginx_json,
    "openlineage": openlineage,
    "pgaudit": pgaudit,
    "postgresql-json": pg_json,
    "postgresql-stderr": pg_stderr,
    "rfc5424": rfc5424,
    "syslog": syslog,
    "web": web,
}

# their URLs are written as `xmsec.parse.tidy` would have them; fields that come under their ECS names need it in every line,
# and so does XML, in which plain characters (`&#10;`) mean others
TIDY_WHEN_PLAIN = frozenset(FORMATS) - {"ecs", "json", "mysql-audit"}


def maker_of(name: str) -> Maker:
    """Return the maker of a format. Raises ConfigError."""
    if name in FORMATS:
        return FORMATS[name]
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        raise ConfigError(f'log format "{name}" is unknown', remedy=f"use one of {', '.join(sorted(FORMATS))}, or install it")
    try:
        maker: Maker = found.load()
    except Exception as error:  # the edge to code that is not ours
        what = f'log format "{name}" does not load: {type(error).__name__}'
        raise ConfigError(what, where=found.value, remedy="repair or remove its package") from error
    return maker
