"""Why a forward pass stopped: findings, and the error whose message is made of them.

Takes the plan and what was solved; the block or the step that failed is named, with its worst equations, how the
residual went, what was tried, what held the iterates, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import ConvergenceError, DomainError, SolveError
from ...expression import Array
from ...lowering import Lowered
from ...printing import place, to_text
from ...solvers import Iteration
from ...tables import Column, Table
from ...text import listing, number
from ..block import BlockReport
from ..forward import Solved
from ..plan import Plan
from ..steps import BlockStep
from .culprit import GUARD, domain_message
from .edges import edge_findings, outside_findings
from .finding import MOST_NAMES, Finding, in_words
from .names import elements, equation_names, variable_names
from .nullspace import DENSE_LIMIT
from .singular import singular_findings

WORST = 3
"""So many of the worst equations are shown."""
FIRST, LAST = 6, 6
"""Iterations at the beginning and at the end that a history shows."""
CHANGE_STARTS = (
    "try a start nearer to the solution (variable(..., start=), or evaluate(start={...})), a domain=(low, high) "
    "that keeps the iterates sensible, or a look at whether the equations have a solution at these inputs"
)


def failure(plan: Plan, solved: Solved, at: Any) -> SolveError:
    """The error for a forward pass that stopped; ``at`` is the point to hand back with it."""
    findings = failure_findings(plan, solved)
    kind = DomainError if findings[0].kind == "domain" else ConvergenceError
    return kind(in_words(findings), at, findings)


def failure_findings(plan: Plan, solved: Solved) -> list[Finding]:
    """What a forward pass that stopped says, what happened first."""
    lowered, step = plan.lowered, solved.failed
    assert step is not None
    if not isinstance(step, BlockStep):
        bad = step.rows[np.isnan(solved.z[step.own]) & (step.rows < lowered.n_user_rows)]
        return [domain_finding(lowered, solved.z, bad)]
    report = solved.reports[-1]
    broken = np.flatnonzero(~np.isfinite(report.residuals))
    if len(broken):
        hidden = _broken_on_the_way(step, solved.z)
        return [hidden] if isinstance(hidden, Finding) else [domain_finding(
            lowered, solved.z, step.rows[broken] if hidden is None else hidden, report)]
    return [unsolved_finding(lowered, report), *edge_findings(lowered, solved, report),
            *outside_findings(lowered, solved, report), *guessed_findings(lowered, report.guessed_columns),
            *_singular(lowered, solved, report)]


def _broken_on_the_way(step: BlockStep, z: Array) -> Finding | Array | None:
    """Of what a block eliminates, the first rows whose values are no numbers, or the finding that a domain was left."""
    lowered, n = step.cut.lowered, len(step.rows)
    rows, columns = step.user_rows[n:], step.user_columns[n:]
    bad = ~np.isfinite(z[columns])
    if bad.any():
        return np.asarray(rows[bad][:1])
    domains = [lowered.symbols[lowered.state.names[lowered.state.block_of(int(c))]].domain for c in step.guarded]
    for column, (low, high) in zip(step.guarded.tolist(), domains, strict=True):
        if not low < z[column] < high:
            name, block = lowered.state.element(column), elements(lowered.state, step.user_columns)
            return Finding(
                "domain", "error", f"{name} = {number(z[column])} leaves its domain ({number(low)}, {number(high)}) "
                f"where the block {{{block}}} is to be solved in its torn unknowns", (),
                (name,), {"value": float(z[column])},
                "start the torn unknowns elsewhere, or solve in all of them, without tear=")
    return None


def domain_finding(lowered: Lowered, z: Array, rows: Array, report: BlockReport | None = None) -> Finding:
    """Rows whose value is not a number, the first of them with the function that has none."""
    message = domain_message(lowered, z, int(rows[0]))
    equations = [lowered.row_name(row) for row in rows[:MOST_NAMES].tolist()]
    if report is None:
        return Finding("domain", "error", message, equations, (), {"equations": len(rows)}, GUARD)
    columns = report.step.columns
    return Finding("domain", "error", message, equations, variable_names(lowered, columns[:MOST_NAMES]),
                   {"equations": len(rows)}, "give starts inside the domain",
                   (f"while solving the block {{{elements(lowered.state, columns)}}} from its start",))


def unsolved_finding(lowered: Lowered, report: BlockReport) -> Finding:
    """Which block was not solved, why it stopped, its worst equations, the way of its residual, what was tried."""
    worst = np.argsort(-np.abs(report.residuals), kind="stable")[:WORST].tolist()
    details = [_worst(lowered, report, i) for i in worst]
    details += [_history(report.record.steps)] if len(report.record.steps) > 2 else []
    first = dict(reversed(report.record.tried))  # what a method said when it was tried first
    details += [f"{method}: {first[method]}" for method in dict(report.record.tried)] if len(first) > 1 else []
    return Finding(
        "unsolved", "error",
        f"the block {{{elements(lowered.state, report.step.columns)}}} of {lowered.name!r} did not converge: "
        f"{report.message} (iteration {report.iterations}, residual {report.residual:.3g})",
        equation_names(lowered, report.step.rows[worst]), variable_names(lowered, report.step.columns),
        {"residual": report.residual, "iterations": report.iterations, "unknowns": report.size,
         "residuals": [report.residuals[i] for i in worst], "history": _shortened(report.history)},
        CHANGE_STARTS, details, history_table(report),
    )


def _worst(lowered: Lowered, report: BlockReport, i: int) -> str:
    row = int(report.step.rows[i])
    equation = lowered.equations[lowered.rows.block_of(row)]
    return (f"worst: {lowered.row_name(row)!r} ({place(equation.location)}): {to_text(equation.left, 60)} = "
            f"{to_text(equation.right, 60)}, right − left = {report.residuals[i]:.6g}")


def _history(steps: Sequence[Iteration]) -> str:
    """The largest residuals in one line."""
    sizes = [f"{step.residual:.2g}" for step in steps]
    return "largest residuals on the way: " + ", ".join(_shortened(sizes, 4, 2, "…"))


def _shortened(things: Sequence[Any], first: int = FIRST, last: int = LAST, gap: Any = None) -> list[Any]:
    """The first and the last of many, with a gap between where one is given."""
    if len(things) <= first + last:
        return list(things)
    return [*things[:first], *([] if gap is None else [gap]), *things[len(things) - last :]]


def history_table(report: BlockReport) -> Table | None:
    """The iterations of a solve, those in the middle left out; None where there is no record of them."""
    steps = report.record.steps
    if not steps:
        return None
    shown = _shortened(range(len(steps)))
    rows = [_row(report, i, steps[i]) for i in shown]
    if len(shown) < len(steps):
        rows.insert(FIRST, [f"… {len(steps) - len(shown)} more", *[""] * 6])
    columns = [Column("iteration", numeric=True), Column("method", role="kind", drop=2),
               Column("largest residual", numeric=True), Column("of"), Column("correction", numeric=True, drop=1),
               Column("part taken", numeric=True, drop=1), Column("outside", numeric=True, drop=3)]
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    return Table("iterations", [columns[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _row(report: BlockReport, number: int, step: Iteration) -> list[str]:
    whose = report.lowered.row_name(int(report.step.rows[step.worst])) if step.worst >= 0 else ""
    return [str(number), step.method, f"{step.residual:.3g}", whose, *(
        "" if np.isnan(value) else f"{value:.2g}" for value in (step.correction, step.part)),
        str(step.outside) if step.outside else ""]


def guessed_findings(lowered: Lowered, columns: Array) -> Iterator[Finding]:
    """Unknowns that had no start and no equation to give one."""
    if len(columns):
        names = [lowered.state.element(column) for column in columns[:MOST_NAMES].tolist()]
        shown = listing(names) if len(columns) <= len(names) else f"{', '.join(names[:8])}, … ({len(columns)} in all)"
        yield Finding("no start", "note",
                      f"no start was given for {shown}: the solve began at 0 or the nearest bound", (), names,
                      {"unknowns": len(columns)}, "give them one, variable(..., start=), of the size that is expected")


def _singular(lowered: Lowered, solved: Solved, report: BlockReport) -> list[Finding]:
    """The near-null combinations of a block that failed, where that is cheap to tell."""
    if len(report.step.all_rows) > DENSE_LIMIT:
        return []
    return singular_findings(lowered, report.step, solved.z, report.residuals)
