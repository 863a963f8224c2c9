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
from .ir import Function
from .loops import Frame, part_of
from .tape import INSTANCE, REGISTERS, Word, backward

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
    """The tangent of the tape's reverse: adjoints of the registers with their rates of change, after its tangent.

    b̄_j += b̄·p_j and its rate += (rate of b̄)·p_j + b̄·Σ_k p_jk·ẋ_k, with p_j, p_jk the partials of each operation.
    """
    f = Function("second", SECOND, "void", True)

    def curve(emitter: Emitter, name: str, operands: Sequence[str], bar: str) -> None:
        """rates[j] += b̄·p_jk·ẋ_k of one operation, for the operands that move."""
        kernel, pairs = local_second(name)
        found = emitter.kernel(kernel, [f.load(f.at("%regs", r)) for r in operands], [])
        for (i, j), second in zip(pairs, found, strict=True):
            for one, other in sorted({(i, j), (j, i)}):
                moves = f.load(f.at("%moves", operands[other], "i8"), "i8", 1)
                with f.when(f.do(f"icmp ne i8 {moves}, 0")):
                    step = f.real("fmul", second, f.load(f.at("%dots", operands[other])))
                    f.increase(f.at("%rates", operands[one]), f.real("fmul", bar, step))

    return backward(f, host, curve)


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
