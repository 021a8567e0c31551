"""The log formats by name: ours, and those that installed packages offer through the entry point group `xmsec.parsers`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from xmsec.model.errors import ConfigError
from xmsec.parse.combined import combined
from xmsec.parse.ecs import ecs
from xmsec.parse.json_map import json_map
from xmsec.parse.nginx_json import nginx_json
from xmsec.parse.openlineage import openlineage
from xmsec.parse.pgaudit import pgaudit
from xmsec.parse.reading import Maker
from xmsec.parse.syslog import syslog
from xmsec.parse.web import web

GROUP = "xmsec.parsers"
FORMATS: Mapping[str, Maker] = {
    "combined": combined,
    "ecs": ecs,
    "json": json_map,
    "nginx-json": nginx_json,
    "openlineage": openlineage,
    "pgaudit": pgaudit,
    "syslog": syslog,
    "web": web,
}

# their URLs are written as `xmsec.parse.tidy` would have them; fields that come under their ECS names need it in every line
TIDY_WHEN_PLAIN = frozenset(FORMATS) - {"ecs", "json"}


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
