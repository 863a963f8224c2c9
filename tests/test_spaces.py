"""Views of every space are the same program: their numbers against complex steps, differences, and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import acyclic, cyclic

import lagrange_ad as la
from lagrange_ad.lowering import lower, rearranged
from lagrange_ad.optimizers import Problem


def sellar() -> la.Program:
    p = la.Program("sellar")
    z1, z2 = p.input("z1", 5.0, lower=-10, upper=10), p.input("z2", 2.0, lower=0, upper=10)
    x = p.input("x", 1.0, lower=0, upper=10)
    y1, y2 = p.variable("y1", start=1.0, upper=30.0), p.variable("y2", start=1.0)
    p.equate(y1, z1**2 + z2 + x - 0.2 * y2)
    p.equate(y2, np.sqrt(y1) + z1 + z2)
    p.minimize(x**2 + z2 + y1 + np.exp(-y2))
    p.subject_to(y1 >= 3.16, name="g1")
    p.subject_to(y2 <= 24.0, name="g2")
    return p


def grid() -> la.Program:
    """Arrays: flows of their own equations, balances that determine potentials, a limit on each flow."""
    p = la.Program("grid")
    start, end = np.array([0, 1, 2, 0, 3]), np.array([1, 2, 3, 3, 4])
    made = p.input("made", [0.4, 0.3, -0.2, -0.3], lower=-1.0, labels=list("abcd"))
    u = p.variable("u", shape=4, start=0.1, labels=list("abcd"))
    full = np.concatenate([u, np.zeros(1)])
    flow = p.define("flow", np.sin(full[start] - full[end]) * (1.0 + 0.1 * full[start] ** 2))
    out = np.bincount(start, weights=flow, minlength=5) - np.bincount(end, weights=flow, minlength=5)
    p.equate(made, out[:4], name="balance")
    p.subject_to(flow, lower=-0.5, upper=0.5, name="limit")
    p.maximize(np.sum(made) - np.sum(made**2) - np.exp(np.sum(u**2)))
    return p


PROGRAMS = {"sellar": sellar, "grid": grid}
SPACES: dict[str, list[Any]] = {
    "sellar": ["all", "none", ["y1"], ["y2"], ["y1", "y2"]], "grid": ["all", "none", ["flow"], ["u", "flow"], ["u[b]"]],
}
EVERY = [(name, space) for name in PROGRAMS for space in SPACES[name]]


def numerical(problem: Problem, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """∇f, ∂c/∂x and the Hessian of f + yᵀc by central differences (of the first derivatives for the last)."""
    h, unit = 1e-5, np.eye(problem.n)

    def of(f: Any) -> Any:
        return np.array([(np.asarray(f(x + h * e)) - np.asarray(f(x - h * e))) / (2 * h) for e in unit]).T

    def slope(x: Any) -> Any:
        return problem.gradient(x) + problem.jacobian_matrix(x).T @ y

    return of(problem.objective), of(problem.constraints), of(slope)


def require_derivatives(problem: Problem, x: Any) -> None:
    y = np.linspace(0.5, 1.5, problem.m)
    gradient, jacobian, hessian = numerical(problem, x, y)

    def near(one: Any, other: Any) -> None:
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(other).max(initial=0.0))))

    near(problem.gradient(x), gradient)
    if problem.m:
        near(problem.jacobian_matrix(x).toarray(), jacobian)
    v = np.cos(np.arange(problem.n))
    near(problem.hessian_product(x, 1.0, y, v), hessian @ v)
    near(2.0 * problem.hessian_product(x, 0.5, y / 2.0, v), hessian @ v)
    if problem.hessian_structure is not None:
        near(problem.hessian_matrix(x, 1.0, y).toarray(), hessian)
        near(problem.hessian_structure[0] >= problem.hessian_structure[1], True)
    for structure, width in ((problem.jacobian_structure, problem.n), (problem.hessian_structure, problem.n)):
        if structure is not None:
            keys = structure[0].astype(np.int64) * width + structure[1]
            assert len(np.unique(keys)) == len(keys)  # each position once


@pytest.mark.parametrize(("name", "space"), EVERY, ids=str)
def test_derivatives_of_every_space(name: str, space: Any) -> None:
    problem = PROGRAMS[name]().view(space).problem
    require_derivatives(problem, problem.x0 + 0.01 * np.cos(np.arange(problem.n)))


@pytest.mark.parametrize(("name", "space"), EVERY, ids=str)
def test_at_a_solution_all_spaces_agree(name: str, space: Any) -> None:
    p = PROGRAMS[name]()
    at, view = p.evaluate(), p.view(space)
    x = at.state[view.places]
    assert view.value(x) == pytest.approx(view.sign * at.objective, rel=1e-12)
    low, high = view.constraint_limits()
    values = dict(zip(map(view.constraint_element, range(len(low))), view.constraint_values(x), strict=True))
    kept = [i for i in range(len(low)) if low[i] == high[i]]
    assert np.abs(view.constraint_values(x)[kept]).max(initial=0.0) < 1e-9
    for c in ("g1", "g2") if name == "sellar" else ():
        assert values[c] == pytest.approx(at[c], rel=1e-12)
    for word, value in view.point(x).values.items():
        np.testing.assert_allclose(value, at.values[word], rtol=1e-9, atol=1e-12)


def test_what_is_kept_and_eliminated_has_names() -> None:
    view = sellar().view("y2")
    assert view.space.name == "mixed" and view.inputs.names == ["z1", "z2", "x", "y1"]
    assert view.constraint_names == ["y1", "g1", "g2"]
    assert sellar().reduced().constraint_names == ["g1", "g2", "y1"]  # y1 has a bound
    one = grid().view(["u[b]", "flow"])
    assert one.inputs.element(5) == "u[c]" and "flow" not in one.constraint_names
    names = [one.constraint_element(i) for i in range(one.lowered.constraint_rows.size)]
    assert len([n for n in names if n.startswith("balance")]) == 3


def test_decisions_are_what_no_equation_determines() -> None:
    p = la.Program()
    a, b = p.variable("a", start=1.0), p.variable("b", start=2.0)
    p.minimize(a**2 + b**2 + a * b)
    p.equate(a + b, 3.0, name="tie")
    view = p.view("all")
    assert len(view.places) == 1 and view.space.name == "reduced" and not view.constraint_names
    require_derivatives(view.problem, view.x0)
    assert p.full().space.coordinates.sum() == 1
    with pytest.raises(la.StructureError, match=r"no equation is left to determine [ab]"):
        p.view(["a", "b"])
    with pytest.raises(la.UnknownNameError, match="d"):
        p.view(["d"])


def test_what_is_given_cannot_be_eliminated() -> None:
    with pytest.raises(la.DeclarationError, match=r"'z1' is one of the inputs and given.*variables are y1, y2"):
        sellar().view(["z1"])


def test_kept_variables_without_starts_begin_where_their_equations_put_them() -> None:
    p = la.Program()
    x = p.input("x", 2.0)
    y = p.define("y", x**2)
    z = p.variable("z", start=7.0)
    p.equate(z, y + 1.0)
    w = p.variable("w")
    p.equate(w, np.cos(w) + z)  # a cycle of its own
    p.minimize(w)
    view = p.full()
    begun = dict(zip(map(view.inputs.element, range(4)), view.x0, strict=True))
    assert begun["x"] == 2.0 and begun["y"] == 4.0 and begun["z"] == 7.0
    assert begun["w"] == pytest.approx(np.cos(begun["w"]) + 7.0)


def test_a_rearranged_program_has_the_rows_of_its_own_elsewhere() -> None:
    p = grid()
    lowered = lower(p)
    solved = np.zeros(lowered.n_user_rows, dtype=bool)
    solved[::2] = True
    new = rearranged(lowered, solved)
    assert new.lowered.n_user_rows == solved.sum() and len(new.kept) == (~solved).sum()
    assert np.array_equal(np.sort(new.row), np.arange(lowered.n_all_rows))
    for row in range(lowered.n_user_rows):
        at = new.row[row]
        found = (new.lowered.rows.element(at) if solved[row]
                 else new.lowered.constraint_rows.element(at - new.lowered.objective_row - 1))
        assert found == lowered.rows.element(row)


def test_parameters_of_a_view_move_bounds_and_values() -> None:
    p = la.Program()
    k = p.parameter("k", 2.0)
    x = p.input("x", 1.0)
    y = p.define("y", k * x)
    p.subject_to(y <= 3.0 * k, name="c")
    p.minimize(y)
    for space in ("all", "none", ["y"]):
        view = p.view(space)
        before = view.problem.row_upper[-1]
        view.set(k=5.0)
        assert (before, view.problem.row_upper[-1]) == (6.0, 15.0)
        x0 = view.x0
        assert view.problem.jacobian_matrix(x0).toarray()[0, 0] == pytest.approx(5.0)


@settings(max_examples=25, deadline=None)
@given(drawn=st.one_of(acyclic(), cyclic()), seed=st.integers(0, 99))
def test_random_programs_in_random_spaces(drawn: Any, seed: int) -> None:
    p = drawn.program
    at = p.evaluate()
    random = np.random.default_rng(seed)
    found = [s.name for s in p.symbols.values() if s.kind == "variable"]
    chosen = [name for name in found if random.random() < 0.5]
    views = [p.full(), p.reduced()]
    try:
        views.append(p.view(chosen) if chosen else p.view("none"))
    except la.StructureError:  # what is kept leaves nothing to determine the chosen
        pass
    for view in views:
        x = at.state[view.places]
        assert view.value(x) == pytest.approx(view.sign * at.objective, rel=1e-9, abs=1e-9)
        gradient = np.zeros(len(at.state))
        problem = view.problem
        v = np.cos(np.arange(problem.n))
        lam = at.adjoints[0][view.space.arranged.kept] if len(view.space.arranged.kept) else np.empty(0)
        y = np.zeros(problem.m)
        y[: len(lam)] = view.sign * lam
        gradient[view.places] = problem.gradient(x) + problem.jacobian_matrix(x).T @ y
        expected = view.sign * at.adjoints[1]  # stationary in what is found, the gradient at inputs
        inputs = [s.name for s in p.symbols.values() if s.kind == "input"]
        for name in inputs:
            where = p.symbols[name].start + np.arange(int(np.prod(p.symbols[name].shape)))
            np.testing.assert_allclose(gradient[where], expected[where], rtol=1e-7, atol=1e-7)
            gradient[where] = 0.0
        assert np.abs(gradient).max(initial=0.0) < 1e-7 * max(1.0, float(np.abs(lam).max(initial=0.0)))
        assert np.isfinite(problem.hessian_product(x, 1.0, y, v)).all()
