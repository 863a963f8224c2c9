"""How the user wants blocks to be solved: choices by the elements that they determine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DeclarationError
from ..expression import Array
from ..solvers import Auto, Bracket, FixedPoint, Newton, linear_solves, method_named
from ..solvers.choice import is_number
from ..text import listing
from .given import element_name
from .selection import selected

if TYPE_CHECKING:
    from .roles import Roles


@dataclass(frozen=True, eq=False)
class SolverChoice:
    """How to solve the blocks that determine some elements of the state; ``elements`` None: all blocks.

    ``method`` and ``linear`` are objects of ``lagrange_ad.solvers``. ``torn``: None for a solve in all unknowns, else
    the elements that tearing must keep (perhaps none: it chooses). ``name`` is what the user wrote.
    """

    name: str
    elements: Array | None
    method: Any
    linear: Any
    torn: Array | None
    tolerance: float | None
    max_iterations: int | None

    @property
    def is_plain(self) -> bool:
        """Whether compiled code may solve such a block: nothing but tearing was asked for."""
        plain = self.method.is_auto or self.method == Newton()  # compiled code takes Newton's steps
        return plain and self.linear == "auto" and self.tolerance is None and self.max_iterations is None


def chosen_for(choices: Sequence[SolverChoice], n_user: int, n_state: int) -> Array:
    """The number of the last choice for every element of the state, −1 where there is none.

    A variant of a program may have fewer symbols than the program had when a choice was made.
    """
    number = np.full(n_state, -1, dtype=np.int64)
    for i, choice in enumerate(choices):
        number[slice(None) if choice.elements is None else choice.elements[choice.elements < n_user]] = i
    return number


def solver_choice(program: Roles, of: Any, method: Any, linear: Any, tear: Any, tolerance: Any,
                  max_iterations: Any) -> SolverChoice:
    """The checked choice; see ``Program.solver``."""
    elements, name = None, "all blocks"
    if of is not None:
        elements, name = np.ravel(selected(program, of)[1]), str(element_name(of, program))
    if tolerance is not None and not (is_number(tolerance) and 0.0 < tolerance < 1.0):
        raise DeclarationError(f"tolerance= of p.solver({name!r}, ...) is a number between 0 and 1, got {tolerance!r}")
    if max_iterations is not None and not (
        isinstance(max_iterations, Integral) and not isinstance(max_iterations, bool) and int(max_iterations) >= 1
    ):
        raise DeclarationError(
            f"max_iterations= of p.solver({name!r}, ...) is an integer ≥ 1, got {max_iterations!r}"
        )
    given = getattr(method, "tolerance", None)
    if tolerance is not None and given is not None:
        raise DeclarationError(f"tolerance= is said twice: {tolerance!r} of p.solver, and {given!r} of {method}")
    chosen, solves = method_named(method), linear_solves(linear)
    if solves.is_matrix_free and not isinstance(chosen, Auto | Newton | FixedPoint | Bracket):
        raise DeclarationError(
            f"p.solver({name!r}, ...): {method!r} needs the entries of the Jacobian, which linear= does not make; take "
            "method='newton', or a preconditioner of entries, la.solvers.Krylov(preconditioner='ilu')"
        )
    if tear is None and isinstance(chosen, FixedPoint):
        tear = True  # so that what is not torn comes one after the other: Gauss and Seidel's order
    return SolverChoice(name, elements, chosen, linear, _torn(program, name, tear),
                        None if tolerance is None else float(tolerance),
                        None if max_iterations is None else int(max_iterations))


def _torn(program: Roles, name: str, tear: Any) -> Array | None:
    if tear is None or tear is False:
        return None
    if tear is True:
        return np.empty(0, dtype=np.int64)
    keys = list(tear) if isinstance(tear, list | tuple) else [tear]
    found = [selected(program, key) for key in keys]
    wrong = [symbol.name for symbol, _ in found if program.is_given(symbol)]
    if wrong or not keys:
        raise DeclarationError(
            f"tear= of p.solver({name!r}, ...) is True or names variables to solve for, got "
            f"{listing(wrong) or 'an empty list'}"
        )
    return np.unique(np.concatenate([np.ravel(positions) for _, positions in found]))
