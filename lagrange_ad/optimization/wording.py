"""What a certificate finds, in words: rows and variables by name, multipliers and derivatives in the user's sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..expression import Array
from ..optimizers.active import ActiveSet
from ..optimizers.inertia import Inertia
from ..optimizers.kkt import Point, Residuals
from ..optimizers.rank import Dependency, Rank
from ..solution.diagnosis.finding import MOST_NAMES, Finding
from ..text import listing

MOST_TERMS = 5
"""So many terms of a combination or a direction are written."""
GO_ON = ("the algorithm ended before an optimum: look at its message, go on from here with more iterations, or use "
         "another method")


def told(findings: Sequence[Finding]) -> list[str]:
    """Findings as lines: severity, message, details, advice; the same advice once, after the last that it is for."""
    lines: list[str] = []
    for k, finding in enumerate(findings):
        after = findings[k + 1] if k + 1 < len(findings) else None
        lines += [f"{finding.severity}: {finding.message}", *(f"  {line}" for line in finding.details)]
        if finding.advice and (after is None or after.advice != finding.advice):
            lines.append(f"  try: {finding.advice}")
    return lines


class Words:
    """Speaks of a point in the user's names and sign: the problem minimizes ``sign``·J."""

    def __init__(self, point: Point, sign: float, row_signs: Array | None) -> None:
        self.point, self.sign = point, sign
        self._row_signs = np.full(point.problem.m, sign) if row_signs is None else row_signs

    @property
    def kind(self) -> str:
        """What is looked for: "minimum" or "maximum"."""
        return "minimum" if self.sign > 0 else "maximum"

    def name(self, kind: str, k: int) -> str:
        """The name of a row or a variable."""
        problem = self.point.problem
        return problem.row_name(k) if kind == "row" else problem.variable_name(k)

    def multiplier(self, kind: str, k: int) -> float:
        """The multiplier of a row or a bound, in the user's sign."""
        factor, value = (self._row_signs[k], self.point.y[k]) if kind == "row" else (self.sign, self.point.z[k])
        return float(factor * value) + 0.0

    def _names(self, places: Sequence[tuple[str, int]]) -> dict[str, Any]:
        some = places[:MOST_NAMES]
        return {"equations": [self.name(*at) for at in some if at[0] == "row"],
                "variables": [self.name(*at) for at in some if at[0] == "variable"]}

    def no_value(self) -> Finding:
        """There is NaN or infinity, and where."""
        point, places = self.point, []
        with np.errstate(all="ignore"):
            places += [("variable", int(j)) for j in np.flatnonzero(~np.isfinite(point.x))]
            places += [("row", int(i)) for i in np.flatnonzero(~np.isfinite(point.values))]
            places += places or [("variable", int(j)) for j in np.flatnonzero(~np.isfinite(point.gradient))]
        named = listing([self.name(*at) for at in places]) or "the objective"
        return Finding("domain", "error", f"there is no value here, or no derivative: {named}", **self._names(places),
                       advice="start elsewhere, or bound the variables away from where functions end")

    # the KKT conditions ----------------------------------------------------------------------------------------

    def of_residuals(self, found: Residuals, active: ActiveSet, tolerance: float, estimated: bool) -> Iterator[Finding]:
        """What fails of the KKT conditions."""
        if not found.primal.scaled <= tolerance:
            yield self._violated(found, active)
        if not found.stationarity.scaled <= tolerance:
            yield self._not_stationary(found, estimated)
        if not found.complementarity.scaled <= tolerance:
            assert found.complementarity.scaled_at is not None
            yield self._not_complementary(found)
        if not found.signs.scaled <= tolerance:
            yield self._wrong_sign(found)

    def _excess(self, kind: str, k: int) -> tuple[float, float, float]:
        """The value, its bound, and how far it is beyond."""
        point, problem, row = self.point, self.point.problem, kind == "row"
        value = float((point.values if row else point.x)[k])
        lower, upper = ((problem.row_lower, problem.row_upper) if row else (problem.lower, problem.upper))
        bound = float(lower[k] if value < lower[k] else upper[k])
        return value, bound, abs(value - bound)

    def _violated(self, found: Residuals, active: ActiveSet) -> Finding:
        worst = found.primal.scaled_at
        assert worst is not None
        value, bound, excess = self._excess(*worst)
        others = [("row", int(k)) for k in np.flatnonzero(active.violated_rows)]
        others += [("variable", int(k)) for k in np.flatnonzero(active.violated_bounds)]
        others = [worst, *(at for at in others if at != worst)]
        details = [f"{self.name(*at)} by {self._excess(*at)[2]:.3g}" for at in others[1:MOST_TERMS]]
        if len(others) > MOST_TERMS:
            details.append(f"and {len(others) - MOST_TERMS} more")
        return Finding(
            "infeasible", "error",
            f"{self.name(*worst)} is violated by {excess:.3g}: it is {value:.10g} where {bound:.10g} is the limit",
            **self._names(others), numbers={"excess": excess, "scaled": found.primal.scaled, "count": len(others)},
            details=details,
            advice="look at the algorithm's message; from another start it may be feasible; perhaps constraints "
                   "contradict each other")

    def _not_stationary(self, found: Residuals, estimated: bool) -> Finding:
        worst = found.stationarity.scaled_at
        assert worst is not None
        left = self.sign * float(self.point.stationarity[worst[1]])
        scaled = np.abs(self.point.stationarity) / self.point.scales.gradient
        order = np.argsort(-scaled)[:MOST_TERMS].tolist()
        details = [f"∂L/∂{self.name('variable', j)} = {self.sign * self.point.stationarity[j]:.3g}"
                   for j in order[1:] if scaled[j] > 0.1 * scaled[order[0]]]
        why, name = "no multipliers make it 0; " if estimated else "", self.name(*worst)
        return Finding("stationarity", "error",
                       f"the Lagrangian still changes with {name}: {why}∂L/∂{name} = {left:.3g}",
                       **self._names([worst]), numbers={"derivative": left, "scaled": found.stationarity.scaled},
                       details=details, advice=GO_ON)

    def _not_complementary(self, found: Residuals) -> Finding:
        worst = found.complementarity.scaled_at
        assert worst is not None
        value = self.multiplier(*worst)
        return Finding("complementarity", "error",
                       f"{self.name(*worst)} has the multiplier {value:.3g} and is not at the bound that it is of",
                       **self._names([worst]), numbers={"multiplier": value, "scaled": found.complementarity.scaled},
                       advice=GO_ON)

    def _wrong_sign(self, found: Residuals) -> Finding:
        worst = found.signs.scaled_at
        assert worst is not None
        value, better = self.multiplier(*worst), "less" if self.sign > 0 else "more"
        return Finding("sign", "error",
                       f"{self.name(*worst)} has the multiplier {value:.3g}, of the wrong sign: off its bound the "
                       f"objective is {better}", **self._names([worst]),
                       numbers={"multiplier": value, "scaled": found.signs.scaled}, advice=GO_ON)

    def estimated(self) -> Finding:
        """The multipliers are no algorithm's."""
        return Finding("multipliers", "note",
                       "the algorithm gave no multipliers; these are of least squares at the point")

    # rank and curvature ----------------------------------------------------------------------------------------

    def of_rank(self, found: Rank) -> Iterator[Finding]:
        """Dependent gradients."""
        if found.verdict == "undecided":
            yield Finding("licq", "note", "the gradients of the active constraints are nearly dependent: whether "
                          f"multipliers are unique is undecided (smallest combination {found.smallest:.2g})")
        if found.verdict != "dependent":
            return
        told = [self._combination(dependency) for dependency in found.dependencies[:MOST_TERMS]]
        places = [("row", int(i)) for dependency in found.dependencies for i in dependency.rows]
        places += [("variable", int(j)) for dependency in found.dependencies for j in dependency.variables]
        yield Finding(
            "licq", "warning",
            f"the gradients of the active constraints are dependent ({found.missing} of {found.active} too many): "
            "their multipliers are not unique", **self._names(list(dict.fromkeys(places))), details=told,
            numbers={"active": found.active, "missing": found.missing},
            advice="leave out a constraint that says the same as others, or read only sums of these multipliers")

    def _combination(self, dependency: Dependency) -> str:
        terms = [(factor, f"∇{self.name('row', int(i))}")
                 for factor, i in zip(dependency.of_rows, dependency.rows, strict=True)]
        terms += [(factor, f"∇{self.name('variable', int(j))}")
                  for factor, j in zip(dependency.of_variables, dependency.variables, strict=True)]
        return f"{_sum(terms)} = 0"

    def of_inertia(self, found: Inertia, stationary: bool) -> Iterator[Finding]:
        """What second order says; where the KKT conditions fail it decides nothing."""
        if found.verdict == "saddle" and stationary:
            yield self._saddle(found)
        elif found.verdict == "undecided" and stationary:
            yield self._undecided(found)
        elif found.verdict == "unknown":
            yield Finding("curvature", "note",
                          f"whether it is a {self.kind} is not known: there are no second derivatives")
        if found.weak:
            yield Finding("weak", "note", f"{found.weak} active constraints have the multiplier 0: they change nothing "
                          "here, but derivatives of the optimum differ from side to side",
                          numbers={"count": found.weak})

    def _saddle(self, found: Inertia) -> Finding:
        every = found.negative is not None and found.negative == found.degrees
        opposite = "maximum" if self.sign > 0 else "minimum"
        changes = "falls" if self.sign > 0 else "rises"
        what = f"a {opposite}" if every else "a saddle"
        assert found.direction is not None
        along, places = self._direction(found.direction)
        return Finding("curvature", "error", f"this is {what}, no {self.kind}: the objective {changes} along {along}",
                       **self._names(places), numbers={"smallest": found.smallest, "negative": found.negative},
                       advice="start a little away along this direction")

    def _undecided(self, found: Inertia) -> Finding:
        if found.direction is None:
            return Finding("curvature", "note", f"whether it is a {self.kind} is undecided: the smallest curvature "
                           "along the active constraints could not be computed")
        along, places = self._direction(found.direction)
        how = "the objective does not curve" if not found.negative else "weakly active constraints decide"
        return Finding("curvature", "note", f"whether it is a {self.kind} is undecided: {how} along {along}",
                       **self._names(places), numbers={"smallest": found.smallest},
                       details=["other points there may be as good"] if not found.negative else [])

    def _direction(self, direction: Array) -> tuple[str, list[tuple[str, int]]]:
        order = np.argsort(-np.abs(direction), kind="stable").tolist()
        some = [j for j in order if abs(direction[j]) > 1e-6]
        return _sum([(direction[j], self.name("variable", j)) for j in some]), [("variable", j) for j in some]

    def curvatures(self, found: Inertia) -> str:
        """The counts of curvatures."""
        if found.linear:
            return "linear"
        up, down = ("+", "−") if self.sign > 0 else ("−", "+")
        counts = [f"{count} {word}" for count, word in ((found.positive, up), (found.zero, "0"), (found.negative, down))
                  if count]
        listed = f" ({', '.join(counts)})" if counts else ""
        plural = "" if found.degrees == 1 else "s"
        return "" if found.degrees is None else f"{found.degrees} direction{plural}{listed}"


def _sum(terms: Sequence[tuple[float, str]]) -> str:
    """a·x + b·y − …, the first few terms."""
    text = ""
    for factor, name in terms[:MOST_TERMS]:
        size = "" if abs(abs(factor) - 1.0) < 1e-9 else f"{abs(factor):.3g}·"
        sign = ("−" if factor < 0 else "") if not text else " − " if factor < 0 else " + "
        text += f"{sign}{size}{name}"
    return text + (f" + … ({len(terms)} terms)" if len(terms) > MOST_TERMS else "")
