"""Plain NumPy functions as programs: called once with symbols for arguments, what they return is what they compute.

:func:`trace` gives the program of a function, :func:`value_and_gradient` a function that computes value and gradient.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .api import Program
from .errors import DeclarationError, ExpressionTypeError, ShapeError
from .expression import Array, Expression, as_expression
from .views import View

MOST_TRACES = 64
"""So many programs of one function are kept, one a combination of shapes."""


def trace(fun: Callable[..., Any], *arguments: Any) -> Program:
    """The Program of a NumPy function, traced at example arguments: ``p = la.trace(f, np.ones(3), 2.0)``.

    Numbers and arrays of floats become inputs, named after the function's parameters, with the examples as values.
    Everything else (integers, strings, arrays of integers) is passed as it is and fixed in the program. What the
    function returns becomes the objective, to be minimized, where it is one scalar; else variables: ``result`` for an
    array or a list of scalars, ``result_1``, ``result_2``, … for a tuple or a list of arrays, their own names for a
    dict.

    Raises ExpressionTypeError where the function asks for the numbers of its arguments, as in ``if x > 0``.
    """
    return _traced(fun, arguments, [_is_float(argument) for argument in arguments], "trace")


def value_and_gradient(fun: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[float, Any]]:
    """A function like ``fun`` that returns (value, gradient): for ``scipy.optimize.minimize(…, jac=True)``.

    ``fun`` is a plain NumPy function that returns one number. The gradient is by the argument number ``argnums``, in
    its shape (a float for a scalar); a tuple of gradients for several numbers. ``fun`` is traced once for every
    combination of shapes and of what is not floats: integers, strings and integer arrays among the other arguments are
    fixed at their value, floats may change from call to call. So are lists, dicts and sparse matrices, which are traced
    again when what they hold has changed; objects of other classes are told apart as Python tells them, by ``==``, or
    traced at every call where they have no hash. What ``fun`` reads besides its arguments is read at the trace alone.

    Raises ExpressionTypeError where ``fun`` asks for the numbers of its arguments (``if x > 0``: write np.where),
    ShapeError where it returns an array, DomainError where it has no value.
    """
    if not callable(fun):
        raise DeclarationError(f"value_and_gradient takes a NumPy function, got {fun!r}: of an expression, "
                               "la.gradient(expression, x) is the gradient")
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    if not numbers or not all(isinstance(i, int) and i >= 0 for i in numbers) or len(set(numbers)) < len(numbers):
        raise DeclarationError(f"argnums= is the number of an argument, or several, from 0 on; got {argnums!r}")
    return _ValueAndGradient(fun, numbers, isinstance(argnums, int))


class _ValueAndGradient:
    """See :func:`value_and_gradient`. Programs by what they were traced for; threads share them."""

    def __init__(self, fun: Callable[..., Any], numbers: tuple[int, ...], single: bool) -> None:
        self._fun, self._numbers, self._single = fun, numbers, single
        self._known: dict[Any, _Trace] = {}
        self._lock = threading.Lock()
        self.__name__ = f"value_and_gradient of {_name_of(fun)}"
        self.__doc__ = getattr(fun, "__doc__", None)

    def __call__(self, *arguments: Any) -> tuple[float, Any]:
        """(value, gradient) at given arguments."""
        arrays = list(arguments)
        for i in self._numbers:
            if i >= len(arguments):
                raise DeclarationError(
                    f"{_name_of(self._fun)} was called with {len(arguments)} arguments, and is to be differentiated by "
                    f"number {i}, counted from 0"
                )
            arrays[i] = _numbers_of(arguments[i], self._fun, i)
        traced = self._traced(arrays)
        value, gradient = traced.view.value_and_gradient(traced.flat(arrays))
        found = [traced.part(gradient, i) for i in self._numbers]
        return float(value), found[0] if self._single else tuple(found)

    def _traced(self, arguments: list[Any]) -> _Trace:
        floats = [i in self._numbers or _is_float(argument) for i, argument in enumerate(arguments)]
        try:
            key = tuple(np.shape(a) if moves else _key(a) for a, moves in zip(arguments, floats, strict=True))
        except TypeError:  # nothing tells whether it is what it was
            return self._trace(arguments, floats)
        key = (key, tuple(floats))
        with self._lock:
            known = self._known.get(key)
        if known is None:
            known = self._trace(arguments, floats)
            with self._lock:
                self._known[key] = known
                while len(self._known) > MOST_TRACES:
                    del self._known[next(iter(self._known))]
        return known

    def _trace(self, arguments: list[Any], floats: list[bool]) -> _Trace:
        return _Trace(_traced(self._fun, arguments, floats, "value_and_gradient"), arguments, floats, self._fun)

    def __repr__(self) -> str:
        return f"<{self.__name__}>"


@dataclass(frozen=True, eq=False)
class _Place:
    """Where an argument stands in the flat inputs."""

    where: slice
    shape: tuple[int, ...]


class _Trace:
    """One program of a function, with the places of its arguments."""

    def __init__(self, program: Program, arguments: Sequence[Any], floats: Sequence[bool],
                 fun: Callable[..., Any]) -> None:
        if program.objective is None:
            shapes = ", ".join(str(s.shape) for s in program.of_kind("variable"))
            raise ShapeError(
                f"value_and_gradient: {_name_of(fun)} must return one number, it returned shape {shapes}: take np.sum "
                "of it, or la.trace(…).evaluate().jacobian for all derivatives"
            )
        self.view: View = program.reduced()
        self._places: dict[int, _Place] = {}
        at = 0
        for i, (argument, moves) in enumerate(zip(arguments, floats, strict=True)):
            if moves:
                self._places[i] = _Place(slice(at, at + np.size(argument)), np.shape(argument))
                at += np.size(argument)
        self._size = at

    def flat(self, arguments: Sequence[Any]) -> Array:
        """The float arguments as one vector."""
        x = np.empty(self._size)
        for i, place in self._places.items():
            x[place.where] = np.ravel(arguments[i])
        return x

    def part(self, gradient: Array, number: int) -> Any:
        """The gradient by one argument."""
        place = self._places[number]
        part = gradient[place.where].reshape(place.shape)
        return float(part) if part.ndim == 0 else part.copy()


# tracing --------------------------------------------------------------------------------------------------------


def _traced(fun: Callable[..., Any], arguments: Sequence[Any], floats: Sequence[bool], what: str) -> Program:
    """The program of a function at arguments, those of floats its inputs."""
    if not callable(fun):
        raise DeclarationError(f"{what} takes a function, got {fun!r}")
    program = Program(_name_of(fun))
    names = _names(fun, len(arguments))
    symbols = [
        program.input(name, np.asarray(argument, dtype=np.float64)) if moves else argument
        for name, argument, moves in zip(names, arguments, floats, strict=True)
    ]
    try:
        result = fun(*symbols)
    except ExpressionTypeError as error:
        raise ExpressionTypeError(
            f"{error}\n  while la.{what} traced {_name_of(fun)}: it calls the function once with expressions, so what "
            "the function does must not depend on the numbers of its arguments (np.where chooses by value)"
        ) from error
    _declare(program, result, what)
    return program


def _declare(program: Program, result: Any, what: str) -> None:
    """What a function returned, as the objective or as variables."""
    if result is None:
        raise DeclarationError(f"{what}: {program.name} returned None: it must return what it computes")
    if isinstance(result, dict):
        parts = list(result.items())
    elif isinstance(result, tuple) or (isinstance(result, list) and any(np.ndim(part) for part in result)):
        parts = [(f"result_{i + 1}", part) for i, part in enumerate(result)]
    else:
        node = as_expression(result)
        if node.shape == ():
            program.minimize(node)
            return
        parts = [("result", node)]
    for name, part in parts:
        program.define(_free(program, str(name)), part)


def _free(program: Program, name: str) -> str:
    """A name that no argument has."""
    while name in program:
        name += "_"
    return name


def _names(fun: Callable[..., Any], count: int) -> list[str]:
    """The names of a function's parameters; x_1, x_2, … for those it has no names of."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in kinds][:count]
    for i in range(len(names), count):
        name = f"x_{i + 1}"
        while name in names:
            name += "_"
        names.append(name)
    return names


def _name_of(fun: Any) -> str:
    name = getattr(fun, "__name__", type(fun).__name__)
    return name if name.isidentifier() else "function"


def _is_float(argument: Any) -> bool:
    """Whether an argument is of floats, and so may change."""
    if isinstance(argument, float | np.floating):
        return True
    if isinstance(argument, Expression) or not isinstance(argument, np.ndarray | list | tuple):
        return False
    return _kind(argument) == "f"


def _numbers_of(argument: Any, fun: Callable[..., Any], number: int) -> Array:
    """An argument to differentiate by, as float64."""
    array = np.asarray(argument)
    if array.dtype.kind not in "iuf":
        raise DeclarationError(
            f"argument {number} of {_name_of(fun)} must be numbers to differentiate by, got {str(argument)[:60]!r} "
            f"({type(argument).__name__})"
        )
    return array.astype(np.float64)


def _key(argument: Any) -> Any:
    """What tells apart an argument that is fixed: what it holds. Raises TypeError for what has no hash."""
    if isinstance(argument, float):
        return float, argument.hex()  # −0.0 == 0.0
    if isinstance(argument, np.ndarray | list | tuple) and _kind(argument) != "O":
        array = np.asarray(argument)
        return array.shape, array.dtype.str, array.tobytes()
    if isinstance(argument, dict):
        return dict, tuple((name, _key(part)) for name, part in argument.items())
    if isinstance(argument, list | tuple):
        return type(argument), tuple(map(_key, argument))
    if hasattr(argument, "tocsr"):
        csr = argument.tocsr()
        return type(argument), csr.shape, *map(_key, (csr.data, csr.indices, csr.indptr))
    hash(argument)
    return type(argument), argument


def _kind(argument: Any) -> str:
    """The kind of an array's dtype: "f" of floats, "O" of what is no array of numbers or text."""
    try:
        return str(np.asarray(argument).dtype.kind)
    except ValueError:  # lists of unequal lengths
        return "O"
