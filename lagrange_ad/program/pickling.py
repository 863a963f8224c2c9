"""A program's state for pickle: its expressions packed as numbered nodes, so that a deep one does not recurse.

Locks, compiled code and whatever else can be made again stay behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..expression import Expression, pack, postorder, unpack
from ..forms import Sides
from .records import Constraint, Equation, Objective

if TYPE_CHECKING:
    from .declarations import Declarations


class _Number(int):
    """The number of an expression among the packed nodes of a pickled program."""


def _held(record: Any) -> list[Expression]:
    """The expressions of an equation, an objective or a constraint (those kept as nodes)."""
    held: list[Expression] = []
    for field in fields(record):
        value = getattr(record, field.name)
        held += [part for part in (value if isinstance(value, Sides) else [value]) if isinstance(part, Expression)]
    return held


def _with_records(state: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """A program's state with ``change`` applied to every field of its records, and to both sides of equations."""
    def changed(record: Any) -> Any:
        if record is None:
            return None
        if isinstance(record, Sides):
            return Sides(*map(change, record))
        if isinstance(record, Equation | Objective | Constraint):
            return type(record)(**{field.name: changed(getattr(record, field.name)) for field in fields(record)})
        return change(record)

    lists = {key: [changed(record) for record in state[key]] for key in ("equations", "constraints")}
    return {**state, **lists, "objective": changed(state["objective"])}


_LEFT_BEHIND = ("_lock", "_memory", "_in_order")


def packed(program: Declarations) -> dict[str, Any]:
    """The state to pickle: expressions are numbers of nodes, wherever they are kept."""
    state = {key: value for key, value in program.__dict__.items() if key not in _LEFT_BEHIND}
    starts = {name: s.value for name, s in program.symbols.items() if isinstance(s.value, Expression)}
    named: dict[str, Expression] = state["_nodes"]
    held = [*named.values(), *starts.values(), *(node for record in _records(program) for node in _held(record))]
    nodes = postorder(held)
    number = {id(node): _Number(i) for i, node in enumerate(nodes)}
    state["_packed"] = pack(nodes)
    state["_nodes"] = {name: number[id(node)] for name, node in named.items()}
    state["_starts"] = {name: number[id(node)] for name, node in starts.items()}
    return _with_records(state, lambda value: number[id(value)] if isinstance(value, Expression) else value)


def unpacked(program: Declarations, state: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a program from what :func:`packed` gave; ``program`` will own the expressions."""
    nodes = unpack(state.pop("_packed"), program)
    for name, number in state.pop("_starts").items():
        state["symbols"][name].value = nodes[number]
    state["_nodes"] = {name: nodes[number] for name, number in state["_nodes"].items()}
    state["_in_order"] = list(state["_nodes"].values())
    return _with_records(state, lambda value: nodes[value] if isinstance(value, _Number) else value)


def _records(program: Declarations) -> list[Any]:
    goal = [program.objective] if program.objective is not None else []
    return [*program.equations, *program.constraints, *goal]
