"""The one table of elementary functions: name, arity, function of NumPy or scipy.special, derivative rule, domain.

A rule takes the operands and the value, all of any type that NumPy's functions accept (arrays, expressions,
kernel nodes), and returns the partial derivative in each operand: derivatives are expressions again. Where a
function needs another form to be analytic on complex128 (the complex step), the row carries that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Rule = Callable[..., tuple[Any, ...]]
Native = str | Callable[..., Any]


@dataclass(frozen=True)
class Elementary:
    """One elementary function y = f(x_1, …, x_n), applied element by element.

    ``partials(x_1, …, x_n, y)`` gives ∂y/∂x_j for every operand, in terms of NumPy functions of its arguments.
    ``domain`` says in words where the value is a real number; empty: everywhere. ``fixed`` counts the first operands
    that must be numbers: there is no derivative in them. ``analytic`` replaces ``function`` on complex128. ``scalar``
    is a faster Python function for single floats, where one exists.
    ``native`` is what compiled code does: an LLVM instruction (``fadd``; ``fcmp`` with its predicate), ``llvm`` with
    the name of an intrinsic, ``libm`` with a function of the C library, ``own`` with a function of
    ``execution/native/special.py``, or a formula of other rows. ``convention`` says what holds where the derivative
    is a choice or a limit. ``symbol`` and ``precedence`` are for printing operators.
    """

    name: str
    function: Callable[..., Any]
    partials: Rule
    arity: int = 1
    domain: str = ""
    analytic: Callable[..., Any] | None = None
    scalar: str | None = None
    native: Native = ""
    symbol: str = ""
    precedence: int = 0
    boolean: bool = False
    selects: bool = False
    latex: str = ""
    fixed: int = 0
    convention: str = ""

    @property
    def spelling(self) -> str:
        """The function as a user writes it."""
        return f"scipy.special.{self.name}" if isinstance(self.function, Special) else f"np.{self.name}"


class Special:
    """A function of scipy.special, which is imported when numbers are first asked for: that takes long.

    Expressions and kernel nodes answer through ``__array_ufunc__``, as they do for NumPy's functions.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    @cached_property
    def loaded(self) -> Callable[..., Any]:
        """The function itself."""
        from scipy import special

        found: Callable[..., Any] = getattr(special, self.__name__)
        return found

    def __call__(self, *operands: Any) -> Any:
        for x in operands:
            if hasattr(x, "__array_ufunc__") and not isinstance(x, np.ndarray | np.generic):
                return x.__array_ufunc__(self, "__call__", *operands)
        return self._of_numbers(*operands)

    def _of_numbers(self, *operands: Any) -> Any:
        return self.loaded(*operands)


class _Digamma(Special):
    """ψ(x) = ψ(1 - x) - π/tan πx below 0, by the distance to the next integer: SciPy's is off near poles."""

    def _of_numbers(self, x: Any) -> Any:
        if np.iscomplexobj(x):
            return self.loaded(x)
        x = np.asarray(x, dtype=float)
        with np.errstate(all="ignore"):
            above = np.where(x < 0.0, 1.0 - x, x)
            part = np.where((x < 0.0) & (x != np.rint(x)), x - np.rint(x), np.nan)
            return np.where(x < 0.0, self.loaded(above) - math.pi / np.tan(math.pi * part), self.loaded(above))[()]


class _Zeta(Special):
    """Hurwitz's ζ(s, q) = Σ 1/(q + k)^s, k = 0, 1, …, also for q < 0 where s is an integer.

    SciPy adds up the terms below 0 one by one, which never ends far out; here they are two sums of the other kind.
    """

    def _of_numbers(self, s: Any, q: Any) -> Any:
        s, q = np.asarray(s, dtype=float), np.asarray(q, dtype=float)
        with np.errstate(all="ignore"):
            below = (q < 0) & (q > -(2.0**52)) & (q != np.floor(q))  # beyond, all floats are integers: poles
            up, down = np.where(below, q - np.floor(q), q), np.where(below, np.ceil(q) - q, 1.0)
            rest = self.loaded(s, down) - self.loaded(s, np.where(below, 1.0 - q, 1.0))
            sign = np.where(s == np.floor(s), np.where(np.floor(s / 2) * 2 == s, 1.0, -1.0), np.nan)
            return (self.loaded(s, up) + np.where(below & (s > 1.0), sign * rest, 0.0))[()]


def _real(x: Any) -> Any:
    return np.asarray(x).real


def _compare(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: function(_real(x), _real(y))


def _zero(*operands: Any) -> tuple[Any, ...]:
    return (0.0,) * (len(operands) - 1)


def _power_partials(x: Any, n: Any, y: Any) -> tuple[Any, Any]:
    """∂(x^n)/∂x = n·x^(n-1) (0 for n = 0); ∂/∂n = y·log x (0 where x = 0, the limit for n > 0)."""
    return (
        np.where(np.equal(n, 0.0), 0.0, n * np.power(x, n - 1.0)),
        np.where(np.equal(x, 0.0), 0.0, y * np.log(np.where(np.equal(x, 0.0), 1.0, x))),
    )


def _analytic_arctan2(y: Any, x: Any) -> Any:
    value = np.arctan2(_real(y), _real(x))
    with np.errstate(all="ignore"):
        norm = _real(x) ** 2 + _real(y) ** 2
        return value + 1j * (np.imag(y) * _real(x) - np.imag(x) * _real(y)) / norm


def _analytic_cbrt(x: Any) -> Any:
    value = np.cbrt(_real(x))
    with np.errstate(all="ignore"):
        return value + 1j * np.divide(np.imag(x), 3 * value**2)


def _analytic_logaddexp(x: Any, y: Any) -> Any:
    larger = np.where(_real(x) >= _real(y), x, y)
    smaller = np.where(_real(x) >= _real(y), y, x)
    return larger + np.log1p(np.exp(smaller - larger))


def _to_first_order(function: Callable[..., Any], slope: Callable[..., Any]) -> Callable[..., Any]:
    """f(x) + i·f′(x)·Im x in the last operand: what the complex step needs of a function SciPy has for reals only."""

    def continued(*operands: Any) -> Any:
        real = [_real(x) for x in operands]
        with np.errstate(all="ignore"):
            return function(*real) + 1j * np.imag(operands[-1]) * slope(*real)

    return continued


_erf, _erfc, _ndtr, _gamma, _gammaln = map(Special, ("erf", "erfc", "ndtr", "gamma", "gammaln"))
_expit, _log_expit, _logit, _entr = map(Special, ("expit", "log_expit", "logit", "entr"))
_xlogy, _xlog1py, _zeta, _digamma = Special("xlogy"), Special("xlog1py"), _Zeta("zeta"), _Digamma("digamma")


def _analytic_expit(x: Any) -> Any:
    small = np.exp(np.where(_real(x) < 0.0, x, -x))
    return np.where(_real(x) < 0.0, small, 1.0) / (1.0 + small)


def _analytic_log_expit(x: Any) -> Any:
    return np.where(_real(x) < 0.0, x, 0.0) - np.log1p(np.exp(np.where(_real(x) < 0.0, x, -x)))


def _analytic_logit(x: Any) -> Any:
    return np.log(x) - np.log1p(-x)


def _native_log_expit(x: Any) -> Any:
    rest = np.log1p(np.exp(-np.abs(x)))
    return np.where(np.greater(x, 0.0), -rest, x - rest)


def _native_logit(x: Any) -> Any:
    """Around 1/2, where the logarithm of the quotient would cancel, by log1p of what is exact."""
    s = 2.0 * (x - 0.5)
    return np.where(np.less(np.abs(s), 0.4), np.log1p(s) - np.log1p(-s), np.log(x / (1.0 - x)))


def _xlogy_partials(x: Any, y: Any, v: Any) -> tuple[Any, Any]:
    """(log y, x/y); at (0, 0) the second one is 0, so that weights of 0 leave no 0/0."""
    both = np.logical_and(np.equal(x, 0.0), np.equal(y, 0.0))
    return np.log(y), np.where(both, 0.0, x / np.where(both, 1.0, y))


def _native_xlogy(x: Any, y: Any) -> Any:
    return np.where(np.logical_and(np.equal(x, 0.0), np.equal(y, y)), 0.0, x * np.log(y))


def _xlog1py_partials(x: Any, y: Any, v: Any) -> tuple[Any, Any]:
    """(log1p(y), x/(1 + y)); at (0, -1) the second one is 0."""
    both = np.logical_and(np.equal(x, 0.0), np.equal(y, -1.0))
    return np.log1p(y), np.where(both, 0.0, x / np.where(both, 1.0, 1.0 + y))


def _native_xlog1py(x: Any, y: Any) -> Any:
    return np.where(np.logical_and(np.equal(x, 0.0), np.equal(y, y)), 0.0, x * np.log1p(y))


def _native_entr(x: Any) -> Any:
    """-x·log x; 0 at 0, -∞ below; NaN stays."""
    outside = np.where(np.equal(x, 0.0), 0.0, np.where(np.less(x, 0.0), -math.inf, x))
    return np.where(np.greater(x, 0.0), -x * np.log(x), outside)


def _arctan2_partials(y: Any, x: Any, v: Any) -> tuple[Any, Any]:
    """(x, -y)/(x² + y²), by the length: squares would overflow."""
    length = np.hypot(x, y)
    return x / length / length, -(y / length / length)


def _native_logaddexp(x: Any, y: Any) -> Any:
    """Equal operands apart: the difference of two infinities is not a number."""
    larger = np.maximum(x, y) + np.log1p(np.exp(-np.abs(x - y)))
    return np.where(np.equal(x, y), x + math.log(2.0), larger)


def _native_sign(x: Any) -> Any:
    return np.where(np.greater(x, 0.0), 1.0, np.where(np.less(x, 0.0), -1.0, x))


def _native_minimum(x: Any, y: Any) -> Any:
    return np.where(np.logical_or(np.less_equal(x, y), np.not_equal(x, x)), x, y)


def _native_maximum(x: Any, y: Any) -> Any:
    return np.where(np.logical_or(np.greater_equal(x, y), np.not_equal(x, x)), x, y)


_ROWS = (
    # arithmetic
    Elementary("add", np.add, lambda x, y, v: (1.0, 1.0), 2, symbol="+", precedence=1, native="fadd"),
    Elementary("subtract", np.subtract, lambda x, y, v: (1.0, -1.0), 2, symbol="-", precedence=1, native="fsub"),
    Elementary("negative", np.negative, lambda x, v: (-1.0,), symbol="-", precedence=3, native="fneg"),
    Elementary("multiply", np.multiply, lambda x, y, v: (y, x), 2, symbol="*", precedence=2, native="fmul"),
    Elementary("divide", np.divide, lambda x, y, v: (1.0 / y, -v / y), 2, "denominator ≠ 0",
               symbol="/", precedence=2, native="fdiv"),
    Elementary("power", np.power, _power_partials, 2, "base > 0, or an integer exponent",
               symbol="**", precedence=4, native="libm pow",
               convention="0⁰ = 1; the slope in the exponent is 0 at base 0, NaN below"),
    Elementary("square", np.square, lambda x, v: (2.0 * x,), latex="square", native=lambda x: x * x),
    Elementary("reciprocal", np.reciprocal, lambda x, v: (-v * v,), domain="argument ≠ 0", native=lambda x: 1.0 / x),
    # exponentials and logarithms
    Elementary("exp", np.exp, lambda x, v: (v,), scalar="exp", latex=r"\exp", native="libm exp"),
    Elementary("exp2", np.exp2, lambda x, v: (math.log(2.0) * v,), native="libm exp2"),
    Elementary("expm1", np.expm1, lambda x, v: (np.exp(x),), scalar="expm1", native="libm expm1"),
    Elementary("log", np.log, lambda x, v: (1.0 / x,), domain="argument > 0", scalar="log", latex=r"\log",
               native="libm log"),
    Elementary("log1p", np.log1p, lambda x, v: (1.0 / (1.0 + x),), domain="argument > -1", scalar="log1p",
               native="libm log1p"),
    Elementary("log2", np.log2, lambda x, v: (1.0 / (math.log(2.0) * x),), domain="argument > 0", native="libm log2"),
    Elementary("log10", np.log10, lambda x, v: (1.0 / (math.log(10.0) * x),), domain="argument > 0",
               native="libm log10"),
    Elementary("logaddexp", np.logaddexp, lambda x, y, v: (_expit(x - y), _expit(y - x)), 2,
               analytic=_analytic_logaddexp, native=_native_logaddexp),
    Elementary("sqrt", np.sqrt, lambda x, v: (0.5 / v,), domain="argument ≥ 0", scalar="sqrt", latex=r"\sqrt",
               native="llvm sqrt"),
    Elementary("cbrt", np.cbrt, lambda x, v: (1.0 / (3.0 * v * v),), analytic=_analytic_cbrt, native="libm cbrt"),
    # trigonometric and hyperbolic
    Elementary("sin", np.sin, lambda x, v: (np.cos(x),), domain="a finite argument", scalar="sin", latex=r"\sin",
               native="libm sin"),
    Elementary("cos", np.cos, lambda x, v: (-np.sin(x),), domain="a finite argument", scalar="cos", latex=r"\cos",
               native="libm cos"),
    Elementary("tan", np.tan, lambda x, v: (1.0 + v * v,), domain="a finite argument", scalar="tan", latex=r"\tan",
               native="libm tan"),
    Elementary("arcsin", np.arcsin, lambda x, v: (1.0 / np.sqrt((1.0 - x) * (1.0 + x)),), domain="-1 ≤ argument ≤ 1",
               latex=r"\arcsin", native="libm asin"),
    Elementary("arccos", np.arccos, lambda x, v: (-1.0 / np.sqrt((1.0 - x) * (1.0 + x)),), domain="-1 ≤ argument ≤ 1",
               latex=r"\arccos", native="libm acos"),
    Elementary("arctan", np.arctan, lambda x, v: (1.0 / (1.0 + x * x),), scalar="atan", latex=r"\arctan",
               native="libm atan"),
    Elementary("arctan2", np.arctan2, _arctan2_partials, 2,
               analytic=_analytic_arctan2, native="libm atan2"),
    Elementary("hypot", np.hypot, lambda x, y, v: (x / v, y / v), 2,
               analytic=lambda x, y: np.sqrt(x * x + y * y), native="libm hypot"),
    Elementary("sinh", np.sinh, lambda x, v: (np.cosh(x),), scalar="sinh", latex=r"\sinh", native="libm sinh"),
    Elementary("cosh", np.cosh, lambda x, v: (np.sinh(x),), scalar="cosh", latex=r"\cosh", native="libm cosh"),
    Elementary("tanh", np.tanh, lambda x, v: (1.0 - v * v,), scalar="tanh", latex=r"\tanh", native="libm tanh",
               convention="the slope 1 - v² is good to the rounding of 1"),
    Elementary("arcsinh", np.arcsinh, lambda x, v: (1.0 / np.hypot(1.0, x),), native="libm asinh"),
    Elementary("arccosh", np.arccosh, lambda x, v: (1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),),
               domain="argument ≥ 1", native="libm acosh"),
    Elementary("arctanh", np.arctanh, lambda x, v: (1.0 / ((1.0 - x) * (1.0 + x)),), domain="-1 < argument < 1",
               native="libm atanh"),
    # of scipy.special
    Elementary("erf", _erf, lambda x, v: (2.0 / math.sqrt(math.pi) * np.exp(-x * x),), scalar="erf",
               native="libm erf"),
    Elementary("erfc", _erfc, lambda x, v: (-2.0 / math.sqrt(math.pi) * np.exp(-x * x),), scalar="erfc",
               native="libm erfc"),
    Elementary("ndtr", _ndtr, lambda x, v: (1.0 / math.sqrt(2.0 * math.pi) * np.exp(-0.5 * x * x),), latex=r"\Phi",
               native=lambda x: 0.5 * _erfc(-x * math.sqrt(0.5))),
    Elementary("expit", _expit, lambda x, v: (v * _expit(-x),), analytic=_analytic_expit,
               native=lambda x: 1.0 / (1.0 + np.exp(-x))),
    Elementary("log_expit", _log_expit, lambda x, v: (_expit(-x),), analytic=_analytic_log_expit,
               native=_native_log_expit),
    Elementary("logit", _logit, lambda x, v: (1.0 / (x * (1.0 - x)),), domain="0 ≤ argument ≤ 1",
               analytic=_analytic_logit, native=_native_logit),
    Elementary("gamma", _gamma, lambda x, v: (v * _digamma(x),), domain="an argument that is not 0, -1, -2, …",
               latex=r"\Gamma", analytic=_to_first_order(_gamma, lambda x: _gamma(x) * _digamma(x)),
               native="libm tgamma"),
    Elementary("gammaln", _gammaln, lambda x, v: (_digamma(x),), domain="an argument that is not 0, -1, -2, …",
               analytic=_to_first_order(_gammaln, _digamma), native="own gammaln"),
    Elementary("digamma", _digamma, lambda x, v: (_zeta(2.0, x),), domain="an argument that is not 0, -1, -2, …",
               latex=r"\psi", native="own digamma"),
    Elementary("zeta", _zeta, lambda s, q, v: (0.0, -s * _zeta(s + 1.0, q)), 2, fixed=1, latex=r"\zeta",
               convention="s is a number; ψ⁽ⁿ⁾(x) = (-1)ⁿ⁺¹ n! ζ(n + 1, x)",
               domain="s > 1 and a second operand > 0, or not an integer where s is one",
               analytic=_to_first_order(_zeta, lambda s, q: -s * _zeta(s + 1.0, q)), native="own zeta"),
    Elementary("xlogy", _xlogy, _xlogy_partials, 2, "second operand > 0, or first operand = 0", native=_native_xlogy,
               convention="0 log 0 = 0; there the slopes are -∞ and 0"),
    Elementary("xlog1py", _xlog1py, _xlog1py_partials, 2, "second operand > -1, or first operand = 0",
               native=_native_xlog1py, convention="0 log1p(-1) = 0; there the slopes are -∞ and 0"),
    Elementary("entr", _entr, lambda x, v: (-1.0 - np.log(x),), domain="argument ≥ 0",
               analytic=lambda x: -x * np.log(x), native=_native_entr,
               convention="entr(0) = 0 with slope ∞; -∞ below"),
    # selections: derivatives pick a branch; at a tie the first operand's
    Elementary("absolute", np.abs, lambda x, v: (np.where(np.less(x, 0.0), -1.0, 1.0),), selects=True,
               analytic=lambda x: np.where(_real(x) < 0.0, -x, x), scalar="fabs", native="llvm fabs",
               convention="slope 1 at 0"),
    Elementary("sign", np.sign, _zero, analytic=lambda x: np.sign(_real(x)) + 0j, native=_native_sign,
               convention="slope 0, also at the jump"),
    Elementary("rint", np.rint, _zero, analytic=lambda x: np.rint(_real(x)) + 0j, native="llvm rint",
               convention="slope 0, also at the jumps"),
    Elementary("minimum", np.minimum, lambda x, y, v: (np.where(np.less_equal(x, y), 1.0, 0.0),
                                                        np.where(np.less_equal(x, y), 0.0, 1.0)), 2, selects=True,
               analytic=lambda x, y: np.where(_real(x) <= _real(y), x, y), native=_native_minimum,
               convention="at a tie the first operand has slope 1, the second 0"),
    Elementary("maximum", np.maximum, lambda x, y, v: (np.where(np.greater_equal(x, y), 1.0, 0.0),
                                                        np.where(np.greater_equal(x, y), 0.0, 1.0)), 2, selects=True,
               analytic=lambda x, y: np.where(_real(x) >= _real(y), x, y), native=_native_maximum,
               convention="at a tie the first operand has slope 1, the second 0"),
    Elementary("where", np.where, lambda c, x, y, v: (0.0, np.where(c, 1.0, 0.0), np.where(c, 0.0, 1.0)), 3,
               selects=True, native="select", convention="the slope of the branch taken; no slope in the condition"),
    # conditions
    Elementary("less", np.less, _zero, 2, analytic=_compare(np.less), symbol="<", boolean=True, native="fcmp olt"),
    Elementary("less_equal", np.less_equal, _zero, 2, analytic=_compare(np.less_equal), symbol="<=", boolean=True,
               native="fcmp ole"),
    Elementary("greater", np.greater, _zero, 2, analytic=_compare(np.greater), symbol=">", boolean=True,
               native="fcmp ogt"),
    Elementary("greater_equal", np.greater_equal, _zero, 2, analytic=_compare(np.greater_equal), symbol=">=",
               boolean=True, native="fcmp oge"),
    Elementary("equal", np.equal, _zero, 2, analytic=_compare(np.equal), symbol="==", boolean=True, native="fcmp oeq"),
    Elementary("not_equal", np.not_equal, _zero, 2, analytic=_compare(np.not_equal), symbol="!=", boolean=True,
               native="fcmp une"),
    Elementary("logical_and", np.logical_and, _zero, 2, symbol="&", boolean=True, native="logical and"),
    Elementary("logical_or", np.logical_or, _zero, 2, symbol="|", boolean=True, native="logical or"),
    Elementary("logical_not", np.logical_not, _zero, 1, boolean=True, native="logical not"),
)

TABLE: dict[str, Elementary] = {row.name: row for row in _ROWS}
"""Every elementary function by its name in NumPy or scipy.special."""
UFUNC_NAMES = {"psi": "digamma", "_zeta": "zeta"}
"""The names of rows whose ufunc in scipy.special calls itself something else."""
