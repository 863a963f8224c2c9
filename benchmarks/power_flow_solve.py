"""Power flow of a real grid from a flat start: the solve, and with it the gradient of the losses in all that is given.

    python benchmarks/power_flow_solve.py                              2869 buses
    python benchmarks/power_flow_solve.py --cases FOLDER --grids case1354_pegase

The model is that of ``examples/power_flow.py``; the cases are those of PGLib-OPF, read from ``--cases``. Found are
magnitudes at loads and angles everywhere but at the reference; the gradient is in the active powers given, the reactive
ones, and the magnitudes held. Every call starts flat (magnitudes 1 or held, angles 0) with all powers scaled by another
factor. By hand it is what PYPOWER and pandapower do (newtonpf), with care: complex voltages, the Jacobian's entries
computed on the pattern of the admittance matrix and put into their places in CSC by one take, SuperLU with the ordering
that is best here, full steps until mismatches are below 1e-8; then the losses' gradient by a transposed solve with the
Jacobian at the solution. CasADi has one SX function for the equations and its rootfinder ``newton`` with the linear
solver named; its gradient is that of the rootfinder. OpenMDAO has one implicit component with the same Jacobian.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Array, CannotDo, Peer, Work, casadi_buffers, compare, example, heading, parser, rounds, show
from matpower import LOAD, REFERENCE, Grid, read
from power_flow import flows
from scipy import sparse

CASES = Path(__file__).parent.parent.parent / "shared" / "cases" / "pglib"
FACTORS = (1.0, 0.98)
TOLERANCE = 1e-8


def result(found: Any) -> list[Any]:
    """Losses and the three parts of their gradient."""
    return list(found)


def ours(grid: Grid, gradient: bool) -> Work:
    p, given = example("power_flow").model(grid), Given.of(grid)
    full_p, full_q = np.zeros(grid.n_bus), np.zeros(grid.n_bus)
    full_p[given.others], full_q[given.loads] = given.p, given.q

    def call(factor: float) -> tuple[Any, ...]:
        at = p.evaluate({"p": factor * full_p, "q": factor * full_q})
        if not gradient:
            return (at.objective,)
        slopes = at.gradient
        return (at.objective, slopes["p"][given.others], slopes["q"][given.loads], slopes["v"][given.held])

    return Work(call, FACTORS, result)


@dataclass(frozen=True)
class Given:
    """What is given where: buses by kind, powers injected, magnitudes held."""

    loads: Array
    held: Array
    others: Array
    p: Array
    q: Array
    v: Array
    angle: Array

    @staticmethod
    def of(grid: Grid) -> Given:
        loads, held = np.flatnonzero(grid.kind == LOAD), np.flatnonzero(grid.kind != LOAD)
        others = np.flatnonzero(grid.kind != REFERENCE)
        p, q = grid.injected(grid.p_made, grid.p_load), grid.injected(grid.q_made, grid.q_load)
        v = np.ones(grid.n_bus)
        v[held] = grid.setpoint[held]
        return Given(loads, held, others, p[others], q[loads], v, np.where(grid.kind == REFERENCE, grid.angle, 0.0))


# by hand ---------------------------------------------------------------------------------------------------------

def admittances(grid: Grid) -> tuple[Any, Array]:
    """The admittance matrix, every diagonal entry in its pattern, and the row of every entry."""
    y, n = grid.g + 1j * grid.b, grid.n_bus
    rows = np.concatenate([grid.start, grid.start, grid.end, grid.end, np.arange(n)])
    columns = np.concatenate([grid.start, grid.end, grid.start, grid.end, np.arange(n)])
    entries = np.concatenate([*y, grid.g_shunt + 1j * grid.b_shunt])
    matrix = sparse.csr_array(sparse.coo_array((entries, (rows, columns)), shape=(n, n)))
    return matrix, np.repeat(np.arange(n), np.diff(matrix.indptr))


class ByHand:
    """Newton's method and the gradient, with patterns and places made beforehand."""

    def __init__(self, grid: Grid, ordering: str) -> None:
        self.grid, self.given, self.ordering = grid, Given.of(grid), ordering
        self.matrix, self.row = admittances(grid)
        self.column, self.n = self.matrix.indices, grid.n_bus
        self.diagonal = np.flatnonzero(self.row == self.column)
        given, n = self.given, self.n
        equation, unknown = np.full(2 * n, -1), np.full(2 * n, -1)
        for place in (equation, unknown):
            place[given.others] = np.arange(len(given.others))
            place[n + given.loads] = len(given.others) + np.arange(len(given.loads))
        i = np.concatenate([self.row, self.row, n + self.row, n + self.row])
        j = np.concatenate([self.column, n + self.column, self.column, n + self.column])
        self.take, self.pattern = self._places(equation[i], unknown[j])
        held = np.full(2 * n, -1)
        held[n + given.held] = np.arange(len(given.held))
        self.take_held, self.pattern_held = self._places(equation[i], held[j])

    @staticmethod
    def _places(i: Array, j: Array) -> tuple[Array, Any]:
        """Which of the entries (i, j) stand in a CSC matrix, in its order, and the matrix to put them in."""
        here = np.flatnonzero((i >= 0) & (j >= 0))
        shape = (i.max() + 1, j.max() + 1)
        numbered = sparse.csc_array(sparse.coo_array((np.arange(1.0, len(here) + 1), (i[here], j[here])), shape=shape))
        return here[numbered.data.astype(np.int64) - 1], numbered

    def slopes(self, voltage: Array, current: Array, v: Array) -> Array:
        """∂P/∂θ, ∂P/∂v, ∂Q/∂θ, ∂Q/∂v on the pattern of the admittance matrix."""
        part = voltage[self.row] * np.conj(self.matrix.data * voltage[self.column])
        by_angle, by_size, power = -1j * part, part / v[self.column], voltage * np.conj(current)
        by_angle[self.diagonal] += 1j * power
        by_size[self.diagonal] += power / v
        return np.concatenate([by_angle.real, by_size.real, by_angle.imag, by_size.imag])

    def factor(self, entries: Array) -> Any:
        from scipy.sparse.linalg import splu

        self.pattern.data = entries[self.take]
        return splu(self.pattern, permc_spec=self.ordering)

    def __call__(self, factor: float, gradient: bool) -> tuple[Any, ...]:
        given, v, angle = self.given, self.given.v.copy(), self.given.angle.copy()
        wanted = np.concatenate([factor * given.p, factor * given.q])
        cut = len(given.others)
        for _ in range(50):
            voltage = v * np.exp(1j * angle)
            current = self.matrix @ voltage
            power = voltage * np.conj(current)
            mismatch = np.concatenate([power.real[given.others], power.imag[given.loads]]) - wanted
            if np.abs(mismatch).max() < TOLERANCE:
                break
            step = self.factor(self.slopes(voltage, current, v)).solve(mismatch)
            angle[given.others] -= step[:cut]
            v[given.loads] -= step[cut:]
        losses = power.real.sum() - (self.grid.g_shunt * v**2).sum()  # what goes in and no shunt takes
        if not gradient:
            return (losses,)
        entries = self.slopes(voltage, current, v)
        w = self.slopes_of_losses(entries, v)
        multipliers = self.factor(entries).solve(-np.concatenate([w[given.others], w[self.n + given.loads]]), "T")
        self.pattern_held.data = entries[self.take_held]
        by_held = w[self.n + given.held] + self.pattern_held.T @ multipliers
        return losses, -multipliers[:cut], -multipliers[cut:], by_held

    def slopes_of_losses(self, entries: Array, v: Array) -> Array:
        """∂losses/∂(θ, v): column sums of ∂P, less what shunts take."""
        count = len(self.row)
        by_angle = np.bincount(self.column, weights=entries[:count], minlength=self.n)
        by_size = np.bincount(self.column, weights=entries[count : 2 * count], minlength=self.n)
        return np.concatenate([by_angle, by_size - 2.0 * self.grid.g_shunt * v])


def by_hand(grid: Grid, gradient: bool, ordering: str) -> Work:
    solve = ByHand(grid, ordering)
    return Work(lambda factor: solve(factor, gradient), FACTORS, result)


# CasADi ----------------------------------------------------------------------------------------------------------

def casadi_rootfinder(grid: Grid, gradient: bool, linear: str, slow: bool = False) -> Work:
    import casadi as ca

    if not ca.has_linsol(linear):
        raise CannotDo(f"this CasADi has no {linear}")
    if linear == "csparse" and grid.n_bus > 500 and not slow:
        raise CannotDo("a minute a call at this size, for the fill of its factors: --slow times it")
    given, n = Given.of(grid), grid.n_bus
    x = ca.SX.sym("x", len(given.others) + len(given.loads))
    p, q = ca.SX.sym("p", len(given.others)), ca.SX.sym("q", len(given.loads))
    held = ca.SX.sym("v", len(given.held))
    angle, v = ca.SX(given.angle), ca.SX(n, 1)
    angle[given.others.tolist()], v[given.loads.tolist()] = x[: len(given.others)], x[len(given.others) :]
    v[given.held.tolist()] = held
    start, end = grid.start.tolist(), grid.end.tolist()
    between, (g, b) = angle[start] - angle[end], ([ca.DM(row) for row in part] for part in (grid.g, grid.b))
    p_start, q_start, p_end, q_end = flows(g, b, v[start], v[end], ca.cos(between), ca.sin(between))
    starts, ends = incidence(grid.start, n), incidence(grid.end, n)
    p_out = starts @ p_start + ends @ p_end + grid.g_shunt * v**2
    q_out = starts @ q_start + ends @ q_end - grid.b_shunt * v**2
    mismatch = ca.vertcat(p_out[given.others.tolist()] - p, q_out[given.loads.tolist()] - q)
    losses = ca.Function("losses", [x, held], [ca.sum1(p_start + p_end)])
    numbers = ca.vertcat(p, q, held)
    settings = {"linear_solver": linear, "abstol": TOLERANCE, "error_on_fail": True}
    root = ca.rootfinder("root", "newton", {"x": x, "p": numbers, "g": mismatch}, settings)
    numbers = ca.MX.sym("numbers", numbers.numel())
    flat = np.concatenate([given.angle[given.others], given.v[given.loads]])
    found = root(x0=ca.DM(flat), p=numbers)["x"]
    value = losses(found, numbers[-len(given.held) :])
    outputs = [value, ca.gradient(value, numbers)] if gradient else [value]
    run, (argument,), results = casadi_buffers(ca.Function("J", [numbers], outputs))
    ends_at = np.cumsum([len(given.others), len(given.loads)])

    def call(factor: float) -> list[Any]:
        argument[:] = np.concatenate([factor * given.p, factor * given.q, given.v[given.held]])
        run()
        return [results[0], *(np.split(results[1], ends_at) if gradient else [])]

    return Work(call, FACTORS, result)


def incidence(index: Array, n: int) -> Any:
    """The matrix that sums branches by bus."""
    import casadi as ca

    ones = sparse.csc_array((np.ones(len(index)), (index, np.arange(len(index)))), (n, len(index)))
    return ca.DM(sparse.csc_matrix(ones))


# OpenMDAO --------------------------------------------------------------------------------------------------------

def openmdao(grid: Grid, gradient: bool) -> Work:
    import openmdao.api as om

    hand = ByHand(grid, "MMD_AT_PLUS_A")
    given, n = hand.given, grid.n_bus
    cut, size = len(given.others), len(given.others) + len(given.loads)

    def unpacked(x: Array, held: Array) -> tuple[Array, Array]:
        v, angle = given.v.copy(), given.angle.copy()
        angle[given.others], v[given.loads], v[given.held] = x[:cut], x[cut:], held
        return v, angle

    class Flow(om.ImplicitComponent):
        def setup(self) -> None:
            self.add_input("injected", np.zeros(size))
            self.add_input("held", given.v[given.held])
            self.add_output("x", np.zeros(size))
            rows, columns = hand.pattern.indices, np.repeat(np.arange(size), np.diff(hand.pattern.indptr))
            self.declare_partials("x", "x", rows=rows, cols=columns)
            self.declare_partials("x", "injected", rows=np.arange(size), cols=np.arange(size), val=-1.0)
            columns = np.repeat(np.arange(len(given.held)), np.diff(hand.pattern_held.indptr))
            self.declare_partials("x", "held", rows=hand.pattern_held.indices, cols=columns)

        def apply_nonlinear(self, inputs: Any, outputs: Any, residuals: Any) -> None:
            v, angle = unpacked(outputs["x"], inputs["held"])
            voltage = v * np.exp(1j * angle)
            power = voltage * np.conj(hand.matrix @ voltage)
            residuals["x"] = np.concatenate([power.real[given.others], power.imag[given.loads]]) - inputs["injected"]

        def linearize(self, inputs: Any, outputs: Any, partials: Any) -> None:
            v, angle = unpacked(outputs["x"], inputs["held"])
            voltage = v * np.exp(1j * angle)
            entries = hand.slopes(voltage, hand.matrix @ voltage, v)
            partials["x", "x"], partials["x", "held"] = entries[hand.take], entries[hand.take_held]

    class Losses(om.ExplicitComponent):
        def setup(self) -> None:
            self.add_input("x", np.zeros(size))
            self.add_input("held", given.v[given.held])
            self.add_output("losses", 0.0)
            self.declare_partials("losses", ["x", "held"])

        def compute(self, inputs: Any, outputs: Any) -> None:
            v, angle = unpacked(inputs["x"], inputs["held"])
            voltage = v * np.exp(1j * angle)
            power = voltage * np.conj(hand.matrix @ voltage)
            outputs["losses"] = power.real.sum() - (grid.g_shunt * v**2).sum()

        def compute_partials(self, inputs: Any, partials: Any) -> None:
            v, angle = unpacked(inputs["x"], inputs["held"])
            voltage = v * np.exp(1j * angle)
            w = hand.slopes_of_losses(hand.slopes(voltage, hand.matrix @ voltage, v), v)
            partials["losses", "x"] = np.concatenate([w[given.others], w[n + given.loads]])
            partials["losses", "held"] = w[n + given.held]

    problem, flow = om.Problem(reports=False), Flow()
    problem.model.add_subsystem("flow", flow, promotes=["*"])
    problem.model.add_subsystem("losses_of", Losses(), promotes=["*"])
    flow.nonlinear_solver = om.NewtonSolver(solve_subsystems=False, iprint=-1, atol=TOLERANCE, rtol=1e-99)
    flow.linear_solver = om.DirectSolver(assemble_jac=True)
    problem.setup(mode="rev")
    flat = np.concatenate([given.angle[given.others], given.v[given.loads]])

    def call(factor: float) -> list[Any]:
        problem.set_val("injected", np.concatenate([factor * given.p, factor * given.q]))
        problem.set_val("x", flat)
        problem.run_model()
        losses = float(problem.get_val("losses")[0])
        if not gradient:
            return [losses]
        totals = problem.compute_totals(of=["losses"], wrt=["injected", "held"])
        injected = totals["losses", "injected"].ravel()
        return [losses, injected[:cut], injected[cut:], totals["losses", "held"].ravel()]

    return Work(call, FACTORS, result)


def peers(grid: Grid, gradient: bool, slow: bool) -> list[Peer]:
    return [
        Peer("lagrange_ad", (), lambda: ours(grid, gradient)),
        Peer("SciPy by hand, MMD_AT_PLUS_A", ("scipy",), lambda: by_hand(grid, gradient, "MMD_AT_PLUS_A"), 1 / 1.1,
             "ours ≤ 1.1 × it"),
        Peer("SciPy by hand, COLAMD", ("scipy",), lambda: by_hand(grid, gradient, "COLAMD")),
        *(Peer(f"CasADi, rootfinder with {linear}", ("casadi",),
               lambda linear=linear: casadi_rootfinder(grid, gradient, linear, slow), 1.0, "faster than it")
          for linear in ("csparse", "mumps")),
        Peer("OpenMDAO, implicit component", ("openmdao",), lambda: openmdao(grid, gradient)),
    ]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cases", type=Path, default=CASES, help="folder of PGLib-OPF cases")
    options.add_argument("--grids", nargs="*", help="without pglib_opf_ (default case2869_pegase, quick case14_ieee)")
    options.add_argument("--slow", action="store_true", help="time CasADi's csparse at large sizes too")
    given = options.parse_args()
    for name in given.grids or (["case14_ieee"] if given.quick else ["case2869_pegase"]):
        grid = read(given.cases / f"pglib_opf_{name}.m")
        for gradient in (False, True):
            heading(f"Power flow of {grid.n_bus} buses from a flat start: solve"
                    + (", and gradient of the losses" if gradient else ""))
            show(compare(peers(grid, gradient, given.slow), rounds(given)))


if __name__ == "__main__":
    main()
