"""Schedules of known structures, step by step."""

import numpy as np
import pytest

from lagrange_ad.structure import Block, Deficiency, Sequence, Wide, build_schedule

from .graphs import Builder, validate


def scheduled(builder, **options):
    structure = builder.build()
    builder.asked.clear()
    schedule = build_schedule(structure, **options)
    builder.asked_by_schedule = list(builder.asked)
    if not isinstance(schedule, Deficiency):
        validate(structure, schedule, **options)
    return schedule


def kinds(schedule):
    return [type(step) for step in schedule.steps]


def each(*columns):
    """Parents of an array equation taken element by element."""
    return list(zip(*columns, strict=True))


def test_acyclic_array_equations_never_ask_for_elements():
    b = Builder()
    x = b.columns(50, unknown=False)
    v, w, s = b.columns(50), b.columns(50), b.columns(1)
    total = b.rows([w], own=s)
    second = b.rows(each(v, x), own=w)
    first = b.rows(each(x), own=v)
    schedule = scheduled(b)
    assert b.asked_by_schedule == []
    assert [step.rows.tolist() for step in schedule.steps] == [
        first.tolist(),
        second.tolist(),
        total.tolist(),
    ]
    assert kinds(schedule) == [Wide, Wide, Wide]


def test_independent_equations_of_one_level_run_together():
    b = Builder()
    x = b.columns(30, unknown=False)
    rows = [b.rows(each(x), own=b.columns(30)) for _ in range(4)]
    schedule = scheduled(b)
    assert kinds(schedule) == [Wide]
    assert schedule.steps[0].rows.tolist() == np.concatenate(rows).tolist()


def test_sellar_cycle():
    b = Builder()
    z1, z2, x = (b.columns(unknown=False) for _ in range(3))
    y1, y2 = b.columns(), b.columns(started=False)
    f = b.columns()
    row1 = b.rows([[*z1, *z2, *x, *y2]], own=y1)
    row2 = b.rows([[*y1, *z1, *z2]], own=y2)
    row3 = b.rows([[*x, *y1, *y2]], own=f)
    block, after = scheduled(b).steps
    assert isinstance(block, Block) and isinstance(after, Wide)
    assert block.rows.tolist() == [*row1, *row2] and block.columns.tolist() == [*y1, *y2]
    assert block.eliminated == () and [layer.tolist() for layer in block.sweep] == [row2.tolist()]
    assert after.rows.tolist() == row3.tolist()
    assert 2 not in b.asked_by_schedule


def test_recurrence_in_an_array_is_a_sequence():
    b = Builder()
    z0, k = b.columns(unknown=False), b.columns(1000, unknown=False)
    z = b.columns(1000)
    rows = b.rows([[z[i - 1] if i else z0[0], k[i]] for i in range(1000)], own=z)
    schedule = scheduled(b)
    assert kinds(schedule) == [Sequence]
    assert schedule.steps[0].rows.tolist() == rows.tolist()


def test_alternating_recurrences_are_one_sequence():
    b = Builder()
    u, v = b.columns(100), b.columns(100)
    b.rows([[v[i - 1]] if i else [] for i in range(100)], own=u)
    b.rows([[u[i]] for i in range(100)], own=v)
    schedule = scheduled(b)
    assert kinds(schedule) == [Sequence] and len(schedule.steps[0].rows) == 200


def test_wide_recurrence_is_one_wide_step_a_level():
    b = Builder()
    z = b.columns(200)
    b.rows([[z[i - 20]] if i >= 20 else [] for i in range(200)], own=z)
    schedule = scheduled(b)
    assert kinds(schedule) == [Wide] * 10
    assert kinds(scheduled(b, narrow=21)) == [Sequence]


def test_scalar_chain_is_a_sequence_and_a_lone_scalar_is_wide():
    b = Builder()
    columns = [b.columns() for _ in range(30)]
    for i in range(30):
        b.rows([columns[i - 1] if i else []], own=columns[i])
    lone = Builder()
    lone.rows([[]], own=lone.columns())
    assert kinds(scheduled(b)) == [Sequence]
    assert kinds(scheduled(lone)) == [Wide]


def test_flip_of_a_plain_pair():
    b = Builder()
    y, u = b.columns(), b.columns()
    define = b.rows([u], own=y)
    target = b.rows([y])
    first, second = scheduled(b).steps
    assert isinstance(first, Block) and isinstance(second, Block)
    assert (first.rows.tolist(), first.columns.tolist()) == (target.tolist(), y.tolist())
    assert (second.rows.tolist(), second.columns.tolist()) == (define.tolist(), u.tolist())
    assert second.sweep == ()


def test_flip_through_an_auxiliary_keeps_it_with_its_block():
    b = Builder()
    y, a, u = b.columns(), b.columns(), b.columns()
    define = b.rows([a], own=y)
    hidden = b.rows([u], own=a, auxiliary=True)
    target = b.rows([y])
    first, second = scheduled(b).steps
    assert (first.rows.tolist(), first.columns.tolist()) == (target.tolist(), y.tolist())
    assert (second.rows.tolist(), second.columns.tolist()) == (define.tolist(), u.tolist())
    assert [layer.tolist() for layer in second.eliminated] == [hidden.tolist()]


def test_two_equations_of_one_auxiliary_are_deficient():
    b = Builder()
    a, u = b.columns(), b.columns(2)
    b.rows([u], own=a, auxiliary=True)
    b.rows([a])
    b.rows([a])
    assert isinstance(scheduled(b), Deficiency)


@pytest.mark.parametrize("dense", [False, True])
def test_implicit_array_equation_with_permuted_unknowns(dense):
    b = Builder()
    v, place = b.columns(40), np.random.default_rng(0).permutation(40)
    neighbour = np.roll(place, 1) if dense else place
    rows = b.rows(each(v[place], v[neighbour]))
    schedule = scheduled(b)
    if dense:
        (block,) = schedule.steps
        assert block.rows.tolist() == rows.tolist() and sorted(block.columns) == v.tolist()
    else:
        assert [step.rows.size for step in schedule.steps] == [1] * 40
        assert schedule.column_of_row.tolist() == v[place].tolist()


def test_implicit_array_equation_takes_the_array_it_contains():
    b = Builder()
    v, w = b.columns(5), b.columns(3)
    first = b.rows([[*w[:1], c] for c in v])
    second = b.rows(each(w))
    schedule = scheduled(b)
    assert schedule.column_of_row[first].tolist() == v.tolist()
    assert schedule.column_of_row[second].tolist() == w.tolist()


def test_preferred_block_wins_over_the_own_one():
    b = Builder()
    y, u = b.columns(2), b.columns(2)
    define = b.rows(each(u), own=y, preferred=1)
    other = b.rows(each(y, u), preferred=0)
    schedule = scheduled(b)
    assert schedule.column_of_row[define].tolist() == u.tolist()
    assert schedule.column_of_row[other].tolist() == y.tolist()


def test_partly_known_block_is_matched_by_elements():
    b = Builder()
    v, g = b.columns(4), b.columns(2, unknown=False)
    b.unknown[v[0]], b.unknown[g[1]] = False, True  # fix one, free another
    rows = b.rows([[g[i % 2], v[i - 1]] if i else [g[1]] for i in range(4)], own=v)
    schedule = scheduled(b)
    assert schedule.column_of_row[rows[0]] == g[1]
    assert schedule.column_of_row[rows[1:]].tolist() == v[1:].tolist()


def test_equations_for_parts_of_an_array():
    b = Builder()
    x, v = b.columns(unknown=False), b.columns(4)
    low = b.rows([x, x], own=v[:2])
    high = b.rows([v[:1], v[1:2]], own=v[[3, 2]])
    schedule = scheduled(b)
    assert kinds(schedule) == [Sequence]
    assert schedule.steps[0].rows.tolist() == [*low, *high]


def test_equations_for_parts_leave_the_rest_of_the_program_to_its_blocks():
    b = Builder()
    before, z, after = b.columns(99), b.columns(100), b.columns(100)
    b.rows([[]] * 99, own=before)
    b.rows([[]], own=z[:1])
    b.rows(each(z[:-1], before), own=z[1:])
    b.rows(each(z), own=after)
    assert kinds(scheduled(b)) == [Wide, Sequence, Wide]
    assert sorted(b.asked_by_schedule) == [1, 2]


def test_wrong_coarse_pairs_fall_back_to_elements():
    b = Builder()
    v, w = b.columns(2), b.columns(2)
    b.rows([v[:1], w[:1]], preferred=0)  # each block suggests an array that it contains only half of
    b.rows([v[1:], w[1:]], preferred=1)
    schedule = scheduled(b)
    assert sorted(schedule.column_of_row.tolist()) == [*v, *w]


def test_self_reference_is_a_block():
    b = Builder()
    z, w = b.columns(started=False), b.columns()
    row = b.rows([z], own=z)
    b.rows([z], own=w)
    block, after = scheduled(b).steps
    assert isinstance(block, Block) and isinstance(after, Wide)
    assert [layer.tolist() for layer in block.sweep] == [row.tolist()]


def test_array_that_refers_to_itself_in_part():
    b = Builder()
    z = b.columns(4)
    b.rows([[z[0]], [z[0]], [z[2], z[1]], [z[1]]], own=z)
    schedule = scheduled(b)
    assert kinds(schedule) == [Block, Sequence, Block]
    assert [step.rows.tolist() for step in schedule.steps] == [[0], [1, 3], [2]]


def test_over_determined():
    b = Builder()
    x, v, w = b.columns(unknown=False), b.columns(), b.columns()
    first, second = b.rows([x], own=v), b.rows([v])
    third = b.rows([v], own=w)
    deficiency = scheduled(b)
    assert isinstance(deficiency, Deficiency)
    assert (deficiency.n_rows, deficiency.n_unknowns) == (3, 2)
    assert deficiency.parts.over_rows.tolist() == [*first, *second]
    assert deficiency.parts.over_columns.tolist() == v.tolist()
    assert deficiency.parts.square_rows.tolist() == third.tolist()
    assert deficiency.parts.square_columns.tolist() == w.tolist()


def test_under_determined_with_equal_counts():
    b = Builder()
    x, v, u = b.columns(unknown=False), b.columns(3), b.columns(3)
    b.rows(each(x.repeat(3)), own=v)
    b.rows(each(v))
    deficiency = scheduled(b)
    assert isinstance(deficiency, Deficiency)
    assert deficiency.parts.over_columns.tolist() == v.tolist()
    assert deficiency.parts.under_columns.tolist() == u.tolist()
    assert deficiency.parts.under_rows.size == 0


def test_auxiliaries_inside_a_cycle():
    b = Builder()
    y = b.columns(3, started=False)
    mean, scale = b.columns(), b.columns()
    inner = b.rows([y], own=mean, auxiliary=True)
    outer = b.rows([mean], own=scale, auxiliary=True)
    rows = b.rows([scale, scale, scale], own=y)
    (block,) = scheduled(b).steps
    assert block.rows.tolist() == rows.tolist() and block.columns.tolist() == y.tolist()
    assert [layer.tolist() for layer in block.eliminated] == [inner.tolist(), outer.tolist()]
    assert [layer.tolist() for layer in block.sweep] == [inner.tolist(), outer.tolist(), rows.tolist()]


def test_auxiliaries_outside_cycles_are_ordinary_rows():
    b = Builder()
    y, a, f = b.columns(20), b.columns(), b.columns(20)
    b.rows([[]] * 20, own=y)
    b.rows([y], own=a, auxiliary=True)
    b.rows([a] * 20, own=f)
    assert kinds(scheduled(b)) == [Wide, Wide, Wide]


def test_sweep_starts_from_the_started_unknowns():
    b = Builder()
    first = b.columns(started=True)
    others = [b.columns(started=False) for _ in range(4)]
    chain = [b.rows([before], own=after) for before, after in zip([first, *others], others, strict=False)]
    b.rows([others[-1]], own=first)
    (block,) = scheduled(b).steps
    assert [layer.tolist() for layer in block.sweep] == [row.tolist() for row in chain]


def test_many_small_cycles_and_what_depends_on_them():
    b = Builder()
    total = b.columns()
    ends = []
    for _ in range(50):
        p, q, r = b.columns(), b.columns(), b.columns()
        for own, parent in ((p, r), (q, p), (r, q)):
            b.rows([parent], own=own)
        ends.extend(r)
    b.rows([ends], own=total)
    schedule = scheduled(b)
    assert kinds(schedule) == [Block] * 50 + [Wide]
    assert {step.rows.size for step in schedule.steps[:-1]} == {3}


def test_empty_blocks_and_empty_programs():
    assert scheduled(Builder()).steps == ()
    b = Builder()
    b.rows([], own=b.columns(0))
    x, v = b.columns(unknown=False), b.columns()
    b.rows([])
    b.rows([x], own=v)
    assert kinds(scheduled(b)) == [Wide]
    only_columns = Builder()
    only_columns.columns(3)
    assert scheduled(only_columns).parts.under_columns.tolist() == [0, 1, 2]
    only_rows = Builder()
    only_rows.rows([[], []])
    assert scheduled(only_rows).parts.over_rows.tolist() == [0, 1]
