"""A stream that stopped: `type: silence` watches every stream that declares how long it may say nothing.

```yaml
type: silence
severity: high
streams: [city-brain.sensors]     # optional: only these; default: every stream with a `silence_s`
except: [office.mail]             # optional: not these
silence: 30m                      # optional: instead of the streams' own silence_s
active: 08:00-20:00               # optional: only this local time counts, so that a quiet night is none
weekdays: [mon, tue, wed, thu, fri]   # optional, with active
```

A silence is a stretch between two events of a stream, [last, next), in which at least `silence_s` of expected time passed. It
is told, final, as soon as event time has passed that much (window [last, last + silence_s)), and once more under its id when
the stream speaks again (window [last, next)). Events that may still come out of order are waited for: a gap is judged when the
watermark has passed its limit, or its end. What could not be read, and what is late, is not counted as speech.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import zip_longest

import msgspec

from xmsec.content.detectors import DetectorFile, duration
from xmsec.content.load import convert
from xmsec.content.streams import Stream
from xmsec.detect.about import about_of
from xmsec.detect.fold import About
from xmsec.detect.hours import WEEKDAYS, Hours, after, hours
from xmsec.detect.score import risk
from xmsec.model.clock import rfc3339
from xmsec.model.ids import finding_id
from xmsec.model.types import Context, Entity, Event, Explanation, Finding, Key, Window

RUNS = 256  # about 32 KiB; more gaps that all wait for the watermark: the shortest are forgotten


class Expected(msgspec.Struct, frozen=True):
    """What a stream declares: the longest silence that means nothing, and when it speaks at all."""

    system: str
    silence: timedelta
    active: Hours | None = None


class Run(msgspec.Struct, frozen=True, array_like=True):
    """Events between which no silence is left to tell. limit: until when the stream must speak again; told: that it did not."""

    first: datetime
    first_id: str
    last: datetime
    last_id: str
    limit: datetime
    told: bool = False


class Spoken(msgspec.Struct, frozen=True):
    """When a stream spoke: runs in order, after each but the last a silence that is not yet settled. At most 48 KiB."""

    runs: tuple[Run, ...] = ()


class Silence:
    """The detector of silence; keyed by stream. A declared stream that never spoke has no last event: it is not told here."""

    state = Spoken
    shape = ""  # each run holds its own limit
    fields: frozenset[str] = frozenset()

    def __init__(self, about: About, expected: Mapping[str, Expected], zone: tzinfo) -> None:
        self.id = about.id
        self.version = about.version
        self._about = about
        self._expected = dict(expected)
        self._zone = zone
        self._keys = {stream: (Key("stream", stream),) for stream in sorted(expected)}

    def initial(self) -> Sequence[Key]:
        """Return the declared streams."""
        return [key for keys in self._keys.values() for key in keys]

    def keys(self, context: Context) -> Sequence[Key]:
        """Return the event's stream when it is a declared one and the event is timely and readable."""
        event = context.event
        if context.late or (event.flags and ("rejected" in event.flags or "far_future" in event.flags)):
            return ()
        return self._keys.get(event.stream, ())

    def start(self) -> Spoken:
        """Return the state of a stream that never spoke."""
        return Spoken()

    def step(
        self, states: Mapping[Key, Spoken], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Spoken], Sequence[Finding]]:
        """Take events in; nothing is told before event time has passed."""
        by_stream: dict[str, tuple[Key, list[Event]]] = {}  # by name: a text's hash is kept, a key's is not
        for key, context in batch:
            group = by_stream.get(context.event.stream)
            if group is None:
                by_stream[context.event.stream] = (key, [context.event])
            else:
                group[1].append(context.event)
        stepped = {}
        for key, events in by_stream.values():
            runs = sorted((*states[key].runs, *self._runs(events, self._expected[key.value])), key=_place)
            stepped[key] = Spoken(_shorten(_join(runs)))
        return stepped, ()

    def due(self, state: Spoken) -> datetime | None:
        """Return when the next silence can be told, or one that was told can be settled."""
        times = [_due(run, then) for run, then in zip_longest(state.runs, state.runs[1:])]
        return min((time for time in times if time is not None), default=None)

    def advance(
        self, states: Mapping[Key, Spoken], watermark: datetime
    ) -> tuple[Mapping[Key, Spoken | None], Sequence[Finding]]:
        """Tell the silences that event time has made certain."""
        findings: list[Finding] = []
        advanced: dict[Key, Spoken | None] = {key: None for key in states if key.value not in self._expected}
        for key, state in states.items():
            if key in advanced:  # nothing is expected of this stream any more
                continue
            runs: list[Run] = []
            for then in state.runs:
                if runs and then.first <= watermark:
                    findings.append(self._finding(key, runs[-1], then))
                    runs[-1] = _union(runs[-1], then)
                else:
                    runs.append(then)
            for place, run in enumerate(runs):
                if run.limit <= watermark and not run.told:
                    findings.append(self._finding(key, run, None))
                    runs[place] = msgspec.structs.replace(run, told=True)
            advanced[key] = Spoken(tuple(runs))
        return advanced, findings

    def _runs(self, events: Sequence[Event], expected: Expected) -> list[Run]:
        """Return the runs of one batch, in order."""
        times = [event.time for event in events]
        first, last = min(times), max(times)
        if after(first, expected.silence, expected.active, self._zone) > last:
            return [self._run(events, first, last, expected)]
        runs: list[Run] = []
        begin = 0
        ordered = sorted(events, key=lambda event: event.time)
        for place, event in enumerate(ordered):
            then = ordered[place + 1].time if place + 1 < len(ordered) else None
            if then is None or after(event.time, expected.silence, expected.active, self._zone) <= then:
                runs.append(self._run(ordered[begin : place + 1], ordered[begin].time, event.time, expected))
                begin = place + 1
        return runs

    def _run(self, events: Sequence[Event], first: datetime, last: datetime, expected: Expected) -> Run:
        limit = after(last, expected.silence, expected.active, self._zone)
        return Run(first, _least_id(events, first), last, _least_id(events, last), limit)

    def _finding(self, key: Key, run: Run, then: Run | None) -> Finding:
        """Say that a stream was silent after a run: until the next one, or at least until the limit."""
        expected, about = self._expected[key.value], self._about
        end = run.limit if then is None else then.first
        known = "at least " if then is None else ""
        return Finding(
            id=finding_id(about.id, key, run.last),
            time=run.last if then is None else then.first,
            first_seen=run.last,
            detector=about.id,
            version=about.version,
            kind=about.kind,
            title=about.title,
            severity=about.severity,
            risk=risk(about.severity, None, 1),
            system=expected.system,
            stream=key.value,
            entity=Entity(key.kind, key.value),
            count=1,
            window=Window(run.last, end),
            state="final",
            events=(run.last_id,) if then is None else (run.last_id, then.first_id),
            explanation=(
                Explanation("silence", f"{known}{_length(end - run.last)}", f"less than {_length(expected.silence)}"),
                Explanation("last event", rfc3339(run.last), "", 0.5),
            ),
            controls=about.controls,
            playbooks=about.playbooks,
        )


class _Body(msgspec.Struct, frozen=True):
    streams: tuple[str, ...] | None = None
    unwatched: tuple[str, ...] = msgspec.field(default=(), name="except")
    silence: str | None = None
    active: str | None = None
    weekdays: tuple[str, ...] = WEEKDAYS


def silence_of(file: DetectorFile, streams: Mapping[str, Stream], zone: tzinfo) -> Silence:
    """Make the detector that a file describes, over the deployment's streams. Raises ContentError with the line."""
    body = convert(file.document, _Body)
    active = None if body.active is None else hours(body.active, body.weekdays)
    if body.active is not None and active is None:
        raise file.error("no hours of weekdays", "$.active", "write 08:00-20:00, and weekdays as [mon, tue]")
    length = None if body.silence is None else duration(body.silence)
    if body.silence is not None and length is None:
        raise file.error(f'"{body.silence}" is no duration', "$.silence", "write 30m, 1h or 7d")
    watched = {}
    for stream in streams.values():
        limit = length or (None if stream.silence_s is None else timedelta(seconds=stream.silence_s))
        if limit is not None and stream.id not in body.unwatched and stream.id in (body.streams or streams):
            watched[stream.id] = Expected(stream.system, limit, active)
    return Silence(about_of(file), watched, zone)


def _due(run: Run, then: Run | None) -> datetime | None:
    if not run.told:
        return run.limit
    return None if then is None else then.first


def _place(run: Run) -> tuple[datetime, str]:
    return (run.first, run.first_id)


def _least_id(events: Sequence[Event], time: datetime) -> str:
    return min(event.id for event in events if event.time == time)


def _join(runs: Sequence[Run]) -> list[Run]:
    """Make one run of those that touch; `runs` are in order of their first event."""
    joined = [runs[0]]
    for run in runs[1:]:
        if run.first < joined[-1].limit:
            joined[-1] = _union(joined[-1], run)
        else:
            joined.append(run)
    return joined


def _union(one: Run, other: Run) -> Run:
    """Return the run that holds both; `one` begins no later than `other`."""
    if one.last == other.last:
        last = min(one, other, key=lambda run: run.last_id)
        return Run(one.first, one.first_id, one.last, last.last_id, one.limit, one.told or other.told)
    last = max(one, other, key=lambda run: run.last)
    return Run(one.first, one.first_id, last.last, last.last_id, last.limit, last.told)


def _shorten(runs: list[Run]) -> tuple[Run, ...]:
    while len(runs) > RUNS:
        place = min(range(1, len(runs)), key=lambda at: (runs[at].first - runs[at - 1].last, at))
        runs[place - 1 : place + 1] = [_union(runs[place - 1], runs[place])]
    return tuple(runs)


def _length(span: timedelta) -> str:
    """Write a length as people do.

    >>> _length(timedelta(hours=26, minutes=5))
    '1d2h5m'
    """
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
