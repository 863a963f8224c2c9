"""The equations of a program: declared, checked, named, and kept by form where they are between scalars."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DeclarationError, ShapeError
from ..expression import Expression, Shape, Symbol
from ..forms import Form, PackedEquations, Sides, Tokens, read
from ..printing import to_text
from .given import NO_LOWER, NO_UPPER, caller, scale_of
from .records import Equation, Location
from .symbols import Symbols


class Equations(Symbols):
    """Symbols with the equations between them; see :class:`~lagrange_ad.program.Declarations`."""

    def __init__(self, name: str = "program", *, executor: str | None = None) -> None:
        super().__init__(name, executor=executor)
        self.equations: list[Equation] = []
        self.equation_scales: dict[str, Any] = {}
        self._forms: dict[Tokens, PackedEquations] = {}
        self._form_at: dict[Location, PackedEquations] = {}

    def define(self, name: str, expression: Any, *, start: Any = None, lower: Any = NO_LOWER, upper: Any = NO_UPPER,
               labels: Any = None, unit: str = "", _location: Location | None = None) -> Expression:
        """Declare a variable and its equation ``name = expression`` in one step; the shape is the expression's."""
        location, name = _location or caller(), self._full(name)
        right = self._number(expression, "the equation of", name)
        with self._lock:
            symbol = self._symbol("variable", name, right.shape, lower, upper, labels, unit, location)
            if start is not None:
                symbol.value = self._start(symbol, start)
            left = self._add(symbol)
            self._equation(name, Sides(left, right), right.shape, symbol, None, location)
        return left

    def numbered_variable(self, stem: str, shape: Shape) -> Expression:
        """A variable of an operation that is an equation, such as np.linalg.solve: ``solve_1``, ``solve_2``, …"""
        location, number = caller(), 1
        with self._lock:
            while self._full(f"{stem}_{number}") in self._named:
                number += 1
            return self.variable(f"{stem}_{number}", shape, start=0.0, _location=location)

    @property
    def forms(self) -> list[PackedEquations]:
        """The equations that are kept by form."""
        return list(self._forms.values())

    def equate(self, left: Any, right: Any, name: str | None = None, *, for_: Expression | None = None,
               scale: Any = None, _location: Location | None = None) -> None:
        """Declare the equation left = right (arrays: element by element; the shapes broadcast).

        A variable alone on the left that has no other equation is determined by it. Otherwise the equation is
        implicit and matching finds what it determines; ``for_=u`` says so at once. The residual is right − left;
        ``scale`` is the size that its terms typically have, where solvers should not find it themselves.
        """
        location, name = _location or caller(), self._full(name)
        left, right = self._number(left, "the left side"), self._number(right, "the right side")
        with self._lock:
            self._equate(left, right, name, for_, scale, location)

    def _equate(self, left: Expression, right: Expression, name: str | None, for_: Expression | None, scale: Any,
                location: Location) -> None:
        if name is not None:
            self._free_name(name, allow=left)
        own = self._lone(left, right)
        shape = own.shape if own is not None else self._common_shape(name, left, right)
        if left.owner is None and right.owner is None:
            raise DeclarationError(
                f"the equation {to_text(left, 60)} = {to_text(right, 60)} contains no input or variable of this program"
            )
        determines = None
        if for_ is not None:
            determines = self._whole_variable(for_)
        label = name or self._equation_name(own or determines)
        if scale is not None:
            self.equation_scales[label] = scale_of(label, scale, shape)
        self._equation(label, Sides(left, right), shape, own, determines, location)
        if label not in self.symbols:
            self._take_name(label, location)

    def _lone(self, left: Expression, right: Expression) -> Symbol | None:
        """The variable alone on the left that has no explicit equation yet and that the right side fits."""
        if left.op != "symbol" or left.data.kind != "variable" or left.data.name in self._explicit:
            return None
        try:
            fits = np.broadcast_shapes(left.shape, right.shape) == left.shape
        except ValueError:
            return None
        return left.data if fits else None

    def _common_shape(self, name: str | None, left: Expression, right: Expression) -> Shape:
        try:
            shape = np.broadcast_shapes(left.shape, right.shape)
        except ValueError:
            shape = None
        if shape is None or (left.op == "symbol" and left.shape != shape):
            raise ShapeError(
                f"equation {name or to_text(left, 60)!r}: the left side {to_text(left, 60)} has shape {left.shape}, "
                f"the right side {to_text(right, 60)} has shape {right.shape}; make them equal"
            )
        return shape

    def _whole_variable(self, for_: Any) -> Symbol:
        if not isinstance(for_, Expression) or for_.op != "symbol" or for_.data.kind != "variable":
            raise DeclarationError("for_= takes a whole variable, as p.variable returned it")
        self._own(for_, "for_")
        return for_.data  # type: ignore[no-any-return]

    def _equation_name(self, symbol: Symbol | None) -> str:
        if symbol is not None and symbol.name not in self._explicit:
            return symbol.name
        number, stem = len(self.equations) + 1, self._full("equation_")
        while f"{stem}{number}" in self._named:
            number += 1
        return f"{stem}{number}"

    def _equation(self, name: str, sides: Sides, shape: Shape, own: Symbol | None, determines: Symbol | None,
                  location: Location) -> None:
        packed = None if shape else self._pack(sides, location)
        number = -1 if packed is None else len(packed) - 1
        kept = sides if packed is None else packed
        self.equations.append(Equation(name, kept, number, shape, own, determines, location))
        owner = own or (determines if name in self.symbols else None)
        if owner is not None:
            self._explicit.add(owner.name)
        self.version += 1

    def _pack(self, sides: Sides, location: Location) -> PackedEquations | None:
        """Keep the sides of the next equation as numbers of their form; None where they are not simple scalars."""
        left, right = sides
        packed = self._form_at.get(location)  # a loop declares equations of one form on one line
        leaves = packed.leaves(right, left) if packed is not None else None
        if packed is None or leaves is None:
            reading = read((right, left))
            if reading is None:
                return None
            tokens, leaves = reading.tokens, (reading.args, reading.coefs)
            packed = self._forms.get(tokens)
            if packed is None:
                packed = self._forms[tokens] = PackedEquations(Form(tokens), self.node_at)
            self._form_at[location] = packed
        packed.add(len(self.equations), *leaves)
        return packed
