"""The reference executor: the meaning of every quantity, in NumPy, for float64 and complex128.

Kernels are interpreted node by node on whole boxes (large ones in pieces, so that reductions are never
materialised). Sequences run one instance at a time in generated scalar Python (``sequence``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..elementary import TABLE
from ..expression import Array
from ..lowering import ExternalKernel, Group, IndexMap, Kernel
from .prepared import Gradient, Residuals, Sums
from .product import ProductRun, is_product, joined_pairs
from .sequence import ScalarSequence


def kernel_values(kernel: Kernel, args: Sequence[Any], coefs: Sequence[Any]) -> list[Any]:
    """The outputs of a kernel for arrays (or numbers) of arguments and coefficients, node by node."""
    if isinstance(kernel, ExternalKernel):
        return list(kernel.results(args, coefs))
    values: list[Any] = []
    for node in kernel.nodes:
        match node[0]:
            case "arg":
                values.append(args[node[1]])
            case "coef":
                values.append(coefs[node[1]])
            case "const":
                values.append(node[1])
            case name:
                operands = [values[i] for i in node[1:]]
                values.append(elementary_function(name, operands)(*operands))
    return [values[i] for i in kernel.outputs]


def elementary_function(name: str, operands: Sequence[Any]) -> Callable[..., Any]:
    """The NumPy function of a table row, or its analytic form where an operand is complex."""
    row = TABLE[name]
    if row.analytic is not None and any(np.iscomplexobj(x) for x in operands):
        return row.analytic
    return row.function


def gather(array: Array, positions: IndexMap) -> Array:
    """array[positions], a strided view where the map is affine; a trailing axis of seeds is kept."""
    if positions.strides is None or not array.flags.c_contiguous:
        return np.asarray(array[positions.array()])
    step = array.strides[0]
    return np.ndarray(
        positions.shape + array.shape[1:], array.dtype, array, positions.offset * step,
        tuple(step * s for s in positions.strides) + array.strides[1:],
    )


class Scatter:
    """Adds a box of contributions to positions; right when instances share one."""

    def __init__(self, positions: IndexMap) -> None:
        self.positions = positions
        self.summed: tuple[int, ...] = ()
        if positions.strides is not None:
            self.summed = tuple(i for i, step in enumerate(positions.strides) if step == 0)
            kept = [i for i in range(len(positions.shape)) if i not in self.summed]
            self.target = IndexMap(tuple(positions.shape[i] for i in kept), positions.offset,
                                   tuple(positions.strides[i] for i in kept), None)
        else:
            self.target = positions
        self.injective = self.target.is_injective()

    def add(self, out: Array, values: Any) -> None:
        """out[positions] += values, which broadcast to the box (and the seeds)."""
        box = self.positions.shape
        full = np.broadcast_to(values, box + out.shape[1:])
        if self.summed:
            full = full.sum(axis=self.summed)
        if not self.injective or not out.flags.c_contiguous:
            np.add.at(out, self.target.array(), full)
        elif self.target.table is not None:
            out[self.target.table] += full
        else:
            view = gather(out, self.target)
            view += full


class GroupRun:
    """One group (a piece small enough to evaluate at once)."""

    def __init__(self, group: Group) -> None:
        self.kernel, self.args, self.coefs, self.row = group.kernel, group.args, group.coefs, group.row
        self.size, self.shape = group.size, group.shape
        self.to_row = Scatter(group.row)
        self.to_args = [Scatter(arg) for arg in group.args]

    def values(self, z: Array, out: Array) -> None:
        """out[row_k] += φ_k."""
        self.to_row.add(out, self._outputs(self.kernel, z)[0])

    def adjoint(self, z: Array, lam: Array, w: Array) -> None:
        """w[arg_jk] += λ[row_k]·∂φ_k/∂arg_j."""
        multiplier = gather(lam, self.row)
        partials = self._outputs(self.kernel.partials, z)
        for j, partial in enumerate(partials):
            if not self.kernel.partials.is_zero(j):
                self.to_args[j].add(w, self._product(multiplier, self._beside(partial, lam)))

    def tangent(self, z: Array, dz: Array, out: Array) -> None:
        """out[row_k] += Σ_j ∂φ_k/∂arg_j·ż[arg_jk]."""
        for j, partial in enumerate(self._outputs(self.kernel.partials, z)):
            if not self.kernel.partials.is_zero(j):
                self.to_row.add(out, self._product(gather(dz, self.args[j]), self._beside(partial, dz)))

    def jacobian_pattern(self) -> tuple[Array, Array]:
        """Rows and state elements, argument by argument."""
        live = [j for j in range(self.kernel.n_args) if not self.kernel.partials.is_zero(j)]
        row = self.row.array().ravel()
        return _joined([row] * len(live)), _joined([self.args[j].array().ravel() for j in live])

    def jacobian(self, z: Array) -> Array:
        """∂φ_k/∂arg_j, argument by argument."""
        partials = self._outputs(self.kernel.partials, z)
        live = [p for j, p in enumerate(partials) if not self.kernel.partials.is_zero(j)]
        return _joined([self._flat(partial) for partial in live], z.dtype)

    def hessian_pattern(self) -> tuple[Array, Array]:
        """(max, min) of the two positions, pair by pair."""
        positions = [arg.array().ravel() for arg in self.args]
        pairs = [(positions[i], positions[j]) for i, j in self.kernel.second_partials[1]]
        return (_joined([np.maximum(i, j) for i, j in pairs]), _joined([np.minimum(i, j) for i, j in pairs]))

    def hessian(self, z: Array, lam: Array) -> Array:
        """λ[row_k]·∂²φ_k/∂arg_i∂arg_j; off the diagonal pair (i, j) counts twice where the positions coincide."""
        kernel, pairs = self.kernel.second_partials
        multiplier = gather(lam, self.row)
        entries = []
        for (i, j), second in zip(pairs, self._outputs(kernel, z), strict=True):
            twice = 1.0 if i == j else np.where(self.args[i].array() == self.args[j].array(), 2.0, 1.0)
            entries.append(self._flat(multiplier * second * twice))
        return _joined(entries, np.result_type(z, lam))

    def hessian_product(self, z: Array, dz: Array, lam: Array, w: Array) -> None:
        """w[arg_ik] += λ[row_k]·Σ_j ∂²φ_k/∂arg_i∂arg_j·ż[arg_jk]."""
        kernel, pairs = self.kernel.second_partials
        multiplier, directions = gather(lam, self.row), [gather(dz, arg) for arg in self.args]
        if w.ndim > 1:  # several of λ, of ż, or of both: give the other one an axis too
            multiplier = multiplier if lam.ndim > 1 else multiplier[..., None]
            directions = directions if dz.ndim > 1 else [direction[..., None] for direction in directions]
        for (i, j), second in zip(pairs, self._outputs(kernel, z), strict=True):
            weighted = multiplier * self._beside(second, w)
            self.to_args[i].add(w, weighted * directions[j])
            if i != j:
                self.to_args[j].add(w, weighted * directions[i])

    def _product(self, weight: Any, partial: Any) -> Any:
        """weight·partial; 0 where a selection made the partial 0: no ∞·0 of the branch not taken."""
        product = weight * partial
        return np.where(np.equal(partial, 0.0), 0.0, product) if self.kernel.selects else product

    def _outputs(self, kernel: Kernel, z: Array) -> list[Any]:
        return kernel_values(kernel, [gather(z, arg) for arg in self.args], self.coefs)

    def _beside(self, values: Any, seeds: Array) -> Any:
        """Values of the box with an axis for seeds, where there are several."""
        return np.asarray(values)[..., None] if seeds.ndim > 1 else values

    def _flat(self, values: Any) -> Array:
        return np.broadcast_to(values, self.shape).ravel()


def _joined(parts: list[Array], dtype: Any = np.int64) -> Array:
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)


class ReferenceRun:
    """Several groups together, in pieces of at most ``most`` instances: each quantity is the sum of theirs."""

    def __init__(self, groups: Sequence[Group], most: int | None = None) -> None:
        self.parts: list[GroupRun | ProductRun] = []
        for group in groups:
            if is_product(group):
                self.parts.append(ProductRun(group, [GroupRun(piece) for piece in group.pieces(most)]))
            else:
                self.parts += [GroupRun(piece) for piece in group.pieces(most)]

    def values(self, z: Array, out: Array) -> None:
        """out[row_k] += φ_k."""
        for part in self.parts:
            part.values(z, out)

    def adjoint(self, z: Array, lam: Array, w: Array) -> None:
        """w[arg_jk] += λ[row_k]·∂φ_k/∂arg_j."""
        for part in self.parts:
            part.adjoint(z, lam, w)

    def tangent(self, z: Array, dz: Array, out: Array) -> None:
        """out[row_k] += Σ_j ∂φ_k/∂arg_j·ż[arg_jk]."""
        for part in self.parts:
            part.tangent(z, dz, out)

    def jacobian_pattern(self) -> tuple[Array, Array]:
        """Rows and state elements of the entries of :meth:`jacobian`."""
        return joined_pairs([part.jacobian_pattern() for part in self.parts])

    def jacobian(self, z: Array) -> Array:
        """∂φ_k/∂arg_j of every instance."""
        return _joined([part.jacobian(z) for part in self.parts], z.dtype)

    def hessian_pattern(self) -> tuple[Array, Array]:
        """(i, j), i >= j, of the entries of :meth:`hessian`."""
        return joined_pairs([part.hessian_pattern() for part in self.parts])

    def hessian(self, z: Array, lam: Array) -> Array:
        """λ[row_k]·∂²φ_k/∂z_i∂z_j, lower triangle."""
        return _joined([part.hessian(z, lam) for part in self.parts], z.dtype)

    def hessian_product(self, z: Array, dz: Array, lam: Array, w: Array) -> None:
        """w[arg_ik] += λ[row_k]·Σ_j ∂²φ_k/∂arg_i∂arg_j·ż[arg_jk]."""
        for part in self.parts:
            part.hessian_product(z, dz, lam, w)

    def prepared_sums(self, quantity: str, slot: Array, constant: Array) -> Sums:
        """What writes the entries of a Jacobian or Hessian added up by slot."""
        return Sums(self, quantity, slot, constant)

    def prepared_residuals(self, n: int, rows: Array, own: Array) -> Residuals:
        """What writes Σ φ − own."""
        return Residuals(self, n, rows, own)

    def prepared_gradient(self, size: int, columns: Array) -> Gradient:
        """What writes ∂(row 0)/∂z."""
        return Gradient(self, size, columns)


class ReferenceExecutor:
    """Runs everything in NumPy."""

    name = "reference"

    def run(self, groups: Sequence[Group]) -> ReferenceRun:
        """Prepare groups to be evaluated together."""
        return ReferenceRun(groups)

    def sequence(self, groups: Sequence[Group], order: Sequence[int], own: Array) -> ScalarSequence:
        """Prepare rows to be evaluated one after the other."""
        return ScalarSequence(groups, order, own, kernel_values)
