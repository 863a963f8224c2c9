"""Derivatives, first and second, of a program whose equations are solved at each point, by chosen given elements x.

Takes a plan, the state elements that are x, and the outputs: rows of constraints and elements of the state. Gives, at
solved points, the gradient and the Hessian of σJ + Σ y_i o_i and the Jacobian ∂o/∂x; structures are fixed once.

    λ: one back-substitution, its seeds σ on the objective's row and y on the outputs
    ż: one tangent sweep from ẋ = v;   ẇ = Σ_i λ_i ∂²φ_i·ż over all rows
    H·v: one more back-substitution, its seeds ẇ on the state; what arrives at x

Matrices come by the same sweeps with several columns (or rows) in one seed, those that share no row (column): whatever
the steps are, recurrences, blocks or users' functions, a sweep is compiled code and costs a few values. Sources:
Griewank & Walther, "Evaluating Derivatives" (2008), second-order adjoints and compressed seeds; Curtis, Powell & Reid
(1974).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import SolveError
from ..execution import loops_of
from ..expression import Array
from ..structure.spreading import colours_of
from .forward import Solved
from .jacobian import jacobian_matrix
from .multipliers import PullBack, adjoints
from .patterns import Dependence
from .plan import Plan
from .point import Point
from .second import Directions

MOST_PRODUCTS = 300
"""A Hessian that takes more products than this has no structure: products alone are offered."""
MOST_NUMBERS = 1 << 27
"""A Jacobian without a pattern that has more numbers than this (1 GB) is refused."""
MOST_MENDED = 1 << 20
"""A Jacobian with NaN in it is looked at again, the other way round, where it has at most so many numbers."""


class Reduction:
    """σJ + Σ y_i o_i as a function of x, its equations solved: derivatives at points of the plan.

    ``places`` (n,): the state elements that are x, given ones. The m outputs o are the bodies of ``rows`` (rows of the
    lowered program after the objective's), then the state elements ``elements`` (found or given). J is as declared:
    whoever minimizes −J gives −σ. Numbers of the Jacobian stand at ``jacobian_structure``, those of the Hessian's lower
    triangle at ``hessian_structure``: (i, j), int32, sorted, each position once.

    All that takes a point raises SolveError at one whose equations do not hold, SingularError where those of a block
    are singular. Second derivatives of users' functions are theirs or numerical; so ``second_order`` is always True.
    """

    second_order = True

    def __init__(self, plan: Plan, places: Array, rows: Sequence[int] | Array = (),
                 elements: Sequence[int] | Array = ()) -> None:
        self.plan = plan
        self.places, self.rows, self.elements = (np.asarray(x, dtype=np.int64) for x in (places, rows, elements))
        self._directions = Directions(plan, self.places)
        self._dependence = Dependence(plan, self.places, self.rows, self.elements)
        self._known: tuple[Solved, float, Array, Array] | None = None

    @property
    def n(self) -> int:
        """Number of variables x."""
        return len(self.places)

    @property
    def m(self) -> int:
        """Number of outputs."""
        return len(self.rows) + len(self.elements)

    # first order ---------------------------------------------------------------------------------------------

    def _seeds(self, sigma: float, y: Array) -> tuple[Array, Array]:
        """λ of all rows and seeds on the state for σJ + Σ y_i o_i."""
        lowered = self.plan.lowered
        lam, seeds = np.zeros(lowered.n_all_rows), np.zeros(lowered.state.size)
        lam[lowered.objective_row] = sigma
        np.add.at(lam, self.rows, y[: len(self.rows)])
        np.add.at(seeds, self.elements, y[len(self.rows) :])
        return lam, seeds

    def _pulled(self, solved: Solved, sigma: float, y: Array) -> tuple[Array, Array]:
        """(λ of all rows, w of the state) of σJ + Σ y_i o_i."""
        lam, seeds = self._seeds(sigma, np.asarray(y))
        return adjoints(self.plan, solved, lam, seeds if len(self.elements) else None)

    def multipliers(self, point: Point, sigma: float, y: Array) -> Array:
        """λ of all rows (n_all_rows,) for σJ + Σ y_i o_i, auxiliaries' included; read-only.

        λ of the objective's row is σ, of rows that are outputs y. Computed once for a point and its weights.
        """
        solved, known = solved_of(point), self._known
        if known is None or known[0] is not solved or known[1] != sigma or (
                len(y) and not np.array_equal(known[2], y)):
            lam, _ = self._pulled(solved, sigma, y)
            lam.flags.writeable = False
            known = self._known = solved, sigma, np.array(y, dtype=np.float64), lam
        return known[3]

    def gradient(self, point: Point, sigma: float, y: Array) -> Array:
        """σ∇J + Σ y_i ∇o_i (n,)."""
        return self._pulled(solved_of(point), sigma, y)[1][self.places]

    @cached_property
    def _jacobian(self) -> _Compressed:
        """The pattern of the Jacobian and the seeds that give it, tangents or adjoints, whichever are fewer."""
        found = self._dependence.jacobian()
        if found is None:
            if self.m * self.n > MOST_NUMBERS:
                raise SolveError(
                    f"the Jacobian of {self.m} constraints and bounds of eliminated variables by {self.n} variables is "
                    "dense: keep these variables, or some of the cycles, as unknowns"
                )
            i, j = np.indices((self.m, self.n), dtype=np.int32)
            found = i.ravel(), j.ravel()
        i, j = found
        loops = loops_of(self.plan.executor)
        columns, rows = colours_of(self.m, self.n, i, j, loops), colours_of(self.n, self.m, j, i, loops)
        by_adjoint = bool(np.max(rows, initial=-1) < np.max(columns, initial=-1))
        return _Compressed(i, j, rows if by_adjoint else columns, by_adjoint)

    @property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(outputs, variables) of the numbers of :meth:`jacobian`."""
        return self._jacobian.i, self._jacobian.j

    def jacobian(self, point: Point) -> Array:
        """The numbers of ∂o/∂x at ``jacobian_structure``: one tangent or back-substitution a colour."""
        solved, kept = solved_of(point), self._jacobian
        numbers = np.empty(len(kept.i))
        sweep = self._adjoint_sweep(solved) if kept.by_adjoint else self._tangent_sweep(solved)
        for colour, (entries, line) in enumerate(kept.parts):
            numbers[entries] = sweep((kept.colours == colour).astype(np.float64), line)
        bad = np.isnan(numbers)
        if bad.any() and self.m * self.n <= MOST_MENDED:
            numbers[bad] = self._careful_jacobian(solved)[kept.i[bad], kept.j[bad]]
        return numbers

    def _tangent_sweep(self, solved: Solved) -> Callable[[Array, Array], Array]:
        """A function of v and some outputs: their ȯ for ẋ = v."""
        lowered = self.plan.lowered
        places = np.concatenate([lowered.state.size + self.rows - lowered.objective_row, self.elements])
        return lambda v, outputs: self._directions.tangent(solved, v, places[outputs])

    def _adjoint_sweep(self, solved: Solved) -> Callable[[Array, Array], Array]:
        """A function of y and some variables: these elements of the gradient of Σ y_i o_i."""
        pull_back, first = PullBack.made(self.plan, solved), self.plan.lowered.objective_row

        def sweep(y: Array, variables: Array) -> Array:
            lam, seeds = self._seeds(0.0, y)
            if pull_back is None:
                return adjoints(self.plan, solved, lam, seeds)[1][self.places[variables]]
            return pull_back.seeded(lam[first:], seeds)[self.places[variables]]

        return sweep

    def _careful_jacobian(self, solved: Solved) -> Array:
        """Row by row or column by column, where a slope is infinite: see :mod:`.jacobian`."""
        rows, elements = np.full(self.m, -1), np.full(self.m, -1)
        rows[: len(self.rows)], elements[len(self.rows) :] = self.rows, self.elements
        found: Array = jacobian_matrix(self.plan, solved, (elements, rows), self.places)
        return found

    # second order --------------------------------------------------------------------------------------------

    def hessian_product(self, point: Point, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²J + Σ y_i ∇²o_i)·v (n,), the equations holding."""
        return self._directions.product(solved_of(point), self.multipliers(point, sigma, y), v, bool(np.any(y)))

    @cached_property
    def _hessian(self) -> _Compressed | None:
        found = self._dependence.hessian(MOST_PRODUCTS)
        if found is None:
            if self.n > MOST_PRODUCTS:
                return None
            i, j = (x.astype(np.int32) for x in np.tril_indices(self.n))
            return _Compressed(i, j, np.arange(self.n), by_adjoint=False)
        i, j = found
        both = np.concatenate([i, j]), np.concatenate([j, i])
        colours = colours_of(self.n, self.n, *both, loops_of(self.plan.executor))
        return None if np.max(colours, initial=-1) >= MOST_PRODUCTS else _Compressed(i, j, colours, by_adjoint=False)

    @property
    def hessian_structure(self) -> tuple[Array, Array] | None:
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`; None where that takes more than 300 products."""
        kept = self._hessian
        return None if kept is None else (kept.i, kept.j)

    def hessian(self, point: Point, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²J + Σ y_i ∇²o_i at ``hessian_structure``: one product a colour."""
        kept = self._hessian
        assert kept is not None
        numbers = np.empty(len(kept.i))
        for colour, (entries, line) in enumerate(kept.parts):
            v = (kept.colours == colour).astype(np.float64)
            numbers[entries] = self.hessian_product(point, sigma, y, v)[line]
        return numbers

    def dense_hessian(self, point: Point, sigma: float, y: Array) -> Array:
        """σ∇²J + Σ y_i ∇²o_i (n, n), symmetric."""
        kept = self._hessian
        if kept is None:
            found = np.array([self.hessian_product(point, sigma, y, unit) for unit in np.eye(self.n)])
            return np.asarray(0.5 * (found + found.T))
        found = np.zeros((self.n, self.n))
        found[kept.i, kept.j] = found[kept.j, kept.i] = self.hessian(point, sigma, y)
        return found


@dataclass(frozen=True, eq=False)
class _Compressed:
    """A pattern (i, j) and a colour for each of its columns, or of its rows where seeds are those of adjoints."""

    i: Array
    j: Array
    colours: Array
    by_adjoint: bool

    @cached_property
    def parts(self) -> list[tuple[Array, Array]]:
        """For every colour its entries, and where the seed of that colour has them: rows, or columns of adjoints."""
        seeded, line = (self.i, self.j) if self.by_adjoint else (self.j, self.i)
        of_entry = self.colours[seeded]
        order = np.argsort(of_entry, kind="stable")
        ends = np.cumsum(np.bincount(of_entry, minlength=int(self.colours.max(initial=-1)) + 1))
        return [(part, line[part]) for part in np.split(order, ends[:-1])] if len(ends) else []


def solved_of(point: Point) -> Solved:
    """What a point was computed to be; raises SolveError where its equations do not hold."""
    if not point.solved:
        raise SolveError("this point is where a solve failed: its equations do not hold, so it has no derivatives")
    return point._solved
