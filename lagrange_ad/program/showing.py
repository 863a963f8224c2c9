"""A program as a networkx graph and as text tables. Takes what was declared, changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..expression import Expression, Symbol, symbols_of
from ..printing import place, to_text
from ..tables import Column, Report, Rows, Table
from ..tables.plain import to_plain
from ..text import shorten, values
from .records import Constraint, Equation

if TYPE_CHECKING:
    import networkx

    from .declarations import Declarations


def graph_of(program: Declarations) -> networkx.DiGraph:
    """The frozen graph that ``program.graph`` shows."""
    import networkx

    graph = networkx.DiGraph(name=program.name, objective=str(program.objective) if program.objective else None)
    for symbol in program.symbols.values():
        graph.add_node(symbol.name, kind=symbol.kind, role=program.role_of(symbol), shape=symbol.shape,
                       start=symbol.value, equation=None, location=symbol.location)
    for equation in program.equations:
        _add_equation(graph, equation)
    return networkx.freeze(graph)


def _add_equation(graph: Any, equation: Equation) -> None:
    node = equation.own.name if equation.own is not None else equation.name
    if node in graph:
        graph.nodes[node]["equation"] = str(equation)
    else:
        graph.add_node(node, kind="equation", role="", shape=equation.shape, start=None, equation=str(equation),
                       location=equation.location)
    sides = [equation.right] if equation.own is not None else [equation.left, equation.right]
    parents = {symbol.name for side in sides for symbol in symbols_of(side)}
    if equation.own is None:
        parents.discard(node)
    graph.add_edges_from((parent, node) for parent in sorted(parents))


def summary_of(program: Declarations) -> str:
    """Everything declared, with where, as text tables; of long tables the head and the tail."""
    symbols = list(program.symbols.values())
    goal = [str(program.objective)] if program.objective is not None else []
    return to_plain(Report(f"program {program.name}", [
        _symbol_table(program, symbols, "symbol", "value or start"), *_relation_tables(program, located=True)], goal))


def overview_of(program: Declarations, cycles: str) -> Report:
    """What a program prints: how many of what, its objective, what is given, its equations, its cycles."""
    given = [s for s in program.symbols.values() if s.kind != "variable" or s.name in program.swapped]
    head = f"program {program.name}: {_counts(program)}"
    goal = shorten(str(program.objective)) if program.objective is not None else "no objective"
    tables = [_symbol_table(program, given, "name", "value"), *_relation_tables(program, located=False)]
    return Report(f"{head}\n{goal}", tables, [cycles])


def _symbol_table(program: Declarations, symbols: list[Symbol], title: str, value: str) -> Table:
    """Kind, shape, value and bounds of symbols; columns that would be empty are left out."""
    columns = {
        Column(title, role="name"): lambda s: s.name,
        Column("kind", role="kind"): lambda s: ", ".join(filter(None, (s.kind, program.role_of(s)))),
        Column("shape", role="kind"): lambda s: str(s.shape) if s.shape else "",
        Column(value, numeric=True): lambda s: _shown(s.value).removesuffix(f" {s.shape}"),
        Column("unit"): lambda s: s.unit,
        Column("lower", numeric=True, drop=1): lambda s: _bound_text(s.lower),
        Column("upper", numeric=True, drop=1): lambda s: _bound_text(s.upper),
    }
    empty = {"shape": not any(s.shape for s in symbols), "unit": not any(s.unit for s in symbols),
             "lower": all(s.is_unbounded for s in symbols), "upper": all(s.is_unbounded for s in symbols)}
    columns = {column: cell for column, cell in columns.items() if not empty.get(column.heading)}
    return Table("", list(columns), Rows(len(symbols), lambda i: [cell(symbols[i]) for cell in columns.values()]))


def _relation_tables(program: Declarations, located: bool) -> Iterator[Table]:
    """The equations and the constraints as written, and where."""
    for title, word, relations in (("equations", "equation", program.equations),
                                   ("constraints", "constraint", program.constraints)):
        yield _relation_table(title, word, relations, located)


def _relation_table(title: str, word: str, relations: Sequence[Equation | Constraint], located: bool) -> Table:
    columns = [Column("name", role="name"), Column(word), *([Column("declared at")] if located else [])]

    def row(i: int) -> list[str]:
        relation = relations[i]
        return [relation.name, shorten(str(relation)), *([place(relation.location)] if located else [])]

    return Table(title, columns, Rows(len(relations), row))


def _counts(program: Declarations) -> str:
    kinds = Counter(symbol.kind for symbol in program.symbols.values())
    counted = [(kinds[kind], kind) for kind in ("input", "parameter", "variable")]
    counted += [(len(program.equations), "equation"), (len(program.constraints), "constraint")]
    return ", ".join(_counted(number, what) for number, what in counted if number) or "nothing declared yet"


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
