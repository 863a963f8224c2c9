"""Every row of the table of elementary functions, brought into its domain: what random programs and walks draw from.

A row's domain is words; ``DOMAINS`` says for each of them which interval is safe and which points are inside. A new
row whose domain has words known here is drawn and walked as it is; for other words :func:`domain_of` says what to add.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lagrange_ad.elementary import TABLE


class Domain(NamedTuple):
    """An interval in which a row is smooth and moderate, and whether a point is inside the domain."""

    safe: tuple[float, float]
    inside: Callable[[float], bool]


DOMAINS = {
    "": Domain((-2.0, 2.0), lambda x: True),
    "a finite argument": Domain((-1.2, 1.2), lambda x: True),
    "argument > 0": Domain((0.3, 2.5), lambda x: x > 0),
    "argument ≥ 0": Domain((0.3, 2.5), lambda x: x > 0),
    "argument > -1": Domain((-0.7, 1.5), lambda x: x > -1),
    "argument ≠ 0": Domain((0.4, 2.0), lambda x: x != 0),
    "denominator ≠ 0": Domain((0.4, 2.0), lambda x: x != 0),
    "argument ≥ 1": Domain((1.2, 3.0), lambda x: x > 1),
    "-1 ≤ argument ≤ 1": Domain((-0.8, 0.8), lambda x: abs(x) < 1),
    "-1 < argument < 1": Domain((-0.8, 0.8), lambda x: abs(x) < 1),
    "0 ≤ argument ≤ 1": Domain((0.1, 0.9), lambda x: 0 < x < 1),
    "an argument that is not 0, -1, -2, …": Domain((0.4, 3.5), lambda x: x > 0 or x != np.floor(x)),
    "base > 0, or an integer exponent": Domain((0.3, 2.0), lambda x: x > 0),
    "s > 1 and a second operand > 0, or not an integer where s is one":
        Domain((0.4, 3.5), lambda x: x > 0 or x != np.floor(x)),
    "second operand > 0, or first operand = 0": Domain((0.3, 2.5), lambda x: x > 0),
    "second operand > -1, or first operand = 0": Domain((-0.7, 1.5), lambda x: x > -1),
}  # fmt: skip


NOT_SMOOTH = {"cbrt": (0.3, 2.5), "hypot": (0.3, 2.5), "arctan2": (0.3, 2.5)}
"""Intervals for rows with an infinite or no slope inside their domain."""


def domain_of(name: str) -> Domain:
    """The domain of a row; an AssertionError says what to add for a row with new words."""
    words = TABLE[name].domain
    assert words in DOMAINS, (
        f"the row {name!r} has the domain {words!r}, which tests/table_rows.py does not know: add it to DOMAINS with "
        "an interval for random programs and a test for points"
    )
    return DOMAINS[words]


def applied(name, *operands):
    """A row of operands of any kind, squeezed into its domain by a sine; a condition chooses between two of them."""
    row, (low, high) = TABLE[name], NOT_SMOOTH.get(name, domain_of(name).safe)
    operands = [operands[j % len(operands)] for j in range(max(2, row.arity))]
    if row.boolean:
        conditions = [np.greater(x, 0.1234 * (j + 1)) for j, x in enumerate(operands)]
        chosen = conditions if name.startswith("logical") else [operands[0], operands[1] + 0.0371]
        return np.where(row.function(*chosen[: row.arity]), operands[0], 0.5 * operands[1])
    if name == "where":
        return np.where(np.greater(operands[0], 0.1234), operands[1], np.sin(operands[2]))
    squeezed = [0.5 * (low + high) + 0.5 * (high - low) * np.sin(x + 0.1 * j) for j, x in enumerate(operands)]
    fixed = [2.0 + j for j in range(row.fixed)]
    return row.function(*fixed, *squeezed[row.fixed : row.arity])
