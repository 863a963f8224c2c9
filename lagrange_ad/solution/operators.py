"""The Jacobian of a block as an operator: products by the equations' tangents and adjoints, no matrix.

Takes a block of the plan and a state; gives J·v and Jᵀ·v of the user's rows by the user's unknowns, where what is
eliminated follows these, and carries what stands there over.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..expression import Array
from .steps import BlockStep, SequenceStep


class BlockOperator:
    """dr/dx of a block at a state, which is copied: ``shape`` (n, n), ``matvec`` and ``rmatvec``."""

    def __init__(self, step: BlockStep, z: Array) -> None:
        self.step, self._z = step, z.copy()
        self.shape, self.dtype = (len(step.columns), len(step.columns)), z.dtype
        own = step.own[: len(step.rows)]
        self._explicit = np.flatnonzero(own >= 0)
        self._own = own[self._explicit]

    def matvec(self, v: Array) -> Array:
        """J·v: the change of the residuals with that of the unknowns."""
        return self._pushed(np.asarray(v).ravel(), None)[0]

    def rmatvec(self, multipliers: Array) -> Array:
        """Jᵀ·λ."""
        w = np.zeros(len(self._z), dtype=np.result_type(self._z, multipliers))
        return self._pulled(np.asarray(multipliers).ravel(), w)[self.step.columns]

    def solved(self, solve: Callable[[Array], Array], b: Array) -> Array:
        """x of all unknowns with ∂r/∂z x = b, eliminated ones last; ``solve`` does it for the others alone."""
        n = len(self.step.rows)
        carried = b[:n] - self._pushed(np.zeros(n), -b)[0]
        return self._pushed(solve(carried), -b)[1][self.step.all_columns]

    def solved_transposed(self, solve: Callable[[Array], Array], b: Array) -> Array:
        """λ of all rows with (∂r/∂z)ᵀ λ = b, eliminated ones last."""
        w, step = np.zeros(len(self._z), dtype=np.result_type(self._z, b)), self.step
        w[step.all_columns] = -b
        multipliers = solve(-self._pulled(np.zeros(len(step.rows)), w.copy())[step.columns])
        self._pulled(multipliers, w)
        return np.concatenate([multipliers, *(w[part.own] for part in step.eliminated)])

    def _pushed(self, v: Array, change: Array | None) -> tuple[Array, Array]:
        """Changes of the user's residuals and of the state for those of the unknowns and of auxiliary rows."""
        step, z = self.step, self._z
        dz, out = (np.zeros(n, dtype=np.result_type(z, v)) for n in (len(z), step.cut.lowered.n_all_rows))
        if change is not None:
            out[step.all_rows] = change
            out[step.rows] = 0.0
        dz[step.columns] = v
        for part in step.eliminated:
            part.run.tangent(z, dz, out)
            change = out[part.rows]
            dz[part.own] = -part.factor(z).solve(change) if isinstance(part, SequenceStep) else change
        step.residual_run.tangent(z, dz, out)
        r = out[step.rows]
        r[self._explicit] -= dz[self._own]
        return r, dz

    def _pulled(self, multipliers: Array, w: Array) -> Array:
        """Add to adjoints ``w`` of the state what the rows give for their λ, auxiliaries by way of their own."""
        step, z = self.step, self._z
        lam = np.zeros(step.cut.lowered.n_all_rows, dtype=w.dtype)
        lam[step.rows] = multipliers
        step.residual_run.adjoint(z, lam, w)
        w[self._own] -= multipliers[self._explicit]
        for part in reversed(step.eliminated):
            here = w[part.own]
            lam[part.rows] = part.factor(z).solve(-here, transposed=True) if isinstance(part, SequenceStep) else here
            part.run.adjoint(z, lam, w)
        return w

