"""The page that a result prints: verdict, objective, how it was found, inputs, variables with shadow prices, what is
active with its multiplier, the certificate in short.

Takes a result; gives a report (``tables``), and plain data for JSON. Rows are made when they are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LagrangeError
from ..expression import Array
from ..lowering import Blocks
from ..solution.roles import flagged_blocks
from ..solution.showing import in_parts, select, shape_text
from ..tables import ARRAY_COLUMNS, Column, Report, Rows, Table, array_cells
from ..text import listing, number, plain, shorten
from .prices import Prices
from .reached import AWAY, BOTH, LOWER, UPPER, Reached, reached_bounds, reached_constraints
from .wording import told

if TYPE_CHECKING:
    from .optimum import OptimizeResult

PRICE, OF_BOUND, OF_SIDE = "shadow price dJ*/dε", "dJ*/d(bound)", "multiplier dJ*/db"
FEW = 8
"""So many elements of a large array that are at a bound are named, more are counted."""
SHORT = {"primal": "feasible", "stationarity": "stationary", "complementarity": "complementary", "signs": "signs"}


def optimum_report(r: OptimizeResult) -> Report:
    """The page a person reads."""
    page = _Page(r)
    return Report("\n".join(_heading(r)), page.tables(), list(page.notes()))


# the lines above ----------------------------------------------------------------------------------------------


def _heading(r: OptimizeResult) -> Iterator[str]:
    """The verdict with what fails, the objective, how it was found."""
    certificate, objective = r.certificate, r.view.lowered.objective
    assert objective is not None
    yield f"{r.view.lowered.name}: {'optimum certified: ' if certificate.ok else ''}{certificate.verdict}"
    failing = [finding for finding in certificate.findings if finding.severity == "error"]
    if failing:
        lines = told(failing)[1:]  # the first is the verdict
        yield from (line if line.startswith("error") else f"  {line.strip()}" for line in lines)
    yield f"{objective.sense} {objective.name} = {_objective(r)}"
    if not certificate.ok or r.reason != "solved":
        yield f"why it stopped: {r.answer.message if r.reason != 'solved' else f'{r.method} ended as at an optimum'}"
    yield (f"{r.method} in {r.view.space.name} space, {r.iterations} iteration{'' if r.iterations == 1 else 's'}, "
           f"{r.seconds:.3g} s")
    if r.why:
        yield f"chosen: {r.why}"


def _objective(r: OptimizeResult) -> str:
    try:
        return f"{number(r.objective)} {r.point.objective_unit}".rstrip()
    except LagrangeError as error:
        return f"nan ({str(error).splitlines()[0]})"


def _prices(r: OptimizeResult) -> tuple[Prices | None, str]:
    """All multipliers, or why there are none."""
    try:
        return r.prices, ""
    except LagrangeError as error:
        return None, str(error).splitlines()[0]


# the tables ---------------------------------------------------------------------------------------------------


class _Page:
    """The tables of a result; every element by its place in the program's own state."""

    def __init__(self, r: OptimizeResult) -> None:
        self.r, self.own = r, r.view.space.own
        self.prices, self.why_none = _prices(r)
        self.bounds = reached_bounds(r, self.prices)
        self.constraints = reached_constraints(r, self.prices)
        self.symbols = list(self.own.symbols.values())

    def tables(self) -> list[Table]:
        """Inputs and decisions, variables, equations with names of their own, constraints that are active."""
        chosen = self.r.view.space.chosen
        is_input = self._flags("input")
        found = (is_input | self._flags("variable")) & ~chosen
        decisions = bool((chosen & ~is_input).any())
        return [*self._elements("input" if not decisions else "input or decision", chosen, decisions, priced=False),
                *self._elements("variable", found, bool((found & is_input).any()), priced=True),
                *self._equations(), *_active(self.constraints, "active constraints", "constraint", OF_SIDE,
                                             np.ones(len(self.constraints.side), dtype=bool), self._texts())]

    def _flags(self, kind: str) -> Array:
        on_blocks = [symbol.kind == kind for symbol in self.symbols]
        every = self.own.state.flags(on_blocks + [False] * (len(self.own.state.names) - len(on_blocks)))
        return np.asarray(every[: self.own.n_user])

    def _elements(self, title: str, flags: Array, several: bool, priced: bool) -> Iterator[Table]:
        """The flagged elements one by one, arrays summarised, and what of arrays is at a bound."""
        whole = np.zeros(self.own.state.size, dtype=bool)
        whole[: len(flags)] = flags
        blocks, places = flagged_blocks(self.own, whole, [False] * len(self.symbols)), np.flatnonzero(flags)
        elements, arrays = in_parts(blocks, range(len(blocks.names)))
        shown = places[elements]
        units = any(self.own.symbols[name].unit for name in blocks.names)
        bound = bool((self.bounds.side[shown] != AWAY).any())
        priced = priced and self.prices is not None
        columns = [Column(title, role="name"), Column("kind", role="kind", drop=1), Column("value", numeric=True),
                   Column("unit"), Column(PRICE, numeric=True, role="multiplier"), Column("bound", role="kind"),
                   Column(OF_BOUND, numeric=True, role="multiplier")]
        rows = Rows(len(shown), lambda i: self._element(int(shown[i])))
        has_bound_price = bound and self.prices is not None
        yield select(Table("", columns, rows), [True, several, True, units, priced, bound, has_bound_price])
        yield self._arrays(title, blocks, places, arrays, units, priced)
        in_arrays = np.zeros(len(flags), dtype=bool)
        in_arrays[places] = True
        in_arrays[shown] = False
        yield from _active(self.bounds, f"bounds reached in arrays of {title}s", "element", OF_BOUND, in_arrays)

    def _element(self, place: int) -> list[str]:
        block = self.own.state.block_of(place)
        symbol, row = self.symbols[block], self._row(block)
        price = "" if row is None else number(row[place - int(self.own.state.start[block])])
        kind = "decision" if symbol.kind == "variable" and self.r.view.space.chosen[place] else symbol.kind
        return [self.own.state.element(place), kind, number(self.bounds.values[place]), symbol.unit, price,
                self.bounds.bound(place), self.bounds.price(place)]

    def _row(self, block: int) -> Array | None:
        """The shadow prices of the equation that goes by the name of a variable and has its shape."""
        own, symbol = self.own, self.symbols[block]
        i = own.rows.slices.number.get(symbol.name, len(own.equations))
        if self.prices is None or i >= len(own.equations) or own.equations[i].shape != symbol.shape:
            return None
        return np.asarray(self.prices.equations[int(own.rows.start[i]) : int(own.rows.start[i + 1])])

    def _arrays(self, title: str, blocks: Blocks, places: Array, arrays: Sequence[int], units: bool,
                priced: bool) -> Table:
        """A row of values, and one of shadow prices, for every array."""
        rows = [(i, of_price) for i in arrays for of_price in (False, True)
                if not of_price or (priced and self._row(self._block(blocks, i)) is not None)]
        columns = [Column(title, role="name"), Column("shape", role="kind"), Column("of", role="kind"), Column("unit"),
                   *ARRAY_COLUMNS]

        def cells(k: int) -> list[str]:
            i, of_price = rows[k]
            block, here = self._block(blocks, i), places[blocks.start[i] : blocks.start[i + 1]]
            if of_price:
                row = self._row(block)
                assert row is not None
                return ["", "", PRICE, "", *array_cells(row[here - int(self.own.state.start[block])])]
            return [blocks.names[i], shape_text(blocks.shapes[i]), "value", self.symbols[block].unit,
                    *array_cells(self.bounds.values[here])]

        table = Table(f"arrays of {title}s", columns, Rows(len(rows), cells))
        return select(table, [True, True, True, units, *[True] * len(ARRAY_COLUMNS)])

    def _block(self, blocks: Blocks, i: int) -> int:
        return self.own.state.slices.number[blocks.names[i]]

    def _equations(self) -> Iterator[Table]:
        """Shadow prices of the equations that do not go by a variable's name."""
        own, prices = self.own, self.prices
        if prices is None:
            return
        extra = [i for i, equation in enumerate(own.equations) if equation.name not in own.symbols
                 or own.symbols[equation.name].shape != equation.shape]
        elements, arrays = in_parts(own.rows, extra)
        columns = [Column("equation", role="name"), Column(PRICE, numeric=True, role="multiplier")]
        yield Table("equations", columns, Rows(len(elements), lambda i: [
            own.rows.element(int(elements[i])), number(prices.equations[elements[i]])]))
        of_arrays = [columns[0], Column("shape", role="kind"), *ARRAY_COLUMNS]
        yield Table(f"equations of arrays: {PRICE}", of_arrays, Rows(len(arrays), lambda i: [
            own.rows.names[arrays[i]], shape_text(own.rows.shapes[arrays[i]]),
            *array_cells(prices.equations[own.rows.start[arrays[i]] : own.rows.start[arrays[i] + 1]])]))

    def _texts(self) -> list[str]:
        """What constraints without a name of the user's say; nothing for the others."""
        return [shorten(str(c), 60) if c.name.rpartition(".")[2].startswith("constraint_") else ""
                for c in self.own.constraints]

    # the lines below --------------------------------------------------------------------------------------------

    def notes(self) -> Iterator[str]:
        """What is not active, the certificate in short, warnings, what was done to the point."""
        rows, side = self.constraints.blocks, self.constraints.side
        counts = _counts(rows, side != AWAY)
        idle = [rows.names[i] for i in np.flatnonzero(counts == 0).tolist()]
        if idle and self.r.certificate.active is not None:
            yield f"not active: {listing(idle, 6)}"
        if self.why_none:
            yield f"no multipliers: {self.why_none}"
        yield from _certificate(self.r)
        yield from told([finding for finding in self.r.certificate.findings if finding.severity != "error"])
        yield from self.r.notes


def _counts(blocks: Blocks, flags: Array) -> Array:
    """Of every block the number of flagged elements."""
    before = np.concatenate([[0], np.cumsum(flags)])
    ends = blocks.start[blocks.start <= len(flags)]  # blocks of auxiliaries are beyond
    return np.asarray(np.diff(before[ends]))


def _active(reached: Reached, heading: str, title: str, what: str, among: Array,
            texts: Sequence[str] = ()) -> Iterator[Table]:
    """What is at a bound: by name, and counted where it is much of a large array."""
    blocks, flags = reached.blocks, among & (reached.side != AWAY)
    counts = _counts(blocks, flags)
    sizes = np.diff(blocks.start)[: len(counts)]
    many = (counts > FEW) & (sizes > FEW)
    named = np.flatnonzero(flags & ~np.repeat(many, sizes))
    priced = bool(np.isfinite(reached.multiplier).any())
    columns = [Column(title, role="name"), Column("value", numeric=True), Column("bound", role="kind"),
               Column(what, numeric=True, role="multiplier"), Column("which is", drop=1)]

    def cells(k: int) -> list[str]:
        i = int(named[k])
        text = texts[blocks.block_of(i)] if texts else ""
        return [blocks.element(i), number(reached.values[i]), reached.bound(i), reached.price(i), text]

    yield select(Table(heading, columns, Rows(len(named), cells)), [True, True, True, priced, any(texts)])
    crowds = np.flatnonzero(many).tolist()
    counted = [Column(title, role="name"), Column("shape", role="kind"),
               *(Column(side, numeric=True) for side in ("at lower", "at upper", "equal")),
               *(Column(f"{end} {what}", numeric=True, role="multiplier") for end in ("least", "largest"))]
    yield Table(f"{heading}, counted", counted, Rows(len(crowds), lambda k: _crowd(reached, flags, crowds[k])))


def _crowd(reached: Reached, flags: Array, block: int) -> list[str]:
    """How many elements of an array are at which side, and the range of their multipliers."""
    blocks = reached.blocks
    where = slice(int(blocks.start[block]), int(blocks.start[block + 1]))
    side, multiplier = reached.side[where][flags[where]], reached.multiplier[where][flags[where]]
    ends = [number(f"{end:.6g}") if np.isfinite(end) else "" for end in (multiplier.min(), multiplier.max())]
    return [blocks.names[block], shape_text(blocks.shapes[block]),
            *(str(int((side == one).sum())) for one in (LOWER, UPPER, BOTH)), *ends]


def _certificate(r: OptimizeResult) -> Iterator[str]:
    """The certificate in a line."""
    found, licq, curved = r.certificate.residuals, r.certificate.rank, r.certificate.inertia
    if found is None:
        return
    sizes = ", ".join(f"{word} {getattr(found, name).scaled:.2g}" for name, word in SHORT.items())
    yield f"certificate: {sizes} (scaled residuals)"
    parts = []
    if licq is not None:
        gradients = f"gradients of the {licq.active} active are {licq.verdict}"
        parts.append(gradients if licq.active else "nothing is active")
    if curved is not None and r.certificate.is_kkt_point and not r.certificate.unjudged:
        counts = r.certificate.words.curvatures(curved)
        parts.append("no direction left to curve" if counts.startswith("0 ") else f"curvature: {counts}")
    if parts:
        yield "; ".join(parts)


def _decisions(r: OptimizeResult) -> list[str]:
    """Variables with elements that no equation determines."""
    own, chosen = r.view.space.own, r.view.space.chosen
    counts = _counts(own.state, chosen)
    return [own.state.names[i] for i in np.flatnonzero(counts).tolist()
            if own.symbols[own.state.names[i]].kind == "variable"]


# plain data ---------------------------------------------------------------------------------------------------


def optimum_data(r: OptimizeResult) -> dict[str, Any]:
    """Everything as plain data that is strict JSON: what has no value is None."""
    objective, own = r.view.lowered.objective, r.view.space.own
    assert objective is not None
    prices, why_none = _prices(r)
    found: dict[str, Any] = {
        "program": r.view.lowered.name, "success": r.success, "verdict": r.certificate.verdict, "reason": r.reason,
        "message": r.message, "method": r.method, "space": r.view.space.name, "why": r.why,
        "iterations": r.iterations, "seconds": r.seconds, "sense": objective.sense, "objective_name": objective.name,
        "infeasibility": r.infeasibility, "values": r.values,
    }  # fmt: skip
    try:
        found["objective"] = r.objective
    except LagrangeError as error:
        found["objective"], found["message"] = None, str(error)
    if r.point.units:
        found["units"] = r.point.units
    found["decisions"] = _decisions(r)
    constraints = reached_constraints(r, prices)
    found["constraints"] = {name: constraints.blocks.get(constraints.values, name)
                            for name in own.constraint_rows.names}
    if prices is None:
        found["no_multipliers"] = why_none
    else:
        found |= {"multipliers": dict(r.multiplier.items()), "lower": dict(r.multiplier.lower.items()),
                  "upper": dict(r.multiplier.upper.items())}
    found["certificate"], found["notes"] = r.certificate.to_dict(), list(r.notes)
    found["history"] = [record.as_dict() for record in r.history]
    data: dict[str, Any] = plain(found)
    return data

