"""A point: the values of a program at given inputs, and what follows from them when asked.

Values are there at once; multipliers and the gradient are computed at the first look (back-substitution). A point
keeps what it was computed from, so it stays right when the program changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeclarationError, DomainError, MissingObjectiveError, ShapeError, SolveError, UnknownNameError
from ..expression import Array, Expression, as_expression, evaluate, symbols_of
from ..lowering import Blocks
from ..printing import to_text
from ..program import element_name, fit, key_name, numeric
from ..tables import Report, Shown
from ..text import listing, nearest, number, values
from .block import BlockReport
from .diagnosis.culprit import objective_finding, symbol_values
from .diagnosis.finding import in_words
from .forward import Solved
from .full import completed, residuals
from .jacobian import Jacobian, jacobian_matrix, require_mode, spread_columns
from .multipliers import adjoints, tangents
from .outputs import Declared, arguments_of, needs_variant, outputs_of, positions, variant_of
from .plan import Plan
from .showing import GRADIENT, MULTIPLIER, named_report, point_data, point_report

if TYPE_CHECKING:
    from .trust import Effect

_NOT_SOLVED = "this point is where a solve failed: its equations do not hold, so it has no {}"
MOST_SHOWN = 12
"""A mapping's repr shows this many entries."""


def plain(array: Array) -> Any:
    """A float for a scalar, else the array."""
    return float(array) if array.ndim == 0 else array


def element_number(blocks: Blocks, name: str, what: str) -> int:
    """The place of an element, named as in ``v[3]``, in its block, or an error that says what elements there are."""
    base = name.partition("[")[0]
    position, block = blocks.position(name), blocks.slices[base]
    if position is not None:
        return int(position - block.start)
    number = blocks.slices.number[base]
    shape, labels = blocks.shapes[number], blocks.labels[number]
    if not shape:
        raise UnknownNameError(f"there is no {what} {name!r}: {base!r} is a scalar, without elements")
    first = f", its first axis labelled {listing(labels, 4)}" if labels else ""
    example = f"; one element is {blocks.element(block.start)!r}" if block.start < block.stop else ""
    raise UnknownNameError(f"there is no {what} {name!r}: {base!r} is an array of shape {shape}{first}{example}")


class Named(Shown, Mapping[str, Any]):
    """Numbers by name: floats for scalars, arrays for arrays. Computed when first read; prints as a table.

    ``what`` the names are of, ``column`` the heading of the numbers, ``blocks`` the labels of elements.
    """

    def __init__(self, what: str, names: Iterable[str], get: Callable[[str], Array], owner: Any = None, *,
                 column: str = "value", blocks: Blocks | None = None) -> None:
        self._what, self._names, self._get, self._owner = what, dict.fromkeys(names), get, owner
        self._column, self._blocks = column, blocks

    def __getitem__(self, name: Any) -> Any:
        name = element_name(name, self._owner)
        if name in self._names:
            return plain(self._get(name))
        base = str(name).partition("[")[0]
        if self._blocks is not None and base in self._names and base != name:
            return float(np.ravel(self._get(base))[element_number(self._blocks, name, self._what)])
        raise UnknownNameError(
            f"there is no {self._what} {name!r}{nearest(str(name), self._names)}; there are {listing(self._names)}"
        )

    def __contains__(self, name: object) -> bool:
        return (name.data.name if isinstance(name, Expression) and name.op == "symbol" else name) in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __reduce__(self) -> Any:
        known = {name: self._get(name) for name in self._names}
        make = partial(Named, column=self._column, blocks=self._blocks)
        return make, (self._what, list(known), known.__getitem__, self._owner)

    def __repr__(self) -> str:
        shown = [f"{name!r}: {values(self[name])}" for name in islice(self, MOST_SHOWN)]
        more = [f"… ({len(self)} in all)"] if len(self) > MOST_SHOWN else []
        return "{" + ", ".join([*shown, *more]) + "}"

    def _report(self) -> Report:
        return named_report(self, self._what, self._column, self._blocks)


class Point(Shown):
    """The program at one point.

    ``at[name]`` and ``at[expression]`` are values; ``at.objective`` the objective; ``at.multiplier[equation]`` is
    dJ/dε, the change of the objective per unit added to the right side of that equation, the inputs held;
    ``at.gradient[input]`` is dJ/d(input), parameters included; ``at.blocks`` how each cycle was solved.
    """

    def __init__(self, plan: Plan, solved: Solved) -> None:
        self._plan, self._solved = plan, solved
        self._lowered = plan.lowered

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("_plan", "_solved", "_lowered")}  # the rest follows again

    @property
    def solved(self) -> bool:
        """Whether all equations hold; False for the point that a failed solve hands back."""
        return self._solved.failed is None

    @property
    def plan(self) -> Plan:
        """The schedule it was computed by."""
        return self._plan

    @property
    def state(self) -> Array:
        """The flat state, auxiliaries included."""
        return self._solved.z

    @property
    def offset(self) -> Array:
        """ε of every row: what ``perturbation`` added to right sides."""
        return self._solved.offset

    @cached_property
    def blocks(self) -> Sequence[BlockReport]:
        """One report a cycle solved: its equations, unknowns, iterations and residual; made when looked at."""
        return self._solved.reports

    @cached_property
    def values(self) -> dict[str, Array]:
        """Every input, parameter and variable by name (read-only arrays)."""
        z = self._solved.z[: self._lowered.n_user]
        z.flags.writeable = False
        return symbol_values(self._lowered, z)

    def __getitem__(self, what: Any) -> Any:
        if isinstance(what, Expression | list | tuple | np.ndarray):
            return plain(self._evaluate(as_expression(what)))
        if what in self.values:
            return plain(self.values[what])
        base = str(what).partition("[")[0]
        if base in self.values and base != what:
            return float(self.values[base].ravel()[element_number(self._lowered.state, what, "value")])
        for constraint in self._lowered.constraints:
            if constraint.name == what:
                return plain(self._evaluate(constraint.body))
        if self._lowered.objective is not None and what == self._lowered.objective.name:
            return self.objective
        known = list(dict.fromkeys([*self.values, *self._lowered.constraint_rows.names]))
        raise UnknownNameError(f"there is no value {what!r}{nearest(str(what), known)}; there are {listing(known)}")

    def _evaluate(self, expression: Expression) -> Array:
        if expression.owner is not None and expression.owner is not self._owner:
            raise UnknownNameError(
                f"{to_text(expression, 60)} is of the program {expression.owner.name!r}, this point is of "
                f"{self._lowered.name!r}"
            )
        later = [s.name for s in symbols_of(expression) if s.name not in self.values]
        if later:
            raise UnknownNameError(f"{listing(later)} was declared after this point was computed: evaluate again")
        with np.errstate(all="ignore"):
            return evaluate(expression, self.values)

    @property
    def _owner(self) -> Any:
        return next((symbol.owner for symbol in self._lowered.symbols.values()), None)

    @property
    def objective(self) -> float:
        """The value of the objective.

        Raises MissingObjectiveError when the program has none, DomainError where it has no real value.
        """
        objective = self._lowered.objective
        if objective is None:
            raise MissingObjectiveError(_no_objective(self._lowered.name, "objective value"))
        value = self._objective_value
        if np.isnan(value) and self.solved:
            finding = objective_finding(objective, self.values)
            raise DomainError(in_words([finding]), self, [finding])
        return value

    @property
    def units(self) -> dict[str, str]:
        """The units of the symbols that have one."""
        return {name: symbol.unit for name, symbol in self._lowered.symbols.items() if symbol.unit}

    @property
    def objective_unit(self) -> str:
        """The unit of the objective where it is a variable that has one, else empty."""
        objective = self._lowered.objective
        lone = objective is not None and objective.expression.op == "symbol"
        return self._lowered.symbols[objective.expression.data.name].unit if objective is not None and lone else ""

    @cached_property
    def _objective_value(self) -> float:
        rows = np.zeros(self._lowered.n_all_rows)
        with np.errstate(all="ignore"):
            self._plan.objective.values(self._solved.z, rows)
        return float(rows[self._lowered.objective_row])

    @cached_property
    def _effect(self) -> Effect:
        from .trust import effect_of_residuals

        if self._lowered.objective is None:
            raise MissingObjectiveError(_no_objective(self._lowered.name, "estimate of it"))
        return effect_of_residuals(self)

    @property
    def objective_error(self) -> float:
        """Σ λ_i r_i over the equations of cycles: what to add to the objective for what their residuals do to it.

        The residual r = right − left acts like ε = −r, so the objective at the solution is J + Σ λ_i r_i, but for terms
        of second order in r. At the point of a failed solve J is :attr:`objective_estimate` − this: that of the last
        iterate, with what follows the failed cycle computed. NaN where there are no multipliers. Raises
        MissingObjectiveError.
        """
        return float(self._effect.shift.sum())

    @property
    def objective_margin(self) -> float:
        """How far the objective may be off for its cycles: their residuals and the rounding of these, times λ."""
        return abs(self.objective_error) + float(self._effect.margin.sum())

    @property
    def objective_estimate(self) -> float:
        """J + Σ λ_i r_i, the Lagrangian: the objective at the solution as far as this point tells.

        Where a solve failed it is better than the objective of the last iterate, if that is near a solution.
        """
        return self._effect.objective + self.objective_error

    @cached_property
    def adjoints(self) -> tuple[Array, Array]:
        """(λ of every row, w of every state element), flat and read-only: what multiplier and gradient are parts of.

        Raises as :attr:`multiplier` does.
        """
        if self._lowered.objective is None:
            raise MissingObjectiveError(_no_objective(self._lowered.name, "multipliers and no gradient"))
        if not self.solved:
            raise SolveError(_NOT_SOLVED.format("multipliers"))
        _ = self.objective
        lam = np.zeros(self._lowered.n_all_rows)
        lam[self._lowered.objective_row] = 1.0
        lam, w = adjoints(self._plan, self._solved, lam)
        lam.flags.writeable = w.flags.writeable = False
        return lam, w

    def pull_back(self, seeds: Array, unknowns: Array | None = None) -> Array:
        """w of the whole state for several seeds at once: (rows, seeds) on rows, (state, seeds) on unknowns."""
        return self.back_substitute(seeds, unknowns)[1]

    def back_substitute(self, seeds: Array, unknowns: Array | None = None) -> tuple[Array, Array]:
        """(λ of all rows, w of the whole state) for seeds on rows, the objective's and the constraints', and unknowns.

        Seeds may have a second axis. Raises SolveError and SingularError.
        """
        if not self.solved:
            raise SolveError(_NOT_SOLVED.format("multipliers"))
        return adjoints(self._plan, self._solved, seeds.copy(), unknowns)

    @cached_property
    def multiplier(self) -> Named:
        """λ by equation: dJ per unit added to its right side, inputs held, in the equation's shape.

        Raises MissingObjectiveError without an objective and SingularError at a singular solution, when read.
        """
        rows = self._lowered.rows
        return Named("equation", self._equation_names, lambda name: rows.get(self.adjoints[0][: rows.size], name),
                     self._owner, column=MULTIPLIER, blocks=rows)

    @cached_property
    def gradient(self) -> Named:
        """dJ/dx by input and parameter, and by variable with fixed elements, in its shape; 0 at what is found.

        Raises as :attr:`multiplier` does.
        """
        roles = self._plan.roles
        return Named("input or parameter", roles.given_names(), lambda name: roles.masked(name, self.adjoints[1]),
                     self._owner, column=GRADIENT, blocks=self._lowered.state)

    @cached_property
    def _residuals(self) -> Array:
        found = residuals(self._plan, self._solved.z, self._solved.offset)
        found.flags.writeable = False
        return found

    @cached_property
    def residual(self) -> Named:
        """right side − left side by equation."""
        rows = self._lowered.rows
        return Named("equation", self._equation_names, lambda name: rows.get(self._residuals[: rows.size], name),
                     self._owner, column="residual", blocks=rows)

    @property
    def _equation_names(self) -> list[str]:
        return [equation.name for equation in self._lowered.equations]

    def tangent(self, directions: Mapping[Any, Any] | None = None, /, **named: Any) -> Named:
        """ż of every symbol for given ẋ of inputs, parameters and what is fixed: the derivative along them.

        ẋ is 0 where it is not given, and passed over where an array that is given in part is found.

        ``at.tangent({"s": 1.0})`` or ``at.tangent(s=1.0)``. Several directions at once: arrays with one axis more than
        the symbol, directions first; results have that axis too. A symbol that is given one direction moves along it in
        all of them. Raises ShapeError where the numbers of directions differ.
        """
        if not self.solved:
            raise SolveError(_NOT_SOLVED.format("derivatives"))
        given = self._directions({**(directions or {}), **named})
        several = {block.shape[0] for block in given.values() if block.ndim > 1}
        if len(several) > 1:
            raise ShapeError(f"the directions must be equally many for every symbol, got {sorted(several)}")
        z = self._solved.z
        dz = np.zeros((len(z), *several))
        for name, block in given.items():
            dz[self._lowered.state.slices[name]] = (block.T if block.ndim > 1 else block[:, None]) if several else block
            if self._plan.roles.has_unknown(name):
                dz[self._lowered.state.slices[name]][self._plan.unknown[self._lowered.state.slices[name]]] = 0.0
        tangents(self._plan, z, dz, self._solved.reports)
        state = self._lowered.state
        shape = {name: (*several, *self.values[name].shape) for name in self.values}
        return Named("symbol", self.values, lambda name: dz[state.slices[name]].T.reshape(shape[name]), self._owner,
                     column="tangent", blocks=None if several else state)

    def _directions(self, directions: Mapping[Any, Any]) -> dict[str, Array]:
        """ẋ by name, flat; with directions on a first axis where one is more than the symbol has."""
        found: dict[str, Array] = {}
        roles = self._plan.roles
        given = [name for name in self._lowered.symbols if roles.has_given(name)]
        for key, direction in directions.items():
            name = key_name(key, self._owner)
            if name not in given:
                hint = nearest(str(name), given)
                if name in self._lowered.symbols:
                    hint = f": {name!r} is a {roles.kind(self._lowered.symbols[name])}"
                raise UnknownNameError(
                    f"there is no input or parameter {name!r}{hint}; directions are of {listing(given)}"
                )
            if name in found:
                raise DeclarationError(f"the direction of {name!r} was given twice")
            array, shape = numeric(name, direction, "the direction"), self.values[name].shape
            if array.ndim == len(shape) + 1:
                several = fit(name, array, (len(array), *shape), "the direction")
                found[name] = several.reshape(len(array), math.prod(shape))
            else:
                found[name] = fit(name, array, shape, "the direction").ravel()
        return found

    def jacobian(self, of: Any, wrt: Any, *, mode: str | None = None, sparse: bool = False) -> Jacobian:
        """d(of)/d(wrt), the equations holding: blocks ``J["y", "x"]`` of shape y.shape + x.shape, and ``J.matrix``.

        ``of``: names of symbols, constraints (their bodies), the objective or equations, symbols, expressions; one, a
        list, or a mapping that names them. ``wrt``: inputs, parameters and what is fixed, or elements of them; of an
        array that is given in part, the columns of what is found are 0. The equation itself
        gives the output of an equation's name, its residual right − left: that equation is not held then, and the
        variables it determines keep their values. (A variable's own name is the variable.)

        ``mode``: "adjoint" is one back-substitution an output element, "tangent" one tangent an input element, None
        whichever are fewer. ``sparse``: ``J.matrix`` is a scipy.sparse CSR array of what is not 0; blocks are dense.

        Raises UnknownNameError, DeclarationError (a name twice, nothing asked), SingularError at a singular solution.
        """
        if not self.solved:
            raise SolveError(_NOT_SOLVED.format("derivatives"))
        require_mode(mode)
        declared = Declared.of(self._plan)
        inputs = arguments_of(declared, wrt, "wrt", found_too=False)
        outputs = outputs_of(declared, of, "of")
        plan, solved, is_variant = self._plan, self._solved, needs_variant(outputs)
        if is_variant:
            plan, z = variant_of(plan, declared, outputs), solved.z[: self._lowered.n_user]
            solved = Solved(completed(plan, z), np.zeros(plan.lowered.n_all_rows))
        places = [np.ravel(q.places) for q in inputs if q.places is not None]
        columns = np.concatenate(places)
        given = np.flatnonzero(~self._plan.unknown[columns])
        matrix = jacobian_matrix(plan, solved, positions(plan, outputs, is_variant), columns[given], mode=mode,
                                 sparse=sparse)
        return Jacobian(spread_columns(matrix, given, len(columns)), outputs, inputs)

    def explain(self, what: Any) -> str:
        """The stationarity equation of one variable (or the gradient of one input), term by term with numbers.

        ``what`` is a name, a variable or input, or one element of an array, as in ``at.explain(y[0])``. Raises
        UnknownNameError for other expressions.
        """
        from .explanation import explain

        return explain(self, what)

    # showing -----------------------------------------------------------------------------------------------

    @cached_property
    def notes(self) -> list[str]:
        """What to know, in words: which values are infinite, which constraints have none, which slopes are NaN."""
        from .diagnosis.values import value_findings

        return [finding.message for finding in value_findings(self)]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain Python numbers, lists and strings, for JSON."""
        return point_data(self)

    def _report(self) -> Report:
        return point_report(self)

    def _head(self) -> str:
        objective = self._lowered.objective
        if objective is None:
            return f"{self._lowered.name}: no objective" + ("" if self.solved else " (NOT solved)")
        if not self.solved:
            return f"{self._lowered.name}: NOT solved, last iterate"
        try:
            return f"{self._lowered.name}: {objective.sense} {objective.name} = {number(self.objective)}"
        except DomainError as error:
            return f"{self._lowered.name}: {objective.sense} {objective.name} = nan\n{error}"

    @property
    def has_multipliers(self) -> bool:
        """Whether there are multipliers and a gradient: solved, with an objective, at no singular solution."""
        return self._lowered.objective is not None and self.solved and self._why_no_multipliers is None

    @cached_property
    def _why_no_multipliers(self) -> str | None:
        """What keeps a solved point from having multipliers, in words; None where it has them, or no objective."""
        if self._lowered.objective is None or not self.solved:
            return None
        try:
            _ = self.adjoints
        except SolveError as error:
            return str(error)
        return None

    def __repr__(self) -> str:
        return f"<point of {self._head()}, {len(self._lowered.symbols)} symbols, {len(self._solved.reports)} cycles>"


def _no_objective(name: str, what: str) -> str:
    return f"{name!r} has no objective, so it has no {what}: declare one with minimize(expr) or maximize(expr)"
