"""Matrix products: a group that sums arg·arg or coef·arg over an axis of its box is a contraction for BLAS.

The group itself says so (its kernel and the zero strides of its maps); values, adjoint and tangent then go through
``np.einsum``, everything else through the plain pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..expression import Array, Shape
from ..lowering import Group, IndexMap

SMALLEST = 1 << 12
"""Boxes with fewer instances are not worth a contraction."""


def is_product(group: Group) -> bool:
    """Whether a group is a product summed over an axis, large enough to contract."""
    maps = [*group.args, group.row]
    if group.size < SMALLEST or not group.kernel.is_product() or any(m.strides is None for m in maps):
        return False
    strides = [m.strides or () for m in maps] + [c.strides for c in group.coefs]
    axes = [i for i, n in enumerate(group.shape) if n > 1]
    everywhere = all(any(steps[i] for steps in strides) for i in axes)
    return everywhere and any((group.row.strides or ())[i] == 0 for i in axes)


class Factor:
    """One operand (or the result) of a contraction: the axes of the box it moves along."""

    def __init__(self, shape: Shape, strides: tuple[int, ...]) -> None:
        self.axes = [i for i, (n, step) in enumerate(zip(shape, strides, strict=True)) if step != 0 and n > 1]
        self.shape = tuple(shape[i] for i in self.axes)


class ProductRun:
    """A product group; ``pieces`` are the same group as plain runs, for the quantities that BLAS does not give."""

    def __init__(self, group: Group, pieces: Sequence[Any]) -> None:
        self.pieces = pieces
        self.maps = [*group.args]
        self.factors = [Factor(group.shape, m.strides or ()) for m in group.args]
        self.constant: Array | None = None
        if len(group.args) == 1:
            coefficients = group.coefs[0]
            self.factors.append(Factor(group.shape, coefficients.strides))
            moving = tuple(slice(None) if i in self.factors[1].axes else 0 for i in range(len(group.shape)))
            self.constant = coefficients[moving]
        self.row_map, self.row = group.row, Factor(group.shape, group.row.strides or ())

    def values(self, z: Array, out: Array) -> None:
        """out[row] += Σ a·b."""
        a, b = self._operands(z)
        self._add(out, self.row_map, self.row, self._contract(a, self.factors[0], b, self.factors[1], self.row))

    def adjoint(self, z: Array, lam: Array, w: Array) -> None:
        """w[a] += Σ λ·b, w[b] += Σ λ·a."""
        if lam.ndim > 1:
            return _each(self.pieces, "adjoint", z, lam, w)
        multiplier = self._view(lam, self.row_map, self.row)
        operands = self._operands(z)
        for j, position in enumerate(self.maps):
            other = self.factors[1 - j]
            result = self._contract(multiplier, self.row, operands[1 - j], other, self.factors[j])
            self._add(w, position, self.factors[j], result)
        return None

    def tangent(self, z: Array, dz: Array, out: Array) -> None:
        """out[row] += Σ (ȧ·b + a·ḃ)."""
        if dz.ndim > 1:
            return _each(self.pieces, "tangent", z, dz, out)
        operands = self._operands(z)
        for j, position in enumerate(self.maps):
            moved = self._view(dz, position, self.factors[j])
            other = self.factors[1 - j]
            result = self._contract(moved, self.factors[j], operands[1 - j], other, self.row)
            self._add(out, self.row_map, self.row, result)
        return None

    def jacobian_pattern(self) -> tuple[Array, Array]:
        """Rows and state elements of the entries of :meth:`jacobian`."""
        return joined_pairs([piece.jacobian_pattern() for piece in self.pieces])

    def jacobian(self, z: Array) -> Array:
        """The partials of every instance."""
        return np.concatenate([piece.jacobian(z) for piece in self.pieces])

    def hessian_pattern(self) -> tuple[Array, Array]:
        """(i, j), i >= j, of the entries of :meth:`hessian`."""
        return joined_pairs([piece.hessian_pattern() for piece in self.pieces])

    def hessian(self, z: Array, lam: Array) -> Array:
        """The second partials of every instance."""
        return np.concatenate([piece.hessian(z, lam) for piece in self.pieces])

    def hessian_product(self, z: Array, dz: Array, lam: Array, w: Array) -> None:
        """w[a] += Σ λ·ḃ, w[b] += Σ λ·ȧ."""
        _each(self.pieces, "hessian_product", z, dz, lam, w)

    def _operands(self, z: Array) -> list[Array]:
        views = [self._view(z, m, f) for m, f in zip(self.maps, self.factors, strict=False)]
        return views if self.constant is None else [*views, self.constant]

    @staticmethod
    def _view(array: Array, positions: IndexMap, factor: Factor) -> Array:
        step = array.strides[0]
        strides = tuple((positions.strides or ())[i] * step for i in factor.axes)
        return np.ndarray(factor.shape, array.dtype, array, positions.offset * step, strides)

    @staticmethod
    def _contract(a: Array, a_factor: Factor, b: Array, b_factor: Factor, result: Factor) -> Array:
        present = [axis for axis in result.axes if axis in a_factor.axes or axis in b_factor.axes]
        product = np.einsum(a, a_factor.axes, b, b_factor.axes, present, optimize=True)
        index = tuple(slice(None) if axis in present else None for axis in result.axes)
        return np.asarray(product[index])

    def _add(self, out: Array, positions: IndexMap, factor: Factor, values: Array) -> None:
        """Add, allowing for positions that repeat (a convolution's overlapping windows)."""
        strides = tuple((positions.strides or ())[i] for i in factor.axes)
        moving = IndexMap(factor.shape, positions.offset, strides, None)
        if moving.is_injective():
            view = self._view(out, positions, factor)
            view += values
        else:
            np.add.at(out, moving.array(), np.broadcast_to(values, factor.shape))


def _each(pieces: Sequence[Any], method: str, *arguments: Any) -> None:
    for piece in pieces:
        getattr(piece, method)(*arguments)


def joined_pairs(patterns: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Several patterns one after the other."""
    nothing = np.empty(0, dtype=np.int64)
    return np.concatenate([nothing, *(p[0] for p in patterns)]), np.concatenate([nothing, *(p[1] for p in patterns)])
