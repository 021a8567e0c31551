"""Actors: who the members of a group are, from where they come, and how many sessions they begin in an hour."""

from __future__ import annotations

from ipaddress import ip_network
from math import exp
from random import Random

import msgspec

from xmsec.content.scenario import Group, Place, Scenario
from xmsec.simulate.calendar import HOUR_MS, Calendar
from xmsec.simulate.values import mix

EXACT_POISSON = 30  # above it the normal distribution is as good, and one draw instead of thirty


class Member(msgspec.Struct, frozen=True):
    """One actor: its number in its group, and what templates may ask of it."""

    number: int
    account: str
    address: str
    region: str
    agent: str
    department: str
    role: str


class Crowd:
    """The members of one group, made from the seed when asked for: a crowd of a million needs no table.

    size: how many members' worth of sessions it has; where that is less than its least number, each member does less.
    """

    def __init__(self, name: str, group: Group, size: float, seed: int) -> None:
        self.name, self.group, self.size = name, group, size
        self.count = max(group.least, round(size))
        self._base = Random(f"{seed}/{name}/members").getrandbits(64)
        self._networks = [Addresses(place) for place in group.places]
        self.carrier = None if group.roaming is None else Addresses(Place(group.roaming.network))

    def member(self, number: int) -> Member:
        """Return one member; the same number is the same member on every day."""
        group, bits = self.group, mix(self._base, number)
        departments, network = group.departments, self._networks[number % len(self._networks)]
        return Member(
            number,
            group.account.replace("{member}", f"{number + 1:05d}"),
            network.address(number if network.small else bits),
            network.place.region,
            group.agents[(bits >> 40) % len(group.agents)],
            departments[number % len(departments)] if departments else "",
            group.role,
        )

    def any(self, rng: Random) -> Member:
        """Return a member by chance."""
        return self.member(int(rng.random() * self.count))


class Addresses:
    """The usable addresses of a place."""

    def __init__(self, place: Place) -> None:
        network = ip_network(place.network)
        self.place = place
        self._first = int(network.network_address) + (1 if network.num_addresses > 2 else 0)
        self._count = 1 if place.shared else max(1, network.num_addresses - 2)
        self.small = self._count <= 1 << 16  # give its addresses in a row, so that no two members share one by chance

    def address(self, bits: int) -> str:
        """Write one of them."""
        at = self._first + bits % self._count
        return f"{at >> 24}.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}"


class Life:
    """How many sessions a crowd begins in an hour."""

    def __init__(self, crowd: Crowd, scenario: Scenario, calendar: Calendar) -> None:
        self.crowd, self._calendar = crowd, calendar
        hours = scenario.rhythms.get(crowd.group.rhythm, ())
        total = sum(hours)
        self._shares = [hour / total for hour in hours]

    def expected(self, hour: int) -> float:
        """Return how many sessions the hour brings on average."""
        group, local = self.crowd.group, self._calendar.local(hour)
        if group.every_s is not None:
            return 3600 / group.every_s * self.crowd.count
        if group.at:
            return sum(int(at) == local.hour for at in group.at) * self.crowd.count
        if not group.sessions:
            return 0.0
        day = 1.0 if local.weekday() < 5 else group.weekend
        return self.crowd.size * group.sessions * self._shares[local.hour] * day

    def begins(self, hour: int, rng: Random, factor: float) -> list[tuple[int, Member]]:
        """Draw at which milliseconds of the hour sessions begin, and whose they are."""
        crowd, local = self.crowd, self._calendar.local(hour)
        if crowd.group.every_s is not None:
            first = (-hour * 3600) % crowd.group.every_s
            times = [1000 * second for second in range(first, 3600, crowd.group.every_s)]
        elif crowd.group.at:
            times = [round(at % 1 * HOUR_MS) for at in crowd.group.at if int(at) == local.hour]
        else:
            count = poisson(self.expected(hour) * factor, rng)
            return [(int(rng.random() * HOUR_MS), crowd.any(rng)) for _ in range(count)]
        return [(at + int(rng.random() * 900), crowd.member(number)) for at in times for number in range(crowd.count)]


def poisson(mean: float, rng: Random) -> int:
    """Draw how often a rare thing happens when it happens `mean` times on average."""
    if mean > EXACT_POISSON:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    limit, product, count = exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
