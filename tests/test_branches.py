"""Cycles with several solutions: a line search keeps to the branch of its own point, whatever its trials met."""

import pytest

import lagrange_ad as la


def folded(executor: str) -> la.Program:
    """y³ − y = x: three solutions y for small x; the lowest ends in a fold at x = 2/√27."""
    p = la.Program(executor=executor)
    x = p.input("x", -1.0)
    y = p.variable("y", start=-1.3)
    p.equate(y**3 - y, x)
    p.minimize((y + 0.7) ** 2)
    return p


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_trial_on_another_branch_does_not_end_a_line_search(executor: str) -> None:
    result = folded(executor).descend(rate=50.0, line_search="armijo", progress=False)
    assert result.success
    assert result["y"] == pytest.approx(-0.7, abs=1e-7) and result["x"] == pytest.approx(0.357, abs=1e-7)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_barzilai_borwein_steps_keep_to_their_branch(executor: str) -> None:
    result = folded(executor).descend(rate=0.3, method="barzilai-borwein", line_search="armijo", progress=False)
    assert result["y"] == pytest.approx(-0.7, abs=1e-5)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_view_starts_where_it_is_told(executor: str) -> None:
    view = folded(executor).reduced()
    lower = view.point(view.join({"x": 0.2}))
    from_lower = view.start
    upper = view.point(view.join({"x": 1.0}))
    from_upper = view.start
    assert lower["y"] < -0.5 and upper["y"] > 1.0
    assert view.point(view.join({"x": 0.1}))["y"] > 1.0
    view.start = from_lower
    assert view.point(view.join({"x": 0.1}))["y"] < -0.5
    view.start = from_upper
    value, _ = view.value_and_gradient(view.join({"x": 0.1}))
    assert value > 1.7**2
