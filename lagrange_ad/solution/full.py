"""The program at any state the user names, feasible or not, with the auxiliaries eliminated.

Auxiliaries follow from the user's state by one pass; their multipliers follow from the others by one pass back
(unit-triangular substitution). So everything here is in terms of the equations and variables the user wrote.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array
from .block import propagate_wide
from .plan import Plan


def complete(plan: Plan, z: Array, offset: Array | None) -> Array:
    """The state with its auxiliaries computed (in place); ``offset`` is ε of all rows, None for 0."""
    if not plan.auxiliary_steps:
        return z
    offset = np.zeros(plan.lowered.n_all_rows) if offset is None else offset
    work = np.zeros(plan.lowered.n_all_rows, dtype=z.dtype)
    with np.errstate(all="ignore"):
        for step in plan.auxiliary_steps:
            propagate_wide(step, z, offset, work)
    return z


def completed(plan: Plan, user: Array) -> Array:
    """The complete state of values of the user's symbols."""
    z = np.zeros(plan.lowered.state.size, dtype=user.dtype)
    z[: len(user)] = user
    return complete(plan, z, None)


def residuals(plan: Plan, z: Array, offset: Array) -> Array:
    """r = ε + Σ φ − own of all rows, at a complete state; the objective's row holds J, constraints' their bodies."""
    out = offset.astype(np.result_type(z, offset))
    with np.errstate(all="ignore"):
        plan.everything.values(z, out)
    for rows, elements in plan.full_space.own:
        out[rows] -= z[elements]
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


MOST_RUNS = 64
"""More stretches of rows than this are one list of numbers."""


class Pattern:
    """Entries (i, j) of a sparse matrix, their places fixed once: duplicates are added, those with i or j −1 left out.

    ``slot`` tells for each entry its place among the matrix's numbers; those left out go to one more, ``size`` − 1.
    """

    def __init__(self, i: Array, j: Array, shape: tuple[int, int]) -> None:
        inside = np.flatnonzero((i >= 0) & (j >= 0))
        keys, place = np.unique(i[inside] * shape[1] + j[inside], return_inverse=True)
        self.shape, self.size = shape, len(keys) + 1
        self.slot = np.full(len(i), len(keys), dtype=np.int32)
        self.slot[inside] = place.ravel()
        self.rows, self.columns = keys // shape[1], (keys % shape[1]).astype(np.int32)
        self.indptr = np.searchsorted(self.rows, np.arange(shape[0] + 1)).astype(np.int32)

    def matrix(self, numbers: Array) -> Any:
        """The CSR array of given numbers."""
        from scipy import sparse

        return sparse.csr_array((numbers, self.columns.copy(), self.indptr.copy()), shape=self.shape)


class FullSpace:
    """∂r/∂(x, z) and ∂²L/∂(x, z)² of a plan, their patterns fixed once.

    Rows: the equations, then the constraints as b − g. Columns: the given inputs, then what is found, as declared.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, lowered = plan, plan.lowered
        self.rows = np.delete(np.arange(lowered.n_all_rows), np.arange(lowered.n_user_rows, lowered.objective_row + 1))
        self.sign = np.where(self.rows > lowered.objective_row, -1.0, 1.0)
        is_input = lowered.state.flags(
            [s.kind == "input" for s in lowered.symbols.values()]
            + [False] * (len(lowered.state.names) - len(lowered.symbols)))
        inputs = np.flatnonzero(is_input & ~plan.unknown)
        self.columns = np.concatenate([inputs, np.flatnonzero(plan.unknown[: lowered.n_user])])
        self._hidden = plan.lowered.n_user < plan.lowered.state.size
        self._n_inputs = len(inputs)

    @cached_property
    def own(self) -> list[tuple[Any, Any]]:
        """The rows with an element alone on their left, and the elements: pairs of slices where they run together."""
        own = self.plan.lowered.own
        rows = np.flatnonzero(own >= 0)
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(own[rows]) != 1)) + 1
        if len(breaks) > MOST_RUNS:
            return [(rows, own[rows])]
        return [(_run(part), _run(own[part])) for part in np.split(rows, breaks) if len(part)]

    @cached_property
    def places(self) -> tuple[Any, Any]:
        """Where the inputs and the variables stand in the state: slices where they run together."""
        return _run(self.columns[: self._n_inputs]), _run(self.columns[self._n_inputs :])

    @cached_property
    def _jacobian(self) -> tuple[Pattern, Array, int]:
        """The pattern, the −1 of own elements at their places, and where the numbers of constraints begin."""
        lowered = self.plan.lowered
        row, column = _numbers(self.rows, lowered.n_all_rows), _numbers(self.columns, lowered.state.size)
        i, j = self.plan.everything.jacobian_pattern()
        explicit = np.flatnonzero(lowered.own[: lowered.n_user_rows] >= 0)
        i, j = np.concatenate([row[i], row[explicit]]), np.concatenate([column[j], column[lowered.own[explicit]]])
        pattern = Pattern(i, j, (len(self.rows), len(self.columns)))
        n = len(i) - len(explicit)
        left = np.zeros(pattern.size)
        left[pattern.slot[n:]] = -1.0
        pattern.slot = pattern.slot[:n].copy()
        return pattern, left, int(pattern.indptr[lowered.n_user_rows])

    def jacobian(self, z: Array) -> Any:
        """∂r/∂(x, z), auxiliaries eliminated; sparse CSR."""
        from scipy import sparse

        if self._hidden:
            result = sparse.diags_array(self.sign) @ jacobian(self.plan, z)[:, self.columns][self._shown]
            return sparse.csr_array(result)
        pattern, left, constrained = self._jacobian
        with np.errstate(all="ignore"):
            numbers = self.plan.everything.jacobian_sums(z, pattern.slot, pattern.size)
        numbers += left
        np.negative(numbers[constrained:], out=numbers[constrained:])
        return pattern.matrix(numbers[:-1])

    @cached_property
    def _shown(self) -> Array:
        """The chosen rows among those of :func:`jacobian`."""
        lowered = self.plan.lowered
        hidden = lowered.n_rows - lowered.n_user_rows
        return np.where(self.rows >= lowered.n_rows, self.rows - hidden, self.rows)

    @cached_property
    def _hessian(self) -> tuple[Pattern, Pattern, Array]:
        """The pattern of one triangle, that of both, and for each number of both its place in the one."""
        column = _numbers(self.columns, self.plan.lowered.state.size)
        i, j = (column[positions] for positions in self.plan.everything.hessian_pattern())
        outside = (i < 0) | (j < 0)
        low, high = np.where(outside, -1, np.minimum(i, j)), np.where(outside, -1, np.maximum(i, j))
        shape = (len(self.columns), len(self.columns))
        half = Pattern(high, low, shape)
        off = np.flatnonzero(half.rows != half.columns)
        both = Pattern(np.concatenate([half.rows, half.columns[off]]),
                       np.concatenate([half.columns, half.rows[off]]), shape)
        place = np.empty(both.size - 1, dtype=np.int64)
        place[both.slot] = np.concatenate([np.arange(half.size - 1), off])
        return half, both, place

    def hessian(self, z: Array, lam: Array) -> Any:
        """∂²/∂(x, z)² of Σ_i λ_i r_i over all rows, auxiliaries eliminated; sparse CSR, both triangles."""
        if self._hidden:
            return hessian(self.plan, z, lam)[self.columns][:, self.columns].tocsr()
        half, both, place = self._hessian
        with np.errstate(all="ignore"):
            numbers = self.plan.everything.hessian_sums(z, lam, half.slot, half.size)
        return both.matrix(numbers[place])


def _run(numbers: Array) -> Any:
    """Consecutive numbers as a slice."""
    if len(numbers) and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def _numbers(chosen: Array, n: int) -> Array:
    """The place of each of n numbers among the chosen ones, −1 for others."""
    place = np.full(n, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    return place


def jacobian(plan: Plan, z: Array) -> Any:
    """∂r/∂z of the user's equation rows, the objective's and the constraints' rows, by the user's state; sparse CSR."""
    from scipy import sparse

    lowered = plan.lowered
    full = _jacobian_with_auxiliaries(plan, z)
    shown = np.concatenate([np.arange(lowered.n_user_rows), np.arange(lowered.n_rows, lowered.n_all_rows)])
    return sparse.csr_array(full[shown] @ _elimination(plan, full))


def hessian(plan: Plan, z: Array, lam: Array) -> Any:
    """∂²/∂z² of Σ_i λ_i r_i over all rows, by the user's state; sparse CSR, both triangles.

    λ of auxiliaries is filled in (in place). With a = g(z, a) eliminated it is Pᵀ H P, where P = ∂(z, a)/∂z.
    """
    from scipy import sparse

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
    from scipy import sparse

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
    from scipy import sparse

    lowered = plan.lowered
    identity = sparse.eye_array(lowered.n_user, format="csr")
    if lowered.n_user == lowered.state.size:
        return identity
    hidden = full[lowered.n_user_rows : lowered.n_rows]
    levels = [step.rows - lowered.n_user_rows for step in plan.auxiliary_steps]
    eliminated = _substituted(hidden[:, : lowered.n_user], hidden[:, lowered.n_user :], levels)
    return sparse.vstack([identity, eliminated], format="csr")


def _substituted(on_user: Any, on_hidden: Any, levels: list[Array]) -> Any:
    """The X with X = on_user + on_hidden X: each level of rows from the levels before it, in CSR memory that grows."""
    from scipy import sparse

    order = np.concatenate(levels)
    on_user, on_hidden = on_user[order], on_hidden[order][:, order]
    n, width = on_user.shape
    indptr = np.zeros(n + 1, dtype=np.int64)
    found = [np.empty(on_user.nnz + 64, dtype=x.dtype) for x in (on_user.data, on_user.indices)]
    begin = 0
    for rows in levels:
        end = begin + len(rows)
        before = sparse.csr_array((*(x[: indptr[begin]] for x in found), indptr[: begin + 1]), shape=(begin, width))
        level = sparse.csr_array(on_user[begin:end] + on_hidden[begin:end, :begin] @ before)
        indptr[begin + 1 : end + 1] = indptr[begin] + level.indptr[1:]
        for i, new in enumerate((level.data, level.indices)):
            if indptr[end] > len(found[i]):
                found[i] = np.resize(found[i], 2 * indptr[end])
            found[i][indptr[begin] : indptr[end]] = new
        begin = end
    total = sparse.csr_array((*(x[: indptr[n]] for x in found), indptr), shape=(n, width))
    back = np.empty(n, dtype=np.int64)
    back[order] = np.arange(n)
    return total[back]
