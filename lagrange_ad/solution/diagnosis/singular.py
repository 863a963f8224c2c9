"""Numerical singularity of a block at a point: which equations say the same, which variables can move together.

Takes the block's Jacobian at a state; gives findings with the near-null combinations in the user's names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import SingularError
from ...expression import Array
from ...lowering import Lowered
from ...solvers import Factor, Model
from ..block import model_at
from ..steps import BlockStep
from .finding import MOST_NAMES, Finding, in_words
from .names import elements
from .nullspace import DENSE_LIMIT, NearNull, near_null

NEARLY = 1e-10
"""A Jacobian whose smallest scaled singular value is this part of the largest is called nearly singular."""
ROUNDING = 1e-14
"""And singular where it is this part."""
NAMED = 0.1
"""Entries above this part of the largest are named."""
CONTRADICTED = 1e-3
"""Residuals whose combination is more than this part of its terms contradict each other."""
MOST_TERMS = 5
"""So many terms of a combination are written."""


ADVICE = (
    "look for two equations that say the same, for a level that one more equation should fix (a reference, a ground, a "
    "total), for a turning point or a double root"
)


def singular_error(step: BlockStep, matrix: Any, said: object) -> SingularError:
    """The error for a block without multipliers: its Jacobian at the solution, and what factoring it said."""
    lowered, n = step.cut.lowered, len(step.rows)
    null = near_null(Model(matrix, np.ones(matrix.shape[1]), n)) if matrix.shape[0] <= DENSE_LIMIT else None
    combinations = [] if null is None else _findings(lowered, step, null, None)
    finding = Finding(
        "singular", "error",
        f"{said} at the solution, so the equations of the block {{{elements(lowered.state, step.columns)}}} have no "
        "multipliers there: a small change of a right side moves the solution without bound. The values stand",
        [name for found in combinations for name in found.equations],
        [name for found in combinations for name in found.variables],
        combinations[0].numbers if combinations else {}, ADVICE,
        [line for found in combinations for line in found.details],
    )
    return SingularError(in_words([finding]), findings=[finding])


def singular_findings(lowered: Lowered, step: BlockStep, z: Array, residuals: Array | None = None,
                      factor: Factor | None = None) -> list[Finding]:
    """A finding a near-null combination of the block's Jacobian at a state; none where it is regular.

    ``residuals`` are those of a block that was not solved: then it is an error, and told whether they contradict.
    ``factor``: see :func:`near_null`.
    """
    found = near_null(model_at(step, z), factor)
    return [] if found is None else _findings(lowered, step, found, residuals)


def _findings(lowered: Lowered, step: BlockStep, found: NearNull, residuals: Array | None) -> list[Finding]:
    if found.ratios[0] > NEARLY:
        return []
    few = found.below(NEARLY)
    return [_finding(lowered, step, few, k, residuals) for k in range(len(few.ratios))]


def _finding(lowered: Lowered, step: BlockStep, null: NearNull, k: int, residuals: Array | None) -> Finding:
    rows, left = _terms(null.left[:, k], null.row_scale, step.rows)
    columns, right = _terms(null.right[:, k], null.column_scale, step.columns)
    ratio = float(null.ratios[k])
    how = "singular" if ratio <= ROUNDING else "nearly singular"
    equations = [lowered.row_name(i) for i in step.rows[rows[:MOST_NAMES]].tolist()]
    variables = [lowered.state.element(i) for i in step.columns[columns[:MOST_NAMES]].tolist()]
    names = elements(lowered.state, step.columns)
    return Finding(
        "singular", "warning" if residuals is None else "error",
        f"the Jacobian of the block {{{names}}} is {how} (condition {_condition(ratio)}, rows and columns scaled)",
        equations, variables,
        {"condition": 1.0 / ratio if ratio > 0.0 else np.inf, "equation_weights": left[:MOST_NAMES],
         "variable_weights": right[:MOST_NAMES]},
        ADVICE,
        (_of_equations(equations, left) + _contradiction(rows, left, residuals), _of_variables(variables, right)),
    )


def _contradiction(rows: Array, weights: Array, residuals: Array | None) -> str:
    """What a combination of equations that should vanish is at the last iterate."""
    if residuals is None or len(rows) < 2:
        return ""
    parts = residuals[rows] * (1.0 if _are_equal(weights) else weights)
    if not abs(parts.sum()) > CONTRADICTED * np.abs(parts).sum():
        return ""
    return f", but it is {parts.sum():.3g}: they contradict each other"


def _condition(ratio: float) -> str:
    return f"{1.0 / ratio:.1e}" if ratio > 1e-17 else "beyond 1e17"


def _terms(vector: Array, scale: Array, numbers: Array) -> tuple[Array, Array]:
    """Which entries are named, the largest first, and their weights in the user's own units, of unit length.

    The few that are written, and all where the weights are equal, come as declared: in the order of their numbers.
    """
    size = np.abs(vector)
    chosen = np.flatnonzero(size > NAMED * size.max())
    chosen = chosen[np.argsort(-np.round(size[chosen] / size.max(), 6), kind="stable")]
    few = chosen[:MOST_TERMS]
    chosen[:MOST_TERMS] = few[np.argsort(numbers[few])]
    weights = vector[chosen] * scale[chosen]
    weights = weights / np.linalg.norm(weights)
    if _are_equal(weights):
        chosen = chosen[np.argsort(numbers[chosen])]
    return chosen, weights * (np.sign(weights[0]) or 1.0)


def _of_equations(names: list[str], weights: Array) -> str:
    if len(weights) == 1:
        return f"equation {names[0]!r} does not change with these unknowns here"
    if _are_equal(weights):
        return f"the sum of these {len(weights)} equations vanishes here: {_first(names, len(weights))}"
    return f"these {len(weights)} equations say the same here: {_combination(names, weights)} ≈ 0"


def _of_variables(names: list[str], weights: Array) -> str:
    if len(weights) == 1:
        return f"{names[0]} can move without changing any of the equations"
    if _are_equal(weights):
        return f"these {len(weights)} variables can move together, all by the same: {_first(names, len(weights))}"
    moves = [f"{name} by {weight:.2g}" for name, weight in zip(names, weights.tolist(), strict=False)]
    return f"these {len(weights)} variables can move together: {_first(moves, len(weights))}"


def _are_equal(weights: Array) -> bool:
    return bool(np.ptp(weights) <= 1e-6 * np.abs(weights).max())


def _first(parts: list[str], count: int) -> str:
    return ", ".join(parts[:MOST_TERMS]) + (f", … ({count} in all)" if count > MOST_TERMS else "")


def _combination(names: list[str], weights: Array) -> str:
    """Σ weight·name as one writes it: ``0.71·kcl1 − 0.71·kcl2``."""
    text = ""
    for name, weight in zip(names[:MOST_TERMS], weights.tolist(), strict=False):
        sign = (" − " if weight < 0 else " + ") if text else ("−" if weight < 0 else "")
        text += f"{sign}{abs(weight):.2g}·{name}"
    return text + (f" + … ({len(weights)} terms)" if len(weights) > MOST_TERMS else "")

