"""Which state element stands alone on the left of which row: what makes an equation explicit.

Those of a whole variable were told at the declaration. Some elements of a variable (``y[1:] = …``) are alone too
where they are distinct and no other equation has them: so recurrences written by parts are explicit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..expression import Array, Expression
from ..forms import ARGUMENT, Sides
from ..program import Declarations, Equation


def own_elements(program: Declarations, equations: Sequence[Equation], starts: Array) -> Array:
    """own[row]: the state element alone on the left of a user's equation, or −1; ``starts``: first row of each."""
    own = np.full(starts[-1], -1, dtype=np.int64)
    taken = np.zeros(program.size, dtype=bool)
    declared = np.array([e.own is not None for e in equations], dtype=bool)
    open_ = np.array([e.own is None and e.determines is None for e in equations], dtype=bool)
    parts: list[tuple[int, Array]] = []
    for owners, elements in _scalars_on_left(program):
        at = declared[owners]
        own[starts[owners[at]]] = elements[at]
        taken[elements[at]] = True
        at = open_[owners]
        parts += zip(owners[at].tolist(), elements[at, None], strict=True)
    for i, equation in enumerate(equations):
        if isinstance(equation.sides, Sides) and (declared[i] or (open_[i] and _is_part(equation, program))):
            elements = _elements_on_left(equation.left)
            if declared[i]:
                own[starts[i] : starts[i + 1]] = elements
                taken[elements] = True
            else:
                parts.append((i, elements))
    _take_parts(own, taken, parts, starts)
    return own


def _take_parts(own: Array, taken: Array, parts: list[tuple[int, Array]], starts: Array) -> None:
    """Give elements to the equations that have them alone on the left, those declared first before others."""
    for i, elements in sorted(parts, key=lambda part: part[0]):
        if not taken[elements].any() and (len(elements) == 1 or len(np.unique(elements)) == len(elements)):
            own[starts[i] : starts[i + 1]] = elements
            taken[elements] = True


def _scalars_on_left(program: Declarations) -> list[tuple[Array, Array]]:
    """By form: the equations kept by form that have an element of a variable on the left, and those elements."""
    kinds = np.array([symbol.kind == "variable" for symbol in program.symbols.values()], dtype=bool)
    is_variable = np.repeat(kinds, np.diff(program.starts))
    found = []
    for packed in program.forms:
        name, *operands = packed.form.nodes[packed.form.roots[1]]
        if name == ARGUMENT:
            elements = packed.argument(operands[0])
            at = is_variable[elements]
            found.append((np.array(packed.owners, dtype=np.int64)[at], elements[at]))
    return found


def _is_part(equation: Equation, program: Declarations) -> bool:
    """Whether the left side is a rearrangement of elements of one variable, in the equation's shape."""
    node = equation.left
    while node.op == "view":
        node = node.args[0]
    is_variable = node.op == "symbol" and program.symbols[node.data.name].kind == "variable"
    return is_variable and equation.left.shape == equation.shape


def _elements_on_left(left: Expression) -> Array:
    views = []
    while left.op == "view":
        views.append(left.data)
        left = left.args[0]
    numbers = np.arange(left.data.start, left.data.start + left.size).reshape(left.shape)
    for view in reversed(views):
        numbers = view.apply(numbers)
    return np.ravel(numbers)
