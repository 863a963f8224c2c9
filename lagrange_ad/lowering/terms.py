"""From the expression of one equation to its terms: kernels with index maps, coefficients and rows.

A sum of terms is taken apart top-down, each part knowing the rows it adds to. What fits one kernel is walked once;
rearrangements (indexing, broadcasting, transposes) are collected on the way down as a path and applied, by NumPy
itself, to the element numbers of the symbols at the leaves.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..expression import Array, Element, Expression, Shape, View, matmul, sum_
from .cuts import LINEAR, Cuts, is_mostly_zero, scaling
from .external import external_term
from .grouping import GroupMaker, Term
from .kernel import Builder

Path = int
"""A rearrangement from a leaf to the box of the term, numbered; 0 is none."""
_ROOT: Path = 0


class Paths:
    """Rearrangements as chains: each is a step (a NumPy view) after which its parent is applied."""

    def __init__(self) -> None:
        self._steps: list[tuple[Path, View]] = [(_ROOT, View("none", operator.pos, (), {}))]
        self._known: dict[tuple[Any, ...], Path] = {}

    def extended(self, path: Path, key: Any, view: View) -> Path:
        """The path that does ``view`` first and then ``path``; ``key`` tells equal views."""
        known = self._known.get((path, key))
        if known is None:
            known = self._known[(path, key)] = len(self._steps)
            self._steps.append((path, view))
        return known

    def broadcast(self, path: Path, shape: Shape) -> Path:
        """The path that broadcasts to ``shape`` first."""
        return self.extended(path, shape, View("broadcast_to", np.broadcast_to, (shape,), {}))

    def apply(self, path: Path, array: Array) -> Array:
        """The array rearranged."""
        while path != _ROOT:
            path, view = self._steps[path]
            array = view.apply(array)
        return array


class TermMaker:
    """Makes the terms of equations for ``groups``, which is set anew for equations that go elsewhere."""

    def __init__(self, cuts: Cuts) -> None:
        self.cuts, self.groups = cuts, GroupMaker()
        self._made: list[Expression] = []
        self.plain_numbers: dict[int, Array] = {}
        self._numbers: dict[str, Array] = {}

    def numbers(self, symbol: Expression) -> Array:
        """The state positions of a symbol; made once, as a loop may index one array 10^5 times."""
        name = symbol.data.name
        if name not in self._numbers:
            start = symbol.data.start
            self._numbers[name] = np.arange(start, start + symbol.size).reshape(symbol.shape)
        return self._numbers[name]

    def equation(self, root: Expression, row: int, whole: bool = False, factor: float = 1.0) -> None:
        """Emit the terms of factor·``root``, whose elements add to the rows from ``row`` on.

        ``whole``: take the node itself although it was cut (the equation of an auxiliary).
        """
        place: Any = row
        if root.shape:
            place = np.arange(row, row + root.size).reshape(root.shape)
        pending: list[tuple[Expression, Any, float]] = [(root, place, factor)]
        while pending:
            node, place, factor = pending.pop()
            linear = self.cuts.weight[id(node)] == LINEAR
            if linear and (id(node) not in self.cuts.substitute or (whole and node is root)):
                pending.extend(reversed(self._parts(node, place, factor)))
            else:
                self._kernel_term(node, place, factor, whole and node is root)

    def _parts(self, node: Expression, place: Any, factor: float) -> list[tuple[Expression, Any, float]]:
        """The summands of a sum of terms, each with the rows its elements add to and its factor."""
        args = node.args
        match node.op:
            case "add" | "subtract":
                sign = -1.0 if node.op == "subtract" else 1.0
                first, second = args
                if node.shape:
                    first, second = self._spread(first, node.shape), self._spread(second, node.shape)
                return [(first, place, factor), (second, place, sign * factor)]
            case "negative":
                return [(args[0], place, -factor)]
            case "multiply" | "divide":
                scaled = scaling(node, lambda arg: self.cuts.weight[id(arg)])
                assert scaled is not None
                return [(scaled[1], place, factor * scaled[0])]
            case "sum":
                kept = np.expand_dims(np.asarray(place), node.data)
                return [(args[0], np.broadcast_to(kept, args[0].shape), factor)]
            case "scatter":
                return [(args[0], place[node.data], factor)]
            case "concatenate":
                return self._pieces(node, place, factor)
            case "view":
                return [(args[0], _undo(node, place), factor)]
            case "sparse_matmul":
                return self._sparse_product(node, place, factor)
            case "external":
                self.groups.add(external_term(node, place, lambda arg: _KernelWalk(self, None).numbers(arg)))
                return []
        return self._dense_product(node, place, factor)

    def _spread(self, arg: Expression, shape: Shape) -> Expression:
        """A summand at the shape of the sum (one that is a sum itself was cut off before)."""
        return arg if arg.shape == shape else self._weighed(spread(arg, shape))

    def _weighed(self, node: Expression) -> Expression:
        """A node made here, weighed like those of the user (and kept alive, as weights go by identity)."""
        self._made.append(node)
        self.cuts.visit(node, "", node.owner, ("", 0))
        return node

    def _pieces(self, node: Expression, place: Any, factor: float) -> list[tuple[Expression, Any, float]]:
        ends = np.cumsum([arg.shape[node.data] for arg in node.args])[:-1]
        return [(arg, rows, factor) for arg, rows in zip(node.args, np.split(place, ends, axis=node.data), strict=True)]

    def _sparse_product(self, node: Expression, place: Any, factor: float) -> list[tuple[Expression, Any, float]]:
        """A @ x = Σ over the nonzeros a·x[column], added to the row of each."""
        coo = node.data.tocoo()
        x = node.args[0]
        entries = Expression("view", (x,), (coo.nnz, *x.shape[1:]), View("getitem", operator.getitem, (coo.col,), {}))
        weights = Expression("constant", (), (coo.nnz,) + (1,) * (x.ndim - 1),
                             coo.data.reshape((-1,) + (1,) * (x.ndim - 1)))
        return [(self._weighed(weights * entries), place[coo.row], factor)]

    def _dense_product(self, node: Expression, place: Any, factor: float) -> list[tuple[Expression, Any, float]]:
        """A @ B = Σ_k A[…, i, k]·B[…, k, j]: one box (…, i, k, j), nothing of its size is made."""
        left, right = node.args
        for side, other, swap in ((left, right, False), (right, left, True)):
            if side.op == "constant" and other.ndim == 2 and is_mostly_zero(side.data):
                from scipy import sparse

                product = matmul(sparse.csr_array(side.data), other) if not swap else matmul(
                    sparse.csr_array(side.data.T), other.T)
                return [(self._weighed(product), place.T if swap else place, factor)]
        entries = self._weighed(sum_(left[..., :, :, None] * right[..., None, :, :], axis=-2))
        return [(entries, place, factor)]

    def position(self, node: Expression) -> int:
        """Where a scalar that was cut, or a plain rearrangement of a symbol, stands in the state."""
        return int(_KernelWalk(self, None).numbers(node))

    # one kernel --------------------------------------------------------------------------------------------

    def _kernel_term(self, root: Expression, place: Any, factor: float, whole: bool) -> None:
        if not root.shape and isinstance(place, int) and not whole:
            if self.groups.add_scalar(root, place, factor, self.cuts.substitute):
                return
        walk = _KernelWalk(self, root if whole else None)
        output = walk.run(root)
        if factor == -1.0:
            output = walk.builder.raw(("negative", output))
        elif factor != 1.0:
            output = walk.builder.raw(("multiply", walk.coefficient(factor), output))
        kernel = walk.builder.finish([output])
        shape = () if isinstance(place, int) else place.shape
        self.groups.add(Term(kernel, shape, walk.args, walk.coefs, place))


def spread(node: Expression, shape: Shape) -> Expression:
    """A node broadcast to a shape."""
    if node.shape == shape:
        return node
    return Expression("view", (node,), shape, View("broadcast_to", np.broadcast_to, (shape,), {}))


class _KernelWalk:
    """Walks the nodes of one kernel once, giving every leaf its index map."""

    def __init__(self, maker: TermMaker, whole: Expression | None) -> None:
        self.maker, self.whole = maker, whole
        self.builder, self.paths = Builder(), Paths()
        self.args: list[Any] = []
        self.coefs: list[Any] = []
        self._known: dict[tuple[int, Path], int] = {}

    def run(self, root: Expression) -> int:
        """The kernel node of ``root``; operands first, by a loop."""
        known, substitute, plain = self._known, self.maker.cuts.substitute, self.maker.cuts.plain
        pending: list[tuple[Expression, Path, Any]] = [(root, _ROOT, None)]
        while pending:
            node, path, operands = pending.pop()
            key = (id(node), path)
            if key in known:
                continue
            if operands is not None:
                known[key] = self._combine(node, [known[id(arg), way] for arg, way in operands])
                continue
            cut = None if node is self.whole else substitute.get(id(node))
            if cut is not None or not node.args or id(node) in plain:
                known[key] = self._leaf(node if cut is None else cut, path)
                continue
            operands = self._operands(node, path)
            pending.append((node, path, operands))
            pending.extend([(arg, way, None) for arg, way in reversed(operands) if (id(arg), way) not in known])
        return known[id(root), _ROOT]

    def _operands(self, node: Expression, path: Path) -> list[tuple[Expression, Path]]:
        if node.op == "view":
            return [(node.args[0], self.paths.extended(path, id(node.data), node.data))]
        if node.op == "power" and _literal_exponent(node):
            return [(node.args[0], self._shaped(node.args[0], node, path))]
        return [(arg, self._shaped(arg, node, path)) for arg in node.args]

    def _shaped(self, arg: Expression, node: Expression, path: Path) -> Path:
        return path if arg.shape == node.shape else self.paths.broadcast(path, node.shape)

    def _combine(self, node: Expression, operands: list[int]) -> int:
        if node.op == "view":
            return operands[0]
        if node.op == "power" and len(operands) == 1:
            return self.builder.make("power", operands[0], self.builder.const(float(node.args[1].data.flat[0])))
        return self.builder.raw((node.op, *operands))

    def _leaf(self, node: Expression, path: Path) -> int:
        if node.op == "constant":
            data = node.data
            return self.coefficient(float(data) if path == _ROOT and not data.shape else self.paths.apply(path, data))
        if node.op == "symbol" and path == _ROOT and not node.shape:
            positions: Any = node.data.start
        else:
            positions = self.paths.apply(path, self.numbers(node))
        self.args.append(positions)
        return self.builder.raw(("arg", len(self.args) - 1))

    def coefficient(self, value: Any) -> int:
        """A new coefficient of the kernel."""
        self.coefs.append(value)
        return self.builder.raw(("coef", len(self.coefs) - 1))

    def numbers(self, root: Expression) -> Array:
        """The state positions of a plain rearrangement of symbols."""
        leaf = self.maker.cuts.leaf
        done = self.maker.plain_numbers
        pending = [root]
        while pending:
            given = pending[-1]
            node = leaf(given)
            if id(given) not in done and node.op == "concatenate":
                scalars = self._scalars(node)
                if scalars is not None:
                    done[id(given)] = scalars
            waiting = [arg for arg in node.args if id(arg) not in done]
            if waiting and id(given) not in done:
                pending.extend(waiting)
                continue
            pending.pop()
            if id(given) not in done:
                done[id(given)] = self._rearranged(node, [done[id(arg)] for arg in node.args])
        return done[id(root)]

    def _scalars(self, node: Expression) -> Array | None:
        """The positions of concatenated scalars, as np.stack of many makes it; None where others are among them."""
        leaf = self.maker.cuts.leaf
        positions: list[int] = []
        for arg in node.args:
            scalar = leaf(arg.args[0]) if arg.op == "view" and arg.shape == (1,) else None
            if scalar is None or scalar.shape or not (scalar.op == "symbol" or isinstance(scalar.data, Element)):
                return None
            positions.append(scalar.data.start)
        return np.array(positions, dtype=np.int64)

    def _rearranged(self, node: Expression, operands: list[Array]) -> Array:
        if node.op == "symbol":
            return self.maker.numbers(node)
        if node.op == "concatenate":
            return np.concatenate(operands, axis=node.data)
        view: View = node.data
        return view.apply(operands[0])


def _literal_exponent(node: Expression) -> bool:
    return node.args[1].op == "constant" and node.args[1].size == 1


def _undo(node: Expression, place: Any) -> Array:
    """The rows of a child's elements, given those of its rearrangement by a one-to-one view."""
    child = node.args[0]
    rows = np.empty(child.size, dtype=np.int64)
    rows[node.data.apply(np.arange(child.size).reshape(child.shape)).ravel()] = np.asarray(place).ravel()
    return rows.reshape(child.shape)
