"""Roles: which elements of a program's symbols are given and which are found from the equations; fix and free.

As declared, inputs and parameters are given and variables are found. ``fix`` gives elements of variables, ``free`` has
elements of inputs and parameters found. Nothing is declared anew and no expression is touched, so what was lowered
stays; where the equations are ordered anew is in ``solution``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DeclarationError
from ..expression import Array, Expression, Shape, Symbol, evaluate, symbols_of
from ..printing import place, to_text
from ..text import listing
from .equations import Equations
from .given import fit, numeric
from .selection import selected
from .starts import element_of, require_domain, role_word, started_by, starting_numbers


@dataclass(frozen=True, eq=False)
class Chosen:
    """Elements of one symbol: their places in its flat array, in the ``shape`` that they were asked for."""

    symbol: Symbol
    name: str
    places: Array

    @property
    def shape(self) -> Shape:
        """The shape of what was chosen."""
        shape: Shape = self.places.shape
        return shape


class Roles(Equations):
    """Symbols and equations whose roles can be swapped; see :class:`~lagrange_ad.program.Declarations`."""

    def fix(self, what: Any, value: Any = None) -> None:
        """Give elements that the equations determined, at ``value`` or where they start now; nothing is rebuilt.

        ``what`` is a symbol, elements of one (``v[2:5]``), a name (``"v"``, ``"v[3]"``), or a mapping of these to
        values. A fixed variable is given like a parameter: it has a gradient, and optimizers leave it alone. An input
        or parameter that was freed has its role back. As many elements must be freed as are fixed before the program is
        evaluated. A start that is an expression becomes the numbers that it has now.

        All or nothing. Raises UnknownNameError, also for what is no selection of elements, ShapeError, and
        DeclarationError for values that are not finite or outside the ``domain``, and where an element has no value and
        none is given.
        """
        self._swap(_pairs(what, value, "values"), found=False)

    def free(self, what: Any, start: Any = None) -> None:
        """Have the equations determine elements that were given, beginning at ``start`` or at the value they have.

        ``what`` is as in :meth:`fix`. A freed input or parameter is found like a variable; its bounds are limits for
        optimizers. A variable that was fixed has its role back. Raises as :meth:`fix` does, and DeclarationError for a
        parameter in the bound of a constraint.
        """
        self._swap(_pairs(what, start, "starts"), found=True)

    def unknown_elements(self) -> Array:
        """Which elements of the flat state are found from the equations, as things stand."""
        with self._lock:
            found = np.array([symbol.kind == "variable" for symbol in self.symbols.values()], dtype=bool)
            flags = np.repeat(found, np.diff(self.starts))
            for name, own in self.swapped.items():
                start = self.symbols[name].start
                flags[start : start + own.size] = own.ravel()
            return flags

    def roles_of(self, symbol: Symbol) -> Array:
        """Which elements of a symbol are found from the equations, in its shape."""
        swapped = self.swapped.get(symbol.name)
        return np.full(symbol.shape, symbol.kind == "variable") if swapped is None else swapped

    def role_of(self, symbol: Symbol) -> str:
        """ "fixed", "freed", one of these with "in part", or nothing: what was done to a symbol."""
        swapped = self.swapped.get(symbol.name)
        return "" if swapped is None else role_word(symbol, int(np.count_nonzero(swapped)), swapped.size)

    def is_found(self, symbol: Symbol) -> bool:
        """Whether all of a symbol is found from the equations."""
        swapped = self.swapped.get(symbol.name)
        return symbol.kind == "variable" if swapped is None else bool(swapped.all())

    def is_given(self, symbol: Symbol) -> bool:
        """Whether all of a symbol is given."""
        swapped = self.swapped.get(symbol.name)
        return symbol.kind != "variable" if swapped is None else not swapped.any()

    def _swap(self, pairs: Iterable[tuple[Any, Any]], found: bool) -> None:
        """Change the roles of elements and their values; what is wrong is raised before anything is changed."""
        with self._lock:
            flags: dict[str, Array] = {}
            values: dict[str, Array] = {}
            taken: dict[str, Array] = {}
            told = set()
            for key, value in pairs:
                chosen = self._chosen(key, taken)
                name = chosen.symbol.name
                if name not in flags:
                    flags[name], values[name] = self.roles_of(chosen.symbol).copy(), self._numbers_now(chosen.symbol)
                flags[name].ravel()[chosen.places.ravel()] = found
                what = "the start" if found else "the value"
                if value is not None:
                    array = fit(chosen.name, numeric(chosen.name, value, what), chosen.shape, what)
                    values[name].ravel()[chosen.places.ravel()] = array.ravel()
                    told.add(name)
            for name in flags:
                self._check_roles(self.symbols[name], flags[name], values[name])
            kept = {name for name in flags if name not in told and flags[name].all()}  # the start stays what it was
            self._take_roles(flags, {name: new for name, new in values.items() if name not in kept})

    def _take_roles(self, flags: dict[str, Array], values: dict[str, Array]) -> None:
        changed = any(not np.array_equal(new, self.roles_of(self.symbols[name])) for name, new in flags.items())
        changed |= any(started_by(self.symbols[name], new) for name, new in values.items())
        for name, new in values.items():
            self.symbols[name].value = new
        for name, new in flags.items():
            if (new != (self.symbols[name].kind == "variable")).any():
                self.swapped[name] = new
            else:
                self.swapped.pop(name, None)
        self.plan_version += changed
        self.values_version += 1

    def _check_roles(self, symbol: Symbol, unknown: Array, value: Array) -> None:
        missing = np.flatnonzero(np.isnan(value).ravel() & ~unknown.ravel())
        if len(missing):
            name = element_of(symbol, int(missing[0]))
            raise DeclarationError(f"{name!r} has no value and no start to be fixed at: p.fix({name!r}, value)")
        require_domain(symbol, value, ~unknown)
        if symbol.kind == "parameter" and unknown.any():
            self._refuse_in_bounds(symbol)

    def _refuse_in_bounds(self, symbol: Symbol) -> None:
        """A bound of a constraint has to be given."""

    def _chosen(self, key: Any, taken: dict[str, Array]) -> Chosen:
        """The elements that a key means, each for the first time in this call."""
        symbol, positions = selected(self, key)
        name = to_text(key, 60) if isinstance(key, Expression) else str(key)
        chosen = Chosen(symbol, name, positions - symbol.start)
        seen = taken.setdefault(chosen.symbol.name, np.zeros(chosen.symbol.shape, dtype=bool).ravel())
        flat = chosen.places.ravel()
        if len(np.unique(flat)) < len(flat) or seen[flat].any():
            raise DeclarationError(f"{chosen.name} has elements of {chosen.symbol.name!r} twice: name each once")
        seen[flat] = True
        return chosen

    # the numbers that symbols have now ---------------------------------------------------------------------

    def _numbers_now(self, symbol: Symbol) -> Array:
        """Values and starts of a symbol as a new array, NaN where there are none; of an expression what it has now."""
        if symbol.value is None:
            return np.full(symbol.shape, np.nan)
        numbers = self._computed([symbol])[symbol.name] if isinstance(symbol.value, Expression) else symbol.value
        return np.array(numbers, dtype=np.float64, order="C")

    def _computed(self, wanted: list[Symbol]) -> dict[str, Array]:
        """Starts that are expressions, after those that they need, by name."""
        needed: dict[str, Symbol] = {}
        while wanted:
            symbol = wanted.pop()
            if symbol.name not in needed:
                needed[symbol.name] = symbol
                wanted += symbols_of(symbol.value) if isinstance(symbol.value, Expression) else []
        computed = [symbol for symbol in needed.values() if isinstance(symbol.value, Expression)]
        numbers = {s.name: starting_numbers(s) for s in needed.values() if not isinstance(s.value, Expression)}
        for symbol in sorted(computed, key=lambda s: s.start):
            name, later = symbol.name, [s.name for s in symbols_of(symbol.value) if s.name not in numbers]
            if later:
                raise DeclarationError(f"the start of {name!r} needs {listing(later)}, declared later")
            with np.errstate(all="ignore"):
                found = evaluate(symbol.value, numbers)
            numbers[name] = fit(name, numeric(name, found, "the start"), symbol.shape, "the start")
        return numbers


def _pairs(what: Any, value: Any, values: str) -> Iterator[tuple[Any, Any]]:
    """(what, value) of one thing, or of a mapping; no value leaves what is there."""
    if not isinstance(what, Mapping):
        yield what, value
        return
    if value is not None:
        raise DeclarationError(f"a mapping has its {values} in it: give one or the other")
    yield from what.items()


def place_of_bound(symbol: Symbol, constraint: Any) -> str:
    """Why a parameter cannot be freed."""
    return (
        f"{symbol.name!r} stands in the bound of the constraint {constraint.name!r} ({place(constraint.location)}), "
        "which must be given: declare that constraint as left - right <= 0 to free it"
    )
