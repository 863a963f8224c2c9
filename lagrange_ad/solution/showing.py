"""What points and schedules show: a table of elements, one that summarises arrays, constraints, cycles, steps.

Takes points, mappings by name and plans; gives reports (``tables``). Nothing is made for rows that no table shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DomainError
from ..expression import Array, Symbol
from ..lowering import Blocks
from ..structure import described_steps
from ..tables import ARRAY_COLUMNS, Column, Report, Rows, Table, array_cells, is_small
from ..text import listing, number, shorten, values

if TYPE_CHECKING:
    from .block import BlockReport
    from .plan import Plan
    from .point import Named, Point

MOST_BLOCKS = 8
MOST_ERRORS = 1000
"""Plain data of a point has error estimates where it has at most this many cycles."""
MOST_IN_WORDS = 6
MOST_NAMES = 40
MULTIPLIER, GRADIENT = "multiplier dJ/dε", "gradient dJ/dx"


def point_report(at: Point) -> Report:
    """Values, multipliers and gradient, then what is left: constraints, cycles, what was guessed."""
    heading = at._head()
    tables = [*symbol_tables(at, "name"), *_equation_tables(at), *_constraint_tables(at)]
    return Report(heading, tables, list(_notes(at, heading)))


def point_data(at: Point) -> dict[str, Any]:
    """Everything a point has as plain Python numbers, lists and strings, for JSON."""
    lowered, has_errors = at._lowered, len(at.blocks) <= MOST_ERRORS
    result: dict[str, Any] = {
        "program": lowered.name,
        "values": {name: value.tolist() for name, value in at.values.items()},
        "blocks": [
            {"unknowns": b.unknowns, "equations": b.equations, "iterations": b.iterations, "residual": b.residual,
             "converged": b.converged, "message": b.message,
             **({"error": float(b.error.max(initial=0.0))} if has_errors else {})} for b in at.blocks
        ],
    }
    if at.units:
        result["units"] = at.units
    if lowered.constraints:
        result["constraints"] = {c.name: np.asarray(at[c.name]).tolist() for c in lowered.constraints}
    if lowered.objective is not None and at.solved:
        result["sense"] = lowered.objective.sense
        try:
            result["objective"] = at.objective
        except DomainError as error:
            result["message"] = str(error)
    if lowered.objective is not None and at.blocks:
        result["objective_error"], result["objective_estimate"] = at.objective_error, at.objective_estimate
    if at._why_no_multipliers:
        result["message"] = at._why_no_multipliers
    if at.notes:
        result["notes"] = list(at.notes)
    if at.has_multipliers:
        result["multipliers"] = {name: np.asarray(value).tolist() for name, value in at.multiplier.items()}
        result["gradient"] = {name: np.asarray(value).tolist() for name, value in at.gradient.items()}
    return result


def in_parts(blocks: Blocks, chosen: Sequence[int]) -> tuple[Array, list[int]]:
    """The elements of the small blocks among the chosen ones, and the numbers of the others."""
    numbers = np.asarray(chosen, dtype=np.int64)
    sizes = np.diff(blocks.start)[numbers]
    shown = [is_small(size, blocks.labels[i] is not None) for i, size in zip(chosen, sizes.tolist(), strict=True)]
    small = numbers[np.asarray(shown, dtype=bool)]
    of_block = np.zeros(len(blocks.start) - 1, dtype=bool)
    of_block[small] = True
    elements = np.flatnonzero(np.repeat(of_block, np.diff(blocks.start)))
    return elements, [i for i, small_one in zip(chosen, shown, strict=True) if not small_one]


class _Symbols:
    """The numbers of a point's symbols, element by element and block by block."""

    def __init__(self, at: Point) -> None:
        self.lowered, self.roles, self.unknown = at._lowered, at._plan.roles, at._plan.unknown
        self.symbols: list[Symbol] = list(self.lowered.symbols.values())
        self.z = at.state
        self.has = at.has_multipliers
        self.lam: Array = at.adjoints[0] if self.has else np.empty(0)
        self.w: Array = at.adjoints[1] if self.has else np.empty(0)

    def equation(self, block: int) -> int | None:
        """The first row of the equation that goes by the name of a variable and has its shape."""
        lowered, symbol = self.lowered, self.symbols[block]
        number = lowered.rows.slices.number.get(symbol.name, len(lowered.equations))
        if number >= len(lowered.equations) or lowered.equations[number].shape != symbol.shape:
            return None
        return int(lowered.rows.start[number])

    def element(self, column: int) -> list[str]:
        """Value, unit, multiplier and gradient of one element of the state."""
        block = self.lowered.state.block_of(column)
        symbol, row = self.symbols[block], self.equation(block) if self.has else None
        at = column - int(self.lowered.state.start[block])
        multiplier = "" if row is None else number(self.lam[row + at])
        given = symbol.kind != "variable" or not self.unknown[column]
        gradient = number(0.0 if self.unknown[column] else self.w[column]) if self.has and given else ""
        return [self.lowered.state.element(column), self.roles.kind(symbol, column), number(self.z[column]),
                symbol.unit, multiplier, gradient]

    def arrays(self, block: int) -> Iterator[tuple[int, str]]:
        """What there is to say of an array: (block, quantity)."""
        yield block, "value"
        if self.has and self.equation(block) is not None:
            yield block, "multiplier"
        symbol = self.symbols[block]
        if self.has and (symbol.kind != "variable" or self.roles.has_given(symbol.name)):
            yield block, "gradient"

    def array(self, block: int, quantity: str) -> list[str]:
        """The row of a quantity of an array; name, kind and shape stand in its first row."""
        symbol, start = self.symbols[block], int(self.lowered.state.start[block])
        end = int(self.lowered.state.start[block + 1])
        if quantity == "multiplier":
            row = self.equation(block)
            assert row is not None
            numbers = self.lam[row : row + end - start]
        else:
            numbers = self.z[start:end] if quantity == "value" else np.ravel(self.roles.masked(symbol.name, self.w))
        first = quantity == "value"
        head = [symbol.name, self.roles.kind(symbol), shape_text(symbol.shape)] if first else ["", "", ""]
        return [*head, quantity, symbol.unit if first else "", *array_cells(numbers)]


def symbol_tables(at: Point, title: str, kinds: Sequence[str] = ("input", "parameter", "variable")) -> list[Table]:
    """The table of elements and the one of arrays, of the symbols of some kinds."""
    found = _Symbols(at)
    chosen = [i for i, symbol in enumerate(found.symbols) if symbol.kind in kinds]
    elements, arrays = in_parts(found.lowered.state, chosen)
    has_unit = any(found.symbols[i].unit for i in chosen)
    every = [Column(title, role="name"), Column("kind", role="kind", drop=1), Column("value", numeric=True),
             Column("unit"), Column(MULTIPLIER, numeric=True, role="multiplier"),
             Column(GRADIENT, numeric=True, role="gradient")]
    several, variables = len(kinds) > 1, "variable" in kinds
    wanted = [True, several, True, has_unit, found.has and variables, found.has]
    tables = [select(Table("", every, Rows(len(elements), lambda i: found.element(int(elements[i])))), wanted)]
    rows = [row for block in arrays for row in found.arrays(block)]
    columns = [Column(title, role="name"), Column("kind", role="kind", drop=1), Column("shape", role="kind"),
               Column("of", role="kind"), Column("unit"), *ARRAY_COLUMNS]
    array_table = Table("arrays", columns, Rows(len(rows), lambda i: found.array(*rows[i])))
    return [*tables, select(array_table, [True, several, True, True, has_unit, *[True] * len(ARRAY_COLUMNS)])]


def select(table: Table, wanted: Sequence[bool]) -> Table:
    """The wanted columns of a table."""
    kept = [i for i, is_wanted in enumerate(wanted) if is_wanted]
    columns = [table.columns[i] for i in kept]

    def cells(i: int) -> list[str]:
        row = table.rows[i]
        return [row[j] for j in kept]

    return Table(table.heading, columns, Rows(len(table.rows), cells))


def _equation_tables(at: Point) -> list[Table]:
    """The equations that do not go by a variable's name, with their multipliers, or residuals without an objective."""
    lowered, has = at._lowered, at.has_multipliers
    extra = [i for i, equation in enumerate(lowered.equations) if equation.name not in lowered.symbols]
    if not extra:
        return []
    numbers, what = (at.adjoints[0], "multiplier") if has else (at._residuals, "residual")
    elements, arrays = in_parts(lowered.rows, extra)
    columns = [Column("equation", role="name"), Column(what, numeric=True, role="multiplier")]
    return [
        Table("equations", columns, Rows(len(elements), lambda i: [
            lowered.rows.element(int(elements[i])), number(numbers[elements[i]])])),
        _array_table("equations of arrays", Rows(len(arrays), lambda i: [
            lowered.rows.names[arrays[i]], shape_text(lowered.rows.shapes[arrays[i]]), what,
            *array_cells(numbers[lowered.rows.start[arrays[i]] : lowered.rows.start[arrays[i] + 1]])])),
    ]  # fmt: skip


def _array_table(heading: str, rows: Rows) -> Table:
    """A table of one quantity an equation."""
    return Table(heading, [Column("equation", role="name"), Column("shape", role="kind"), Column("of", role="kind"),
                           *ARRAY_COLUMNS], rows)


def _constraint_tables(at: Point) -> list[Table]:
    constraints = at._lowered.constraints
    columns = [Column("name", role="name"), Column("constraint"), Column("value", numeric=True)]
    return [Table("constraints, not enforced here", columns, Rows(len(constraints), lambda i: [
        constraints[i].name, shorten(str(constraints[i])), values(at[constraints[i].name])]))]


def _notes(at: Point, heading: str) -> Iterator[str]:
    why, reports = at._why_no_multipliers, at._solved.reports
    if why is not None and why not in heading:
        yield f"no multipliers and no gradient: {why}"
    yield from at.notes
    for report in reports[:MOST_BLOCKS]:
        yield f"{report.kind} {{{listing(report.unknowns, 6)}}}: {report}{_trust(at, report)}"
    if len(reports) > MOST_BLOCKS:
        yield f"… {len(reports) - MOST_BLOCKS} more blocks"
    guessed = at._solved.guessed_columns
    if len(guessed):
        first = [at._lowered.state.element(column) for column in guessed[:MOST_BLOCKS].tolist()]
        more = f", … ({len(guessed)} in all)" if len(guessed) > len(first) else ""
        yield f"no start given for {', '.join(first)}{more}: began at 0 or the nearest bound"


def _trust(at: Point, report: BlockReport) -> str:
    """How far a block is off, and what its residuals do to the objective."""
    if not report.converged:
        known = at._lowered.objective is not None and np.isfinite(at.objective_estimate)
        return f"; with λ·r the objective is near {number(f'{at.objective_estimate:.6g}')}" if known else ""
    text = f", error ≤ {report.error.max(initial=0.0):.2g}"
    if not at.has_multipliers:
        return text
    rows = report.step.user_rows
    return f"{text}, objective ± {abs(at._effect.shift[rows].sum()) + at._effect.margin[rows].sum():.2g}"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape as one writes it; nothing for a scalar."""
    return str(shape) if shape else ""


def named_report(named: Named, what: str, column: str, blocks: Blocks | None) -> Report:
    """Numbers by name: those of the first and last names, elements of small arrays one by one."""
    names = list(named)
    cut = len(names) > 2 * MOST_NAMES
    shown = [*names[:MOST_NAMES], *names[-MOST_NAMES:]] if cut else names
    elements: list[list[str]] = []
    arrays: list[list[str]] = []
    for name in shown:
        array = np.asarray(named[name])
        labels = blocks.labels[blocks.slices.number[name]] if blocks is not None else None
        if is_small(array.size, labels is not None):
            one = Blocks([name], [array.shape], [labels])
            elements += [[one.element(i), number(value)] for i, value in enumerate(array.ravel().tolist())]
        else:
            arrays.append([name, shape_text(array.shape), *array_cells(array)])
    role = column.split(" ")[0]
    first, last = Column(what, role="name"), Column(column, numeric=True, role=role)
    tables = [Table("", [first, last], elements),
              Table(f"arrays: {column}", [first, Column("shape", role="kind"), *ARRAY_COLUMNS], arrays)]
    more = [f"{len(names)} names in all: the first and the last {MOST_NAMES} were looked at"] if cut else []
    return Report("" if names else f"no {what}", tables, more)


def schedule_report(plan: Plan) -> Report:
    """The steps of a plan, one row each, or one for many alike."""
    lowered, steps = plan.lowered, len(plan.steps)
    heading = f"schedule of {lowered.name}: {steps} {'step' if steps == 1 else 'steps'}"
    rows = described_steps(plan.schedule, lowered.row_name, lowered.n_user_rows, lowered.state.element)
    return Report(heading, [Table("", [Column("step", role="kind"), Column("rows")], rows)])


def cycles_in_words(plan: Plan) -> str:
    """The blocks of a plan: the unknowns of cycles, and those of single implicit equations."""
    def elements(columns: Array) -> str:
        shown = ", ".join(map(plan.lowered.state.element, columns[:MOST_IN_WORDS].tolist()))
        return shown if len(columns) <= MOST_IN_WORDS else f"{shown}, … ({len(columns)} in all)"

    from .steps import BlockStep

    blocks = [step.user_columns for step in plan.steps if isinstance(step, BlockStep)]
    cycles = [f"{{{elements(columns)}}}" for columns in blocks if len(columns) > 1]
    implicit = [elements(columns) for columns in blocks if len(columns) == 1]
    parts = [f"{'cycle' if len(cycles) == 1 else 'cycles'} {listing(cycles, MOST_IN_WORDS)}"] if cycles else []
    parts += [f"solved for by itself: {listing(implicit, MOST_IN_WORDS)}"] if implicit else []
    return "; ".join(parts) or "no cycles"
