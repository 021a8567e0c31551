"""What the embedded store is asked: pages in a total order, counts, and what a scan of given files has told."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec

from xmsec.model.clock import EPOCH, FAR, from_rfc3339, rfc3339
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Backlog, Flow, Page, Query, Use, UseQuery
from xmsec.model.types import SEVERITIES, Finding, Incident, Position, Proposals, Rejected, Source
from xmsec.store import cursor, figures
from xmsec.store.narrow import narrow
from xmsec.store.rows import UNTOUCHED, dead_row, finding_row, incident_row, words
from xmsec.store.states import from_micros, micros
from xmsec.store.uses import asked

RELATED = 100  # other incidents of an entity that one names
_LIKE = re.compile(r"[%_\\]")
_VALUES = 500  # values in one statement; SQLite takes 32,766

Kind = Literal["text", "number", "time", "severity", "several"]  # several: to filter by alone, a place for the values in it
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]  # what SQLite can compare with
_Place = tuple[Int64 | str, Int64, str]  # in an order: of a row's column, time and id


class Shape(msgspec.Struct, frozen=True):
    """One table as it is asked for: where its rows are, and what each column is; `id` makes every order total.

    shown: which rows an exception does not cover; total: how many rows there are; row: by what SQLite knows a row, where it has
    such a number; beside: what some columns are in; unit: of the time column, in microseconds.
    """

    source: str
    id: str
    body: str
    columns: Mapping[str, tuple[str, Kind]]
    searched: tuple[str, ...] = ()
    each: Mapping[str, tuple[str, str, str]] = {}  # column of several values → where each of them is, of which row, its name
    shown: str = "1"
    total: str = "count(*)"
    row: str = ""
    beside: str = ""
    unit: int = 1


_FINDINGS = Shape(
    "findings f",
    "f.id",
    "f.body, f.incident, f.status, f.assignee",
    {
        "id": ("f.id", "text"),
        "time": ("f.time", "time"),
        "first_seen": ("f.first_seen", "time"),
        "detector": ("f.detector", "text"),
        "kind": ("f.kind", "text"),
        "severity": ("f.severity", "severity"),
        "risk": ("f.risk", "number"),
        "system": ("f.system", "text"),
        "stream": ("f.stream", "text"),
        "entity.type": ("f.entity_type", "text"),
        "entity.id": ("f.entity_id", "text"),
        "state": ("f.state", "text"),
        "window.start": ("f.window_start", "time"),
        "window.end": ("f.window_end", "time"),
        "count": ("f.count", "number"),
        "title": ("f.title", "text"),
        "exception": ("f.exception", "text"),
        "stage": ("f.stage", "text"),
        "grade": ("f.grade", "text"),
        "incident": ("f.incident", "text"),
        "status": ("f.status", "text"),
        "assignee": ("f.assignee", "text"),
    },
    ("f.title", "f.entity_id", "f.detector", "f.system", "f.id"),
    shown="f.exception = ''",
    row="f.rowid",
)
_DAY = timedelta(days=1)
_TALLIED = ("severity", "system", "detector", "entity.type", "stage", "grade", "status")
_TALLY = Shape(
    "tally f",
    "",
    "",
    {"time": ("f.day", "time"), **{name: _FINDINGS.columns[name] for name in _TALLIED}},
    total="COALESCE(sum(f.total), 0)",
    unit=_DAY // timedelta(microseconds=1),
)
_HOUR = timedelta(hours=1)
_PACED = ("severity", "system")
_PACE = Shape(
    "pace f",
    "",
    "",
    {"time": ("f.hour", "time"), **{name: _FINDINGS.columns[name] for name in _PACED}},
    total="sum(f.total)",
    unit=_HOUR // timedelta(microseconds=1),
)
_SYSTEMS = "EXISTS (SELECT 1 FROM incident_systems s WHERE s.incident = i.id AND s.system IN ({}))"
_INCIDENTS = Shape(
    "incidents i",
    "i.id",
    "i.body, COALESCE(triage.status, 'new'), COALESCE(triage.assignee, '')",
    {
        "id": ("i.id", "text"),
        "time": ("i.opened", "time"),
        "opened": ("i.opened", "time"),
        "severity": ("i.severity", "severity"),
        "risk": ("i.risk", "number"),
        "entity.type": ("i.entity_type", "text"),
        "entity.id": ("i.entity_id", "text"),
        "state": ("i.state", "text"),
        "status": ("COALESCE(triage.status, 'new')", "text"),
        "assignee": ("COALESCE(triage.assignee, '')", "text"),
        "system": (_SYSTEMS, "several"),
    },
    ("i.entity_id", "i.id"),
    {"system": ("incident_systems each_system", "each_system.incident = i.id", "each_system.system")},
    row="i.rowid",
    beside="triage ON triage.subject = i.id",
)
_DEAD = Shape(
    "dead d",
    "d.stream || ' ' || d.partition || printf(' %020d %08d ', d.offset, d.part) || d.leg || ' ' || d.reason",
    "d.stream, d.partition, d.offset, d.part, d.leg, d.reason, d.at",
    {
        "time": ("d.at", "time"),
        "at": ("d.at", "time"),
        "stream": ("d.stream", "text"),
        "system": ("substr(d.stream, 1, instr(d.stream || '.', '.') - 1)", "text"),
        "partition": ("d.partition", "text"),
        "leg": ("d.leg", "text"),
        "reason": ("d.reason", "text"),
    },
)
_SHAPES: Mapping[str, Shape] = {"findings": _FINDINGS, "incidents": _INCIDENTS, "dead": _DEAD}


class SqliteReader:
    """The Reader seam over a connection of its own (`sqlite.connect`), beside the writer's."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: Mapping[str, Callable[[Sequence[Any]], dict[str, Any]]] = {
            "findings": _finding,
            "incidents": self._incident,
            "dead": _dead,
        }

    def page(self, query: Query, after: str | None = None) -> Page:
        """Return one page in a total order. Raises ConfigError for an unknown column, InputError for a foreign cursor."""
        shape, way = _shape(query), "DESC" if query.order.startswith("-") else "ASC"
        order = _ordered(query, query.order.removeprefix("-"))[0]
        places = (order, shape.columns["time"][0], shape.id)  # among equals the latest stand beside each other
        names = ", ".join(places)
        where, values = self._terms(query, shape)
        if after is not None:
            where.append(f"({names}) {'<' if way == 'DESC' else '>'} (?, ?, ?)")
            values += cursor.place(after, _Place)
        sort = f"ORDER BY {', '.join(f'{place} {way}' for place in places)}"
        filtered = f"FROM {_source(shape, (names, *where))} WHERE {' AND '.join(where)} {sort} LIMIT ?"
        if shape.row:  # bodies are read of the page's rows alone, not of all that are sorted
            filtered = f"FROM {_source(shape, (shape.body,))} WHERE {shape.row} IN (SELECT {shape.row} {filtered}) {sort}"
        found = self._connection.execute(f"SELECT {names}, {shape.body} {filtered}", (*values, query.limit + 1)).fetchall()
        rows = [self._rows[query.table](row[3:]) for row in found[: query.limit]]
        return Page(rows, cursor.written(found[query.limit - 1][:3]) if len(found) > query.limit else None)

    def count(self, query: Query, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        """Return how many rows there are for each combination of the named columns; none named: of all, under ().

        A row counts under each value of a column that has several.
        """
        counts: Counter[tuple[str, ...]] = Counter()
        query = msgspec.structs.replace(query, order="-time")  # a count has no order to go along
        for part, shape in _parts(query, by):
            counts.update(self._counted(part, shape, by))
        return dict(sorted(counts.items()))

    def _counted(self, query: Query, shape: Shape, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        each = shape.each
        columns: list[tuple[str, Kind]] = [(each[name][2], "text") if name in each else _ordered(query, name) for name in by]
        where, values = self._terms(query, shape)
        names = ", ".join(expression for expression, _ in columns)
        source = _source(shape, (names, *where))
        for table, of, _ in (each[name] for name in by if name in each):
            alone = where == ["1"] and len(by) == 1  # of all rows: it says by itself which values they have
            source = table if alone else f"{source} JOIN {table} ON {of}"
        rows = self._connection.execute(
            f"SELECT {names}{', ' if names else ''}{shape.total} FROM {source} WHERE {' AND '.join(where)}"
            + (f" GROUP BY {names}" if names else ""),
            values,
        )
        kinds = [kind for _, kind in columns]
        return {tuple(map(_written, row, kinds)): row[-1] for row in rows}

    def course(self, query: Query, step: timedelta, by: Sequence[str]) -> Mapping[tuple[int, tuple[str, ...]], int]:
        """Return how many rows there are in each step of time from `since` on, and of the named columns."""
        if query.since is None:
            raise ConfigError("a course begins somewhere", where=query.table, remedy="name since")
        shape = _PACE if _paced(query, step, by) else _shape(query)
        columns = [_ordered(query, name) for name in by]
        where, values = self._terms(query, shape)
        time = f"{shape.columns['time'][0]} * {shape.unit}"
        number = f"({time} - {micros(query.since)}) / {step // timedelta(microseconds=1)}"
        names = ", ".join((number, *(expression for expression, _ in columns)))
        source = _source(shape, (names, *where))
        rows = self._connection.execute(
            f"SELECT {names}, {shape.total} FROM {source} WHERE {' AND '.join(where)} GROUP BY {names}", values
        )
        kinds = [kind for _, kind in columns]
        counts = {(row[0], tuple(map(_written, row[1:], kinds))): row[-1] for row in rows}
        return {key: count for key, count in counts.items() if count}

    def uses(self, query: UseQuery) -> Sequence[Use]:
        """Return who used what how often."""
        return asked(self._connection, query)

    def flows(self) -> Mapping[str, Flow]:
        """Return what each stream brought."""
        return figures.flows(self._connection)

    def backlogs(self) -> Sequence[Backlog]:
        """Return nothing: one process does all, and says itself what it did not read yet."""
        return ()

    def observed(self, datasets: Sequence[str]) -> Proposals:
        """Return what was seen in which field of these datasets."""
        return figures.observed(self._connection, datasets)

    def observed_datasets(self, limit: int) -> Sequence[str]:
        """Return the first names of all datasets in which something was seen."""
        return figures.observed_datasets(self._connection, limit)

    def told(self, scan: Collection[Source]) -> Iterator[dict[str, Any]]:
        """Return the findings that are final and were told while these partitions were scanned, by (time, id).

        Those that an exception covers are left out.
        """
        ids: set[str] = set()
        for source in sorted(scan):
            rows = self._connection.execute(
                "SELECT finding FROM scan_findings WHERE scan IN (SELECT scan FROM scans WHERE stream = ? AND partition = ?)",
                source,
            )
            ids.update(finding for (finding,) in rows)
        places: list[tuple[int, str]] = []
        listed = sorted(ids)
        for start in range(0, len(listed), _VALUES):
            some = listed[start : start + _VALUES]
            marks = ", ".join("?" * len(some))
            places += self._connection.execute(
                f"SELECT time, id FROM findings WHERE state = 'final' AND exception = '' AND id IN ({marks})", some
            )
        for _, finding in sorted(places):
            statement = f"SELECT {_FINDINGS.body} FROM {_FINDINGS.source} WHERE f.id = ?"
            yield _finding(self._connection.execute(statement, (finding,)).fetchone())

    def _terms(self, query: Query, shape: Shape) -> tuple[list[str], list[Any]]:
        where, values = _where(query, shape)
        if query.table == "findings" and query.text:
            rows = narrow(self._connection, [(word, _like(word)) for word in words(query)])
            if rows is not None:
                where.append("f.rowid IN (SELECT value FROM json_each(?))")
                values.append(msgspec.json.encode(rows).decode())
        return where, values

    def _incident(self, row: Sequence[Any]) -> dict[str, Any]:
        incident = msgspec.json.decode(row[0], type=Incident)
        related = self._connection.execute(
            "SELECT id FROM incidents WHERE entity_type = ? AND entity_id = ? AND id <> ? ORDER BY opened, id LIMIT ?",
            (incident.entity.type, incident.entity.id, incident.id, RELATED),
        )
        return incident_row(incident, [other for (other,) in related], row[1], row[2])


def _finding(row: Sequence[Any]) -> dict[str, Any]:
    return finding_row(msgspec.json.decode(row[0], type=Finding), row[1] or None, row[2], row[3])


def _dead(row: Sequence[Any]) -> dict[str, Any]:
    stream, partition, offset, part, leg, reason, at = row
    return dead_row(Rejected(Position(stream, partition, offset, part), leg, reason, from_micros(at)))


def _shape(query: Query) -> Shape:
    if query.table not in _SHAPES:
        raise ConfigError(f'no table "{query.table}" in this store', remedy=f"one of {', '.join(_SHAPES)}")
    return _SHAPES[query.table]


def _source(shape: Shape, asked: Sequence[str]) -> str:
    """Return where rows are, and what stands beside them where it is asked for: SQLite would look it up for each."""
    table = shape.beside.partition(" ")[0]
    return f"{shape.source} LEFT JOIN {shape.beside}" if table and f"{table}." in " ".join(asked) else shape.source


def _column(query: Query, name: str) -> tuple[str, Kind]:
    columns = _shape(query).columns
    if name not in columns:
        raise ConfigError(f'no column "{name}"', where=query.table, remedy=f"one of {', '.join(columns)}")
    return columns[name]


def _ordered(query: Query, name: str) -> tuple[str, Kind]:
    """Return a column that has one value a row."""
    found = _column(query, name)
    if found[1] == "several":
        raise ConfigError(f'column "{name}" has several values', where=query.table, remedy="filter by it")
    return found


def _parts(query: Query, by: Sequence[str]) -> list[tuple[Query, Shape]]:
    """Split a count: whole days are tallied, what is left at both ends is counted row by row."""
    if query.table != "findings" or not query.hides or query.text or not {*query.where, *by} <= {*_TALLIED}:
        return [(query, _shape(query))]
    if query.since and query.since > FAR:  # the day after the last has no name
        return [(query, _FINDINGS)]
    since = query.since and EPOCH - (EPOCH - query.since) // _DAY * _DAY  # the day that begins then, or after
    until = query.until and EPOCH + (query.until - EPOCH) // _DAY * _DAY
    if since and until and since >= until:
        return [(query, _FINDINGS)]
    parts = [(msgspec.structs.replace(query, since=since, until=until), _TALLY)]
    if since != query.since:
        parts.append((msgspec.structs.replace(query, until=since), _FINDINGS))
    if until != query.until:
        parts.append((msgspec.structs.replace(query, since=until), _FINDINGS))
    return parts


def _paced(query: Query, step: timedelta, by: Sequence[str]) -> bool:
    """Whether a course goes by whole hours, which are counted already."""
    plain = query.table == "findings" and query.hides and not query.text and {*query.where, *by} <= {*_PACED}
    bounds = [at for at in (query.since, query.until) if at is not None]
    return plain and not any((at - EPOCH) % _HOUR for at in bounds) and not step % _HOUR


def _where(query: Query, shape: Shape) -> tuple[list[str], list[Any]]:
    """Write the filter; statements hold names of ours only, all that came from outside is bound."""
    terms = [shape.shown] if query.hides else ["1"]
    bound: list[Any] = []
    if query.where.get("exception") and "" not in query.where["exception"]:
        terms.append("f.exception <> ''")  # else SQLite does not see that the index of what is covered has them all
    for name, values in query.where.items():
        expression, kind = _column(query, name)
        if _coarse(query, name):
            expression = f"+{expression}"  # no index is looked at for it
        places = ", ".join("?" * len(values))
        terms.append(expression.format(places) if kind == "several" else f"{expression} IN ({places})")
        bound += [_read(value, kind) for value in values]
    time = shape.columns["time"][0]
    if _timeless(query) and _coarse(query, "status"):
        time = f"+{time}"  # the order is gone along, past what is of another time: 75 ms where nothing is found in a million
    for sign, bound_at in ((">=", query.since), ("<", query.until)):
        if bound_at is not None:
            terms.append(f"{time} {sign} ?")
            bound.append(micros(bound_at) // shape.unit)
    for word in words(query):
        if not shape.searched:
            raise ConfigError("is not searched by words", where=query.table, remedy="filter by its columns")
        terms.append("(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in shape.searched) + ")")
        bound += [_like(word)] * len(shape.searched)
    return terms, bound


def _like(word: str) -> str:
    return _LIKE.sub(r"\\\g<0>", word).join("%%")


def _coarse(query: Query, name: str) -> bool:
    """Whether a filter leaves nearly all, so that to go along the order until a page is full is quicker than to sort them."""
    values = query.where.get(name, ())
    sorts = len(values) > 1 or _timeless(query)
    return (name == "status" and UNTOUCHED in values and sorts) or (name == "entity.type" and len(values) > 1)


def _timeless(query: Query) -> bool:
    return query.order.removeprefix("-") not in ("time", "opened")


def _read(value: str, kind: Kind) -> Any:
    if kind == "severity":
        return next((rank for rank, name in enumerate(SEVERITIES) if name == value), -1)
    if kind == "time":
        return micros(from_rfc3339(value))
    if kind == "number":
        return int(value) if value.removeprefix("-").isdecimal() else None
    return value


def _written(value: Any, kind: Kind) -> str:
    if kind == "severity":
        return str(SEVERITIES[value])
    return rfc3339(from_micros(value)) if kind == "time" else str(value)
