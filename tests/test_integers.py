"""Loops over integers: compiled code does what the Python that it was compiled from does."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from lagrange_ad.execution.native import integers
from lagrange_ad.execution.native.integers import natively
from lagrange_ad.structure import feedback_vertices, levels, maximum_matching
from lagrange_ad.structure.blocks import compress
from lagrange_ad.structure.loops import Cells, Loop, in_python

STEP = 3


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "COMPILE_FROM", 0)


def smallest(values: Cells, n: int) -> int:
    """A helper of the loop below."""
    best = values[0]
    for i in range(1, n):
        if values[i] < best:
            best = values[i]
    return best


def everything(values: Cells, n: int, found: Cells) -> int:
    """Every statement and operation that loops may have."""
    total = -smallest(values, n)
    for i in range(n):
        if values[i] == 7 or (values[i] >> 1) == 5:
            continue
        elif not values[i] > 2 and i != 3:
            found[i] -= values[i] * STEP
        else:
            found[i] = values[i] & 6
        total += found[i]
        if total >= 1000:
            break
    i = 0
    while True:
        i += 1
        if i < n and values[i] <= 4:
            continue
        if i >= n:
            return total
        found[0] = i


def unknown_statement(values: Cells) -> int:
    del values[0]
    return 0


@pytest.mark.parametrize("seed", range(5))
def test_a_loop_of_everything(seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 13, 50)
    found, wanted = np.zeros(50, np.int64), np.zeros(50, np.int64)
    assert natively(everything, values, 50, found=found) == in_python(everything, values, 50, found=wanted)
    np.testing.assert_array_equal(found, wanted)


def test_arrays_of_other_types_and_strides_are_written_to() -> None:
    values = np.arange(50)[::-1]
    found, wanted = np.zeros(100, np.int32), np.zeros(50, np.int64)
    natively(everything, values, 50, found=found[::2])
    in_python(everything, values, 50, found=wanted)
    np.testing.assert_array_equal(found[::2], wanted)


def test_what_loops_do_not_have_is_refused() -> None:
    loop: Loop = unknown_statement
    with pytest.raises(TypeError, match="loops have no 'del values"):
        natively(loop, np.zeros(3, np.int64))


@pytest.mark.parametrize(("n", "m"), [(6, 10), (60, 150), (2000, 6000)])
def test_the_loops_of_the_structure_analysis(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    source, target = rng.integers(n, size=(2, m))
    cost = rng.integers(0, 2, n)
    ahead = source < target
    forward = source[ahead], target[ahead]
    pattern = compress(n, n, source, target)
    for found, wanted in (
        (feedback_vertices(n, source, target, cost, natively), feedback_vertices(n, source, target, cost)),
        (levels(n, *forward, natively), levels(n, *forward)),
        (maximum_matching(*pattern, n, None, natively).column_of_row, maximum_matching(*pattern, n).column_of_row),
    ):
        np.testing.assert_array_equal(found, wanted)


def test_a_long_chain_of_levels() -> None:
    n = 30_000
    np.testing.assert_array_equal(levels(n, np.arange(n - 1), np.arange(1, n), natively), np.arange(n))
