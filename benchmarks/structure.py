"""Structure analysis of large systems of scalar equations: matching, strong components, tearing, schedule.

    python benchmarks/structure.py                     10^6 equations here, 10^5 for Pyomo
    python benchmarks/structure.py --equations 100000 --peer 10000

Two tables. *Patterns*: index arrays in, a schedule out; Pyomo gets the same pattern as a sparse matrix
(``block_triangularize``, which matches and finds the blocks; it neither tears nor makes steps). *Models*: equations
declared one by one, from there to the schedule; Pyomo's ``IncidenceGraphInterface`` of a model with the same equations.
Equations and unknowns come in random order. Pyomo is asked at a smaller size, since it takes minutes otherwise; what
counts is the time an equation. The number of blocks is compared, at Pyomo's size. Times are of this process's processor
seconds, so that others at work on the machine count less.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Array, duration, heading, parser, power, rounds, table

import lagrange_ad as la
from lagrange_ad.execution import default_executor, loops_of
from lagrange_ad.structure import Block, Schedule, Structure, build_schedule

TARGET = 20.0
Pattern = tuple[Array, Array, Array]
"""Rows, columns, and the column alone on the left side of each row, or −1."""


def chain(n: int) -> Pattern:
    """0 = g(z_i, z_(i−1)): one implicit equation after the other."""
    i = np.arange(n)
    return np.concatenate([i, i[1:]]), np.concatenate([i, i[:-1]]), np.full(n, -1)


def cycles(n: int) -> Pattern:
    """Cycles of ten implicit equations, each of its own unknown and the next."""
    i = np.arange(n // 10 * 10)
    return np.repeat(i, 2), np.stack([i, i // 10 * 10 + (i + 1) % 10], 1).ravel(), np.full(len(i), -1)


def explicit_cycles(n: int) -> Pattern:
    """Cycles of ten explicit equations without starts, z_i = f(z_(i+1)): nine of each follow from one that is torn."""
    i = np.arange(n // 10 * 10)
    return i, i // 10 * 10 + (i + 1) % 10, i


def grid(n: int) -> Pattern:
    """The five-point stencil on a square: one block of everything."""
    side = int(n**0.5)
    node = np.arange(side * side).reshape(side, side)
    ends = [(node[1:], node[:-1]), (node[:, 1:], node[:, :-1])]
    low, high = (np.concatenate([pair[k].ravel() for pair in ends]) for k in (0, 1))
    return np.concatenate([node.ravel(), low, high]), np.concatenate([node.ravel(), high, low]), np.full(node.size, -1)


def acyclic(n: int) -> Pattern:
    """Implicit equations of their own unknown and two random earlier ones: triangular, which nobody is told."""
    random = np.random.default_rng(0)
    i = np.arange(n)
    later = np.repeat(i, 2)
    earlier = (later * random.random(2 * n)).astype(np.int64)
    return np.concatenate([i, later]), np.concatenate([i, earlier]), np.full(n, -1)


SHAPES: dict[str, Callable[[int], Pattern]] = {
    "chain": chain, "cycles of 10": cycles, "explicit cycles of 10": explicit_cycles, "grid, one block": grid,
    "acyclic, implicit": acyclic,
}


def shuffled(pattern: Pattern) -> Pattern:
    """The same with rows and columns in random order."""
    rows, columns, own = pattern
    random = np.random.default_rng(1)
    place, other = random.permutation(len(own)), random.permutation(len(own))
    moved = np.full(len(own), -1)
    moved[place] = np.where(own >= 0, other[own], -1)
    return place[rows], other[columns], moved


def structure_of(pattern: Pattern) -> Structure:
    """A structure in which every row and every column is a declared block, as of scalars declared one by one."""
    rows, columns, own = pattern
    n = len(own)
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    start, nothing = np.arange(n + 1), np.zeros(n, np.bool_)

    def incidence(blocks: Array) -> tuple[Array, Array]:
        asked = np.zeros(n, np.bool_)
        asked[blocks] = True
        return rows[asked[rows]], columns[asked[rows]]

    return Structure(start, start, own, ~nothing, nothing, nothing, rows, columns, np.full(n, -1), incidence,
                     loops=loops_of(default_executor()))


def pyomo_blocks(pattern: Pattern) -> Callable[[], Any]:
    """Pyomo's block triangular form of the same pattern as a matrix."""
    from pyomo.contrib.incidence_analysis.triangularize import block_triangularize
    from scipy import sparse

    rows, columns, own = pattern
    explicit = np.flatnonzero(own >= 0)
    rows, columns = np.concatenate([rows, explicit]), np.concatenate([columns, own[explicit]])
    matrix = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(own), len(own)))
    return lambda: block_triangularize(matrix)


def our_model(pattern: Pattern) -> la.Program:
    """Equations of the pattern, one by one: Σ exp(z_j) = 2 of implicit ones, z_i = Σ cos(z_j) of explicit ones."""
    p = la.Program("pattern")
    z = [p.variable(f"z{i}", start=0.5) for i in range(len(pattern[2]))]
    for own, parents in _equations(pattern):
        if own < 0:
            p.equate(sum(np.exp(z[j]) for j in parents), 2.0)
        else:
            p.equate(z[own], sum(np.cos(z[j]) for j in parents))
    return p


def pyomo_model(pattern: Pattern) -> Any:
    """The same in Pyomo."""
    import pyomo.environ as pyo

    model, equations = pyo.ConcreteModel(), list(_equations(pattern))
    model.z = pyo.Var(range(len(equations)), initialize=0.5)

    def rule(m: Any, k: int) -> Any:
        own, parents = equations[k]
        if own < 0:
            return sum(pyo.exp(m.z[j]) for j in parents) == 2.0
        return m.z[own] == sum(pyo.cos(m.z[j]) for j in parents)

    model.equation = pyo.Constraint(range(len(equations)), rule=rule)
    return model


def _equations(pattern: Pattern) -> list[tuple[int, list[int]]]:
    """The own column of every row, and the columns on its right."""
    rows, columns, own = pattern
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], np.arange(len(own) + 1)).tolist()
    parents = columns[order].tolist()
    return [(left, parents[bounds[i] : bounds[i + 1]]) for i, left in enumerate(own.tolist())]


def pyomo_model_blocks(pattern: Pattern) -> Callable[[], Any]:
    """From a Pyomo model to its blocks."""
    from pyomo.contrib.incidence_analysis import IncidenceGraphInterface

    model = pyomo_model(pattern)
    return lambda: IncidenceGraphInterface(model, include_inequality=False).block_triangularize()


def our_blocks(pattern: Pattern) -> Callable[[], Any]:
    """From index arrays to our schedule."""
    structure = structure_of(pattern)
    return lambda: build_schedule(structure)


def our_model_blocks(pattern: Pattern) -> Callable[[], Any]:
    """From declared equations to the number of blocks; each call analyses a program that was not analysed before."""
    p = our_model(pattern)

    def analyse() -> Any:
        p.parameter(f"another{time.perf_counter_ns()}", 0.0)  # a declaration: nothing is remembered after it
        return p.schedule.schedule

    return analyse


def count(result: Any) -> int:
    """The number of blocks, of our schedule or of Pyomo's (row blocks, column blocks); explicit rows are one each."""
    if not isinstance(result, Schedule):
        return len(result[0])
    return sum(1 if isinstance(step, Block) else len(step.rows) for step in result.steps)


def seconds(works: list[Callable[[], Any]], repeats: int) -> list[float]:
    """Median processor seconds of each, taking turns; one round warms up. To forget a result takes no time here."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for work, taken in zip(works, times, strict=True):
            begin = time.process_time()
            result = work()
            if turn:
                taken.append(time.process_time() - begin)
            del result
    return [statistics.median(taken) for taken in times]


def rows_of(name: str, size: int, peer: int, repeats: int, ways: tuple[Any, Any]) -> list[list[str]]:
    """The rows of one shape: ours, and Pyomo's with how many times ours it takes an equation."""
    ours, theirs = ways
    works, sizes, differs = [ours(shuffled(SHAPES[name](size)))], [size], ""
    if importlib.util.find_spec("pyomo") is not None:
        small = shuffled(SHAPES[name](peer))
        works.append(theirs(small))
        sizes.append(peer)
        wanted, found = count(ours(small)()), count(works[1]())
        differs = "same blocks" if wanted == found else f"{found} blocks, ours {wanted}"
    each = [taken / n for taken, n in zip(seconds(works, repeats), sizes, strict=True)]
    lines = [[name, "lagrange_ad", power(size), duration(each[0] * size), duration(each[0]), "1", "", ""]]
    if len(each) == 1:
        return [*lines, ["", "Pyomo", "not installed: pyomo", "", "", "", f"≥ {TARGET:g}", ""]]
    times = each[1] / each[0]
    verdict = f"≥ {TARGET:g}: {'met' if times >= TARGET else 'missed'}"
    return [*lines, ["", "Pyomo", power(peer), duration(each[1] * peer), duration(each[1]), f"{times:.3g}", verdict,
                     differs]]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--equations", type=int, default=0, help="how many (default 10^6, quick 10^5)")
    options.add_argument("--peer", type=int, default=0, help="how many for Pyomo (default 10^5, quick 10^4)")
    given: argparse.Namespace = options.parse_args()
    size = given.equations or (100_000 if given.quick else 1_000_000)
    peer = given.peer or (10_000 if given.quick else 100_000)
    heading(f"Structure of {power(size)} scalar equations")
    header = ["shape", "", "equations", "time", "time an equation", "times ours", "target", "agreement"]
    tables = {"Patterns": (size, peer, (our_blocks, pyomo_blocks)),
              "Models declared one by one": (size // 10, peer // 10, (our_model_blocks, pyomo_model_blocks))}
    for title, (n, m, ways) in tables.items():
        print(f"## {title}\n")
        lines = [line for name in SHAPES for line in rows_of(name, n, m, min(3, rounds(given)), ways)]
        print(table(header, lines) + "\n", flush=True)


if __name__ == "__main__":
    main()
