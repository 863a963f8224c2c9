"""Tangents and Hessian products from the same inputs, at one solved point after the other, in memory made once.

    ż = dz/dx·v, the steps forward;   ẇ = Σ_i λ_i ∂²φ_i·ż over all rows;   (P ᵀ∂²L P)·v, by back-substitution from ẇ

with P = ∂z/∂x. By one native call where the plan is compiled; large blocks and user functions take part by Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..expression import Array
from .compiled import CompiledPlan, Listing
from .forward import Solved, restored
from .multipliers import adjoints, reports_by_step, step_back, tangent_step, tangents
from .plan import Plan
from .steps import blamed


class Workspace:
    """The arrays of one evaluation at a time."""

    def __init__(self, compiled: CompiledPlan, n_inputs: int, size: int) -> None:
        from ..execution.native.driver import Pointers

        n_rows = compiled.lowered.n_all_rows
        self.x, self.found = np.empty(n_inputs), np.empty(n_inputs)
        self.dz, self.w, self.lam = np.zeros(size), np.zeros(size), np.zeros(n_rows)
        self.change = np.zeros(0 if compiled.is_whole else n_rows)
        self.pointers = Pointers(dz=self.dz, out=self.dz, w=self.w, lam=self.lam, x=self.x, gradient=self.found,
                                 scratch=compiled.scratch())


class Directions:
    """Tangents and Hessian products of a plan along directions v of its ``inputs``, state elements that are given."""

    def __init__(self, plan: Plan, inputs: Array) -> None:
        self._plan, self._inputs = plan, inputs
        self._lists: dict[tuple[str, bool], tuple[Listing, int]] = {}
        self._free: dict[int, list[Workspace]] = {}

    def tangent(self, solved: Solved, v: Array, where: Array) -> Array:
        """Rates along v of the state elements ``where``; those after the state are the rows from the objective's on."""
        compiled = self._compiled(solved)
        if compiled is None:
            return self._tangent_by_python(solved, v)[where]
        space, listing = self._begin(compiled, "tangent", solved, v)
        self._run(listing, space, solved)
        found: Array = space.dz[where]
        self._free[len(space.dz)].append(space)
        return found

    def product(self, solved: Solved, lam: Array, v: Array) -> Array:
        """(Pᵀ ∂²/∂z²(Σ_i λ_i φ_i) P)·v (inputs,), with λ of all rows that belong together."""
        compiled = self._compiled(solved)
        if compiled is None:
            return self._product_by_python(solved, lam, v)
        space, listing = self._begin(compiled, "hessian_product", solved, v)
        space.lam[:] = lam  # the way back writes its own
        self._run(listing, space, solved)
        found = space.found.copy()
        self._free[len(space.dz)].append(space)
        return found

    # compiled ------------------------------------------------------------------------------------------------

    def _compiled(self, solved: Solved) -> CompiledPlan | None:
        compiled = self._plan.compiled
        if compiled is None or solved.z.dtype != np.float64:
            return None
        if solved.whole is None:
            solved.whole = restored(compiled, solved)
        return compiled

    def _begin(self, compiled: CompiledPlan, quantity: str, solved: Solved, v: Array) -> tuple[Workspace, Listing]:
        key = quantity, bool(solved.offset.any())
        if key not in self._lists:
            made = getattr(compiled, quantity)(self._inputs, key[1])
            self._lists[key] = made, compiled.extra.size
        listing, size = self._lists[key]
        try:
            space = self._free.setdefault(size, []).pop()
        except IndexError:
            space = Workspace(compiled, len(self._inputs), size)
        assert solved.whole is not None
        space.pointers.point("z", solved.whole)
        space.x[:] = v
        space.change.fill(0.0)
        return space, listing

    def _run(self, listing: Listing, space: Workspace, solved: Solved) -> None:
        plan, reports = self._plan, reports_by_step(solved.reports)
        n = len(solved.z)

        def help_with(asked: Any) -> bool:
            with np.errstate(all="ignore"):
                if asked is None:
                    for part in plan.compiled.called if plan.compiled is not None else ():
                        part.hessian_product(solved.z, space.dz[:n], space.lam, space.w[:n])
                    return True
                backward, step = asked
                with blamed(plan.lowered, step):
                    if backward:
                        step_back(step, solved.z, reports.get(id(step)), space.lam, space.w[:n])
                    else:
                        tangent_step(step, solved.z, space.dz[:n], space.change, reports)
            return True

        listing.run(space.pointers, help_with)

    # in Python -----------------------------------------------------------------------------------------------

    def _rates(self, solved: Solved, v: Array) -> Array:
        dz = np.zeros(len(solved.z), dtype=np.result_type(solved.z, v))
        dz[self._inputs] = v
        return tangents(self._plan, solved.z, dz, solved.reports)

    def _tangent_by_python(self, solved: Solved, v: Array) -> Array:
        dz, lowered = self._rates(solved, v), self._plan.lowered
        change = np.zeros(lowered.n_all_rows, dtype=dz.dtype)
        with np.errstate(all="ignore"):
            self._plan.objective.tangent(solved.z, dz, change)
            self._plan.constraints.tangent(solved.z, dz, change)
        return np.concatenate([dz, change[lowered.objective_row :]])

    def _product_by_python(self, solved: Solved, lam: Array, v: Array) -> Array:
        dz = self._rates(solved, v)
        w = np.zeros_like(dz)
        with np.errstate(all="ignore"):
            self._plan.everything.hessian_product(solved.z, dz, lam, w)
        return adjoints(self._plan, solved, np.zeros(len(lam)), w)[1][self._inputs]
