"""How schedules print."""

import numpy as np

from lagrange_ad.structure import Block, Schedule, Sequence, Wide, describe

NOTHING = np.zeros(0, np.int64)


def described(*steps, first_auxiliary=200_000):
    return describe(Schedule(steps, NOTHING), lambda row: f"z[{row}]", first_auxiliary).split("\n")


def block(*rows, eliminated=(), torn=None):
    layers = tuple(np.array(layer) for layer in eliminated)
    return Block(np.array(rows), np.array(rows), layers, (), np.arange(len(rows)) if torn is None else np.array(torn))


def test_one_line_a_step():
    assert described(
        Wide(np.arange(100_000)),
        Sequence(np.array([7, 8])),
        block(3, 4, eliminated=[[200_005], [200_006]]),
        block(9, eliminated=[[200_001]]),
    ) == [
        "wide      z[0], z[1], z[2] … (100 000 rows)",
        "sequence  z[7], z[8]",
        "block     z[3], z[4], with 2 auxiliaries",
        "block     z[9], with 1 auxiliary",
    ]


def test_similar_steps_share_a_line():
    steps = [block(3 * i, 3 * i + 1, 3 * i + 2) for i in range(10_000)]
    assert described(*steps) == ["10 000 blocks of 3: z[0], z[1], z[2]; z[3], z[4], z[5]; …"]


def test_long_schedules_are_cut():
    steps = [step for i in range(5000) for step in (Wide(np.array([2 * i])), block(2 * i + 1))]
    lines = described(*steps)
    assert len(lines) == 41 and lines[-1] == "… and 9 960 more steps"


def test_nothing_to_do():
    assert described() == [""]


def test_what_is_torn():
    assert described(block(3, 4, torn=[1]), block(*range(12), torn=[0, 5])) == [
        "block     z[3], z[4], torn: z[4]",
        "block     z[0], z[1], z[2] … (12 rows), torn: z[0], z[5]",
    ]
    solved_in_one = block(7, eliminated=[[8, 9], [200_000]])
    assert described(solved_in_one) == ["block     z[7], z[8], z[9], with 1 auxiliary, torn: z[7]"]
    steps = [block(3 * i, eliminated=[[3 * i + 1], [3 * i + 2]]) for i in range(5)]
    assert described(*steps) == ["5 blocks of 3: z[0], z[1], z[2]; z[3], z[4], z[5]; …"]
    schedule = Schedule((solved_in_one,), NOTHING)
    shown = describe(schedule, lambda row: f"e[{row}]", 200_000, lambda column: f"z[{column}]")
    assert shown == "block     e[7], e[8], e[9], with 1 auxiliary, torn: z[7]"
