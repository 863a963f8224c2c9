"""A block of the schedule as a problem for the solvers, and the report of its solve in the user's names."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..expression import Array
from ..lowering import Lowered
from ..solvers import Model, Record
from .plan import BlockStep, WideStep


@dataclass(eq=False, repr=False)
class BlockReport:
    """How the solve of one block went.

    ``equations`` and ``unknowns`` are element names, ``residual`` the largest |r|, ``residuals`` one an equation;
    ``message`` says why it stopped. ``guessed`` names unknowns that had no start and no equation to give one;
    ``nudges`` counts how often the solve moved off a point where the Jacobian was singular.
    """

    step: BlockStep
    lowered: Lowered
    record: Record = field(default_factory=Record)
    guessed_columns: Array = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def equations(self) -> list[str]:
        """The names of the equations' elements."""
        return [self.lowered.row_name(row) for row in self.step.rows.tolist()]

    @property
    def unknowns(self) -> list[str]:
        """The names of the unknown elements, in the order of the equations they are matched to."""
        return [self.lowered.state.element(column) for column in self.step.columns.tolist()]

    @property
    def guessed(self) -> list[str]:
        """The unknowns whose solve began at 0 or the nearest bound."""
        return [self.lowered.state.element(column) for column in self.guessed_columns.tolist()]

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.step.columns)

    @property
    def converged(self) -> bool:
        """Whether the equations hold."""
        return self.record.converged

    @property
    def iterations(self) -> int:
        """Iterations of all methods that were tried."""
        return self.record.iterations

    @property
    def message(self) -> str:
        """Why the solve stopped."""
        return self.record.message

    @property
    def nudges(self) -> int:
        """How often the solve moved off a point where the Jacobian was singular."""
        return self.record.nudges

    @property
    def history(self) -> list[float]:
        """The largest |r| at the start and after each iteration."""
        return self.record.history

    @property
    def residuals(self) -> Array:
        """r, one an equation."""
        return self.record.residuals

    @property
    def residual(self) -> float:
        """The largest |r|."""
        return float(np.abs(self.residuals).max(initial=0.0))

    def __repr__(self) -> str:
        return f"<{self}>"

    @property
    def kind(self) -> str:
        """``cycle``, or ``implicit`` for one equation that determines one unknown by itself."""
        return "cycle" if self.size > 1 else "implicit"

    def __str__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        iterations = f"{self.iterations} iteration{'s' * (self.iterations != 1)}"
        return f"block of {self.size} {state} after {iterations}, residual {self.residual:.3g}"


def propagate_wide(step: WideStep, z: Array, offset: Array, work: Array) -> None:
    """z[own] = ε[rows] + Σ φ. ``work`` has an entry a row, of z's type; what stood there does not matter."""
    work[step.rows] = offset[step.rows]
    step.run.values(z, work)
    z[step.own] = work[step.rows]


class BlockProblem:
    """The equations of one block as a function of its unknowns, at a state whose other elements stand still.

    The unknowns of the last residual, with the auxiliaries that follow them, stand in ``z``.
    """

    def __init__(self, step: BlockStep, z: Array, offset: Array, domain: tuple[Array, Array], work: Array) -> None:
        self.step, self.z, self.offset, self.work = step, z, offset, work
        self.low, self.high = (end[step.columns] for end in domain)
        self.explicit = step.own[: len(step.rows)] == step.columns
        lowered, unset = step.cut.lowered, np.full(len(step.columns), np.nan)
        self.unknown_scale = unset if lowered.unknown_scale is None else lowered.unknown_scale[step.columns]
        self.equation_scale = unset if lowered.equation_scale is None else lowered.equation_scale[step.rows]

    def residual(self, x: Array) -> Array:
        """r = ε + Σ φ − own of the user's rows, after the auxiliaries are propagated (in ``z``)."""
        self.z[self.step.columns] = x
        for auxiliary in self.step.auxiliaries:
            propagate_wide(auxiliary, self.z, self.offset, self.work)
        return residuals(self.step, self.z, self.offset, self.work)

    def model(self, x: Array) -> Model:
        """∂r/∂z of all rows, auxiliaries after the user's, at ``z`` as it stands."""
        return Model(self.step.jacobian(self.z), self.z[self.step.all_columns], len(x))


def residuals(step: BlockStep, z: Array, offset: Array, work: Array) -> Array:
    """r = ε + Σ φ − own of the user's rows of a block, at a state as it stands."""
    work[step.rows] = offset[step.rows]
    step.residual_run.values(z, work)
    own = step.own[: len(step.rows)]
    return np.asarray(work[step.rows] - np.where(own >= 0, z[own], 0.0))
