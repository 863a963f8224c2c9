"""Kernels of user functions: what a group of a black box computes, by calls instead of elementary operations.

They stand where other kernels stand, with the same index maps. An elementwise function has an argument for each of its
operands and is called once on all instances. Of any other function each element of the result is an instance, which has
every element of every operand as an argument, and two coefficients: which element it is, and a number of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array, Expression, Shape
from ..external import External
from .grouping import Term
from .kernel import Kernel, KernelNode

VALUES, PARTIALS, SECOND = "values", "partials", "second partials"


class ExternalKernel(Kernel):
    """A user function. ``shapes`` of its operands, and whether the elements of each are coefficients or arguments.

    ``quantity`` says what its outputs are: the value, ∂f/∂arg_j of every argument, or ∂²f/∂arg_i∂arg_j, i >= j.
    """

    selects = False
    shares_arguments = False
    nodes: tuple[KernelNode, ...] = ()
    outputs: tuple[int, ...] = ()

    def __init__(self, function: External, shapes: tuple[Shape, ...], constant: tuple[bool, ...],
                 quantity: str = VALUES) -> None:
        self.function, self.shapes, self.constant, self.quantity = function, shapes, constant, quantity
        sizes = [1 if function.elementwise else int(np.prod(shape, dtype=np.int64)) for shape in shapes]
        self.sizes = sizes
        self.n_args = sum(n for n, is_constant in zip(sizes, constant, strict=True) if not is_constant)
        self.n_coefs = sum(sizes) - self.n_args + (0 if function.elementwise else 2)

    @cached_property
    def n_outputs(self) -> int:
        """The value, or the derivatives."""
        n = self.n_args
        return {VALUES: 1, PARTIALS: n, SECOND: n * (n + 1) // 2}[self.quantity]

    @property
    def n_operations(self) -> int:
        """What is inside is not known: one for each output."""
        return self.n_outputs

    @cached_property
    def partials(self) -> Kernel:
        """∂f/∂arg_j, found by calls."""
        return ExternalKernel(self.function, self.shapes, self.constant, PARTIALS)

    @property
    def with_partials(self) -> Kernel:
        """There is none: compiled loops alone ask for it."""
        raise NotImplementedError("a user function has no kernel of value and partials")

    @cached_property
    def second_partials(self) -> tuple[Kernel, tuple[tuple[int, int], ...]]:
        """∂²f/∂arg_i∂arg_j, found by calls."""
        pairs = tuple((i, j) for i in range(self.n_args) for j in range(i + 1))
        return ExternalKernel(self.function, self.shapes, self.constant, SECOND), pairs

    def is_zero(self, output: int) -> bool:
        """No partial derivative is known to be 0."""
        return False

    def is_product(self) -> bool:
        """It is no product."""
        return False

    def __repr__(self) -> str:
        return f"<{self.quantity} of {self.function!r}>"

    def __reduce__(self) -> Any:
        if self.quantity == VALUES:
            return external_kernel, (self.function, self.shapes, self.constant)
        return ExternalKernel, (self.function, self.shapes, self.constant, self.quantity)

    # calling -----------------------------------------------------------------------------------------------

    def results(self, args: Sequence[Any], coefs: Sequence[Any]) -> list[Array]:
        """The outputs for arrays of arguments and coefficients, all of the box's shape."""
        everything = np.broadcast_arrays(*args, *coefs)
        arrays = [np.asarray(x) for x in everything]
        if self.function.elementwise:
            return self._elementwise(self._operands(arrays[: self.n_args], arrays[self.n_args :]))
        shape = arrays[0].shape
        flat = [x.ravel() for x in arrays]
        return [x.reshape(shape) for x in self._by_call(flat[: self.n_args], flat[self.n_args :])]

    def _operands(self, args: Sequence[Array], coefs: Sequence[Array]) -> list[Array]:
        """Arguments and coefficients in the order of the operands' elements."""
        moving, fixed = iter(args), iter(coefs)
        return [next(fixed if is_constant else moving)
                for n, is_constant in zip(self.sizes, self.constant, strict=True) for _ in range(n)]

    @cached_property
    def _live(self) -> list[int]:
        """The elements of operands that are arguments."""
        return np.flatnonzero(~np.repeat(self.constant, self.sizes)).tolist()

    def _elementwise(self, operands: list[Array]) -> list[Array]:
        function = self.function
        if self.quantity == VALUES:
            return [function.apply(operands)]
        operands = [x.real.astype(np.float64) for x in operands]
        if self.quantity == PARTIALS:
            found = function.slopes(operands)
            return [found[i] for i in self._live]
        second = function.second_slopes(operands)
        return [second[i][j] for at, i in enumerate(self._live) for j in self._live[: at + 1]]

    def _by_call(self, args: Sequence[Array], coefs: Sequence[Array]) -> list[Array]:
        """Call after call: the instances of one are elements of one result."""
        element, number = coefs[-2].real.astype(np.int64), coefs[-1].real
        points = self._operands(args, coefs[:-2])
        dtype = np.result_type(np.float64, *points) if self.quantity == VALUES else np.float64
        out = np.empty((self.n_outputs, len(element)), dtype=dtype)
        for call in np.unique(number):
            here = np.flatnonzero(number == call)
            out[:, here] = self._call([x[here[0]] for x in points])[:, element[here]]
        return list(out)

    def _call(self, point: Sequence[Any]) -> Array:
        """(outputs, elements of the result) at the elements of all operands."""
        parts = np.split(np.asarray(point, dtype=np.result_type(np.float64, *point)), np.cumsum(self.sizes)[:-1])
        operands = [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]
        if self.quantity == VALUES:
            return self.function.apply(operands).reshape(1, -1)
        operands = [x.real.astype(np.float64) for x in operands]
        if self.quantity == PARTIALS:
            return self.function.jacobian_at(operands)[:, self._live].T
        hessian = self.function.hessian_at(operands)
        return np.stack([hessian[:, i, j] for at, i in enumerate(self._live) for j in self._live[: at + 1]])


def external_kernel(function: External, shapes: tuple[Shape, ...], constant: tuple[bool, ...]) -> ExternalKernel:
    """The one kernel of a function for such operands."""
    if function.elementwise:
        shapes = ((),) * len(shapes)
    known: ExternalKernel | None = function.kernels.get((shapes, constant))
    return known or function.kernels.setdefault((shapes, constant), ExternalKernel(function, shapes, constant))


def external_term(node: Expression, place: Any, positions: Callable[[Expression], Array]) -> Term:
    """The term of a call; ``positions`` gives the state positions of an operand, ``place`` the rows of the result."""
    function: External = node.data
    constant = tuple(arg.op == "constant" for arg in node.args)
    kernel = external_kernel(function, tuple(arg.shape for arg in node.args), constant)
    box = np.broadcast_to(np.asarray(place), node.shape)
    args: list[Any] = []
    coefs: list[Any] = []
    for arg, is_constant in zip(node.args, constant, strict=True):
        elements = np.asarray(arg.data if is_constant else positions(arg))
        each = [np.broadcast_to(elements, box.shape)] if function.elementwise else elements.ravel().tolist()
        (coefs if is_constant else args).extend(each)
    if not function.elementwise:
        coefs += [np.arange(box.size).reshape(box.shape), float(box.flat[0]) if box.size else 0.0]
    return Term(kernel, box.shape, args, coefs, place)
