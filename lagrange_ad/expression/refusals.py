"""What expressions cannot do, and what to write instead: the errors for it, by name."""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from ..elementary import TABLE
from ..errors import DeclarationError, ExpressionTypeError
from .tables import FUNCTIONS, UFUNCS

ADVICE = "its value is at[expr] for at = program.evaluate()"


class Refusals:
    """Operators and conversions that numbers and arrays have and expressions have not."""

    __slots__ = ()
    is_boolean: bool

    def __bool__(self) -> bool:
        if self.is_boolean:
            raise ExpressionTypeError(
                "a comparison of expressions has no truth value: use np.where(condition, a, b) to choose, "
                "np.maximum(a, b) or np.max(np.stack([a, b])) instead of max(a, b), la.logsumexp and la.softmax "
                "instead of SciPy's, "
                "& | ~ to combine conditions, subject_to(expr, lower=a, upper=b) for a two-sided constraint, "
                "and `is` to compare identities (`in` a list compares too)"
            )
        raise ExpressionTypeError(f"{self.title()} has no truth value: {ADVICE}")

    def __float__(self) -> float:
        raise ExpressionTypeError(
            f"{self.title()} is an expression, not a number: use np.exp, np.sin, … instead of math.exp, math.sin; "
            f"{ADVICE}"
        )

    __int__ = __float__
    __complex__ = __float__
    __index__ = __float__

    def __format__(self, spec: str) -> str:
        if spec:
            raise ExpressionTypeError(f"{self.title()} is an expression, not a number: {ADVICE}")
        return repr(self)

    def __xor__(self, other: Any) -> Any:
        raise no_operator("^")

    def __mod__(self, other: Any) -> Any:
        raise no_operator("%")

    def __floordiv__(self, other: Any) -> Any:
        raise no_operator("//")

    def __divmod__(self, other: Any) -> Any:
        raise no_operator("divmod")

    def __round__(self, digits: Any = None) -> Any:
        raise no_operator("round")

    def __lshift__(self, other: Any) -> Any:
        raise no_operator("<<")

    def __rshift__(self, other: Any) -> Any:
        raise no_operator(">>")

    __rxor__, __rmod__, __rfloordiv__, __rdivmod__ = __xor__, __mod__, __floordiv__, __divmod__
    __rlshift__, __rrshift__ = __lshift__, __rshift__

    def __setitem__(self, key: Any, value: Any) -> None:
        raise ExpressionTypeError(
            "expressions cannot be assigned to: build the array with np.concatenate, np.stack or np.where"
        )

    def title(self) -> str:
        """How errors call it."""
        return "the expression"


def foreign_programs(first: Any, second: Any) -> DeclarationError:
    """The error for an expression of two programs."""
    return DeclarationError(
        f"an expression mixes symbols of two programs, {first.name!r} and {second.name!r}: "
        "declare the variables it needs in one of them"
    )


OPERATOR_OF = {
    "remainder": "%", "fmod": "%", "floor_divide": "//", "divmod": "divmod", "bitwise_xor": "^", "left_shift": "<<",
    "right_shift": ">>",
}  # fmt: skip


def no_operator(sign: str) -> ExpressionTypeError:
    """The error for an operator that expressions do not have."""
    if sign == "^":
        return ExpressionTypeError("^ is not a power in Python: write x**2, or np.power(x, 2)")
    if sign in ("<<", ">>"):
        return ExpressionTypeError(f"{sign} is not supported on expressions")
    return ExpressionTypeError(f"{sign} is not supported on expressions: it has no derivative at its jumps")


_INSTEAD = {
    "np.add.at": "np.bincount(index, weights=x, minlength=n)",
    "np.add.reduceat": "np.bincount(index, weights=x, minlength=n)",
    "np.argmax": "np.max(x) for the value; which element it is has no derivative",
    "np.argmin": "np.min(x) for the value; which element it is has no derivative",
    "np.argsort": "an index of your own: x[order] with the order known",
    "np.sort": "x[order] with the order known, np.max(x) or np.min(x) for the ends",
    "np.median": "la.softmax or np.mean for a smooth centre, x[order] where the order is known",
    "np.percentile": "x[order] where the order is known, np.max(x) or np.min(x) for the ends",
    "np.quantile": "x[order] where the order is known, np.max(x) or np.min(x) for the ends",
    "np.average": "np.sum(weights * x) / np.sum(weights)",
    "np.interp": "la.interpolate(x, y), a table as a smooth function",
    "np.linalg.det": "the product of the pivots of your own elimination, a*d - b*c for 2 × 2; "
                     "np.linalg.solve(A, b) for what Cramer's rule would divide",
    "np.linalg.slogdet": "np.linalg.solve(A, b) for what the determinant would divide",
    "np.linalg.lstsq": "np.linalg.solve(A.T @ A, A.T @ b)",
    "np.linalg.pinv": "np.linalg.solve(A.T @ A, A.T @ b) for what it would multiply",
    "np.linalg.cholesky": "a variable L and equate(L @ L.T, A), or np.linalg.solve(A, b) for what it would solve",
    "np.linalg.eigh": "variables v and w and the equations A @ v = w * v, v @ v = 1",
    "np.linalg.eig": "variables v and w and the equations A @ v = w * v, v @ v = 1",
    "np.linalg.eigvalsh": "variables v and w and the equations A @ v = w * v, v @ v = 1",
    "np.linalg.matrix_power": "A @ A",
    "np.convolve": "a sum of products of slices",
    "np.diag": "np.diagonal(A), or x[:, None] * np.eye(n) for a matrix with the diagonal x",
    "np.split": "slices: x[:k], x[k:]",
    "np.array_split": "slices: x[:k], x[k:]",
    "np.block": "np.concatenate of rows, each an np.concatenate(..., axis=1)",
    "np.meshgrid": "x[None, :] and y[:, None], which broadcast",
    "np.select": "np.where(condition, a, np.where(...))",
    "np.piecewise": "np.where(condition, a, b)",
    "np.heaviside": "np.where(x > 0, 1.0, 0.0)",
    "np.fmax": "np.maximum",
    "np.fmin": "np.minimum",
    "np.linspace": "a + (b - a) * np.linspace(0.0, 1.0, n)",
    "np.unstack": "x[0], x[1], …",
    "np.nansum": "np.sum: an expression has no NaN to be left out",
    "np.nanmean": "np.mean: an expression has no NaN to be left out",
    "np.gradient": "np.diff(x), or differences of slices",
}
"""What to write for NumPy functions that are asked for often."""


def spelling(ufunc: Any) -> str:
    """A ufunc as a user writes it: of NumPy, of scipy.special, or by its name alone."""
    name: str = ufunc.__name__
    if getattr(np, name, None) is ufunc:
        return f"np.{name}"
    public = name.removeprefix("_")  # scipy.special.zeta is a function that calls a ufunc named _zeta
    return f"scipy.special.{public}" if hasattr(sys.modules.get("scipy.special"), public) else name


def numpy_name(function: Any) -> str:
    """How users write a NumPy function: ``np.linalg.norm``."""
    return f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"


def unsupported(name: str) -> ExpressionTypeError:
    """The error for a function that expressions do not have: what to write instead, or which have a similar name."""
    supported = supported_names()
    advice = f"; write {_INSTEAD[name]}" if name in _INSTEAD else _similar(name, supported)
    return ExpressionTypeError(
        f"{name} is not supported on expressions{advice}. Supported: {len(supported)} functions such as np.sin, "
        "np.sum and scipy.special.erf (lagrange_ad.expression.supported_names() lists them), and any function of "
        "numbers as la.external(function)"
    )


def _similar(name: str, supported: list[str]) -> str:
    from difflib import get_close_matches

    known = {full.rpartition(".")[2]: full for full in supported}
    short = name.rpartition(".")[2]
    inside = [part for part in known if (len(part) > 2 and short.startswith(part)) or (len(part) > 3 and part in short)]
    close = dict.fromkeys([*get_close_matches(short, list(known), n=3, cutoff=0.76), *sorted(inside, key=len)[:-4:-1]])
    return f"; near names: {', '.join([known[part] for part in close][:3])}" if close else ""


def supported_names() -> list[str]:
    """The functions of NumPy and scipy.special that build expressions."""
    rows = {*(row.spelling for row in TABLE.values()), "scipy.special.psi"}
    functions = {numpy_name(function) for function in FUNCTIONS if function is not operator.getitem}
    return sorted({*rows, *functions, *(f"np.{name}" for name in UFUNCS)})
