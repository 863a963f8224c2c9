"""Values and derivatives of chosen rows by chosen elements, as optimizers call them: numbers at patterns fixed once.

The oracle of numbers is the complex step of ``full.residuals`` on the reference executor and, of second derivatives,
central differences of the complex-step gradient; and the Lagrangian's own matrices.
"""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse
from test_lagrangian import PROGRAMS, random_point

import lagrange_ad as la
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.lowering import Group, IndexMap
from lagrange_ad.lowering.kernel import Builder
from lagrange_ad.solution import full
from lagrange_ad.solution.full import FullSpace
from lagrange_ad.solution.plan import make_plan

STEP = 1e-30


def plan_at(model, seed=0):
    """The plan of a program, a complete state that is nothing special, and a source of random numbers."""
    p = model()
    x, z, _ = random_point(p, seed)
    return p.lagrangian._plan, p.lagrangian._state(x, z), np.random.default_rng(seed)


class Plain:
    """Chosen rows as functions of chosen elements, other auxiliaries eliminated, by the reference executor."""

    def __init__(self, space, z):
        lowered = space.plan.lowered
        self.space, self.z = space, z
        self.plan = make_plan(lowered, space.plan.unknown, np.ones(lowered.state.size, dtype=bool),
                              ReferenceExecutor())
        self.reference = FullSpace(self.plan, space.columns, space.rows)

    def rows(self, w):
        """The chosen rows, then J."""
        z = self.z.astype(w.dtype)
        z[self.space.columns] = w
        z = self.reference.complete(z)
        found = full.residuals(self.plan, z, np.zeros(self.plan.lowered.n_all_rows))
        return found[np.append(self.space.rows, self.plan.lowered.objective_row)]

    def jacobian(self, w):
        """Complex steps, (rows and J, columns)."""
        columns = []
        for j in range(len(w)):
            moved = w.astype(complex)
            moved[j] += 1j * STEP
            columns.append(self.rows(moved).imag / STEP)
        return np.array(columns).reshape(len(w), len(self.space.rows) + 1).T

    def hessian(self, w, weights, step=1e-5):
        """Central differences of weights·Jacobian."""
        found = []
        for j in range(len(w)):
            ahead, behind = w.copy(), w.copy()
            ahead[j] += step
            behind[j] -= step
            found.append((weights @ self.jacobian(ahead) - weights @ self.jacobian(behind)) / (2 * step))
        return np.array(found).reshape(len(w), len(w))


def spaces(plan, random):
    """The default, everything kept, some elements and rows, some auxiliaries kept, nothing."""
    lowered = plan.lowered
    n, every = lowered.state.size, np.arange(lowered.state.size)
    n_hidden = n - lowered.n_user
    yield FullSpace(plan)
    yield FullSpace(plan, every, np.arange(lowered.n_all_rows))
    some = random.permutation(lowered.n_user)[: lowered.n_user // 2 + 1]
    shown = np.delete(np.arange(lowered.n_all_rows), np.arange(lowered.n_user_rows, lowered.n_rows))
    yield FullSpace(plan, some, random.permutation(shown)[: len(shown) // 2 + 1])
    kept = random.permutation(n_hidden)[: n_hidden // 2]
    yield FullSpace(plan, np.concatenate([lowered.n_user + kept, some]),
                    np.concatenate([shown[:3], lowered.n_user_rows + kept]))
    yield FullSpace(plan, every[:0], shown[:0])


def check(space, z, random):
    """Every quantity against the plain meaning and against what was said of structures."""
    w, plain = z[space.columns], Plain(space, z)
    z = space.complete(z.copy())
    m, n = len(space.rows), len(space.columns)
    lam, sigma = random.uniform(-1, 1, m), 0.7
    rows, jacobian = plain.rows(w), plain.jacobian(w)
    np.testing.assert_allclose(space.residuals(z), rows[:m], rtol=1e-12, atol=1e-12)
    assert space.objective(z) == pytest.approx(rows[m], rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(space.gradient(z), jacobian[m] if n else [], rtol=1e-11, atol=1e-12)
    places = space.jacobian_structure
    said(places, (m, n))
    found = sparse.coo_array((space.jacobian_numbers(z), places), shape=(m, n)).toarray()
    np.testing.assert_allclose(found, jacobian[:m], rtol=1e-11, atol=1e-12)
    places = space.hessian_structure
    said(places, (n, n))
    assert (places[0] >= places[1]).all()
    lower = sparse.coo_array((space.hessian_numbers(z, lam, sigma), places), shape=(n, n)).toarray()
    expected = plain.hessian(w, np.append(lam, sigma))
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(lower + np.tril(lower, -1).T, expected, rtol=1e-6, atol=1e-7 * scale)


def said(places, shape):
    """Places are int32, inside, sorted by row and then column, each once."""
    rows, columns = places
    assert rows.dtype == columns.dtype == np.int32
    assert ((rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])).all()
    assert (np.diff(rows.astype(np.int64) * shape[1] + columns) > 0).all()


@pytest.mark.parametrize("which", range(5))
@pytest.mark.parametrize("model", PROGRAMS, ids=lambda model: model.__name__)
def test_numbers_of_chosen_rows_by_chosen_elements(model, which):
    plan, z, random = plan_at(model, which)
    check([*spaces(plan, random)][which], z, random)


@pytest.mark.parametrize("model", PROGRAMS, ids=lambda model: model.__name__)
def test_the_lagrangian_has_the_same_numbers(model):
    p = model()
    x, z, lam = random_point(p, 1)
    lagrangian, space = p.lagrangian, p.lagrangian._plan.full_space
    state, constrained = lagrangian._state(x, z), space.rows > lagrangian._plan.lowered.objective_row
    jacobian, hessian = lagrangian.jacobian(x, z), lagrangian.hessian(x, z, lam)
    numbers = space.jacobian_numbers(state) * np.where(constrained, -1.0, 1.0)[space.jacobian_structure[0]]
    np.testing.assert_array_equal(numbers, jacobian.tocsr().data)
    half = sparse.tril(hessian).tocsr()
    np.testing.assert_array_equal(space.hessian_numbers(state, np.where(constrained, -lam, lam)), half.data)
    np.testing.assert_array_equal(space.hessian_structure[1], half.indices)


@pytest.mark.parametrize("model", PROGRAMS, ids=lambda model: model.__name__)
def test_numbers_go_where_the_caller_wants_them(model):
    plan, z, random = plan_at(model)
    for space in spaces(plan, random):
        state = space.complete(z.copy())
        lam = random.uniform(-1, 1, len(space.rows))
        calls = [(space.residuals, (state,), len(space.rows)), (space.gradient, (state,), len(space.columns)),
                 (space.jacobian_numbers, (state,), len(space.jacobian_structure[0])),
                 (space.hessian_numbers, (state, lam, 0.3), len(space.hessian_structure[0]))]
        for call, given, size in calls:
            wanted, out, kept = call(*given), np.full(size, np.nan), state.copy()
            assert call(*given, out=out) is out
            np.testing.assert_array_equal(out, wanted)
            again = np.full(size + 2, 7.0)[1:-1]  # other memory the next time, and nothing beside it is written
            call(*given, out=again)
            np.testing.assert_array_equal(again, wanted)
            assert again.base[0] == again.base[-1] == 7.0
            np.testing.assert_array_equal(state, kept)


def test_a_row_of_what_is_eliminated_cannot_be_chosen():
    plan, _, _ = plan_at(PROGRAMS[3])
    with pytest.raises(ValueError, match="eliminated"):
        FullSpace(plan, rows=np.array([plan.lowered.n_user_rows]))


def with_calls():
    """A user function, an elementwise one, and enough elements for compiled loops beside groups on the tape."""
    rng = np.random.default_rng(3)
    p = la.Program("calls")
    x, s = p.input("x", rng.uniform(0.2, 0.9, 3)), p.input("s", rng.uniform(0.2, 0.9, 300))
    own = la.external(lambda v: np.array([np.sin(v[0]) * v[1], v[2] ** 3]), shape=2,
                      jacobian=_first, hessian=_second)
    y = p.define("y", own(x) + x[0])
    t = p.define("t", np.sin(s) * s[::-1] + x[1] * s)  # in the middle both factors are one element
    p.subject_to(x[:2] * y <= 1.0, name="few")
    p.minimize(np.sum(t**2) + y[0] * x[2] ** 2)
    return p


def _first(v):
    return np.array([[np.cos(v[0]) * v[1], np.sin(v[0]), 0.0], [0.0, 0.0, 3 * v[2] ** 2]])


def _second(v):
    found = np.zeros((2, 3, 3))
    found[0, 0, 0], found[0, 0, 1] = -np.sin(v[0]) * v[1], np.cos(v[0])
    found[0, 1, 0], found[1, 2, 2] = np.cos(v[0]), 6 * v[2]
    return found


def test_numbers_beside_users_functions_against_the_reference():
    """Constants, calls, loops and the tape in one matrix: as the reference executor has it, real and complex."""
    plan, z, random = plan_at(with_calls)
    lowered = plan.lowered
    for space in (FullSpace(plan), FullSpace(plan, np.arange(lowered.state.size), np.arange(lowered.n_all_rows))):
        reference, state = Plain(space, z).reference, space.complete(z.copy())
        lam = random.uniform(-1, 1, len(space.rows))
        for at in (state, state * (1 + 1e-3j)):
            for mine, theirs in ((space.jacobian_numbers(at), reference.jacobian_numbers(at)),
                                 (space.hessian_numbers(at, lam, 0.4), reference.hessian_numbers(at, lam, 0.4)),
                                 (space.residuals(at), reference.residuals(at)),
                                 (space.gradient(at), reference.gradient(at))):
                np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)


def test_threads_and_copies_give_the_same():
    plan, z, random = plan_at(PROGRAMS[3])
    space = FullSpace(plan)
    lam = random.uniform(-1, 1, len(space.rows))
    states = [space.complete(z * factor) for factor in (1.0, 0.9, 1.1, 0.8)]
    wanted = [(space.jacobian_numbers(s), space.hessian_numbers(s, lam)) for s in states]
    copied = pickle.loads(pickle.dumps(space))
    with ThreadPoolExecutor(4) as pool:
        for chosen in (space, copied):
            found = pool.map(lambda s, c=chosen: (c.jacobian_numbers(s), c.hessian_numbers(s, lam)), states * 25)
            for mine, expected in zip(found, wanted * 25, strict=True):
                for one, other in zip(mine, expected, strict=True):
                    np.testing.assert_array_equal(one, other)


def test_a_state_is_put_together_from_x():
    plan, z, random = plan_at(PROGRAMS[3])
    for space in spaces(plan, random):
        x = random.uniform(0.2, 1.2, len(space.columns))
        expected = z.copy()
        expected[space.columns] = x
        np.testing.assert_array_equal(space.put(z.copy(), x), space.complete(expected))


@pytest.mark.parametrize("compile_from", [1, 1 << 60])
def test_a_constant_entry_and_a_computed_one_in_one_place(compile_from):
    """φ = 2a and φ = sin a of the same rows and elements: the sine's slope is added to the 2, whichever comes first."""
    builder = Builder()
    a = builder.raw(("arg", 0))
    kernels = [builder.finish([node]) for node in (builder.make("multiply", builder.const(2.0), a),
                                                   builder.raw(("sin", a)))]
    line = IndexMap((20,), 0, (1,), None)
    groups = [Group(kernel, (20,), (line,), (), line) for kernel in kernels]
    z, slot = np.linspace(0.0, 1.0, 20), np.tile(np.arange(20, dtype=np.int32), 2)
    for order in (groups, groups[::-1]):
        sums = NativeExecutor(compile_from).run(order).prepared_sums("jacobian", slot, np.zeros(20))
        np.testing.assert_allclose(sums(z), 2.0 + np.cos(z), rtol=1e-14)
