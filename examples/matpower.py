"""Grids from MATPOWER case files (.m, version 2): what the AC power-flow equations need, per unit, as arrays.

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


@dataclass(frozen=True)
class Grid:
    """Buses, branches and generators by position; powers and admittances per unit, angles in radians.

    ``number`` and ``kind`` are names and types of the buses, ``setpoint`` the magnitude each should hold (that of its
    generators, else of the case). ``start`` and ``end`` are the buses of each branch, ``at`` the bus of each generator.
    The admittance of a branch is its two-port [[ff, ft], [tf, tt]]: conductances ``g`` and susceptances ``b``, both (4,
    n_branch) in the order ff, ft, tf, tt. ``costs`` are rows of the file, one a generator.
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

    def injected(self, made: Array, load: Array) -> Array:
        """What generators make minus what loads take, a bus."""
        return np.bincount(self.at, weights=made, minlength=self.n_bus) - load


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
    )


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
