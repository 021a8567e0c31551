"""Distinct counts depend on what was added, never on how."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.detect.sketch import BYTES, EMPTY, EXACT, STANDARD_ERROR, Sketch, add, count, digest64, merge

FEW = st.sets(st.integers(0, 2**64 - 1), max_size=40)
BOUNDS = st.tuples(st.integers(0, 600), st.integers(0, 600))  # ranges overlap often and lie on both sides of the exact limit


def sketch_of(digests: set[int]) -> Sketch:
    return add(EMPTY, digests)


def many(bounds: tuple[int, int]) -> set[int]:
    return {digest64(str(number)) for number in range(min(bounds), max(bounds))}


SETS = st.one_of(FEW, BOUNDS.map(many))


@settings(max_examples=60, deadline=None)
@given(SETS, SETS, SETS)
def test_merging_is_associative_commutative_and_idempotent(a: set[int], b: set[int], c: set[int]) -> None:
    x, y, z = sketch_of(a), sketch_of(b), sketch_of(c)
    assert merge(merge(x, y), z) == merge(x, merge(y, z))
    assert merge(x, y) == merge(y, x)
    assert merge(x, x) == x
    assert merge(x, EMPTY) == x


@settings(max_examples=60, deadline=None)
@given(BOUNDS.map(many), st.integers(1, 50), st.randoms(use_true_random=False))
def test_order_batches_and_repetitions_change_nothing(digests: set[int], size: int, chance: object) -> None:
    order = sorted(digests)
    chance.shuffle(order)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    batched = EMPTY
    for start in range(0, len(order), size):
        batched = add(add(batched, set(order[start : start + size])), set(order[start : start + 1]))
    assert batched == sketch_of(digests)


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_a_sketch_survives_msgpack_within_its_stated_bytes(digests: set[int]) -> None:
    packed = msgspec.msgpack.encode(sketch_of(digests))
    assert msgspec.msgpack.decode(packed, type=Sketch) == sketch_of(digests)
    assert len(packed) <= BYTES


@pytest.mark.parametrize("number", [0, 1, 2, 255, EXACT])
def test_counts_are_exact_while_small(number: int) -> None:
    assert count(sketch_of(many((0, number)))) == number


@pytest.mark.parametrize("number", [EXACT + 1, 700, 2_000, 5_120, 20_000, 200_000])
def test_larger_counts_keep_the_stated_error(number: int) -> None:
    errors = []
    for run in range(12):
        digests = np.random.default_rng([number, run]).integers(0, 2**64, number, np.uint64)
        errors.append(count(sketch_of(set(digests.tolist()))) / number - 1)
    assert abs(np.mean(errors)) < 4 * STANDARD_ERROR / np.sqrt(12)
    assert np.abs(errors).max() < 4 * STANDARD_ERROR


def test_consecutive_numbers_count_as_well_as_hashes() -> None:
    assert count(sketch_of(set(range(10_000)))) == pytest.approx(10_000, rel=4 * STANDARD_ERROR)


def test_adding_what_is_known_gives_the_same_sketch() -> None:
    known = sketch_of({1, 2, 3})
    assert add(known, {2, 3}) is known
