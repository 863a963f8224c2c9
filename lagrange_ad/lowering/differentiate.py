"""Derivatives of kernels: a kernel in, a kernel out (graph → graph), first and second order.

First partials go in reverse through the kernel (one product an edge). A kernel with selections (where, minimum,
abs, …) goes forward instead, so that the branch not taken is selected away and never multiplied: no 0·∞.
Rules stand in the table of elementary functions.
"""

from __future__ import annotations

from typing import Any

from ..elementary import TABLE
from .kernel import Builder, Kernel

_LEAVES = ("arg", "coef", "const")


def partials(kernel: Kernel) -> Kernel:
    """The kernel whose output j is ∂φ/∂arg_j, for a kernel φ of one output."""
    builder = Builder()
    placed = builder.load(kernel)
    output = placed[kernel.outputs[0]]
    if any(node[0] in TABLE and TABLE[node[0]].selects for node in kernel.nodes):
        tangents = [_forward(builder, len(builder.nodes), j) for j in range(kernel.n_args)]
        return builder.finish([tangent.get(output, builder.const(0.0)) for tangent in tangents])
    return builder.finish(_reverse(builder, output, kernel.n_args))


def second_partials(kernel: Kernel) -> tuple[Kernel, tuple[tuple[int, int], ...]]:
    """The kernel of the nonzero ∂²φ/∂arg_i∂arg_j, i >= j, and the pairs (i, j) in the order of its outputs."""
    builder = Builder()
    placed = builder.load(kernel.partials)
    rows = [placed[output] for output in kernel.partials.outputs]
    size = len(builder.nodes)
    outputs, pairs = [], []
    for j in range(kernel.n_args):
        tangent = _forward(builder, size, j)
        for i in range(j, kernel.n_args):
            if rows[i] in tangent and builder.value(tangent[rows[i]]) != 0.0:
                outputs.append(tangent[rows[i]])
                pairs.append((i, j))
    return builder.finish(outputs), tuple(pairs)


def _local_partials(builder: Builder, position: int) -> list[tuple[int, Any]]:
    """(operand, ∂node/∂operand) of one elementary node; literal operands and zero partials left out."""
    node = builder.nodes[position]
    operands = [builder.symbol(i) for i in node[1:]]
    rules = TABLE[node[0]].partials(*operands, builder.symbol(position))
    return [
        (operand.position, rule)
        for operand, rule in zip(operands, rules, strict=True)
        if builder.value(operand.position) is None and not _is_literal(rule, 0.0)
    ]


def _is_literal(rule: Any, value: float) -> bool:
    return isinstance(rule, float) and rule == value


def _reverse(builder: Builder, output: int, n_args: int) -> list[int]:
    """Adjoints of the arguments: node by node from the output to the leaves."""
    adjoint: dict[int, Any] = {output: 1.0}
    result = [builder.const(0.0)] * n_args
    for position in range(output, -1, -1):
        if position not in adjoint:
            continue
        node, bar = builder.nodes[position], adjoint.pop(position)
        if node[0] == "arg":
            result[node[1]] = bar.position if hasattr(bar, "position") else builder.const(bar)
        elif node[0] not in _LEAVES:
            for operand, rule in _local_partials(builder, position):
                term = bar * rule
                adjoint[operand] = adjoint[operand] + term if operand in adjoint else term
    return result


def _forward(builder: Builder, size: int, arg: int) -> dict[int, int]:
    """Tangents of the first ``size`` nodes in the direction of one argument; absent: zero."""
    tangent: dict[int, Any] = {}
    for position in range(size):
        node = builder.nodes[position]
        if node == ("arg", arg):
            tangent[position] = 1.0
        elif node[0] in _LEAVES or not any(i in tangent for i in node[1:]):
            continue
        elif node[0] == "where":
            chosen = [_literal(builder, tangent.get(i, 0.0)) for i in node[2:]]
            if any(i in tangent for i in node[2:]):
                tangent[position] = builder.symbol(builder.make("where", node[1], *chosen))
        else:
            terms = [rule * tangent[i] for i, rule in _local_partials(builder, position) if i in tangent]
            if terms:
                tangent[position] = sum(terms[1:], terms[0])
    return {position: _literal(builder, value) for position, value in tangent.items()}


def _literal(builder: Builder, value: Any) -> int:
    """The node of a symbolic value or of a plain number."""
    return int(value.position) if hasattr(value, "position") else builder.const(value)
