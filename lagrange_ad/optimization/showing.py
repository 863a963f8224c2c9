"""How an optimum is shown: the verdict, inputs, objective, what is active with its multiplier, the certificate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ..expression import Array
from ..solution.showing import symbol_tables
from ..tables import Column, Report, Rows, Table
from ..text import number

if TYPE_CHECKING:
    from .optimum import OptimizeResult


def optimum_report(r: OptimizeResult) -> Report:
    """The page a person reads."""
    verdict = "optimum" if r.success else "stopped"
    head = (f"{r.view.lowered.name}: {verdict} by {r.method} in {r.view.space.name} space, {r.iterations} iterations, "
            f"{r.seconds:.3g} s: {r.message}")
    objective = r.view.lowered.objective
    assert objective is not None
    lines = [head, f"{objective.sense} {objective.name} = {r.objective:.10g}"]
    tables = [*symbol_tables(r.point, "input", ("input",)), *symbol_tables(r.point, "variable", ("variable",)),
              *_active(r)]
    return Report("\n".join(lines), tables, list(_notes(r)))


def _active(r: OptimizeResult) -> Iterator[Table]:
    """Constraints and bounds with a multiplier, or at a bound."""
    problem = r.view.problem
    rows = problem.constraints(r.x)
    n_kept = len(r.view.space.arranged.kept)
    cells = [*_of(r, rows, problem.row_lower, problem.row_upper, r.y, problem.row_name, n_kept),
             *_of(r, r.x, problem.lower, problem.upper, r.z, problem.variable_name, 0)]
    columns = [Column("active", role="name"), Column("value", numeric=True), Column("bound"),
               Column("multiplier dJ*/d(bound)", numeric=True, role="multiplier")]
    yield Table("active constraints and bounds", columns, Rows(len(cells), lambda i: cells[i]))


NEAR = 1e-6


def _of(r: OptimizeResult, values: Array, lower: Array, upper: Array, multipliers: Array, name: object,
        first: int) -> Iterator[list[str]]:
    assert callable(name)
    size = np.maximum(1.0, np.abs(values))
    at_lower, at_upper = values - lower <= NEAR * size, upper - values <= NEAR * size
    for i in np.flatnonzero(at_lower | at_upper).tolist():
        if i >= first:
            side = "=" if lower[i] == upper[i] else ">=" if at_lower[i] else "<="
            bound = lower[i] if at_lower[i] else upper[i]
            yield [name(i), number(values[i]), f"{side} {number(bound)}", number(r.view.sign * multipliers[i])]


def _notes(r: OptimizeResult) -> Iterator[str]:
    if r.why:
        yield r.why
    if np.isfinite(r.infeasibility):
        yield f"largest violation {r.infeasibility:.2g}"
