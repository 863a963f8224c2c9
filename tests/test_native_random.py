"""Compiled code against the reference on random programs, quantity by quantity.

Groups: every kernel of a pool over random boxes and index maps, compiled, on the tape, and mixed. Whole programs:
recurrences, small implicit blocks, matrix products and mixtures of them, and the drawn programs of the property tests.
Derivatives also against the complex step of the reference. Errors are measured against the sum of the sizes of what is
added up.
"""

import pickle
from functools import cache, cached_property

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_groups import KERNELS, SIZES, extent, group, layout, sibling
from native_programs import FAMILIES, program
from random_programs import acyclic, cyclic

import lagrange_ad as la
from lagrange_ad.execution import ReferenceExecutor
from lagrange_ad.execution.native.executor import NativeExecutor
from lagrange_ad.execution.reference import kernel_values
from lagrange_ad.solution import evaluation

STEP = 1e-30
SAME = 1e-13
ANALYTIC = 1e-10

EXECUTORS = {
    "compiled": NativeExecutor(compile_from=1),
    "on tape": NativeExecutor(compile_from=1 << 60),
    "mixed": NativeExecutor(compile_from=9),
}


class Groups:
    """Groups with a state, multipliers and a direction, and the sizes of what each quantity adds up."""

    def __init__(self, groups, rng):
        self.groups, (self.rows, self.n) = groups, extent(groups)
        self.z = rng.uniform(0.5, 1.5, self.n)
        self.lam, self.dz = rng.normal(size=self.rows), rng.normal(size=self.n)
        self.reference, self._runs = ReferenceExecutor().run(groups), {}

    def run(self, executor):
        if executor not in self._runs:
            self._runs[executor] = EXECUTORS[executor].run(self.groups)
        return self._runs[executor]

    def values(self, run, z=None):
        z = self.z if z is None else z
        out = np.zeros(self.rows, dtype=z.dtype)
        run.values(z, out)
        return out

    def adjoint(self, run, z=None):
        z = self.z if z is None else z
        w = np.zeros(self.n, dtype=z.dtype)
        run.adjoint(z, self.lam, w)
        return w

    def tangent(self, run):
        out = np.zeros(self.rows)
        run.tangent(self.z, self.dz, out)
        return out

    def hessian_product(self, run):
        w = np.zeros(self.n)
        run.hessian_product(self.z, self.dz, self.lam, w)
        return w

    @property
    def stepped(self):
        """The state with a complex step along the direction."""
        return self.z + 1j * STEP * self.dz

    # sums of sizes ---------------------------------------------------------------------------------------

    @cached_property
    def size_of_values(self):
        """Σ |φ_k| of every row, and a tenth for what cancels within a kernel."""
        total = np.zeros(self.rows)
        for g in self.groups:
            values = kernel_values(g.kernel, [self.z[m.array()] for m in g.args], g.coefs)[0]
            np.add.at(total, g.row.array(), 0.1 + np.abs(np.broadcast_to(values, g.shape)))
        return total

    @cached_property
    def sizes(self):
        """Sums of sizes for the adjoint, the tangent and the Hessian product, from the entries of the matrices.

        An entry is itself a sum of terms of size about one, which may cancel: a tenth is added to each.
        """
        rows, columns = self.reference.jacobian_pattern()
        entries = 0.1 + np.abs(self.reference.jacobian(self.z))
        adjoint = np.bincount(columns, np.abs(self.lam)[rows] * entries, self.n)
        tangent = np.bincount(rows, np.abs(self.dz)[columns] * entries, self.rows)
        i, j = self.reference.hessian_pattern()
        entries = 0.1 * np.abs(self.lam).max() + np.abs(self.reference.hessian(self.z, self.lam))
        product = np.bincount(i, np.abs(self.dz)[j] * entries, self.n)
        product += np.bincount(j, np.abs(self.dz)[i] * entries, self.n)
        return adjoint, tangent, product


def near(actual, expected, size, tolerance, what):
    """|actual − expected| <= tolerance·size, and NaN nowhere."""
    actual, expected, size = np.broadcast_arrays(actual, expected, size)
    bad = ~(np.abs(actual - expected) <= tolerance * size + 1e-290)
    assert not bad.any(), (what, np.flatnonzero(bad)[:5], actual[bad][:5], expected[bad][:5], size[bad][:5])


def check_values(case, run):
    near(case.values(run), case.values(case.reference), case.size_of_values, SAME, "values")


def check_adjoint(case, run):
    size, reference = case.sizes[0], case.reference
    adjoint = case.adjoint(run)
    near(adjoint, case.adjoint(reference), size, SAME, "adjoint")
    column = np.zeros(case.n)
    column[int(np.argmax(size))] = 1.0
    slope = case.lam @ case.values(reference, case.z + 1j * STEP * column).imag / STEP
    near(adjoint @ column, slope, size @ column, ANALYTIC, "adjoint by complex step")


def check_tangent(case, run):
    size = case.sizes[1]
    near(case.tangent(run), case.tangent(case.reference), size, SAME, "tangent")
    stepped = case.values(case.reference, case.stepped).imag / STEP
    near(case.tangent(run), stepped, size, ANALYTIC, "tangent by complex step")


def check_jacobian(case, run):
    same_pattern(run.jacobian_pattern(), case.reference.jacobian_pattern())
    near(run.jacobian(case.z), case.reference.jacobian(case.z), 1.0, SAME, "Jacobian")
    rows, columns = run.jacobian_pattern()
    product = np.bincount(rows, run.jacobian(case.z) * case.dz[columns], case.rows)
    stepped = case.values(case.reference, case.stepped).imag / STEP
    near(product, stepped, case.sizes[1], ANALYTIC, "Jacobian by complex step")


def check_hessian(case, run):
    same_pattern(run.hessian_pattern(), case.reference.hessian_pattern())
    size = 1.0 + np.abs(case.lam).max()
    entries = run.hessian(case.z, case.lam)
    near(entries, case.reference.hessian(case.z, case.lam), size, SAME, "Hessian")
    i, j = run.hessian_pattern()
    product = np.bincount(i, entries * case.dz[j], case.n)
    product += np.bincount(j, np.where(i == j, 0.0, entries) * case.dz[i], case.n)
    stepped = case.adjoint(case.reference, case.stepped).imag / STEP
    near(product, stepped, case.sizes[2], ANALYTIC, "Hessian by complex step")


def check_hessian_product(case, run):
    size, product = case.sizes[2], case.hessian_product(run)
    near(product, case.hessian_product(case.reference), size, SAME, "Hessian product")
    stepped = case.adjoint(case.reference, case.stepped).imag / STEP
    near(product, stepped, size, ANALYTIC, "Hessian product by complex step")


def same_pattern(mine, theirs):
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


QUANTITIES = {"values": check_values, "adjoint": check_adjoint, "tangent": check_tangent, "Jacobian": check_jacobian,
              "Hessian": check_hessian, "Hessian product": check_hessian_product}  # fmt: skip


# programs of random groups ---------------------------------------------------------------------------------

N_GROUPS = 2000


@cache
def cases():
    """The drawn programs, each of one to three groups with layouts of a pool."""
    rng = np.random.default_rng(20)
    pool = [(name, layout(rng, name)) for name in KERNELS for _ in range(1 if name.startswith("rows") else 2)]
    made = []
    for _ in range(N_GROUPS):
        chosen = [pool[k] for k in rng.integers(0, len(pool), int(rng.integers(1, 4)))]
        groups = []
        for name, how in chosen:
            shares = groups and how.axes == len(groups[-1].shape) and rng.random() < 0.7
            groups.append(sibling(rng, name, how, groups[-1]) if shares else group(rng, name, how))
        made.append(Groups(groups, rng))
    return made


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_random_groups(executor, quantity):
    check = QUANTITIES[quantity]
    for case in cases():
        check(case, case.run(executor))


def slots_of(case, pattern, rng):
    """The places of entries in a sparse matrix, those of a third of its columns left out, and what stands there."""
    rows, columns = pattern
    inside = (rng.random(case.n) < 0.67)[columns]
    keys, place = np.unique(rows[inside] * case.n + columns[inside], return_inverse=True)
    slot = np.full(len(rows), -1, dtype=np.int32)
    slot[inside] = place.ravel()
    return slot, np.where(rng.random(len(keys)) < 0.5, rng.normal(size=len(keys)), 0.0)


def check_sums(run, case, quantity, scale, rng, *lam):
    """Entries of the reference, added up here, at two states one after the other."""
    slot, constant = slots_of(case, getattr(run, f"{quantity}_pattern")(), rng)
    inside, prepared = slot >= 0, run.prepared_sums(quantity, slot, constant)
    for z in (case.z, 0.9 * case.z + 0.05):
        entries = getattr(case.reference, quantity)(z, *lam)[inside]
        expected = constant + np.bincount(slot[inside], entries, len(constant))
        size = 1.0 + np.abs(constant) + np.bincount(slot[inside], scale + np.abs(entries), len(constant))
        near(prepared(z, *lam), expected, size, SAME, f"sums of the {quantity}")


def check_prepared(run, case, rng):
    """Sparse derivatives at their places, residuals, and the gradient of what is one row."""
    check_sums(run, case, "jacobian", 1.0, rng)
    check_sums(run, case, "hessian", 1.0 + np.abs(case.lam).max(), rng, case.lam)
    rows = rng.permutation(case.rows)[: min(case.rows, case.n)]
    own = rng.permutation(case.n)[: len(rows)]
    expected = case.values(case.reference)
    expected[rows] -= case.z[own]
    residuals = run.prepared_residuals(case.rows, rows, own)(case.z)
    near(residuals, expected, case.size_of_values + np.abs(case.z).max(), SAME, "residuals")
    columns = rng.permutation(case.n)[: case.n // 2]
    one = EXECUTORS["mixed"].run([g.with_rows(np.zeros(case.rows, dtype=np.int64)) for g in case.groups])
    at, entries = case.reference.jacobian_pattern()[1], case.reference.jacobian(case.z)
    expected, size = (np.bincount(at, e, case.n)[columns] for e in (entries, 0.1 + np.abs(entries)))
    near(one.prepared_gradient(case.n, columns)(case.z), expected, size, SAME, "gradient")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_prepared_numbers_of_random_groups(executor):
    rng = np.random.default_rng(21)
    for case in cases()[::60]:
        check_prepared(case.run(executor), case, rng)


def test_the_pool_has_every_kind_of_map():
    """The tool itself: what the groups are drawn from."""
    maps = [m for case in cases() for g in case.groups for m in (*g.args, g.row)]
    affine = [m for m in maps if m.strides]
    rows = [g.row for case in cases() for g in case.groups]
    assert {len(m.shape) for m in maps} == {0, 1, 2, 3}
    assert {n for m in maps for n in m.shape} >= set(SIZES)
    assert {np.sign(step) for m in affine for step in m.strides} == {-1, 0, 1}
    assert any(m.table is not None and len(np.unique(m.table)) < m.table.size for m in maps)
    assert any(row.strides and 0 in row.strides and row.shape[row.strides.index(0)] > 1 for row in rows)
    assert any(not m.is_injective() and 0 not in m.strides for m in affine)


# whole programs --------------------------------------------------------------------------------------------

LOCAL = {"native": None, "compiled": NativeExecutor(compile_from=1), "on tape": NativeExecutor(compile_from=1 << 60)}
WHOLE = 1e-12
"""Solves end within rounding times the condition of their blocks."""


@pytest.fixture(params=LOCAL)
def every_executor(request, monkeypatch):
    """Programs without a name for their executor run on this one."""
    if LOCAL[request.param] is not None:
        chosen = evaluation.executor_named
        monkeypatch.setattr(
            evaluation, "executor_named", lambda name: LOCAL[request.param] if name is None else chosen(name))
    return request.param


def alike(actual, expected, what):
    actual, expected = np.asarray(actual), np.asarray(expected)
    near(actual, expected, np.maximum(1.0, np.abs(expected).max(initial=0.0)), WHOLE, what)


def same_answers(make):
    """A program that ``make(executor=…)`` makes anew: values, multipliers, gradient, and the view optimizers see."""
    program, reference = make(executor=None), make(executor="reference")
    assert program.executor is None
    at, expected = program.evaluate(), reference.evaluate()
    alike(at.objective, expected.objective, "objective")
    for name in reference.symbols:
        alike(at[name], expected[name], f"value of {name}")
    for equation in reference.equations:
        alike(at.multiplier[equation.name], expected.multiplier[equation.name], f"multiplier of {equation.name}")
    for symbol in reference.of_kind("input"):
        alike(at.gradient[symbol.name], expected.gradient[symbol.name], f"gradient of {symbol.name}")
    same_views(program.reduced(), reference.reduced())
    return at


def same_views(view, reference):
    """The fast path and the reference, in turn at points around the declared one."""
    rng = np.random.default_rng(len(view.x0))
    for x in (view.x0, view.x0 * rng.uniform(0.97, 1.03, len(view.x0)), view.x0):
        value, gradient = view.value_and_gradient(x)
        expected, slope = reference.value_and_gradient(x)
        alike(value, expected, "objective of a view")
        alike(gradient, slope, "gradient of a view")
        alike(view.value(x), expected, "value of a view")
    alike(view.gradient(x), slope, "careful gradient of a view")


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family, every_executor):
    """Each kind of program by itself, sizes around the width of vectors and of small steps."""
    for seed in range(4 if every_executor != "compiled" else 2):
        same_answers(lambda executor, seed=seed: program(seed, [family], executor=executor))


@pytest.mark.parametrize("family", FAMILIES)
def test_long_families(family):
    """Large enough for the native executor to compile their groups, recurrences and blocks."""
    for seed in (101, 103):
        same_answers(lambda executor, seed=seed: program(seed, [family], (130, 257, 300), executor))


def test_mixtures(every_executor):
    rng = np.random.default_rng(3)
    for seed in range(16 if every_executor != "compiled" else 4):
        families = rng.choice([*FAMILIES], 3).tolist()
        same_answers(lambda executor, seed=seed, families=families: program(seed, families, executor=executor))


def test_long_mixtures():
    rng = np.random.default_rng(4)
    for seed in range(200, 204):
        families = rng.choice([*FAMILIES], 4).tolist()
        same_answers(lambda executor, seed=seed, families=families: program(seed, families, (3, 64, 260), executor))


def test_a_view_s_fast_path_is_the_one_compared():
    """The tool itself: views of these programs have a fast path."""
    for family in FAMILIES:
        assert program(1, [family]).reduced()._fast is not None


def test_blocks_of_one_form_in_several_arrays():
    """Blocks with the same kernels whose equations come from different, large, groups."""

    def make(executor):
        p = la.Program("twins", executor=executor)
        total = 0.0
        for i in range(3):
            a = p.input(f"a{i}", np.linspace(0.1 + 0.2 * i, 0.3 + 0.2 * i, 300))
            y = p.variable(f"y{i}", shape=300, start=0.5)
            p.equate(y, np.cos(y) * a)
            total = total + (i + 1.0) * np.sum(y * y)
        p.minimize(total)
        return p

    same_answers(make)


@pytest.mark.parametrize("n", [1, 3, 8, 9, 30, 45])
def test_many_equal_blocks(n, every_executor):
    """Chains and columns of blocks of n unknowns, small and large classes."""
    for members in (1, 2, 40):

        def make(executor, members=members):
            rng = np.random.default_rng(n)
            p = la.Program("equal", executor=executor)
            a = p.input("a", rng.uniform(0.5, 1.0, (members, n)))
            y, u = p.variable("y", shape=(members, n), start=0.1), p.variable("u", shape=(members, n))
            matrix = rng.uniform(-1, 1, (n, n)) / n
            before = np.concatenate([np.zeros((1, n)), y[:-1]])
            p.equate(y, a + 0.5 * np.sin(np.roll(y, 1, axis=1)) + 0.1 * before)
            p.equate(u + 0.1 * u**3, np.tanh(u) @ matrix * 0.5 + y, for_=u)
            p.minimize(np.sum(u * y))
            return p

        at = same_answers(make)
        assert all(block.message == "solved by compiled code" for block in at.blocks)


def test_solves_far_from_their_solution_stay_native():
    """Slopes that fall by more than 1/eps on the way are no reason to call a Jacobian singular."""
    for k in (1, 3, 12):

        def make(executor, k=k):
            p = la.Program("far", executor=executor)
            a, y = p.input("a", np.linspace(0.5, 1.0, k)), p.variable("y", shape=k, start=60.0)
            p.equate(np.exp(y) + 0.1 * np.roll(np.exp(y), 1), a, for_=y)
            p.minimize(np.sum(y))
            return p

        at = same_answers(make)
        assert [block.message for block in at.blocks] == ["solved by compiled code"]


# the drawn programs of the property tests ------------------------------------------------------------------

quiet = settings(suppress_health_check=[*HealthCheck], max_examples=120)


def _drawn_again(drawn, executor):
    """The drawn program for another executor: an equal one, read from its pickle."""
    again = pickle.loads(pickle.dumps(drawn.program))
    again.executor = executor
    return again


@settings(quiet)
@given(acyclic())
def test_drawn_acyclic(drawn):
    same_answers(lambda executor: _drawn_again(drawn, executor))


@settings(quiet)
@given(cyclic())
def test_drawn_cyclic(drawn):
    same_answers(lambda executor: _drawn_again(drawn, executor))


@settings(quiet, max_examples=60)
@given(st.one_of(acyclic(), cyclic()))
def test_drawn_on_tape(drawn):
    with pytest.MonkeyPatch.context() as patch:
        chosen = evaluation.executor_named
        patch.setattr(evaluation, "executor_named", lambda name: LOCAL["on tape"] if name is None else chosen(name))
        same_answers(lambda executor: _drawn_again(drawn, executor))


@settings(quiet, max_examples=6)
@given(st.one_of(acyclic(), cyclic()))
def test_drawn_compiled(drawn):
    with pytest.MonkeyPatch.context() as patch:
        chosen = evaluation.executor_named
        patch.setattr(evaluation, "executor_named", lambda name: LOCAL["compiled"] if name is None else chosen(name))
        same_answers(lambda executor: _drawn_again(drawn, executor))
