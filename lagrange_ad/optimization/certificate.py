"""The certificate of a result: whether the KKT conditions hold where an algorithm ended, computed there by us.

Takes a Problem with names, x, y, z and the sign of its objective; gives findings (what fails first, by name), the
residuals, the active constraints with their multipliers in the user's sign, LICQ, and the verdict of second order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import LagrangeError
from ..expression import Array
from ..optimizers.active import EQUAL, INACTIVE, STATES, ActiveSet, active_set
from ..optimizers.inertia import Inertia, inertia
from ..optimizers.kkt import TOLERANCE, Point, Residuals, Worst, residuals
from ..optimizers.polishing import multipliers
from ..optimizers.problem import Problem
from ..optimizers.rank import Rank, rank
from ..solution.diagnosis.finding import Finding, sorted_findings
from ..solvers import SingularMatrixError
from ..tables import Column, Report, Rows, Shown, Table
from ..text import number
from .wording import Words, told

CONDITIONS = {"primal": "feasible", "stationarity": "stationary", "complementarity": "complementary",
              "signs": "signs of multipliers"}


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Shown):
    """What is known of a point as an optimum.

    ``ok``: no finding is an error; then the KKT conditions hold to ``tolerance`` (scaled, see
    :class:`~lagrange_ad.optimizers.kkt.Scales`), and no direction of negative curvature was found. ``findings``: what
    fails, then warnings and notes; ``verdict``: one sentence. ``residuals``, ``active``, ``rank`` (LICQ), ``inertia``:
    the numbers, None where the problem has no value at the point. ``to_dict()`` is plain data.
    """

    findings: Sequence[Finding]
    tolerance: float
    words: Words = field(repr=False)
    point: Point
    residuals: Residuals | None = None
    active: ActiveSet | None = None
    rank: Rank | None = None
    inertia: Inertia | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing fails."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def is_kkt_point(self) -> bool:
        """Whether the conditions of first order hold."""
        return self.residuals is not None and bool(self.residuals.largest <= self.tolerance)

    @property
    def verdict(self) -> str:
        """The first thing to know, in one sentence."""
        if not self.ok:
            first, more = self.findings[0], sum(finding.severity == "error" for finding in self.findings) - 1
            what = "" if first.kind == "curvature" else "not an optimum: "
            return f"{what}{first.message}" + (f" (and {more} more)" if more else "")
        assert self.inertia is not None
        kind = self.words.kind
        if self.inertia.verdict == "minimum":
            what = f"local {kind}, everything that is free being linear"
            return f"{what if self.inertia.linear else f'strict local {kind}'}; the KKT conditions hold"
        return f"the KKT conditions hold; whether it is a {kind} is {'not known' if self.unjudged else 'undecided'}"

    @property
    def unjudged(self) -> bool:
        """Whether second order was not looked at, without second derivatives."""
        return self.inertia is None or self.inertia.verdict == "unknown"

    def of_kind(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    @cached_property
    def constraints(self) -> list[tuple[str, str, float, float, str]]:
        """Active inequalities and bounds: name, "lower" or "upper", the bound, its multiplier dJ*/d(bound), state."""
        return [self._constraint(kind, k) for kind, k in self._active]

    @cached_property
    def _active(self) -> list[tuple[str, int]]:
        if self.active is None:
            return []
        found = []
        for kind, states in (("row", self.active.rows), ("variable", self.active.bounds)):
            found += [(kind, k) for k in np.flatnonzero((states != INACTIVE) & (states != EQUAL)).tolist()]
        return found

    def _constraint(self, kind: str, k: int) -> tuple[str, str, float, float, str]:
        assert self.active is not None
        problem, row = self.point.problem, kind == "row"
        side = (self.active.row_side if row else self.active.bound_side)[k]
        bounds = (problem.row_lower, problem.row_upper) if row else (problem.lower, problem.upper)
        state = (self.active.rows if row else self.active.bounds)[k]
        return (self.words.name(kind, k), "upper" if side > 0 else "lower", float(bounds[int(side > 0)][k]),
                self.words.multiplier(kind, k), STATES[state])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        found: dict[str, Any] = {"ok": self.ok, "verdict": self.verdict, "tolerance": self.tolerance,
                                 "findings": [finding.to_dict() for finding in self.findings]}
        if self.residuals is not None:
            found["residuals"] = self.residuals.to_dict()
        keys = ("name", "side", "bound", "multiplier", "state")
        found["active"] = [dict(zip(keys, some, strict=True)) for some in self.constraints]
        if self.rank is not None:
            found["licq"] = {"verdict": self.rank.verdict, "active": self.rank.active, "missing": self.rank.missing}
        if self.inertia is not None:
            names = ("verdict", "degrees", "positive", "zero", "negative", "weak")
            found["second_order"] = {name: getattr(self.inertia, name) for name in names}
            smallest = self.inertia.smallest
            found["second_order"]["smallest"] = None if np.isnan(smallest) else smallest
        return found

    as_dict = to_dict

    def __repr__(self) -> str:
        return f"<certificate: {self.verdict}>"

    # what it shows ---------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        failing = [finding for finding in self.findings if finding.severity != "note"]
        notes = [finding for finding in self.findings if finding.severity == "note"]
        verdict = self.verdict if self.ok else f"no {self.words.kind}"
        heading = "\n".join([f"certificate: {verdict}", *told(failing)])
        return Report(heading, [self.conditions, self.active_table], told(notes))

    @property
    def conditions(self) -> Table:
        """The conditions, whether they hold, and the largest residual of each with what it is at."""
        rows = []
        if self.residuals is not None:
            rows = [self._condition(name, getattr(self.residuals, name)) for name in CONDITIONS]
        if self.rank is not None:
            rows.append(["independent gradients (LICQ)", _holds(self.rank.verdict, "independent", "dependent"), "", "",
                         f"{self.rank.active} active"])
        if self.inertia is not None:
            holds = _holds(self.inertia.verdict, "minimum", "saddle")
            rows.append(["curvature", holds if self.is_kkt_point else "not judged", "", "",
                         self.words.curvatures(self.inertia)])
        columns = [Column("condition", role="name"), Column(""), Column("largest residual", numeric=True),
                   Column("scaled", numeric=True), Column("at", drop=1)]
        return Table("", columns, rows)

    def _condition(self, name: str, worst: Worst) -> list[str]:
        holds = worst.scaled <= self.tolerance
        at = "" if worst.scaled_at is None else self.words.name(*worst.scaled_at)
        return [CONDITIONS[name], "holds" if holds else "fails", f"{worst.absolute:.2g}", f"{worst.scaled:.2g}", at]

    @property
    def active_table(self) -> Table:
        """The active inequalities and bounds with their multipliers."""
        def cells(k: int) -> list[str]:
            name, side, bound, multiplier, state = self._constraint(*self._active[k])
            return [name, side, number(bound), number(multiplier), "" if state == STATES[2] else state]

        columns = [Column("active", role="name"), Column("at"), Column("bound", numeric=True),
                   Column("multiplier", numeric=True, role="multiplier"), Column("")]
        return Table("active constraints", columns, Rows(len(self._active), cells))


def _holds(verdict: str, yes: str, no: str) -> str:
    return "holds" if verdict == yes else "fails" if verdict == no else verdict


def certify(problem: Problem, x: Array, y: Array | None, z: Array | None, sign: float = 1.0,
            row_signs: Array | None = None, tolerance: float = TOLERANCE) -> Certificate:
    """The certificate of a point of a problem that minimizes ``sign``·J.

    Multipliers that are None are estimated by least squares. ``row_signs`` (m,) times y are the rows' multipliers as
    the user knows them; ``sign`` times y where None. Never raises because the point has no value: that is a finding.
    """
    estimated = y is None or z is None
    try:
        with np.errstate(all="ignore"):
            point = _point(problem, x, y, z)
            finite = point.finite
    except LagrangeError as reason:
        point, finite = Point(problem, x, np.zeros(problem.m), np.zeros(problem.n)), False
        findings = [Finding("domain", "error", f"there is no value here: {reason}")]
        return Certificate(findings, tolerance, Words(point, sign, row_signs), point)
    words = Words(point, sign, row_signs)
    if not finite:
        return Certificate([words.no_value()], tolerance, words, point)
    found, active = residuals(point), active_set(point)
    licq, curved = _linear_algebra(point, active)
    findings = [*words.of_residuals(found, active, tolerance, estimated), *words.of_rank(licq),
                *words.of_inertia(curved, found.largest <= tolerance)]
    if estimated:
        findings.append(words.estimated())
    return Certificate(sorted_findings(findings), tolerance, words, point, found, active, licq, curved)


def _point(problem: Problem, x: Array, y: Array | None, z: Array | None) -> Point:
    """The point with what multipliers there are, others by least squares."""
    if y is None or not (np.isfinite(y).all() and (z is None or np.isfinite(z).all())):
        bare = Point(problem, x, np.zeros(problem.m), np.zeros(problem.n))
        if not bare.finite:
            return bare
        y, z = multipliers(problem, x)
    elif z is None:
        point = Point(problem, x, y, np.zeros(problem.n))
        z = np.zeros(problem.n)
        if point.finite:
            bound = active_set(point).active_bounds
            z[bound] = point.stationarity[bound]
    return Point(problem, x, np.asarray(y, dtype=float), np.asarray(z, dtype=float))


def _linear_algebra(point: Point, active: ActiveSet) -> tuple[Rank, Inertia]:
    """LICQ and inertia; undecided where matrices cannot be factored."""
    count = len(active.active_rows) + len(active.active_bounds)
    try:
        licq = rank(point, active)
    except (SingularMatrixError, np.linalg.LinAlgError):
        licq = Rank("undecided", count, 0, np.nan)
    try:
        return licq, inertia(point, active)
    except (LagrangeError, SingularMatrixError, np.linalg.LinAlgError):
        return licq, Inertia("undecided" if point.problem.second_order else "unknown", None, weak=active.weak)
