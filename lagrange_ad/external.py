"""A user's own function as part of an equation: called at numbers, its derivatives given or found numerically.

:func:`external` wraps a function; called with expressions it gives an expression. Its result has rows of its own in the
lowered program, so it takes part in everything, cycles too. Where the user gives no Jacobian it comes from complex
steps, or from central differences where the function does not take complex numbers as it should.
"""

from __future__ import annotations

import operator
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .differences import COMPLEX_STEP, difference, directions, everywhere, second_difference
from .errors import DeclarationError, ShapeError
from .expression import Array, Expression, Shape, as_expression, evaluate
from .printing import to_text

METHODS = ("auto", "complex", "differences")
REMEMBERED = 256
"""So many values and Jacobians are kept, so that a point is computed once by all that ask for it."""
MOST_NUMBERS = 2**23
"""Fewer of them where they are large: so many numbers in all, 64 MB, but two at least."""
AGREE = 1e-4
"""How well complex steps and differences must agree, at the first point and in every direction, for the former to be
used."""


def external(fun: Callable[..., Any], jacobian: Callable[..., Any] | None = None, *,
             hessian: Callable[..., Any] | None = None, shape: Any = (), elementwise: bool = False,
             method: str = "auto", name: str | None = None) -> External:
    """``fun`` as a function of expressions: a black box whose values the library uses, wherever they come from.

    ``f = external(fun, shape=(m,))``, then ``p.define("y", f(x, z))``. ``fun`` takes an array an argument (a float for
    a scalar) and returns an array of ``shape``. ``jacobian(x, z)`` returns ∂f/∂x of shape ``shape + x.shape``; with
    several arguments a tuple, one an argument. ``hessian`` of one argument returns ``shape + x.shape + x.shape``, of
    several a tuple of tuples. With ``elementwise=True`` arguments broadcast as in NumPy, ``fun`` works element by
    element on arrays of any shape, and derivatives are ∂f/∂x, ∂²f/∂x∂z of each element, in the shape of the result.

    Without ``jacobian``, ``method`` says how it is found: ``"complex"`` steps (exact to rounding, for functions that
    are analytic as computed: no ``abs``, no comparison, no cast to float), central ``"differences"`` (8 to 10 digits),
    or ``"auto"``, which tries complex steps and compares them with differences once, at the first point, in every
    direction. Second derivatives not given are differences of the first.

    The function must be pure: the same numbers give the same result. What it raises is passed on, with a note of where
    it was called; NaN says that a point is outside its domain.
    """
    return External(fun, jacobian, hessian=hessian, shape=shape, elementwise=elementwise, method=method, name=name)


class External:
    """A wrapped function; see :func:`external`. ``n`` below is the number of all elements of its arguments.

    ``kernels`` and ``derivatives`` are what lowering and :func:`~lagrange_ad.gradient` made of it, each once.
    """

    def __init__(self, fun: Callable[..., Any], jacobian: Callable[..., Any] | None = None, *,
                 hessian: Callable[..., Any] | None = None, shape: Any = (), elementwise: bool = False,
                 method: str = "auto", name: str | None = None, domain: str = "") -> None:
        for what, given in (("fun", fun), ("jacobian=", jacobian), ("hessian=", hessian)):
            if not callable(given) and (given is not None or what == "fun"):
                raise DeclarationError(f"external: {what} must be a function, got {given!r}")
        if method not in METHODS:
            raise DeclarationError(f"external: method= is one of {', '.join(map(repr, METHODS))}, got {method!r}")
        if hessian is not None and jacobian is None:
            raise DeclarationError("external: hessian= needs jacobian= beside it")
        self.name = name or _name_of(fun)
        self.fun, self.jacobian, self.hessian, self.domain = fun, jacobian, hessian, domain
        self.elementwise, self.method = bool(elementwise), method
        self.shape = _checked_shape(self.name, shape)
        self.kernels: dict[Any, Any] = {}
        self.derivatives: dict[Any, External] = {}
        self._memory = _Memory()

    def __call__(self, *operands: Any) -> Expression:
        """The expression f(operands)."""
        if not operands:
            raise DeclarationError(f"the external function {self.name!r} was called without an argument")
        args = tuple(self._argument(operand) for operand in operands)
        if all(arg.owner is None for arg in args):
            raise DeclarationError(
                f"the external function {self.name!r} was called with numbers only: call the function itself"
            )
        shape = self.shape
        if self.elementwise:
            try:
                shape = np.broadcast_shapes(*(arg.shape for arg in args))
            except ValueError:
                shapes = ", ".join(f"{to_text(arg, 40)} {arg.shape}" for arg in args)
                raise ShapeError(f"the arguments of {self.name!r} do not broadcast: {shapes}") from None
        return Expression("external", args, shape, self)

    def _argument(self, operand: Any) -> Expression:
        arg = as_expression(operand)
        if arg.is_boolean:
            raise DeclarationError(f"{self.name!r} takes numbers, got the condition {to_text(arg, 60)}")
        if arg.owner is None and arg.op != "constant":
            return as_expression(evaluate(arg, {}))
        return arg

    def __repr__(self) -> str:
        return f"<external function {self.name}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memory": None, "kernels": {}, "derivatives": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _memory=_Memory())

    # numbers in, numbers out -------------------------------------------------------------------------------

    def apply(self, operands: Sequence[Any]) -> Array:
        """The value at arrays; on complex ones f(Re x) + i·f'(Re x)·Im x, which is what a complex step needs."""
        arrays = [np.asarray(x) for x in operands]
        real = [x.real.astype(np.float64) for x in arrays]
        value = self.values(real)
        if not any(np.iscomplexobj(x) for x in arrays):
            return value
        if self.elementwise:
            moved = [d * x.imag for d, x in zip(self.slopes(real), arrays, strict=True)]
            return np.asarray(value + 1j * np.sum(moved, axis=0))
        imaginary = np.concatenate([x.imag.ravel() for x in arrays])
        return np.asarray(value + 1j * (self.jacobian_at(real) @ imaginary).reshape(value.shape))

    def values(self, args: Sequence[Array]) -> Array:
        """f at float64 arrays, checked."""
        def compute() -> Array:
            return self._checked(self._call(self.fun, args), self._shape_of(args), "", "f")

        return compute() if self.elementwise else self._memory.remembered(("value", _key(args)), compute)

    def slopes(self, args: Sequence[Array]) -> list[Array]:
        """∂f/∂x of every argument, element by element."""
        if self.jacobian is None:
            return [self._slope(args, direction) for direction in self._directions(args)]
        found = self._tuple(self._call(self.jacobian, args), len(args), "jacobian=")
        shape = self._shape_of(args)
        return [self._checked(d, shape, "jacobian=", f"∂f/∂(argument {i + 1})") for i, d in enumerate(found)]

    def second_slopes(self, args: Sequence[Array]) -> list[list[Array]]:
        """∂²f/∂x_i∂x_j for i >= j, element by element."""
        if self.hessian is not None:
            found = self._square(self._call(self.hessian, args), len(args))
            shape = self._shape_of(args)
            return [[self._checked(found[i][j], shape, "hessian=", "∂²f") for j in range(i + 1)]
                    for i in range(len(args))]
        along = [everywhere(args, i) for i in range(len(args))]
        rows = [[self._second(args, j, first, along[j]) for j in range(len(args))] for first in along]
        return [[0.5 * (rows[i][j] + rows[j][i]) for j in range(i + 1)] for i in range(len(args))]

    def jacobian_at(self, args: Sequence[Array]) -> Array:
        """∂f/∂x at arrays, (m, n): elements of the result by those of all arguments."""
        return self._memory.remembered(("jacobian", _key(args)), lambda: self._jacobian_at(args))

    def _jacobian_at(self, args: Sequence[Array]) -> Array:
        m = int(np.prod(self.shape, dtype=np.int64))
        if self.jacobian is None:
            columns = [self._slope(args, direction).ravel() for direction in self._directions(args)]
            return np.stack(columns, axis=1) if columns else np.empty((m, 0))
        found = self._tuple(self._call(self.jacobian, args), len(args), "jacobian=")
        blocks = [self._checked(block, self.shape + x.shape, "jacobian=", f"∂f/∂(argument {i + 1})")
                  for i, (block, x) in enumerate(zip(found, args, strict=True))]
        return np.concatenate([block.reshape(m, x.size) for block, x in zip(blocks, args, strict=True)], axis=1)

    def hessian_at(self, args: Sequence[Array]) -> Array:
        """∂²f at arrays, (m, n, n)."""
        m, n = int(np.prod(self.shape, dtype=np.int64)), sum(x.size for x in args)
        if self.hessian is None:
            return self._numerical_hessian(args, m, n)
        rows = []
        for row, x in zip(self._square(self._call(self.hessian, args), len(args)), args, strict=True):
            blocks = [self._checked(block, self.shape + x.shape + y.shape, "hessian=", "∂²f")
                      for block, y in zip(row, args, strict=True)]
            rows.append(np.concatenate([b.reshape(m, x.size, y.size) for b, y in zip(blocks, args, strict=True)], 2))
        return np.concatenate(rows, axis=1)

    def _numerical_hessian(self, args: Sequence[Array], m: int, n: int) -> Array:
        """Differences of the Jacobian, or second differences of the function where that is of differences itself."""
        units = list(directions(args))
        if self.jacobian is None and units and not self._steps_are_complex(args):
            found = np.array([[second_difference(self.values, args, a, b).ravel() for b in units] for a in units])
            found = found.reshape(n, n, m).transpose(2, 0, 1)
        else:
            columns = [difference(self.jacobian_at, args, d) for d in units]
            found = np.array(columns).reshape(n, m, n).transpose(1, 0, 2)
        return np.asarray(0.5 * (found + found.transpose(0, 2, 1)))

    def _square(self, found: Any, count: int) -> list[tuple[Any, ...]]:
        """A tuple of tuples of second derivatives; one alone for one argument."""
        if count == 1 and not isinstance(found, tuple | list):
            return [(found,)]
        return [self._tuple(row, count, "hessian=") for row in self._tuple(found, count, "hessian=")]

    # calling, checking -------------------------------------------------------------------------------------

    def _call(self, function: Callable[..., Any], args: Sequence[Array]) -> Any:
        """The user's function at copies of the arrays; what it raises goes on, saying where."""
        try:
            return function(*(x.item() if x.ndim == 0 else x.copy() for x in args))
        except Exception as error:
            shown = ", ".join(np.array2string(x, threshold=6, precision=6) for x in args)
            error.add_note(f"raised by the external function {self.name!r}, called with {shown}")
            raise

    def _checked(self, result: Any, shape: Shape, which: str, what: str) -> Array:
        """A result as float64 of the shape it must have."""
        name = f"the external function {self.name!r}" + (f" ({which})" if which else "")
        try:
            array = np.asarray(result)
        except ValueError as error:
            raise ShapeError(f"{name} returned what is no array ({error})") from None
        if array.dtype.kind not in "buif":
            raise DeclarationError(
                f"{name} returned {str(result)[:60]!r} ({array.dtype}), expected real numbers of shape {shape}"
            )
        if array.shape != shape:
            hint = f"; external(..., shape={array.shape}) declares it so" if what == "f" else ""
            if self.elementwise:
                hint = "; an elementwise function gives one number an element, in the shape of its arguments"
            raise ShapeError(f"{name} returned {what} of shape {array.shape}, expected {shape}{hint}")
        return array.astype(np.float64)

    def _tuple(self, found: Any, count: int, which: str) -> tuple[Any, ...]:
        if isinstance(found, tuple | list) and len(found) == count:
            return tuple(found)
        if count == 1:
            return (found,)
        got = f"{len(found)}" if isinstance(found, tuple | list) else f"one {type(found).__name__}"
        raise ShapeError(
            f"the external function {self.name!r} ({which}) must return a tuple of {count}, one an argument, got {got}"
        )

    # numerical derivatives ---------------------------------------------------------------------------------

    def _slope(self, args: Sequence[Array], direction: Sequence[Array]) -> Array:
        """The derivative of f along a direction, for want of a Jacobian."""
        if self._steps_are_complex(args):
            return self._complex_step(args, direction)
        return difference(self.values, args, direction)

    def _steps_are_complex(self, args: Sequence[Array]) -> bool:
        """Whether derivatives come from complex steps; found out at the first point where f has a value."""
        if self.method != "auto":
            return self.method == "complex"
        known = self._memory.analytic
        if known is None:
            if not np.isfinite(self.values(args)).all():
                return False
            known = self._memory.analytic = all(self._agree(args, direction) for direction in self._directions(args))
        return known

    def _directions(self, args: Sequence[Array]) -> Iterable[list[Array]]:
        """The directions that first derivatives are along."""
        return (everywhere(args, i) for i in range(len(args))) if self.elementwise else directions(args)

    def _agree(self, args: Sequence[Array], direction: Sequence[Array]) -> bool:
        """Whether a complex step gives what differences give."""
        expected = difference(self.values, args, direction)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                found = self._complex_step(args, direction)
        except Exception:  # whatever it does with complex numbers: it was not made for them
            return False
        scale = np.abs(expected) + AGREE * np.abs(self.values(args))
        return bool(np.all(np.abs(found - expected) <= AGREE * scale + np.finfo(float).tiny))

    def _complex_step(self, args: Sequence[Array], direction: Sequence[Array]) -> Array:
        """Im f(x + ih·direction)/h."""
        moved = [x + 1j * COMPLEX_STEP * d for x, d in zip(args, direction, strict=True)]
        found = np.asarray(self._call(self.fun, moved))
        if found.dtype.kind != "c":
            raise DeclarationError(
                f"the external function {self.name!r} gave {found.dtype} for complex numbers, so complex steps cannot "
                'differentiate it: give jacobian=, or method="differences"'
            )
        return self._checked(found.imag / COMPLEX_STEP, self._shape_of(args), "", "f")

    def _shape_of(self, args: Sequence[Array]) -> Shape:
        return np.broadcast_shapes(*(x.shape for x in args)) if self.elementwise else self.shape

    def _second(self, args: Sequence[Array], j: int, first: Sequence[Array], second: Sequence[Array]) -> Array:
        """The derivative along ``first`` of ∂f/∂(argument j), which is that along ``second``."""
        if self.jacobian is None and not self._steps_are_complex(args):
            return second_difference(self.values, args, first, second)
        return difference(lambda at: self.slopes(at)[j], args, first)


def _name_of(fun: Any) -> str:
    name = getattr(fun, "__name__", type(fun).__name__)
    return name if name.isidentifier() else "external"


def _checked_shape(name: str, shape: Any) -> Shape:
    try:
        sizes = tuple(int(operator.index(n)) for n in (shape if isinstance(shape, tuple | list) else (shape,)))
    except TypeError:
        raise ShapeError(f"external {name!r}: shape= must be a tuple of integers, got {shape!r}") from None
    if any(n < 0 for n in sizes):
        raise ShapeError(f"external {name!r}: shape= has a negative size: {sizes}")
    return sizes


def _key(args: Sequence[Array]) -> Any:
    """What tells points apart: the same numbers in other shapes are other arguments."""
    return tuple((x.shape, x.tobytes()) for x in args)


class _Memory:
    """What was computed last, by the point; and whether complex steps serve (None: not tried)."""

    def __init__(self) -> None:
        self.analytic: bool | None = None
        self._known: OrderedDict[Any, Array] = OrderedDict()
        self._numbers = 0
        self._lock = threading.Lock()

    def remembered(self, key: Any, compute: Callable[[], Array]) -> Array:
        """What was computed for a key; read-only. The oldest go where there are too many, or too large ones."""
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        value = compute()
        value.flags.writeable = False
        with self._lock:
            before = self._known.pop(key, None)
            self._known[key] = value
            self._numbers += value.size - (0 if before is None else before.size)
            while len(self._known) > REMEMBERED or (self._numbers > MOST_NUMBERS and len(self._known) > 2):
                self._numbers -= self._known.popitem(last=False)[1].size
        return value
