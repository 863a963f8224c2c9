"""Recurrences in the reference: generated scalar Python, one instance after the other.

Each group becomes a generator whose every step evaluates its next instance; the order of the schedule says whose turn
it is. Where a scalar function refuses its argument (Python's ``math`` raises where NumPy gives NaN or infinity), that
instance is evaluated by NumPy instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..elementary import TABLE
from ..expression import Array
from ..lowering import ExternalKernel, Group, Kernel

_OPERATORS = {"add": "{} + {}", "subtract": "{} - {}", "multiply": "{} * {}", "divide": "{} / {}",
              "negative": "-{}", "square": "{0} * {0}", "where": "({1} if {0} else {2})"}  # fmt: skip
KernelValues = Callable[[Kernel, Sequence[Any], Sequence[Any]], list[Any]]


def _source(kernel: Kernel) -> str:
    """A generator function that adds φ of each instance to the state, one a step."""
    lines = []
    for position, node in enumerate(kernel.nodes):
        match node[0]:
            case "arg":
                value = f"z[p{node[1]}]"
            case "coef":
                value = f"c{node[1]}"
            case "const":
                value = f"const[{position}]"
            case name:
                operands = [f"t{i}" for i in node[1:]]
                value = _OPERATORS[name].format(*operands) if name in _OPERATORS else f"{name}({', '.join(operands)})"
        lines.append(f"            t{position} = {value}")
    args = [f"p{j}" for j in range(kernel.n_args)]
    coefs = [f"c{j}" for j in range(kernel.n_coefs)]
    return "\n".join([
        "def steps(z, const, fallback, instances):",
        f"    for {', '.join(['own', *args, *coefs])}, in instances:",
        "        try:",
        *lines,
        f"            z[own] += t{kernel.outputs[0]}",
        "        except (ValueError, OverflowError, ZeroDivisionError):",
        f"            z[own] += fallback([{', '.join(f'z[{a}]' for a in args)}], [{', '.join(coefs)}])",
        "        yield",
    ])  # fmt: skip


def _scalar_function(name: str, is_complex: bool) -> Any:
    row = TABLE[name]
    if is_complex:
        return row.analytic or row.function
    if name == "power":
        return math.pow
    return getattr(math, row.scalar) if row.scalar else row.function


@lru_cache(maxsize=1024)
def _compiled(kernel: Kernel, is_complex: bool) -> Callable[..., Iterator[None]]:
    space: dict[str, Any] = {
        node[0]: _scalar_function(node[0], is_complex) for node in kernel.nodes if node[0] in TABLE
    }
    exec(compile(_source(kernel), f"<{kernel!r}>", "exec"), space)
    return space["steps"]  # type: ignore[no-any-return]


def _called(z: list[Any], values: Callable[..., Any], n_args: int, instances: Iterator[Any]) -> Iterator[None]:
    """The same for a user function, which stands in no text."""
    for own, *operands in instances:
        z[own] += values([z[at] for at in operands[:n_args]], operands[n_args:])
        yield


class ScalarSequence:
    """Explicit rows in order: ``order[i]`` is the group whose next instance comes i-th."""

    def __init__(self, groups: Sequence[Group], order: Sequence[int], own: Array, kernel_values: KernelValues) -> None:
        self.groups, self.order, self._kernel_values = groups, list(order), kernel_values
        turns = np.asarray(order)
        columns = [[own[turns == g], *(arg.array().ravel() for arg in group.args)] for g, group in enumerate(groups)]
        self.positions = np.unique(np.concatenate([np.empty(0, np.int64), *(c for part in columns for c in part)]))
        self.columns = [
            [*(np.searchsorted(self.positions, c).tolist() for c in part), *(c.ravel().tolist() for c in group.coefs)]
            for part, group in zip(columns, groups, strict=True)
        ]

    def propagate(self, z: Array) -> None:
        """z[own[i]] += φ of the i-th instance, one after the other."""
        local = z[self.positions].tolist()
        parts = [self._steps(g, local, np.iscomplexobj(z)) for g in range(len(self.groups))]
        if len(parts) == 1:
            for _ in parts[0]:
                pass
        else:
            for g in self.order:
                next(parts[g])
        z[self.positions] = local

    def _steps(self, g: int, local: list[Any], is_complex: bool) -> Iterator[None]:
        kernel = self.groups[g].kernel
        number = np.complex128 if is_complex else np.float64

        def fallback(args: list[Any], coefs: list[Any]) -> Any:
            return self._kernel_values(kernel, [number(a) for a in args], [np.float64(c) for c in coefs])[0].item()

        if isinstance(kernel, ExternalKernel):
            return _called(local, fallback, kernel.n_args, zip(*self.columns[g], strict=True))
        constants = {i: node[1] for i, node in enumerate(kernel.nodes) if node[0] == "const"}
        return _compiled(kernel, is_complex)(local, constants, fallback, zip(*self.columns[g], strict=True))
