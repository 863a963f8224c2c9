"""Partial derivatives of scalar expressions as expressions, by way of a kernel; for showing, with the user's names."""

from __future__ import annotations

from ..elementary import TABLE
from ..expression import Expression, Symbol, constant, elementwise, postorder
from .kernel import Builder, Kernel


def scalar_partial(root: Expression, symbol: Symbol) -> Expression | None:
    """∂root/∂symbol, lightly simplified; None where the expression is not a scalar made of elementary functions."""
    nodes = postorder([root])
    if any(node.shape != () or not (node.op in TABLE or node.op in ("symbol", "constant")) for node in nodes):
        return None
    symbols = [node for node in nodes if node.op == "symbol"]
    wanted = [i for i, node in enumerate(symbols) if node.data is symbol]
    if not wanted:
        return constant(0.0)
    partials = _kernel(nodes, symbols).partials
    if wanted[0] >= len(partials.outputs):
        return constant(0.0)  # it was simplified away, as in 0·x
    return _expression(partials, wanted[0], symbols)


def _kernel(nodes: list[Expression], symbols: list[Expression]) -> Kernel:
    builder = Builder()
    number = {id(node): i for i, node in enumerate(symbols)}
    placed: dict[int, int] = {}
    for node in nodes:
        if node.op == "symbol":
            placed[id(node)] = builder.raw(("arg", number[id(node)]))
        elif node.op == "constant":
            placed[id(node)] = builder.const(float(node.data))
        else:
            placed[id(node)] = builder.make(node.op, *(placed[id(arg)] for arg in node.args))
    return builder.finish([placed[id(nodes[-1])]])


def _expression(kernel: Kernel, output: int, symbols: list[Expression]) -> Expression:
    made: list[Expression] = []
    for node in kernel.nodes:
        if node[0] == "arg":
            made.append(symbols[node[1]])
        elif node[0] == "const":
            made.append(constant(node[1]))
        else:
            made.append(elementwise(node[0], *(made[i] for i in node[1:])))
    return made[kernel.outputs[output]]
