"""Names of algorithms, and which one is taken where nobody names one.

Takes what a user gave as ``method`` (a name, an object, None) and a Problem; gives an Algorithm, and the reason in
words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import DeclarationError
from ..text import nearest
from .algorithm import Algorithm
from .arrow_hurwicz import ArrowHurwicz
from .augmented import AugmentedLagrangian
from .coordinates import AuxiliaryCoordinates
from .from_scipy import LBFGSB, SLSQP
from .gradient import GradientDescent
from .ipopt import Ipopt
from .lagrange_newton import LagrangeNewton
from .problem import Problem
from .trust_region import TrustConstr, TrustKrylov
from .uno import Uno

NAMES: dict[str, Callable[[], Algorithm]] = {
    # Other libraries
    "uno": Uno,
    "uno-sqp": partial(Uno, preset="filtersqp"),
    "ipopt": Ipopt,
    "l-bfgs-b": LBFGSB,
    "slsqp": SLSQP,
    "trust-constr": TrustConstr,
    "trust-krylov": TrustKrylov,
    # Our own
    "augmented-lagrangian": AugmentedLagrangian,
    "lagrange-newton": LagrangeNewton,
    "arrow-hurwicz": ArrowHurwicz,
    "auxiliary-coordinates": AuxiliaryCoordinates,
    "gradient": GradientDescent,
}
"""Every name that ``method`` may have, and what makes the algorithm with its usual options."""

SMALL = 200
"""Up to so many variables dense work (SLSQP, BFGS updates) costs less than it saves."""

PRODUCTS = 1000
"""Up to so many variables an SQP method may ask for Hessian products column by column."""


def algorithm_named(given: Any) -> Algorithm:
    """The algorithm of a name, or the object itself. Raises DeclarationError with the nearest name."""
    if isinstance(given, Algorithm):
        return given
    if isinstance(given, str):
        make = NAMES.get(given.lower().replace("_", "-"))
        if make is None:
            raise DeclarationError(f"there is no method {given!r}{nearest(given.lower(), NAMES)}; methods are "
                                   f"{', '.join(NAMES)}")
        return make()
    if isinstance(given, type) and issubclass(given, Algorithm):
        raise DeclarationError(f"{given.__name__} is a class of algorithms: give an object, {given.__name__}()")
    raise DeclarationError(f"a method is a name or an algorithm such as la.optimizers.Uno(), got {given!r}; names are "
                           f"{', '.join(NAMES)}")


def has(module: str) -> bool:
    """Whether an optional library can be imported here."""
    try:
        import_module(module)
    except ImportError:
        return False
    return True


def choose(problem: Problem) -> tuple[Algorithm, str]:
    """The algorithm for a problem by its structure, and why, in a sentence that ends a report's line.

    With a sparse Hessian: an interior point. With products or gradients only: by rows, bounds and size.
    """
    exact = problem.second_order and problem.hessian_structure is not None
    if exact:
        return _second_order(problem)
    if not problem.m:
        return _without_rows(problem)
    return _first_order(problem)


def _second_order(problem: Problem) -> tuple[Algorithm, str]:
    why = f"{_kind(problem)} with a sparse Hessian: an interior point"
    for module, algorithm in (("unopy", Uno()), ("cyipopt", Ipopt())):
        if has(module):
            return algorithm, why
    return TrustConstr(), f"{_kind(problem)} with a sparse Hessian, and neither unopy nor cyipopt is installed"


def _without_rows(problem: Problem) -> tuple[Algorithm, str]:
    if problem.second_order and _kind(problem) == "unconstrained":
        return TrustKrylov(), "unconstrained with products of the Hessian: Newton's method in a trust region"
    what = "products of the Hessian" if problem.second_order else "gradients"
    return LBFGSB(), f"{_kind(problem)} with {what} only: a quasi-Newton method"


def _first_order(problem: Problem) -> tuple[Algorithm, str]:
    if has("unopy"):
        if problem.second_order and problem.n <= PRODUCTS:
            return Uno(preset="filtersqp"), "constrained with products of the Hessian, and not large: SQP"
        if problem.n > SMALL:
            return Uno(), "constrained with gradients only, and not small: an interior point with L-BFGS"
    elif problem.n > SMALL:
        return TrustConstr(), "constrained, not small, and unopy is not installed"
    return SLSQP(), "constrained with gradients only, and small: dense SQP"


def _kind(problem: Problem) -> str:
    if problem.m:
        return "constrained"
    return "bounds only" if bool((np.isfinite(problem.lower) | np.isfinite(problem.upper)).any()) else "unconstrained"
