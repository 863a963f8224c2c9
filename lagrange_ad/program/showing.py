"""A program as a networkx graph and as text tables. Takes what was declared, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Expression, symbols_of
from ..printing import place, to_text
from ..text import table, values
from .records import Equation

if TYPE_CHECKING:
    import networkx

    from .declarations import Declarations


def graph_of(program: Declarations) -> networkx.DiGraph:
    """The frozen graph that ``program.graph`` shows."""
    import networkx

    graph = networkx.DiGraph(name=program.name, objective=str(program.objective) if program.objective else None)
    for symbol in program.symbols.values():
        graph.add_node(symbol.name, kind=symbol.kind, shape=symbol.shape, start=symbol.value, equation=None,
                       location=symbol.location)
    for equation in program.equations:
        _add_equation(graph, equation)
    return networkx.freeze(graph)


def _add_equation(graph: Any, equation: Equation) -> None:
    node = equation.own.name if equation.own is not None else equation.name
    if node in graph:
        graph.nodes[node]["equation"] = str(equation)
    else:
        graph.add_node(node, kind="equation", shape=equation.shape, start=None, equation=str(equation),
                       location=equation.location)
    sides = [equation.right] if equation.own is not None else [equation.left, equation.right]
    parents = {symbol.name for side in sides for symbol in symbols_of(side)}
    if equation.own is None:
        parents.discard(node)
    graph.add_edges_from((parent, node) for parent in sorted(parents))


def summary_of(program: Declarations) -> str:
    """Everything declared, as text tables."""
    parts = [table(
        f"program {program.name}",
        ["symbol", "kind", "shape", "value or start", "lower", "upper"],
        [[s.name, s.kind, str(s.shape) if s.shape else "", _shown(s.value), _bound_text(s.lower),
          _bound_text(s.upper)] for s in program.symbols.values()],
    )]
    if program.equations:
        parts.append(table("equations", ["name", "equation", "declared at"],
                           [[e.name, str(e), place(e.location)] for e in program.equations]))
    if program.objective is not None:
        parts.append(str(program.objective))
    if program.constraints:
        parts.append(table("constraints", ["name", "constraint", "declared at"],
                           [[c.name, str(c), place(c.location)] for c in program.constraints]))
    return "\n\n".join(parts)


def description_of(program: Declarations) -> str:
    """The program in one line."""
    counts = ", ".join(_counted(len(program.of_kind(kind)), kind) for kind in ("input", "parameter", "variable"))
    goal = f", {program.objective.sense} {program.objective.name}" if program.objective else ", no objective"
    return f"<Program {program.name!r}: {counts}, {_counted(len(program.equations), 'equation')}{goal}>"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return to_text(value, 40) if isinstance(value, Expression) else values(value)


def _bound_text(bound: Any) -> str:
    return "" if np.ndim(bound) == 0 and np.isinf(bound) else values(bound, 3)
