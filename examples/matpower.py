"""Grids from MATPOWER case files (.m, version 2): what AC power flow, optimal or not, needs, per unit, as arrays.

Only numbers in brackets are read, nothing is executed. Branches and generators out of service and isolated buses (type
4, with what hangs on them) are left out. A bus that holds a voltage holds that of the last of its generators, as in
MATPOWER; one without a generator in service holds none, and where no bus is the reference the first that holds one is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
LOAD, GENERATOR, REFERENCE, ISOLATED = 1, 2, 3, 4
"""The types of buses: power given; active power and magnitude given; angle and magnitude given; not connected."""
POLYNOMIAL = 2
"""The model of a cost that is a polynomial; the other one, 1, is given by points between which it is linear."""


@dataclass(frozen=True)
class Limits:
    """What a grid must keep to, per unit and radians: (lower, upper) of voltages (2, n_bus), of what generators make
    (2, n_gen) and of the angle between the ends of branches (2, n_branch), and the apparent power that may flow into a
    branch at either end (n_branch,). ±inf where there is no limit.
    """

    magnitude: Array
    p_made: Array
    q_made: Array
    between: Array
    flow: Array


@dataclass(frozen=True)
class Grid:
    """Buses, branches and generators by position; powers and admittances per unit, angles in radians.

    ``number`` and ``kind`` are names and types of the buses, ``setpoint`` the magnitude each should hold (that of its
    generators, else of the case). ``start`` and ``end`` are the buses of each branch, ``at`` the bus of each generator.
    The admittance of a branch is its two-port [[ff, ft], [tf, tt]]: conductances ``g`` and susceptances ``b``, both (4,
    n_branch) in the order ff, ft, tf, tt. ``costs`` are rows of the file, one a generator, of active power.
    """

    name: str
    base: float
    number: Array
    kind: Array
    start: Array
    end: Array
    at: Array
    g: Array
    b: Array
    p_load: Array
    q_load: Array
    g_shunt: Array
    b_shunt: Array
    angle: Array
    magnitude: Array
    setpoint: Array
    p_made: Array
    q_made: Array
    costs: Array
    limits: Limits

    @property
    def n_bus(self) -> int:
        return len(self.p_load)

    @property
    def n_branch(self) -> int:
        return len(self.start)

    @property
    def n_gen(self) -> int:
        return len(self.at)

    @property
    def cost(self) -> Array:
        """(3, n_gen): c0 + c1·p + c2·p². Raises ValueError where costs are others or missing."""
        c, base = self.costs, self.base
        if not len(c) or not (c[:, 0] == 2).all() or not (c[:, 3] == 3).all():
            raise ValueError("costs must be polynomials of three coefficients (model 2, n = 3)")
        return np.array([c[:, 6], c[:, 5] * base, c[:, 4] * base**2])

    @property
    def polynomials(self) -> Array:
        """(degree + 1, n_gen): c_k of the costs Σ_k c_k·p^k, whatever their degrees; 0 where a cost has pieces."""
        smooth = [(k, row) for k, row in enumerate(self.costs) if row[0] == POLYNOMIAL]
        made = np.zeros((max((int(row[3]) for _, row in smooth), default=1), self.n_gen))
        for k, row in smooth:
            count = int(row[3])
            made[:count, k] = row[3 + count : 3 : -1] * self.base ** np.arange(count)
        return made

    @property
    def pieces(self) -> tuple[Array, Array, Array]:
        """(generator, slope, height at p = 0) of all lines of costs with pieces; the cost is the largest of its lines.

        Raises ValueError where slopes fall: no convex cost, the largest line is not it.
        """
        lines = []
        for k, row in enumerate(self.costs):
            if row[0] != POLYNOMIAL:
                p, cost = row[4 : 4 + 2 * int(row[3])].reshape(-1, 2).T / np.array([[self.base], [1.0]])
                slope = np.diff(cost) / np.diff(p)
                if (np.diff(slope) < -1e-9 * np.abs(slope).max()).any():
                    raise ValueError(f"the cost of generator {k + 1} in service has falling slopes: it is not convex")
                lines += [(k, m, c - m * at) for m, at, c in zip(slope, p[:-1], cost[:-1], strict=True)]
        table = np.array(lines).reshape(-1, 3)
        return table[:, 0].astype(np.int64), table[:, 1], table[:, 2]

    def injected(self, made: Array, load: Array) -> Array:
        """What generators make minus what loads take, a bus."""
        return np.bincount(self.at, weights=made, minlength=self.n_bus) - load


def flows(grid: Grid, v: Any, angle: Any) -> tuple[Any, Any, Any, Any]:
    """(p, q) into every branch at its start, and (p, q) at its end."""
    (gff, gft, gtf, gtt), (bff, bft, btf, btt) = grid.g, grid.b
    v_start, v_end, between = v[grid.start], v[grid.end], angle[grid.start] - angle[grid.end]
    cosine, sine = np.cos(between), np.sin(between)
    return (gff * v_start**2 + v_start * v_end * (gft * cosine + bft * sine),
            -bff * v_start**2 + v_start * v_end * (gft * sine - bft * cosine),
            gtt * v_end**2 + v_start * v_end * (gtf * cosine - btf * sine),
            -btt * v_end**2 - v_start * v_end * (gtf * sine + btf * cosine))


def read(path: Path) -> Grid:
    """The grid in a case file. Raises ValueError where a matrix is missing."""
    text = re.sub(r"%.*", "", path.read_text(encoding="utf-8"))
    base = float(_found(re.search(r"mpc\.baseMVA\s*=\s*([^;\s]+)", text), "baseMVA", path).group(1))
    bus, gen, branch = (_matrix(text, name, path) for name in ("bus", "gen", "branch"))
    costs = _matrix(text, "gencost", path)[: len(gen)] if "mpc.gencost" in text else np.empty((0, 7))
    bus = bus[bus[:, 1] != ISOLATED]
    on = (gen[:, 7] > 0) & np.isin(gen[:, 0], bus[:, 0])
    gen, costs = gen[on], costs[on] if len(costs) else costs
    branch = branch[(branch[:, 10] > 0) & np.isin(branch[:, :2], bus[:, 0]).all(axis=1)]
    position = {int(number): i for i, number in enumerate(bus[:, 0])}
    start, end, at = (np.array([position[int(number)] for number in column], dtype=np.int64)
                      for column in (branch[:, 0], branch[:, 1], gen[:, 0]))
    admittance = _two_ports(branch)
    setpoint = bus[:, 7].copy()
    setpoint[at] = gen[:, 5]  # the last of several
    return Grid(
        path.stem, base, bus[:, 0].astype(np.int64), _kinds(bus[:, 1], at), start, end, at, admittance.real.copy(),
        admittance.imag.copy(), bus[:, 2] / base, bus[:, 3] / base, bus[:, 4] / base, bus[:, 5] / base,
        np.deg2rad(bus[:, 8]), bus[:, 7], setpoint, gen[:, 1] / base, gen[:, 2] / base, costs,
        _limits(base, bus, gen, branch),
    )


def _limits(base: float, bus: Array, gen: Array, branch: Array) -> Limits:
    """Limits by MATPOWER's rules: no rating is 0, no limit of an angle 0 or beyond a whole turn."""
    if branch.shape[1] < 13:
        branch = np.hstack([branch, np.zeros((len(branch), 13 - branch.shape[1]))])
    low, high = branch[:, 11], branch[:, 12]
    between = np.deg2rad([np.where((low == 0) | (low <= -360), -np.inf, low),
                          np.where((high == 0) | (high >= 360), np.inf, high)])
    rating = branch[:, 5] / base
    return Limits(bus[:, [12, 11]].T.copy(), gen[:, [9, 8]].T / base, gen[:, [4, 3]].T / base, between,
                  np.where(rating == 0, np.inf, rating))


def _kinds(given: Array, at: Array) -> Array:
    """The types of the buses, of which only those with generators hold a voltage, and one at least the angle."""
    kind = given.astype(np.int64)
    kind[np.setdiff1d(np.flatnonzero(kind != LOAD), at)] = LOAD
    if not (kind == REFERENCE).any():
        holding = np.flatnonzero(kind == GENERATOR)
        if not len(holding):
            raise ValueError("no bus of the case holds a voltage: none of type 2 or 3 has a generator in service")
        kind[holding[0]] = REFERENCE
    return kind


def _two_ports(branch: Array) -> Array:
    """Complex admittances (4, n_branch) of branches with ratio and phase shift at their start."""
    series = 1.0 / (branch[:, 2] + 1j * branch[:, 3])
    own = series + 0.5j * branch[:, 4]
    ratio = np.where(branch[:, 8] == 0.0, 1.0, branch[:, 8]) * np.exp(1j * np.deg2rad(branch[:, 9]))
    return np.array([own / np.abs(ratio) ** 2, -series / np.conj(ratio), -series / ratio, own])


def _matrix(text: str, name: str, path: Path) -> Array:
    body = _found(re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\]", text, re.DOTALL), name, path).group(1)
    rows = re.split(r"[;\n]", body)
    return np.array([[float(entry) for entry in re.split(r"[\s,]+", row.strip())] for row in rows if row.strip()])


def _found(match: Any, name: str, path: Path) -> Any:
    if match is None:
        raise ValueError(f"{path} has no mpc.{name}: is it a MATPOWER case of version 2?")
    return match
