"""Solving with the factor of a nearby matrix: iterative refinement, and GMRES with the factor as preconditioner."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .factors import Factor
from .pattern import Array

REFINEMENTS = 5
ROUNDING = 2e-13
"""An estimated error of this part of the solution is as good as rounding."""


class Iterated(NamedTuple):
    """What an iteration came to: the solution (None where it was not worth going on), how many solves it took."""

    x: Array | None
    solves: int


def refined(factor: Factor, matrix: Any, b: Array, transposed: bool) -> Array | None:
    """The solution for ``matrix`` by a factor of a nearby one, with iterative refinement; None if that diverges."""
    operator = matrix.T if transposed else matrix
    x = factor.solve(b, transposed)
    last = np.inf
    for _ in range(REFINEMENTS):
        residual = b - operator @ x
        correction = factor.solve(residual, transposed)
        size = float(np.abs(correction).max(initial=0.0))
        if not np.isfinite(size) or size > 0.5 * last:
            break
        x = x + correction
        last = size
        if size <= 1e-15 * float(np.abs(x).max(initial=0.0)):
            return x
    return x if np.isfinite(last) and last <= 1e-13 * float(np.abs(x).max(initial=0.0)) else None


def gmres(factor: Factor, matrix: Any, b: Array, transposed: bool, accuracy: float, most: int,
          first: Array | None = None) -> Iterated:
    """x with A x = b, or Aᵀ x = b, to a relative ``accuracy`` by GMRES, M⁻¹ A x = M⁻¹ b with M the factored matrix.

    The norm is that of the error where M is near A: of M⁻¹(b − A x) in the unknowns that the factor scaled. ``first``
    is M⁻¹ b where that is known. Gives up before ``most`` solves when they will not do. Y. Saad, M. Schultz (1986).
    """
    operator = matrix.T if transposed else matrix
    scale = factor.row if transposed else factor.column
    start = (factor.solve(b, transposed) if first is None else first) / scale
    size, solves = float(np.linalg.norm(start)), int(first is None)
    if size == 0.0 or not np.isfinite(size):
        return Iterated(start * scale if size == 0.0 else None, solves)
    basis = np.empty((most + 1, len(b)), dtype=start.dtype)
    basis[0] = start / size
    h = np.zeros((most + 1, most), dtype=start.dtype)
    for k in range(most):
        w = factor.solve(operator @ (scale * basis[k]), transposed) / scale
        solves += 1
        _orthogonalise(w, basis, h, k)
        y, left = _least_squares(h[: k + 2, : k + 1], size)
        part = left / size
        if part <= accuracy or h[k + 1, k] == 0.0:
            return Iterated(scale * (y @ basis[: k + 1]), solves)
        if not np.isfinite(part) or _hopeless(part, accuracy, k + 1, most):
            break
    return Iterated(None, solves)


def _orthogonalise(w: Array, basis: Array, h: Array, k: int) -> None:
    """Put w, made orthogonal to the first k + 1 vectors and of length 1, behind them."""
    length = np.linalg.norm(w)
    known = basis[: k + 1]
    for _ in range(2):  # once more where rounding has eaten what is left
        along = known.conj() @ w
        w -= along @ known
        h[: k + 1, k] += along
        h[k + 1, k] = np.linalg.norm(w)
        if h[k + 1, k].real > 0.1 * length:
            break
    if h[k + 1, k] != 0.0:
        np.divide(w, h[k + 1, k], out=basis[k + 1])


def _least_squares(h: Array, size: float) -> tuple[Array, float]:
    """y that makes ‖size·e₁ − h y‖ least, and how little."""
    right = np.zeros(len(h), dtype=h.dtype)
    right[0] = size
    y = np.linalg.lstsq(h, right, rcond=None)[0]
    return y, float(np.linalg.norm(right - h @ y))


def _hopeless(part: float, accuracy: float, done: int, most: int) -> bool:
    """Whether the rate so far leads nowhere near the accuracy in the steps that are left."""
    if done < 2:
        return False
    if part > 0.9:
        return True
    return bool(done * np.log(accuracy) / np.log(part) > 1.5 * most)
