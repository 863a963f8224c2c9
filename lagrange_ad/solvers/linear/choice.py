"""Which linear solver a block gets, from what the user said."""

from __future__ import annotations

from typing import Any

from ...errors import DeclarationError
from .klu import klu_factor, modules
from .krylov import Krylov, KrylovSolves
from .pattern import System
from .solves import Linear

CHOICES = ("auto", "lu", "klu", "krylov")


def linear_solves(choice: Any = "auto", system: System | None = None) -> Linear:
    """The linear solves of a block with the pattern ``system``.

    ``"auto"``: LAPACK when small, SuperLU when sparse, a factor kept for later matrices where that pays. ``"lu"``:
    the same, factored anew for every matrix. ``"klu"``: KLU for sparse ones. ``"krylov"`` or a :class:`Krylov`: by
    iteration.
    Raises DeclarationError for another choice, ModuleNotFoundError where KLU is not installed.
    """
    if isinstance(choice, Krylov):
        return KrylovSolves(choice, system)
    if choice in ("auto", "lu"):
        return Linear(system, keeps=choice != "lu")
    if choice == "klu":
        modules()
        return Linear(system, klu_factor)
    if choice == "krylov":
        return KrylovSolves(Krylov(), system)
    known = ", ".join(map(repr, CHOICES))
    raise DeclarationError(f"linear= is one of {known} or la.solvers.Krylov(...), got {choice!r}")
