"""What every executor offers: the table "a program is a sum of kernels over index maps" as methods.

z is the flat state; λ lives on rows, w and ż on state elements. All outputs are added to, never overwritten, so that
runs add up. Arrays are float64 or complex128; ``lam``, ``w``, ``dz`` and ``out`` may carry a second axis of several
seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..expression import Array
from ..lowering import Group


class Run(Protocol):
    """Some groups, ready to be evaluated together; instances are independent of each other."""

    def values(self, z: Array, out: Array) -> None:
        """out[row_k] += φ_k."""

    def adjoint(self, z: Array, lam: Array, w: Array) -> None:
        """w[arg_jk] += λ[row_k]·∂φ_k/∂arg_j."""

    def tangent(self, z: Array, dz: Array, out: Array) -> None:
        """out[row_k] += Σ_j ∂φ_k/∂arg_j·ż[arg_jk]."""

    def jacobian_pattern(self) -> tuple[Array, Array]:
        """(rows, state elements) of the entries of :meth:`jacobian`; duplicates add up."""

    def jacobian(self, z: Array) -> Array:
        """∂φ_k/∂arg_j of every instance, in the order of the pattern."""

    def hessian_pattern(self) -> tuple[Array, Array]:
        """(i, j) with i >= j of the entries of :meth:`hessian`; duplicates add up."""

    def hessian(self, z: Array, lam: Array) -> Array:
        """Σ_k λ[row_k]·∂²φ_k/∂z_i∂z_j, the lower triangle, in the order of the pattern."""

    def hessian_product(self, z: Array, dz: Array, lam: Array, w: Array) -> None:
        """w[arg_ik] += λ[row_k]·Σ_j ∂²φ_k/∂arg_i∂arg_j·ż[arg_jk]: the tangent of :meth:`adjoint` in z."""

    def prepared_sums(self, quantity: str, slot: Array, constant: Array) -> Callable[..., Array]:
        """A function (z, out=None) for "jacobian", (z, λ, out=None) for "hessian": their entries added up by ``slot``,
        int32 (entries,), −1 for those left out, upon ``constant``, which is as long as the result."""

    def prepared_residuals(self, n: int, rows: Array, own: Array) -> Callable[..., Array]:
        """A function (z, out=None): Σ φ of rows 0 … n − 1, less z[own] of some ``rows``."""

    def prepared_gradient(self, size: int, columns: Array) -> Callable[..., Array]:
        """A function (z, out=None): ∂(row 0)/∂z at ``columns``, for states of ``size`` elements."""


class Executor(Protocol):
    """Makes runs of groups, and runs sequences in which each row may use those before it."""

    name: str

    def run(self, groups: Sequence[Group]) -> Run:
        """Prepare groups to be evaluated together."""

    def sequence(self, groups: Sequence[Group], order: Sequence[int], own: Array) -> Sequential:
        """Prepare explicit rows to be evaluated one after the other; see :class:`Sequential`."""


class Sequential(Protocol):
    """Explicit rows in order; ``order[i]`` is the group whose next instance comes i-th, ``own[i]`` what it adds to."""

    def propagate(self, z: Array) -> None:
        """z[own[i]] += φ of the i-th instance, one after the other."""
