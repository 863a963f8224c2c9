"""Grids from MATPOWER case files (.m, version 2): what the AC power-flow equations need, per unit, as arrays.

Only numbers in brackets are read, nothing is executed. Branches and generators out of service are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Grid:
    """Buses, branches and generators by position; powers and admittances per unit, angles in radians.

    ``start`` and ``end`` are the buses of each branch, ``at`` the bus of each generator. The admittance of a branch is
    its two-port [[ff, ft], [tf, tt]]: conductances ``g`` and susceptances ``b``, both (4, n_branch) in the order ff,
    ft, tf, tt. ``cost`` is (3, n_gen): c0 + c1·p + c2·p².
    """

    name: str
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
    p_made: Array
    q_made: Array
    cost: Array

    @property
    def n_bus(self) -> int:
        return len(self.p_load)

    @property
    def n_branch(self) -> int:
        return len(self.start)

    @property
    def n_gen(self) -> int:
        return len(self.at)


def read(path: Path) -> Grid:
    """The grid in a case file. Raises ValueError where a matrix is missing."""
    text = re.sub(r"%.*", "", path.read_text())
    base = float(_found(re.search(r"mpc\.baseMVA\s*=\s*([^;\s]+)", text), "baseMVA", path).group(1))
    bus, gen, branch, gencost = (_matrix(text, name, path) for name in ("bus", "gen", "branch", "gencost"))
    gencost, gen, branch = gencost[gen[:, 7] > 0], gen[gen[:, 7] > 0], branch[branch[:, 10] > 0]
    position = {int(number): i for i, number in enumerate(bus[:, 0])}
    columns = (branch[:, 0], branch[:, 1], gen[:, 0])
    start, end, at = (np.array([position[int(number)] for number in column]) for column in columns)
    admittance = _two_ports(branch)
    return Grid(
        path.stem, start, end, at, admittance.real.copy(), admittance.imag.copy(),
        bus[:, 2] / base, bus[:, 3] / base, bus[:, 4] / base, bus[:, 5] / base, np.deg2rad(bus[:, 8]), bus[:, 7],
        gen[:, 1] / base, gen[:, 2] / base, _cost(gencost, base),
    )


def _two_ports(branch: Array) -> Array:
    """Complex admittances (4, n_branch) of branches with ratio and phase shift at their start."""
    series = 1.0 / (branch[:, 2] + 1j * branch[:, 3])
    own = series + 0.5j * branch[:, 4]
    ratio = np.where(branch[:, 8] == 0.0, 1.0, branch[:, 8]) * np.exp(1j * np.deg2rad(branch[:, 9]))
    return np.array([own / np.abs(ratio) ** 2, -series / np.conj(ratio), -series / ratio, own])


def _cost(gencost: Array, base: float) -> Array:
    """(3, n_gen) of quadratic costs by power per unit; of columns c2, c1, c0 after the count in column 3."""
    if not (gencost[:, 0] == 2).all() or not (gencost[:, 3] == 3).all():
        raise ValueError("costs must be polynomials of three coefficients (model 2, n = 3)")
    return np.array([gencost[:, 6], gencost[:, 5] * base, gencost[:, 4] * base**2])


def _matrix(text: str, name: str, path: Path) -> Array:
    body = _found(re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\]", text, re.DOTALL), name, path).group(1)
    return np.array([[float(entry) for entry in row.split()] for row in body.split(";") if row.strip()])


def _found(match: Any, name: str, path: Path) -> Any:
    if match is None:
        raise ValueError(f"{path} has no mpc.{name}: is it a MATPOWER case of version 2?")
    return match
