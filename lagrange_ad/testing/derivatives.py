"""Every derivative of a program against differences of values alone.

Takes a program and a point of it; gives a report, worst first. Small programs are checked element by element. Large
ones along random directions, all rows at once; where a row fails, the element is found by halving the direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..errors import DeclarationError, SingularError, SolveError
from ..expression import Array
from ..program import Declarations
from ..solution import Point, evaluate_program, plan_of
from .checked import RightSides, SolvedObjective, gradient_of, hessian_of
from .collected import Collected, column_of, worst_by
from .report import DerivativeCheck, DerivativeReport
from .slopes import RIGHT, ROUNDING, VERDICTS, WRONG, Judged, Slope

MOST_COLUMNS, MOST_ENTRIES = 100, 60_000
"""Programs with more state elements, or more (rows × elements), are checked along directions."""
DIRECTIONS = 2
MOST_LOCATED = 5
"""How many equations, where a direction shows a wrong derivative, have their wrong element looked for."""


def check_derivatives(
    program: Declarations,
    at: Point | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    hessian: bool = False,
    nearby: int = 0,
    spread: float = 0.1,
    elements: bool | None = None,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> DerivativeReport:
    """Check the partials of every equation by each of its parents, and dJ/dx through all of them, against values.

    At the point ``at``, or where the program is at ``values`` (declared ones for what is not named), and at ``nearby``
    more points with inputs and parameters changed at random by a part ``spread``. Numbers to compare with come from
    values alone: by complex step where the functions take complex numbers, confirmed by extrapolated central
    differences, which serve alone elsewhere. ``hessian=True`` adds the second derivatives of Σ λ·f, λ drawn at random.

    A derivative is ``right`` when it agrees to ``tolerance`` of its size (or to what rounding leaves), ``wrong`` when
    it does not and differences, at ten times their estimated error, say so too; else ``could not tell``: at kinks, at
    edges of domains, at infinite slopes. Programs with more than 100 state elements (``elements=None``) are checked
    along random directions instead of element by element: an error in an entry that is 10⁹ times smaller than others
    of its row then goes unseen. Where the equations cannot be solved, their partials are checked at the last iterate.
    """
    _require(at, nearby, spread, tolerance)
    if at is not None and at.plan.lowered is not plan_of(program).lowered:
        raise DeclarationError(f"at= is a point of another program than {program.name!r}, or of it before a change")
    random = np.random.default_rng(seed)
    found = Collected(tolerance)
    first = at if at is not None else _point(program, values or {}, None, found)
    points = [first, *_nearby(program, first, nearby, spread, random, found)]
    for point in points:
        _check_point(program, point, found, elements, hessian, random)
    if nearby:
        found.notes.append(f"checked at {len(points)} points")
    return found.report(program.name)


def _require(at: Any, nearby: Any, spread: Any, tolerance: Any) -> None:
    if at is not None and not isinstance(at, Point):
        raise DeclarationError(f"at= takes a point, as evaluate() gives it, got {type(at).__name__}: "
                               "for inputs by name there is values={...}")
    if not isinstance(nearby, int) or nearby < 0:
        raise DeclarationError(f"nearby= is how many more points to check at, 0 or more, got {nearby!r}")
    for name, value in (("spread", spread), ("tolerance", tolerance)):
        if not isinstance(value, int | float) or not 0.0 < value < np.inf:
            raise DeclarationError(f"{name}= must be a number > 0, got {value!r}")


def _point(program: Declarations, values: Mapping[str, Any], start: Point | None, found: Collected) -> Point:
    """The point at given values; the last iterate, with a note, where there is no solution."""
    try:
        return evaluate_program(program, values, start=start)
    except SolveError as error:
        if not isinstance(error.at, Point):
            raise
        message, found.solved = str(error).splitlines()[0], False
        found.notes.append(f"no solution, so partials were checked at the last iterate and no gradient: {message}")
        return error.at


def _nearby(program: Declarations, at: Point, count: int, spread: float, random: np.random.Generator,
            found: Collected) -> Iterable[Point]:
    """Points with inputs, parameters and what is fixed changed at random, inside their bounds."""
    for _ in range(count):
        values = {}
        for symbol in program.symbols.values():
            if not program.is_found(symbol):
                here = at.values[symbol.name]
                size = np.where(here == 0.0, 1.0, np.abs(here))
                moved = here + spread * size * random.uniform(-1.0, 1.0, here.shape)
                moved = np.clip(moved, symbol.lower, symbol.upper)
                low, high = symbol.domain
                values[symbol.name] = np.where((moved > low) & (moved < high), moved, here)
        yield _point(program, values, at if at.solved else None, found)


def _check_point(program: Declarations, at: Point, found: Collected, elements: bool | None, hessian: bool,
                 random: np.random.Generator) -> None:
    sides = RightSides(at.plan, at.state)
    n, rows = len(sides.at), len(sides.shown)
    if elements is None:
        elements = n <= MOST_COLUMNS and n * rows <= MOST_ENTRIES
    if elements:
        _partials(sides, found)
    _directions(sides, found, random, DIRECTIONS if not elements else 1, rows_too=not elements)
    if hessian:
        _second(sides, found, random, elements)
    if program.objective is not None and at.solved:
        _gradient(program, at, sides, found, random, elements)


# partials --------------------------------------------------------------------------------------------------


def _partials(sides: RightSides, found: Collected) -> None:
    """Every element of every partial."""
    scale = _scales(sides.at)
    sizes, tolerance = _row_sizes(sides, scale), sides.tolerance(found.tolerance)
    finite = np.isfinite(sides.values(sides.at))
    for j in range(len(sides.at)):
        direction = np.zeros(len(sides.at))
        direction[j] = scale[j]
        analytic, declared = sides.column(j)
        judged = Slope(sides.values, sides.at, direction, sides.called).judge(
            _scaled(analytic, scale[j]), sizes, tolerance)
        chosen = np.zeros(len(analytic), dtype=bool)
        chosen[declared] = True
        chosen |= (judged.verdict != RIGHT) & finite
        found.add_rows("partial", sides, judged, np.flatnonzero(chosen), j, scale[j])


def _directions(sides: RightSides, found: Collected, random: np.random.Generator, count: int, rows_too: bool) -> None:
    """All rows along random directions, by tangents; and back-substitution against them."""
    scale = _scales(sides.at)
    tolerance = sides.tolerance(found.tolerance)
    wrong: dict[int, tuple[int, Array, Judged]] = {}
    for _ in range(count):
        direction = scale * _random(random, len(scale))
        with np.errstate(all="ignore"):
            analytic = sides.tangent(direction)
        if rows_too:
            sizes = np.maximum(np.abs(analytic), np.abs(sides.values(sides.at)))
            judged = Slope(sides.values, sides.at, direction, sides.called).judge(analytic, sizes, tolerance)
            found.add_rows("partial", sides, judged, np.flatnonzero(judged.verdict != WRONG), None, 1.0)
            bad = np.flatnonzero(judged.verdict == WRONG)
            found.count(WRONG, len(bad))
            for row in bad[worst_by(sides.block_of_row[bad], judged.badness[bad])].tolist():
                wrong.setdefault(int(sides.block_of_row[row]), (row, direction, judged))
        _transposed(sides, found, random, direction, analytic)
    worst_first = sorted(wrong.values(), key=lambda item: -item[2].badness[item[0]])
    for row, direction, _ in worst_first[:MOST_LOCATED]:
        _locate(sides, found, row, direction)
    for row, _, judged in worst_first[MOST_LOCATED:]:
        found.add("partial", sides, judged, row, row, None, 1.0)


def _locate(sides: RightSides, found: Collected, row: int, direction: Array) -> None:
    """The element behind a wrong row: the direction is halved as long as the larger error is in one half."""
    def judge(part: Array) -> Judged:
        with np.errstate(all="ignore"):
            analytic = sides.tangent(part)[row : row + 1]
        slope = Slope(lambda z: sides.values(z)[row : row + 1], sides.at, part, sides.called[row : row + 1])
        return slope.judge(analytic, 0.0, found.tolerance)

    def wrongness(part: Array) -> float:
        return float(judge(part).error[0])

    one = np.zeros(len(sides.shown))
    one[row] = 1.0
    with np.errstate(all="ignore"):
        parents = np.flatnonzero(sides.adjoint(one))
    among = np.isin(np.arange(len(direction)), parents) * direction
    columns = parents if wrongness(among) > 0.5 * wrongness(direction) else np.arange(len(direction))
    j = _halved(wrongness, direction, columns)
    found.add("partial", sides, judge(_unit(len(direction), j, direction[j])), 0, row, j, direction[j])


def _halved(wrongness: Callable[[Array], float], direction: Array, columns: Array) -> int:
    """The one column left when the half of a direction with less of the error is dropped again and again."""
    while len(columns) > 1:
        halves = columns[: len(columns) // 2], columns[len(columns) // 2 :]
        found = []
        for half in halves:
            part = np.zeros(len(direction))
            part[half] = direction[half]
            found.append(wrongness(part))
        columns = halves[int(np.argmax(np.nan_to_num(found, nan=0.0)))]
    return int(columns[0])


def _transposed(sides: RightSides, found: Collected, random: np.random.Generator, direction: Array,
                tangent: Array) -> None:
    """(weights·∂f/∂z)·direction = weights·(∂f/∂z·direction), the left by back-substitution, the right by tangents."""
    weights = np.where(np.isfinite(tangent), _random(random, len(tangent)), 0.0)
    with np.errstate(all="ignore"):
        w = sides.adjoint(weights)
        products = w * direction
        terms = weights * np.where(np.isfinite(tangent), tangent, 0.0)
    left, right = float(products.sum()), float(terms.sum())
    if not np.isfinite(left):
        found.notes.append("back-substitution was not compared with tangents: a slope is infinite here")
        return
    allowed = found.tolerance * max(abs(left), abs(right)) + 10.0 * ROUNDING * float(
        np.abs(products).sum() + np.abs(terms).sum())
    if abs(left - right) <= allowed:
        found.count(RIGHT, 1)
        return

    def apart(part: Array) -> float:
        return abs(float(w @ part) - float(weights @ np.nan_to_num(sides.tangent(part))))

    j = _halved(apart, direction, np.arange(len(direction)))
    part = np.zeros(len(direction))
    part[j] = 1.0
    with np.errstate(all="ignore"):
        expected = float(weights @ np.nan_to_num(sides.tangent(part)))
    symbol, element = column_of(sides, j)
    found.count(WRONG, 1)
    found.rows.append(DerivativeCheck(
        "transposed", "all, random λ", symbol, element, float(w[j]), expected, abs(float(w[j]) - expected), allowed,
        "tangents", VERDICTS[WRONG], badness=2000.0))


# the gradient, second derivatives --------------------------------------------------------------------------


def _gradient(program: Declarations, at: Point, sides: RightSides, found: Collected, random: np.random.Generator,
              elements: bool) -> None:
    """dJ/dx by every input and parameter, or along directions, the equations solved anew for each."""
    try:
        solution = SolvedObjective(program, at)
    except SingularError as error:
        found.notes.append(f"no gradient: {error}")
        return
    except SolveError as error:
        found.notes.append(f"no gradient: {str(error).splitlines()[0]}")
        return
    scale, n = _scales(solution.at), len(solution.at)
    size = np.abs(solution.value(solution.at)).max(initial=0.0)
    tolerance = float(sides.tolerance(found.tolerance).max())

    def judge(direction: Array) -> Judged:
        slope = Slope(solution.value, solution.at, direction, real=solution.has_cycles or bool(sides.called.any()))
        used = direction != 0.0
        analytic = np.array([float(solution.gradient[used] @ direction[used])])
        return slope.judge(analytic, size, tolerance)

    directions = [_unit(n, j, scale[j]) for j in range(n)] if elements or n <= MOST_COLUMNS // 4 else [
        scale * _random(random, n) for _ in range(DIRECTIONS)]
    for direction in directions:
        judged = judge(direction)
        column: int | None = int(np.argmax(direction != 0.0)) if np.count_nonzero(direction) == 1 else None
        if column is None and judged.verdict[0] == WRONG:
            column = _halved(lambda part: float(judge(part).error[0]), direction, np.arange(n))
            judged = judge(_unit(n, column, scale[column]))
        size_of_step = 1.0 if column is None else scale[column]
        where = None if column is None else int(solution.elements[column])
        found.count(int(judged.verdict[0]), 1)
        found.add("gradient", sides, judged, 0, None, where, size_of_step)


def _second(sides: RightSides, found: Collected, random: np.random.Generator, elements: bool) -> None:
    """∂²/∂z² of Σ λ·f, λ at random, against slopes of its gradient."""
    weights = _random(random, len(sides.shown))
    n, scale = len(sides.at), _scales(sides.at)
    matrix, gradient = hessian_of(sides, weights), gradient_of(sides, weights)
    real, tolerance = bool(sides.called.any()), float(sides.tolerance(found.tolerance).max())
    with np.errstate(all="ignore"):
        pattern = sides.jacobian != 0.0
        terms = pattern.T @ np.abs(weights * sides.values(sides.at))  # slopes of saturated functions are rounding alone
        sizes = np.abs(matrix) @ scale + np.abs(gradient(sides.at)) + terms / scale
    directions = [_unit(n, j, scale[j]) for j in range(n)] if elements else [
        scale * _random(random, n) for _ in range(DIRECTIONS)]
    matrix = matrix.tocsc()
    for direction in directions:
        used = np.flatnonzero(direction)
        with np.errstate(all="ignore"):
            analytic = matrix[:, used] @ direction[used]
        judged = Slope(gradient, sides.at, direction, real).judge(analytic, sizes, tolerance)
        column = int(used[0]) if len(used) == 1 else None
        touched = np.flatnonzero((analytic != 0.0) | (judged.verdict != RIGHT))
        for verdict in (0, 1, 2):
            found.count(verdict, int((judged.verdict[touched] == verdict).sum()))
        for i in worst_by(_symbol_of(sides)[touched], judged.badness[touched]).tolist():
            row = int(touched[i])
            found.add("second", sides, judged, row, None, column, scale[column] if column is not None else 1.0, row)


# small parts -----------------------------------------------------------------------------------------------


def _scales(z: Array) -> Array:
    """The size of a change of each element: its own, 1 where it is 0."""
    return np.where(z == 0.0, 1.0, np.abs(z))


def _random(random: np.random.Generator, n: int) -> Array:
    return np.asarray(random.choice([-1.0, 1.0], n) * random.uniform(0.5, 1.5, n))


def _unit(n: int, j: int, size: float) -> Array:
    direction = np.zeros(n)
    direction[j] = size
    return direction


def _scaled(values: Array, size: float) -> Array:
    with np.errstate(all="ignore"):
        return values * size


def _row_sizes(sides: RightSides, scale: Array) -> Array:
    """|f| + Σ_j |∂f/∂z_j|·|z_j| of every row."""
    with np.errstate(all="ignore"):
        return np.asarray(np.abs(sides.values(sides.at)) + np.abs(sides.jacobian) @ scale)


def _symbol_of(sides: RightSides) -> Array:
    starts = sides.lowered.state.start
    return np.asarray(np.searchsorted(starts, np.arange(len(sides.at)), side="right") - 1)
