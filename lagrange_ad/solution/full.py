"""The program at any state the user names, feasible or not, with the auxiliaries eliminated.

Auxiliaries follow from the user's state by one pass; their multipliers follow from the others by one pass back
(unit-triangular substitution). So everything here is in terms of the equations and variables the user wrote.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from ..expression import Array
from .newton import propagate_wide
from .plan import Plan


def complete(plan: Plan, z: Array, offset: Array) -> Array:
    """The state with its auxiliaries computed (in place)."""
    work = np.zeros(plan.lowered.n_all_rows, dtype=z.dtype)
    with np.errstate(all="ignore"):
        for step in plan.auxiliary_steps:
            propagate_wide(step, z, offset, work)
    return z


def residuals(plan: Plan, z: Array, offset: Array) -> Array:
    """r = ε + Σ φ − own of all rows, at a complete state; the objective's row holds J, constraints' their bodies."""
    lowered = plan.lowered
    out = offset.astype(np.result_type(z, offset))
    with np.errstate(all="ignore"):
        plan.everything.values(z, out)
    explicit = np.flatnonzero(lowered.own >= 0)
    out[explicit] -= z[lowered.own[explicit]]
    return out


def adjoint(plan: Plan, z: Array, lam: Array) -> Array:
    """∂/∂z of Σ_i λ_i r_i over all rows, for the user's state; λ of auxiliaries is filled in (in place)."""
    lowered = plan.lowered
    w = np.zeros(len(z), dtype=np.result_type(z, lam))
    user = lam.copy()
    user[lowered.n_user_rows : lowered.n_rows] = 0.0
    with np.errstate(all="ignore"):
        plan.everything.adjoint(z, user, w)
        for step in reversed(plan.auxiliary_steps):
            lam[step.rows] = w[step.own]
            step.run.adjoint(z, lam, w)
    own = lowered.own[: lowered.n_user_rows]
    explicit = np.flatnonzero(own >= 0)
    w[own[explicit]] -= lam[explicit]
    return w[: lowered.n_user]


def jacobian(plan: Plan, z: Array) -> Any:
    """∂r/∂z of the user's equation rows, the objective's and the constraints' rows, by the user's state; sparse CSR."""
    lowered = plan.lowered
    full = _jacobian_with_auxiliaries(plan, z)
    shown = np.concatenate([np.arange(lowered.n_user_rows), np.arange(lowered.n_rows, lowered.n_all_rows)])
    return sparse.csr_array(full[shown] @ _elimination(plan, full))


def hessian(plan: Plan, z: Array, lam: Array) -> Any:
    """∂²/∂z² of Σ_i λ_i r_i over all rows, by the user's state; sparse CSR, both triangles.

    λ of auxiliaries is filled in (in place). With a = g(z, a) eliminated it is Pᵀ H P, where P = ∂(z, a)/∂z.
    """
    adjoint(plan, z, lam)
    i, j = plan.everything.hessian_pattern()
    with np.errstate(all="ignore"):
        values = plan.everything.hessian(z, lam)
    lower: Any = sparse.csr_array((values, (i, j)), shape=(len(z), len(z)))
    full = lower + sparse.tril(lower, -1).T
    spread = _elimination(plan, _jacobian_with_auxiliaries(plan, z))
    return sparse.csr_array(spread.T @ full @ spread)


def _jacobian_with_auxiliaries(plan: Plan, z: Array) -> Any:
    """∂r/∂z of all rows by the whole state; the −1 of the user's own elements included, of auxiliaries left out."""
    lowered = plan.lowered
    rows, columns = plan.everything.jacobian_pattern()
    with np.errstate(all="ignore"):
        values = plan.everything.jacobian(z)
    explicit = np.flatnonzero(lowered.own[: lowered.n_user_rows] >= 0)
    entries = (
        np.concatenate([values, np.full(len(explicit), -1.0, dtype=values.dtype)]),
        (np.concatenate([rows, explicit]), np.concatenate([columns, lowered.own[explicit]])),
    )
    return sparse.csr_array(entries, shape=(lowered.n_all_rows, len(z)))


def _elimination(plan: Plan, full: Any) -> Any:
    """∂(z, a)/∂z = [I; (I − G_a)⁻¹ G_z] for the auxiliaries a = g(z, a): G_a is strictly triangular in their levels."""
    lowered = plan.lowered
    identity = sparse.eye_array(lowered.n_user, format="csr")
    if lowered.n_user == lowered.state.size:
        return identity
    hidden = full[lowered.n_user_rows : lowered.n_rows]
    on_user, on_hidden = hidden[:, : lowered.n_user], hidden[:, lowered.n_user :]
    total = on_user
    for _ in plan.auxiliary_steps[1:]:
        total = on_user + on_hidden @ total
    return sparse.vstack([identity, total], format="csr")
