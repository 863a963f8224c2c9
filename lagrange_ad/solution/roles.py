"""The roles of a plan's symbols, read off the flags of its state elements: which are found, given, or both in parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..expression import Array, Symbol
from ..lowering import Blocks, Lowered
from ..program.starts import role_word


class PlanRoles:
    """Which symbols have elements that are found from the equations (``unknown``), which have given ones."""

    def __init__(self, lowered: Lowered, unknown: Array) -> None:
        self._lowered, self._unknown = lowered, unknown
        self._number = lowered.state.slices.number

    @cached_property
    def _counts(self) -> tuple[list[int], list[int]]:
        """Of every block the number of elements that are found, and of all."""
        start = self._lowered.state.start
        before = np.concatenate([[0], np.cumsum(self._unknown)])
        return (before[start[1:]] - before[start[:-1]]).tolist(), np.diff(start).tolist()

    def has_unknown(self, name: str) -> bool:
        """Whether an element of a symbol is found from the equations."""
        return self._counts[0][self._number[name]] > 0

    def has_given(self, name: str) -> bool:
        """Whether an element of a symbol is given; of a symbol without elements, whether it was declared so."""
        found, size = (counts[self._number[name]] for counts in self._counts)
        return found < size if size else self._lowered.symbols[name].kind != "variable"

    def is_mixed(self, name: str) -> bool:
        """Whether some elements are given and others found."""
        return self.has_unknown(name) and self.has_given(name)

    def given_names(self) -> list[str]:
        """The symbols with given elements, and inputs and parameters that were freed (their gradient is 0)."""
        return [name for name, s in self._lowered.symbols.items() if s.kind != "variable" or name in self.changed]

    @cached_property
    def changed(self) -> dict[str, str]:
        """What was fixed or freed: by symbol the word for it, with "in part" where that is so."""
        found = {}
        for symbol, count, size in zip(self._lowered.symbols.values(), *self._counts, strict=False):
            word = role_word(symbol, count, size)
            if word:
                found[symbol.name] = word
        return found

    def changed_elements(self) -> tuple[list[int], list[int]]:
        """The state elements that were fixed, and those that were freed."""
        fixed: list[int] = []
        freed: list[int] = []
        for name in self.changed:
            where = self._lowered.state.slices[name]
            of_variable = self._lowered.symbols[name].kind == "variable"
            places = np.flatnonzero(self._unknown[where] != of_variable) + where.start
            (fixed if of_variable else freed).extend(places.tolist())
        return fixed, freed

    def kind(self, symbol: Symbol, element: int | None = None) -> str:
        """A symbol's kind in words, ``variable, fixed``; of one element of the state, that element's."""
        word = self.changed.get(symbol.name, "")
        if element is not None and word.endswith("in part"):
            moved = bool(self._unknown[element]) != (symbol.kind == "variable")
            word = word.removesuffix(" in part") if moved else ""
        return f"{symbol.kind}, {word}" if word else symbol.kind

    def part(self, symbol: Symbol) -> str:
        """What a symbol plays for now: a fixed variable is a parameter, what was freed is a variable."""
        if self.changed.get(symbol.name) == "fixed":
            return "parameter"
        return "variable" if self.changed.get(symbol.name) == "freed" else symbol.kind

    def blocks(self, kinds: Sequence[str], *, found: bool) -> tuple[Blocks, Array]:
        """The elements that are found, or given, of symbols of some kinds as blocks of a flat vector; their places.

        A symbol of which some elements are left out is a block of one axis, labelled with the indices of what is left.
        """
        symbols, state = self._lowered.symbols.values(), self._lowered.state
        is_meant = [symbol.kind in kinds for symbol in symbols]
        flags = (self._unknown == found) & state.flags(is_meant + [False] * (len(state.names) - len(symbols)))
        is_empty_one = [meant and (symbol.kind == "variable") == found
                        for meant, symbol in zip(is_meant, symbols, strict=True)]
        return flagged_blocks(self._lowered, flags, is_empty_one), np.flatnonzero(flags)

    def masked(self, name: str, w: Array) -> Array:
        """w of a symbol in its shape, 0 at the elements that are found: the gradient."""
        block = self._lowered.state.get(w, name)
        if not self.has_unknown(name):
            return block
        unknown: Any = self._lowered.state.get(self._unknown, name)
        return np.where(unknown, 0.0, block)


def all_unknown(lowered: Lowered, of_user: Array) -> Array:
    """Which state elements are to be found: those of the user, and all auxiliaries."""
    return np.concatenate([of_user, np.ones(lowered.state.size - lowered.n_user, dtype=bool)])


def flagged_blocks(lowered: Lowered, flags: Array, is_empty_one: Sequence[bool]) -> Blocks:
    """The flagged state elements as blocks of a flat vector, by symbol.

    A symbol of which some elements are left out is a block of one axis, labelled with the indices of what is left. One
    without elements is a block where ``is_empty_one`` says so.
    """
    state = lowered.state
    numbers = np.concatenate([[0], np.cumsum(flags)])[state.start[: len(lowered.symbols) + 1]].tolist()
    ends = state.start.tolist()
    kept: list[tuple[str, Any, Any]] = []
    for i, symbol in enumerate(lowered.symbols.values()):
        count, (start, stop) = numbers[i + 1] - numbers[i], ends[i : i + 2]
        if count == stop - start and (count or is_empty_one[i]):
            kept.append((symbol.name, symbol.shape, symbol.labels))
        elif count:
            left = (start + np.flatnonzero(flags[start:stop])).tolist()
            indices = [state.element(at)[len(symbol.name) + 1 : -1] for at in left]
            kept.append((symbol.name, (count,), indices))
    names, shapes, labels = zip(*kept, strict=True) if kept else ((), (), ())
    return Blocks(names, shapes, labels)
