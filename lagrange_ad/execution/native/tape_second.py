"""The tape's products with second derivatives: each instance run forward with its rates of change, then back with those
of its adjoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from ...elementary import TABLE
from ...lowering import Kernel
from ...lowering.kernel import Builder
from .emit import Emitter
from .host import Host
from .ir import Function, literal
from .loops import Frame, part_of
from .tape import INSTANCE, REGISTERS, Word, each_operation, operands_of, partials_of, pass_on

SECOND = "ptr %regs, ptr %dots, ptr %moves, ptr %bars, ptr %rates, ptr %live, ptr %data, double %seed"


def second_functions(host: Host, in_state: bool) -> list[Function]:
    """What runs an instance, after the tape's tangent; ``in_state``: rows are state elements."""
    return [_second(host), _hessian_product(in_state)]


@cache
def local_second(name: str) -> tuple[Kernel, tuple[tuple[int, int], ...]]:
    """The nonzero ∂²y/∂x_i∂x_j, i >= j, of an elementary function as a kernel of its operands, and their pairs."""
    builder = Builder()
    operands = [builder.raw(("arg", j)) for j in range(TABLE[name].arity)]
    return builder.finish([builder.raw((name, *operands))]).second_partials


def _second(host: Host) -> Function:
    """The tangent of :func:`_reverse`: adjoints of the registers with their rates of change, after :func:`_tangent`.

    b̄_j += b̄·p_j and its rate += (rate of b̄)·p_j + b̄·Σ_k p_jk·ẋ_k, with p_j, p_jk the partials of each operation.
    """
    f = Function("second", SECOND, "void", True)
    emitter = Emitter(f, host, 1)
    n_leaves = f.add(f.add(f.word("%data", Word.CONSTS), f.word("%data", Word.COEFS)), f.word("%data", Word.ARGS))
    n_operations = f.word("%data", Word.OPERATIONS)
    with f.loop(0, f.add(n_leaves, n_operations)) as i:
        f.store(literal(0.0), f.at("%bars", i))
        f.store(literal(0.0), f.at("%rates", i))
        f.store("0", f.at("%live", i, "i8"), "i8", 1)
    output = f.word("%data", Word.OUTPUT)
    f.store("%seed", f.at("%bars", output))
    f.store("1", f.at("%live", output, "i8"), "i8", 1)
    code = f.pointer("%data", Word.CODE)
    with f.loop(f.add(n_operations, -1), -1, -1) as i:
        register = f.add(n_leaves, i)
        live = f.load(f.at("%live", register, "i8"), "i8", 1)
        with f.when(f.do(f"icmp ne i8 {live}, 0")):
            value, bar, rate = (f.load(f.at(part, register)) for part in ("%regs", "%bars", "%rates"))

            def write(name: str) -> None:
                operands = operands_of(f, code, i, name)
                for operand, partial in zip(operands, partials_of(f, emitter, name, operands, value), strict=True):
                    if partial is not None:
                        pass_on(f, name, operand, partial, bar, rate)
                _curve(f, emitter, name, operands, bar)

            each_operation(f, code, i, write)
    f.finish(None)
    return f


def _curve(f: Function, emitter: Emitter, name: str, operands: Sequence[str], bar: str) -> None:
    """rates[j] += b̄·p_jk·ẋ_k of one operation, for the operands that move."""
    kernel, pairs = local_second(name)
    found = emitter.kernel(kernel, [f.load(f.at("%regs", r)) for r in operands], [])
    for (i, j), second in zip(pairs, found, strict=True):
        for one, other in sorted({(i, j), (j, i)}):
            moves = f.load(f.at("%moves", operands[other], "i8"), "i8", 1)
            with f.when(f.do(f"icmp ne i8 {moves}, 0")):
                step = f.real("fmul", second, f.load(f.at("%dots", operands[other])))
                f.increase(f.at("%rates", operands[one]), f.real("fmul", bar, step))


def _hessian_product(in_state: bool) -> Function:
    f = Function("instance", INSTANCE, "void", True)
    z, dz, w = (f.pointer("%frame", part) for part in (Frame.Z, Frame.DZ, Frame.W))
    regs, dots, bars, rates = (f.slot("double", REGISTERS) for _ in range(4))
    moves, live = f.slot("i8", REGISTERS), f.slot("i8", REGISTERS)
    f.do(f"call double @tangent(ptr {regs}, ptr {dots}, ptr {moves}, ptr {z}, ptr {dz}, ptr %data, i64 %k)")
    row = f.index(f.pointer("%data", Word.ROWS), "%k")
    multiplier = f.load(f.at(f.pointer("%frame", part_of(Frame.LAM, in_state)), row))
    given = ", ".join(f"ptr {x}" for x in (regs, dots, moves, bars, rates, live))
    f.emit(f"call void @second({given}, ptr %data, double {multiplier})")
    first, n_args = f.add(f.word("%data", Word.CONSTS), f.word("%data", Word.COEFS)), f.word("%data", Word.ARGS)
    args, begin = f.pointer("%data", Word.ARG_TABLE), f.mul("%k", n_args)
    with f.loop(0, n_args) as j:
        register = f.add(first, j)
        with f.when(f.do(f"icmp ne i8 {f.load(f.at(live, register, 'i8'), 'i8', 1)}, 0")):
            f.increase(f.at(w, f.index(args, f.add(begin, j))), f.load(f.at(rates, register)))
    f.finish(None)
    return f
