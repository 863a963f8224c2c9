"""Jacobians of several outputs by several inputs: back-substitution, one seed an output element, or tangents, one seed
an input element, whichever are fewer. Takes a plan, a solved state and what is asked for; gives a :class:`Jacobian`.

    rows by back-substitution:  w = ∂o/∂z + Σ_i λ_i ∂r_i/∂z, with λ of the equations for the seed o; w at the inputs
    columns by tangents:        ż = dz/dx_j;  ȯ = ∂o/∂z·ż
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..errors import DeclarationError, UnknownNameError
from ..expression import Array, Expression
from ..lowering import Blocks
from ..tables import ARRAY_COLUMNS, Column, Report, Rows, Shown, Table, array_cells
from ..text import listing, nearest, number
from .forward import Solved
from .multipliers import PullBack, adjoints, tangents
from .outputs import Quantity
from .plan import Plan
from .showing import shape_text

MODES = ("adjoint", "tangent")
MOST_COLUMNS = 8
"""A Jacobian with more columns is shown block by block."""
WORKING = 2**23
"""Numbers that the seeds worked on together may need: 64 MB."""


class Jacobian(Shown, Mapping[Any, Any]):
    """d(outputs)/d(inputs) in blocks: ``J["y", "x"]``, or ``J["y"]["x"]``, of shape y.shape + x.shape.

    Keys are names, or what was asked for itself (a symbol, an expression). ``J.matrix`` is all of it, one row an output
    element and one column an input element, in the order asked; a scipy.sparse CSR array where that was wanted.
    ``np.asarray(J)`` is the dense matrix. ``J.of`` and ``J.wrt`` are the names.
    """

    def __init__(self, matrix: Any, outputs: Sequence[Quantity], inputs: Sequence[Quantity]) -> None:
        self.matrix = matrix
        self._outputs, self._inputs = list(outputs), list(inputs)
        self._rows, self._columns = _slices(outputs), _slices(inputs)

    @property
    def of(self) -> list[str]:
        """The names of the outputs, in order."""
        return [q.name for q in self._outputs]

    @property
    def wrt(self) -> list[str]:
        """The names of the inputs, in order."""
        return [q.name for q in self._inputs]

    @property
    def shape(self) -> tuple[int, int]:
        """(output elements, input elements)."""
        rows, columns = self.matrix.shape
        return rows, columns

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            if len(key) != 2:
                raise UnknownNameError(f"a block of a Jacobian has two names, J[of, wrt], got {len(key)}")
            return self._block(_find(self._outputs, key[0], "output"), _find(self._inputs, key[1], "input"))
        return _Row(self, _find(self._outputs, key, "output"))

    def __contains__(self, key: object) -> bool:
        first = key[0] if isinstance(key, tuple) and len(key) == 2 else key
        found = _place(self._outputs, first) is not None
        return found and (first is key or _place(self._inputs, key[1]) is not None)  # type: ignore[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def __len__(self) -> int:
        return len(self._outputs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        dense = self.matrix if isinstance(self.matrix, np.ndarray) else self.matrix.toarray()
        return np.array(dense, dtype=dtype) if copy else np.asarray(dense, dtype=dtype)

    def _block(self, output: int, given: int) -> Any:
        """One block in its shape; a float where both are scalars."""
        part = self.matrix[self._rows[output], self._columns[given]]
        dense = part if isinstance(part, np.ndarray) else part.toarray()
        block = dense.reshape(self._outputs[output].shape + self._inputs[given].shape)
        return float(block) if block.ndim == 0 else block

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _head(self) -> str:
        rows, columns = self.shape
        return f"Jacobian of {listing(self.of)} by {listing(self.wrt)}: {rows} × {columns}"

    def _report(self) -> Report:
        """The matrix with the names of elements where it has few columns, else a row a block."""
        rows, columns = self.shape
        if columns > MOST_COLUMNS:
            pairs = [(of, wrt) for of in self.of for wrt in self.wrt]

            def block(i: int) -> list[str]:
                part = np.asarray(self[pairs[i]])
                return [*pairs[i], shape_text(part.shape), *array_cells(part)]

            heads = [Column("of", role="name"), Column("wrt", role="name"), Column("shape", role="kind")]
            return Report(self._head(), [Table("", [*heads, *ARRAY_COLUMNS], Rows(len(pairs), block))], [])
        outputs, inputs = (Blocks([q.name for q in side], [q.shape for q in side], [None] * len(side))
                           for side in (self._outputs, self._inputs))

        def line(i: int) -> list[str]:
            found = self.matrix[[i]]
            dense = found if isinstance(found, np.ndarray) else found.toarray()
            return [outputs.element(i), *map(number, dense.ravel().tolist())]

        heads = [Column("", role="name"), *(Column(f"d/d {inputs.element(j)}", numeric=True) for j in range(columns))]
        return Report(self._head(), [Table("", heads, Rows(rows, line))], [])


class _Row(Mapping[Any, Any]):
    """The blocks of one output by input."""

    def __init__(self, whole: Jacobian, output: int) -> None:
        self._whole, self._output = whole, output

    def __getitem__(self, key: Any) -> Any:
        return self._whole._block(self._output, _find(self._whole._inputs, key, "input"))

    def __contains__(self, key: object) -> bool:
        return _place(self._whole._inputs, key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole.wrt)

    def __len__(self) -> int:
        return len(self._whole._inputs)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {self[name]!r}" for name in self) + "}"


def _slices(quantities: Sequence[Quantity]) -> list[slice]:
    ends = accumulate((q.size for q in quantities), initial=0)
    return [slice(lo, hi) for lo, hi in pairwise(ends)]


def _place(quantities: Sequence[Quantity], key: Any) -> int | None:
    for i, q in enumerate(quantities):
        if q.key is key or (isinstance(key, str) and q.name == key):
            return i
    if isinstance(key, Expression) and key.op == "symbol":
        return _place(quantities, key.data.name)
    return None


def _find(quantities: Sequence[Quantity], key: Any, what: str) -> int:
    at = _place(quantities, key)
    if at is None:
        names = [q.name for q in quantities]
        raise UnknownNameError(
            f"this Jacobian has no {what} {key!r}{nearest(str(key), names)}; it has {listing(names)}"
        )
    return at


# computing it ---------------------------------------------------------------------------------------------------


def require_mode(mode: Any) -> None:
    """Raise DeclarationError for a mode that there is not."""
    if mode is not None and mode not in MODES:
        raise DeclarationError(f"mode= is 'adjoint', 'tangent' or None (whichever needs fewer seeds), got {mode!r}")


def jacobian_matrix(plan: Plan, solved: Solved, outputs: tuple[Array, Array], inputs: Array, *, mode: str | None = None,
                    sparse: bool = False, pull_back: PullBack | None = None) -> Any:
    """d(outputs)/d(inputs), (outputs, inputs): an array, or CSR without its zeros.

    ``outputs``: the state element of each, or −1, and its row, or −1; ``inputs``: state elements. Seeds are worked on
    in portions, so that memory stays that of the result and of one portion.
    """
    by_adjoint = len(outputs[0]) <= len(inputs) if mode is None else mode == "adjoint"
    if by_adjoint:
        portions = _rows(plan, solved, outputs, inputs, pull_back)
    else:
        portions = _columns(plan, solved, outputs, inputs)
    if mode is None:
        portions = _mended(plan, solved, outputs, inputs, portions, by_adjoint)
    shape = (len(outputs[0]), len(inputs))
    if not sparse:
        return _joined(portions, shape, by_adjoint)
    from scipy import sparse as matrices

    parts = [matrices.csr_array(part) for _, part in portions]
    join = matrices.vstack if by_adjoint else matrices.hstack
    return matrices.csr_array(join(parts)) if parts else matrices.csr_array(shape)


def spread_columns(matrix: Any, columns: Array, n: int) -> Any:
    """A matrix of n columns with those of ``matrix`` at the places ``columns``, 0 elsewhere; sparse where it is."""
    if len(columns) == n:
        return matrix
    if isinstance(matrix, np.ndarray):
        whole = np.zeros((len(matrix), n))
        whole[:, columns] = matrix
        return whole
    from scipy import sparse

    return sparse.csr_array((matrix.data, columns[matrix.indices], matrix.indptr), shape=(matrix.shape[0], n))


def _joined(portions: Iterator[tuple[slice, Array]], shape: tuple[int, int], by_rows: bool) -> Array:
    matrix = np.empty(shape)
    for where, part in portions:
        if by_rows:
            matrix[where] = part
        else:
            matrix[:, where] = part
    return matrix


def _portions(plan: Plan, n_seeds: int) -> Iterator[slice]:
    """The seeds, so many at once that the work of all groups fits the memory for it."""
    lowered = plan.lowered
    largest = max((group.size * (1 + len(group.args)) for group in lowered.all_groups), default=0)
    at_once = max(1, WORKING // max(1, 2 * lowered.state.size + lowered.n_all_rows + 2 * largest))
    return (slice(at, min(at + at_once, n_seeds)) for at in range(0, n_seeds, at_once))


def _rows(plan: Plan, solved: Solved, outputs: tuple[Array, Array], inputs: Array,
          pull_back: PullBack | None) -> Iterator[tuple[slice, Array]]:
    """Rows of the Jacobian: compiled code takes one seed after the other, the reference a portion at once."""
    elements, rows = outputs
    pull_back = PullBack.made(plan, solved) if pull_back is None else pull_back
    for where in _portions(plan, len(elements)):
        if pull_back is not None:
            pairs = zip(elements[where].tolist(), rows[where].tolist(), strict=True)
            yield where, np.array([pull_back(element, row)[inputs] for element, row in pairs])
            continue
        k = np.arange(where.stop - where.start)
        lam, seeds = np.zeros((plan.lowered.n_all_rows, len(k))), np.zeros((plan.lowered.state.size, len(k)))
        on_row, on_state = rows[where] >= 0, elements[where] >= 0
        lam[rows[where][on_row], k[on_row]] = 1.0
        seeds[elements[where][on_state], k[on_state]] = 1.0
        yield where, adjoints(plan, solved, lam, seeds)[1][inputs].T


def _columns(plan: Plan, solved: Solved, outputs: tuple[Array, Array], inputs: Array) -> Iterator[tuple[slice, Array]]:
    """Columns of the Jacobian."""
    for where in _portions(plan, len(inputs)):
        dz = np.zeros((plan.lowered.state.size, where.stop - where.start))
        dz[inputs[where], np.arange(dz.shape[1])] = 1.0
        yield where, pushed(plan, solved, dz, outputs)


def _mended(plan: Plan, solved: Solved, outputs: tuple[Array, Array], inputs: Array,
            portions: Iterator[tuple[slice, Array]], by_adjoint: bool) -> Iterator[tuple[slice, Array]]:
    """Portions whose NaN are those of the other direction: where an infinite slope met a multiplier that is 0, for an
    output that does not use it, the tangent has none; where it met a tangent that is 0, back-substitution has none."""
    for where, part in portions:
        bad = np.isnan(part)
        if bad.any() and by_adjoint:
            at, rows = np.flatnonzero(bad.any(axis=0)), (outputs[0][where], outputs[1][where])
            for these, other in _columns(plan, solved, rows, inputs[at]):
                part[:, at[these]] = np.where(bad[:, at[these]], other, part[:, at[these]])
        elif bad.any():
            at = np.flatnonzero(bad.any(axis=1))
            for these, other in _rows(plan, solved, (outputs[0][at], outputs[1][at]), inputs[where], None):
                part[at[these]] = np.where(bad[at[these]], other, part[at[these]])
        yield where, part


def pushed(plan: Plan, solved: Solved, dz: Array, outputs: tuple[Array, Array]) -> Array:
    """ȯ of outputs for ż of the inputs (in ``dz``, which is filled in place); (outputs, seeds)."""
    elements, rows = outputs
    tangents(plan, solved.z, dz, solved.reports)
    found = dz[elements]  # −1 takes some element, to be overwritten
    if (rows >= 0).any():
        change = np.zeros((plan.lowered.n_all_rows, *dz.shape[1:]))
        with np.errstate(all="ignore"):
            plan.objective.tangent(solved.z, dz, change)
            plan.constraints.tangent(solved.z, dz, change)
        found[rows >= 0] = change[rows[rows >= 0]]
    return found
