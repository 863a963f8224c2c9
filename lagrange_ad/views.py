"""What optimizers see of a program: plain NumPy functions of flat vectors, always to be minimized.

The reduced view is f(x): the variables are solved for at every x, so only the inputs are left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DeclarationError
from .expression import Array, evaluate
from .lagrangian import require_objective
from .lowering import Blocks
from .program import Declarations
from .solution import Point, evaluate_program, plan_of
from .solution.multipliers import adjoints


class ReducedView:
    """The objective as a function of the flat inputs x, the equations solved at each.

    ``value_and_gradient(x)`` gives (sign·J, sign·dJ/dx), where ``sign`` is −1 for a maximize program, so that
    ``scipy.optimize.minimize(view.value_and_gradient, view.x0, jac=True, bounds=view.bounds)`` does what was declared.
    Parameters keep the values they have when the view is made. Each solve starts from the last one that succeeded.
    """

    def __init__(self, program: Declarations) -> None:
        self._program, self._plan = program, plan_of(program)
        require_objective(self._plan, "be optimized")
        inputs = program.of_kind("input")
        if not inputs:
            raise DeclarationError(
                f"{program.name!r} has no inputs, so there is nothing to optimize: declare one with input(name, value)"
            )
        self.inputs = Blocks([s.name for s in inputs], [s.shape for s in inputs], [s.labels for s in inputs])
        self.x0 = self.join({s.name: s.value for s in inputs})
        self.lower = self.join({s.name: np.broadcast_to(s.lower, s.shape) for s in inputs})
        self.upper = self.join({s.name: np.broadcast_to(s.upper, s.shape) for s in inputs})
        self._parameters = {s.name: s.value for s in program.of_kind("parameter")}
        objective = self._plan.lowered.objective
        self.sign = -1.0 if objective is not None and objective.sense == "maximize" else 1.0
        self._last: Point | None = None

    @property
    def bounds(self) -> Any:
        """The bounds of x as scipy.optimize.Bounds."""
        from scipy.optimize import Bounds

        return Bounds(self.lower, self.upper)

    def join(self, values: dict[str, Any]) -> Array:
        """The flat x of inputs by name."""
        return np.concatenate([np.ravel(values[name]) for name in self.inputs.names]).astype(np.float64)

    def split(self, x: Array) -> dict[str, Array]:
        """The inputs by name of a flat x."""
        return self.inputs.split(np.asarray(x, dtype=np.float64), self.inputs.names)

    def point(self, x: Array) -> Point:
        """The evaluated point at x. Raises as ``Program.evaluate`` does."""
        flat = np.asarray(x, dtype=np.float64)
        if flat.shape != self.x0.shape:
            names = ", ".join(self.inputs.names)
            raise DeclarationError(f"x must have shape {self.x0.shape} ({names}), got {flat.shape}")
        point = evaluate_program(self._program, {**self._parameters, **self.split(flat)}, start=self._last)
        self._last = point
        return point

    def value(self, x: Array) -> float:
        """sign·J(x)."""
        return self.sign * self.point(x).objective

    def gradient(self, x: Array) -> Array:
        """sign·dJ/dx, flat."""
        return self.gradient_at(self.point(x))

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """(sign·J, sign·dJ/dx) by one solve and one back-substitution."""
        point = self.point(x)
        return self.sign * point.objective, self.gradient_at(point)

    def gradient_at(self, point: Point) -> Array:
        """sign·dJ/dx of an evaluated point, flat."""
        gradient = point.gradient
        return self.sign * self.join({name: gradient[name] for name in self.inputs.names})

    @property
    def constraints(self) -> Any:
        """The constraints as functions of x: a list for ``scipy.optimize.minimize(constraints=...)``."""
        from scipy.optimize import NonlinearConstraint

        lowered = self._plan.lowered
        if not lowered.constraints:
            return []
        low, high = (np.concatenate(side) for side in zip(*self._limits(), strict=True))
        return [NonlinearConstraint(self.constraint_values, low, high, jac=self.constraint_jacobian)]

    def _limits(self) -> list[tuple[Array, Array]]:
        limits = []
        for c in self._plan.lowered.constraints:
            sides = [
                np.full(c.body.size, missing) if side is None
                else np.broadcast_to(evaluate(side, self._parameters), c.body.shape).ravel()
                for side, missing in ((c.lower, -np.inf), (c.upper, np.inf))
            ]
            limits.append((sides[0], sides[1]))
        return limits

    def constraint_values(self, x: Array) -> Array:
        """The bodies of all constraints at x, flat."""
        point = self.point(x)
        return np.concatenate([np.ravel(point[c.name]) for c in self._plan.lowered.constraints])

    def constraint_jacobian(self, x: Array) -> Array:
        """d(bodies)/dx, (constraints, inputs), by one back-substitution with several seeds."""
        point, lowered = self.point(x), self._plan.lowered
        count = lowered.constraint_rows.size
        seeds = np.zeros((lowered.n_all_rows, count))
        seeds[lowered.objective_row + 1 :] = np.eye(count)
        _, w = adjoints(self._plan, point._solved.z, point.blocks, seeds)
        return np.concatenate([w[lowered.state.slices[name]] for name in self.inputs.names]).T
