"""What optimizers see of a program: plain NumPy functions of flat vectors, always to be minimized.

The reduced view is f(x): the variables are solved for at every x, so only the inputs are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DeclarationError, LagrangeError, ShapeError, UnknownNameError
from .expression import Array, Symbol, evaluate
from .lagrangian import require_objective
from .lowering import Lowered
from .program import Declarations, fit, key_name, numeric
from .program.starts import require_domain
from .solution import Point, plan_of
from .solution.evaluation import DeclaredState, declared_state, solve_from, starting_state
from .solution.showing import in_parts, shape_text
from .solution.steps import BlockStep
from .tables import ARRAY_COLUMNS, Column, Report, Rows, Shown, Table, array_cells
from .text import listing, nearest, number

if TYPE_CHECKING:
    from .solution.fast import FastPath


class ReducedView(Shown):
    """The objective as a function of the flat inputs x, the equations solved at each.

    ``value_and_gradient(x)`` gives (sign·J, sign·dJ/dx), where ``sign`` is −1 for a maximize program, so that
    ``scipy.optimize.minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds)`` does what was declared.
    Equations, roles and parameters are those of the program when the view is made; x has the inputs that are given
    then, and ``set`` changes parameters, and variables that were fixed, for the view alone. Each solve starts from the
    last one that succeeded.
    """

    def __init__(self, program: Declarations) -> None:
        self._plan = plan_of(program)
        require_objective(self._plan, "be optimized")
        roles, symbols = self._plan.roles, self._plan.lowered.symbols
        given = [s for s in symbols.values() if s.kind == "input" and roles.has_given(s.name)]
        if not given:
            every = [s.name for s in symbols.values() if s.kind == "input"]
            raise DeclarationError(
                f"{program.name!r} has no inputs, so there is nothing to optimize: "
                + (f"freed: {listing(every)}" if every else "declare one with input(name, value)")
            )
        self.inputs, self._places = roles.blocks(("input",), found=False)
        self._shapes = {s.name: s.shape for s in given}
        self._x0 = self.join({s.name: s.value for s in given})
        self._lower = self.join({s.name: np.broadcast_to(s.lower, s.shape) for s in given})
        self._upper = self.join({s.name: np.broadcast_to(s.upper, s.shape) for s in given})
        self._parameters = {s.name: s.shape for s in symbols.values() if s.kind != "input" and roles.has_given(s.name)}
        objective = self._plan.lowered.objective
        self.sign = -1.0 if objective is not None and objective.sense == "maximize" else 1.0
        self._declared = self._original = declared_state(program, self._plan)
        self._has_cycles = any(isinstance(step, BlockStep) for step in self._plan.steps)
        self._last: tuple[Array, Point] | None = None
        self._state: Array | None = None
        self._fast = self._make_fast()

    @property
    def lowered(self) -> Lowered:
        """The lowered program that the view evaluates."""
        return self._plan.lowered

    def role_of(self, name: str) -> str:
        """What was done to a symbol before the view was made: "fixed", "freed", with the elements where in part."""
        word, lowered = self._plan.roles.changed.get(name, ""), self._plan.lowered
        if not word.endswith("in part"):
            return word
        fixed, freed = self._plan.roles.changed_elements()
        where = lowered.state.slices[name]
        return f"{word}: {listing(lowered.state.element(i) for i in fixed + freed if where.start <= i < where.stop)}"

    @property
    def executor(self) -> str:
        """What evaluates it: ``native`` or ``reference``."""
        return self._plan.executor.name

    @property
    def x0(self) -> Array:
        """The declared inputs, flat; a copy, free to be changed."""
        return self._x0.copy()

    @property
    def lower(self) -> Array:
        """The lower bounds of x; a copy."""
        return self._lower.copy()

    @property
    def upper(self) -> Array:
        """The upper bounds of x; a copy."""
        return self._upper.copy()

    @property
    def bounds(self) -> Any:
        """The bounds of x as scipy.optimize.Bounds."""
        from scipy.optimize import Bounds

        return Bounds(self.lower, self.upper)

    def join(self, values: dict[str, Any]) -> Array:
        """The flat x of inputs by name; of an array of which some elements were freed, what stands at the others."""
        wanted = self._shapes
        wrong = [name for name in (*wanted, *values) if (name in wanted) != (name in values)]
        if wrong:
            raise UnknownNameError(f"x consists of {listing(wanted)}; missing or unknown: {listing(wrong)}")
        parts = [np.ravel(fit(name, np.asarray(values[name]), shape, "the value")) for name, shape in wanted.items()]
        return np.concatenate([part[self._kept(name)] for name, part in zip(wanted, parts, strict=True)]
                              ).astype(np.float64)

    def _kept(self, name: str) -> Any:
        """Which elements of an input are in x."""
        if not self._plan.roles.has_unknown(name):
            return slice(None)
        return ~self._plan.unknown[self._plan.lowered.state.slices[name]]

    def split(self, x: Array) -> dict[str, Array]:
        """The inputs by name of a flat x; elements that were freed are where they start."""
        found = self.inputs.split(self._checked(x).copy(), self.inputs.names)
        for name in found:
            if self._plan.roles.has_unknown(name):
                whole = self._plan.lowered.state.get(self._declared.z, name).copy()
                whole.ravel()[self._kept(name)] = found[name]
                found[name] = whole
        return found

    def point(self, x: Array) -> Point:
        """The evaluated point at x. Raises as ``Program.evaluate`` does."""
        flat, last = self._checked(x), self._last
        if last is not None and np.array_equal(flat, last[0]):
            return last[1]  # optimizers ask for value, gradient and constraints one after the other
        point = self._solve(self._declared, flat, self.start)
        self._last = flat.copy(), point
        if self._fast is not None:
            self._fast.start_from(point.state)
        elif self._has_cycles:
            self._state = point.state
        return point

    def declared_point(self, x: Array, start: Array | None = None) -> Point:
        """The point at x with the parameters as declared, its cycles solved from ``start`` (one that ``start`` gave).

        Nothing of the view changes. Raises as ``Program.evaluate`` does.
        """
        return self._solve(self._original, self._checked(x), start)

    def _solve(self, declared: DeclaredState, flat: Array, start: Array | None) -> Point:
        starts = {}
        if start is not None and self._fast is None:
            starts = self._plan.lowered.state.split(start, self._variables)
        begin = starting_state(self._plan, declared, self.split(flat), starts, {})
        if start is not None and self._fast is not None:
            begin = self._fast.from_last(begin, start)
        return solve_from(self._plan, begin)

    @cached_property
    def _variables(self) -> list[str]:
        return [name for name in self._plan.lowered.symbols if self._plan.roles.has_unknown(name)]

    @property
    def start(self) -> Array | None:
        """Where the next solve of the cycles begins, as numbers to keep and give back; None: at the declared starts."""
        return self._fast.start if self._fast is not None else self._state

    @start.setter
    def start(self, start: Array | None) -> None:
        self._last = None
        if self._fast is not None:
            self._fast.start = start
        else:
            self._state = start

    def set(self, values: Mapping[Any, Any] | None = None, /, **named: Any) -> None:
        """Change parameters for this view alone, all or none; nothing is rebuilt, the program keeps its own.

        Raises UnknownNameError for a name that is no parameter, ShapeError and DeclarationError for a value that is not
        what was declared. Not while another thread evaluates the view.
        """
        new = [self._parameter(key, value) for key, value in {**(values or {}), **named}.items()]
        if self._declared is self._original:
            self._declared = replace(self._original, z=self._original.z.copy())
            if self._fast is not None:
                self._fast.declare(self._declared)
        for name, value in new:
            where = self._plan.lowered.state.slices[name]
            self._declared.z[where] = value.ravel()
            if self._fast is not None:
                self._fast.give(where)
        self._last = None

    def _parameter(self, key: Any, value: Any) -> tuple[str, Array]:
        owner = next((symbol.owner for symbol in self._plan.lowered.symbols.values()), None)
        name = key_name(key, owner)
        if name not in self._parameters:
            symbol = self._plan.lowered.symbols.get(name) if isinstance(name, str) else None
            what = f"there is no parameter {name!r}"
            if symbol is not None:
                role = self._plan.roles.changed.get(name)
                what = f"{name!r} is one of the {symbol.kind}s{f', {role}' if role else ''}"
            near = "" if symbol is not None else nearest(str(name), self._parameters)
            raise UnknownNameError(f"{what}{near}; the parameters are {listing(self._parameters) or 'none'}")
        shape = self._parameters[name]
        if self._plan.roles.has_unknown(name) or self._plan.lowered.symbols[name].kind == "variable":
            return name, self._fixed(name, value)
        is_float = type(value) is np.ndarray and value.dtype == np.float64
        if is_float and value.shape == shape and np.isfinite(value).all():
            return name, value
        return name, fit(name, numeric(name, value, "the value"), shape, "the value")

    def _fixed(self, name: str, value: Any) -> Array:
        """A value for a symbol with fixed elements, inside the domain there."""
        symbol, where = self._plan.lowered.symbols[name], self._plan.lowered.state.slices[name]
        found = fit(name, numeric(name, value, "the value"), symbol.shape, "the value")
        require_domain(symbol, found, ~self._plan.unknown[where])
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fast": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._fast = self._make_fast()

    def _checked(self, x: Any) -> Array:
        """x as a flat float64 array, or an error that names the inputs."""
        flat = self._numbers(x)
        if flat.shape != self._x0.shape:
            raise ShapeError(f"x must have shape {self._x0.shape} for {listing(self.inputs.names)}, got {flat.shape}")
        if not np.isfinite(flat).all():
            first = int(np.flatnonzero(~np.isfinite(flat))[0])
            raise DeclarationError(f"x is {flat[first]} at {self.inputs.element(first)}: give finite numbers")
        return flat

    def _numbers(self, x: Any) -> Array:
        """x as real numbers."""
        wanted = f"x must be a flat array of {self._x0.size} real numbers for {listing(self.inputs.names)}"
        if isinstance(x, Mapping):
            raise DeclarationError(f"{wanted}, got a dict: view.join({{name: value}}) makes one")
        try:
            found = np.asarray(x)
            if found.dtype.kind == "O":
                found = np.asarray([float(item) for item in found.ravel()]).reshape(found.shape)
        except (TypeError, ValueError) as error:
            if isinstance(error, LagrangeError):
                raise
            raise DeclarationError(f"{wanted}, got {str(x)[:60]!r} ({error})") from None
        if np.ma.is_masked(x):
            raise DeclarationError(f"{wanted}, got an array with masked elements: fill them")
        if found.dtype.kind not in "buif":
            what = "complex numbers: complex steps are for the Lagrangian" if found.dtype.kind == "c" else repr(x)[:60]
            raise DeclarationError(f"{wanted}, got {what}")
        return found.astype(np.float64, copy=False)

    def value(self, x: Array) -> float:
        """sign·J(x)."""
        if self._fast is not None and self._is_flat(x):
            found = self._fast.value(x)
            if found is not None:
                self._last = self._last if self._fast.is_explicit else None
                return found
        return self.sign * self.point(x).objective

    def gradient(self, x: Array) -> Array:
        """sign·dJ/dx, flat."""
        return self.gradient_at(self.point(x))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """(sign·J, sign·dJ/dx) by one solve and one back-substitution."""
        if self._fast is not None and self._is_flat(x):
            found = self._fast.value_and_gradient(x)
            if found is not None:
                self._last = self._last if self._fast.is_explicit else None
                return found
        point = self.point(x)
        return self.sign * point.objective, self.gradient_at(point)

    def _make_fast(self) -> FastPath | None:
        """The native path, for plans that never need Python and whose starts are numbers."""
        compiled = self._plan.compiled
        if compiled is None or self._declared.computed or not compiled.is_whole:
            return None
        from .solution.fast import FastPath

        return FastPath(compiled, self._declared, self._places, self.sign)

    def _is_flat(self, x: Any) -> bool:
        """Whether x is as it should be, and cycles have a solution to start from."""
        assert self._fast is not None
        return type(x) is np.ndarray and x.shape == self._x0.shape and x.dtype == np.float64 and (
            not self._fast.needs_start)

    def gradient_at(self, point: Point) -> Array:
        """sign·dJ/dx of an evaluated point, flat."""
        found: Array = self.sign * point.adjoints[1][self._places]
        return found

    @property
    def constraints(self) -> Any:
        """The constraints as functions of x: a list for ``scipy.optimize.minimize(constraints=...)``."""
        from scipy.optimize import NonlinearConstraint

        if not self.constraint_names:
            return []
        low, high = (np.concatenate(side) for side in zip(*self._limits(), strict=True))
        return [NonlinearConstraint(self.constraint_values, low, high, jac=self.constraint_jacobian)]

    @property
    def constraint_names(self) -> list[str]:
        """The declared constraints, then the variables that have bounds, in the order of ``constraint_values``."""
        return [*(c.name for c in self._plan.lowered.constraints), *(s.name for s, _ in self._bounded)]

    @cached_property
    def _bounded(self) -> list[tuple[Symbol, Array]]:
        """What is found and has a finite bound, with the places of the elements that are found."""
        roles, slices = self._plan.roles, self._plan.lowered.state.slices
        return [
            (s, slices[s.name].start + np.flatnonzero(self._plan.unknown[slices[s.name]]))
            for s in self._plan.lowered.symbols.values()
            if roles.has_unknown(s.name) and (np.isfinite(s.lower).any() or np.isfinite(s.upper).any())
        ]

    def _limits(self) -> list[tuple[Array, Array]]:
        limits = [
            (np.ravel(np.broadcast_to(s.lower, s.shape))[places - s.start],
             np.ravel(np.broadcast_to(s.upper, s.shape))[places - s.start])
            for s, places in self._bounded
        ]
        return [*self._declared_limits(), *limits]

    def _declared_limits(self) -> list[tuple[Array, Array]]:
        limits, state = [], self._plan.lowered.state
        parameters = {name: state.get(self._declared.z, name) for name in self._parameters}
        for c in self._plan.lowered.constraints:
            sides = [
                np.full(c.body.size, missing) if side is None
                else np.broadcast_to(evaluate(side, parameters), c.body.shape).ravel()
                for side, missing in ((c.lower, -np.inf), (c.upper, np.inf))
            ]
            limits.append((sides[0], sides[1]))
        return limits

    def constraint_values(self, x: Array) -> Array:
        """The bodies of all constraints at x, then the variables that have bounds; flat."""
        point = self.point(x)
        declared = [np.ravel(point[c.name]) for c in self._plan.lowered.constraints]
        return np.concatenate([np.empty(0), *declared, *(point.state[places] for _, places in self._bounded)])

    def constraint_jacobian(self, x: Array) -> Array:
        """d(constraint values)/dx, (constraints, inputs), by one back-substitution with several seeds."""
        point, lowered = self.point(x), self._plan.lowered
        variables = np.concatenate([np.empty(0, np.int64), *(places for _, places in self._bounded)])
        declared = lowered.constraint_rows.size
        rows = np.zeros((lowered.n_all_rows, declared + len(variables)))
        rows[lowered.objective_row + 1 :, :declared] = np.eye(declared)
        unknowns = np.zeros((lowered.state.size, declared + len(variables)))
        unknowns[variables, declared + np.arange(len(variables))] = 1.0
        w = point.pull_back(rows, unknowns)
        return w[self._places].T

    # showing -----------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        objective, name = self._plan.lowered.objective, self._plan.lowered.name
        assert objective is not None
        sign = "−" if self.sign < 0 else ""
        count = f"{self.inputs.size} {'input' if self.inputs.size == 1 else 'inputs'}"
        heading = f"{name}: {sign}{objective.name} as a function of {count}, to be minimized"
        return Report(heading, self._input_tables(), [f"constraints: {listing(self.constraint_names)}"]
                      if self.constraint_names else [])

    def _input_tables(self) -> list[Table]:
        """x0 and bounds of the elements, and of arrays."""
        elements, arrays = in_parts(self.inputs, range(len(self.inputs.names)))
        sides = (("x0", self._x0), ("lower", self._lower), ("upper", self._upper))
        rows = [(block, what, flat) for block in arrays for what, flat in sides]
        name = Column("input", role="name")
        start = self.inputs.start
        return [
            Table("", [name, *(Column(what, numeric=True) for what, _ in sides)], Rows(len(elements), lambda i: [
                self.inputs.element(elements[i]), *(number(flat[elements[i]]) for _, flat in sides)])),
            Table("arrays", [name, Column("shape", role="kind"), Column("of", role="kind"), *ARRAY_COLUMNS],
                  Rows(len(rows), lambda i: [
                      self.inputs.names[rows[i][0]], shape_text(self.inputs.shapes[rows[i][0]]), rows[i][1],
                      *array_cells(rows[i][2][start[rows[i][0]] : start[rows[i][0] + 1]])])),
        ]  # fmt: skip

    def __repr__(self) -> str:
        return f"<reduced view of {self._plan.lowered.name!r}: {self.inputs.size} inputs>"
