"""Tangents and Hessian products from the same inputs, at one solved point after the other, in memory made once.

    ż = dz/dx·v, the steps forward;   ẇ = Σ_i λ_i ∂²φ_i·ż over all rows;   (P ᵀ∂²L P)·v, by back-substitution from ẇ

with P = ∂z/∂x. By one native call where the plan is compiled; large blocks and user functions take part by Python.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array
from .compiled import CompiledPlan, Listing
from .forward import Solved, restored
from .multipliers import back_substitute, reports_by_step, step_back, tangent_step, tangents
from .plan import Plan
from .steps import blamed

TANGENT, PRODUCT = "tangent", {True: "product", False: "product of the objective"}


class Workspace:
    """The arrays of one evaluation at a time of a list of native calls, pointed at one solved state after the other."""

    def __init__(self, compiled: CompiledPlan, listing: Listing, size: int, n_inputs: int, with_offsets: bool) -> None:
        from ..execution.native.driver import Pointers

        n_rows = compiled.lowered.n_all_rows
        self.listing, self.with_offsets = listing, with_offsets
        self.x, self.found = np.empty(n_inputs), np.empty(n_inputs)
        self.dz, self.w, self.lam = np.zeros(size), np.zeros(size), np.zeros(n_rows)
        self.change = np.zeros(0 if compiled.is_whole else n_rows)
        self.pointers = Pointers(dz=self.dz, out=self.dz, w=self.w, lam=self.lam, x=self.x, gradient=self.found,
                                 scratch=compiled.scratch())
        self.call = listing.tape.call(self.pointers)
        self.address, self.count = self.call.ctypes.data, listing.tape.count
        self.solved: Solved | None = None
        self.lam_is: Array | None = None
        self.everything = True

    def point_at(self, solved: Solved) -> None:
        """Work at another state."""
        assert solved.whole is not None
        self.pointers.point("z", solved.whole)
        self.solved = solved


class Directions:
    """Tangents and Hessian products of a plan along directions v of its ``inputs``, state elements that are given."""

    def __init__(self, plan: Plan, inputs: Array) -> None:
        self._plan, self._inputs = plan, inputs
        self._lists: dict[tuple[str, bool], tuple[Listing, int]] = {}
        self._free: dict[str, list[Workspace]] = {quantity: [] for quantity in (TANGENT, *PRODUCT.values())}

    def __reduce__(self) -> Any:
        return Directions, (self._plan, self._inputs)

    def tangent(self, solved: Solved, v: Array, where: Array) -> Array:
        """Rates along v of the state elements ``where``; those after the state are the rows from the objective's on."""
        space = self._taken(TANGENT, solved)
        if space is None:
            return self._tangent_by_python(solved, v)[where]
        space.x[:] = v
        self._run(space, solved)
        found: Array = space.dz[where]
        self._free[TANGENT].append(space)
        return found

    def product(self, solved: Solved, lam: Array, v: Array, everything: bool = True) -> Array:
        """(Pᵀ ∂²/∂z²(Σ_i λ_i φ_i) P)·v (inputs,), with λ of all rows that belong together, an array that stays.

        Unless ``everything`` is wanted, rows that the objective does not depend on are passed over: their λ is 0, and
        what is infinite there must not make a 0·∞ of it.
        """
        space = self._taken(PRODUCT[everything], solved)
        if space is None:
            return self._product_by_python(solved, lam, v, everything)
        if space.lam_is is not lam or not self._lam_stays:
            space.lam[:] = lam
            space.lam_is = lam
        space.x[:] = v
        self._run(space, solved)
        found = space.found.copy()
        self._free[PRODUCT[everything]].append(space)
        return found

    # compiled ------------------------------------------------------------------------------------------------

    @cached_property
    def _compiled(self) -> CompiledPlan | None:
        return self._plan.compiled

    @cached_property
    def _lam_stays(self) -> bool:
        """Whether no step writes multipliers of its own on the way back: blocks do, and whatever goes by Python."""
        return self._compiled is not None and self._compiled.is_whole and not self._compiled.block_steps

    def _taken(self, quantity: str, solved: Solved) -> Workspace | None:
        """A workspace that nobody else works in, at a solved state; None where Python does it."""
        try:
            space = self._free[quantity].pop()
        except IndexError:
            space = None
        if space is None or space.solved is not solved:
            space = self._pointed(quantity, solved, space)
        return space

    def _pointed(self, quantity: str, solved: Solved, space: Workspace | None) -> Workspace | None:
        compiled = self._compiled
        if compiled is None or solved.z.dtype != np.float64:
            return None
        if solved.whole is None:
            solved.whole = restored(compiled, solved)
        with_offsets = bool(solved.offset.any())
        if space is None or space.with_offsets != with_offsets:
            key = quantity, with_offsets
            if key not in self._lists:
                self._lists[key] = self._listing(compiled, *key), compiled.extra.size
            space = Workspace(compiled, *self._lists[key], len(self._inputs), with_offsets)
            space.everything = quantity == PRODUCT[True]
        space.point_at(solved)
        return space

    def _listing(self, compiled: CompiledPlan, quantity: str, with_offsets: bool) -> Listing:
        if quantity == TANGENT:
            return compiled.tangent(self._inputs, with_offsets)
        return compiled.hessian_product(self._inputs, with_offsets, quantity == PRODUCT[True])

    def _run(self, space: Workspace, solved: Solved) -> None:
        """The whole list: at one go, or, from its beginning, with the help of Python."""
        from ..execution.native.driver import drive, resumed

        if not len(space.change):
            at = drive()(space.address)
            if at == space.count or resumed(space.call, at):
                return
            space.lam[:] = space.lam if space.lam_is is None else space.lam_is
        space.change.fill(0.0)
        self._run_with_help(space, solved)

    def _run_with_help(self, space: Workspace, solved: Solved) -> None:
        compiled, lowered, reports = self._compiled, self._plan.lowered, reports_by_step(solved.reports)
        assert compiled is not None
        n = len(solved.z)
        change = space.change if len(space.change) else np.zeros(lowered.n_all_rows)

        def help_with(asked: Any) -> bool:
            with np.errstate(all="ignore"):
                if asked is None:
                    for part in compiled.called(space.everything):
                        part.hessian_product(solved.z, space.dz[:n], space.lam, space.w[:n])
                    return True
                backward, step = asked
                with blamed(lowered, step):
                    if backward:
                        step_back(step, solved.z, reports.get(id(step)), space.lam, space.w[:n])
                    else:
                        tangent_step(step, solved.z, space.dz[:n], change, reports)
            return True

        space.listing.run(space.pointers, help_with)

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

    def _product_by_python(self, solved: Solved, lam: Array, v: Array, everything: bool) -> Array:
        dz, plan = self._rates(solved, v), self._plan
        w = np.zeros_like(dz)
        with np.errstate(all="ignore"):
            (plan.everything if everything else plan.reached_run).hessian_product(solved.z, dz, lam, w)
            back_substitute(plan, solved.z, solved.reports, np.zeros(len(lam)), w, everything)
        return np.asarray(w[self._inputs])
