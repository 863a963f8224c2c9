"""Whether the cycles of a solved point have other solutions: a few solves from other starts, always the same ones.

Takes the start of the pass and the point; gives the distinct solutions that were found with their objectives, and a
hint where the sign of det ∂r/∂x differs between start and solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...expression import Array
from ...lowering import Lowered
from ...solvers import MAX_ITERATIONS
from ...tables import Column, Table
from ...text import number
from ..block import model_at, propagate_explicit
from ..forward import Start, propagate, sweep_block
from ..plan import Plan
from ..steps import BlockStep
from ..trust import block_error, solve_again
from .finding import Finding
from .names import elements, variable_names
from .nullspace import DENSE_LIMIT

if TYPE_CHECKING:
    from ..point import Point

MOST_BLOCKS = 5
"""So many cycles are solved again."""
SMALL, LARGE = 200, 20_000
"""Cycles of up to so many unknowns are solved from ten starts, or from three; larger ones are not."""
LIMIT = 60
"""Iterations from another start."""
APART = 1e-4
"""Solutions that differ by more than this part of the unknowns' size are distinct."""
DOUBT = 10.0
"""And by more than so many times the error estimate of this one."""
MOST_SHOWN = 4
"""So many unknowns, those that differ most, are shown of each solution."""


def several_findings(plan: Plan, begin: Start, at: Point) -> Iterator[Finding]:
    """Other solutions of the first cycles, and signs that the solve went from one branch to another."""
    for step in _blocks(plan)[:MOST_BLOCKS]:
        z = at.state.copy()
        known = [z[step.columns].copy()]
        error = block_error(at._solved.reports[step.number])[: len(step.columns)]
        with np.errstate(all="ignore"):
            for x in other_starts(step, begin, z):
                record = solve_again(step, z.copy(), at.offset, begin.domain, x, LIMIT)
                if record.converged and all(_is_apart(record.x, other, error) for other in known):
                    known.append(record.x)
        if len(known) > 1:
            yield _found(plan, begin, at, step, known)
        elif len(step.all_rows) <= DENSE_LIMIT:
            yield from _sign_finding(plan.lowered, step, begin, at)


def _blocks(plan: Plan) -> list[BlockStep]:
    return [step for step in plan.steps if isinstance(step, BlockStep) and len(step.columns) <= LARGE]


def other_starts(step: BlockStep, begin: Start, z: Array) -> Iterator[Array]:
    """Points around the solution: mirrored, 0, ten times as large, and at random (seeded); all inside the domains."""
    x = z[step.columns]
    size = np.maximum(np.abs(x), 1.0)
    few = len(x) > SMALL
    draws = np.random.default_rng(0).uniform(-1.0, 1.0, (0 if few else 6, len(x)))
    candidates = [-x, np.zeros(len(x)), 10.0 * size * np.where(x < 0.0, 1.0, -1.0), 10.0 * size]
    spread = [x + 3.0**k * size * u for k, u in enumerate(draws)]
    low, high = (end[step.columns] for end in begin.domain)
    for candidate in [*candidates[: 3 if few else 4], *spread]:
        inside = np.where(candidate <= low, (low + x) / 2.0, np.where(candidate >= high, (high + x) / 2.0, candidate))
        yield np.where(np.isfinite(inside), inside, x)


def _is_apart(x: Array, other: Array, error: Array | float = 0.0) -> bool:
    """Whether two points differ by more than rounding, and by more than ``error`` explains."""
    size = np.maximum(np.abs(x), np.abs(other))
    floor = 1e-3 * max(float(size.max(initial=0.0)), 1e-12)
    return bool((np.abs(x - other) > np.maximum(APART * np.maximum(size, floor), DOUBT * error)).any())


def _found(plan: Plan, begin: Start, at: Point, step: BlockStep, known: list[Array]) -> Finding:
    lowered, solutions = plan.lowered, np.array(known)
    spread = np.abs(solutions - solutions[0]).max(axis=0) / np.maximum(np.abs(solutions).max(axis=0), 1e-300)
    shown = np.sort(np.argsort(-spread, kind="stable")[:MOST_SHOWN])
    names = variable_names(lowered, step.columns[shown])
    objectives = [_objective(plan, begin, at, step, x) for x in known] if lowered.objective is not None else []
    columns = [Column("solution", role="kind"), *(Column(name, numeric=True) for name in names)]
    rows = [[f"{i + 1}" + " (this point)" * (i == 0), *map(number, x[shown].tolist())] for i, x in enumerate(known)]
    if objectives:
        columns.append(Column("objective", numeric=True))
        rows = [[*row, "no solution" if np.isnan(value) else number(value)]
                for row, value in zip(rows, objectives, strict=True)]
    count = len(known)
    return Finding(
        "several solutions", "note",
        f"the block {{{elements(lowered.state, step.columns)}}} has at least {count} solutions at these inputs: which "
        "one is found depends on the start", (), names,
        {"solutions": [dict(zip(names, x[shown].tolist(), strict=True)) for x in known],
         **({"objectives": objectives} if objectives else {})},
        "choose by a start near the wanted one, variable(..., start=), or exclude the others: domain=(low, high)",
        (), Table("solutions found", columns, rows),
    )


def _objective(plan: Plan, begin: Start, at: Point, step: BlockStep, x: Array) -> float:
    """The objective where one block has another solution and the rest of the program follows; NaN where it does not."""
    from ..point import Point

    z, started = at.state.copy(), begin.started.copy()
    z[step.columns], started[step.columns] = x, True
    solved = propagate(plan, replace(begin, z=z, started=started), MAX_ITERATIONS)
    if solved.failed is not None or _is_apart(solved.z[step.columns], x):
        return float("nan")
    return Point(plan, solved)._objective_value


def _sign_finding(lowered: Lowered, step: BlockStep, begin: Start, at: Point) -> Iterator[Finding]:
    """A note where det ∂r/∂x has another sign at the start: a path between them crosses a singular Jacobian."""
    z = at.state.copy()
    z[step.columns] = begin.z[step.columns]
    work = np.zeros(lowered.n_all_rows)
    with np.errstate(all="ignore"):
        sweep_block(step, begin, z, work)
        for part in step.eliminated:
            propagate_explicit(part, z, at.offset, work)
        signs = [_sign(step, state) for state in (z, at.state)]
    if signs[0] * signs[1] < 0.0:
        names = elements(lowered.state, step.columns)
        yield Finding(
            "branch", "note",
            f"det ∂r/∂x of the block {{{names}}} has another sign at the solution than at its start: the solve crossed "
            "a point where the Jacobian is singular, so there may be another solution on the side of the start",
            (), variable_names(lowered, step.columns), {"sign at start": signs[0], "sign at solution": signs[1]},
            "if it is not the solution that was wanted, give a start on its side",
        )


def _sign(step: BlockStep, z: Array) -> float:
    matrix = model_at(step, z).matrix
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    return float(np.linalg.slogdet(dense)[0]) if np.isfinite(dense).all() else 0.0
