"""A block of the schedule as a problem for the solvers, and the report of its solve in the user's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..expression import Array
from ..lowering import Lowered
from ..solvers import Linear, Model, Record, linear_solves
from .noise import noise_of
from .operators import BlockOperator
from .steps import BlockStep, SequenceStep, WideStep


@dataclass(eq=False, repr=False)
class BlockReport:
    """How the solve of one block went.

    ``equations`` and ``unknowns`` are element names, ``residual`` the largest |r|, ``residuals`` one an equation that
    is solved; those that are eliminated, where the block is solved in ``torn`` unknowns alone, come after these.
    ``message`` says why it stopped. ``guessed`` names unknowns that had no start and no equation to give one;
    ``nudges`` counts how often the solve moved off a point where the Jacobian was singular. ``error`` estimates how
    far each unknown is from the solution; ``state`` is the whole state.
    """

    step: BlockStep
    lowered: Lowered
    record: Record = field(default_factory=Record)
    guessed_columns: Array = field(default_factory=lambda: np.empty(0, np.int64))
    state: Array = field(default_factory=lambda: np.empty(0))

    @cached_property
    def error(self) -> Array:
        """An estimate of |x − x*| an unknown: |J⁻¹ r|, and what rounding of the residuals leaves; computed when read.

        Infinite where the Jacobian is singular.
        """
        from .trust import block_error

        return block_error(self)

    @property
    def equations(self) -> list[str]:
        """The names of the equations' elements."""
        return [self.lowered.row_name(row) for row in self.step.user_rows.tolist()]

    @property
    def unknowns(self) -> list[str]:
        """The names of the unknown elements, in the order of the equations they are matched to."""
        return [self.lowered.state.element(column) for column in self.step.user_columns.tolist()]

    @property
    def torn(self) -> list[str]:
        """The unknowns that suffice to propagate the others; starts are wanted for these."""
        columns = self.step.columns[self.step.schedule.torn]
        return [self.lowered.state.element(column) for column in columns.tolist()]

    @property
    def guessed(self) -> list[str]:
        """The unknowns whose solve began at 0 or the nearest bound."""
        return [self.lowered.state.element(column) for column in self.guessed_columns.tolist()]

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return len(self.step.user_columns)

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
        solved = len(self.step.columns)
        torn = f", solved in {solved} torn," if solved < self.size else ""
        return f"block of {self.size}{torn} {state} after {iterations}, residual {self.residual:.3g}"


def propagate_wide(step: WideStep, z: Array, offset: Array, work: Array) -> None:
    """z[own] = ε[rows] + Σ φ. ``work`` has an entry a row, of z's type; what stood there does not matter."""
    work[step.rows] = offset[step.rows]
    step.run.values(z, work)
    z[step.own] = work[step.rows]


def propagate_explicit(step: WideStep | SequenceStep, z: Array, offset: Array, work: Array) -> None:
    """The same, one row after the other where the step says so."""
    if isinstance(step, SequenceStep):
        z[step.own] = offset[step.rows]
        step.sequential.propagate(z)
    else:
        propagate_wide(step, z, offset, work)


class BlockProblem:
    """The equations of one block as a function of its unknowns, at a state whose other elements stand still.

    The unknowns of the last residual, with what follows from them, stand in ``z``. ``matrix_free``: models have an
    operator for a matrix.
    """

    def __init__(self, step: BlockStep, z: Array, offset: Array, domain: tuple[Array, Array], work: Array,
                 matrix_free: bool = False) -> None:
        self.matrix_free = matrix_free
        self.step, self.z, self.offset, self.work = step, z, offset, work
        self.low, self.high = (end[step.columns] for end in domain)
        self._guard = step.guarded, *(end[step.guarded] for end in domain)
        self.explicit = step.own[: len(step.rows)] == step.columns
        lowered, unset = step.cut.lowered, np.full(len(step.columns), np.nan)
        self.unknown_scale = unset if lowered.unknown_scale is None else lowered.unknown_scale[step.columns]
        self.equation_scale = unset if lowered.equation_scale is None else lowered.equation_scale[step.rows]

    def residual(self, x: Array) -> Array:
        """r = ε + Σ φ − own of the rows solved, after what is eliminated was propagated (in ``z``).

        NaN where that leaves a domain: trial points there have no value.
        """
        self.z[self.step.columns] = x
        for level in self.step.eliminated:
            propagate_explicit(level, self.z, self.offset, self.work)
        found = residuals(self.step, self.z, self.offset, self.work)
        guarded, low, high = self._guard
        if len(guarded) and not ((self.z[guarded] > low) & (self.z[guarded] < high)).all():
            found = np.full_like(found, np.nan)
        return found

    def model(self, x: Array) -> Model:
        """∂r/∂z of all rows, eliminated ones last, at ``z`` as it stands."""
        if self.matrix_free:
            return Model(BlockOperator(self.step, self.z), self.z[self.step.columns], len(x))
        return Model(self.step.jacobian(self.z), self.z[self.step.all_columns], len(x))

    def noise(self, x: Array) -> Array | None:
        """What rounding on the way leaves of the residuals; reads the user's expressions."""
        return noise_of(self.step, self.z)


def linear_of(step: BlockStep) -> Linear:
    """The linear solves of a block as the user wants them; its pattern is made where matrices are wanted."""
    choice = "auto" if step.choice is None else step.choice.linear
    found = linear_solves(choice)
    return found if found.is_matrix_free else linear_solves(choice, step.pattern.system)


def model_at(step: BlockStep, z: Array) -> Model:
    """The linear model of a block at a state."""
    with np.errstate(all="ignore"):
        return Model(step.jacobian(z), z[step.all_columns], len(step.rows))


def residuals(step: BlockStep, z: Array, offset: Array, work: Array) -> Array:
    """r = ε + Σ φ − own of the rows of a block that are solved, at a state as it stands."""
    work[step.rows] = offset[step.rows]
    step.residual_run.values(z, work)
    own = step.own[: len(step.rows)]
    return np.asarray(work[step.rows] - np.where(own >= 0, z[own], 0.0))
