"""`index ensure`: templates, first indices and aliases are there, older indices are taken along, and the key is the right one.

What can be changed in place is; otherwise the month is copied to an index of the new schema and the names change over at once.
While it is copied nobody can write to it, so that nothing is lost: workers wait. Killed at any point, it is run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.store.claim import agrees
from xmsec.store.elastic_schema import PREFIX, SCHEMA, SETTINGS, TABLES, Table, deployment_index

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

COPIED = 500  # documents a request: 2 to 5 KiB each
RETRIES = 6  # of documents that a busy server did not take: two minutes
OTHER = "use its key file, or another Elasticsearch"
AGAIN = "run `xmsec index ensure` again"
_DEPLOYMENT = {"dynamic": "strict", "properties": {"check": {"type": "keyword"}, "schema": {"type": "long"}}}


class Present(msgspec.Struct, frozen=True):
    """An index that is there. name: as records are written to it; index: as Elasticsearch calls it, another one once moved."""

    table: Table
    name: str
    index: str
    schema: int
    aliases: frozenset[str]


def ensure(client: Elasticsearch, key_check: str, prefix: str = PREFIX) -> Sequence[str]:
    """Make all that workers need; return what was changed, in words. Safe to repeat and to run twice at once.

    Raises ConfigError for another key than the tokens', for indices of a newer schema, and for records that the new schema
    does not take.
    """
    done = []
    _claim(client, key_check, prefix)
    _refuse_newer(client, prefix)
    for table in TABLES:
        client.indices.put_index_template(name=table.alias(prefix), **table.template(prefix))
        if not client.indices.exists(index=table.first(prefix)):
            client.options(ignore_status=400).indices.create(index=table.first(prefix))
            done.append(f"created {table.first(prefix)}")
    for one in present(client, prefix):
        if one.schema < SCHEMA:
            done.append(f"{_migrate(client, one, prefix)} {one.name} from schema {one.schema} to {SCHEMA}")
        elif missing := one.table.aliases(prefix).keys() - one.aliases:
            client.indices.update_aliases(actions=_shown(one.table, one.index, prefix))
            done.append(f"named {one.name} {', '.join(sorted(missing))}")
    client.update(index=deployment_index(prefix), id="key", doc={"schema": SCHEMA}, retry_on_conflict=5, refresh=True)
    return done


def check(client: Elasticsearch, key_check: str | None, prefix: str = PREFIX) -> None:
    """Refuse to work with indices that `ensure` has not made for this version and this key. Raises ConfigError.

    key_check: None where no token is made.
    """
    where = deployment_index(prefix)
    found = client.options(ignore_status=404).get(index=where, id="key").get("_source", {})
    if not found.get("schema", 1 if "check" in found else 0):
        raise ConfigError("no index yet", where=where, remedy="run `xmsec index ensure`")
    if key_check is not None and not agrees(found["check"], key_check, where, OTHER):
        what = f"not told of epoch {key_check.count('+') + 1} yet (check value {found['check']})"
        raise ConfigError(what, where=where, remedy="run `xmsec index ensure`; it notes the new key")
    schema = found.get("schema", 1)
    if schema < SCHEMA:
        what = f"older mapping (schema {schema}, this version writes {SCHEMA})"
        raise ConfigError(what, where=where, remedy="run `xmsec index ensure`; it takes the records along")
    if schema > SCHEMA:
        raise _newer(where, schema)


def kept_check(client: Elasticsearch, prefix: str = PREFIX) -> str:
    """Return the check values of the tokens' keys, "" before `ensure` was run."""
    found = client.options(ignore_status=404).get(index=deployment_index(prefix), id="key").get("_source", {})
    return str(found.get("check", ""))


def present(client: Elasticsearch, prefix: str = PREFIX) -> Iterator[Present]:
    """Say which indices are there, by name; copies that were never finished are not among them."""
    patterns = [f"{prefix}{middle}{table.name}-*" for table in TABLES for middle in ("-", "-v*-")]
    found = client.indices.get(index=patterns).body
    for index in sorted(found):
        aliases = frozenset(found[index].get("aliases", {}))
        schema = found[index].get("mappings", {}).get("_meta", {}).get("schema", 1)
        for table in TABLES:
            name = table.month(index, prefix)
            if name is not None and (name == index or name in aliases):
                yield Present(table, name, index, schema, aliases)


def _claim(client: Elasticsearch, key_check: str, prefix: str) -> None:
    index = deployment_index(prefix)
    if not client.indices.exists(index=index):
        client.options(ignore_status=400).indices.create(index=index, mappings=_DEPLOYMENT, settings=SETTINGS)
    first = {"check": key_check, "schema": 0}  # until all is made
    client.options(ignore_status=409).create(index=index, id="key", document=first, refresh=True)
    found = client.get(index=index, id="key")["_source"]
    if found.get("schema", 1) > SCHEMA:
        check(client, key_check, prefix)
    if not agrees(found["check"], key_check, index, OTHER):
        client.update(index=index, id="key", doc={"check": key_check}, retry_on_conflict=5, refresh=True)


def _refuse_newer(client: Elasticsearch, prefix: str) -> None:
    for one in present(client, prefix):
        if one.schema > SCHEMA:
            raise _newer(one.name, one.schema)


def _newer(where: str, schema: int) -> ConfigError:
    what = f"made by a newer version (schema {schema}, this version writes {SCHEMA})"
    return ConfigError(what, where=where, remedy="use that version of xmsec, or a later one")


def _migrate(client: Elasticsearch, one: Present, prefix: str) -> str:
    """Take an index to this schema; return how."""
    from elasticsearch import BadRequestError

    mapping = one.table.mappings()
    try:
        client.indices.put_mapping(
            index=one.index, dynamic=mapping["dynamic"], meta=mapping["_meta"], properties=mapping["properties"]
        )
    except BadRequestError:  # a field would change its type
        _move(client, one, prefix)
        return "copied"
    client.indices.update_aliases(actions=_shown(one.table, one.index, prefix))
    return "changed"


def _move(client: Elasticsearch, one: Present, prefix: str) -> None:
    target = one.table.moved(one.name, prefix)
    create = client.options(ignore_status=400).indices.create
    create(
        index=target, mappings=one.table.mappings(), settings=one.table.settings()
    )  # or it is what is left of a copy that was killed
    client.indices.put_settings(index=one.index, settings={"index.blocks.write": True})
    try:
        _copy(client, one.index, target)
    except ConfigError:
        client.indices.put_settings(index=one.index, settings={"index.blocks.write": None})
        client.indices.delete(index=target)
        raise
    swap = [{"remove_index": {"index": one.index}}, {"add": {"index": target, "alias": one.name}}]
    client.indices.update_aliases(actions=[*swap, *_shown(one.table, target, prefix)])


def _copy(client: Elasticsearch, source: str, target: str) -> None:
    """Copy all documents as they are. One that is there already is of a copy that was killed, and the same."""
    from elasticsearch.helpers import scan, streaming_bulk

    client.indices.refresh(index=source)
    hits = scan(client, index=source, size=COPIED, query={"query": {"match_all": {}}})
    creates = ({"_op_type": "create", "_index": target, "_id": hit["_id"], "_source": hit["_source"]} for hit in hits)
    for taken, answer in streaming_bulk(client, creates, COPIED, raise_on_error=False, max_retries=RETRIES):
        result = answer["create"]
        if taken or result["status"] == 409:
            continue
        named = result["error"]["type"]
        if result["status"] != 400:
            raise ServiceError(f"the copy stopped: {result['status']} {named}", where=source, remedy=AGAIN)
        what = f"a record does not fit schema {SCHEMA} ({named}), id {result['_id']}"
        raise ConfigError(what, where=source, remedy=f"correct or delete it; {AGAIN}")
    client.indices.refresh(index=target)
    counts = [client.count(index=index)["count"] for index in (source, target)]
    if counts[0] != counts[1]:
        raise ServiceError(f"the copy has {counts[1]} of {counts[0]} records", where=source, remedy=AGAIN)


def _shown(table: Table, index: str, prefix: str) -> list[dict[str, Any]]:
    return [{"add": {"index": index, "alias": alias, **view}} for alias, view in table.aliases(prefix).items()]
