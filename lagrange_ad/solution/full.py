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
    """r = ε + Σ φ − own of all rows (the objective's row holds J, the constraints' their bodies), at a complete state."""
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
    """∂r/∂z of the user's equation rows, the objective's and the constraints' rows, by the user's state; sparse CSR.

    With auxiliaries a = g(z, a): R_z + R_a (I − G_a)⁻¹ G_z, where G_a is strictly triangular in their levels.
    """
    lowered = plan.lowered
    rows, columns = plan.everything.jacobian_pattern()
    with np.errstate(all="ignore"):
        values = plan.everything.jacobian(z)
    explicit = np.flatnonzero(lowered.own[: lowered.n_user_rows] >= 0)
    entries = (
        np.concatenate([values, np.full(len(explicit), -1.0, dtype=values.dtype)]),
        (np.concatenate([rows, explicit]), np.concatenate([columns, lowered.own[explicit]])),
    )
    full = sparse.csr_array(entries, shape=(lowered.n_all_rows, len(z)))
    hidden = np.arange(lowered.n_user_rows, lowered.n_rows)
    shown = np.concatenate([np.arange(lowered.n_user_rows), np.arange(lowered.n_rows, lowered.n_all_rows)])
    direct = full[shown]
    if not len(hidden):
        return direct
    on_user, on_hidden = full[hidden][:, : lowered.n_user], full[hidden][:, lowered.n_user :]
    total = on_user
    for _ in plan.auxiliary_steps[1:]:
        total = on_user + on_hidden @ total
    return sparse.csr_array(direct[:, : lowered.n_user] + direct[:, lowered.n_user :] @ total)
