"""The lowered program: rows, a flat state and groups of kernel instances, with no expressions left.

Takes declarations; gives the groups of the equations (auxiliaries among them), of the objective and of the
constraints, the layout of state and rows, and which rows meet which state elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..expression import Array, Expression, Symbol, symbols_of
from ..forms import PackedEquations, Sides
from ..program import Constraint, Declarations, Equation, Objective
from ..structure.blocks import changes, compress, expand
from .cuts import SIZE_CAP, Cuts
from .grouping import Group, GroupMaker, IndexMap
from .instances import heaviness, residuals
from .irregular import ROWS, Pieces, Root, take_apart
from .layout import Blocks, state_blocks
from .own import own_elements
from .terms import TermMaker, spread


@dataclass(frozen=True, eq=False)
class Lowered:
    """One version of a program, lowered.

    ``state``: blocks of z, the user's first, then auxiliaries (from ``n_user`` on). ``rows``: blocks of equation rows,
    in the same manner (``n_user_rows``), the results of irregular expressions last (from ``n_regular_rows`` on); the
    objective's row is ``rows.size``, the constraints' rows follow in the order of ``constraint_rows``. ``own[row]``:
    the state element alone on the left, or −1. ``source[i]``: the user's equation that row block i belongs to.
    ``unknown_scale``, ``equation_scale``: the sizes that the user gave, an element of the state and a row; NaN where
    none, None where there are none at all.
    """

    name: str
    equations: tuple[Equation, ...]
    objective: Objective | None
    constraints: tuple[Constraint, ...]
    symbols: dict[str, Symbol]
    state: Blocks
    rows: Blocks
    constraint_rows: Blocks
    n_user: int
    n_user_rows: int
    n_regular_rows: int
    own: Array
    source: tuple[str, ...]
    groups: tuple[Group, ...]
    objective_groups: tuple[Group, ...]
    constraint_groups: tuple[Group, ...]
    unknown_scale: Array | None
    equation_scale: Array | None

    @property
    def n_rows(self) -> int:
        """Number of equation rows, auxiliaries included."""
        return self.rows.size

    @property
    def objective_row(self) -> int:
        """The row of the objective: after all equation rows."""
        return self.rows.size

    @cached_property
    def multiplier_blocks(self) -> Blocks:
        """What has a multiplier, by name: the user's equations, then the constraints."""
        return self.rows.head(len(self.equations)).then(self.constraint_rows)

    @property
    def first_constraint_row(self) -> int:
        """The first row of the constraints: after the objective's."""
        return self.rows.size + 1

    @property
    def constraint_row_numbers(self) -> Array:
        """The numbers of all the constraints' rows."""
        return np.arange(self.first_constraint_row, self.n_all_rows)

    @property
    def n_all_rows(self) -> int:
        """Equation rows, the objective's and the constraints'."""
        return self.rows.size + 1 + self.constraint_rows.size

    @cached_property
    def all_groups(self) -> tuple[Group, ...]:
        """The groups of every row."""
        return self.groups + self.objective_groups + self.constraint_groups

    def row_name(self, row: int) -> str:
        """The user's name of an equation row; an auxiliary's rows go by the equation it came from."""
        if row < self.n_user_rows:
            return self.rows.element(row)
        return self.source[self.rows.block_of(row)]

    def coarse_incidence(self) -> tuple[Array, Array]:
        """The distinct pairs (row block, state block) that share an incidence."""
        return self._coarse_pairs

    @cached_property
    def _coarse_pairs(self) -> tuple[Array, Array]:
        return coarse_pairs(self.groups, self.rows, self.state)

    def incidence(self, row_blocks: Array) -> tuple[Array, Array]:
        """Element pairs (row, state element) of some row blocks, one or more times each."""
        chosen = np.zeros(len(self.rows.names), dtype=bool)
        chosen[row_blocks] = True
        parts = [entries for group in self.groups for entries in _entries(group, self.rows, chosen)]
        if not parts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def _entries(group: Group, rows: Blocks, chosen: Array) -> Iterable[tuple[Array, Array]]:
    low, high = group.row.range()
    blocks = np.searchsorted(rows.start, [low, high], side="right") - 1
    if not chosen[blocks[0] : blocks[1] + 1].any():
        return
    row = group.row.array().ravel()
    keep = chosen[np.searchsorted(rows.start, row, side="right") - 1]
    for arg in group.args:
        yield row[keep], arg.array().ravel()[keep]


def coarse_pairs(groups: Sequence[Group], rows: Blocks, state: Blocks) -> tuple[Array, Array]:
    """The distinct pairs (row block, state block) of groups, ascending."""
    pairs = [pair for group in groups for pair in _coarse_pairs(group, rows, state)]
    if not pairs:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    row, column = (np.concatenate(side) for side in zip(*pairs, strict=True))
    n_rows = len(rows.start)  # the row of the objective stands after all blocks
    indptr, indices = compress(n_rows, len(state.names), row, column)
    return expand(indptr), indices


def _coarse_pairs(group: Group, rows: Blocks, state: Blocks) -> Iterator[tuple[Array, Array]]:
    """Pairs of blocks, argument by argument; of equal ones that follow each other the first alone."""
    row = _blocks_of(group.row, rows)
    for arg in group.args:
        row_block, state_block = np.broadcast_arrays(row, _blocks_of(arg, state))
        new = changes(row_block) | changes(state_block)
        yield row_block[new], state_block[new]


def _blocks_of(positions: IndexMap, blocks: Blocks) -> Array:
    """The block of every instance's position, or one number where all are in the same."""
    ends = np.searchsorted(blocks.start, positions.range(), side="right") - 1
    if ends[0] == ends[1]:
        return np.asarray(ends[:1])
    return np.asarray(np.searchsorted(blocks.start, positions.array().ravel(), side="right") - 1)


def _residual_root(equation: Equation, explicit: bool) -> Expression:
    """The right side of an explicit equation; right − left of an implicit one, a plain 0 left out; in its shape."""
    if explicit or _is_zero(equation.left):
        root = equation.right
    else:
        root = -equation.left if _is_zero(equation.right) else equation.right - equation.left
    return spread(root, equation.shape)


def _is_zero(node: Expression) -> bool:
    return node.op == "constant" and node.shape == () and float(node.data) == 0.0


def lower(program: Declarations) -> Lowered:
    """Lower the present version of a program.

    Expressions are cut into kernels (``cuts``), then taken apart into terms (``terms``) and collected into groups.
    Equations between scalars are kept by form: those of one form are lowered at once (``instances``).
    """
    equations = tuple(program.equations)
    starts = _row_starts(equations)
    own = own_elements(program, equations, starts)
    explicit = _are_explicit(own, starts)
    light = [packed for packed in program.forms if heaviness(packed.form) <= SIZE_CAP]
    constraint_rows = Blocks(
        [c.name for c in program.constraints], [c.body.shape for c in program.constraints],
        [None for _ in program.constraints],
    )
    roots = [*_equation_roots(equations, explicit, starts, {id(packed) for packed in light}),
             *_other_roots(program, constraint_rows)]
    cuts, pieces, others = _cut(program, roots)
    auxiliaries = [*((symbol, source) for symbol, _, source in cuts.auxiliaries), *pieces.blocks]
    state, rows = state_blocks(program.symbols, [symbol for symbol, _ in auxiliaries]), _rows(equations, auxiliaries)
    for (symbol, _), start in zip(auxiliaries, state.start[len(program.symbols) :].tolist(), strict=False):
        symbol.start = start
    maker, first = TermMaker(cuts), {EQUATIONS: 0, OBJECTIVE: rows.size, CONSTRAINTS: rows.size + 1}
    n_cut = len(equations) + len(cuts.auxiliaries)
    pieces.place(int(rows.start[n_cut]), int(state.start[n_cut - len(equations) + len(program.symbols)]),
                 maker.position)
    collected = {goal: _collect(maker, goal, first[goal], others, pieces) for goal in (OBJECTIVE, CONSTRAINTS)}
    return Lowered(
        name=program.name,
        equations=equations,
        objective=program.objective,
        constraints=tuple(program.constraints),
        symbols=dict(program.symbols),
        state=state,
        rows=rows,
        constraint_rows=constraint_rows,
        n_user=program.size,
        n_user_rows=int(starts[-1]),
        n_regular_rows=int(rows.start[n_cut]),
        own=np.concatenate([own, np.arange(program.size, state.size)]),
        source=(*(e.name for e in equations), *(source for _, source in auxiliaries)),
        groups=_equation_groups(maker, light, explicit, starts, others, pieces),
        objective_groups=collected[OBJECTIVE],
        constraint_groups=collected[CONSTRAINTS],
        unknown_scale=_scales(state, {name: s.scale for name, s in program.symbols.items() if s.scale is not None}),
        equation_scale=_scales(rows, {e.name: program.equation_scales[e.name] for e in equations
                                      if e.name in program.equation_scales} if program.equation_scales else {}),
    )


def _scales(blocks: Blocks, given: Mapping[str, Array]) -> Array | None:
    """The given sizes as one flat array, NaN where there are none."""
    if not given:
        return None
    found = np.full(blocks.size, np.nan)
    for name, scale in given.items():
        found[blocks.slices[name]] = np.ravel(scale)
    return found


EQUATIONS, OBJECTIVE, CONSTRAINTS = "equations", "objective", "constraints"
"""What the rows of expressions are counted in."""


def _rows(equations: Sequence[Equation], auxiliaries: Sequence[tuple[Symbol, str]]) -> Blocks:
    """The rows of the equations, then those of the auxiliaries."""
    symbols = [symbol for symbol, _ in auxiliaries]
    return Blocks(
        [*(e.name for e in equations), *(symbol.name for symbol in symbols)],
        [*(e.shape for e in equations), *(symbol.shape for symbol in symbols)],
        [*(_row_labels(e) if e.shape else None for e in equations), *(None for _ in symbols)],
    )


def _equation_groups(maker: TermMaker, light: Sequence[PackedEquations], explicit: Array, starts: Array,
                     others: Sequence[Root], pieces: Pieces) -> tuple[Group, ...]:
    """The groups of the equations, by form, one by one, and of the auxiliaries."""
    terms = maker.groups = GroupMaker()
    for packed in light:
        for columns in residuals(packed, explicit):
            terms.add_columns(columns, starts[columns.owners])
    _add(maker, EQUATIONS, 0, others, pieces)
    row = int(starts[-1])
    for _, expression, _ in maker.cuts.auxiliaries:
        maker.equation(expression, row, whole=True)
        row += expression.size
    _add(maker, ROWS, 0, others, pieces)
    return terms.groups()


def _collect(maker: TermMaker, goal: str, first: int, others: Sequence[Root], pieces: Pieces) -> tuple[Group, ...]:
    """The groups of a goal's expressions."""
    terms = maker.groups = GroupMaker()
    _add(maker, goal, first, others, pieces)
    return terms.groups()


def _add(maker: TermMaker, goal: str, first: int, others: Sequence[Root], pieces: Pieces) -> None:
    """Lower what adds to a goal's rows, from the first on: the roots that are not in pieces, and the pieces."""
    for root in others:
        if root.goal == goal:
            maker.equation(root.node, first + root.row)
    for term in pieces.terms:
        if term.goal == goal:
            maker.equation(term.node, pieces.row(term.row, first), factor=term.factor)
    for columns in pieces.columns(goal, first):
        maker.groups.add_columns(columns, columns.owners)


def _row_starts(equations: Sequence[Equation]) -> Array:
    """The first row of every equation, and the number of rows at the end."""
    sizes = [int(np.prod(e.shape, dtype=np.int64)) if e.shape else 1 for e in equations]
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _are_explicit(own: Array, starts: Array) -> Array:
    """Whether the first row of every equation, and so each, has its own element; True where there is none."""
    explicit = np.ones(len(starts) - 1, dtype=bool)
    filled = np.flatnonzero(np.diff(starts))
    explicit[filled] = own[starts[filled]] >= 0
    return explicit


def _equation_roots(equations: Sequence[Equation], explicit: Array, starts: Array, light: set[int]) -> list[Root]:
    """The residuals that are lowered one by one: all but those of light forms."""
    return [
        Root(_residual_root(e, bool(explicit[i])), EQUATIONS, int(starts[i]), e.name, e.location, not explicit[i])
        for i, e in enumerate(equations) if isinstance(e.sides, Sides) or id(e.sides) not in light
    ]


def _other_roots(program: Declarations, constraint_rows: Blocks) -> list[Root]:
    """The objective and the constraints."""
    roots, objective = [], program.objective
    if objective is not None:
        source = f"the objective {objective.name}"
        roots.append(Root(objective.expression, OBJECTIVE, 0, source, objective.location))
    starts = constraint_rows.start.tolist()
    return roots + [Root(c.body, CONSTRAINTS, start, c.name, c.location)
                    for c, start in zip(program.constraints, starts, strict=False)]


def _cut(program: Declarations, roots: Sequence[Root]) -> tuple[Cuts, Pieces, list[Root]]:
    """The cuts of all roots, the pieces of irregular ones, and the other roots."""
    cuts = Cuts()
    pieces = take_apart(roots, cuts, program)
    others = [root for root in roots if id(root) not in pieces.taken]
    for root in others:
        cuts.visit(root.node, root.source, program, root.location)
    return cuts, pieces, others


def _row_labels(equation: Equation) -> list[object] | None:
    """Element names of an equation: of the variable it determines, else of the one like-shaped variable in it."""
    symbol = equation.own or equation.determines
    if symbol is None and equation.shape:
        labelled = [s for side in (equation.left, equation.right) for s in symbols_of(side)
                    if s.labels is not None and s.shape == equation.shape]
        symbol = labelled[0] if len({id(s) for s in labelled}) == 1 else None
    return symbol.labels if symbol is not None else None
