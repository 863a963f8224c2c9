"""Structures of up to a million rows: right schedules, made without recursion."""

import numpy as np

from lagrange_ad.structure import Block, Sequence, Structure, Wide, build_schedule


def structure(row_start, column_start, own, unknown, rows, columns):
    """A structure whose pairs are given as arrays, the rows ascending."""
    block_of_row = np.repeat(np.arange(len(row_start) - 1), np.diff(row_start))
    block_of_column = np.repeat(np.arange(len(column_start) - 1), np.diff(column_start))
    coarse = np.unique(np.stack((block_of_row[rows], block_of_column[columns])), axis=1)

    def incidence(row_blocks):
        asked = np.isin(block_of_row[rows], row_blocks)
        return rows[asked], columns[asked]

    nothing = np.zeros(len(own), np.bool_)
    preferred = np.full(len(row_start) - 1, -1)
    return Structure(row_start, column_start, own, unknown, nothing, unknown, *coarse, preferred, incidence)


def chain(n, row_start, column_start):
    """z[i + 1] = f(z[i]), z[0] given."""
    row = np.arange(n)
    return structure(row_start, column_start, row + 1, np.arange(n + 1) > 0, row, row)


def test_recurrence_of_a_million_elements_in_one_array():
    n = 1_000_000
    schedule = build_schedule(chain(n, np.array([0, n]), np.array([0, 1, n + 1])))
    (step,) = schedule.steps
    assert isinstance(step, Sequence) and (step.rows == np.arange(n)).all()


def test_chain_of_a_million_scalar_equations():
    n = 1_000_000
    schedule = build_schedule(chain(n, np.arange(n + 1), np.arange(n + 2)))
    (step,) = schedule.steps
    assert isinstance(step, Sequence) and (step.rows == np.arange(n)).all()
    assert (schedule.column_of_row == np.arange(n) + 1).all()


def test_a_million_independent_scalar_equations():
    n = 1_000_000
    row = np.arange(n)
    unknown = np.arange(n + 1) > 0
    s = structure(np.arange(n + 1), np.arange(n + 2), row + 1, unknown, row, np.zeros(n, np.int64))
    (step,) = build_schedule(s).steps
    assert isinstance(step, Wide) and (step.rows == row).all()


def test_many_cycles_of_three():
    n = 20_000
    row = np.arange(3 * n)
    start = np.arange(3 * n + 1)
    s = structure(start, start, row, row >= 0, row, row // 3 * 3 + (row + 1) % 3)
    schedule = build_schedule(s)
    assert all(isinstance(step, Block) for step in schedule.steps)
    assert (np.stack([step.rows for step in schedule.steps]) == row.reshape(n, 3)).all()
    assert (schedule.column_of_row == row).all()


def test_implicit_stencil_with_permuted_unknowns():
    side = 150
    node = np.arange(side * side).reshape(side, side)
    above, below = node[:-1].ravel(), node[1:].ravel()
    left, right = node[:, :-1].ravel(), node[:, 1:].ravel()
    rows = np.concatenate((node.ravel(), above, below, left, right))
    columns = np.concatenate((node.ravel(), below, above, right, left))
    columns = np.random.default_rng(2).permutation(node.size)[columns]
    ends = np.array([0, node.size])
    everything = np.ones(node.size, np.bool_)
    s = structure(ends, ends, np.full(node.size, -1), everything, rows, columns)
    schedule = build_schedule(s)
    (block,) = schedule.steps
    assert sorted(block.columns.tolist()) == list(range(node.size))
    entries = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert set(zip(block.rows.tolist(), block.columns.tolist(), strict=True)) <= entries
