"""Derivatives, first and second, of a program whose equations are solved at each point, by chosen given elements x.

Takes a plan, the state elements that are x, and the outputs: rows of constraints and elements of the state. Gives, at
solved points, the gradient and the Hessian of σJ + Σ y_i o_i and the Jacobian ∂o/∂x; structures are fixed once.

    λ: one back-substitution, its seeds σ on the objective's row and y on the outputs
    ż: one tangent sweep from ẋ = v;   ẇ = Σ_i λ_i ∂²φ_i·ż over all rows
    H·v: one more back-substitution, its seeds ẇ on the state; what arrives at x

Source: Griewank & Walther, "Evaluating Derivatives" (2008), second-order adjoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..errors import SolveError
from ..expression import Array
from .forward import Solved
from .jacobian import jacobian_matrix
from .multipliers import adjoints, tangents
from .plan import Plan
from .point import Point

MOST_PRODUCTS = 300
"""A Hessian that takes more products than this has no structure: products alone are offered."""


class Reduction:
    """σJ + Σ y_i o_i as a function of x, its equations solved: derivatives at points of the plan.

    ``places`` (n,): the state elements that are x, given ones. The m outputs o are the bodies of ``rows`` (rows of the
    lowered program after the objective's), then the state elements ``elements`` (found or given). J is as declared:
    whoever minimizes −J gives −σ. Numbers of the Jacobian stand at ``jacobian_structure``, those of the Hessian's lower
    triangle at ``hessian_structure``: (i, j), int32, sorted, each position once.

    Second derivatives of users' functions are theirs or numerical, as everywhere; so there always are some.
    """

    second_order = True

    def __init__(self, plan: Plan, places: Array, rows: Sequence[int] | Array = (),
                 elements: Sequence[int] | Array = ()) -> None:
        self.plan = plan
        self.places, self.rows, self.elements = (np.asarray(x, dtype=np.int64) for x in (places, rows, elements))
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

    def _pulled(self, solved: Solved, sigma: float, y: Array) -> tuple[Array, Array]:
        """(λ of all rows, w of the state) of σJ + Σ y_i o_i."""
        lowered = self.plan.lowered
        lam = np.zeros(lowered.n_all_rows)
        lam[lowered.objective_row] = sigma
        np.add.at(lam, self.rows, y[: len(self.rows)])
        seeds = None
        if len(self.elements):
            seeds = np.zeros(lowered.state.size)
            np.add.at(seeds, self.elements, y[len(self.rows) :])
        return adjoints(self.plan, solved, lam, seeds)

    def multipliers(self, point: Point, sigma: float, y: Array) -> Array:
        """λ of all rows (n_all_rows,) for σJ + Σ y_i o_i: dλ-weighted sums of second derivatives are taken with it.

        λ of the objective's row is σ, of rows that are outputs y. Computed once for a point and its weights; read-only.
        """
        solved, known = solved_of(point), self._known
        if known is None or known[0] is not solved or known[1] != sigma or not np.array_equal(known[2], y):
            lam, _ = self._pulled(solved, sigma, y)
            lam.flags.writeable = False
            known = self._known = solved, sigma, np.array(y, dtype=np.float64), lam
        return known[3]

    def gradient(self, point: Point, sigma: float, y: Array) -> Array:
        """σ∇J + Σ y_i ∇o_i (n,)."""
        return self._pulled(solved_of(point), sigma, np.asarray(y))[1][self.places]

    @cached_property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(outputs, variables) of the numbers of :meth:`jacobian`."""
        i, j = np.indices((self.m, self.n), dtype=np.int32)
        return i.ravel(), j.ravel()

    def jacobian(self, point: Point) -> Array:
        """The numbers of ∂o/∂x at ``jacobian_structure``."""
        none = np.full(self.m, -1)
        elements, rows = none.copy(), none
        rows[: len(self.rows)], elements[len(self.rows) :] = self.rows, self.elements
        found: Array = jacobian_matrix(self.plan, solved_of(point), (elements, rows), self.places)
        return found.ravel()

    # second order --------------------------------------------------------------------------------------------

    def hessian_product(self, point: Point, sigma: float, y: Array, v: Array) -> Array:
        """(σ∇²J + Σ y_i ∇²o_i)·v (n,), the equations holding."""
        lam, solved = self.multipliers(point, sigma, y), solved_of(point)
        dz, w = np.zeros(len(solved.z)), np.zeros(len(solved.z))
        dz[self.places] = v
        tangents(self.plan, solved.z, dz, solved.reports)
        with np.errstate(all="ignore"):
            self.plan.everything.hessian_product(solved.z, dz, lam, w)
        return adjoints(self.plan, solved, np.zeros(len(lam)), w)[1][self.places]

    @cached_property
    def hessian_structure(self) -> tuple[Array, Array] | None:
        """(i, j), i ≥ j, of the numbers of :meth:`hessian`; None where there are products alone."""
        if self.n > MOST_PRODUCTS:
            return None
        i, j = np.tril_indices(self.n)
        return i.astype(np.int32), j.astype(np.int32)

    def hessian(self, point: Point, sigma: float, y: Array) -> Array:
        """The numbers of σ∇²J + Σ y_i ∇²o_i at ``hessian_structure``."""
        assert self.hessian_structure is not None
        return self.dense_hessian(point, sigma, y)[self.hessian_structure]

    def dense_hessian(self, point: Point, sigma: float, y: Array) -> Array:
        """σ∇²J + Σ y_i ∇²o_i (n, n), by n products."""
        columns = [self.hessian_product(point, sigma, y, unit) for unit in np.eye(self.n)]
        found = np.array(columns).reshape(self.n, self.n)
        return 0.5 * (found + found.T)


def solved_of(point: Point) -> Solved:
    """What a point was computed to be; raises SolveError where its equations do not hold."""
    if not point.solved:
        raise SolveError("this point is where a solve failed: its equations do not hold, so it has no derivatives")
    return point._solved
