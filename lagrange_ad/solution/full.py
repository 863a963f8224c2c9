"""The program at any state the user names, feasible or not, with the auxiliaries eliminated.

Auxiliaries follow from the user's state by one pass; their multipliers follow from the others by one pass back
(unit-triangular substitution). So everything here is in terms of the equations and variables the user wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..execution import Run
from ..expression import Array
from ..lowering import Group
from .block import propagate_wide
from .plan import Plan
from .steps import WideStep, distribute, wide_steps

if TYPE_CHECKING:
    from .elimination import Elimination


def complete(plan: Plan, z: Array, offset: Array | None) -> Array:
    """The state with its auxiliaries computed (in place); ``offset`` is ε of all rows, None for 0."""
    if not plan.auxiliary_steps:
        return z
    return propagated(plan.auxiliary_steps, z, np.zeros(plan.lowered.n_all_rows) if offset is None else offset)


def propagated(steps: Sequence[WideStep], z: Array, offset: Array) -> Array:
    """The state with explicit rows computed step by step, in place."""
    work = np.zeros(len(offset), dtype=z.dtype)
    with np.errstate(all="ignore"):
        for step in steps:
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

    ``slot`` tells for each entry its place among the matrix's numbers, −1 for those left out.
    """

    def __init__(self, i: Array, j: Array, shape: tuple[int, int]) -> None:
        inside = np.flatnonzero((i >= 0) & (j >= 0))
        keys, place = np.unique(i[inside] * shape[1] + j[inside], return_inverse=True)
        self.shape, self.size = shape, len(keys)
        self.slot = np.full(len(i), -1, dtype=np.int32)
        self.slot[inside] = place.ravel()
        rows, columns = np.divmod(keys, max(shape[1], 1))
        self.rows, self.columns = rows.astype(np.int32), columns.astype(np.int32)

    @cached_property
    def indptr(self) -> Array:
        """Where the numbers of each row begin."""
        return np.searchsorted(self.rows, np.arange(self.shape[0] + 1)).astype(np.int32)

    def matrix(self, numbers: Array) -> Any:
        """The CSR array of given numbers."""
        from scipy import sparse

        return sparse.csr_array((numbers, self.columns.copy(), self.indptr.copy()), shape=self.shape)


Numbers = Callable[..., Array]
"""A prepared function of the state, and of what else it takes, to numbers."""


class FullSpace:
    """Chosen rows of a plan as functions of chosen elements of the state: values, first and second derivatives.

    ``rows`` (m,) count as those of the lowered program: r = right − left of equations, J of the objective, the bodies
    of constraints; by default all of the user's equations and constraints. ``columns`` (n,) are elements of the state;
    by default the given inputs, then what is found. Other elements are constants, but for auxiliaries that are no
    columns: these are eliminated, so their rows cannot be chosen.

    Every method takes a complete state z (:meth:`complete`). Numbers of sparse matrices stand at patterns fixed once,
    sorted by row and then by column; ``out`` takes them, else an array is made.
    """

    def __init__(self, plan: Plan, columns: Array | None = None, rows: Array | None = None) -> None:
        self.plan, lowered = plan, plan.lowered
        self.columns = _given_and_found(plan) if columns is None else np.asarray(columns, dtype=np.int64)
        self.rows = _of_user(plan) if rows is None else np.asarray(rows, dtype=np.int64)
        kept = np.zeros(lowered.state.size, dtype=bool)
        kept[self.columns] = True
        self.hidden = lowered.n_user + np.flatnonzero(~kept[lowered.n_user :])
        self._hidden_rows = self.hidden + lowered.n_user_rows - lowered.n_user
        if np.isin(self.rows, self._hidden_rows).any():
            raise ValueError("a row of an auxiliary that is eliminated was chosen: choose its element as a column too")

    # rows by the numbers they have here --------------------------------------------------------------------

    @cached_property
    def _place(self) -> Array:
        """Of each row of the program its number here, −1 of those not wanted: chosen, objective, eliminated."""
        lowered, m = self.plan.lowered, len(self.rows)
        place = np.full(lowered.n_all_rows, -1, dtype=np.int64)
        place[lowered.objective_row] = m
        place[self.rows] = np.arange(m)
        place[self._hidden_rows] = m + 1 + np.arange(len(self.hidden))
        return place

    @cached_property
    def _groups(self) -> list[list[Group]]:
        """The groups of the chosen rows, and of the objective where it is none of them."""
        m = len(self.rows)
        slot = np.where(self._place == m, 1, np.where((self._place >= 0) & (self._place < m), 0, -1))
        return [[group.with_rows(self._place) for group in groups]
                for groups in distribute(self.plan.lowered.all_groups, slot, 2)]

    @cached_property
    def _run(self) -> Run:
        """The chosen rows, then the objective."""
        return self.plan.executor.run([*self._groups[0], *self._groups[1]])

    @cached_property
    def _left(self) -> tuple[Array, Array]:
        """The chosen rows with an element alone on their left, and the elements."""
        lowered = self.plan.lowered
        own = np.append(lowered.own, np.full(lowered.n_all_rows - lowered.n_rows, -1))[self.rows]
        rows = np.flatnonzero(own >= 0)
        return rows, own[rows]

    @cached_property
    def _wide(self) -> FullSpace:
        """The same with what is eliminated as further columns and rows."""
        return FullSpace(self.plan, np.concatenate([self.columns, self.hidden]),
                         np.concatenate([self.rows, self._hidden_rows]))

    @cached_property
    def _elimination(self) -> Elimination:
        from .elimination import Elimination

        lowered, number = self.plan.lowered, _numbers(self.hidden, self.plan.lowered.state.size)
        levels = [number[lowered.own[step.rows]] for step in self._steps]
        wide = self._wide
        return Elimination(wide.jacobian_structure, wide.hessian_structure, len(self.rows), len(self.columns), levels,
                           self.plan.executor.name == "native")

    @cached_property
    def _steps(self) -> tuple[WideStep, ...]:
        """What computes the eliminated auxiliaries, in order."""
        steps, lowered = self.plan.auxiliary_steps, self.plan.lowered
        if len(self.hidden) == lowered.state.size - lowered.n_user:
            return steps
        eliminated = self._place > len(self.rows)
        batches = [step.rows[eliminated[step.rows]] for step in steps]
        return wide_steps(lowered, [rows for rows in batches if len(rows)], self.plan.executor)

    @cached_property
    def _column_parts(self) -> list[tuple[Any, Any]]:
        return _stretches(self.columns)

    def put(self, z: Array, x: Array) -> Array:
        """The state with x at the columns, and then with the eliminated auxiliaries computed, in place."""
        for part, elements in self._column_parts:
            z[elements] = x[part]
        return self.complete(z)

    def complete(self, z: Array) -> Array:
        """The state with the eliminated auxiliaries computed, in place."""
        return propagated(self._steps, z, np.zeros(self.plan.lowered.n_all_rows)) if len(self.hidden) else z

    # values ------------------------------------------------------------------------------------------------

    @cached_property
    def _residuals(self) -> Numbers:
        return self.plan.executor.run(self._groups[0]).prepared_residuals(len(self.rows), *self._left)

    def residuals(self, z: Array, out: Array | None = None) -> Array:
        """The chosen rows (m,): r, J, bodies of constraints."""
        return self._residuals(z, out)

    @cached_property
    def _objective(self) -> tuple[Numbers, Numbers]:
        lowered = self.plan.lowered
        row = np.full(lowered.n_all_rows, -1, dtype=np.int64)
        row[lowered.objective_row] = 0
        run = self.plan.executor.run([group.with_rows(row) for group in lowered.objective_groups])
        nothing = np.empty(0, dtype=np.int64)
        return run.prepared_residuals(1, nothing, nothing), run.prepared_gradient(lowered.state.size, self.columns)

    def objective(self, z: Array) -> Any:
        """J; 0 without an objective."""
        return self._objective[0](z).item()

    def gradient(self, z: Array, out: Array | None = None) -> Array:
        """∂J/∂columns (n,)."""
        if len(self.hidden):
            return _given(self._pulled_back(z, np.zeros(len(self.rows)), 1.0)[0][self.columns], out)
        return self._objective[1](z, out)

    def _pulled_back(self, z: Array, lam: Array, sigma: float) -> tuple[Array, Array]:
        """∂/∂z of σJ + Σ λ·φ of the chosen rows, and λ of the eliminated ones as a part of all rows."""
        rows = np.zeros(self.plan.lowered.n_all_rows, dtype=np.result_type(z, lam))
        w = np.zeros(len(z), dtype=rows.dtype)
        with np.errstate(all="ignore"):
            self._run.adjoint(z, _weights(lam, sigma, self._place[self.plan.lowered.objective_row]), w)
            for step in reversed(self._steps):
                rows[step.rows] = w[step.own]
                step.run.adjoint(z, rows, w)
        return w, rows[self._hidden_rows]

    # the Jacobian ------------------------------------------------------------------------------------------

    @cached_property
    def _jacobian(self) -> tuple[Pattern, Numbers]:
        """The pattern, and what computes the numbers."""
        m, column = len(self.rows), _numbers(self.columns, self.plan.lowered.state.size)
        i, j = self._run.jacobian_pattern()
        rows, own = self._left
        left = column[own]
        pattern = Pattern(np.concatenate([np.where(i < m, i, -1), rows]), np.concatenate([column[j], left]),
                          (m, len(self.columns)))
        constant = np.zeros(pattern.size)
        constant[pattern.slot[len(i) :][left >= 0]] = -1.0
        sums = self._run.prepared_sums("jacobian", pattern.slot[: len(i)], constant)
        pattern.slot = pattern.slot[:0]
        return pattern, sums

    @cached_property
    def jacobian_structure(self) -> tuple[Array, Array]:
        """(rows, columns) of :meth:`jacobian_numbers`, each place once, sorted; int32, to be left as they are."""
        if len(self.hidden):
            return self._elimination.jacobian_structure
        return self._jacobian[0].rows, self._jacobian[0].columns

    def jacobian_numbers(self, z: Array, out: Array | None = None) -> Array:
        """∂(rows)/∂(columns) at ``jacobian_structure``; NaN and infinities come out as they are."""
        if len(self.hidden):
            return _given(self._elimination.jacobian(self._wide.jacobian_numbers(z)), out)
        return self._jacobian[1](z, out=out)

    # the Hessian -------------------------------------------------------------------------------------------

    @cached_property
    def _hessian(self) -> tuple[Pattern, Numbers]:
        """The pattern of the lower triangle, and what computes the numbers."""
        column, n = _numbers(self.columns, self.plan.lowered.state.size), len(self.columns)
        i, j = (column[positions] for positions in self._run.hessian_pattern())
        outside = (i < 0) | (j < 0)
        low, high = np.where(outside, -1, np.minimum(i, j)), np.where(outside, -1, np.maximum(i, j))
        pattern = Pattern(high, low, (n, n))
        sums = self._run.prepared_sums("hessian", pattern.slot, np.zeros(pattern.size))
        pattern.slot = pattern.slot[:0]
        return pattern, sums

    @cached_property
    def hessian_structure(self) -> tuple[Array, Array]:
        """(rows, columns) of :meth:`hessian_numbers`: the lower triangle, rows >= columns, sorted; int32."""
        if len(self.hidden):
            return self._elimination.hessian_structure
        return self._hessian[0].rows, self._hessian[0].columns

    def hessian_numbers(self, z: Array, lam: Array, sigma: float = 1.0, out: Array | None = None) -> Array:
        """∂²/∂(columns)² of σJ + Σ_i λ_i·(row i), λ (m,), at ``hessian_structure``."""
        if len(self.hidden):
            hidden = self._pulled_back(z, lam, sigma)[1]
            wide = self._wide.hessian_numbers(z, np.concatenate([lam, hidden]), sigma)
            return _given(self._elimination.hessian(self._wide.jacobian_numbers(z), wide), out)
        return self._hessian[1](z, _weights(lam, sigma, self._place[self.plan.lowered.objective_row]), out=out)

    def hessian_times(self, z: Array, lam: Array, v: Array, sigma: float = 1.0) -> Array:
        """The same Hessian times v (n,), without its numbers where nothing is eliminated."""
        if len(self.hidden):
            i, j = self.hessian_structure
            numbers, off = self.hessian_numbers(z, lam, sigma), i != j
            other = np.bincount(j[off], (numbers * v[i])[off], len(v))
            return np.asarray(np.bincount(i, numbers * v[j], len(v)) + other)
        dz, w = np.zeros(len(z)), np.zeros(len(z))
        dz[self.columns] = v
        with np.errstate(all="ignore"):
            self._run.hessian_product(z, dz, _weights(lam, sigma, self._place[self.plan.lowered.objective_row]), w)
        found: Array = w[self.columns]
        return found

    # as the Lagrangian has them ----------------------------------------------------------------------------

    @cached_property
    def own(self) -> list[tuple[Any, Any]]:
        """All rows with an element alone on their left, and the elements: pairs of slices where they run together."""
        own = self.plan.lowered.own
        rows = np.flatnonzero(own >= 0)
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(own[rows]) != 1)) + 1
        if len(breaks) > MOST_RUNS:
            return [(rows, own[rows])]
        return [(_stretch(part), _stretch(own[part])) for part in np.split(rows, breaks) if len(part)]

    @cached_property
    def places(self) -> tuple[Any, Any]:
        """Where the given inputs and what is found stand in the state: slices where they run on."""
        n_inputs = int(np.count_nonzero(~self.plan.unknown[self.columns]))
        return _stretch(self.columns[:n_inputs]), _stretch(self.columns[n_inputs:])

    @cached_property
    def _row_parts(self) -> list[tuple[Any, Any]]:
        return _stretches(self.rows)

    @cached_property
    def _of_matrix(self) -> tuple[Pattern, Any]:
        """The Jacobian's pattern, and which of its numbers are of constraints."""
        pattern = Pattern(*self.jacobian_structure, (len(self.rows), len(self.columns)))
        return pattern, _stretch(np.flatnonzero(self.rows[pattern.rows] > self.plan.lowered.objective_row))

    def jacobian(self, z: Array) -> Any:
        """∂r/∂(columns), r = b − g of constraints; sparse CSR."""
        pattern, constrained = self._of_matrix
        numbers = self.jacobian_numbers(z)
        numbers[constrained] = -numbers[constrained]
        return pattern.matrix(numbers)

    @cached_property
    def _of_symmetric(self) -> tuple[Pattern, Array]:
        """The pattern of both triangles, and for each of its numbers the place in the lower one."""
        rows, columns = self.hessian_structure
        off = np.flatnonzero(rows != columns)
        n = len(self.columns)
        both = Pattern(np.concatenate([rows, columns[off]]), np.concatenate([columns, rows[off]]), (n, n))
        place = np.empty(both.size, dtype=np.intp)
        place[both.slot] = np.concatenate([np.arange(len(rows)), off])
        return both, place

    def hessian(self, z: Array, lam: Array) -> Any:
        """∂²/∂(columns)² of Σ_i λ_i r_i over all rows of the program, J among them; sparse CSR, both triangles."""
        both, place = self._of_symmetric
        goal = self.plan.lowered.objective_row
        sigma = lam[goal] if self._place[goal] == len(self.rows) else 0.0  # else it is one of the rows
        numbers = self.hessian_numbers(z, np.concatenate([lam[part] for _, part in self._row_parts]), sigma)
        return both.matrix(numbers[place])


def _given_and_found(plan: Plan) -> Array:
    """The given inputs, then what is found of the user's."""
    lowered = plan.lowered
    is_input = lowered.state.flags([s.kind == "input" for s in lowered.symbols.values()]
                                   + [False] * (len(lowered.state.names) - len(lowered.symbols)))
    return np.concatenate([np.flatnonzero(is_input & ~plan.unknown), np.flatnonzero(plan.unknown[: lowered.n_user])])


def _of_user(plan: Plan) -> Array:
    """The rows of the equations, then those of the constraints."""
    lowered = plan.lowered
    return np.delete(np.arange(lowered.n_all_rows), np.arange(lowered.n_user_rows, lowered.first_constraint_row))


def _weights(lam: Array, sigma: Any, goal: int) -> Array:
    """λ of the chosen rows and then of the objective, which is the row ``goal``."""
    is_complex = lam.dtype.kind == "c" or isinstance(sigma, complex)
    weights = np.empty(len(lam) + 1, dtype=np.complex128 if is_complex else np.float64)
    weights[:-1], weights[-1] = lam, 0.0
    weights[goal] += sigma
    return weights


def _given(numbers: Array, out: Array | None) -> Array:
    """The numbers, in the array that was given for them."""
    if out is None:
        return numbers
    out[:] = numbers
    return out


def _stretches(numbers: Array) -> list[tuple[Any, Any]]:
    """(places, numbers) of what runs together, as slices; all in one where there are too many of them."""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    if len(breaks) > MOST_RUNS:
        return [(slice(None), numbers)]
    bounds = [0, *breaks.tolist(), len(numbers)]
    return [(slice(lo, hi), _stretch(numbers[lo:hi])) for lo, hi in pairwise(bounds)]


def _stretch(numbers: Array) -> Any:
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
    space = _by_user(plan)
    return Pattern(*space.jacobian_structure, (len(space.rows), len(space.columns))).matrix(space.jacobian_numbers(z))


def hessian(plan: Plan, z: Array, lam: Array) -> Any:
    """∂²/∂z² of Σ_i λ_i r_i over all rows, by the user's state; sparse CSR, both triangles.

    λ of auxiliaries is filled in (in place). With a = g(z, a) eliminated it is Pᵀ H P, where P = ∂(z, a)/∂z.
    """
    adjoint(plan, z, lam)
    return _by_user(plan).hessian(z, lam)


def _by_user(plan: Plan) -> FullSpace:
    """The rows of the equations, the objective and the constraints, by the user's state."""
    lowered = plan.lowered
    rows = np.delete(np.arange(lowered.n_all_rows), np.arange(lowered.n_user_rows, lowered.n_rows))
    return FullSpace(plan, np.arange(lowered.n_user), rows)
