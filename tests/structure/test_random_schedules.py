"""Random structures: scheduled or refused as networkx's matching says, and validated step by step."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lagrange_ad.structure import TEAR, TORN, Deficiency, build_schedule

from .graphs import Builder, perfectly_matched, validate


@st.composite
def structures(draw):
    """Declared blocks of sizes 1 to 3; explicit, implicit and auxiliary equations; some unknowns fixed."""
    b = Builder()
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=7))
    blocks = [b.columns(size, started=draw(st.booleans())) for size in sizes]
    b.columns(2, unknown=False)
    hidden = [b.columns(size) for size in draw(st.lists(st.integers(1, 2), max_size=3))]
    n = b.column_start[-1]
    parents = st.lists(st.integers(0, n - 1), max_size=3)
    allowed = [*range(hidden[0][0] if hidden else n)]
    for columns in hidden:
        rows = [draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=3)) for _ in columns]
        b.rows(rows, own=columns, auxiliary=True)
        allowed += columns.tolist()
    for number, columns in enumerate(draw(st.permutations(blocks))):
        rows = [draw(parents) for _ in columns]
        kind = draw(st.sampled_from(["explicit", "explicit", "implicit", "other"]))
        if kind == "explicit":
            b.rows(rows, own=columns)
        elif kind == "implicit":
            place = draw(st.permutations(columns.tolist()))
            preferred = draw(st.sampled_from([-1, number]))
            b.rows([[*row, column] for row, column in zip(rows, place, strict=True)], preferred=preferred)
        else:
            b.rows(rows, own=draw(st.sampled_from(blocks))[:1].repeat(len(columns)))
    if draw(st.integers(0, 4)) == 0:
        b.unknown[0], b.unknown[sum(sizes)] = False, True
    columns = st.integers(0, sum(sizes) - 1)
    b.tear = draw(st.dictionaries(columns, st.sampled_from([TEAR, TORN]), max_size=2))
    return b.build(), draw(st.integers(1, 4))


@settings(max_examples=500)
@given(structures())
def test_random_structures(case):
    structure, narrow = case
    schedule = build_schedule(structure, narrow)
    if perfectly_matched(structure):
        assert not isinstance(schedule, Deficiency)
        validate(structure, schedule, narrow)
    else:
        assert isinstance(schedule, Deficiency)
        parts = schedule.parts
        assert (
            parts.over_rows.size > parts.over_columns.size or parts.under_columns.size > parts.under_rows.size
        )
        assert structure.unknown[np.concatenate((parts.over_columns, parts.under_columns))].all()
