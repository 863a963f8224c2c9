"""How an optimum moves with parameters: derivatives of its values, multipliers and objective, and how far they hold.

Takes a view and the x, y, z of an optimum; gives them by name. The KKT matrix of the active set is factored once; a
parameter costs one second-order adjoint for its column of ∂²L/∂x∂p, one tangent sweep for what the view eliminates, and
one back-substitution for the multipliers of the eliminated equations.

    dλ of what is eliminated: (∂r/∂z)ᵀ dλ = −(Σ λ_i ∂²r_i·ż + Σ dy_i ∂c_i/∂z)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import DeclarationError, SolveError, UnknownNameError
from ..expression import Array, evaluate, symbols_of
from ..lowering import Blocks
from ..optimizers.kkt import TOLERANCE, Point, residuals
from ..optimizers.parametric import ActiveSetSensitivity, ByParameters, Change
from ..optimizers.polishing import polished
from ..program import element_name
from ..solution import Named
from ..solution.diagnosis.finding import Finding
from ..solution.multipliers import tangents
from ..solution.point import element_number
from ..solution.reduction import Reduction, solved_of
from ..solution.roles import flagged_blocks
from ..tables import Column, Report, Rows, Shown, Table
from ..text import listing, nearest, number
from ..views import View
from .prices import by_user, multipliers_of_rows
from .wording import told

MOST = 50_000_000
"""Derivatives of at most this many numbers are made at once."""
NEARBY = 0.01
"""A change of the active set within this part of a parameter's size is warned of."""
SMALL_STEP = 1e-30


class Pairs:
    """Derivatives of things by parameters: ``pairs[name, parameter]``, in the shape of the one, then of the other.

    Names may be symbols, and elements: ``pairs["v[3]", "p"]``.
    """

    def __init__(self, what: str, of: Blocks, by: Blocks, numbers: Array, owner: Any, names: Sequence[str]) -> None:
        self._what, self._of, self._by, self._numbers, self._owner = what, of, by, numbers, owner
        self._names = dict.fromkeys(names)

    def __getitem__(self, pair: tuple[Any, Any]) -> Any:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise UnknownNameError(f"derivatives are of something by a parameter: give two names, got {pair!r:.60}")
        rows, shape = self._places(self._of, pair[0], self._what, self._names)
        columns, by_shape = self._places(self._by, pair[1], "parameter", dict.fromkeys(self._by.names))
        found = self._numbers[rows][:, columns].reshape((*shape, *by_shape))
        return float(found) if found.ndim == 0 else found

    def _places(self, blocks: Blocks, name: Any, what: str, names: dict[str, None]) -> tuple[slice, Any]:
        name = element_name(name, self._owner)
        if name in names:
            return blocks.slices[name], blocks.shapes[blocks.slices.number[name]]
        base = str(name).partition("[")[0]
        if base in names and base != name:
            first = blocks.slices[base].start + element_number(blocks, name, what)
            return slice(first, first + 1), ()
        near = nearest(str(name), names)
        raise UnknownNameError(f"there is no {what} {name!r} here{near}; there are {listing(names)}")


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivities(Shown):
    """Derivatives of an optimum by parameters, its active constraints staying active.

    ``s["x", "p"]`` is dx*/dp of an input or variable, ``s.multiplier["g1", "p"]`` that of the multiplier of an equation
    or constraint, ``s.bound["x", "p"]`` that of the multiplier of the bound that x is at; shapes are those of the first
    and then of the parameter. ``s.objective["p"]`` is dJ*/dp, the partial derivative of the Lagrangian.

    ``s.valid["p"]`` are the values (low, high) of p, an element at a time, between which the active set stays as it is
    as far as these derivatives tell. ``findings`` warn of parameters that are near to such a change.
    """

    parameters: list[str]
    values: Pairs
    multiplier: Pairs
    bound: Pairs
    objective: Named
    valid: dict[str, tuple[Any, Any]]
    findings: Sequence[Finding]
    changes: Sequence[tuple[str, float, float, float, str, str]] = field(repr=False)

    def __getitem__(self, pair: tuple[Any, Any]) -> Any:
        return self.values[pair]

    def to_dict(self) -> dict[str, Any]:
        """dJ*/dp, the values of p between which the active set stays, and the findings, for JSON."""
        def plain(value: Any) -> Any:
            return np.asarray(np.where(np.isfinite(value), value, None)).tolist()

        return {"objective": {name: np.asarray(self.objective[name]).tolist() for name in self.parameters},
                "valid": {name: [plain(side) for side in both] for name, both in self.valid.items()},
                "findings": [finding.to_dict() for finding in self.findings]}

    as_dict = to_dict

    def _report(self) -> Report:
        def cells(i: int) -> list[str]:
            name, slope, low, high, down, up = self.changes[i]
            return [name, number(slope), _limit(low), down, _limit(high), up]

        columns = [Column("parameter", role="name"), Column("dJ*/dp", numeric=True, role="gradient"),
                   Column("from", numeric=True), Column("where", drop=1), Column("to", numeric=True),
                   Column("where", drop=1)]
        return Report("\n".join(["derivatives of the optimum", *told(self.findings)]),
                      [Table("", columns, Rows(len(self.changes), cells))])

    def __repr__(self) -> str:
        return f"<derivatives of the optimum by {listing(self.parameters)}>"


def _limit(value: float) -> str:
    return number(value) if np.isfinite(value) else ""


def sensitivities(view: View, x: Array, y: Array, z: Array, names: Sequence[Any] = ()) -> Sensitivities:
    """Derivatives of an optimum (x, y, z as of the view's problem) by parameters, all of them where none is named.

    Raises SolveError where the point is no optimum, SingularError where it has no derivatives, UnknownNameError for
    what is no parameter, DeclarationError where there are none or too many, or no second derivatives.
    """
    left = residuals(Point(view.problem, x, y, z)).largest
    if not left <= 100 * TOLERANCE:
        raise SolveError("this point is no optimum, so that it has no derivatives by parameters: the optimality "
                         f"conditions fail by {left:.2g} (scaled); print(result.certificate) says which")
    better = polished(view.problem, x, y, z)  # what is weakly active is told by rounding alone
    return _Moving(view, better.x, better.y, better.z, names).by_name()


class _Moving:
    """The optimum of a view with some parameters: their places, derivatives of the problem by them, and the answer."""

    def __init__(self, view: View, x: Array, y: Array, z: Array, names: Sequence[Any]) -> None:
        self.view, self.x, self.y, self.z = view, x, y, z
        lowered = view.lowered
        given = ~view.plan.unknown
        given[view.places] = False
        given[lowered.n_user :] = False
        self.owner = next((symbol.owner for symbol in lowered.symbols.values()), None)
        chosen = _chosen(view, given, [element_name(name, self.owner) for name in names])
        self.blocks = flagged_blocks(lowered, chosen, [False] * len(lowered.symbols))
        self.places = np.flatnonzero(chosen)
        self.k = len(self.places)
        if self.k * lowered.state.size > MOST:
            raise DeclarationError(f"{lowered.state.size} values have too many derivatives by {self.k} parameters to "
                                   "make at once: name fewer")
        self.point = view.point(x)
        self.found = ActiveSetSensitivity(view.problem, x, y, z, self._by_parameters())

    # the problem's derivatives -----------------------------------------------------------------------------------

    def _by_parameters(self) -> ByParameters:
        view, lowered, sign = self.view, self.view.lowered, self.view.sign
        rows = lowered.constraint_row_numbers
        both = Reduction(view.plan, np.concatenate([view.places, self.places]), rows, view.bounded_places)
        alone = Reduction(view.plan, self.places, rows, view.bounded_places)
        n, gradient = len(self.x), np.zeros((len(self.x), self.k))
        for k in range(self.k):
            unit = np.zeros(n + self.k)
            unit[n + k] = 1.0
            gradient[:, k] = both.hessian_product(self.point, sign, -self.y, unit)[:n]
        by_rows = np.zeros((len(self.y), self.k))
        by_rows[alone.jacobian_structure] = alone.jacobian(self.point)
        low, high = self._limits()
        return ByParameters(gradient, by_rows, alone.gradient(self.point, sign, np.zeros(len(self.y))), low, high)

    def _limits(self) -> tuple[Array, Array]:
        """∂/∂p of the lower and the upper bounds of the rows: expressions of parameters, by complex step."""
        lowered = self.view.lowered
        low, high = np.zeros((len(self.y), self.k)), np.zeros((len(self.y), self.k))
        state = self.view.declared_state().astype(complex)
        for constraint in lowered.constraints:
            where = lowered.constraint_rows.slices[constraint.name]
            for flat, side in ((low, constraint.lower), (high, constraint.upper)):
                if side is None:
                    continue
                names = [symbol.name for symbol in symbols_of(side)]
                for k in self._columns(names):
                    state[self.places[k]] += 1j * SMALL_STEP
                    value = evaluate(side, {name: lowered.state.get(state, name) for name in names})
                    flat[where, k] = np.broadcast_to(value.imag / SMALL_STEP, constraint.body.shape).ravel()
                    state[self.places[k]] = state[self.places[k]].real  # after: a lone parameter is a part of state
        return low, high

    def _columns(self, names: Sequence[str]) -> Iterator[int]:
        """The numbers of the parameters' elements of some symbols."""
        for name in names:
            if name in self.blocks.slices.number:
                where = self.blocks.slices[name]
                yield from range(where.start, where.stop)

    # everything by name ------------------------------------------------------------------------------------------

    @cached_property
    def state(self) -> Array:
        """d(state)/dp (state, k): x as found, the parameters themselves, what is eliminated by tangents."""
        dz = np.zeros((self.view.lowered.state.size, self.k))
        dz[self.view.places] = self.found.dx
        dz[self.places, np.arange(self.k)] = 1.0
        return tangents(self.view.plan, self.point.state, dz, solved_of(self.point).reports)

    @cached_property
    def prices(self) -> tuple[Array, Array]:
        """dλ/dp of the equations and constraints, and of bounds, in the user's sign: as ``prices`` has λ."""
        view, dy = self.view, self.found.dy
        lam = multipliers_of_rows(view, self.point, 0.0, dy, self._bent())
        bounds = np.zeros((view.lowered.state.size, self.k))
        bounds[view.places] = self.found.dz
        bounds[view.bounded_places] = dy[view.lowered.constraint_rows.size :]
        return np.concatenate(by_user(view, lam)), view.sign * bounds

    def _bent(self) -> Array:
        """Σ λ_i ∂²r_i·ż on the state (state, k), for the λ of L = J − Σ sign·y·c."""
        view, bent = self.view, np.zeros((self.view.lowered.state.size, self.k))
        if view.plan.unknown.any():
            lam = multipliers_of_rows(view, self.point, 1.0, self.y)
            for k in range(self.k):
                w = np.zeros(len(bent))
                with np.errstate(all="ignore"):
                    view.plan.everything.hessian_product(self.point.state, self.state[:, k].copy(), lam, w)
                bent[:, k] = w
        return bent

    def by_name(self) -> Sensitivities:
        """The answer as users see it."""
        view, own, blocks = self.view, self.view.space.own, self.blocks
        names, rows = list(own.symbols), own.multiplier_blocks
        of_rows, of_bounds = self.prices
        slopes = view.sign * self.found.dobjective
        values = view.declared_state()[self.places]
        low, high = self._valid(values, self.found.down, -1.0), self._valid(values, self.found.up, 1.0)
        changes = [(blocks.element(k), float(slopes[k]), float(low[k]), float(high[k]), self._event(self.found.down[k]),
                    self._event(self.found.up[k])) for k in range(self.k)]
        return Sensitivities(
            parameters=list(blocks.names),
            values=Pairs("input or variable", own.state, blocks, self.state, self.owner, names),
            multiplier=Pairs("equation or constraint", rows, blocks, of_rows, self.owner, rows.names),
            bound=Pairs("input or variable", own.state, blocks, of_bounds, self.owner, names),
            objective=Named("parameter", blocks.names, lambda name: blocks.get(slopes, name), self.owner,
                            column="dJ*/dp", blocks=blocks),
            valid={name: (_plain(blocks.get(low, name)), _plain(blocks.get(high, name))) for name in blocks.names},
            findings=list(self._warnings(values)), changes=changes)

    @staticmethod
    def _valid(values: Array, changes: Sequence[Change | None], way: float) -> Array:
        far = np.array([np.inf if change is None else change.distance for change in changes])
        return np.asarray(values + way * far)

    def _event(self, change: Change | None) -> str:
        """What happens to the active set, in words."""
        if change is None:
            return ""
        problem = self.view.problem
        name = problem.row_name(change.at) if change.kind == "row" else problem.variable_name(change.at)
        side = "upper" if change.side > 0 else "lower"
        return f"{name} leaves its {side} bound" if change.leaves else f"{name} reaches its {side} bound"

    def _warnings(self, values: Array) -> Iterator[Finding]:
        """Parameters for which the active set is about to change."""
        for k, value in enumerate(values.tolist()):
            for change, way in ((self.found.up[k], "up"), (self.found.down[k], "down")):
                size = abs(value) if value else 1.0
                if change is not None and change.distance <= NEARBY * size:
                    name, event = self.blocks.element(k), self._event(change)
                    what = (f"{event} as soon as {name} moves {way}" if change.distance == 0.0 else
                            f"{event} where {name} moves {way} by {change.distance:.3g}")
                    yield Finding("active set", "warning", f"{what}: beyond that, these derivatives are others",
                                  variables=[name], numbers={"distance": change.distance})


def _plain(value: Array) -> Any:
    return float(value) if value.ndim == 0 else value


def _chosen(view: View, given: Array, names: Sequence[str]) -> Array:
    """Flags of the state elements that are parameters by name; all that are given where none is named."""
    lowered = view.lowered
    is_meant = []
    known = []
    for name, symbol in lowered.symbols.items():
        has_some = bool(given[lowered.state.slices[name]].any())
        known += [name] if has_some else []
        is_meant.append(has_some and (name in names or (not names and symbol.kind == "parameter")))
    wrong = [name for name in names if name not in known]
    if wrong:
        raise UnknownNameError(f"there is no parameter {wrong[0]!r}{nearest(str(wrong[0]), known)}; the optimum has "
                               f"derivatives by what is given and not optimized: {listing(known) or 'nothing'}")
    if not any(is_meant):
        raise DeclarationError("there are no parameters to differentiate by: declare some with parameter(name, value)")
    return np.asarray(given & lowered.state.flags(is_meant + [False] * (len(lowered.state.names) - len(is_meant))))
