"""Random programs for property tests, with oracles that use nothing but the expressions and NumPy.

``acyclic`` and ``cyclic`` are hypothesis strategies of a :class:`Drawn` program. The oracles work on the residuals of
all equations and the objective as complex functions of inputs and variables: first derivatives by complex step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from table_rows import applied

from lagrange_ad import Program
from lagrange_ad.elementary import TABLE
from lagrange_ad.expression import evaluate, evaluate_nodes, symbols_of

STEP = 1e-30


@dataclass(repr=False)
class Drawn:
    """A program with its input names; its text is its equations, for hypothesis to show when a test fails."""

    program: Program
    inputs: list[str]

    def __repr__(self):
        return "\n".join([str(e) for e in self.program.equations] + [str(self.program.objective)])


# drawing expressions ---------------------------------------------------------------------------------------

SHAPES = [(), (), (3,), (4,), (3, 4)]


def _bounded(e):
    """A smooth squeeze into (-1, 1), so that no later function leaves its domain."""
    return np.tanh(e) if e.size < 4 else np.sin(e)


UNARY = [
    lambda e: np.sin(e) * 0.7, lambda e: np.cos(e), lambda e: np.exp(0.5 * _bounded(e)), lambda e: np.sqrt(e * e + 1.0),
    lambda e: np.log(e**2 + 2.0), lambda e: e * e * 0.3, lambda e: 1.0 / (e**2 + 1.5), lambda e: np.tanh(e) + 0.1 * e,
    lambda e: np.arctan(e) ** 3, lambda e: -e, lambda e: e * 0.5 - 0.25, lambda e: np.power(e * e + 0.5, 0.3),
    lambda e: np.logaddexp(e, 0.3), lambda e: np.abs(e * 0.5 + 0.123), lambda e: np.maximum(e, 0.2345) - 1,
    lambda e: np.minimum(e * e, 0.7654), lambda e: np.where(e > 0.1234, np.sin(e), e**2 - 0.5),
    lambda e: np.cbrt(e**2 + 1.0), lambda e: np.arctan2(e, 2.0 + np.cos(e)),
]  # fmt: skip

ROWS = [*TABLE]
"""Every row of the table of elementary functions is drawn, its operands brought into its domain."""

BINARY = [
    lambda a, b: a + b, lambda a, b: a - 0.5 * b, lambda a, b: _bounded(a) * b, lambda a, b: a / (b * b + 2.0),
    lambda a, b: np.sin(a - b), lambda a, b: np.hypot(a, b + 3.0) - 2, lambda a, b: np.maximum(_bounded(a), b - 0.0713),
    lambda a, b: np.where(a > b + 0.0371, a, b * 0.5),
]  # fmt: skip


def _rearranged(draw, e):
    """Indexing, transposes, reductions: anything that changes a shape."""
    if e.shape == ():
        return np.exp(-e * e) * np.array([0.5, 1.0, -0.7]) if draw(st.booleans()) else np.stack([e, 0.5 * e, e * e])
    n = e.shape[0]
    choices = [
        lambda: np.sum(e) * 0.3, lambda: np.mean(e * e), lambda: e[::-1], lambda: e[0],
        lambda: e[np.array([0, n - 1, 0, 1])], lambda: np.sum(e, axis=0),
        lambda: np.concatenate([e[1:], e[:1] * 0.5]),
        lambda: np.bincount([0, 2, 0][: e.size], np.sin(np.ravel(e)[:3]), 4),
        lambda: np.log(np.sum(np.exp(e))) + np.ravel(e),
    ]  # fmt: skip
    if e.ndim == 2:
        choices += [lambda: e.T, lambda: np.sum(e, axis=1), lambda: e @ e.T * 0.3,
                    lambda: np.reshape(e, e.shape[::-1]) * 0.5,
                    lambda: e @ np.linspace(-0.5, 0.7, e.shape[1])]  # fmt: skip
    return draw(st.sampled_from(choices))()


def _broadcast_together(a, b):
    try:
        np.broadcast_shapes(a.shape, b.shape)
        return True
    except ValueError:
        return False


def _expression(draw, pool, depth):
    """An expression of pool members; its parts join the pool, so that later ones share them."""
    e = draw(st.sampled_from(pool))
    for _ in range(draw(st.integers(1, depth))):
        kind = draw(st.integers(0, 7))
        if kind >= 6:
            other = draw(st.sampled_from([x for x in pool if _broadcast_together(e, x)] or [e]))
            e = 0.5 * applied(draw(st.sampled_from(ROWS)), e, other)
        elif kind <= 1:
            e = draw(st.sampled_from(UNARY))(e)
        elif kind <= 3:
            other = draw(st.sampled_from([x for x in pool if _broadcast_together(e, x)] or [e]))
            e = draw(st.sampled_from(BINARY))(e, other)
        elif kind == 4:
            e = _rearranged(draw, e)
        else:
            matrices = [x for x in pool if x.ndim >= 1 and e.ndim >= 1 and x.shape[0] == e.shape[-1]]
            e = 0.3 * (_bounded(e) @ draw(st.sampled_from(matrices))) if matrices else np.sin(e)
        if e.size > 60:
            e = np.sum(e) * 0.05
        pool.append(e)
    return e


def _inputs(draw, p):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    names = [f"x{i}" for i in range(draw(st.integers(1, 3)))]
    return names, [p.input(name, rng.uniform(-1.0, 1.5, draw(st.sampled_from(SHAPES)))) for name in names]


def _recurrence(draw, p, name, pool):
    """z[0] = start, z[i+1] = z[i] + h·f(z[i]): one array equation that refers to its own earlier elements."""
    n = draw(st.integers(2, 20))
    z = p.variable(name, shape=n)
    start = np.sum(_expression(draw, list(pool), 2))
    drive = np.sum(_bounded(draw(st.sampled_from(pool))))
    before = z[:-1]
    step = draw(st.sampled_from([lambda: drive - np.sin(before), lambda: before * np.cos(before) * 0.3,
                                 lambda: np.where(before > 0.2113, -before, drive + before**2 * 0.1)]))()
    p.equate(z, np.concatenate([start[None] * 0.2, before + 0.1 * step]))
    return z


def _objective(draw, p, pool):
    chosen = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4))
    terms = [np.sum(draw(st.sampled_from(UNARY))(e)) for e in chosen]
    total = terms[0]
    for i, term in enumerate(terms[1:]):
        total = total + (i + 0.5) * term
    (p.minimize if draw(st.booleans()) else p.maximize)(total)


@st.composite
def acyclic(draw):
    """Explicit equations in order of need, some of them recurrences."""
    p = Program("random")
    names, pool = _inputs(draw, p)
    variables = list(pool)
    for i in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 4)) == 0:
            v = _recurrence(draw, p, f"v{i}", variables)
        else:
            v = p.define(f"v{i}", _expression(draw, pool, 5))
        pool.append(v)
        variables.append(v)
    _objective(draw, p, [*variables, variables[-1], _expression(draw, pool, 3)])
    return Drawn(p, names)


@st.composite
def cyclic(draw):
    """Variables in cycles: each equation is y = c + 0.3·(bounded average of unknowns) or an implicit form of it.

    The cyclic parts are Lipschitz with a constant below 1 in the maximum norm, so there is one solution.
    """
    p = Program("random cycle")
    names, pool = _inputs(draw, p)
    if draw(st.booleans()):
        pool.append(p.define("before", _expression(draw, pool, 4)))
    outside = list(pool)
    unknowns = []
    for i in range(draw(st.integers(1, 5))):
        shape = draw(st.sampled_from(SHAPES))
        start = draw(st.sampled_from([None, 0.0, 0.3]))
        unknowns.append(p.variable(f"y{i}", shape=shape, start=start))
    kinds = [draw(st.integers(0, 4)) for _ in unknowns]
    order = draw(st.permutations(range(len(unknowns))))
    for i in order:
        y, kind = unknowns[i], kinds[i]
        drive = np.tanh(np.sum(_expression(draw, list(outside), 3)))
        right = drive + 0.3 * _contraction(draw, y, unknowns)
        match kind:
            case 0 | 1:
                p.equate(y, right)
            case 2:
                p.equate(2.0 * y + y**3, 2.0 * right, name=f"e{i}")
            case 3:
                p.equate(right - y, 0.0, name=f"e{i}", for_=y)
            case _:
                p.equate(0.0, np.sinh(y) - right, name=f"e{i}")
    pool = outside + unknowns
    if draw(st.booleans()):
        pool.append(p.define("after", _expression(draw, list(pool), 4)))
    _objective(draw, p, [*unknowns, *pool])
    return Drawn(p, names)


def _contraction(draw, y, unknowns):
    """Something of y's shape (or a scalar) whose derivatives by all unknowns sum to at most 1 in size."""
    other = draw(st.sampled_from(unknowns))
    n = max(other.size, 1)
    scalars = [
        lambda: np.sin(np.sum(other) / n), lambda: np.log(np.sum(np.exp(np.ravel(other))) / n),
        lambda: np.exp(np.sum(np.tanh(other)) / n - 1.0), lambda: np.sum(np.cos(np.ravel(other)[::-1])) / n,
        lambda: np.sqrt(1.0 + np.sum(other) ** 2 / n**2),
        lambda: np.where(np.mean(other) > 1.1, 0.5 * np.mean(other) + 0.55, np.mean(other)),  # no jump: one solution
    ]  # fmt: skip
    if other.ndim == 2:
        bounded = np.tanh(other)
        scalars += [lambda: np.sum(bounded @ bounded.T) / 72.0, lambda: np.sum(bounded @ (np.ones(4) / 12))]
    if other.shape == y.shape:
        scalars += [lambda: np.sin(other), lambda: np.minimum(other, 0.9871), lambda: np.cos(y)]
    if other.ndim == y.ndim == 1:
        scalars += [lambda: np.tanh(other)[np.arange(y.shape[0]) % other.shape[0]],
                    lambda: np.concatenate([np.sin(y[1:]), np.reshape(np.mean(other), (1,))])]
    if (y.shape, other.shape) in (((3,), (4,)), ((4,), (3,))):
        matrix = np.random.default_rng(1).uniform(-1, 1, (y.shape[0], other.shape[0]))
        scalars += [lambda: (matrix / np.abs(matrix).sum(axis=1, keepdims=True)) @ other]
    return draw(st.sampled_from(scalars))()


# oracles ---------------------------------------------------------------------------------------------------


def in_order(drawn, inputs, offsets=None):
    """Values of an acyclic program: its equations one after the other, a recurrence element by element."""
    values = dict(inputs)
    for equation in drawn.program.equations:
        name = equation.name
        for _ in range(equation.shape[0] if name not in values and _refers_to_itself(equation) else 1):
            if _refers_to_itself(equation):
                values.setdefault(name, np.zeros(equation.shape, dtype=np.result_type(*inputs.values())))
            values[name] = np.broadcast_to(evaluate(equation.right, values), equation.shape)
            if offsets is not None:
                values[name] = values[name] + offsets.get(name, 0.0)
    return values


def _refers_to_itself(equation):
    return equation.own in symbols_of(equation.right)


class System:
    """The residuals r = right − left of all equations and the objective J, as functions of a flat (x, z)."""

    def __init__(self, drawn):
        self.program = drawn.program
        self.names = list(self.program.symbols)
        self.shapes = [symbol.shape for symbol in self.program.symbols.values()]
        self.ends = np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)])
        given = [symbol.kind != "variable" for symbol in self.program.symbols.values()]
        self.given = np.repeat(given, np.diff(self.ends))
        self.equations = [equation.name for equation in self.program.equations]
        self.last = None

    def flat(self, values):
        return np.concatenate([np.ravel(values[name]) for name in self.names])

    def split(self, flat):
        return {name: flat[lo:hi].reshape(shape)
                for name, shape, lo, hi in zip(self.names, self.shapes, self.ends, self.ends[1:], strict=False)}

    def both(self, flat):
        """r and J at a state."""
        goal = self.program.objective.expression
        roots = [side for e in self.program.equations for side in (e.left, e.right)]
        known = evaluate_nodes([*roots, goal], self.split(flat))
        parts = [np.broadcast_to(known[id(e.right)][1] - known[id(e.left)][1], e.shape).ravel()
                 for e in self.program.equations]
        return np.concatenate(parts), complex(known[id(goal)][1])

    def residuals(self, flat):
        return self.both(flat)[0]

    def objective(self, flat):
        return complex(evaluate(self.program.objective.expression, self.split(flat)))

    def derivatives(self, flat):
        """∂r/∂(x, z) and ∂J/∂(x, z) by complex step, one column an element; those of the last state are kept."""
        if self.last is None or not np.array_equal(self.last[0], flat):
            rows, slopes = [], []
            for j in range(len(flat)):
                shifted = flat.astype(complex)
                shifted[j] += 1j * STEP
                r, value = self.both(shifted)
                rows.append(r.imag / STEP)
                slopes.append(value.imag / STEP)
            self.last = flat.copy(), np.array(rows).T, np.array(slopes)
        return self.last[1:]

    def solved(self, flat, offset):
        """Newton on r + offset = 0 in the variables, from ``flat``."""
        flat = flat.copy()
        for _ in range(8):
            jacobian, _ = self.derivatives(flat)
            step = np.linalg.solve(jacobian[:, ~self.given], self.residuals(flat) + offset)
            flat[~self.given] -= step
            if np.abs(step).max(initial=0.0) < 1e-15:
                break
        return flat


def is_tied(drawn, values):
    """Whether a selection stands so near a tie that finite perturbations may cross it."""
    roots = [side for e in drawn.program.equations for side in (e.left, e.right)]
    roots.append(drawn.program.objective.expression)
    known = evaluate_nodes(roots, values)
    for node, _ in known.values():
        operands = [np.asarray(known[id(arg)][1], dtype=float) for arg in node.args]
        row = TABLE.get(node.op)
        if row is None or node.op == "where" or node.op.startswith("logical"):
            continue
        if row.arity == 2 and (row.boolean or row.selects):
            if np.abs(operands[0] - operands[1]).min(initial=1.0) < 1e-3:
                return True
        elif node.op == "rint" and np.abs(operands[0] % 1.0 - 0.5).min(initial=1.0) < 1e-3:
            return True
        elif node.op in ("absolute", "sign") and np.abs(operands[0]).min(initial=1.0) < 1e-3:
            return True
    return False
