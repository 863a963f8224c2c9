"""A grid's power flow as PyOptInterface's guide to optimal power flow writes it.

A graph a branch for the formulas of its four flows, which are variables; quadratic constraints for the balances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matpower import Grid


def add_network(model: Any, grid: Grid, angle: Sequence[Any], v: Sequence[Any], p_made: Sequence[Any],
                q_made: Sequence[Any], flow: Sequence[Sequence[Any]]) -> None:
    """Add flows, then active and reactive balances, then the cost as objective.

    ``flow``: active and reactive at the starts of branches, then at their ends.
    """
    import pyoptinterface as poi
    from pyoptinterface import nl

    out = [[poi.ExprBuilder() for _ in range(grid.n_bus)] for _ in range(2)]
    for k, (i, j) in enumerate(zip(grid.start.tolist(), grid.end.tolist(), strict=True)):
        (gff, gft, gtf, gtt), (bff, bft, btf, btt) = grid.g[:, k].tolist(), grid.b[:, k].tolist()
        with nl.graph():
            between, product = angle[i] - angle[j], v[i] * v[j]
            cosine, sine = nl.cos(between), nl.sin(between)
            formulas = (gff * v[i] ** 2 + product * (gft * cosine + bft * sine),
                        -bff * v[i] ** 2 + product * (gft * sine - bft * cosine),
                        gtt * v[j] ** 2 + product * (gtf * cosine - btf * sine),
                        -btt * v[j] ** 2 - product * (gtf * sine + btf * cosine))
            for formula, variable in zip(formulas, flow, strict=True):
                model.add_nl_constraint(formula - variable[k], poi.Eq, 0.0)
        for kind in range(2):
            out[kind][i] += flow[kind][k]
            out[kind][j] += flow[2 + kind][k]
    for k, i in enumerate(grid.at.tolist()):
        out[0][i] -= p_made[k]
        out[1][i] -= q_made[k]
    for balances, shunt, load in zip(out, (grid.g_shunt, -grid.b_shunt), (grid.p_load, grid.q_load), strict=True):
        for i, balance in enumerate(balances):
            balance += shunt[i] * (v[i] * v[i]) + load[i]
            model.add_quadratic_constraint(balance, poi.Eq, 0.0)
    cost = poi.ExprBuilder()
    for k, (c0, c1, c2) in enumerate(grid.cost.T.tolist()):
        cost += c2 * (p_made[k] * p_made[k]) + c1 * p_made[k] + c0
    model.set_objective(cost)
