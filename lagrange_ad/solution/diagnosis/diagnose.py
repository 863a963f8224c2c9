"""``Program.diagnose``: everything that can be said of a program and of one solve of it, as findings.

Takes what ``evaluate`` takes, or a point; never raises for a model that is wrong. Effort is bounded: of very many
cycles the largest are examined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import DeclarationError, LagrangeError, StructureError
from ...program import Declarations
from ...solvers import MAX_ITERATIONS, size_of_unknowns
from ..block import BlockReport
from ..evaluation import check_starts, given_values, lay_out, plan_of, prepared, starting_state
from ..forward import Start, propagate
from ..multipliers import linear_at
from ..plan import Plan
from ..point import Point
from ..steps import BlockStep
from .declared import duplicate_findings, unused_findings
from .edges import domain_ends
from .failure import failure_findings, guessed_findings
from .finding import MOST_NAMES, Diagnosis, Finding, sorted_findings
from .nullspace import DENSE_LIMIT
from .scaling import scaling_findings
from .several import MOST_BLOCKS, several_findings
from .singular import singular_findings
from .values import multiplier_findings, objective_findings, value_findings

MOST_EXAMINED = 50
"""So many cycles, the largest, have their Jacobians examined."""
INACCURATE = 1e-6
"""An unknown whose error is estimated as more than this part of its size is reported."""


@dataclass
class _Notebook:
    """What was found so far, and what was looked at."""

    program: str
    findings: list[Finding] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)

    def diagnosis(self) -> Diagnosis:
        return Diagnosis(self.program, sorted_findings(self.findings), self.looked_at)


def diagnose_program(program: Declarations, values: Mapping[str, Any] | None, *, at: Point | None = None,
                     start: Any = None) -> Diagnosis:
    """What is wrong with a program, at a point or at the one that ``evaluate`` would give. See ``Program.diagnose``."""
    if at is not None:
        return _at_point(program, at, values, start)
    given_values(program, values or {})
    check_starts(program, start)
    book = _Notebook(program.name, duplicate_findings(program), ["equations declared twice", "structure"])
    try:
        plan_of(program)
    except StructureError as error:
        book.findings += error.findings
        return book.diagnosis()
    try:
        plan, begin = prepared(program, values, start)
        point = Point(plan, propagate(plan, begin, MAX_ITERATIONS))
    except LagrangeError as error:
        book.findings.append(Finding("declaration", "error", str(error), advice="change what is declared there"))
    except Exception as error:  # of a user's function: it is a finding as well
        book.findings.append(_raised(error))
    else:
        _examine(book, plan, begin, point)
    return book.diagnosis()


def _at_point(program: Declarations, at: Point, values: Any, start: Any) -> Diagnosis:
    if not isinstance(at, Point):
        raise DeclarationError(f"at= takes a point, such as evaluate() gives or err.at, got {type(at).__name__}")
    if at.plan.lowered.name != program.name:
        raise DeclarationError(f"at= is a point of {at.plan.lowered.name!r}, this is {program.name!r}")
    if values or start is not None:
        raise DeclarationError("diagnose takes at=, a point that was computed, or values and start=, not both")
    book = _Notebook(program.name, duplicate_findings(program), ["equations declared twice", "structure"])
    given = {name: value for name, value in at.values.items() if at.plan.roles.has_given(name)}
    begin = starting_state(at.plan, lay_out(at.plan), given, {}, {})
    _examine(book, at.plan, replace(begin, offset=at.offset), at)
    return book.diagnosis()


def _raised(error: Exception) -> Finding:
    return Finding("function", "error", f"a function that the program calls raised {type(error).__name__}: {error}",
                   details=list(getattr(error, "__notes__", ())),
                   advice="call it by hand with the values of its arguments, or guard it against them")


def _examine(book: _Notebook, plan: Plan, begin: Start, at: Point) -> None:
    """All that needs a point."""
    if not at.solved:
        book.findings += failure_findings(plan, at._solved)
    book.findings += _of_blocks(book, plan, at)
    if at.solved:
        book.findings += objective_findings(at)
        book.findings += value_findings(at)
        book.findings += multiplier_findings(at)
        book.findings += guessed_findings(plan.lowered, at._solved.guessed_columns)
        book.findings += several_findings(plan, begin, at)
        book.looked_at.append(f"other solutions of at most {MOST_BLOCKS} cycles")
    book.findings += unused_findings(plan)
    book.looked_at.append("names that have no effect")


def _of_blocks(book: _Notebook, plan: Plan, at: Point) -> Iterator[Finding]:
    """Jacobians, scaling, accuracy and domains of the largest blocks that were come to."""
    reports = at._solved.reports
    steps = [step for step in plan.steps if isinstance(step, BlockStep) and step.number < len(reports)]
    chosen = sorted(steps, key=lambda step: -len(step.rows))[:MOST_EXAMINED]
    if chosen:
        count = f"{len(chosen)} of {len(steps)}" if len(chosen) < len(steps) else f"{len(steps)}"
        plural = "s" * (len(steps) > 1)
        book.looked_at.append(f"singularity, scaling, accuracy and domains of {count} cycle{plural}")
    for step in sorted(chosen, key=lambda step: step.number):
        yield from _of_block(plan, at, reports[step.number])


def _of_block(plan: Plan, at: Point, report: BlockReport) -> Iterator[Finding]:
    lowered, step = plan.lowered, report.step
    failed = step is at._solved.failed
    free = report.record.linear is not None and report.record.linear.is_matrix_free
    if not failed:
        if not free:
            linear = linear_at(step, at.state, report)
            yield from singular_findings(lowered, step, at.state, None, linear.factor if linear.is_exact else None)
        yield from domain_ends(lowered, step, at.state, "warning")
        yield from _inaccurate(report)
    elif not free and len(step.all_rows) > DENSE_LIMIT and np.isfinite(report.residuals).all():
        yield from singular_findings(lowered, step, at.state, report.residuals)
    yield from () if free else scaling_findings(lowered, step, at.state, "warning" if failed else "note")


def _inaccurate(report: BlockReport) -> Iterator[Finding]:
    """Unknowns of which few digits are known though the equations hold."""
    columns = report.step.user_columns
    x = report.state[columns]
    part = report.error / size_of_unknowns(x)
    poor = np.flatnonzero((part > INACCURATE) & np.isfinite(part))
    if not len(poor):
        return
    poor = poor[np.argsort(-part[poor], kind="stable")]
    names = [report.lowered.state.element(column) for column in columns[poor[:MOST_NAMES]].tolist()]
    worst = int(poor[0])
    yield Finding(
        "accuracy", "warning",
        f"{names[0]} = {x[worst]:.6g} is known to about ±{report.error[worst]:.1e} only"
        + (f", and {len(poor) - 1} more unknowns of its block to few digits" if len(poor) > 1 else ""), (), names,
        {"errors": report.error[poor[:MOST_NAMES]], "residual": report.residual, "unknowns": len(poor)},
        "the equations hardly change with it here: rewrite the one that is to determine it, or look for a double root",
    )
