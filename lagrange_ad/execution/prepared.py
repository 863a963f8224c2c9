"""What optimizers ask for thousands of times, prepared once: numbers written where the caller wants them.

Each is a function of the state (and of λ) and of the array that takes the numbers, which is made where there is none.
These work by the methods of any run, for real and complex arrays; compiled runs have their own for real ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..expression import Array


class Sums:
    """The entries of ``run.jacobian`` or ``run.hessian`` added up by slot, int32 (entries,), −1: left out.

    ``constant`` (size,) is what stands there without any entry.
    """

    def __init__(self, run: Any, quantity: str, slot: Array, constant: Array) -> None:
        self._run, self._quantity, self._constant = run, quantity, constant
        self._inside = np.flatnonzero(slot >= 0)
        self._slot = slot[self._inside]

    def __call__(self, *given: Array, out: Array | None = None) -> Array:
        """The sums at a state, with λ for second derivatives."""
        with np.errstate(all="ignore"):
            entries = getattr(self._run, self._quantity)(*given)
        out = np.empty(len(self._constant), dtype=entries.dtype) if out is None else out
        out[:] = self._constant
        np.add.at(out, self._slot, entries[self._inside])
        return out


class Residuals:
    """Σ φ of rows 0 … n − 1, less z[own] of some ``rows``."""

    def __init__(self, run: Any, n: int, rows: Array, own: Array) -> None:
        self._run, self._n, self._rows, self._own = run, n, rows, own

    def __call__(self, z: Array, out: Array | None = None) -> Array:
        """Σ φ − z[own]."""
        found = np.zeros(self._n, dtype=z.dtype)
        with np.errstate(all="ignore"):
            self._run.values(z, found)
        found[self._rows] -= z[self._own]
        return _given(found, out)


class Gradient:
    """∂(row 0)/∂z at some ``columns`` of a state of ``size`` elements."""

    def __init__(self, run: Any, size: int, columns: Array) -> None:
        self._run, self._columns = run, columns

    def __call__(self, z: Array, out: Array | None = None) -> Array:
        """∂(Σ φ)/∂z[columns]."""
        w = np.zeros(len(z), dtype=z.dtype)
        with np.errstate(all="ignore"):
            self._run.adjoint(z, np.ones(1), w)
        return _given(w[self._columns], out)


def _given(numbers: Array, out: Array | None) -> Array:
    """The numbers, in the array that was given for them."""
    if out is None:
        return numbers
    out[:] = numbers
    return out
