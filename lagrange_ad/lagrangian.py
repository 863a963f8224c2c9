"""The Lagrangian L(x, z, λ) = J + Σ λ_i r_i as an object: value, derivatives, and how it prints.

It is defined at any point, feasible or not. Its gradient by λ is the residuals (zero: forward propagation), by z the
adjoint equations (zero: back-substitution), by x the gradient (zero: optimality).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .errors import DeclarationError, MissingObjectiveError, ShapeError, UnknownNameError
from .expression import Array, Expression, evaluate, symbols_of
from .lowering import Blocks
from .printing import latex_name, to_latex, to_text
from .program import Constraint, Equation, fit, numeric
from .solution import Plan, Point
from .solution import full as full_space
from .solution.evaluation import DeclaredState
from .text import listing, nearest

MOST_TERMS = 60
LINE = 110


class Lagrangian:
    """L(x, z, λ) = J(x, z) + Σ_i λ_i r_i, with r = right side − left side, and b − g for a constraint.

    x: the inputs, z: the variables, λ: one an equation, then one a constraint, each flat in the order declared (see
    ``names``). What was fixed is in neither x nor z, like a parameter; what was freed is in z; of an array that is
    given in part, the block has what is left, on one axis. Every method takes flat arrays, or dicts by name; with
    dicts, inputs and starts that are not named keep their declared values, multipliers that are not named are 0.
    Parameters keep their declared values. Without an objective J is 0.
    """

    def __init__(self, plan: Plan, declared: DeclaredState) -> None:
        self._plan, self._declared = plan, declared
        lowered = self._lowered = plan.lowered
        self.inputs, self._at_inputs = plan.roles.blocks(("input",), found=False)
        self.variables, self._at_variables = plan.roles.blocks(("input", "parameter", "variable"), found=True)
        self.multipliers = lowered.multiplier_blocks

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of the blocks of x, z and λ, in order."""
        return {"x": self.inputs.names, "z": self.variables.names, "λ": self.multipliers.names}

    def of(self, at: Point) -> tuple[Array, Array, Array]:
        """(x, z, λ) of an evaluated point, flat; λ of constraints is 0."""
        x, z = at.state[self._at_inputs], at.state[self._at_variables]
        lam = np.zeros(self.multipliers.size)
        found = at.multiplier
        for name in found:
            self.multipliers.get(lam, name)[...] = found[name]
        return x, z, lam

    def value(self, x: Any, z: Any, lam: Any) -> float | complex:
        """L at a point (complex where the point is, for the complex step)."""
        state, rows = self._state(x, z), self._rows(lam)
        value: float | complex = (rows @ self._residuals(state, rows)).item()
        return value

    def gradient(self, x: Any, z: Any, lam: Any) -> tuple[Array, Array, Array]:
        """(∂L/∂x, ∂L/∂z, ∂L/∂λ), each flat like its argument; the last one is the residuals."""
        state, rows = self._state(x, z), self._rows(lam)
        residuals = self._residuals(state, rows)
        signed = self._signed(rows, state)
        w = full_space.adjoint(self._plan, state, signed)
        return w[self._at_inputs], w[self._at_variables], self._shown_rows(residuals)

    def residuals(self, x: Any, z: Any) -> Array:
        """r of every equation (right − left), then b − g of every constraint; (n_λ,)."""
        rows = np.zeros(self._lowered.n_all_rows)
        return self._shown_rows(self._residuals(self._state(x, z), rows))

    def jacobian(self, x: Any, z: Any) -> Any:
        """∂r/∂(x, z) as a scipy.sparse CSR array of shape (n_λ, n_x + n_z)."""
        return self._plan.full_space.jacobian(self._state(x, z))

    def hessian(self, x: Any, z: Any, lam: Any) -> Any:
        """∂²L/∂(x, z)² as a symmetric scipy.sparse CSR array of shape (n_x + n_z, n_x + n_z)."""
        state, rows = self._state(x, z), self._rows(lam)
        return self._plan.full_space.hessian(state, self._signed(rows, state))

    # between the user's vectors and the flat state ---------------------------------------------------------

    def _state(self, x: Any, z: Any) -> Array:
        """The complete flat state of the user's x and z and the declared parameters."""
        lowered = self._lowered
        if _is_flat(x, self.inputs) and _is_flat(z, self.variables) and not self._declared.computed:
            state = self._declared.z.copy()
            at_inputs, at_variables = self._plan.full_space.places
            state[at_inputs], state[at_variables] = x, z
            return full_space.complete(self._plan, state, None)
        given: dict[str, Array] = {}
        for blocks, places, values, what in ((self.inputs, self._at_inputs, x, "x"),
                                             (self.variables, self._at_variables, z, "z")):
            for name, value in _by_name(blocks, values, what):
                self._put(given, name, value, places[blocks.slices[name]] - lowered.state.slices[name].start)
        state = self._declared.filled({name: value.real for name, value in given.items()})
        if any(np.iscomplexobj(value) for value in given.values()):
            state = state.astype(np.complex128)
            for name, value in given.items():
                state[lowered.state.slices[name]] = value
        return full_space.complete(self._plan, state, None)

    def _put(self, given: dict[str, Array], name: str, value: Array, inside: Array) -> None:
        """Put elements of a symbol, at the places ``inside`` it, into what is given of it so far, flat."""
        whole = given.get(name)
        if whole is None:
            whole = self._declared.z[self._lowered.state.slices[name]]
        given[name] = whole.astype(np.result_type(whole, value))
        given[name][inside] = value.ravel()

    def _rows(self, lam: Any) -> Array:
        """λ over all rows: the objective's is 1, those of auxiliaries 0."""
        lowered = self._lowered
        if _is_flat(lam, self.multipliers):
            flat = lam
        else:
            flat = np.zeros(self.multipliers.size, dtype=_dtype(lam))
            for name, value in _by_name(self.multipliers, lam, "λ"):
                self.multipliers.get(flat, name)[...] = value
        rows = np.zeros(lowered.n_all_rows, dtype=flat.dtype)
        rows[: lowered.n_user_rows] = flat[: lowered.n_user_rows]
        rows[lowered.objective_row] = 1.0
        rows[lowered.first_constraint_row :] = flat[lowered.n_user_rows :]
        return rows

    def _signed(self, rows: Array, state: Array) -> Array:
        """λ with the sign of the body in r = b − g for constraints; complex where the state is."""
        signed = rows.astype(np.result_type(rows, state))
        signed[self._lowered.first_constraint_row :] *= -1.0
        return signed

    def _residuals(self, state: Array, rows: Array) -> Array:
        """Residuals of all rows, those of auxiliaries 0 and the objective's J; a range takes the side λ speaks of."""
        lowered = self._lowered
        residuals = full_space.residuals(self._plan, state, np.zeros(lowered.n_all_rows))
        first = lowered.first_constraint_row
        minimizing = lowered.objective is None or lowered.objective.sense == "minimize"
        for constraint in lowered.constraints:
            body = lowered.constraint_rows.get(residuals[first:], constraint.name)
            lam = lowered.constraint_rows.get(rows[first:], constraint.name)
            body[...] = _bound(constraint, self._side(state), lam if minimizing else -lam, body) - body
        return residuals

    def _side(self, state: Array) -> Callable[[Expression], Array]:
        """The value of a side of a constraint, which has no inputs or variables in it."""
        def value(side: Expression) -> Array:
            if side.op == "constant":
                return np.asarray(side.data)
            return evaluate(side, {s.name: self._lowered.state.get(state, s.name) for s in symbols_of(side)})

        return value

    def _shown_rows(self, rows: Array) -> Array:
        lowered = self._lowered
        return np.concatenate([rows[: lowered.n_user_rows], rows[lowered.first_constraint_row :]])

    # printing ----------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        objective = self._lowered.objective
        head = "L = " + (to_text(objective.expression, 400) if objective is not None else "0")
        terms = [f"- λ_{name}·({difference})" for name, difference in self._terms(_difference_text)]
        rest = self.multiplier_count - len(terms)
        if rest:
            terms.append(f"- … ({rest} more terms)")
        line = " ".join([head, *terms])
        return line if len(line) <= LINE else "\n    ".join([head, *terms])

    @property
    def multiplier_count(self) -> int:
        """How many equations and constraints the Lagrangian has a multiplier (array) for."""
        return len(self.multipliers.names)

    def _terms(self, write: Callable[[Equation | Constraint], str]) -> list[tuple[str, str]]:
        """(name, left − right as written) of the first equations and constraints."""
        every: list[Equation | Constraint] = [*self._lowered.equations, *self._lowered.constraints]
        return [(item.name, write(item)) for item in every[:MOST_TERMS]]

    def _repr_latex_(self) -> str:
        objective = self._lowered.objective
        head = to_latex(objective.expression, 400) if objective is not None else "0"
        written = self._terms(_difference_latex)
        terms = [rf"- \lambda_{{{latex_name(name)}}} \left({difference}\right)" for name, difference in written]
        if self.multiplier_count > len(terms):
            terms.append(r"- \dots")
        body = r" \\ & ".join([f"L =\\;& {head}", *terms])
        return rf"$\displaystyle \begin{{aligned}} {body} \end{{aligned}}$"

    def __repr__(self) -> str:
        sizes = f"{self.inputs.size} inputs, {self.variables.size} variables, {self.multipliers.size} multipliers"
        return f"<Lagrangian of {self._lowered.name!r}: {sizes}>"


def _dtype(given: Any) -> Any:
    items = given.values() if isinstance(given, Mapping) else [given]
    return np.result_type(np.float64, *(np.asarray(item).dtype for item in items))


def _by_name(blocks: Blocks, given: Any, what: str) -> Iterable[tuple[str, Any]]:
    """(name, array) of what was given for x, z or λ: a mapping, or a flat array of all of it."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if name not in blocks.slices:
                near = nearest(str(name), blocks.names)
                raise UnknownNameError(f"{what} has no {name!r}{near}; it has {listing(blocks.names)}")
            array = np.asarray(value) if np.iscomplexobj(value) else numeric(name, value, "the value", finite=False)
            yield name, fit(name, array, blocks.shapes[blocks.names.index(name)], "the value")
        return
    flat = np.asarray(given)
    if flat.dtype.kind not in "iufc":
        raise DeclarationError(f"{what} must be a flat array of numbers, or a dict by name, got {type(given).__name__}")
    if flat.shape != (blocks.size,):
        raise ShapeError(f"{what} must have shape ({blocks.size},) for {listing(blocks.names)}, got {flat.shape}")
    for name in blocks.names:
        yield name, blocks.get(flat, name)


def _is_flat(given: Any, blocks: Blocks) -> bool:
    """Whether something given is just the flat float64 array that it is to become."""
    return type(given) is np.ndarray and given.dtype == np.float64 and given.shape == (blocks.size,)


def _bound(constraint: Constraint, value: Callable[[Expression], Array], lam: Array, body: Array) -> Array:
    """The b of r = b − g; of a range the side that λ's sign (for minimize) belongs to, the nearer one for λ = 0."""
    if constraint.lower is not None and constraint.lower is constraint.upper:
        return value(constraint.lower)
    low, high = (None if side is None else value(side) for side in (constraint.lower, constraint.upper))
    if low is None or high is None:
        return np.asarray(high if low is None else low)
    nearer = np.where(np.abs(body - low) <= np.abs(high - body), low, high)
    spoken = np.where(lam.real > 0, low, np.where(lam.real < 0, high, nearer))
    return np.where(np.isfinite(spoken), spoken, np.where(np.isfinite(low), low, high))  # a side that is not there


def _difference(item: Equation | Constraint) -> Expression:
    """left − right of an equation, body − bound of a constraint; a plain 0 is left out."""
    if isinstance(item, Equation):
        left, right = item.left, item.right
    else:
        bound = item.upper if item.upper is not None else item.lower
        assert bound is not None
        left, right = item.body, bound
    zero = right.op == "constant" and right.shape == () and float(right.data) == 0.0
    return left if zero else left - right


def _difference_text(item: Equation | Constraint) -> str:
    if sides := _range(item):
        return f"{to_text(sides[0], 300)} - {{{to_text(sides[1], 100)}, {to_text(sides[2], 100)}}}"
    return to_text(_difference(item), 300)


def _difference_latex(item: Equation | Constraint) -> str:
    if sides := _range(item):
        return rf"{to_latex(sides[0], 300)} - \{{{to_latex(sides[1], 100)}, {to_latex(sides[2], 100)}\}}"
    return to_latex(_difference(item), 300)


def _range(item: Equation | Constraint) -> tuple[Expression, Expression, Expression] | None:
    """(body, lower, upper) of a constraint with two sides: its multiplier speaks of one of them, so both are shown."""
    if isinstance(item, Equation) or item.lower is None or item.upper is None or item.lower is item.upper:
        return None
    return item.body, item.lower, item.upper


def require_objective(plan: Plan, what: str) -> None:
    """Raise MissingObjectiveError where ``what`` needs an objective that the program does not have."""
    if plan.lowered.objective is None:
        raise MissingObjectiveError(
            f"{plan.lowered.name!r} has no objective, so it cannot {what}: declare one with minimize(expr) or "
            "maximize(expr)"
        )
