"""Scalar expressions of one form, all at once: one kernel, and columns of positions and coefficients.

Arguments that stand at the same positions in every instance are one argument of the kernel, whether the user wrote
``x[i]`` twice or kept it in a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..expression import Array
from ..forms import ARGUMENT, COEFFICIENT, Form, Instances, PackedEquations
from .kernel import Builder, Kernel, KernelNode

RIGHT, MINUS_LEFT, DIFFERENCE = 0, 1, 2
"""What is left of right − left: the right side where the left is the unknown or 0, −left where the right is 0."""


class Columns(NamedTuple):
    """Instances of one kernel: ``args`` (n_args, n), ``coefs`` (n_coefs, n) and ``owners`` (n,), as lists of arrays."""

    kernel: Kernel
    args: list[Array]
    coefs: list[Array]
    owners: Array


def expressions(instances: Instances) -> Columns:
    """The columns of instances whose form has one root."""
    owners, args, coefs = instances.columns()
    return _columns(instances.form, RIGHT, owners, args, coefs)


def residuals(equations: PackedEquations, explicit: Array) -> Iterator[Columns]:
    """The columns of right − left for the equations of a form; ``explicit`` (by owner): the right side alone."""
    form = equations.form
    owners, args, coefs = equations.columns()
    right, left = (_is_zero(form.nodes[root], coefs) for root in form.roots)
    kind = np.where(explicit[owners] | left, RIGHT, np.where(right, MINUS_LEFT, DIFFERENCE))
    for residual in np.unique(kind).tolist():
        chosen = np.flatnonzero(kind == residual)
        if len(chosen) == len(owners):
            yield _columns(form, residual, owners, args, coefs)
        else:
            yield _columns(form, residual, owners[chosen], args[:, chosen], coefs[:, chosen])


def heaviness(form: Form) -> int:
    """Most operations that the residual of an equation of this form has."""
    return 1 + sum(form.weights[root] for root in form.roots)


def _is_zero(node: KernelNode, coefs: Array) -> Array | bool:
    return coefs[node[1]] == 0.0 if node[0] == COEFFICIENT else False


def _columns(form: Form, residual: int, owners: Array, args: Array, coefs: Array) -> Columns:
    builder = Builder()
    roots = form.roots[:1] if residual == RIGHT else form.roots[1:] if residual == MINUS_LEFT else form.roots
    placed, used, numbers = _load(builder, form, roots, _first_of_equal(args))
    output = placed[roots[0]]
    if residual == MINUS_LEFT:
        output = builder.raw(("negative", output))
    elif residual == DIFFERENCE:
        output = builder.raw(("subtract", output, placed[roots[1]]))
    kernel = builder.finish([output])
    # what simplification left over at the end, as in 0·x, is not among the kernel's
    return Columns(kernel, [args[j] for j in used[: kernel.n_args]], [coefs[j] for j in numbers[: kernel.n_coefs]],
                   owners)


def _load(builder: Builder, form: Form, roots: list[int], first: list[int]) -> tuple[dict[int, int], list[int],
                                                                                   list[int]]:
    """Put the nodes below some roots into a builder: where each stands, and the columns of arguments and coefficients.

    ``first`` (by argument) tells the argument that each is equal to.
    """
    placed: dict[int, int] = {}
    used: list[int] = []
    numbers: list[int] = []
    for position in sorted(_below(form, roots)):
        name, *operands = form.nodes[position]
        if name == ARGUMENT:
            column = first[operands[0]]
            if column not in used:
                used.append(column)
            placed[position] = builder.raw((ARGUMENT, used.index(column)))
        elif name == COEFFICIENT:
            numbers.append(operands[0])
            placed[position] = builder.raw((COEFFICIENT, len(numbers) - 1))
        elif name == "const":
            placed[position] = builder.const(operands[0])
        elif name == "power" and form.nodes[operands[1]][0] == "const":
            placed[position] = builder.make(name, *(placed[i] for i in operands))
        else:
            placed[position] = builder.raw((name, *(placed[i] for i in operands)))
    return placed, used, numbers


def _below(form: Form, roots: list[int]) -> set[int]:
    needed = set(roots)
    for position in range(len(form.nodes) - 1, -1, -1):
        node = form.nodes[position]
        if position in needed and node[0] not in (ARGUMENT, COEFFICIENT, "const"):
            needed.update(node[1:])
    return needed


def _first_of_equal(columns: Array) -> list[int]:
    """For every row of a matrix the first one that is equal to it."""
    first: list[int] = []
    known: dict[tuple[int, int], list[int]] = {}  # by their ends: most rows differ there
    for j, ends in enumerate(zip(columns[:, 0].tolist(), columns[:, -1].tolist(), strict=True)):
        alike = known.setdefault(ends, [])
        same = next((i for i in alike if np.array_equal(columns[i], columns[j])), j)
        if same == j:
            alike.append(j)
        first.append(same)
    return first
