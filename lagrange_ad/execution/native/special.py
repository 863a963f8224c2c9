"""Special functions that no C library has, written once in LLVM: ψ, Hurwitz's ζ, and log |Γ| with SciPy's limits.

Both sums are shifted to arguments of 10 and more and end with the Euler–Maclaurin series there (Abramowitz and Stegun,
6.3.18, 6.4.11, 23.1.30); arguments below 0 are reflected. Other compiled code calls them, one number at a time.
"""

from __future__ import annotations

import math
from fractions import Fraction

from .ir import Function, literal

_BERNOULLI = [Fraction(*pair) for pair in (
    (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798))]  # fmt: skip
"""B₂, B₄, …: enough for arguments of SHIFT and more."""
SHIFT = 10
NAN, INFINITE = literal(math.nan), literal(math.inf)


def special_functions() -> list[Function]:
    """``special_digamma(x)``, ``special_zeta(s, q)`` and ``special_gammaln(x)``, after what they call."""
    return [_zeta_of_positive(), _zeta(), _digamma(), _gammaln()]


def _function(name: str, operands: str, internal: bool = False) -> Function:
    return Function(name, ", ".join(f"double %{x}" for x in operands), "double", internal)


def _call(f: Function, symbol: str, *operands: str) -> str:
    """A function of doubles: of the C library, an intrinsic, or one of these."""
    if symbol.startswith(("la_", "llvm.")):
        f.needed[symbol] = f"declare double @{symbol}({', '.join(['double'] * len(operands))})"
    return f.do(f"call double @{symbol}({', '.join(f'double {x}' for x in operands)})")


def _real(f: Function, operation: str, a: str | float, b: str | float) -> str:
    return f.real(operation, *(literal(x) if isinstance(x, float) else x for x in (a, b)))


def _floor(f: Function, x: str) -> str:
    return _call(f, "llvm.floor.f64", x)


def _zeta_of_positive() -> Function:
    """Σ 1/(q + k)^s, k = 0, 1, …, for q > 0 and s > 1."""
    f = _function("zeta_of_positive", "sq", internal=True)
    total, moved = f.variable("double", literal(0.0)), f.variable("double", "%q")
    power = f.do("fneg double %s")
    with f.loop(0, SHIFT):
        here = f.load(moved)
        f.increase(total, _call(f, "la_pow", here, power))
        f.store(_real(f, "fadd", here, 1.0), moved)
    a = f.load(moved)
    last = _call(f, "la_pow", a, power)
    below = _real(f, "fsub", "%s", 1.0)
    tail = _real(f, "fdiv", _call(f, "la_pow", a, f.do(f"fneg double {below}")), below)
    tail = _real(f, "fadd", tail, _real(f, "fmul", last, 0.5))
    term = _real(f, "fdiv", _real(f, "fmul", last, "%s"), a)
    for j, bernoulli in enumerate(_BERNOULLI, 1):
        tail = _real(f, "fadd", tail, _real(f, "fmul", term, float(bernoulli / math.factorial(2 * j))))
        for step in (2 * j - 1, 2 * j):
            term = _real(f, "fmul", term, _real(f, "fdiv", _real(f, "fadd", "%s", float(step)), a))
    f.finish(_real(f, "fadd", f.load(total), tail))
    return f


def _zeta() -> Function:
    """ζ(s, q): for q < 0 and an integer s the terms above 0 and those below are sums of two."""
    f = _function("special_zeta", "sq")
    f.leave_when(f.compare("ult", "%s", literal(1.0)), NAN)
    f.leave_when(f.compare("oeq", "%s", literal(1.0)), INFINITE)
    low = _floor(f, "%q")
    negative = f.compare("ole", "%q", literal(0.0))
    with f.when(negative):
        f.leave_when(f.compare("oeq", "%q", low), INFINITE)
        f.leave_when(f.compare("one", "%s", _floor(f, "%s")), NAN)
        up = _call(f, "zeta_of_positive", "%s", _real(f, "fsub", "%q", low))
        down = _call(f, "zeta_of_positive", "%s", _real(f, "fsub", _real(f, "fadd", low, 1.0), "%q"))
        beyond = _call(f, "zeta_of_positive", "%s", _real(f, "fsub", 1.0, "%q"))
        half = _real(f, "fmul", "%s", 0.5)
        rest = _real(f, "fsub", down, beyond)
        signed = f.choose(f.compare("oeq", half, _floor(f, half)), rest, f.do(f"fneg double {rest}"))
        f.emit(f"ret double {_real(f, 'fadd', up, signed)}")
        f.place(f.label())
    f.finish(_call(f, "zeta_of_positive", "%s", "%q"))
    return f


def _digamma() -> Function:
    """ψ(x) = log x - 1/(2x) - Σ B₂ⱼ/(2j·x²ʲ) far out; ψ(x) = ψ(x + 1) - 1/x before; ψ(1 - x) - π/tan πx below 0."""
    f = _function("special_digamma", "x")
    f.leave_when(f.compare("oeq", "%x", literal(0.0)), f.do(f"fdiv double {literal(-1.0)}, %x"))
    negative = f.compare("olt", "%x", literal(0.0))
    part = _real(f, "fsub", "%x", _floor(f, "%x"))
    f.leave_when(f.do(f"and i1 {negative}, {f.compare('ueq', part, literal(0.0))}"), NAN)
    centred = f.choose(f.compare("ogt", part, literal(0.5)), _real(f, "fsub", part, 1.0), part)
    small = f.compare("ogt", "%x", literal(-0.5))
    centred = f.choose(small, "%x", centred)
    cotangent = _real(f, "fdiv", math.pi, _call(f, "la_tan", _real(f, "fmul", centred, math.pi)))
    total = f.variable("double", f.choose(negative, f.do(f"fneg double {cotangent}"), literal(0.0)))
    moved = f.variable("double", f.choose(negative, _real(f, "fsub", 1.0, "%x"), "%x"))
    with f.loop(0, SHIFT):
        here = f.load(moved)
        with f.when(f.compare("olt", here, literal(float(SHIFT)))):
            f.increase(total, _real(f, "fdiv", -1.0, here))
            f.store(_real(f, "fadd", here, 1.0), moved)
    a = f.load(moved)
    inverse = _real(f, "fdiv", 1.0, a)
    square, series = _real(f, "fmul", inverse, inverse), literal(0.0)
    for j in range(len(_BERNOULLI), 0, -1):
        series = _real(f, "fmul", square, _real(f, "fadd", series, float(_BERNOULLI[j - 1] / (2 * j))))
    series = _real(f, "fadd", series, _real(f, "fmul", inverse, 0.5))
    value = _real(f, "fsub", _call(f, "la_log", a), series)
    f.finish(_real(f, "fadd", value, f.load(total)))
    return f


def _gammaln() -> Function:
    """log |Γ(x)| of the C library; at -∞, where it has no limit, as SciPy has it."""
    f = _function("special_gammaln", "x")
    f.leave_when(f.compare("oeq", "%x", literal(-math.inf)), literal(-math.inf))
    f.finish(_call(f, "la_lgamma", "%x"))
    return f
