"""Counting distinct things without regard to order, in bounded bytes.

Exact up to 256 things (a set of 64-bit digests, at most 2.3 KiB), then 2,048 registers that keep maxima (2 KiB): a standard
error of 2.3 %. A sketch is a function of the set of what was added, whatever the order, the batches and the repetitions, so
that merging is associative, commutative and idempotent. Registers: Flajolet et al., HyperLogLog, 2007; estimate: Ertl, New
cardinality estimation algorithms for HyperLogLog sketches, 2017 (no correction tables, no range in which it is biased).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from math import inf, log, sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

EXACT = 256  # as many digests take the bytes of the registers
INDEX_BITS = 11
REGISTERS = 1 << INDEX_BITS
REST_BITS = 64 - INDEX_BITS  # 53, which a float64 holds without loss: its exponent is the position of the first bit
STANDARD_ERROR = 1.04 / sqrt(REGISTERS)
BYTES = max(EXACT * 9, REGISTERS) + 16  # of a sketch's msgpack, at most
_MEMORY = 1 << 14  # digests remembered for paths and addresses that come again and again: about 4 MiB


class Sketch(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many distinct things were added: their digests while these are few, else registers."""

    exact: frozenset[int] = frozenset()
    registers: bytes = b""


EMPTY = Sketch()


@lru_cache(maxsize=_MEMORY)
def digest64(text: str) -> int:
    """64-bit digest of a text (BLAKE2b).

    >>> digest64("a") == digest64("a") != digest64("b")
    True
    """
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def add(sketch: Sketch, digests: set[int]) -> Sketch:
    """Return the sketch with 64-bit digests added; the same one when they are known.

    >>> count(add(EMPTY, {1, 2, 3}))
    3
    """
    if sketch.registers:
        return Sketch(registers=_raised(sketch.registers, digests)) if digests else sketch
    if digests <= sketch.exact:
        return sketch
    together = sketch.exact | digests
    if len(together) <= EXACT:
        return Sketch(together)
    return Sketch(registers=_raised(bytes(REGISTERS), together))


def merge(first: Sketch, second: Sketch) -> Sketch:
    """Return the sketch of what was added to either."""
    if not second.registers:
        return add(first, set(second.exact))
    if not first.registers:
        return add(second, set(first.exact))
    return Sketch(registers=np.maximum(_array(first.registers), _array(second.registers)).tobytes())


def count(sketch: Sketch) -> int:
    """Return how many distinct things were added: exact up to 256, else with a standard error of 2.3 %."""
    if not sketch.registers:
        return len(sketch.exact)
    return max(EXACT + 1, round(_estimate(np.bincount(_array(sketch.registers), minlength=REST_BITS + 2).tolist())))


def _array(registers: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(registers, np.uint8)


def _raised(registers: bytes, digests: Iterable[int]) -> bytes:
    """Return registers raised by digests; these are mixed first (splitmix64), so that even consecutive numbers spread."""
    mixed = np.fromiter(digests, np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    rest = (mixed & np.uint64((1 << REST_BITS) - 1)).astype(np.float64)
    ranks = (REST_BITS + 1 - np.frexp(rest)[1]).astype(np.uint8)
    raised = _array(registers).copy()
    np.maximum.at(raised, mixed >> np.uint64(REST_BITS), ranks)
    return raised.tobytes()


def _estimate(histogram: list[int]) -> float:
    """Ertl's estimate from how many registers hold each rank."""
    total = REGISTERS * _tau(1 - histogram[REST_BITS + 1] / REGISTERS)
    for rank in range(REST_BITS, 0, -1):
        total = 0.5 * (total + histogram[rank])
    total += REGISTERS * _sigma(histogram[0] / REGISTERS)
    return REGISTERS / (2 * log(2)) * REGISTERS / total


def _sigma(x: float) -> float:
    if x == 1:
        return inf
    total, weight, before = x, 1.0, -1.0
    while total != before:
        x *= x
        before = total
        total += x * weight
        weight += weight
    return total


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    total, weight, before = 1 - x, 1.0, -1.0
    while total != before:
        x = sqrt(x)
        before = total
        weight *= 0.5
        total -= (1 - x) ** 2 * weight
    return total / 3
