"""Newton's method for small dense blocks, compiled: the same steps as ``solvers.newton``, without Python.

Where the solve meets anything out of the ordinary (a singular Jacobian, no progress, a value that is not a number) it
puts the unknowns back and reports it: the caller then solves that block by the reference, which knows what to do and to
say.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .elimination import NOTHING, BlockWord, Solver
from .engine import FRAME
from .ir import Function, literal
from .loops import Frame

CORRECTION, SMALL = 1e-9, 1e-6
"""What is negligible: a correction beside its unknown, a residual beside its terms (as in ``solvers.newton``)."""
SLOW = 0.1
"""Corrections that shrink by less than this are not those of a quadratic convergence."""
EXTRA = 60
"""So many steps more where corrections are negligible beside the largest unknowns, residuals not beside their terms."""
HELP = 1
"""Status: this block needs the reference."""


def newton_function(n: int | None, n_rows: int | None = None, own: Mapping[int, str] = NOTHING) -> Function:
    """Solve one block: 0, or HELP with its unknowns put back."""
    f = Function("newton", FRAME)
    s = Solver(f, n, n_rows, own)
    rows = s.rows_count
    start, before, r, new, d, scale, terms = (s.vector() for _ in range(7))
    number = f.word("%data", BlockWord.NUMBER)
    report = f.at(f.pointer("%frame", Frame.ITERATIONS), number, "i64")
    with f.loop(0, s.n) as j:
        f.store(f.load(s.place(j)), f.at(start, j))
    _sweep(s, s.vector())  # its places are not known beforehand: in memory of its own
    failed = f.label()
    s.begin()
    s.evaluate(r)
    first, zero = s.largest(r, rows)
    _go_unless(f, f.compare("oeq", zero, literal(0.0)), failed)
    limit, extra = f.load(f.pointer("%frame", Frame.LIMIT), "i64"), f.variable("i64", "0")
    length = f.variable("double", literal(np.inf))
    with f.loop(0, f.add(limit, 1)) as iteration:
        s.linearise()
        _terms(s, terms)
        at_rounding = _all_below(s, r, terms, 8.0 * float(np.finfo(float).eps))
        with f.when(at_rounding):
            _done(s, iteration, report)
        _go_unless(f, f.do(f"icmp slt i64 {iteration}, {limit}"), failed)
        _factor(s, iteration, failed)
        _pad(s, r)
        s.solve(r, d)
        size, _ = s.largest(r, rows)
        _scales(s, scale)
        step = f.variable("double", _longest(s, d))
        whole = f.compare("oeq", f.load(step), literal(1.0))
        now = _largest(s, d, scale)
        slow = f.compare("ogt", now, f.real("fmul", literal(SLOW), f.load(length)))
        f.store(now, length)
        last = f.do(f"and i1 {whole}, {f.compare('ole', now, literal(CORRECTION))}")
        _copy_out(s, before, s.n)
        following = f.label()
        with f.when(last):
            _step_more(s, before, r, new, d, terms, extra, slow, following)
            _last_step(s, before, r, new, d, terms, size, first, report, iteration, failed)
        _line_search(s, before, r, new, d, scale, step, size, failed)
        f.jump(following)
        f.place(following)
    f.jump(failed)
    f.place(failed)
    with f.loop(0, s.n) as j:
        f.store(f.load(f.at(start, j)), s.place(j))
    f.finish(HELP)
    return f


def _done(s: Solver, iterations: str, report: str) -> None:
    """Leave the solution in the state and return."""
    f = s.f
    s.end()
    f.store(iterations, report, "i64")
    f.emit("ret i64 0")
    f.place(f.label())


def _sweep(s: Solver, r: str) -> None:
    """One propagation for the unknowns without a start, level by level, where it gives numbers inside their domains.

    The record's table says: how many levels, then for each how many rows, and which.
    """
    f = s.f
    table, started = f.pointer("%data", BlockWord.SWEEP), f.pointer("%frame", Frame.STARTED)
    low, high = f.pointer("%frame", Frame.LOW), f.pointer("%frame", Frame.HIGH)
    own = f.pointer("%data", BlockWord.OWN)
    at = f.variable("i64", "1")
    with f.when(f.do(f"icmp ne ptr {table}, null")), f.loop(0, f.index(table, 0)):
        s.begin()
        s.call(BlockWord.RESIDUAL, r)
        here = f.load(at, "i64")
        count = f.index(table, here)
        with f.loop(0, count) as k:
            i = f.index(table, f.add(f.add(here, 1), k))
            position = f.index(own, i)
            address = f.at(s.z, position)
            value = f.real("fadd", f.load(f.at(r, i)), f.load(address))
            given = f.do(f"icmp ne i8 {f.load(f.at(started, position, 'i8'), 'i8', 1)}, 0")
            inside = _inside(f, value, low, high, position)
            wanted = f.do(f"and i1 {inside}, {f.do(f'xor i1 {given}, true')}")
            f.store(f.choose(wanted, value, f.load(address)), address)
        f.store(f.add(f.add(here, 1), count), at, "i64")


def _inside(f: Function, value: str, low: str, high: str, position: str) -> str:
    """Whether a number is inside the domain of a state element, of the tables of all."""
    return f.do(f"and i1 {f.compare('ogt', value, f.load(f.at(low, position)))}, "
                f"{f.compare('olt', value, f.load(f.at(high, position)))}")


def _go_unless(f: Function, condition: str, elsewhere: str) -> None:
    on = f.label()
    f.branch(condition, on, elsewhere)
    f.place(on)


def _copy_out(s: Solver, target: str, count: str) -> None:
    f = s.f
    with f.loop(0, count) as j:
        f.store(f.load(s.column(j)), f.at(target, j))


def _copy_in(s: Solver, source: str, count: str) -> None:
    f = s.f
    with f.loop(0, count) as j:
        f.store(f.load(f.at(source, j)), s.column(j))


def _move(s: Solver, before: str, d: str, step: str) -> None:
    """z = before − step·d for the user's unknowns (d solves J d = r)."""
    f = s.f
    with f.loop(0, s.rows_count) as j:
        change = f.real("fmul", step, f.load(f.at(d, j)))
        f.store(f.real("fsub", f.load(f.at(before, j)), change), s.column(j))


def _factor(s: Solver, iteration: str, failed: str) -> None:
    """Factor the Jacobian by the scales of the first iteration; by new ones where those call it singular."""
    f = s.f
    anew = f.variable("i1", f.do(f"icmp eq i64 {iteration}, 0"))
    begin, again, regular = f.label(), f.label(), f.label()
    f.jump(begin)
    f.place(begin)
    with f.when(f.load(anew, "i1", 1)):
        s.scales()
    f.branch(s.factor(), regular, again)
    f.place(again)
    _go_unless(f, f.do(f"xor i1 {f.load(anew, 'i1', 1)}, true"), failed)
    f.store("true", anew, "i1", 1)
    s.linearise()
    f.jump(begin)
    f.place(regular)


def _pad(s: Solver, r: str) -> None:
    """Residuals of auxiliaries are 0."""
    with s.f.loop(s.rows_count, s.n) as i:
        s.f.store(literal(0.0), s.f.at(r, i))


def _terms(s: Solver, terms: str) -> None:
    """Σ_j |∂r/∂z_j·z_j| of every row; 0 where that is not finite."""
    f = s.f
    with f.loop(0, s.rows_count) as i:
        total = f.variable("double", literal(0.0))
        with f.loop(0, s.n) as j:
            term = f.size_of(f.real("fmul", f.load(s.entry(i, j)), f.load(s.column(j))))
            f.store(f.real("fadd", f.load(total), term), total)
        value = f.load(total)
        finite = f.compare("one", value, literal(np.inf))
        f.store(f.choose(finite, value, literal(0.0)), f.at(terms, i))


def _all_below(s: Solver, r: str, terms: str, part: float) -> str:
    """Whether every |r| is at most ``part`` of its term."""
    f = s.f
    good = f.variable("i1", "true")
    with f.loop(0, s.rows_count) as i:
        here = f.compare("ole", f.size_of(f.load(f.at(r, i))), f.real("fmul", literal(part), f.load(f.at(terms, i))))
        f.store(f.do(f"and i1 {f.load(good, 'i1')}, {here}"), good, "i1")
    return f.load(good, "i1")


def _scales(s: Solver, scale: str) -> None:
    """What a correction of each unknown is compared with: its size, a millionth of the largest, 1e-12."""
    f = s.f
    largest = f.variable("double", literal(0.0))
    with f.loop(0, s.rows_count) as j:
        s.grow(largest, f.size_of(f.load(s.column(j))))
    floor = f.variable("double", f.real("fmul", f.load(largest), literal(1e-6)))
    s.grow(floor, literal(1e-12))
    with f.loop(0, s.rows_count) as j:
        own, low = f.size_of(f.load(s.column(j))), f.load(floor)
        f.store(f.choose(f.compare("ogt", own, low), own, low), f.at(scale, j))


def _largest(s: Solver, numbers: str, beside: str) -> str:
    """max |numbers_j|/beside_j: of a step beside the sizes of unknowns, of residuals beside their terms."""
    f = s.f
    largest = f.variable("double", literal(0.0))
    with f.loop(0, s.rows_count) as j:
        s.grow(largest, f.real("fdiv", f.size_of(f.load(f.at(numbers, j))), f.load(f.at(beside, j))))
    return f.load(largest)


def _longest(s: Solver, d: str) -> str:
    """The longest step, at most 1, that stays inside the domains; measured only where a full one might not."""
    f = s.f
    low, high = f.pointer("%frame", Frame.LOW), f.pointer("%frame", Frame.HIGH)
    step, inside = f.variable("double", literal(1.0)), f.variable("i1", "true")
    with f.loop(0, s.rows_count) as j:
        at = f.index(s.columns, j)
        there = f.real("fsub", f.load(s.column(j)), f.real("fmul", literal(1.0 / 0.99), f.load(f.at(d, j))))
        f.store(f.do(f"and i1 {f.load(inside, 'i1', 1)}, {_inside(f, there, low, high, at)}"), inside, "i1", 1)
    with f.when(f.do(f"xor i1 {f.load(inside, 'i1', 1)}, true")), f.loop(0, s.rows_count) as j:
        here, at = f.load(s.column(j)), f.index(s.columns, j)
        change = f.do(f"fneg double {f.load(f.at(d, j))}")
        end = f.choose(f.compare("olt", change, literal(0.0)), f.load(f.at(low, at)), f.load(f.at(high, at)))
        room = f.do(f"fdiv double {f.do(f'fsub double {end}, {here}')}, {change}")
        room = f.choose(f.compare("ogt", room, literal(0.0)), room, literal(0.0))
        bounded = f.do(f"and i1 {f.compare('one', change, literal(0.0))}, "
                       f"{f.compare('one', f.size_of(end), literal(np.inf))}")
        shorter = f.real("fmul", literal(0.99), room)
        take = f.do(f"and i1 {bounded}, {f.compare('olt', shorter, f.load(step))}")
        f.store(f.choose(take, shorter, f.load(step)), step)
    return f.load(step)


def _step_more(s: Solver, before: str, r: str, new: str, d: str, terms: str, extra: str, slow: str,
               following: str) -> None:
    """Where a residual is no small part of its terms, or corrections shrink slowly, and a full step halves the residual
    beside its terms: take it, and go to the next."""
    f = s.f
    stays, on, halved, taken = (f.label() for _ in range(4))
    share = _largest(s, r, terms)
    left = f.do(f"icmp slt i64 {f.load(extra, 'i64')}, {EXTRA}")
    wanted = f.do(f"or i1 {slow}, {f.compare('ogt', share, literal(CORRECTION))}")
    f.branch(f.do(f"and i1 {left}, {wanted}"), on, stays)
    f.place(on)
    _move(s, before, d, literal(1.0))
    s.evaluate(new)
    _, zero = s.largest(new, s.rows_count)
    f.branch(f.compare("oeq", zero, literal(0.0)), halved, stays)
    f.place(halved)
    f.branch(f.compare("ole", _largest(s, new, terms), f.real("fmul", literal(0.5), share)), taken, stays)
    f.place(taken)
    with f.loop(0, s.rows_count) as i:
        f.store(f.load(f.at(new, i)), f.at(r, i))
    f.store(f.add(f.load(extra, "i64"), 1), extra, "i64")
    f.jump(following)
    f.place(stays)


def _last_step(s: Solver, before: str, r: str, new: str, d: str, terms: str, size: str, first: str, report: str,
               iteration: str, failed: str) -> None:
    """A negligible full step: taken where it does not make things worse; ends the solve one way or the other."""
    f = s.f
    _move(s, before, d, literal(1.0))
    s.call(BlockWord.RESIDUAL, new)
    after, zero = s.largest(new, s.rows_count)
    worse = f.do(f"or i1 {f.compare('une', zero, literal(0.0))}, "
                 f"{f.compare('ugt', after, f.real('fmul', literal(2.0), size))}")
    kept = f.variable("double", size)
    taken, left = f.label(), f.label()
    undo = f.label()
    f.branch(worse, undo, taken)
    f.place(undo)
    _copy_in(s, before, s.n)
    f.jump(left)
    f.place(taken)
    with f.loop(0, s.rows_count) as i:
        f.store(f.load(f.at(new, i)), f.at(r, i))
    f.store(after, kept)
    f.jump(left)
    f.place(left)
    small = f.compare("ole", f.load(kept), f.real("fmul", literal(SMALL), first))
    _go_unless(f, f.do(f"or i1 {small}, {_all_below(s, r, terms, SMALL)}"), failed)
    _done(s, f.add(iteration, 1), report)


def _line_search(s: Solver, before: str, r: str, new: str, d: str, scale: str, step: str, size: str,
                 failed: str) -> None:
    """Halve the step until the simplified correction or the residual shrinks; r becomes the residual there."""
    f = s.f
    accepted, trial, simplified = f.label(), f.label(), s.work
    tries = f.variable("i64", "0")
    _go_unless(f, f.compare("ogt", f.load(step), literal(0.0)), failed)
    f.jump(trial)
    f.place(trial)
    t = f.load(step)
    _move(s, before, d, t)
    s.evaluate(new)
    after, zero = s.largest(new, s.rows_count)
    with f.when(f.compare("oeq", zero, literal(0.0))):
        shrunk = f.real("fsub", literal(1.0), f.real("fmul", t, literal(0.5)))
        good = f.label()
        on = f.label()
        f.branch(f.compare("olt", after, f.real("fmul", shrunk, size)), accepted, on)
        f.place(on)
        _pad(s, new)
        s.solve(new, simplified)
        part = f.real("fsub", literal(1.0), f.real("fmul", t, literal(0.25)))
        wanted = f.real("fmul", part, _largest(s, d, scale))
        f.branch(f.compare("ole", _largest(s, simplified, scale), wanted), accepted, good)
        f.place(good)
    f.store(f.real("fmul", t, literal(0.5)), step)
    count = f.add(f.load(tries, "i64"), 1)
    f.store(count, tries, "i64")
    more = f.label()
    f.branch(f.do(f"icmp slt i64 {count}, 80"), more, failed)
    f.place(more)
    f.jump(trial)
    f.place(accepted)
    with f.loop(0, s.rows_count) as i:
        f.store(f.load(f.at(new, i)), f.at(r, i))


def adjoint_function(n: int | None, n_rows: int | None = None, own: Mapping[int, str] = NOTHING) -> Function:
    """λ of one block from w, and what it adds to the adjoints of what its equations contain: 0, or HELP."""
    f = Function("back", FRAME)
    s = Solver(f, n, n_rows, own)
    w, lam = f.pointer("%frame", Frame.W), f.pointer("%frame", Frame.LAM)
    rows, left = f.pointer("%data", BlockWord.ROWS), f.pointer("%data", BlockWord.OWN)
    b, x = s.vector(), s.vector()
    s.begin()
    s.call(BlockWord.JACOBIAN, s.matrix)
    s.scales()
    f.leave_when(f.do(f"xor i1 {s.factor()}, true"), HELP)
    with f.loop(0, s.n) as j:
        value = f.load(f.at(w, f.index(s.columns, j)))
        f.store(f.do(f"fneg double {value}"), f.at(b, j))
    s.solve(b, x, transposed=True)
    with f.loop(0, s.n) as i:
        multiplier = f.load(f.at(x, i))
        f.store(multiplier, f.at(lam, f.index(rows, i)))
    s.call(BlockWord.ADJOINT, x)
    with f.loop(0, s.n) as i:  # r = φ − own: the own side of an equation that determines something else
        position = f.index(left, i)
        with f.when(f.do(f"icmp sge i64 {position}, 0")):
            f.increase(f.at(w, position), f.do(f"fneg double {f.load(f.at(x, i))}"))
    f.finish()
    return f


def tangent_function(n: int | None, n_rows: int | None = None, own: Mapping[int, str] = NOTHING) -> Function:
    """The rates of one block's unknowns, 0 before, from those of what its equations contain: 0, or HELP."""
    f = Function("move", FRAME)
    s = Solver(f, n, n_rows, own)
    dz, left = f.pointer("%frame", Frame.DZ), f.pointer("%data", BlockWord.OWN)
    b, x = s.vector(), s.vector()
    s.begin()
    s.call(BlockWord.JACOBIAN, s.matrix)
    s.scales()
    f.leave_when(f.do(f"xor i1 {s.factor()}, true"), HELP)
    with f.loop(0, s.n) as i:
        f.store(literal(0.0), f.at(b, i))
    s.call(BlockWord.TANGENT, b)
    with f.loop(0, s.n) as i:  # r = φ − own, where that is determined by other equations
        position = f.index(left, i)
        with f.when(f.do(f"icmp sge i64 {position}, 0")):
            f.increase(f.at(b, i), f.do(f"fneg double {f.load(f.at(dz, position))}"))
    s.solve(b, x)
    with f.loop(0, s.n) as j:
        f.store(f.do(f"fneg double {f.load(f.at(x, j))}"), f.at(dz, f.index(s.columns, j)))
    f.finish()
    return f
