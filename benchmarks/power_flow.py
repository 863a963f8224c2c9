"""AC power flow of real grids: equation values, sparse Jacobian values, values of the Lagrangian's Hessian.

    python benchmarks/power_flow.py                                    1354 and 2869 buses
    python benchmarks/power_flow.py --cases FOLDER --grids case14_ieee

The cases are those of PGLib-OPF (https://github.com/power-grid-lib/pglib-opf), read from ``--cases``. Unknowns: angles
and magnitudes of buses, powers of generators, four flows a branch. Equations: the flows by the polar formulas, then the
balance of active and reactive power at every bus. J is the cost. Signs are ours: r = right − left.

Everyone gives the numbers at the places of its own sparse pattern and one triangle of the Hessian; ours are those that
optimizers get of the full view. CasADi (SX) and PyOptInterface fill buffers made before. A further row of ours, of the
Lagrangian, makes a SciPy matrix of both triangles at every call. JAX has no sparse derivatives: its row takes ``vmap``
of dense ones of a branch, scattered by hand. Jacobians and Hessians are compared by what they make of two random
vectors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import poi_calls
from common import Array, Peer, Work, casadi_buffers, compare, cpu_jax, heading, parser, rounds, show
from matpower import Grid, read
from poi_network import add_network
from scipy import sparse

import lagrange_ad as la

CASES = Path(__file__).parent.parent.parent / "shared" / "cases" / "pglib"
BLOCKS = ("angle", "magnitude", "p_made", "q_made", "p_start", "q_start", "p_end", "q_end")
"""The unknowns in order; the first four are our inputs, the others our variables."""


@dataclass(frozen=True)
class Point:
    """All unknowns, and a multiplier an equation."""

    w: Array
    multipliers: Array


def points(grid: Grid) -> list[Point]:
    """Two points, so that no call repeats the one before."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(2):
        parts = [0.1 * random.standard_normal(grid.n_bus), 1.0 + 0.05 * random.standard_normal(grid.n_bus),
                 grid.p_made, grid.q_made, random.standard_normal(4 * grid.n_branch)]
        made.append(Point(np.concatenate(parts), random.standard_normal(4 * grid.n_branch + 2 * grid.n_bus)))
    return made


def flows(g: Any, b: Any, v: Any, u: Any, cosine: Any, sine: Any) -> tuple[Any, Any, Any, Any]:
    """(p, q) at the start and (p, q) at the end of a branch with magnitudes v, u and the angle between them."""
    (gff, gft, gtf, gtt), (bff, bft, btf, btt) = g, b
    return (gff * v**2 + v * u * (gft * cosine + bft * sine), -bff * v**2 + v * u * (gft * sine - bft * cosine),
            gtt * u**2 + v * u * (gtf * cosine - btf * sine), -btt * u**2 - v * u * (gtf * sine + btf * cosine))


def program(grid: Grid) -> la.Program:
    p = la.Program(grid.name)
    angle, magnitude = p.input("angle", grid.angle), p.input("magnitude", grid.magnitude)
    p_made, q_made = p.input("p_made", grid.p_made), p.input("q_made", grid.q_made)
    between = angle[grid.start] - angle[grid.end]
    formulas = flows(grid.g, grid.b, magnitude[grid.start], magnitude[grid.end], np.cos(between), np.sin(between))
    p_start, q_start, p_end, q_end = (p.define(*pair) for pair in zip(BLOCKS[4:], formulas, strict=True))

    def at_buses(index: Array, values: Any) -> Any:
        return np.bincount(index, weights=values, minlength=grid.n_bus)

    p_out = at_buses(grid.start, p_start) + at_buses(grid.end, p_end) + grid.g_shunt * magnitude**2
    q_out = at_buses(grid.start, q_start) + at_buses(grid.end, q_end) - grid.b_shunt * magnitude**2
    p.subject_to(at_buses(grid.at, p_made) - p_out == grid.p_load, name="active")
    p.subject_to(at_buses(grid.at, q_made) - q_out == grid.q_load, name="reactive")
    c0, c1, c2 = grid.cost
    p.minimize(np.sum(c0 + c1 * p_made + c2 * p_made**2))
    return p


def numbers_alone(grid: Grid) -> dict[str, Work]:
    """Ours as optimizers call them: numbers at fixed places. Constraints are bodies there: their signs change."""
    view = program(grid).full()
    problem, n = view.problem, 4 * grid.n_branch
    sign = np.concatenate([np.ones(n), -np.ones(2 * grid.n_bus)])
    arguments = [(at.w, sign * at.multipliers) for at in points(grid)]
    rows, columns = problem.jacobian_structure
    lower = problem.hessian_structure
    assert lower is not None
    shape = (len(sign), len(problem.x0))
    limits = np.concatenate([np.zeros(n), problem.row_lower[n:]])
    jacobian = reader("Jacobian", rows, columns, shape)
    return {
        "values": Work(lambda a: problem.constraints(a[0]), arguments, lambda r: [sign * (r - limits)]),
        "Jacobian": Work(lambda a: problem.jacobian(a[0]), arguments, lambda v: jacobian(sign[rows] * v)),
        "Hessian": Work(lambda a: problem.hessian(a[0], 1.0, a[1]), arguments, reader("Hessian", *lower, shape)),
    }


def of_the_lagrangian(grid: Grid) -> dict[str, Work]:
    lagrangian = program(grid).lagrangian
    n = 2 * (grid.n_bus + grid.n_gen)
    arguments = [(at.w[:n], at.w[n:], at.multipliers) for at in points(grid)]
    return {
        "values": Work(lambda a: lagrangian.residuals(a[0], a[1]), arguments, lambda r: [r]),
        "Jacobian": Work(lambda a: lagrangian.jacobian(a[0], a[1]), arguments, products),
        "Hessian": Work(lambda a: lagrangian.hessian(*a), arguments, products),
    }


def products(matrix: Any) -> list[Array]:
    """What a sparse matrix makes of a random vector from either side."""
    random = np.random.default_rng(1)
    left, right = random.standard_normal(matrix.shape[0]), random.standard_normal(matrix.shape[1])
    return [matrix @ right, left @ matrix]


def of_triangle(values: Array, rows: Array, columns: Array, n: int) -> Any:
    """The symmetric matrix of the entries of one triangle."""
    half = sparse.coo_array((values, (rows, columns)), shape=(n, n)).tocsr()
    return half + half.T - sparse.diags_array(half.diagonal())


# CasADi --------------------------------------------------------------------------------------------------------

def casadi_sx(grid: Grid) -> dict[str, Work]:
    import casadi as ca

    sizes = (grid.n_bus, grid.n_bus, grid.n_gen, grid.n_gen, *4 * [grid.n_branch])
    blocks = [ca.SX.sym(name, size) for name, size in zip(BLOCKS, sizes, strict=True)]
    angle, magnitude, p_made, q_made, *flow = blocks
    start, end = grid.start.tolist(), grid.end.tolist()
    between = angle[start] - angle[end]
    g, b = ([ca.DM(row) for row in part] for part in (grid.g, grid.b))
    formulas = flows(g, b, magnitude[start], magnitude[end], ca.cos(between), ca.sin(between))

    def at_buses(index: Array, values: Any) -> Any:
        ones = sparse.csc_array((np.ones(len(index)), (index, np.arange(len(index)))), (grid.n_bus, len(index)))
        return ca.DM(sparse.csc_matrix(ones)) @ values

    p_out = at_buses(grid.start, flow[0]) + at_buses(grid.end, flow[2]) + grid.g_shunt * magnitude**2
    q_out = at_buses(grid.start, flow[1]) + at_buses(grid.end, flow[3]) - grid.b_shunt * magnitude**2
    balances = [p_out + grid.p_load - at_buses(grid.at, p_made), q_out + grid.q_load - at_buses(grid.at, q_made)]
    w, r = ca.vertcat(*blocks), ca.vertcat(*(f - v for f, v in zip(formulas, flow, strict=True)), *balances)
    c0, c1, c2 = grid.cost
    multipliers = ca.SX.sym("multipliers", r.numel())
    lagrangian = ca.sum1(c0 + c1 * p_made + c2 * p_made**2) + ca.dot(multipliers, r)
    hessian = ca.tril(ca.hessian(lagrangian, w)[0])
    outputs = {"values": r, "Jacobian": ca.jacobian(r, w), "Hessian": hessian}
    return {name: _casadi_work(ca.Function("f", [w, multipliers], [part]), name, grid)
            for name, part in outputs.items()}


def _casadi_work(function: Any, name: str, grid: Grid) -> Work:
    run, (w, multipliers), (result,) = casadi_buffers(function)
    rows, columns = (np.array(part) for part in function.sparsity_out(0).get_triplet())
    shape = function.size_out(0)

    def call(at: Point) -> Array:
        w[:] = at.w
        multipliers[:] = at.multipliers
        run()
        return result

    return Work(call, points(grid), reader(name, rows, columns, shape))


def reader(name: str, rows: Array, columns: Array, shape: Sequence[int]) -> Callable[[Array], list[Array]]:
    """How the entries of values, Jacobian or a triangle of the Hessian read as arrays to compare."""
    if name == "values":
        return lambda values: [values]
    if name == "Jacobian":
        return lambda values: products(sparse.coo_array((values, (rows, columns)), shape=shape).tocsr())
    return lambda values: products(of_triangle(values, rows, columns, shape[1]))


# PyOptInterface ------------------------------------------------------------------------------------------------

def pyoptinterface(grid: Grid) -> dict[str, Work]:
    functions = poi_calls.Functions(poi_model(grid))
    # its rows: quadratic constraints first, then the nonlinear ones, branch by branch
    order = np.concatenate([2 * grid.n_bus + np.arange(4 * grid.n_branch).reshape(-1, 4).T.ravel(),
                            np.arange(2 * grid.n_bus)])
    row = np.argsort(order)
    arguments = [(at.w, at.multipliers[row]) for at in points(grid)]
    shape = (len(order), len(points(grid)[0].w))
    (rows, columns), (lower, upper) = functions.jacobian_at, functions.hessian_at
    return {
        "values": Work(lambda a: functions.values(a[0]), arguments, lambda r: [r[order]]),
        "Jacobian": Work(lambda a: functions.jacobian(a[0]), arguments, reader("Jacobian", row[rows], columns, shape)),
        "Hessian": Work(lambda a: functions.hessian(*a), arguments, reader("Hessian", lower, upper, shape)),
    }


def poi_model(grid: Grid) -> Any:
    model = poi_calls.new_model()
    sizes = (grid.n_bus, grid.n_bus, grid.n_gen, grid.n_gen, *4 * [grid.n_branch])
    angle, magnitude, p_made, q_made, *flow = (model.add_variables(range(size)) for size in sizes)
    add_network(model, grid, angle, magnitude, p_made, q_made, flow)
    return model


# JAX -----------------------------------------------------------------------------------------------------------

def jax_by_branch(grid: Grid) -> dict[str, Work]:
    jax = cpu_jax()
    jnp = jax.numpy
    n, m = grid.n_bus, grid.n_branch
    ends = np.array([grid.start, grid.end, n + grid.start, n + grid.end])  # where a branch's four arguments are in w
    g, b = jnp.asarray(grid.g.T), jnp.asarray(grid.b.T)
    shunt, load = (jnp.asarray(pair) for pair in ((grid.g_shunt, -grid.b_shunt), (grid.p_load, grid.q_load)))
    c2 = jnp.asarray(grid.cost[2])
    fixed = jnp.asarray(_constants(grid)[0])
    places = _hessian_places(grid, ends)
    slots = jnp.asarray(places[1])

    def branch(at: Any, g: Any, b: Any) -> Any:
        between = at[0] - at[1]
        return jnp.stack(flows(g, b, at[2], at[3], jnp.cos(between), jnp.sin(between)))

    def weighed(at: Any, g: Any, b: Any, multipliers: Any) -> Any:
        return multipliers @ branch(at, g, b)

    def values(w: Any, _: Any) -> Any:
        flow, made = w[-4 * m :].reshape(4, m), w[2 * n : -4 * m].reshape(2, -1)
        balances = shunt * w[n : 2 * n] ** 2 + load
        balances = balances.at[:, grid.start].add(flow[:2]).at[:, grid.end].add(flow[2:]).at[:, grid.at].add(-made)
        return jnp.concatenate([(jax.vmap(branch)(w[ends].T, g, b).T - flow).ravel(), balances.ravel()])

    def jacobian(w: Any, _: Any) -> Any:
        dense = jax.vmap(jax.jacfwd(branch))(w[ends].T, g, b)
        return jnp.concatenate([dense.ravel(), (2.0 * shunt * w[n : 2 * n]).ravel(), fixed])

    def hessian(w: Any, multipliers: Any) -> Any:
        dense = jax.vmap(jax.hessian(weighed))(w[ends].T, g, b, multipliers[: 4 * m].reshape(4, m).T)
        of_shunts = (2.0 * shunt * multipliers[4 * m :].reshape(2, n)).ravel()
        parts = [dense[:, *np.tril_indices(4)].ravel(), of_shunts, 2.0 * c2]
        return jnp.zeros(len(places[0])).at[slots].add(jnp.concatenate(parts))

    arguments = [(jnp.asarray(at.w), jnp.asarray(at.multipliers)) for at in points(grid)]
    shape = (4 * m + 2 * n, len(arguments[0][0]))
    at = {"values": (None, None), "Jacobian": _jacobian_at(grid, ends), "Hessian": np.divmod(places[0], shape[1])}
    works = {}
    for name, function in (("values", values), ("Jacobian", jacobian), ("Hessian", hessian)):
        compiled = jax.jit(function)
        read = reader(name, *at[name], shape)
        works[name] = Work(lambda a, f=compiled: jax.block_until_ready(f(*a)), arguments, read)
    return works


def _constants(grid: Grid) -> tuple[Array, Array, Array]:
    """Values, rows and columns of the Jacobian's constant entries: flows and generated powers enter linearly."""
    n, m, k = grid.n_bus, grid.n_branch, grid.n_gen
    flow = 2 * (n + k) + np.arange(4 * m)
    buses = np.concatenate([4 * m + grid.start, 4 * m + n + grid.start, 4 * m + grid.end, 4 * m + n + grid.end])
    made = np.concatenate([4 * m + grid.at, 4 * m + n + grid.at])
    values = np.concatenate([-np.ones(4 * m), np.ones(4 * m), -np.ones(2 * k)])
    columns = np.concatenate([flow, flow, 2 * n + np.arange(2 * k)])
    return values, np.concatenate([np.arange(4 * m), buses, made]), columns


def _jacobian_at(grid: Grid, ends: Array) -> tuple[Array, Array]:
    """Rows and columns: a dense 4 × 4 a branch, the shunts, the constants."""
    n, m = grid.n_bus, grid.n_branch
    rows = np.broadcast_to(np.arange(m)[:, None, None] + m * np.arange(4)[:, None], (m, 4, 4))
    columns = np.broadcast_to(ends.T[:, None, :], (m, 4, 4))
    _, fixed_rows, fixed_columns = _constants(grid)
    bus = np.arange(n)
    return (np.concatenate([rows.ravel(), 4 * m + np.arange(2 * n), fixed_rows]),
            np.concatenate([columns.ravel(), n + bus, n + bus, fixed_columns]))


def _hessian_places(grid: Grid, ends: Array) -> tuple[Array, Array]:
    """The places row·n + column of one triangle's entries, and the place of each term that is added."""
    n, m, k = grid.n_bus, grid.n_branch, grid.n_gen
    i, j = (ends[part].T.ravel() for part in np.tril_indices(4))
    diagonal = np.concatenate([n + np.arange(n), n + np.arange(n), 2 * n + np.arange(k)])
    rows = np.concatenate([np.maximum(i, j), diagonal])
    columns = np.concatenate([np.minimum(i, j), diagonal])
    return np.unique(rows * (2 * (n + k) + 4 * m) + columns, return_inverse=True)


# the tables ----------------------------------------------------------------------------------------------------

TARGETS = {"values": (5.0, None), "Jacobian": (10.0, 2.0), "Hessian": (10.0, 2.0)}
"""How many times faster than CasADi and PyOptInterface."""


def peers(grid: Grid) -> dict[str, list[Peer]]:
    """The rows of each table; a model is built once for its three tables."""
    makers = [
        ("lagrange_ad", (), numbers_alone),
        ("lagrange_ad, SciPy matrices", (), of_the_lagrangian),
        ("CasADi, SX, buffers", ("casadi",), casadi_sx),
        ("PyOptInterface, LLVM", poi_calls.NEEDS, pyoptinterface),
        ("JAX, jit, by branch", ("jax",), jax_by_branch),
    ]
    tables: dict[str, list[Peer]] = {what: [] for what in TARGETS}
    for name, needs, make in makers:
        made = functools.cache(functools.partial(make, grid))
        for what, (of_casadi, of_poi) in TARGETS.items():
            target = of_casadi if name.startswith("CasADi") else of_poi if name.startswith("PyOpt") else None
            tables[what].append(Peer(name, needs, lambda made=made, what=what: made()[what], target))
    return tables


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cases", type=Path, default=CASES, help=f"folder of pglib_opf_*.m (default {CASES})")
    options.add_argument("--grids", nargs="*", help="default case1354_pegase case2869_pegase, quick case30_ieee")
    given = options.parse_args()
    heading("AC power flow: values, Jacobian, Hessian of the Lagrangian")
    for name in given.grids or (["case30_ieee"] if given.quick else ["case1354_pegase", "case2869_pegase"]):
        path = given.cases / f"pglib_opf_{name}.m"
        if not path.exists():
            print(f"{path} is not there: give the folder of PGLib-OPF by --cases\n")
            continue
        grid = read(path)
        for what, rows in peers(grid).items():
            equations = 4 * grid.n_branch + 2 * grid.n_bus
            print(f"## {name}, {grid.n_bus} buses, {equations} equations: {what}\n")
            show(compare(rows, rounds(given)))


if __name__ == "__main__":
    main()
