"""What optimizers see of a program: plain NumPy functions of flat vectors, always to be minimized.

    minimize sign·J(x)   subject to   lower ≤ x ≤ upper,   and bounds on the constraint values c(x)

The reduced view has the inputs in x alone: the variables are solved for at every x. The full view has the variables in
x too, and their equations among the constraints. A mixed view eliminates the variables that were named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeclarationError, LagrangeError, ShapeError, SolveError, UnknownNameError
from ..expression import Array, Symbol, evaluate
from ..lagrangian import require_objective
from ..lowering import Blocks, Lowered
from ..program import Declarations, fit, key_name, numeric
from ..program.starts import require_domain
from ..solution import Plan, Point
from ..solution.evaluation import DeclaredState, declared_starts, lay_out, offsets, solve_from, start_at
from ..solution.roles import flagged_blocks
from ..solution.steps import BlockStep
from ..tables import Report, Shown
from ..text import listing, nearest
from .showing import view_report
from .space import Space, everything_solved, solved_for, space_of

if TYPE_CHECKING:
    from ..solution.fast import FastPath
    from .problem import ViewProblem

FEW = 25
"""So many iterations may be spent on a cycle of kept variables without starts."""


class View(Shown):
    """The objective and the constraints as functions of a flat x, what is eliminated solved at each x.

    ``value_and_gradient(x)`` gives (sign·J, sign·dJ/dx), where ``sign`` is −1 for a maximize program, so that
    ``scipy.optimize.minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds,
    constraints=view.constraints)`` does what was declared. ``view.problem`` is the same in the shape of interior-point
    solvers: sparse Jacobian and Hessian, their structure once, their numbers many times.

    Equations, roles and parameters are those of the program when the view is made; x has the inputs that are given
    then, with the variables that are kept, and ``set`` changes parameters, and variables that were fixed, for the view
    alone. Each solve starts from the last one that succeeded. ``perturbation`` adds ε to right sides of equations.
    """

    def __init__(self, program: Declarations, eliminate: Any = "all",
                 perturbation: Mapping[str, Any] | None = None) -> None:
        self.space: Space = space_of(program, eliminate)
        self._plan: Plan = self.space.plan
        lowered = self._plan.lowered
        require_objective(self._plan, "be optimized")
        self._places = self.space.x
        if not len(self._places):
            every = [s.name for s in lowered.symbols.values() if s.kind == "input"]
            raise DeclarationError(
                f"{program.name!r} has no inputs, so there is nothing to optimize: "
                + (f"freed: {listing(every)}" if every else "declare one with input(name, value)")
            )
        self._in_x = np.zeros(lowered.state.size, dtype=bool)
        self._in_x[self._places] = True
        self.inputs: Blocks = flagged_blocks(lowered, self._in_x, [s.kind == "input" for s in lowered.symbols.values()])
        self._original = lay_out(self._plan)
        added = offsets(self.space.own, perturbation or {})
        if added.any():
            offset = np.zeros(lowered.n_all_rows)
            offset[self.space.arranged.row] = added
            self._original = replace(self._original, offset=offset)
        self._declared = self._original
        self._x0 = self._begun()[self._places]
        self._lower, self._upper = self._bounds_of(self._places)
        self._parameters = {name: s.shape for name, s in lowered.symbols.items() if self._is_parameter(name)}
        objective = lowered.objective
        self.sign = -1.0 if objective is not None and objective.sense == "maximize" else 1.0
        self.has_cycles = any(isinstance(step, BlockStep) for step in self._plan.steps)
        self._last: tuple[Array, Point] | None = None
        self._state: Array | None = None
        self._fast = self._make_fast()

    def _begun(self) -> Array:
        """The declared state, what is kept without a start computed from the rest where its equations let it be."""
        z, own = self._declared.filled({}), self.space.own
        guessed = self.space.unknown & self._in_x[: own.n_user] & ~declared_starts(own, self._in_x)[: own.n_user]
        if not guessed.any():
            return z
        space = solved_for(self.space, guessed)
        if not space.plan.unknown[: own.n_user].any():
            return z
        declared = lay_out(space.plan)
        try:
            found = solve_from(space.plan, start_at(space.plan, declared, z.copy(), declared.started), FEW).state
        except SolveError as error:
            if error.at is None:
                return z
            found = error.at.state
        good = np.flatnonzero(space.plan.unknown[: own.n_user] & np.isfinite(found[: own.n_user]))
        z[good] = found[good]
        return z

    def _is_parameter(self, name: str) -> bool:
        """Whether a symbol has elements that are given and not in x."""
        where = self._plan.lowered.state.slices[name]
        if where.start == where.stop:
            return self._plan.lowered.symbols[name].kind == "parameter"
        return not (self._plan.unknown[where] | self._in_x[where]).all()

    def _bounds_of(self, places: Array) -> tuple[Array, Array]:
        """The declared bounds of some elements of the state."""
        lowered = self._plan.lowered
        low, high = np.full(lowered.state.size, -np.inf), np.full(lowered.state.size, np.inf)
        for name, symbol in lowered.symbols.items():
            if not symbol.is_unbounded:
                where = lowered.state.slices[name]
                low[where] = np.broadcast_to(symbol.lower, symbol.shape).ravel()
                high[where] = np.broadcast_to(symbol.upper, symbol.shape).ravel()
        return low[places], high[places]

    @property
    def is_perturbed(self) -> bool:
        """Whether ε was added to right sides."""
        return self._original.offset is not None

    @property
    def plan(self) -> Plan:
        """The plan that solves what is eliminated."""
        return self._plan

    @property
    def places(self) -> Array:
        """Where x stands in the flat state; a copy."""
        return self._places.copy()

    def declared_state(self) -> Array:
        """The flat state before anything is solved, with the parameters that the view has now; a copy."""
        return self._declared.filled({})

    @cached_property
    def problem(self) -> ViewProblem:
        """The view as interior-point solvers want it: structures once, numbers many times."""
        from .problem import ViewProblem

        return ViewProblem(self)

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
        """The flat x of arrays by name; of one of which some elements are not in x, what stands at the others."""
        wanted = {name: self._plan.lowered.symbols[name].shape for name in self.inputs.names}
        wrong = [name for name in (*wanted, *values) if (name in wanted) != (name in values)]
        if wrong:
            raise UnknownNameError(f"x consists of {listing(wanted)}; missing or unknown: {listing(wrong)}")
        parts = [np.ravel(fit(name, np.asarray(values[name]), shape, "the value")) for name, shape in wanted.items()]
        return np.concatenate([part[self._kept(name)] for name, part in zip(wanted, parts, strict=True)]
                              ).astype(np.float64)

    def _kept(self, name: str) -> Any:
        """Which elements of a symbol are in x."""
        return self._in_x[self._plan.lowered.state.slices[name]]

    def split(self, x: Array) -> dict[str, Array]:
        """What is in x by name; elements that are not are where they start."""
        found = self.inputs.split(self._checked(x).copy(), self.inputs.names)
        for name in found:
            kept = self._kept(name)
            if not kept.all():
                whole = self._plan.lowered.state.get(self._declared.z, name).copy()
                whole.ravel()[kept] = found[name]
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
        elif self.has_cycles:
            self._state = point.state
        return point

    def declared_point(self, x: Array, start: Array | None = None) -> Point:
        """The point at x with the parameters as declared, its cycles solved from ``start`` (one that ``start`` gave).

        Nothing of the view changes. Raises as ``Program.evaluate`` does.
        """
        return self._solve(self._original, self._checked(x), start)

    def solved_point(self, x: Array) -> Point:
        """The point with every equation solved that determines something, at the decisions in x; its solve begins at x.

        Raises as ``Program.evaluate`` does. It has the multipliers of the equations with the decisions held.
        """
        if self.space.name == "reduced":
            return self.point(x)
        plan, declared = self._everything
        z, state = declared.filled({}), self.point(x).state
        z[: plan.lowered.n_user] = state[: plan.lowered.n_user]
        return solve_from(plan, start_at(plan, declared, z, declared.started | plan.unknown))

    @cached_property
    def _everything(self) -> tuple[Plan, DeclaredState]:
        """The plan that solves all that is determined, and its declared state."""
        space = everything_solved(self.space)
        declared = lay_out(space.plan)
        if self._original.offset is not None:
            own = self._original.offset[self.space.arranged.row]
            offset = np.zeros(space.plan.lowered.n_all_rows)
            offset[space.arranged.row] = own
            declared = replace(declared, offset=offset)
        return space.plan, declared

    def _solve(self, declared: DeclaredState, flat: Array, start: Array | None) -> Point:
        z = declared.filled(self.split(flat)) if declared.computed else declared.z.copy()
        z[self._places] = flat
        started = declared.started
        if start is not None and self._fast is None:
            z[self._plan.unknown], started = start[self._plan.unknown], self._plan.unknown
        begin = start_at(self._plan, declared, z, started)
        if start is not None and self._fast is not None:
            begin = self._fast.from_last(begin, start)
        return solve_from(self._plan, begin)

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
        self.__dict__.pop("problem", None)  # the next look at it makes one of the new values

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
        kept = {name: value for name, value in self.__dict__.items() if name != "problem"}  # it holds compiled code
        return {**kept, "_fast": None}

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
        if compiled is None or self._declared.computed or not compiled.is_whole or self._declared.offset is not None:
            return None
        from ..solution.fast import FastPath

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
        low, high = self.constraint_limits()
        return [NonlinearConstraint(self.constraint_values, low, high, jac=self.constraint_jacobian)]

    @property
    def constraint_names(self) -> list[str]:
        """Kept equations, the declared constraints, then eliminated variables that have bounds, as in their values."""
        return [*self._plan.lowered.constraint_rows.names, *(s.name for s, _ in self._bounded)]

    def constraint_element(self, number: int) -> str:
        """The name of one constraint value: an equation, a constraint or a variable, or an element of one."""
        rows = self._plan.lowered.constraint_rows
        if number < rows.size:
            return rows.element(number)
        return self._plan.lowered.state.element(int(self.bounded_places[number - rows.size]))

    @cached_property
    def _bounded(self) -> list[tuple[Symbol, Array]]:
        """What is eliminated and has a finite bound, with the places of the elements that are eliminated."""
        roles, slices = self._plan.roles, self._plan.lowered.state.slices
        return [
            (s, slices[s.name].start + np.flatnonzero(self._plan.unknown[slices[s.name]]))
            for s in self._plan.lowered.symbols.values()
            if not s.is_unbounded and roles.has_unknown(s.name)
            and (np.isfinite(s.lower).any() or np.isfinite(s.upper).any())
        ]

    @cached_property
    def bounded_places(self) -> Array:
        """Where the eliminated elements stand in the state whose bounds are constraints."""
        return np.concatenate([np.empty(0, np.int64), *(places for _, places in self._bounded)])

    def constraint_limits(self) -> tuple[Array, Array]:
        """The lower and the upper bounds of the constraint values, with the parameters that the view has now."""
        lowered = self._plan.lowered
        n = lowered.constraint_rows.size
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        n_kept = len(self.space.arranged.kept)
        low[:n_kept] = high[:n_kept] = 0.0
        for c in lowered.constraints:
            where = lowered.constraint_rows.slices[c.name]
            for flat, side in ((low, c.lower), (high, c.upper)):
                if side is not None:
                    flat[where] = np.broadcast_to(self._side(side), c.body.shape).ravel()
        if self._declared.offset is not None:
            first = lowered.objective_row + 1
            low, high = low - self._declared.offset[first:], high - self._declared.offset[first:]
        of_variables = self._bounds_of(self.bounded_places)
        return np.concatenate([low, of_variables[0]]), np.concatenate([high, of_variables[1]])

    def _side(self, side: Any) -> Array:
        """The value of a bound, which holds parameters at most."""
        if side.op == "constant":
            return np.asarray(side.data)
        state = self._plan.lowered.state
        return evaluate(side, {name: state.get(self._declared.z, name) for name in self._parameters})

    def constraint_values(self, x: Array) -> Array:
        """Residuals of kept equations, the bodies of constraints, then eliminated variables with bounds; flat."""
        point, first = self.point(x), self._plan.lowered.objective_row + 1
        rows = np.zeros(self._plan.lowered.n_all_rows)
        with np.errstate(all="ignore"):
            self._plan.constraints.values(point.state, rows)
        return np.concatenate([rows[first:], point.state[self.bounded_places]])

    def constraint_jacobian(self, x: Array) -> Any:
        """d(constraint values)/dx, (constraints, x): an array where everything is eliminated, else scipy.sparse CSR."""
        if self.space.name != "reduced":
            return self.problem.jacobian_matrix(x)
        return self.dense_jacobian(x)

    def dense_jacobian(self, x: Array) -> Array:
        """The same as an array, by one back-substitution with several seeds."""
        point, lowered = self.point(x), self._plan.lowered
        variables, declared = self.bounded_places, lowered.constraint_rows.size
        rows = np.zeros((lowered.n_all_rows, declared + len(variables)))
        rows[lowered.objective_row + 1 :, :declared] = np.eye(declared)
        unknowns = np.zeros((lowered.state.size, declared + len(variables)))
        unknowns[variables, declared + np.arange(len(variables))] = 1.0
        w = point.pull_back(rows, unknowns)
        return np.asarray(w[self._places].T)

    # showing -----------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        return view_report(self)

    def __repr__(self) -> str:
        count = f"{self.inputs.size} {'input' if self.space.name == 'reduced' else 'variables'}"
        plural = "s" if self.space.name == "reduced" and self.inputs.size != 1 else ""
        return f"<{self.space.name} view of {self._plan.lowered.name!r}: {count}{plural}>"
