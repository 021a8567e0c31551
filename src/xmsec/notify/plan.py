"""When people are told what: storms folded, nights quiet, robots not overrun. Pure functions over (state, notices, now).

The first notices of a detector go out by themselves; what is more than `more_than` within the while is counted, and becomes
one message when the while is over. In quiet hours everything but what is critical is gathered, and told in one message at their
end. What is ready goes out as fast as the rate allows; what it cannot keep up with is folded too, so that a state is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo

import msgspec

from xmsec.content.notify import Folding, Quiet
from xmsec.model.ids import digest
from xmsec.notify.notice import Gathered, Message, Notice

GRAVEST = 5  # of what was gathered, shown by themselves
DETECTORS = 50  # counted by name in one message; the rest under one
OTHERS = "…"
QUIET = "quiet"
MINUTE = timedelta(minutes=1)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
GIVE_UP = timedelta(hours=72)  # a message that nobody took for a long weekend helps nobody


class Rules(msgspec.Struct, frozen=True):
    """What a destination asks for. zone: of its quiet hours."""

    zone: tzinfo
    fold: Folding = Folding()
    quiet: Quiet | None = None
    per_minute: int = 20


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What waits for one destination; at most some 100 KiB.

    ready: in their order; gathered: by detector, and `quiet`; recent: when notices of a detector went out by themselves, within
    its while; sent: when messages were taken within the last minute; tries: failures since; retry: not before this.
    """

    ready: tuple[Message, ...] = ()
    gathered: dict[str, Gathered] = {}
    recent: dict[str, tuple[datetime, ...]] = {}
    sent: tuple[datetime, ...] = ()
    tries: int = 0
    retry: datetime | None = None

    @property
    def held(self) -> int:
        """How many notices wait in what is gathered."""
        return sum(one.count for one in self.gathered.values())


def quiet_until(now: datetime, quiet: Quiet | None, zone: tzinfo) -> datetime | None:
    """Return when the quiet hours end that hold `now`; None outside of them. Local hours: a day may have 23 or 25."""
    if quiet is None:
        return None
    local = now.astimezone(zone)
    start, end = (_minutes(text) for text in (quiet.start, quiet.end))
    at = local.hour * 60 + local.minute
    inside = start <= at < end if start < end else at >= start or at < end
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if start > end and at >= start else 0)
    return datetime(day.year, day.month, day.day, end // 60, end % 60, tzinfo=zone).astimezone(now.tzinfo)


def take(state: State, notices: Iterable[Notice], now: datetime, rules: Rules) -> State:
    """Take in notices: each becomes ready, or is gathered."""
    until = quiet_until(now, rules.quiet, rules.zone)
    span = timedelta(minutes=rules.fold.minutes)
    ready, gathered, recent = list(state.ready), dict(state.gathered), _fresh(state.recent, now - span)
    for one in notices:
        before = recent.get(one.detector, ())
        if until is not None and one.severity != "critical":
            _gather(gathered, QUIET, one, Gathered("quiet", now, until))
        elif one.detector in gathered or len(before) >= rules.fold.more_than or len(ready) >= rules.per_minute:
            _gather(gathered, one.detector, one, Gathered("storm", now, (before or (now,))[0] + span))
        else:
            recent[one.detector] = (*before, now)
            ready.append(Message(digest("notice", one.id, one.severity, now.isoformat()), now, notice=one))
    return msgspec.structs.replace(state, ready=tuple(ready), gathered=gathered, recent=recent)


def release(state: State, now: datetime, rules: Rules) -> State:
    """Make ready what was gathered for long enough; in quiet hours gather what is ready instead."""
    until = quiet_until(now, rules.quiet, rules.zone)
    ready, gathered, recent = list(state.ready), dict(state.gathered), dict(state.recent)
    if until is not None:
        _hold(ready, gathered, now, until)
    for key, one in sorted(gathered.items()):
        if one.due <= now and (key != QUIET or until is None) and len(ready) < rules.per_minute:
            del gathered[key]
            ready.append(Message(digest("gathered", key, one.since.isoformat(), str(one.count)), now, gathered=one))
            if key != QUIET:
                recent[key] = (now,)
    return msgspec.structs.replace(state, ready=tuple(ready), gathered=gathered, recent=recent)


def _hold(ready: list[Message], gathered: dict[str, Gathered], now: datetime, until: datetime) -> None:
    """Put what quiet hours hold with what they hold already."""
    for message in [one for one in ready if not one.critical]:
        ready.remove(message)
        news = message.gathered or _with(Gathered("quiet", now, until), message.notice)
        gathered[QUIET] = _merged(gathered.get(QUIET, Gathered("quiet", now, until)), news)
    for key in [key for key, one in gathered.items() if key != QUIET and one.due <= now and not one.critical]:
        gathered[QUIET] = _merged(gathered.get(QUIET, Gathered("quiet", now, until)), gathered.pop(key))


def following(state: State, now: datetime, rules: Rules) -> Message | None:
    """Return the message that may be sent now, what is critical before the rest; None while there is none."""
    if not state.ready or _waits(state, rules, now) > now:
        return None
    return min(state.ready, key=lambda one: not one.critical)


def wakes(state: State, now: datetime, rules: Rules) -> datetime | None:
    """Return when there may be something to do that is not to do now."""
    moments = [one.due for one in state.gathered.values()]
    if state.ready:
        moments.append(_waits(state, rules, now))
    return min(moments, default=None)


def sent(state: State, message: Message, now: datetime) -> State:
    """Note that a message was taken."""
    ready = tuple(one for one in state.ready if one.id != message.id)
    lately = tuple(at for at in state.sent if at > now - MINUTE)
    return msgspec.structs.replace(state, ready=ready, sent=(*lately, now), tries=0, retry=None)


def failed(state: State, now: datetime, after_s: float = 0.0) -> State:
    """Note that nobody took it: the pauses double, up to some minutes; after_s: what the receiver asked for."""
    return msgspec.structs.replace(state, tries=state.tries + 1, retry=now + pause(state.tries, after_s))


def given_up(state: State, now: datetime) -> tuple[State, int]:
    """Leave messages that waited for too long; return how many."""
    kept = tuple(one for one in state.ready if one.at > now - GIVE_UP)
    return msgspec.structs.replace(state, ready=kept), len(state.ready) - len(kept)


def pause(tries: int, after_s: float = 0.0) -> timedelta:
    """Return how long to wait after so many failures before."""
    grown = min(FIRST_PAUSE_S * 2.0 ** min(tries, 20), LONGEST_PAUSE_S)
    return timedelta(seconds=max(grown, min(after_s, 3_600.0)))


def _waits(state: State, rules: Rules, now: datetime) -> datetime:
    """Return from when on a message may go out: neither faster than the rate, nor before the pause is over."""
    lately = [at for at in state.sent if at > now - MINUTE]
    free = lately[-rules.per_minute] + MINUTE if len(lately) >= rules.per_minute else now
    return max(free, state.retry or now)


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _fresh(recent: dict[str, tuple[datetime, ...]], after: datetime) -> dict[str, tuple[datetime, ...]]:
    kept = {key: tuple(at for at in moments if at > after) for key, moments in recent.items()}
    return {key: moments for key, moments in kept.items() if moments}


def _gather(gathered: dict[str, Gathered], key: str, notice: Notice, empty: Gathered) -> None:
    gathered[key] = _with(gathered.get(key, empty), notice)


def _with(one: Gathered, notice: Notice | None) -> Gathered:
    if notice is None:
        return one
    news = Gathered(one.why, one.since, one.due, {notice.detector: 1}, {notice.severity: 1}, (notice,))
    return _merged(one, news)


def _merged(one: Gathered, other: Gathered) -> Gathered:
    """Add up two; the first says why, and until when."""
    gravest = sorted((*one.gravest, *other.gravest), key=lambda notice: (-notice.rank, -notice.risk, notice.id))
    counts = dict(one.counts)
    for name, count in other.counts.items():
        place = name if name in counts or len(counts) < DETECTORS else OTHERS
        counts[place] = counts.get(place, 0) + count
    severities = {
        name: one.severities.get(name, 0) + other.severities.get(name, 0) for name in {**one.severities, **other.severities}
    }
    return Gathered(one.why, min(one.since, other.since), one.due, counts, severities, tuple(gravest[:GRAVEST]))
