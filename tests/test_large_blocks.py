"""Large blocks: one factorisation for a whole solve, iterative and matrix-free linear solvers, KLU."""

import importlib.util
import pickle

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import splu, spsolve

import lagrange_ad as la
from lagrange_ad.errors import SingularError
from lagrange_ad.solution.block import BlockProblem
from lagrange_ad.solution.multipliers import solved_with
from lagrange_ad.solution.operators import BlockOperator
from lagrange_ad.solution.steps import BlockStep
from lagrange_ad.solvers import Krylov, Linear, NotSolvedError, Record, SingularMatrixError, linear_solves, newton
from lagrange_ad.solvers.linear import Factor, Ordering, System
from lagrange_ad.solvers.linear.refinement import gmres

HAS_KLU = importlib.util.find_spec("kvxopt") is not None
needs_klu = pytest.mark.skipif(not HAS_KLU, reason="kvxopt is not installed")


def laplacian(n):
    """The five-point stencil on n × n inner points of the unit square."""
    one = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(n, n)) * (n + 1.0) ** 2
    eye = sparse.eye_array(n)
    return (sparse.kron(one, eye) + sparse.kron(eye, one)).tocsc()


def bratu(n, rate=4.0):
    """∆u + λ·exp(u) = 0, u = 0 around."""
    p = la.Program("bratu")
    r = p.parameter("rate", rate)
    u = p.variable("u", shape=n * n, start=0.0)
    p.equate(laplacian(n) @ u + r * np.exp(u), 0.0, name="bratu")
    p.minimize(np.mean(u))
    return p


def bratu_by_hand(n, rate=4.0):
    """u, mean(u) and its slope in the rate, by Newton's method with a direct solver."""
    a, u = laplacian(n), np.zeros(n * n)
    for _ in range(8):
        jacobian = (a + sparse.diags_array(rate * np.exp(u))).tocsc()
        u = u - spsolve(jacobian, a @ u + rate * np.exp(u))
    jacobian = (a + sparse.diags_array(rate * np.exp(u))).tocsc()
    slope = np.mean(spsolve(jacobian, -np.exp(u)))
    multipliers = spsolve(jacobian.T.tocsc(), np.full(n * n, 1.0 / n**2))
    return u, slope, multipliers


def mixed(n=400):
    """Coupled equations with auxiliaries among them: each unknown sees a smooth sum of its neighbours' sines."""
    p = la.Program("mixed")
    x = p.input("x", 0.7)
    u = p.variable("u", shape=n, start=0.2)
    near = np.concatenate([u[1:], u[:1]])
    p.equate(2.0 * u + 0.3 * np.exp(-np.sin(near) ** 2 - near[::-1] ** 2) * np.exp(0.1 * np.sum(u) / n), x, name="law")
    p.minimize(np.sum(u**2))
    return p


def block_of(p):
    """The only block of a program, a start and the arrays that a problem needs."""
    at = p.evaluate()
    (report,) = at.blocks
    return at, report.step


def problem_of(p, matrix_free=False, start=0.0):
    at, step = block_of(p)
    z = np.array(at._solved.z)
    z[step.columns] = start
    everywhere = np.full(len(z), -np.inf), np.full(len(z), np.inf)
    n_rows = step.cut.lowered.n_all_rows
    return at, BlockProblem(step, z, np.zeros(n_rows), everywhere, np.zeros(n_rows), matrix_free)


# the pattern


def test_entries_of_a_pattern_add_up_by_slot():
    rng = np.random.default_rng(3)
    n, count = 150, 900
    i, j = rng.integers(0, n, count), rng.integers(0, n, count)
    system = System(i, j, n)
    for entries in (rng.normal(size=count), rng.normal(size=count) + 1j * rng.normal(size=count), np.zeros(count)):
        found = system.matrix(entries)
        expected = sparse.coo_array((entries, (i, j)), shape=(n, n)).toarray()
        np.testing.assert_allclose(found.toarray(), expected, rtol=0, atol=1e-14)
        assert found.nnz == len(set(zip(i.tolist(), j.tolist(), strict=True))), "zeros stay entries"
        assert found.has_sorted_indices


def test_symmetry_of_patterns():
    assert Ordering(laplacian(12)).symmetry == 1.0
    triangle = sparse.csc_array(np.tril(np.ones((20, 20))))
    assert Ordering(triangle).symmetry == pytest.approx(20 / 210)
    assert not Ordering(triangle).is_symmetric


@pytest.mark.parametrize("symmetric", [True, False])
def test_an_order_of_columns_serves_again(symmetric):
    rng = np.random.default_rng(5)
    pattern = laplacian(15)
    if not symmetric:
        pattern = sparse.random_array((225, 225), density=0.01, rng=rng, format="csc") + sparse.eye_array(225)
        pattern = sparse.csc_array(pattern)
    ordering, n = Ordering(pattern), pattern.shape[0]
    assert ordering.is_symmetric == symmetric
    for time in range(3):
        matrix = pattern.copy()
        matrix.data = matrix.data * (1.0 + 0.2 * rng.random(len(matrix.data)))
        assert ordering.known(symmetric) == (time > 0)
        factor, b = Factor(matrix, ordering), rng.normal(size=(n, 2))
        for given in (b, b[:, 0]):
            np.testing.assert_allclose(matrix @ factor.solve(given), given, rtol=0, atol=1e-10)
            np.testing.assert_allclose(matrix.T @ factor.solve(given, transposed=True), given, rtol=0, atol=1e-10)


def test_weak_pivots_on_the_diagonal_are_given_up():
    n = 300  # [[δ, 1], [1, 0]] along the diagonal, coupled: pivots on the diagonal would have to be δ or nothing
    rng = np.random.default_rng(1)
    left, right = np.arange(n), n + np.arange(n)
    i = np.concatenate([left, left, right, left[1:], left[:-1], right])
    j = np.concatenate([left, right, left, left[:-1], left[1:], right])
    values = np.concatenate([np.full(n, 1e-9), np.ones(2 * n), 0.3 * rng.random(2 * n - 2), np.zeros(n)])
    matrix = System(i, j, 2 * n).matrix(values)
    ordering = Ordering(matrix)
    x = rng.normal(size=2 * n)
    np.testing.assert_allclose(Factor(matrix, ordering).solve(matrix @ x), x, rtol=1e-9, atol=1e-9)
    matrix.data = np.where(matrix.data == 1e-9, 0.0, matrix.data)
    np.testing.assert_allclose(Factor(matrix, ordering).solve(matrix @ x), x, rtol=1e-9, atol=1e-9)


def test_a_large_singular_matrix_is_refused():
    one = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(200, 200)).tolil()
    one[0, 0] = one[-1, -1] = -1.0  # no flux at either end: constants are in the null space
    with pytest.raises(SingularMatrixError):
        Factor(one.tocsc())


# one factor for several matrices


def test_gmres_with_the_factor_of_a_nearby_matrix():
    a, rng = laplacian(30), np.random.default_rng(0)
    factor = Factor(a)
    matrix = (a + sparse.diags_array(4.0 * np.exp(rng.random(900)))).tocsc()
    for transposed in (False, True):
        b = rng.normal(size=900)
        expected = spsolve(matrix.T.tocsc() if transposed else matrix, b)
        found = gmres(factor, matrix, b, transposed, 1e-13, 25)
        np.testing.assert_allclose(found.x, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
        assert found.solves <= 15
        rough = gmres(factor, matrix, b, transposed, 1e-3, 25)
        assert rough.solves < found.solves
        assert np.linalg.norm(rough.x - expected) <= 3e-3 * np.linalg.norm(expected)
    assert gmres(factor, -matrix + 3 * a, rng.normal(size=900), False, 1e-13, 4).x is None, "four steps will not do"


def test_linear_solves_factor_when_that_is_cheaper():
    a, rng = laplacian(40), np.random.default_rng(0)
    linear = Linear(System(*a.nonzero(), a.shape[0]))
    near = (a + sparse.diags_array(rng.random(1600))).tocsc()
    far = (a + sparse.diags_array(1e7 * rng.normal(size=1600))).tocsc()
    b = rng.normal(size=1600)
    for matrix, transposed, factorisations in ((a, False, 1), (near, True, 1), (far, False, 2), (a, True, 3)):
        linear.update(matrix)
        x = linear.solve(b, transposed, accuracy=0.0)
        rest = b - (matrix.T if transposed else matrix) @ x
        assert np.abs(rest).max() <= 1e-12 * (abs(matrix) @ np.abs(x)).max()
        assert linear.factorisations == factorisations
    linear.update(near)
    many = rng.normal(size=(1600, 40))
    np.testing.assert_allclose(near @ linear.solve(many, accuracy=0.0), many, rtol=0, atol=1e-9)
    assert linear.factorisations == 4, "so many right sides are worth a factor of their own"


def test_bratu_needs_one_factorisation():
    n = 60
    u, slope, multipliers = bratu_by_hand(n)
    at = bratu(n).evaluate()
    (report,) = at.blocks
    np.testing.assert_allclose(at["u"], u, rtol=1e-10)
    np.testing.assert_allclose(at.gradient["rate"], slope, rtol=1e-11)
    np.testing.assert_allclose(at.multiplier["bratu"], multipliers, rtol=1e-10)
    linear = report.record.linear
    assert report.converged and report.iterations <= 5
    assert linear.factorisations == 1 and linear.solves < 40
    np.testing.assert_allclose(at.tangent({"rate": 1.0})["u"].mean(), slope, rtol=1e-11)
    again = pickle.loads(pickle.dumps(at))
    np.testing.assert_allclose(again.gradient["rate"], slope, rtol=1e-11)


def test_a_solve_is_the_same_every_time():
    p = bratu(50)
    first, second = p.evaluate(), p.evaluate()
    assert first.blocks[0].iterations == second.blocks[0].iterations
    np.testing.assert_allclose(first["u"], second["u"], rtol=1e-13)


def test_keeping_factors_gives_what_factoring_anew_gives():
    for rate in (1.0, 6.0, 6.7):
        _, problem = problem_of(bratu(50, rate))
        ends, factorisations = [], []
        for choice in ("auto", "lu"):
            record, linear = Record(), linear_solves(choice, problem.step.pattern.system)
            assert newton(problem, np.zeros(2500), record, linear, 50)
            ends.append(record.x)
            factorisations.append(linear.factorisations)
        np.testing.assert_allclose(ends[0], ends[1], rtol=1e-9)
        assert factorisations[0] < factorisations[1]


# operators and Krylov methods


@pytest.mark.parametrize("make", [lambda: bratu(12), mixed], ids=["bratu", "with auxiliaries"])
def test_the_operator_of_a_block_is_its_jacobian(make):
    _, problem = problem_of(make(), start=0.3)
    problem.residual(np.full(len(problem.low), 0.3))
    step, z = problem.step, problem.z
    operator, whole = BlockOperator(step, z), step.jacobian(z)
    whole = whole if isinstance(whole, np.ndarray) else whole.toarray()
    n, rng = len(step.rows), np.random.default_rng(0)
    reduced = whole[:n, :n] - whole[:n, n:] @ np.linalg.solve(whole[n:, n:], whole[n:, :n])
    v = rng.normal(size=n)
    np.testing.assert_allclose(operator.matvec(v), reduced @ v, rtol=1e-11, atol=1e-11 * np.abs(reduced).max())
    np.testing.assert_allclose(operator.rmatvec(v), reduced.T @ v, rtol=1e-11, atol=1e-11 * np.abs(reduced).max())
    linear = Linear()
    linear.update(operator)
    linear.solve = lambda b, transposed=False, accuracy=0.0: np.linalg.solve(reduced.T if transposed else reduced, b)
    for b in (rng.normal(size=len(whole)), rng.normal(size=(len(whole), 2))):
        np.testing.assert_allclose(solved_with(step, linear, b), np.linalg.solve(whole, b), rtol=1e-9, atol=1e-11)
        found = solved_with(step, linear, b, transposed=True)
        np.testing.assert_allclose(found, np.linalg.solve(whole.T, b), rtol=1e-9, atol=1e-11)


def poisson_preconditioner(n):
    """The factors of the Laplacian, as a function that users would write."""
    solver = splu(laplacian(n))
    return lambda J, x: solver


CHOICES = {
    "gmres, nothing": lambda n: Krylov(restart=200),
    "gmres, ilu": lambda n: Krylov(preconditioner="ilu"),
    "bicgstab, ilu": lambda n: Krylov("bicgstab", preconditioner="ilu"),
    "lgmres, jacobi": lambda n: Krylov("lgmres", preconditioner="jacobi"),
    "gmres, function": lambda n: Krylov(preconditioner=poisson_preconditioner(n)),
    "cg, symmetric": lambda n: Krylov("cg"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_krylov_methods_solve_bratu(name, monkeypatch):
    n = 20
    u, slope, multipliers = bratu_by_hand(n)
    choice, p = CHOICES[name](n), bratu(n)
    if choice.is_matrix_free:  # no matrix is made
        monkeypatch.setattr(BlockStep, "jacobian", None)
        monkeypatch.setattr(BlockStep, "pattern", None)
    p.solver("u", linear=choice)
    at = p.evaluate()
    np.testing.assert_allclose(at["u"], u, rtol=1e-9)
    np.testing.assert_allclose(at.gradient["rate"], slope, rtol=1e-9)
    np.testing.assert_allclose(at.multiplier["bratu"], multipliers, rtol=1e-8)
    np.testing.assert_allclose(at.tangent({"rate": 1.0})["u"].mean(), slope, rtol=1e-9)
    assert isinstance(at.blocks[0].record.linear.matrix, BlockOperator) == choice.is_matrix_free


def test_a_matrix_free_solve_with_auxiliaries(monkeypatch):
    def numbers(p):
        at = p.evaluate()
        return at["u"], at.gradient["x"], at.multiplier["law"], at.tangent({"x": 1.0})["u"]

    expected, p = numbers(mixed()), mixed()
    p.solver(linear="krylov")
    monkeypatch.setattr(BlockStep, "jacobian", None)
    for found, wanted in zip(numbers(p), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_what_preconditioners_may_be():
    a = laplacian(8)
    solver, b = splu(a), np.random.default_rng(0).normal(size=64)
    made = {
        "function": lambda J, x: solver.solve,
        "two functions": lambda J, x: (solver.solve, lambda v: solver.solve(v, "T")),
        "object": lambda J, x: solver,
        "operator": lambda J, x: sparse.linalg.LinearOperator(J.shape, solver.solve, lambda v: solver.solve(v, "T")),
    }
    for name, make in made.items():
        linear = linear_solves(Krylov(preconditioner=make))
        linear.update(a, np.zeros(64))
        np.testing.assert_allclose(a @ linear.solve(b, accuracy=0.0), b, atol=1e-9)
        if name == "function":
            with pytest.raises(NotSolvedError, match="M⁻ᵀ"):
                linear.solve(b, transposed=True)
        else:
            np.testing.assert_allclose(a.T @ linear.solve(b, True, 0.0), b, atol=1e-9)
    linear = linear_solves(Krylov(preconditioner=lambda J, x: 3.0))
    linear.update(a, np.zeros(64))
    with pytest.raises(la.DeclarationError, match="returned float"):
        linear.solve(b)


def test_krylov_says_when_it_does_not_get_there():
    linear = linear_solves(Krylov(max_iterations=5, restart=5))
    linear.update(laplacian(30))
    with pytest.raises(NotSolvedError, match=r"gmres left .* preconditioner"):
        linear.solve(np.ones(900) + np.arange(900) % 7)
    p = bratu(30)
    p.solver("u", linear=Krylov(max_iterations=5, restart=5))
    with pytest.raises(la.ConvergenceError, match="gmres left") as caught:
        p.evaluate()
    assert caught.value.at.blocks[0].nudges == 0
    p.solver("u", linear="lu")
    at = p.evaluate()
    at.blocks[0].record.linear = linear_solves(Krylov(max_iterations=5, restart=5))
    with pytest.raises(SingularError, match="gmres left"):
        _ = at.multiplier["bratu"]


@pytest.mark.parametrize("bad", [{"method": "qmrs"}, {"preconditioner": "amg"}, {"tolerance": 0.0}])
def test_krylov_refuses_what_it_does_not_know(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Krylov(**bad)


def test_linear_solvers_are_chosen_by_name():
    assert type(linear_solves("auto")) is type(linear_solves("lu")) is Linear
    assert linear_solves("krylov").is_matrix_free
    p = bratu(2)
    with pytest.raises(la.DeclarationError, match="got 'mumps'"):
        p.solver("u", linear="mumps")
    assert not p.solver_choices


# KLU


@needs_klu
def test_klu_solves_both_sides_and_reuses_its_analysis():
    rng, n = np.random.default_rng(2), 300
    pattern = sparse.csc_array(sparse.random_array((n, n), density=0.01, rng=rng) + 5 * sparse.eye_array(n))
    system = System(*pattern.nonzero(), n)
    linear = linear_solves("klu", system)
    for time in range(2):
        matrix = system.matrix(rng.normal(size=system.n_entries) + 6.0 * (np.equal(*pattern.nonzero())))
        linear.update(matrix)
        for b in (rng.normal(size=n), rng.normal(size=(n, 3))):
            np.testing.assert_allclose(matrix @ linear.solve(b), b, rtol=0, atol=1e-12)
            np.testing.assert_allclose(matrix.T @ linear.solve(b, transposed=True), b, rtol=0, atol=1e-12)
        assert linear.factorisations == time + 1 and "klu" in system.ordering.memory


@needs_klu
def test_klu_refuses_singular_matrices():
    one = sparse.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(200, 200)).tolil()
    one[0, 0] = one[-1, -1] = -1.0
    linear = linear_solves("klu")
    linear.update(one.tocsc())
    with pytest.raises(SingularMatrixError):
        linear.solve(np.ones(200))


@needs_klu
def test_klu_in_a_solve():
    u, slope, _ = bratu_by_hand(20)
    p = bratu(20)
    p.solver("u", linear="klu")
    at = p.evaluate()
    np.testing.assert_allclose(at["u"], u, rtol=1e-10)
    np.testing.assert_allclose(at.gradient["rate"], slope, rtol=1e-11)


def test_klu_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kvxopt", None)
    with pytest.raises(ModuleNotFoundError, match=r"lagrange-ad\[klu\]"):
        linear_solves("klu")
