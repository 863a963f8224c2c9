"""Random whole programs of the kinds that compiled code treats apart: recurrences, small blocks, products, mixtures.

A family is a function (program, rng, input) -> list of variables. Programs are drawn again, equal, for every executor.
"""

import numpy as np
from table_rows import applied

import lagrange_ad as la
from lagrange_ad.elementary import TABLE

LENGTHS = (1, 7, 8, 9, 15, 16, 17, 40, 70)
BODIES = (
    lambda z, x: np.sin(z) * x + 0.3, lambda z, x: z * 0.4 + x * x, lambda z, x: np.sqrt(z * z + x) * 0.7,
    lambda z, x: np.where(z > 0.6, z * x * 0.5, 0.2 - z), lambda z, x: np.exp(-z * z) + 0.1 * x,
    lambda z, x: np.minimum(z, x) * 0.5 + 0.25, lambda z, x: x / (1.5 + z * z), lambda z, x: 0.5 * z - np.tanh(x * z),
)  # fmt: skip
ROW_BODIES = tuple(lambda z, x, name=name: 0.3 * np.tanh(applied(name, z, x)) + 0.4 * x for name in TABLE)
"""A recurrence through every row of the table."""
CONTRACTIONS = (
    lambda y, a: 0.5 * np.cos(y) * a, lambda y, a: 0.4 * np.sin(y) + a, lambda y, a: a / (y * y + 2.0),
    lambda y, a: 0.3 * np.sqrt(y * y + a), lambda y, a: a - 0.2 * np.tanh(y), lambda y, a: np.exp(-0.3 * y * y) * a,
)  # fmt: skip


def _pick(rng, choices):
    return choices[int(rng.integers(len(choices)))]


def _body(rng):
    """A body of a recurrence, half of them through a row of the table."""
    return _pick(rng, BODIES if rng.random() < 0.5 else ROW_BODIES)


def _name(p):
    return f"v{len(p.symbols)}"


def _input(p, rng, shape, low=0.5, high=1.5):
    return p.input(f"x{len(p.symbols)}", rng.uniform(low, high, shape))


# recurrences -----------------------------------------------------------------------------------------------


def array_recurrence(p, rng, n):
    """z[0] = start, z[i+1] = body(z[i], x[i]): one kernel, the inputs read in order, backwards or by a table."""
    x = _input(p, rng, n)
    z = p.variable(_name(p), shape=n + 1)
    order = _pick(rng, [np.arange(n), np.arange(n)[::-1], rng.permutation(n), rng.integers(0, n, n)])
    p.equate(z, np.concatenate([[0.3], _body(rng)(z[:-1], x[order] * rng.uniform(0.5, 1.0, n))]))
    return z


def interleaved(p, rng, n):
    """Several kernels in turn, given by parts of one variable."""
    period = int(rng.integers(2, 5))
    x, z = _input(p, rng, ()), p.variable(_name(p), shape=n * period + 1)
    p.equate(z[0], x * 0.5)
    for k in range(period):
        p.equate(z[k + 1 :: period], _body(rng)(z[k:-1:period], x * (k + 1.0) / period))
    return z


def two_variables(p, rng, n):
    """Two variables that drive each other, one step behind and in the same step."""
    u, v = p.variable(_name(p), shape=n + 1), p.variable(_name(p) + "b", shape=n + 1)
    x = _input(p, rng, n)
    p.equate(u, np.concatenate([x[:1], _body(rng)(v[:-1], x) + 0.1 * u[:-1]]))
    p.equate(v, np.concatenate([[0.2], _body(rng)(u[1:], x) + 0.2 * v[:-1]]))
    return u + v


def irregular(p, rng, n):
    """Scalar equations of kernels drawn one by one, after a prefix of others and before a periodic rest."""
    x = _input(p, rng, n + 2)
    z, older = p.define(_name(p), x[0]), x[1]
    bodies = [_body(rng) for _ in range(8)]
    chosen = rng.integers(0, len(bodies), n)
    if rng.random() < 0.5:
        chosen[n // 3 :] = chosen[0]
    for i, k in enumerate(chosen.tolist()):
        z, older = p.define(_name(p), bodies[k](z, x[i + 1]) + 0.1 * older), z
    return z


def two_lags(p, rng, n):
    """Each step sums several terms and looks two steps back."""
    z, x = p.variable(_name(p), shape=n + 2), _input(p, rng, (n, 3))
    body = _body(rng)
    p.equate(z, np.concatenate([[0.1, 0.2], body(z[1:-1], x[:, 0]) - 0.2 * np.sin(z[:-2]) + np.sum(x, axis=1) / 9]))
    return z


# blocks ----------------------------------------------------------------------------------------------------


def _start(rng):
    return _pick(rng, [None, None, 0.3])


def cyclic_arrays(p, rng, n, k=None):
    """n blocks of k unknowns: k variables in a ring, element by element."""
    k = int(rng.integers(1, 6)) if k is None else k
    a = _input(p, rng, (k, n))
    ys = [p.variable(f"{_name(p)}r{i}", shape=n, start=_start(rng)) for i in range(k)]
    for i, y in enumerate(ys):
        right = _pick(rng, CONTRACTIONS)(ys[i - 1], a[i])
        match int(rng.integers(4)):
            case 0 | 1:
                p.equate(y, right)
            case 2:
                p.equate(2.0 * y + y**3, right, for_=y)
            case _:
                p.equate(right - np.sinh(y), 0.0, for_=y)
    return sum(ys[1:], ys[0])


def coupled(p, rng, n):
    """n blocks of k unknowns in one variable, coupled within a block by a matrix and, often, by an auxiliary."""
    k = int(rng.integers(2, 13))
    a, y = _input(p, rng, (n, k)), p.variable(_name(p), shape=(n, k), start=_start(rng))
    matrix = rng.uniform(-0.4, 0.4, (k, k)) / k
    right = a + np.sin(y) @ matrix
    if rng.random() < 0.6:
        right = right + 0.1 * np.log(np.sum(np.exp(y), axis=1, keepdims=True) / k)
    if rng.random() < 0.5:
        p.equate(y, right)
    else:
        p.equate(y + 0.1 * y**3, right, for_=y)
    return y


def chain_of_blocks(p, rng, n):
    """Implicit steps one after the other: each needs the one before."""
    a, y = _input(p, rng, n), p.variable(_name(p), shape=n, start=_start(rng))
    before = np.concatenate([[0.1], y[:-1]])
    p.equate(y + 0.3 * np.tanh(y), _pick(rng, CONTRACTIONS)(before, a), for_=y)
    return y


def twins(p, rng, n):
    """Variables whose blocks have the same form."""
    form = _pick(rng, CONTRACTIONS)
    ys = []
    for _ in range(int(rng.integers(2, 4))):
        a, y = _input(p, rng, n), p.variable(_name(p), shape=n, start=_start(rng))
        p.equate(y, form(y, a))
        ys.append(y)
    return sum(k * y * y for k, y in enumerate(ys, 1))


def scalars_in_a_ring(p, rng, n):
    """One block written one scalar equation at a time."""
    k = int(rng.integers(1, 13))
    a = _input(p, rng, k)
    ys = [p.variable(f"{_name(p)}s{i}", start=_start(rng)) for i in range(k)]
    for i, y in enumerate(ys):
        others = ys[int(rng.integers(k))] + ys[i - 1]
        p.equate(y, _pick(rng, CONTRACTIONS)(0.5 * others, a[i]))
    return sum(ys[1:], ys[0])


# wide equations --------------------------------------------------------------------------------------------


def elementwise(p, rng, n):
    """Independent elements with slices, tables and broadcasts."""
    x, u = _input(p, rng, n), _input(p, rng, (3, n))
    y = p.define(_name(p), _body(rng)(u[:, ::-1], x) * x[rng.integers(0, n, n)])
    return p.define(_name(p), np.sum(y, axis=0) + np.mean(u.T * 0.5, axis=1))


def products(p, rng, n):
    """Matrix products large enough for BLAS: transposes, slices, vectors, batches, constants."""
    m, k, j = (int(v) for v in rng.choice([15, 16, 17, 18], 3))
    a, b = _input(p, rng, (m, k)), _input(p, rng, (k, j))
    c = rng.uniform(-1, 1, (m, k))
    left, right = (a.T, a) if rng.random() < 0.5 else (b, b.T)
    forms = [
        lambda: a @ b, lambda: (b.T @ a.T) * 0.1, lambda: a.T @ c, lambda: c @ b, lambda: left @ right,
        lambda: np.sin(a) @ b, lambda: a[::-1] @ b, lambda: a[:, ::2] @ b[::2], lambda: c.T @ np.exp(-a),
        lambda: np.swapaxes(np.stack([a, 2 * a]) @ b, 1, 2), lambda: np.stack([a, a * a]) @ np.stack([b, b * 0.5]),
        lambda: (np.concatenate([a] * 5) @ np.concatenate([b] * 2, axis=1)) @ np.sum(np.tile(b, 2), axis=0),
    ]
    y = p.define(_name(p), _pick(rng, forms)())
    return p.define(_name(p), np.tanh(y * 0.1))


def vectors(p, rng, n):
    """A matrix, constant or computed, times vectors, from both sides."""
    a, x = _input(p, rng, (66, 66)), _input(p, rng, 66)
    c = rng.uniform(-0.1, 0.1, (66, 66))
    forms = [lambda: a @ x, lambda: x @ a, lambda: c @ x, lambda: x @ c, lambda: a.T @ np.sin(x), lambda: c.T @ (x * x),
             lambda: x @ (a @ x) * np.ones(2)]  # fmt: skip
    return p.define(_name(p), _pick(rng, forms)() * 0.05)


FAMILIES = {f.__name__: f for f in (
    array_recurrence, interleaved, two_variables, irregular, two_lags, cyclic_arrays, coupled, chain_of_blocks, twins,
    scalars_in_a_ring, elementwise, products, vectors,
)}  # fmt: skip


def program(seed, families, lengths=LENGTHS, executor=None):
    """A program of the named families, drawn; the same for every executor."""
    rng = np.random.default_rng(seed)
    p = la.Program("drawn", executor=executor)
    total = 0.0
    for name in families:
        n = int(_pick(rng, lengths))
        found = FAMILIES[name](p, rng, n)
        total = total + np.sum(np.sin(found) * rng.uniform(0.5, 1.5, found.shape)) / n
        if rng.random() < 0.3:
            p.define(_name(p), np.sum(found) ** 2)  # the objective does not use it
    (p.minimize if rng.random() < 0.5 else p.maximize)(total)
    return p
