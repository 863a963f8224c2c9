"""How a view is shown: x with its start and bounds, and what it is constrained by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..expression import Array
from ..lowering import Blocks
from ..solution.showing import in_parts, shape_text
from ..tables import ARRAY_COLUMNS, Column, Report, Rows, Table, array_cells
from ..text import listing, number

if TYPE_CHECKING:
    from .view import View


def view_report(view: View) -> Report:
    """The view as titled tables."""
    lowered = view.lowered
    assert lowered.objective is not None
    word = "input" if view.space.name == "reduced" else "variable"
    count = f"{view.inputs.size} {word}{'' if view.inputs.size == 1 else 's'}"
    sign = "−" if view.sign < 0 else ""
    heading = f"{lowered.name}: {sign}{lowered.objective.name} as a function of {count}, to be minimized"
    names = view.constraint_names
    return Report(heading, _tables(view.inputs, (("x0", view.x0), ("lower", view.lower), ("upper", view.upper)), word),
                  [f"constraints: {listing(names)}"] if names else [])


def _tables(blocks: Blocks, sides: tuple[tuple[str, Array], ...], word: str) -> list[Table]:
    """x0 and bounds of the elements, and of arrays."""
    elements, arrays = in_parts(blocks, range(len(blocks.names)))
    rows = [(block, what, flat) for block in arrays for what, flat in sides]
    name, start = Column(word, role="name"), blocks.start
    return [
        Table("", [name, *(Column(what, numeric=True) for what, _ in sides)], Rows(len(elements), lambda i: [
            blocks.element(elements[i]), *(number(flat[elements[i]]) for _, flat in sides)])),
        Table("arrays", [name, Column("shape", role="kind"), Column("of", role="kind"), *ARRAY_COLUMNS],
              Rows(len(rows), lambda i: [
                  blocks.names[rows[i][0]], shape_text(blocks.shapes[rows[i][0]]), rows[i][1],
                  *array_cells(rows[i][2][start[rows[i][0]] : start[rows[i][0] + 1]])])),
    ]  # fmt: skip
