"""Graphs of expressions walked by loops: their order, their symbols, their values by NumPy, how they are pickled."""

from __future__ import annotations

import copyreg
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..elementary import TABLE
from .composed import COMPOSED, expansion
from .node import Expression, is_condition
from .symbols import Array, Shape, Symbol


def postorder(roots: Sequence[Expression]) -> list[Expression]:
    """Every node of the graphs below ``roots`` once, operands before what uses them."""
    seen: set[int] = set()
    order: list[Expression] = []
    pending: list[tuple[Expression, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        node, expanded = pending.pop()
        if expanded:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending.extend((arg, False) for arg in node.args if id(arg) not in seen)
    return order


def expanded(root: Expression) -> Expression:
    """The same function of the same symbols with every composed operation written by others: a graph of the rest."""
    while any(node.op in COMPOSED or node.op == "held" for node in postorder([root])):
        made: dict[int, Expression] = {}
        for node in postorder([root]):
            args = tuple([made[id(arg)] for arg in node.args])
            if node.op == "held":
                made[id(node)] = args[0]
                continue
            same = all(new is old for new, old in zip(args, node.args, strict=True))
            new = node if same else Expression(node.op, args, node.shape, node.data)
            made[id(node)] = expansion(new) if node.op in COMPOSED else new
        root = made[id(root)]
    return root


Packed = list[tuple[str, tuple[int, ...], Shape, Any]]
"""Nodes of expression graphs with their operands by number: what is pickled, without recursion."""


def pack(roots: Sequence[Expression]) -> Packed:
    """Every node below ``roots``, in postorder."""
    nodes = postorder(roots)
    number = {id(node): i for i, node in enumerate(nodes)}
    return [(node.op, tuple(number[id(arg)] for arg in node.args), node.shape, node.data) for node in nodes]


def unpack(packed: Packed, owner: Any = None) -> list[Expression]:
    """The nodes of :func:`pack`; ``owner`` is the program of their symbols where these cannot tell yet."""
    nodes: list[Expression] = []
    for op, args, shape, data in packed:
        node = Expression.__new__(Expression)
        node.op, node.args, node.shape, node.data = op, tuple(nodes[i] for i in args), shape, data
        node.owner = next((arg.owner for arg in node.args if arg.owner is not None), None)
        if op == "symbol":
            node.owner = data.owner if owner is None else owner
        node.is_boolean = is_condition(op, node.args, data)
        nodes.append(node)
    return nodes


def _unpacked(packed: Packed) -> Expression:
    return unpack(packed)[-1]


copyreg.pickle(Expression, lambda root: (_unpacked, (pack([root]),)))  # without recursion


def symbols_of(root: Expression) -> list[Symbol]:
    """The symbols an expression contains, each once."""
    return [node.data for node in postorder([root]) if node.op == "symbol"]


def evaluate(root: Expression, values: Mapping[str, Any]) -> Array:
    """The value of an expression by NumPy, given the arrays of its symbols by name: the plain meaning."""
    return np.asarray(evaluate_nodes([root], values)[id(root)][1])


def evaluate_nodes(roots: Sequence[Expression], values: Mapping[str, Any]) -> dict[int, tuple[Expression, Any]]:
    """(node, value) of every node below ``roots``, by identity, in the order they were computed."""
    known: dict[int, tuple[Expression, Any]] = {}
    for node in postorder(roots):
        known[id(node)] = (node, _apply(node, [known[id(arg)][1] for arg in node.args], values))
    return known


def _apply(node: Expression, operands: list[Any], values: Mapping[str, Any]) -> Any:
    match node.op:
        case "symbol":
            return values[node.data.name]
        case "constant":
            return node.data
        case "view":
            return node.data.apply(operands[0])
        case "concatenate":
            return np.concatenate(operands, axis=node.data)
        case "sum":
            return np.sum(operands[0], axis=node.data)
        case "scatter":
            result = np.zeros(node.shape, dtype=operands[0].dtype)
            np.add.at(result, node.data, operands[0])
            return result
        case "matmul":
            return operands[0] @ operands[1]
        case "sparse_matmul":
            return node.data @ operands[0]
        case op if op in COMPOSED:
            return COMPOSED[op].value(*operands, **node.data)
        case "external":
            return node.data.apply(operands)
        case _:
            row = TABLE[node.op]
            analytic = row.analytic is not None and any(np.iscomplexobj(x) for x in operands)
            return (row.analytic if analytic and row.analytic else row.function)(*operands)
