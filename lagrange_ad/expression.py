"""Array expressions: what NumPy's own functions and operators build from a program's symbols.

An :class:`Expression` is a node of a directed acyclic graph with an operation, operands and a shape. NumPy's
protocols ``__array_ufunc__`` and ``__array_function__`` build the nodes, so ``np.exp(x) @ y`` reads as usual;
what is not supported says so by name. Graphs are walked by loops (:func:`postorder`), never by recursion.

Operations: ``symbol``, ``constant``, every row of the table of elementary functions, ``view`` (any rearrangement
of elements: indexing, reshape, transpose, …), ``concatenate``, ``sum``, ``scatter`` (``np.bincount``), ``matmul``,
``sparse_matmul`` and ``external`` (a user's own function).
"""

from __future__ import annotations

import numbers
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .elementary import TABLE
from .errors import DeclarationError, ExpressionTypeError, ShapeError
from .printing import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping


Shape = tuple[int, ...]
MOST_ELEMENTS = 100_000
"""An expression with more elements is not turned into a NumPy array of expressions."""
Array = np.ndarray[Any, np.dtype[Any]]


_EVERYWHERE = (-np.inf, np.inf)
_NO_ELEMENTS: dict[int, Expression] = {}  # of all symbols of which no element was asked for; never written to


class Symbol:
    """A named array of a program: an input, a parameter or a variable, with what was declared of it.

    ``start`` is where its elements begin in the flat state, ``elements`` the nodes made of single ones so far.
    """

    __slots__ = ("domain", "elements", "kind", "labels", "location", "lower", "name", "owner", "shape", "start",
                 "unit", "upper", "value")  # fmt: skip

    def __init__(self, name: str, kind: str, shape: Shape, owner: Any, location: tuple[str, int]) -> None:
        self.name, self.kind, self.shape, self.owner, self.location = name, kind, shape, owner, location
        self.start = -1
        self.elements: dict[int, Expression] = _NO_ELEMENTS
        self.value: Any = None
        self.lower: Any = -np.inf
        self.upper: Any = np.inf
        self.domain: tuple[float, float] = _EVERYWHERE
        self.labels: list[Any] | None = None
        self.unit = ""

    @property
    def is_unbounded(self) -> bool:
        """Whether no bounds were declared."""
        return isinstance(self.lower, float) and isinstance(self.upper, float)

    def __repr__(self) -> str:
        return f"{self.kind} {self.name}"

    def __getstate__(self) -> Any:
        # A start that is an expression is pickled by the program, which packs all its expressions.
        kept = {slot: value for slot in self.__slots__ if not isinstance(value := getattr(self, slot), Expression)}
        return None, {**kept, "elements": {}}


class View:
    """A rearrangement of the elements of one array: a NumPy function and its further arguments.

    Applied to an array of any dtype: to values when an expression is evaluated, to element numbers when it is
    lowered to index maps.
    """

    __slots__ = ("arguments", "function", "keywords", "name")

    def __init__(self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...],
                 keywords: dict[str, Any]) -> None:
        self.name, self.function, self.arguments, self.keywords = name, function, arguments, keywords

    def apply(self, array: Array) -> Array:
        """The rearranged array (a NumPy view of it where possible)."""
        return np.asarray(self.function(array, *self.arguments, **self.keywords))


class Element(View):
    """One element of a symbol's array: the view ``array[key]``; ``start`` is its position in the flat state."""

    __slots__ = ("start",)

    def __init__(self, key: Any, start: int) -> None:
        super().__init__("getitem", operator.getitem, (key,), {})
        self.start = start


class Expression:
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
        self.is_boolean = _is_condition(op, args, data)

    # NumPy's protocols -------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = ufunc.__name__
        if keywords and method == "__call__" and any(value is not None for value in keywords.values()):
            raise ExpressionTypeError(
                f"np.{name} with {', '.join(keywords)}= is not supported on expressions: "
                "expressions are never changed in place, use the returned value"
            )
        if method == "reduce" and name == "add":
            return sum_(inputs[0], **{"axis": 0, **keywords})
        if method == "__call__":
            if name in TABLE:
                return elementwise(name, *(_conditions(inputs) if name.startswith("logical") else inputs))
            if name == "matmul":
                return matmul(*inputs)
            if name in _UFUNC_ALIASES:
                return _UFUNC_ALIASES[name](*inputs)
        else:
            name = f"{name}.{method}"
        if name in _OPERATOR_OF:
            raise _no_operator(_OPERATOR_OF[name])
        raise unsupported(f"np.{name}")

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        handler = FUNCTIONS.get(function)
        if handler is None:
            raise unsupported(f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}")
        return handler(*args, **keywords)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        # scipy.sparse asks for an array before it lets the other operand answer: a 0-d object array makes it
        # return NotImplemented. Others, np.array([a, b]) above all, get the elements, so that NumPy's own broadcasting
        # and sums over such an array are right. Every entrance recognises object arrays (see as_expression).
        if dtype is not None and np.dtype(dtype) != object:
            raise ExpressionTypeError(f"an expression has no numbers yet: {_advice_number()}")
        whole = not self.shape or sys._getframe(1).f_globals.get("__name__", "").startswith("scipy.sparse")
        holder = np.empty(() if whole else self.shape, dtype=object)
        if whole:
            holder[()] = self
        elif self.size > MOST_ELEMENTS:
            raise ExpressionTypeError(
                f"{self._name()} has {self.size} elements, too many for a NumPy array of expressions: combine such "
                "arrays with np.stack, np.concatenate and the functions that take expressions"
            )
        else:
            for index in np.ndindex(self.shape):
                holder[index] = self[index]
        return holder

    # arithmetic --------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Expression:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return _binary("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Expression:
        return _binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return _binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return _binary("divide", other, self)

    def __pow__(self, other: Any) -> Expression:
        return _binary("power", self, other)

    def __rpow__(self, other: Any) -> Expression:
        return _binary("power", other, self)

    def __matmul__(self, other: Any) -> Expression:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Expression:
        return matmul(other, self)

    def __neg__(self) -> Expression:
        return elementwise("negative", self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return elementwise("absolute", self)

    def __lt__(self, other: Any) -> Expression:
        return _binary("less", self, other)

    def __le__(self, other: Any) -> Expression:
        return _binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Expression:
        return _binary("greater", self, other)

    def __ge__(self, other: Any) -> Expression:
        return _binary("greater_equal", self, other)

    def __eq__(self, other: Any) -> Expression:  # type: ignore[override]
        return _binary("equal", self, other)

    def __ne__(self, other: Any) -> Expression:  # type: ignore[override]
        return _binary("not_equal", self, other)

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Expression:
        return _logical("logical_and", "&", self, other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Expression:
        return _logical("logical_or", "|", self, other)

    __ror__ = __or__

    def __invert__(self) -> Expression:
        return _logical("logical_not", "~", self)

    # array manners -----------------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return _size(self.shape)

    @property
    def T(self) -> Expression:
        """The transpose."""
        return self if len(self.shape) < 2 else _view(np.transpose, self)

    def __len__(self) -> int:
        if not self.shape:
            raise ExpressionTypeError(f"{self._name()} is a scalar: it has no len()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Expression]:
        if not self.shape:
            raise ExpressionTypeError(f"{self._name()} is a scalar: it cannot be iterated over")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> Expression:
        if type(key) is int and self.op == "symbol" and len(self.shape) == 1:
            known: Expression | None = self.data.elements.get(key)
            if known is not None:
                return known
        return _getitem(self, key)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.sum`` of it."""
        return sum_(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.mean`` of it."""
        return mean(self, axis=axis, keepdims=keepdims)

    def dot(self, other: Any) -> Expression:
        """``np.dot(self, other)``."""
        return dot(self, other)

    def reshape(self, *shape: Any, order: Any = "C") -> Expression:
        """``np.reshape`` of it; the sizes as one tuple or one by one."""
        sizes = shape[0] if len(shape) == 1 else shape
        return _view(np.reshape, self, sizes) if order == "C" else _view(np.reshape, self, sizes, order=order)

    def transpose(self, *axes: Any) -> Expression:
        """``np.transpose`` of it."""
        return _view(np.transpose, self, *((axes[0],) if len(axes) == 1 else (axes,) if axes else ()))

    def ravel(self) -> Expression:
        """All elements on one axis, in C order."""
        return _view(np.ravel, self)

    flatten = ravel

    @property
    def mT(self) -> Expression:
        """The last two axes swapped."""
        return _view(np.swapaxes, self, -1, -2)

    def squeeze(self, axis: Any = None) -> Expression:
        """``np.squeeze`` of it."""
        return _view(np.squeeze, self, axis)

    def swapaxes(self, axis1: int, axis2: int) -> Expression:
        """``np.swapaxes`` of it."""
        return _view(np.swapaxes, self, axis1, axis2)

    def diagonal(self, offset: int = 0) -> Expression:
        """``np.diagonal`` of it."""
        return _view(np.diagonal, self, offset)

    def clip(self, min: Any = None, max: Any = None) -> Expression:
        """``np.clip`` of it."""
        return _clip(self, min, max)

    def copy(self) -> Expression:
        """Itself: expressions never change."""
        return self

    # what cannot be ----------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        if self.is_boolean:
            raise ExpressionTypeError(
                "a comparison of expressions has no truth value: use np.where(condition, a, b) to choose, "
                "& | ~ to combine conditions, subject_to(expr, lower=a, upper=b) for a two-sided constraint, "
                "and `is` to compare identities (`in` a list compares too)"
            )
        raise ExpressionTypeError(f"{self._name()} has no truth value: {_advice_number()}")

    def __float__(self) -> float:
        raise ExpressionTypeError(
            f"{self._name()} is an expression, not a number: use np.exp, np.sin, … instead of math.exp, math.sin; "
            f"{_advice_number()}"
        )

    __int__ = __float__
    __complex__ = __float__
    __index__ = __float__

    def __format__(self, spec: str) -> str:
        if spec:
            raise ExpressionTypeError(f"{self._name()} is an expression, not a number: {_advice_number()}")
        return repr(self)

    def __xor__(self, other: Any) -> Any:
        raise _no_operator("^")

    def __mod__(self, other: Any) -> Any:
        raise _no_operator("%")

    def __floordiv__(self, other: Any) -> Any:
        raise _no_operator("//")

    def __divmod__(self, other: Any) -> Any:
        raise _no_operator("divmod")

    def __round__(self, digits: Any = None) -> Any:
        raise _no_operator("round")

    def __lshift__(self, other: Any) -> Any:
        raise _no_operator("<<")

    def __rshift__(self, other: Any) -> Any:
        raise _no_operator(">>")

    __rxor__, __rmod__, __rfloordiv__, __rdivmod__ = __xor__, __mod__, __floordiv__, __divmod__
    __rlshift__, __rrshift__ = __lshift__, __rshift__

    def __setitem__(self, key: Any, value: Any) -> None:
        raise ExpressionTypeError(
            "expressions cannot be assigned to: build the array with np.concatenate, np.stack or np.where"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in TABLE and TABLE[name].arity == 1:  # np.exp([x, y]) calls x.exp() on the elements
            return partial(elementwise, name, self)
        raise AttributeError(
            f"an expression has no attribute {name!r}; it has shape, ndim, size, T, sum, mean, dot, reshape, "
            f"transpose, ravel, …, and NumPy's functions take it: np.exp(x), np.where(x > 0, a, b); {_advice_number()}"
        )

    def _name(self) -> str:
        return f"{self.data.kind} {self.data.name!r}" if self.op == "symbol" else "the expression"

    def __repr__(self) -> str:
        shape = f", shape {self.shape}" if self.shape else ""
        return f"<expression {to_text(self, limit=200)}{shape}>"

    def __reduce__(self) -> Any:
        return (_unpacked, (pack([self]),))


def _common_owner(args: tuple[Expression, ...]) -> Any:
    """The program whose symbols the operands contain; raises DeclarationError where there are two."""
    owner = None
    for arg in args:
        if arg.owner is not owner and arg.owner is not None:
            if owner is not None:
                raise _foreign(owner, arg.owner)
            owner = arg.owner
    return owner


def _is_condition(op: str, args: tuple[Expression, ...], data: Any) -> bool:
    if op == "view":
        return args[0].is_boolean
    return op in _CONDITIONS or (op == "constant" and data is not None and bool(data.dtype == bool))


def _foreign(first: Any, second: Any) -> DeclarationError:
    return DeclarationError(
        f"an expression mixes symbols of two programs, {first.name!r} and {second.name!r}: "
        "declare the variables it needs in one of them"
    )


_CONDITIONS = frozenset(row.name for row in TABLE.values() if row.boolean)
_TAKES_CONDITIONS = frozenset(name for name in TABLE if name.startswith("logical_") or name == "where")


def _advice_number() -> str:
    return "its value is at[expr] for at = program.evaluate()"


def _size(shape: Shape) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


_OPERATOR_OF = {
    "remainder": "%", "fmod": "%", "floor_divide": "//", "divmod": "divmod", "bitwise_xor": "^", "left_shift": "<<",
    "right_shift": ">>",
}  # fmt: skip


def _no_operator(sign: str) -> ExpressionTypeError:
    if sign == "^":
        return ExpressionTypeError("^ is not a power in Python: write x**2, or np.power(x, 2)")
    if sign in ("<<", ">>"):
        return ExpressionTypeError(f"{sign} is not supported on expressions")
    return ExpressionTypeError(f"{sign} is not supported on expressions: it has no derivative at its jumps")


_INSTEAD = {
    "np.linalg.norm": "np.sqrt(np.sum(x**2))",
    "np.linalg.solve": "a variable y and equate(A @ y, b)",
    "np.linalg.inv": "a variable y and equate(A @ y, b), for what the inverse would multiply",
    "np.add.at": "np.bincount(index, weights=x, minlength=n)",
    "np.add.outer": "x[:, None] + y",
    "np.multiply.reduce": "functools.reduce(operator.mul, x)",
    "np.prod": "functools.reduce(operator.mul, x)",
    "np.cumsum": "a variable y and equate(y, np.concatenate([x[:1], y[:-1] + x[1:]]))",
    "np.add.accumulate": "a variable y and equate(y, np.concatenate([x[:1], y[:-1] + x[1:]]))",
    "np.max": "functools.reduce(np.maximum, x)",
    "np.min": "functools.reduce(np.minimum, x)",
    "np.maximum.reduce": "functools.reduce(np.maximum, x)",
    "np.minimum.reduce": "functools.reduce(np.minimum, x)",
    "np.std": "np.sqrt(np.mean((x - np.mean(x))**2))",
    "np.var": "np.mean((x - np.mean(x))**2)",
    "np.einsum": "@, or np.sum(a[:, None] * b, axis=0)",
}
"""What to write for NumPy functions that are asked for often."""


def unsupported(name: str) -> ExpressionTypeError:
    """The error for a NumPy function that expressions do not have; lists those that they have."""
    instead = f"; write {_INSTEAD[name]}" if name in _INSTEAD else ""
    return ExpressionTypeError(
        f"{name} is not supported on expressions{instead}. Supported: {', '.join(supported_names())}"
    )


def supported_names() -> list[str]:
    """The NumPy names that build expressions."""
    functions = (*TABLE, *_UFUNC_ALIASES, *(f.__name__ for f in FUNCTIONS), "matmul")
    names = {f"np.{name}" for name in functions}
    return sorted(names)


# making nodes ----------------------------------------------------------------------------------------------


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
        if any(isinstance(leaf, Expression) for leaf in _leaves(value)):
            return stack([as_expression(item) for item in value])
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


def _leaves(value: Any) -> Iterator[Any]:
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
    stacked = stack(items)
    return _view(np.reshape, stacked, array.shape + items[0].shape)


def _binary(name: str, left: Any, right: Any) -> Expression:
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
            raise _foreign(owner, right.owner)
        owner = right.owner
    return _scalar_node(name, (left, right), None, owner)


def elementwise(name: str, *operands: Any) -> Expression:
    """One elementary function of the table on operands that broadcast."""
    args = tuple([x if type(x) is Expression else as_expression(x) for x in operands])
    if len(args) != TABLE[name].arity:
        raise ExpressionTypeError(f"np.{name} takes {TABLE[name].arity} operands, got {len(args)}")
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
            shape = _broadcast(name, args)
            break
    return Expression(name, args, shape)


def _conditions(operands: Iterable[Any]) -> list[Expression]:
    """Operands of NumPy's logical functions: numbers are true where they are not 0."""
    nodes = [as_expression(x) for x in operands]
    return [node if node.is_boolean else elementwise("not_equal", node, 0.0) for node in nodes]


def _broadcast(name: str, args: tuple[Expression, ...]) -> Shape:
    try:
        return np.broadcast_shapes(*(arg.shape for arg in args))
    except ValueError:
        listed = ", ".join(f"{to_text(arg, limit=40)} has shape {arg.shape}" for arg in args)
        raise ShapeError(
            f"np.{name}: the operands do not broadcast: {listed}; reshape one, or index it with None"
        ) from None


def _logical(name: str, sign: str, *operands: Any) -> Expression:
    args = [as_expression(x) for x in operands]
    if not all(arg.is_boolean for arg in args):
        raise ExpressionTypeError(f"{sign} combines conditions such as (x > 0) {sign} (y > 0); put each in parentheses")
    return elementwise(name, *args)


def _view(function: Callable[..., Any], operand: Any, *arguments: Any, **keywords: Any) -> Expression:
    """A rearrangement of one operand by a NumPy function that moves elements and computes nothing."""
    child = as_expression(operand)
    view = View(function.__name__, function, tuple([_known(part) for part in arguments]),
                {name: _known(part) for name, part in keywords.items()})
    try:
        shape = view.apply(np.broadcast_to(np.int8(0), child.shape)).shape
    except (ValueError, IndexError, TypeError) as error:
        what = "indexing" if function is operator.getitem else f"np.{view.name} of"
        raise ShapeError(f"{what} {to_text(child, limit=60)} with shape {child.shape}: {error}") from None
    return Expression("view", (child,), shape, view)


def _known(part: Any) -> Any:
    """A part of an index, or another argument of a rearrangement: known numbers, kept as they are now."""
    if type(part) is int or part is None or part is Ellipsis:
        return part
    inside = [part.start, part.stop, part.step] if isinstance(part, slice) else [part]
    if any(isinstance(leaf, Expression) for leaf in _leaves(inside)):
        raise ExpressionTypeError(
            "an index, a shape or an axis must be known numbers, not an expression: np.where can choose by value"
        )
    if isinstance(part, tuple):
        return tuple(_known(item) for item in part)
    if isinstance(part, list):
        return np.array(part, dtype=None if part else np.intp)
    return part.copy() if isinstance(part, np.ndarray) else part


def _getitem(operand: Expression, key: Any) -> Expression:
    if operand.op == "symbol" and isinstance(key, int | tuple | np.integer):
        whole = key if isinstance(key, tuple) else (key,)
        number = _element_number(operand.shape, whole)
        if number is not None:
            return _element(operand, number, whole)
    return _view(operator.getitem, operand, key)


def _element_number(shape: Shape, key: tuple[Any, ...]) -> int | None:
    """The flat number of one element, where the key is an integer an axis, none of them counted from the end."""
    if len(key) != len(shape) or not key:
        return None
    number = 0
    for i, n in zip(key, shape, strict=True):
        if not isinstance(i, int | np.integer) or isinstance(i, bool) or not 0 <= i < n:
            return None
        number = number * n + int(i)
    return number


def _element(operand: Expression, number: int, key: tuple[Any, ...]) -> Expression:
    """The node of one element of a symbol, made once: loops ask for the same one again and again."""
    symbol = operand.data
    if symbol.elements is _NO_ELEMENTS:
        symbol.elements = {}
    node: Expression | None = symbol.elements.get(number)
    if node is None:
        index = tuple([int(i) for i in key])
        view = Element(index if len(index) > 1 else index[0], symbol.start + number)
        node = symbol.elements.setdefault(number, Expression("view", (operand,), (), view))
    return node


def sum_(operand: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
         initial: Any = None, where: Any = None) -> Expression:
    """``np.sum`` over the given axes (all when None)."""
    if dtype is not None or out is not None or initial is not None or where is not None:
        raise ExpressionTypeError("np.sum on expressions takes axis= and keepdims= only")
    child = as_expression(operand)
    if child.is_boolean:
        child = elementwise("where", child, 1.0, 0.0)
    axes = _axes(child, axis)
    shape = tuple(n for i, n in enumerate(child.shape) if i not in axes)
    total = Expression("sum", (child,), shape, axes) if axes else child
    if keepdims in (True, 1):
        return _view(np.reshape, total, tuple(1 if i in axes else n for i, n in enumerate(child.shape)))
    return total


def _axes(child: Expression, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(child.ndim))
    given = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    if not all(isinstance(a, numbers.Integral) for a in given):
        raise ExpressionTypeError(f"axis must be an integer, a tuple of integers or None, got {axis!r}")
    for a in given:
        if not -child.ndim <= a < child.ndim:
            raise ShapeError(f"axis {a} is out of range for an expression of shape {child.shape}")
    axes = {int(a) % child.ndim for a in given}
    if len(axes) < len(given):
        raise ShapeError(f"axis {axis} names an axis of an expression of shape {child.shape} twice")
    return tuple(sorted(axes))


def mean(operand: Any, axis: Any = None, keepdims: Any = False, **other: Any) -> Expression:
    """``np.mean``: the sum over the number of elements."""
    if any(value is not None for value in other.values()):
        raise ExpressionTypeError("np.mean on expressions takes axis= and keepdims= only")
    child = as_expression(operand)
    count = _size(tuple(child.shape[i] for i in _axes(child, axis)))
    if count == 0:
        raise ShapeError(f"np.mean of no elements: the expression has shape {child.shape}")
    return sum_(child, axis=axis, keepdims=keepdims) / count


def dot(a: Any, b: Any) -> Expression:
    """``np.dot``: a product with scalars, inner for vectors, matrix product for matrices."""
    left, right = as_expression(a), as_expression(b)
    if left.ndim == 0 or right.ndim == 0:
        return left * right
    if left.ndim > 2 or right.ndim > 2:
        raise ExpressionTypeError("np.dot of more than two axes is not supported on expressions: use @")
    return matmul(left, right)


def matmul(a: Any, b: Any) -> Expression:
    """``a @ b``; either side may be a constant array or a scipy.sparse matrix, or both expressions."""
    if hasattr(a, "tocsr"):
        return _sparse_matmul(a, as_expression(b))
    if hasattr(b, "tocsr"):
        return _sparse_matmul(b.T, as_expression(a).T, mirrored=True).T
    left, right = as_expression(a), as_expression(b)
    if left.ndim == 0 or right.ndim == 0:
        raise ShapeError("@ takes arrays, not scalars: use * with a scalar")
    if left.shape[-1] != right.shape[-2 if right.ndim > 1 else 0]:
        raise ShapeError(
            f"@: inner sizes differ: {to_text(left, limit=40)} has shape {left.shape}, "
            f"{to_text(right, limit=40)} has shape {right.shape}"
        )
    if left.ndim == 1 and right.ndim == 1:
        return sum_(left * right)
    if left.ndim == 1:
        return _view(np.squeeze, matmul(_getitem(left, (None, ...)), right), axis=-2)
    if right.ndim == 1:
        return _view(np.squeeze, matmul(left, _getitem(right, (..., None))), axis=-1)
    stacks = tuple(Expression("constant", (), side.shape[:-2]) for side in (left, right))
    batch = _broadcast("matmul", stacks)
    return Expression("matmul", (left, right), (*batch, left.shape[-2], right.shape[-1]))


def _sparse_matmul(matrix: Any, operand: Expression, mirrored: bool = False) -> Expression:
    from scipy import sparse

    if operand.ndim not in (1, 2) or matrix.shape[1] != operand.shape[0]:
        sides = [f"a sparse matrix of shape {matrix.shape[::-1] if mirrored else matrix.shape}"]
        shown = operand.T if mirrored else operand
        sides.insert(0 if mirrored else 1, f"{to_text(shown, limit=40)} of shape {shown.shape}")
        raise ShapeError(f"@: the inner sizes of {sides[0]} and {sides[1]} differ, or an operand has not 1 or 2 axes")
    csr = sparse.csr_array(matrix).astype(np.float64)
    csr.sum_duplicates()
    if np.isnan(csr.data).any():
        raise DeclarationError("a constant sparse matrix contains NaN: look at the data it came from")
    return Expression("sparse_matmul", (operand,), (csr.shape[0], *operand.shape[1:]), csr)


def concatenate(parts: Iterable[Any], axis: int | None = 0) -> Expression:
    """``np.concatenate`` of expressions and arrays."""
    items = [as_expression(part) for part in parts]
    if axis is None:
        items, axis = [_view(np.ravel, item) for item in items], 0
    if items and axis == 0 and all(len(item.shape) == 1 for item in items):
        return Expression("concatenate", tuple(items), (sum(item.shape[0] for item in items),), 0)
    try:
        shape = np.concatenate([np.broadcast_to(np.int8(0), item.shape) for item in items], axis=axis).shape
    except ValueError as error:
        shapes = ", ".join(str(item.shape) for item in items)
        raise ShapeError(f"np.concatenate of shapes {shapes} along axis {axis}: {error}") from None
    return Expression("concatenate", tuple(items), shape, axis % len(shape))


def stack(parts: Iterable[Any], axis: int = 0) -> Expression:
    """``np.stack`` of expressions and arrays of one shape; scalars may be mixed in with scalars only."""
    items = [as_expression(part) for part in parts]
    if len({item.shape for item in items}) > 1:
        shapes = ", ".join(str(item.shape) for item in items)
        raise ShapeError(f"np.stack needs equal shapes, got {shapes}; np.concatenate joins unequal ones")
    if items and not items[0].shape and axis == 0:
        return concatenate([Expression("view", (item,), (1,), _WITH_AXIS) for item in items])
    return concatenate([_view(np.expand_dims, item, axis) for item in items], axis)


_WITH_AXIS = View("expand_dims", np.expand_dims, (0,), {})  # one for all, as np.stack may be given 10^5 scalars


def bincount(index: Any, weights: Any = None, minlength: int = 0) -> Expression:
    """``np.bincount(index, weights=expr, minlength=n)``: scatter-add, out[index[k]] += weights[k]."""
    if isinstance(index, Expression):
        raise ExpressionTypeError("np.bincount: the index must be known integers, weights= may be an expression")
    child, positions = as_expression(weights), np.array(index)
    if positions.ndim != 1 or positions.shape != child.shape:
        raise ShapeError(f"np.bincount: index has shape {positions.shape}, weights {child.shape}; both need (k,)")
    if positions.size and (positions.dtype.kind not in "iu" or positions.min() < 0):
        raise DeclarationError("np.bincount: the index must be integers ≥ 0")
    size = max(int(minlength), int(positions.max()) + 1 if positions.size else 0)
    return Expression("scatter", (child,), (size,), positions.astype(np.int64))


def _where(condition: Any, *choices: Any) -> Expression:
    if len(choices) != 2:
        raise ExpressionTypeError("np.where needs three arguments on expressions: np.where(condition, a, b)")
    test = as_expression(condition)
    return elementwise("where", test if test.is_boolean else elementwise("not_equal", test, 0.0), *choices)


def _clip(x: Any, a_min: Any = None, a_max: Any = None, **keywords: Any) -> Expression:
    low, high = keywords.pop("min", a_min), keywords.pop("max", a_max)
    if any(value is not None for value in keywords.values()):
        raise ExpressionTypeError(f"np.clip with {', '.join(keywords)}= is not supported on expressions")
    if low is not None:
        x = elementwise("maximum", x, low)
    return as_expression(x if high is None else elementwise("minimum", x, high))


def _outer(a: Any, b: Any) -> Expression:
    left, right = _view(np.ravel, a), _view(np.ravel, b)
    return _getitem(left, (slice(None), None)) * right


def _diff(a: Any, n: int = 1, axis: int = -1) -> Expression:
    result = as_expression(a)
    for _ in range(n):
        ahead = _view(np.moveaxis, result, axis, 0)
        result = _view(np.moveaxis, ahead[1:] - ahead[:-1], 0, axis)
    return result


def _join(spread: Callable[[Expression], Expression], axis: Callable[[Expression], int]) -> Callable[..., Expression]:
    def joined(parts: Iterable[Any]) -> Expression:
        items = [spread(as_expression(part)) for part in parts]
        return concatenate(items, axis(items[0]))

    return joined


def _like(fill: float) -> Callable[..., Array]:
    return lambda a, *args, **keywords: np.full(as_expression(a).shape, fill)


def _column(item: Expression) -> Expression:
    return item if item.ndim > 1 else _view(np.reshape, item, (-1, 1))


def _as_view(function: Callable[..., Any]) -> Callable[..., Expression]:
    return lambda operand, *args, **keywords: _view(function, operand, *args, **keywords)


_MOVERS: tuple[Callable[..., Any], ...] = (
    np.reshape, np.transpose, np.ravel, np.broadcast_to, np.expand_dims, np.squeeze, np.moveaxis, np.swapaxes,
    np.flip, np.roll, np.take, np.repeat, np.tile, np.diagonal, np.atleast_1d, np.atleast_2d, np.rot90,
    np.flipud, np.fliplr,
)  # fmt: skip

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    **{function: _as_view(function) for function in _MOVERS},
    np.sum: sum_,
    np.mean: mean,
    np.dot: dot,
    np.vdot: lambda a, b: sum_(_view(np.ravel, a) * _view(np.ravel, b)),
    np.inner: lambda a, b: dot(a, as_expression(b).T),
    np.outer: _outer,
    np.diff: _diff,
    np.append: lambda a, values, axis=None: concatenate([a, values], axis),
    np.copy: lambda a, **keywords: as_expression(a),
    np.matrix_transpose: lambda a: _view(np.swapaxes, a, -1, -2),
    np.full_like: lambda a, fill_value, **keywords: np.full(as_expression(a).shape, fill_value),
    np.trace: lambda a: sum_(_view(np.diagonal, a), axis=-1),
    np.concatenate: concatenate,
    np.stack: stack,
    np.hstack: _join(lambda e: _view(np.atleast_1d, e), lambda e: 0 if e.ndim == 1 else 1),
    np.vstack: _join(lambda e: _view(np.atleast_2d, e), lambda e: 0),
    np.column_stack: _join(_column, lambda e: 1),
    np.where: _where,
    np.clip: _clip,
    np.bincount: bincount,
    np.shape: lambda a: as_expression(a).shape,
    np.ndim: lambda a: as_expression(a).ndim,
    np.size: lambda a, axis=None: as_expression(a).size if axis is None else as_expression(a).shape[axis],
    np.zeros_like: _like(0.0),
    np.ones_like: _like(1.0),
}
"""NumPy functions (not ufuncs) that build expressions."""

_UFUNC_ALIASES: dict[str, Callable[..., Any]] = {
    "positive": as_expression,
    "fabs": lambda x: elementwise("absolute", x),
    "conjugate": as_expression,
    "float_power": lambda x, n: elementwise("power", x, n),
    "bitwise_and": lambda x, y: _logical("logical_and", "&", x, y),
    "bitwise_or": lambda x, y: _logical("logical_or", "|", x, y),
    "invert": lambda x: _logical("logical_not", "~", x),
    "deg2rad": lambda x: elementwise("multiply", x, np.pi / 180.0),
    "radians": lambda x: elementwise("multiply", x, np.pi / 180.0),
    "rad2deg": lambda x: elementwise("multiply", x, 180.0 / np.pi),
    "degrees": lambda x: elementwise("multiply", x, 180.0 / np.pi),
}


# walking and evaluating ------------------------------------------------------------------------------------


def postorder(roots: Sequence[Expression]) -> list[Expression]:
    """Every node of the graphs below ``roots`` once, operands before what uses them."""
    seen: set[int] = set()
    order: list[Expression] = []
    pending: list[tuple[Expression, bool]] = [(root, False) for root in reversed(roots)]
    while pending:
        node, expanded = pending.pop()
        if expanded:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending.extend((arg, False) for arg in node.args if id(arg) not in seen)
    return order


Packed = list[tuple[str, tuple[int, ...], Shape, Any]]
"""Nodes of expression graphs with their operands by number: what is pickled, without recursion."""


def pack(roots: Sequence[Expression]) -> Packed:
    """Every node below ``roots``, in postorder."""
    nodes = postorder(roots)
    number = {id(node): i for i, node in enumerate(nodes)}
    return [(node.op, tuple(number[id(arg)] for arg in node.args), node.shape, node.data) for node in nodes]


def unpack(packed: Packed, owner: Any = None) -> list[Expression]:
    """The nodes of :func:`pack`; ``owner`` is the program of their symbols where these cannot tell yet."""
    nodes: list[Expression] = []
    for op, args, shape, data in packed:
        node = Expression.__new__(Expression)
        node.op, node.args, node.shape, node.data = op, tuple(nodes[i] for i in args), shape, data
        node.owner = next((arg.owner for arg in node.args if arg.owner is not None), None)
        if op == "symbol":
            node.owner = data.owner if owner is None else owner
        node.is_boolean = _is_condition(op, node.args, data)
        nodes.append(node)
    return nodes


def _unpacked(packed: Packed) -> Expression:
    return unpack(packed)[-1]


def symbols_of(root: Expression) -> list[Symbol]:
    """The symbols an expression contains, each once."""
    return [node.data for node in postorder([root]) if node.op == "symbol"]


def evaluate(root: Expression, values: Mapping[str, Any]) -> Array:
    """The value of an expression by NumPy, given the arrays of its symbols by name: the plain meaning."""
    return np.asarray(evaluate_nodes([root], values)[id(root)][1])


def evaluate_nodes(roots: Sequence[Expression], values: Mapping[str, Any]) -> dict[int, tuple[Expression, Any]]:
    """(node, value) of every node below ``roots``, by identity, in the order they were computed."""
    known: dict[int, tuple[Expression, Any]] = {}
    for node in postorder(roots):
        known[id(node)] = (node, _apply(node, [known[id(arg)][1] for arg in node.args], values))
    return known


def _apply(node: Expression, operands: list[Any], values: Mapping[str, Any]) -> Any:
    match node.op:
        case "symbol":
            return values[node.data.name]
        case "constant":
            return node.data
        case "view":
            return node.data.apply(operands[0])
        case "concatenate":
            return np.concatenate(operands, axis=node.data)
        case "sum":
            return np.sum(operands[0], axis=node.data)
        case "scatter":
            result = np.zeros(node.shape, dtype=operands[0].dtype)
            np.add.at(result, node.data, operands[0])
            return result
        case "matmul":
            return operands[0] @ operands[1]
        case "sparse_matmul":
            return node.data @ operands[0]
        case "external":
            return node.data.apply(operands)
        case _:
            row = TABLE[node.op]
            analytic = row.analytic is not None and any(np.iscomplexobj(x) for x in operands)
            return (row.analytic if analytic and row.analytic else row.function)(*operands)
