"""What a program keeps of each declaration: an equation, the objective, a constraint, with the line that made it."""

from __future__ import annotations

from dataclasses import dataclass

from ..expression import Expression, Shape, Symbol
from ..forms import PackedEquations, Sides
from ..printing import to_text

Location = tuple[str, int]
"""File and line of a declaration."""


@dataclass(eq=False, slots=True)  # not frozen: that would double the time it takes to make one
class Equation:
    """One declared equation left = right, an array of them when the shape is not ().

    ``own`` is the symbol alone on the left that it determines (explicit), else None (implicit); ``determines``
    is the symbol named by ``for_=``, else None. Residual: right − left. ``sides``: both, or the equations of one form,
    of which this is the one with a ``number``.
    """

    name: str
    sides: Sides | PackedEquations
    number: int
    shape: Shape
    own: Symbol | None
    determines: Symbol | None
    location: Location

    @property
    def left(self) -> Expression:
        """The left side."""
        return self._sides().left

    @property
    def right(self) -> Expression:
        """The right side."""
        return self._sides().right

    def _sides(self) -> Sides:
        return self.sides if isinstance(self.sides, Sides) else self.sides.sides(self.number)

    def __str__(self) -> str:
        return f"{to_text(self.left, 400)} = {to_text(self.right, 400)}"


@dataclass(frozen=True, slots=True)
class Objective:
    """The scalar objective; ``sense`` is ``"minimize"`` or ``"maximize"``."""

    name: str
    sense: str
    expression: Expression
    location: Location

    def __str__(self) -> str:
        return f"{self.sense} {self.name}: {to_text(self.expression, 400)}"


@dataclass(frozen=True, slots=True)
class Constraint:
    """lower <= body <= upper, element by element; a side that is not there is None. Bounds hold parameters at most."""

    name: str
    body: Expression
    lower: Expression | None
    upper: Expression | None
    location: Location

    def __str__(self) -> str:
        body = to_text(self.body, 400)
        if self.lower is not None and self.lower is self.upper:
            return f"{body} == {to_text(self.lower, 100)}"
        if self.lower is None:
            return f"{body} <= {to_text(self.upper, 100)}" if self.upper is not None else body
        if self.upper is None:
            return f"{body} >= {to_text(self.lower, 100)}"
        return f"{to_text(self.lower, 100)} <= {body} <= {to_text(self.upper, 100)}"
