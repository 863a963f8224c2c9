"""Tables of data as smooth functions: piecewise cubics through given points, with exact derivatives.

The coefficients are SciPy's (``scipy.interpolate``); what comes back is an elementwise function like any other user
function of ``external``, whose derivatives are those of the pieces.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DeclarationError, ExpressionTypeError, ShapeError
from .expression import Array, Expression
from .external import External

KINDS = {
    "cubic": "continuous second derivative (CubicSpline, not-a-knot)",
    "natural": "continuous second derivative, 0 at both ends (CubicSpline)",
    "periodic": "continuous second derivative, repeating (CubicSpline; the first and last y are equal)",
    "monotone": "no overshoot: monotone where the data are (PchipInterpolator); second derivative jumps at the points",
    "akima": "little overshoot (Akima1DInterpolator); second derivative jumps at the points",
    "linear": "straight lines; the first derivative jumps at the points",
}
"""What ``kind=`` may be; with the name of SciPy's class."""
OUTSIDE = ("nan", "constant", "linear", "extend")


def interpolate(x: Any, y: Any, kind: str = "cubic", *, outside: str = "nan",
                name: str = "interpolate") -> Interpolation:
    """The function through the points (x_k, y_k), x ascending, both of shape (n,): a function of expressions.

    ``f = interpolate(x, y)``, then ``f(v)`` for an expression of any shape, element by element; ``f`` of numbers gives
    numbers. ``kind``: ``"cubic"``, ``"natural"``, ``"periodic"``, ``"monotone"``, ``"akima"`` or ``"linear"``.
    ``outside`` of the table the function has no value (``"nan"``: a DomainError that names the equation, and iterates
    of a solve are kept inside), goes on ``"constant"`` or ``"linear"`` with the slope at the end, or the last piece is
    ``"extend"``-ed. A derivative at a point where it jumps is that of the piece to the right.

    Raises ShapeError and DeclarationError for points that make no function.
    """
    return Interpolation(x, y, kind, outside=outside, name=name)


class Interpolation(External):
    """A piecewise cubic; see :func:`interpolate`. ``polynomial`` is SciPy's ``PPoly``."""

    def __init__(self, x: Any, y: Any, kind: str = "cubic", *, outside: str = "nan",
                 name: str = "interpolate") -> None:
        if kind not in KINDS:
            raise DeclarationError(f"interpolate: kind= is one of {', '.join(map(repr, KINDS))}, got {kind!r}")
        if outside not in OUTSIDE:
            raise DeclarationError(f"interpolate: outside= is one of {', '.join(map(repr, OUTSIDE))}, got {outside!r}")
        points, values = _checked(x, "x"), _checked(y, "y")
        _check_points(points, values, kind)
        self.kind, self.outside = kind, outside
        self.low, self.high = float(points[0]), float(points[-1])
        pieces = _polynomial(points, values, kind)
        self.polynomial = pieces
        self._pieces = [pieces, pieces.derivative(1), pieces.derivative(2)]
        domain = f"{self.low:g} ≤ argument ≤ {self.high:g} (the table's range)" if self._is_bounded else ""
        super().__init__(self._value, self._slope_of, hessian=self._second_slope_of, elementwise=True, name=name,
                         domain=domain)

    @property
    def _is_bounded(self) -> bool:
        return self.outside == "nan" and self.kind != "periodic"

    def __call__(self, *operands: Any) -> Any:
        """The expression f(v), or the numbers f at numbers."""
        if len(operands) != 1:
            raise ExpressionTypeError(f"{self.name!r} is a function of one argument, got {len(operands)}")
        if isinstance(operands[0], Expression) or np.asarray(operands[0]).dtype == object:
            return super().__call__(operands[0])
        return self._at(np.asarray(operands[0], dtype=np.float64), 0)[()]

    def _value(self, v: Any) -> Array:
        return self._at(v, 0)

    def _slope_of(self, v: Any) -> Array:
        return self._at(v, 1)

    def _second_slope_of(self, v: Any) -> Array:
        return self._at(v, 2)

    def _at(self, v: Any, order: int) -> Array:
        """The derivative of an order, by the pieces inside and as ``outside`` says beyond."""
        if self.outside == "extend" or self.kind == "periodic":
            return np.asarray(self._pieces[order](v))
        v = np.asarray(v, dtype=np.float64)
        nearest = np.clip(v, self.low, self.high)
        found = np.asarray(self._pieces[order](nearest))
        beyond = v != nearest
        if not beyond.any():
            return found
        return np.where(beyond, self._beyond(v, nearest, order), found)

    def _beyond(self, v: Array, end: Array, order: int) -> Any:
        if self.outside == "nan" or np.isnan(v).all():
            return np.nan
        slope = self._pieces[1](end) if self.outside == "linear" else 0.0
        if order == 0:
            return self._pieces[0](end) + slope * (v - end)
        return np.where(np.isnan(v), np.nan, slope if order == 1 else 0.0)


def _checked(values: Any, what: str) -> Array:
    if isinstance(values, Expression):
        raise DeclarationError(f"interpolate: {what} must be numbers, got an expression: a table is data")
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DeclarationError(f"interpolate: {what} must be numbers, got {str(values)[:60]!r}") from None
    if array.ndim != 1:
        raise ShapeError(f"interpolate: {what} must have one axis, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise DeclarationError(f"interpolate: {what}[{int(np.argmin(np.isfinite(array)))}] is not finite")
    return array


def _check_points(x: Array, y: Array, kind: str) -> None:
    if x.shape != y.shape:
        raise ShapeError(f"interpolate: x has {len(x)} points, y has {len(y)}")
    if len(x) < 2:
        raise ShapeError(f"interpolate: a table needs two points at least, got {len(x)}")
    falls = np.flatnonzero(np.diff(x) <= 0.0)
    if len(falls):
        k = int(falls[0])
        raise DeclarationError(
            f"interpolate: x must ascend, but x[{k}] = {x[k]:g} and x[{k + 1}] = {x[k + 1]:g}: sort the table by x, "
            "and keep one point of each x"
        )
    if kind == "periodic" and y[0] != y[-1]:
        ends = f"y[0] = {y[0]:g}, y[-1] = {y[-1]:g}"
        raise DeclarationError(f"interpolate: a periodic table must end as it begins, got {ends}")


def _polynomial(x: Array, y: Array, kind: str) -> Any:
    """SciPy's coefficients as a PPoly that goes on beyond the ends."""
    from scipy import interpolate as scipy_interpolate

    if kind == "linear" or (len(x) == 2 and kind != "periodic"):
        return scipy_interpolate.PPoly(np.stack([np.diff(y) / np.diff(x), y[:-1]]), x)
    if kind in ("monotone", "akima"):
        name = "PchipInterpolator" if kind == "monotone" else "Akima1DInterpolator"
        found = getattr(scipy_interpolate, name)(x, y)
    else:
        ends: Any = {"cubic": "not-a-knot"}.get(kind, kind)
        found = scipy_interpolate.CubicSpline(x, y, bc_type=ends)
    return scipy_interpolate.PPoly(found.c, found.x, extrapolate="periodic" if kind == "periodic" else True)
