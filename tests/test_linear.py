"""Linear systems of blocks and sequences, on matrices alone."""

import numpy as np
import pytest
from scipy import sparse

from lagrange_ad import Program
from lagrange_ad.solvers.linear import DENSE, Factor, SingularMatrixError, Substitution, System, Triangular, refined


def _random(n, seed=0):
    rng = np.random.default_rng(seed)
    count = 4 * n
    i, j = rng.integers(0, n, count), rng.integers(0, n, count)
    i, j = np.concatenate([i, np.arange(n)]), np.concatenate([j, np.arange(n)])
    return i, j, np.concatenate([rng.normal(size=count), np.full(n, 9.0)])


@pytest.mark.parametrize("n", [1, 5, DENSE, DENSE + 1, 300])
@pytest.mark.parametrize("seeds", [(), (3,)])
def test_a_factor_solves_both_sides(n, seeds):
    i, j, entries = _random(n)
    matrix = System(i, j, n).matrix(entries)
    dense = sparse.coo_array((entries, (i, j)), shape=(n, n)).toarray()
    assert isinstance(matrix, np.ndarray) == (n <= DENSE)
    np.testing.assert_allclose(matrix if n <= DENSE else matrix.toarray(), dense, rtol=0, atol=1e-14)
    b = np.random.default_rng(1).normal(size=(n, *seeds))
    factor = Factor(matrix)
    np.testing.assert_allclose(factor.solve(b), np.linalg.solve(dense, b), atol=1e-12)
    np.testing.assert_allclose(factor.solve(b, transposed=True), np.linalg.solve(dense.T, b), atol=1e-12)


@pytest.mark.parametrize("n", [5, 300])
def test_refinement_by_the_factor_of_a_nearby_matrix(n):
    i, j, entries = _random(n)
    system = System(i, j, n)
    factor = Factor(system.matrix(entries * (1 + 1e-4 * np.sin(np.arange(len(entries))))))
    matrix, b = system.matrix(entries), np.random.default_rng(1).normal(size=n)
    x = refined(factor, matrix, b, transposed=True)
    np.testing.assert_allclose(matrix.T @ x, b, rtol=0, atol=1e-13)
    assert refined(factor, system.matrix(-entries), b, transposed=True) is None, "far away: no contraction"


@pytest.mark.parametrize("n", [4, 300])
def test_singular_matrices_are_refused(n):
    matrix = np.eye(n)
    matrix[n - 1] = matrix[0]
    for bad in (matrix, np.where(np.eye(n) > 0, np.nan, 0.0)):
        with pytest.raises(SingularMatrixError):
            Factor(bad if n <= DENSE else sparse.csc_array(bad))


@pytest.mark.parametrize("scales", [1e-200, 1e-8, 1.0, 1e8, 1e200])
@pytest.mark.parametrize("n", [6, 300])
def test_scales_of_rows_and_columns_are_no_singularity(n, scales):
    i, j, entries = _random(n)
    of_row = np.where(np.arange(n) % 3, 1.0, scales)
    entries = entries * of_row[i]
    matrix = System(i, j, n).matrix(entries)
    x = Factor(matrix).solve(matrix @ np.ones(n))
    np.testing.assert_allclose(x, np.ones(n), rtol=1e-10)
    x = Factor(matrix).solve(matrix.T @ (1.0 / of_row), transposed=True)
    np.testing.assert_allclose(x * of_row, np.ones(n), rtol=1e-10)


@pytest.mark.parametrize("n", [7, 300])
@pytest.mark.parametrize("solver", [Triangular, Substitution])
def test_triangular_matrices(n, solver):
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.integers(-3, 3, (n, n)) / 30
    matrix = np.tril(rng.normal(size=(n, n)) * (rng.random((n, n)) < 3 / n) * sizes, -1) - np.eye(n)
    given = matrix if n <= DENSE else sparse.csc_array(matrix)
    for b in (rng.normal(size=n), rng.normal(size=(n, 2))):
        for transposed in (False, True):
            x = solver(given).solve(b, transposed)
            residual = (matrix.T if transposed else matrix) @ x - b
            assert np.abs(residual).max() <= 1e-12 * (1 + np.abs(x).max())


@pytest.mark.parametrize("n", [5, 300])
def test_steep_chains_are_not_singular(n):
    """Slopes of 1e18 beside slopes of 1 in one explicit chain: a pivoting factorisation would see zero pivots."""
    p = Program("steep")
    x = p.input("x", 1.0)
    a = p.define("a", x * 1)
    b, c = p.define("b", a * 1), p.define("c", 1e18 * a)
    y = p.define("y", c * 1e-18 + b)
    for i in range(n):
        y = p.define(f"y{i}", y * 0.5 + b)
    p.minimize(y)
    at = p.evaluate()
    np.testing.assert_allclose(at.gradient["x"], 2.0, rtol=1e-12)
    np.testing.assert_allclose(at.tangent({"x": 1.0})[f"y{n - 1}"], 2.0, rtol=1e-12)


@pytest.mark.parametrize("n", [5, 300])
def test_an_infinite_slope_stays_where_it_belongs(n):
    p = Program("root")
    x, u = p.input("x", 0.0), p.input("u", 1.0)
    y = p.define("y", np.sqrt(p.define("a", x * 1)))
    z = u * 1.0
    for i in range(n):
        z = p.define(f"z{i}", z * 0.5 + u)
    p.minimize(p.define("J", y + z))
    at = p.evaluate()
    assert at.gradient["x"] == np.inf
    np.testing.assert_allclose(at.gradient["u"], 2.0 - 0.5**n * 1.0)
