"""Expressions: the nodes that NumPy's own functions and operators build from a program's symbols.

NumPy's protocols ``__array_ufunc__`` and ``__array_function__``, Python's operators, and the nodes that these make
directly: constants and elementary functions. Everything else is looked up in :mod:`tables`.
"""

from __future__ import annotations

import numbers
import operator
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..elementary import TABLE, UFUNC_NAMES
from ..errors import DeclarationError, ExpressionTypeError, ShapeError
from ..printing import to_text
from .methods import ArrayMethods
from .refusals import ADVICE, OPERATOR_OF, Refusals, foreign_programs, no_operator, numpy_name, spelling, unsupported
from .symbols import Array, Shape
from .tables import FUNCTIONS, REDUCTIONS, UFUNCS

MOST_ELEMENTS = 100_000
"""An expression with more elements is not turned into a NumPy array of expressions."""
class Expression(ArrayMethods, Refusals):
    """A node of an expression graph. Users get them from a program and combine them with NumPy.

    ``op`` is the operation's name, ``args`` the operand nodes, ``shape`` the array shape, ``data`` what the
    operation needs besides its operands, ``owner`` the program whose symbols it contains (None: constants only),
    ``is_boolean`` whether it is a condition (a comparison), not a number. Equality makes a constraint; hashing is by
    identity.
    """

    __slots__ = ("__weakref__", "args", "data", "is_boolean", "op", "owner", "shape")
    __array_priority__ = 1000.0

    def __init__(self, op: str, args: tuple[Expression, ...], shape: Shape, data: Any = None) -> None:
        self.op, self.args, self.shape, self.data = op, args, shape, data
        self.owner: Any = data.owner if op == "symbol" else _common_owner(args)
        self.is_boolean = is_condition(op, args, data)

    # NumPy's protocols -------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__)
        if keywords and method == "__call__" and any(value is not None for value in keywords.values()):
            raise ExpressionTypeError(
                f"{spelling(ufunc)} with {', '.join(keywords)}= is not supported on expressions: "
                "expressions are never changed in place, use the returned value"
            )
        if method == "__call__":
            if name in TABLE:
                return elementwise(name, *(conditions(inputs) if name.startswith("logical") else inputs))
            if name in UFUNCS:
                return UFUNCS[name](*inputs)
        elif (name, method) in REDUCTIONS:
            return FUNCTIONS[REDUCTIONS[name, method]](*inputs, **{"axis": 0, **keywords})
        elif method == "outer" and name in TABLE and TABLE[name].arity == 2 and not keywords:
            return self._outer(name, *inputs)
        else:
            name = f"{name}.{method}"
        if name in OPERATOR_OF:
            raise no_operator(OPERATOR_OF[name])
        raise unsupported(spelling(ufunc) + ("" if method == "__call__" else f".{method}"))

    @staticmethod
    def _outer(name: str, first: Any, second: Any) -> Expression:
        """The function of every element of the first with every element of the second."""
        left, right = as_expression(first), as_expression(second)
        return elementwise(name, FUNCTIONS[np.reshape](left, left.shape + (1,) * right.ndim), right)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        handler = FUNCTIONS.get(function)
        if handler is None:
            raise unsupported(numpy_name(function))
        return handler(*args, **keywords)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        # scipy.sparse asks for an array before it lets the other operand answer: a 0-d object array makes it
        # return NotImplemented. Others, np.array([a, b]) above all, get the elements, so that NumPy's own broadcasting
        # and sums over such an array are right. Every entrance recognises object arrays (see as_expression).
        if dtype is not None and np.dtype(dtype) != object:
            raise ExpressionTypeError(f"an expression has no numbers yet: {ADVICE}")
        whole = not self.shape or sys._getframe(1).f_globals.get("__name__", "").startswith("scipy.sparse")
        holder = np.empty(() if whole else self.shape, dtype=object)
        if whole:
            holder[()] = self
        elif self.size > MOST_ELEMENTS:
            raise ExpressionTypeError(
                f"{self.title()} has {self.size} elements, too many for a NumPy array of expressions: combine such "
                "arrays with np.stack, np.concatenate and the functions that take expressions"
            )
        else:
            for index in np.ndindex(self.shape):
                holder[index] = self[index]
        return holder

    # arithmetic --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Expression:
        return binary("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return binary("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return binary("subtract", other, self)

    def __mul__(self, other: Any) -> Expression:
        return binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return binary("divide", other, self)

    def __pow__(self, other: Any) -> Expression:
        return binary("power", self, other)

    def __rpow__(self, other: Any) -> Expression:
        return binary("power", other, self)

    def __matmul__(self, other: Any) -> Expression:
        product: Expression = UFUNCS["matmul"](self, other)
        return product

    def __rmatmul__(self, other: Any) -> Expression:
        product: Expression = UFUNCS["matmul"](other, self)
        return product

    def __neg__(self) -> Expression:
        return elementwise("negative", self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return elementwise("absolute", self)

    def __lt__(self, other: Any) -> Expression:
        return binary("less", self, other)

    def __le__(self, other: Any) -> Expression:
        return binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Expression:
        return binary("greater", self, other)

    def __ge__(self, other: Any) -> Expression:
        return binary("greater_equal", self, other)

    def __eq__(self, other: Any) -> Expression:  # type: ignore[override]
        return binary("equal", self, other)

    def __ne__(self, other: Any) -> Expression:  # type: ignore[override]
        return binary("not_equal", self, other)

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Expression:
        return logical("logical_and", "&", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Expression:
        return logical("logical_or", "|", self, other)

    __ror__ = __or__

    def __invert__(self) -> Expression:
        return logical("logical_not", "~", self)

    # array manners -----------------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return size_of(self.shape)

    @property
    def T(self) -> Expression:
        """The transpose."""
        return self if len(self.shape) < 2 else self.transpose()

    def __len__(self) -> int:
        if not self.shape:
            raise ExpressionTypeError(f"{self.title()} is a scalar: it has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Expression]:
        if not self.shape:
            raise ExpressionTypeError(f"{self.title()} is a scalar: it cannot be iterated over")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> Expression:
        if type(key) is int and self.op == "symbol" and len(self.shape) == 1:
            known: Expression | None = self.data.elements.get(key)
            if known is not None:
                return known
        item: Expression = FUNCTIONS[operator.getitem](self, key)
        return item

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in TABLE and TABLE[name].arity == 1:  # np.exp([x, y]) calls x.exp() on the elements
            return partial(elementwise, name, self)
        raise AttributeError(
            f"an expression has no attribute {name!r}; it has shape, ndim, size, T, sum, mean, max, cumsum, dot, "
            f"reshape, ravel, …, and NumPy's functions take it: np.exp(x), np.where(x > 0, a, b); {ADVICE}"
        )

    def title(self) -> str:
        """How errors call it."""
        return f"{self.data.kind} {self.data.name!r}" if self.op == "symbol" else "the expression"

    def __repr__(self) -> str:
        shape = f", shape {self.shape}" if self.shape else ""
        return f"<expression {to_text(self, limit=200)}{shape}>"


def _common_owner(args: tuple[Expression, ...]) -> Any:
    """The program whose symbols the operands contain; raises DeclarationError where there are two."""
    owner = None
    for arg in args:
        if arg.owner is not owner and arg.owner is not None:
            if owner is not None:
                raise foreign_programs(owner, arg.owner)
            owner = arg.owner
    return owner


def is_condition(op: str, args: tuple[Expression, ...], data: Any) -> bool:
    """Whether a node of this operation is true or false, not a number."""
    if op == "view":
        return args[0].is_boolean
    return op in _CONDITIONS or (op == "constant" and data is not None and bool(data.dtype == bool))


_CONDITIONS = frozenset(row.name for row in TABLE.values() if row.boolean)
_TAKES_CONDITIONS = frozenset(name for name in TABLE if name.startswith("logical_") or name == "where")


def size_of(shape: Shape) -> int:
    """The number of elements."""
    size = 1
    for n in shape:
        size *= n
    return size


_EXACT = 2**53
"""Integers below are floats exactly."""


def constant(value: Any) -> Expression:
    """A constant node, from anything NumPy makes a float64 or boolean array of."""
    if type(value) is float:
        return _number(value)
    try:
        array = np.array(value)
    except ValueError as error:
        raise ExpressionTypeError(f"{_describe(value)} cannot stand in an expression: {error}") from None
    if array.dtype != bool:
        if array.dtype.kind not in "iuf":
            raise ExpressionTypeError(
                f"{_describe(value)} cannot stand in an expression: real numbers and arrays of them can"
            )
        array = array.astype(np.float64)
        if np.isnan(array).any():
            first = tuple(np.argwhere(np.isnan(array))[0].tolist())
            index = f" at index {first}" if first else ""
            raise DeclarationError(f"a constant of an expression is NaN{index}: look at the data it came from")
    array.setflags(write=False)
    return Expression("constant", (), array.shape, array)


def _number(value: float) -> Expression:
    if value != value:
        raise DeclarationError("a constant of an expression is NaN: look at the data it came from")
    return _scalar_node("constant", (), np.float64(value), None)


def _scalar_node(op: str, args: tuple[Expression, ...], data: Any, owner: Any) -> Expression:
    """A scalar that is no view, with the owner its operands have: the nodes that loops make by the million."""
    node = Expression.__new__(Expression)
    node.op, node.args, node.shape, node.data, node.owner = op, args, (), data, owner
    node.is_boolean = op in _CONDITIONS
    return node


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{text[:60] + '…' if len(text) > 60 else text} (a {type(value).__name__})"


def as_expression(value: Any) -> Expression:
    """``value`` as an expression: numbers and arrays become constants, lists of expressions are stacked.

    Raises ExpressionTypeError for anything else, object arrays of other things included.
    """
    if type(value) is float or (type(value) is int and -_EXACT < value < _EXACT):
        return _number(float(value))
    if isinstance(value, Expression):
        return value
    if isinstance(value, float | int) or (isinstance(value, np.ndarray) and value.dtype != object):
        return constant(value)
    if isinstance(value, np.ndarray):
        return _stack_objects(value)
    if isinstance(value, list | tuple):
        if any(isinstance(leaf, Expression) for leaf in leaves_of(value)):
            stacked: Expression = FUNCTIONS[np.stack]([as_expression(item) for item in value])
            return stacked
        return constant(value)
    if isinstance(value, numbers.Number | np.generic):
        return constant(value)
    if hasattr(value, "toarray"):
        raise ExpressionTypeError(
            "a scipy.sparse matrix takes part as A @ x or x @ A only; use A.toarray() for elementwise operations"
        )
    if hasattr(value, "__array__"):
        return as_expression(np.asarray(value))
    raise ExpressionTypeError(f"{_describe(value)} cannot stand in an expression: numbers, arrays, expressions can")


def leaves_of(value: Any) -> Iterator[Any]:
    """What nested lists, tuples and object arrays contain."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, np.ndarray) and item.dtype == object:
            pending.extend(item.ravel().tolist())
        else:
            yield item


def _stack_objects(array: Array) -> Expression:
    """An object array of scalars, arrays and expressions of one shape, stacked on its own axes."""
    items = [as_expression(item) for item in array.ravel().tolist()]
    if array.ndim == 0:
        return items[0]
    if not items:
        return constant(np.zeros(array.shape))
    stacked: Expression = FUNCTIONS[np.reshape](FUNCTIONS[np.stack](items), array.shape + items[0].shape)
    return stacked


def binary(name: str, left: Any, right: Any) -> Expression:
    """``elementwise`` of two operands; the short way for two numbers, of which programs written in loops have many."""
    if type(left) is not Expression:
        left = _number(left) if type(left) is float else as_expression(left)
    elif type(right) is not Expression:
        right = _number(right) if type(right) is float else as_expression(right)
    if left.shape or right.shape or left.is_boolean or right.is_boolean:
        return elementwise(name, left, right)
    owner = left.owner
    if right.owner is not owner and right.owner is not None:
        if owner is not None:
            raise foreign_programs(owner, right.owner)
        owner = right.owner
    return _scalar_node(name, (left, right), None, owner)


def elementwise(name: str, *operands: Any) -> Expression:
    """One elementary function of the table on operands that broadcast."""
    args = tuple([x if type(x) is Expression else as_expression(x) for x in operands])
    if len(args) != TABLE[name].arity:
        raise ExpressionTypeError(f"{TABLE[name].spelling} takes {TABLE[name].arity} operands, got {len(args)}")
    if any(arg.op != "constant" for arg in args[: TABLE[name].fixed]):
        raise ExpressionTypeError(
            f"{TABLE[name].spelling}: the first operand must be a number, got {to_text(args[0], limit=60)}: "
            "there is no derivative in it"
        )
    first = args[0]
    if len(args) == 1 and not first.shape and not first.is_boolean:
        return _scalar_node(name, args, None, first.owner)
    for arg in args:
        if arg.is_boolean and name not in _TAKES_CONDITIONS:
            args = tuple([elementwise("where", x, 1.0, 0.0) if x.is_boolean else x for x in args])
            break
    shape = args[0].shape
    for arg in args[1:]:
        if arg.shape != shape:
            shape = broadcast(name, args)
            break
    return Expression(name, args, shape)


def conditions(operands: Iterable[Any]) -> list[Expression]:
    """Operands of NumPy's logical functions: numbers are true where they are not 0."""
    nodes = [as_expression(x) for x in operands]
    return [node if node.is_boolean else elementwise("not_equal", node, 0.0) for node in nodes]


def broadcast(name: str, args: tuple[Expression, ...]) -> Shape:
    """The common shape of operands; ``name`` is the function that the error names."""
    try:
        return np.broadcast_shapes(*(arg.shape for arg in args))
    except ValueError:
        listed = ", ".join(f"{to_text(arg, limit=40)} has shape {arg.shape}" for arg in args)
        shown = TABLE[name].spelling if name in TABLE else f"np.{name}"
        raise ShapeError(
            f"{shown}: the operands do not broadcast: {listed}; reshape one, or index it with None"
        ) from None


def logical(name: str, sign: str, *operands: Any) -> Expression:
    """Conditions combined; numbers are refused, ``sign`` is the operator that the error names."""
    args = [as_expression(x) for x in operands]
    if not all(arg.is_boolean for arg in args):
        raise ExpressionTypeError(f"{sign} combines conditions such as (x > 0) {sign} (y > 0); put each in parentheses")
    return elementwise(name, *args)
