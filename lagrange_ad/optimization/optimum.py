"""What an optimization hands back: the best point, what every right side and bound is worth there, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from os import PathLike
from typing import Any

import numpy as np

from ..errors import DeclarationError, SolveError
from ..expression import Array
from ..optimizers import Answer
from ..optimizers.monitor import infeasibility
from ..solution import Named, Point
from ..tables import Report, Shown
from ..views import View
from .certificate import Certificate, certify
from .prices import Prices, prices
from .record import OptimizeRecord, write_csv
from .sensitivity import Sensitivities, sensitivities
from .showing import objective_text, optimum_data, optimum_report

SHADOW_PRICE = "multiplier dJ*/dε"


class ShadowPrices(Named):
    """dJ*/dε by equation and dJ*/db by constraint, the inputs re-optimised; of bounds in ``lower`` and ``upper``.

    ``m["g1"]`` of a constraint g <= b, g >= b or g == b is the change of the optimal objective per unit added to b, for
    minimize and maximize alike; of a range, to the side that is active. ``m["y1"]`` of an equation is the change per
    unit added to its right side. ``m.lower["x"]``, ``m.upper["x"]``: per unit added to a bound. 0 where not active.
    """

    lower: Named
    upper: Named


@dataclass(frozen=True, eq=False)
class OptimizeResult(Shown):
    """The point where an optimization ended.

    ``r[name]`` and ``r[expression]`` are values there, ``r.objective`` the objective. ``r.multiplier`` are shadow
    prices: of equations, constraints and, as ``r.multiplier.lower["x"]``, of bounds. ``r.at`` is the point with the
    equations solved at its inputs; ``r.at.multiplier`` are the adjoints there, the inputs held. ``r.certificate`` says
    what optimality conditions hold, and ``r.success`` whether all of them do.

    ``reason`` is "solved", "iterations", "time", "callback", "interrupted", "infeasible", "unbounded", "stalled",
    "domain" or "failed"; ``message`` says it in words. ``why`` says why method and space were chosen, where they were.
    ``history`` has a record an iteration, the objective as declared. ``x`` (n,), ``y`` (m,), ``z`` (n,) are the
    variables and multipliers of ``view``, as a minimization.
    """

    view: View
    answer: Answer = field(repr=False)
    history: Sequence[OptimizeRecord] = field(repr=False)
    seconds: float
    method: str
    why: str
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_changes", self.view.changes)

    def _view(self) -> View:
        """The view, as it was when this was found. Raises where it has other parameters now."""
        if self.view.changes != self.__dict__["_changes"]:
            raise DeclarationError("the view of this result was given other parameters since (view.set), so that "
                                   "nothing more can be said of it: make another view, program.view(...)")
        return self.view

    @property
    def x(self) -> Array:
        """The variables of the view."""
        return self.answer.x

    @property
    def y(self) -> Array:
        """The multipliers of the view's rows, df*/d(bound)."""
        assert self.answer.y is not None
        return self.answer.y

    @property
    def z(self) -> Array:
        """The multipliers of the view's bounds, df*/d(bound)."""
        assert self.answer.z is not None
        return self.answer.z

    @property
    def reason(self) -> str:
        """Why it stopped, in a word."""
        return self.answer.reason

    @cached_property
    def message(self) -> str:
        """Why it stopped, in words; where the method found an optimum and the certificate does not, what is missing."""
        if self.reason == "solved" and not self.success:
            return f"{self.method} ended as at an optimum, but {self.certificate.verdict}"
        return self.answer.message

    @property
    def iterations(self) -> int:
        """How many iterations were made."""
        return self.answer.iterations

    @cached_property
    def point(self) -> Point:
        """The point as the optimizer left it: what the view keeps need not satisfy its equations exactly."""
        return self._view().point(self.x)

    @cached_property
    def at(self) -> Point:
        """The point with the equations solved at the inputs and decisions found, multipliers being the adjoints there.

        Raises as ``Program.evaluate`` does, where they cannot be solved there.
        """
        return self._view().solved_point(self.x)

    def __getitem__(self, what: Any) -> Any:
        return self.point[what]

    @property
    def objective(self) -> float:
        """The objective, as declared."""
        return self.point.objective

    @cached_property
    def infeasibility(self) -> float:
        """The largest violation of an equation, constraint or bound."""
        problem = self._view().problem
        return infeasibility(problem, self.x, problem.constraints(self.x))

    @property
    def success(self) -> bool:
        """Whether the point is certified as optimal: feasible and stationary, to the tolerances of the certificate."""
        return self.certificate.ok

    @cached_property
    def certificate(self) -> Certificate:
        """The optimality conditions at the point, computed from the program."""
        return certify(self._view().problem, self.x, self.y, self.z, self.view.sign)

    @cached_property
    def prices(self) -> Prices:
        """All multipliers, flat."""
        return prices(self.view, self.point, self.y, self.z)

    @cached_property
    def multiplier(self) -> ShadowPrices:
        """Shadow prices by name; see :class:`ShadowPrices`."""
        own = self.view.space.own
        rows = own.multiplier_blocks
        flat = np.concatenate([self.prices.equations, self.prices.constraints])
        flat.flags.writeable = False
        owner = next((symbol.owner for symbol in own.symbols.values()), None)
        found = ShadowPrices("equation or constraint", rows.names, lambda name: rows.get(flat, name), owner,
                             column=SHADOW_PRICE, blocks=rows)
        names = [name for name, symbol in own.symbols.items() if symbol.kind != "parameter"]
        found.lower, found.upper = (
            Named("variable with bounds", names, partial(own.state.get, side), owner, column=f"multiplier {what}",
                  blocks=own.state)
            for side, what in ((self.prices.lower, "dJ*/d(lower bound)"), (self.prices.upper, "dJ*/d(upper bound)")))
        return found

    def sensitivities(self, *parameters: Any) -> Sensitivities:
        """Derivatives of the optimum by parameters, all of them where none is named; see :class:`Sensitivities`.

        ``s = r.sensitivities("p1")``: ``s["x", "p1"]``, ``s.multiplier["g1", "p1"]``, ``s.objective["p1"]``. Raises
        SolveError where this is no optimum, SingularError where it has no derivatives, UnknownNameError and
        DeclarationError for what is no parameter, and without second derivatives.
        """
        curved = self.certificate.of_kind("curvature")
        if curved and not self.success:
            raise SolveError("this point is no optimum, so that it has no derivatives by parameters: "
                             f"{curved[0].message}")
        return sensitivities(self._view(), self.x, self.y, self.z, parameters)

    @property
    def values(self) -> dict[str, Array]:
        """Every input, parameter and variable by name."""
        return self.point.values

    def write_history(self, path: str | PathLike[str]) -> None:
        """Write the history as CSV: one line an iteration, with the elements of x in columns of their own where few."""
        write_csv(path, OptimizeRecord, self.history, self.view.inputs)

    def plot(self, path: str | PathLike[str] | None = None, ax: Any = None) -> Any:
        """Draw objective, infeasibility and stationarity by iteration; returns matplotlib's axes.

        ``ax``: axes of yours for infeasibility and stationarity, or two, the first for the objective. ``path`` (.png,
        .svg or .pdf) writes the picture; without it, and without ``ax``, the figure is one of pyplot's. Raises
        PlotError without matplotlib.
        """
        from ..display.convergence import plot_convergence

        return plot_convergence(self, path, ax)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain Python data for strict JSON: numbers that are none, or infinite, are None."""
        return optimum_data(self)

    def _report(self) -> Report:
        return optimum_report(self)

    def __repr__(self) -> str:
        verdict = "certified" if self.success else "not certified"
        return (f"<optimum of {self.view.lowered.name!r}: {verdict} ({self.reason}), objective "
                f"{objective_text(self)}, {self.iterations} iteration{'' if self.iterations == 1 else 's'}>")
