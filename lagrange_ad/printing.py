"""Expressions as text and as LaTeX, with the names the user gave. Walked by a loop, cut at a length limit."""

from __future__ import annotations

import operator
from typing import Any, Protocol

from .elementary import TABLE
from .text import number


class Expression(Protocol):
    """What printing needs of an expression node."""

    @property
    def op(self) -> str: ...
    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def data(self) -> Any: ...


_ATOM = 10
_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi "
    "omega".split()
)


def to_text(root: Expression, limit: int = 2000) -> str:
    """The expression in the spelling of Python and NumPy; ``…`` where it is longer than ``limit`` characters."""
    return _write(root, limit, _text_parts)


def to_latex(root: Expression, limit: int = 2000) -> str:
    """The expression in LaTeX; ``\\dots`` where it is longer than ``limit`` characters."""
    return _write(root, limit, _latex_parts, _closes_brace).replace("…", r"\dots")


def _closes_brace(piece: str) -> bool:
    """Whether a piece of LaTeX must not be lost: a brace or a \\right without its partner does not render."""
    return "}" in piece or r"\right" in piece


def _write(root: Expression, limit: int, parts_of: Any, closes: Any = lambda piece: False) -> str:
    """Expand (node, surrounding precedence) items left to right until the text is complete or long enough."""
    pieces: list[str] = []
    length = 0
    pending: list[Any] = [(root, 0)]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            pieces.append(item)
            length += len(item)
        elif length > limit:
            pieces.append(" …")
            pieces.extend(rest for rest in reversed(pending) if isinstance(rest, str) and closes(rest))
            break
        else:
            node, outer = item
            pending.extend(reversed(parts_of(node, outer)))
    return "".join(pieces)


def _as_given(operand: Any) -> Any:
    """An operand of a matrix product without the axis that made a matrix of the user's vector."""
    if operand.op == "view" and operand.data.function is operator.getitem:
        key = operand.data.arguments[0]
        if isinstance(key, tuple) and len(key) == 2 and all(part is None or part is Ellipsis for part in key):
            return operand.args[0]
    return operand


def _operands(node: Expression, precedence: int) -> tuple[int, int]:
    """The precedence each side of a binary operator must have to stand without parentheses."""
    if node.op == "power":
        return precedence + 1, precedence
    if TABLE[node.op].boolean:
        return 1, 1
    return precedence, precedence + (node.op in ("subtract", "divide"))


def _wrap(parts: list[Any], inner: int, outer: int, left: str = "(", right: str = ")") -> list[Any]:
    return [left, *parts, right] if inner < outer else parts


def _constant_text(node: Expression) -> str:
    if node.shape == ():
        return str(bool(node.data)) if node.data.dtype == bool else number(node.data)
    if node.data.size <= 4 and node.data.ndim == 1:
        return "[" + ", ".join(number(x) for x in node.data.tolist()) + "]"
    return f"array{node.shape}".replace(",)", ")")


def _text_parts(node: Expression, outer: int) -> list[Any]:
    if node.op == "symbol":
        return [node.data.name]
    if node.op == "constant":
        text = _constant_text(node)
        return _wrap([text], 1 if text.startswith("-") else _ATOM, outer)
    if node.op == "view":
        return _view_parts(node, outer)
    if node.op in ("matmul", "sparse_matmul"):
        matrix = [f"sparse{node.data.shape}"] if node.op == "sparse_matmul" else [(_as_given(node.args[0]), 2)]
        return _wrap([*matrix, " @ ", (_as_given(node.args[-1]), 3)], 2, outer)
    row = TABLE.get(node.op)
    if row is not None and row.symbol and row.arity == 2:
        low, high = _operands(node, row.precedence)
        gap = "" if node.op == "power" else " "
        return _wrap([(node.args[0], low), f"{gap}{row.symbol}{gap}", (node.args[1], high)], row.precedence, outer)
    if node.op == "negative":
        return _wrap(["-", (node.args[0], 3)], 1, outer)
    if node.op == "square":
        return _wrap([(node.args[0], 5), "**2"], 4, outer)
    return _call(node)


_CALLS = {"absolute": "abs", "scatter": "bincount"}


def _call(node: Expression) -> list[Any]:
    arguments: list[Any] = []
    for i, arg in enumerate(node.args):
        arguments += [", ", (arg, 0)] if i else [(arg, 0)]
    if node.op == "concatenate":
        arguments = ["[", *arguments, "]", f", axis={node.data}" if node.data else ""]
    if node.op == "sum" and len(node.data) < node.args[0].ndim:
        arguments.append(f", axis={_axes_text(node.data)}")
    if isinstance(node.data, dict):
        shown = [item for item in node.data.items() if not _is_whole(node, item[1])]
        arguments += [f", {name}={_axes_text(value)}" for name, value in shown]
    if node.op == "scatter":
        arguments = [_argument_text(node.data), ", weights=", *arguments, f", minlength={node.shape[0]}"]
    name = node.data.name if node.op == "external" else _CALLS.get(node.op, node.op)
    return [f"{name}(", *arguments, ")"]


def _is_whole(node: Expression, axes: Any) -> bool:
    """Whether an argument of an operation says only that it runs over all axes there are."""
    ndim = len(node.args[0].shape)
    return len(axes) == ndim if isinstance(axes, tuple) else axes == 0 and ndim == 1


def _axes_text(axes: Any) -> str:
    if isinstance(axes, float):
        return number(axes)
    return str(axes[0] if isinstance(axes, tuple) and len(axes) == 1 else axes)


def _view_parts(node: Expression, outer: int) -> list[Any]:
    view = node.data
    child = node.args[0]
    if view.function is operator.getitem:
        return [(child, _ATOM), f"[{_key_text(view.arguments[0])}]"]
    if view.name in ("broadcast_to", "expand_dims", "squeeze"):
        return [(child, outer)]
    if view.name == "transpose" and not view.arguments:
        return [(child, _ATOM), ".T"]
    detail = "".join(f", {_argument_text(argument)}" for argument in view.arguments)
    detail += "".join(f", {name}={_argument_text(argument)}" for name, argument in view.keywords.items())
    return [f"{view.name}(", (child, 0), detail, ")"]


def _key_text(key: Any) -> str:
    parts = key if isinstance(key, tuple) else (key,)
    return ", ".join(_slice_text(part) for part in parts)


def _slice_text(part: Any) -> str:
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
        return ":".join(ends) + (f":{part.step}" if part.step is not None else "")
    if part is Ellipsis:
        return "..."
    return _argument_text(part)


def _argument_text(part: Any) -> str:
    if hasattr(part, "shape") and part.shape:
        return str(part.tolist()) if part.size <= 4 else f"index{part.shape}".replace(",)", ")")
    return str(part)


def latex_name(name: str) -> str:
    """A user's name in LaTeX: Greek letters, trailing digits as index, other long names upright."""
    stem = name.rstrip("0123456789")
    if stem.endswith("_"):
        stem = stem[:-1]
    index = name[len(stem):].lstrip("_")
    if stem in _GREEK:
        head = f"\\{stem}"
    elif len(stem) == 1:
        head = stem
    else:
        head, index = r"\mathrm{" + name.replace("_", r"\_") + "}", ""
    return f"{head}_{{{index}}}" if index else head


def _latex_parts(node: Expression, outer: int) -> list[Any]:
    left, right = r"\left(", r"\right)"
    match node.op:
        case "symbol":
            return [latex_name(node.data.name)]
        case "constant":
            inner = 1 if _constant_text(node).startswith("-") else _ATOM
            return _wrap([_latex_constant(node)], inner, outer, left, right)
        case "divide":
            return _wrap([r"\frac{", (node.args[0], 0), "}{", (node.args[1], 0), "}"], 4, outer, left, right)
        case "multiply":
            return _wrap([(node.args[0], 2), r" \cdot ", (node.args[1], 2)], 2, outer, left, right)
        case "power":
            return _wrap([(node.args[0], 5), "^{", (node.args[1], 0), "}"], 4, outer, left, right)
        case "square":
            return _wrap([(node.args[0], 5), "^{2}"], 4, outer, left, right)
        case "sqrt":
            return [r"\sqrt{", (node.args[0], 0), "}"]
        case "root":
            order = node.data["order"]
            return [r"\sqrt{" if order == 2.0 else rf"\sqrt[{number(order)}]{{", (node.args[0], 0), "}"]
        case "absolute":
            return [r"\left|", (node.args[0], 0), r"\right|"]
        case "negative":
            return _wrap(["-", (node.args[0], 3)], 1, outer, left, right)
        case "add" | "subtract":
            low, high = _operands(node, 1)
            sign = " + " if node.op == "add" else " - "
            return _wrap([(node.args[0], low), sign, (node.args[1], high)], 1, outer, left, right)
        case "exp":
            return _wrap(["e^{", (node.args[0], 0), "}"], 4, outer, left, right)
        case "view" if node.data.function is operator.getitem:
            return ["{", (node.args[0], _ATOM), "}_{", _key_text(node.data.arguments[0]), "}"]
        case "view" if node.data.name in ("broadcast_to", "expand_dims", "squeeze"):
            return [(node.args[0], outer)]
        case "matmul":
            return _wrap([(_as_given(node.args[0]), 2), r"\,", (_as_given(node.args[1]), 3)], 2, outer, left, right)
        case "view" if node.data.name == "transpose" and not node.data.arguments:
            return _wrap(["{", (node.args[0], 5), r"}^{\top}"], 4, outer, left, right)
        case "sparse_matmul":
            return _wrap([r"A_{", f"{node.shape[0]} \\times {node.args[0].shape[0]}", r"}\,", (node.args[0], 3)],
                         2, outer, left, right)
        case "sum":
            return _wrap([r"\sum ", (node.args[0], 2)], 1, outer, left, right)
    return _latex_call(node, outer, left, right)


def _latex_constant(node: Expression) -> str:
    text = _constant_text(node)
    if "e" in text and not node.shape and "inf" not in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa} \\cdot 10^{{{int(exponent)}}}"
    return text if not text.startswith("array") else r"\mathrm{" + text + "}"


def _latex_call(node: Expression, outer: int, left: str, right: str) -> list[Any]:
    row = TABLE.get(node.op)
    if row is not None and row.symbol and row.arity == 2:
        signs = {"<=": r" \le ", ">=": r" \ge ", "==": " = ", "!=": r" \ne ", "&": r" \wedge ", "|": r" \vee "}
        sign = signs.get(row.symbol, f" {row.symbol} ")
        return _wrap([(node.args[0], 1), sign, (node.args[1], 1)], 0, outer, left, right)
    name = node.data.name if node.op in ("view", "external") else node.op
    head = row.latex if row is not None and row.latex.startswith("\\") else (
        r"\operatorname{" + name.replace("_", r"\_") + "}")
    parts: list[Any] = [head, left]
    for i, arg in enumerate(node.args):
        parts += [", ", (arg, 0)] if i else [(arg, 0)]
    return [*parts, right]


def place(location: tuple[str, int]) -> str:
    """``file:line`` of a declaration."""
    return f"{location[0]}:{location[1]}"
