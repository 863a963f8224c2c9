"""Kernels with few instances, run as a tape: elementary operations by number, one instance at a time.

Compiling a kernel costs milliseconds, running it here nanoseconds an operation: so kernels that occur a few times are
never compiled. The operations themselves, their partial derivatives included, are compiled once for all from the table
of elementary functions. A partial derivative of a selection that is 0 is not multiplied with: no 0·∞ from the branch
not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache

import numpy as np

from ...elementary import TABLE
from ...expression import Array
from ...lowering import Group, Kernel
from ...lowering.kernel import Builder
from .emit import Emitter
from .engine import FRAME, engine
from .host import Host
from .ir import Function, literal
from .loops import Frame, part_of

REGISTERS = 512
"""Most values of one kernel; larger ones are not run here."""
NUMBER = {name: i for i, name in enumerate(TABLE)}


class Word(IntEnum):
    """The record of a group on the tape."""

    COUNT = 0
    ARGS = 1
    COEFS = 2
    CONSTS = 3
    OPERATIONS = 4
    OUTPUT = 5
    CONST_VALUES = 6
    CODE = 7
    ARG_TABLE = 8
    COEF_TABLE = 9
    ROWS = 10
    SLOTS = 11
    OUTPUTS = 12
    REGISTERS = 13
    SIZE = 14


@dataclass(frozen=True, eq=False)
class TapeCode:
    """A kernel as numbers: constants, and (operation, operands) over registers: constants, coefficients, arguments."""

    consts: Array
    code: Array
    outputs: Array
    n_registers: int

    @property
    def output(self) -> int:
        """The register of the first output."""
        return int(self.outputs[0])


@lru_cache(maxsize=1 << 16)
def tape_code(kernel: Kernel, like: Kernel | None = None) -> TapeCode:
    """The tape of a kernel; ``like`` is one whose arguments and coefficients it is given, where these are not its own.
    """
    n_coefs, n_args = (like or kernel).n_coefs, (like or kernel).n_args
    consts = [node[1] for node in kernel.nodes if node[0] == "const"]
    register: list[int] = []
    code: list[tuple[int, int, int, int]] = []
    leaves = len(consts) + n_coefs + n_args
    seen = 0
    for node in kernel.nodes:
        match node[0]:
            case "const":
                register.append(seen)
                seen += 1
            case "coef":
                register.append(len(consts) + node[1])
            case "arg":
                register.append(len(consts) + n_coefs + node[1])
            case name:
                operands = [register[i] for i in node[1:]]
                register.append(leaves + len(code))
                code.append((NUMBER[name], *operands, *(0,) * (3 - len(operands))))  # type: ignore[arg-type]
    table = np.array(code, dtype=np.int32).reshape(len(code), 4)
    outputs = np.array([register[i] for i in kernel.outputs], dtype=np.int32)
    return TapeCode(np.array(consts), table, outputs, leaves + len(code))


@dataclass(frozen=True, eq=False)
class TapeGroup:
    """A group as a record for the tape; ``arrays`` keeps alive what it points to."""

    record: Array
    arrays: list[Array]


def tape_group(group: Group, slots: Array | None = None) -> TapeGroup:
    """The record of a group; ``slots`` (instances, args) say to which entries its partials are added (−1: none)."""
    return tape_record(group.kernel, *_tables(group), slots)


def _tables(group: Group) -> tuple[Array, Array, Array]:
    """Positions of arguments and coefficients of a group, a line an instance, and its rows."""
    kernel = group.kernel
    args, coefs = np.empty((group.size, kernel.n_args), dtype=np.int32), np.empty((group.size, kernel.n_coefs))
    for j, positions in enumerate(group.args):
        args[:, j] = positions.array().ravel()
    for j, values in enumerate(group.coefs):
        coefs[:, j] = np.ravel(values)
    return args, coefs, group.row.array().ravel()


def tape_record(kernel: Kernel, args: Array, coefs: Array, rows: Array, slots: Array | None) -> TapeGroup:
    """The record of instances given as tables of one line each."""
    code = tape_code(kernel)
    if code.n_registers > REGISTERS:
        raise OverflowError(f"a kernel of {code.n_registers} values is too large for the tape's {REGISTERS} registers")
    return _record(code, code.outputs, args, coefs, rows, slots)


def _record(code: TapeCode, outputs: Array, args: Array, coefs: Array, rows: Array,
            slots: Array | None) -> TapeGroup:
    arrays = [code.consts, code.code, np.ascontiguousarray(args, dtype=np.int32), np.ascontiguousarray(coefs),
              np.ascontiguousarray(rows, dtype=np.int32)]
    record = np.zeros(Word.SIZE, dtype=np.int64)
    record[: Word.SLOTS] = [
        len(rows), args.shape[1], coefs.shape[1], len(code.consts), len(code.code), code.output,
        *(array.ctypes.data for array in arrays),
    ]
    record[Word.OUTPUTS] = len(outputs)
    for word, table in ((Word.SLOTS, slots), (Word.REGISTERS, outputs)):
        if table is not None:
            arrays.append(np.ascontiguousarray(table, dtype=np.int32))
            record[word] = arrays[-1].ctypes.data
    return TapeGroup(record, arrays)


def second_code(kernel: Kernel) -> TapeCode:
    """The tape of a kernel's second partials: these are expressions of the same arguments and coefficients."""
    return tape_code(kernel.second_partials[0], kernel)


def tape_of_second(group: Group, slots: Array | None, which: Sequence[int] | None = None) -> TapeGroup:
    """The record of a group's second partials, all or those of some numbers, each once or more.

    ``slots`` (instances, those) say to which entries λ times these are added (−1: none).
    """
    code = second_code(group.kernel)
    return _record(code, code.outputs if which is None else code.outputs[list(which)], *_tables(group), slots)


@cache
def local_partials(name: str) -> Kernel:
    """∂y/∂x_j of an elementary function as a kernel of its operands and then its value."""
    row, builder = TABLE[name], Builder()
    symbols = [builder.symbol(builder.raw(("arg", j))) for j in range(row.arity + 1)]
    rules = row.partials(*symbols)
    return builder.finish([rule.position if hasattr(rule, "position") else builder.const(rule) for rule in rules])


# the functions -------------------------------------------------------------------------------------------------


def tape_functions(quantity: str, host: Host, in_state: bool = False) -> list[Function]:
    """``group`` and ``turns`` of one quantity, after what they call: all instances of a group, or a list of turns.

    A list of turns is a record (count, address of pairs of a group's record and an instance); adjoints take the last
    first. ``in_state``: rows are state elements.
    """
    match quantity:
        case "values" | "store_values":
            one = [_forward(host), _values(quantity, in_state)]
        case "adjoint":
            one = [_forward(host), _reverse(host), _adjoint(in_state)]
        case "jacobian":
            one = [_forward(host), _reverse(host), _jacobian()]
        case "tangent":
            one = [_tangent(host), _tangents()]
        case "hessian":
            one = [_forward(host), _hessian()]
        case "hessian_product":
            from .tape_second import second_functions

            one = [_tangent(host), *second_functions(host, in_state)]
        case _:
            raise KeyError(quantity)
    return [*one, _group(), _turns(backwards=quantity == "adjoint")]


@cache
def tape_addresses(quantity: str, in_state: bool) -> dict[str, int]:
    """The functions that run a group's record (``group``), or a list of turns (``turns``), on the tape."""
    found = engine().addresses(tape_functions(quantity, engine().host, in_state))
    engine().symbols[turns_symbol(quantity, in_state)] = found["turns"]
    return found


def turns_symbol(quantity: str, in_state: bool) -> str:
    """The symbol by which other compiled code calls the turns of a quantity."""
    return f"turns_{quantity}_{'state' if in_state else 'rows'}"


INSTANCE = "ptr %frame, ptr %data, i64 %k"


def _group() -> Function:
    """Every instance of a group's record."""
    f = Function("group", FRAME)
    with f.loop(0, f.word("%data", Word.COUNT)) as k:
        f.emit(f"call void @instance(ptr %frame, ptr %data, i64 {k})")
    f.finish()
    return f


def _turns(backwards: bool) -> Function:
    """Instances of several groups in turn."""
    f = Function("turns", FRAME)
    count, pairs = f.word("%data", 0), f.pointer("%data", 1)
    bounds = (f.add(count, -1), -1, -1) if backwards else (0, count, 1)
    with f.loop(*bounds) as i:
        at = f.mul(i, 2)
        f.emit(f"call void @instance(ptr %frame, ptr {f.pointer(pairs, at)}, i64 {f.word(pairs, f.add(at, 1))})")
    f.finish()
    return f


FORWARD = "ptr %regs, ptr %z, ptr %data, i64 %instance"
TANGENT = "ptr %regs, ptr %dots, ptr %live, ptr %z, ptr %dz, ptr %data, i64 %instance"
REVERSE = "ptr %regs, ptr %bars, ptr %live, ptr %data, double %seed"


def _leaves(f: Function) -> tuple[str, str]:
    """Load constants, coefficients and arguments of an instance; (first argument's register, first operation's)."""
    n_consts, n_coefs, n_args = (f.word("%data", w) for w in (Word.CONSTS, Word.COEFS, Word.ARGS))
    consts, table = f.pointer("%data", Word.CONST_VALUES), f.pointer("%data", Word.COEF_TABLE)
    with f.loop(0, n_consts) as i:
        f.store(f.load(f.at(consts, i)), f.at("%regs", i))
    first = f.mul("%instance", n_coefs)
    with f.loop(0, n_coefs) as i:
        f.store(f.load(f.at(table, f.add(first, i))), f.at("%regs", f.add(n_consts, i)))
    at = f.add(n_consts, n_coefs)
    args, first = f.pointer("%data", Word.ARG_TABLE), f.mul("%instance", n_args)
    with f.loop(0, n_args) as i:
        f.store(f.load(f.at("%z", f.index(args, f.add(first, i)))), f.at("%regs", f.add(at, i)))
    return at, f.add(at, n_args)


def operands_of(f: Function, code: str, i: str, name: str) -> list[str]:
    """The registers of an operation's operands."""
    first = f.mul(i, 4)
    return [f.index(code, f.add(first, 1 + j)) for j in range(TABLE[name].arity)]


def each_operation(f: Function, code: str, i: str, write) -> None:  # type: ignore[no-untyped-def]
    """A switch over the operation of line i: ``write(name)`` writes each case."""
    number = f.load(f.at(code, f.mul(i, 4), "i32"), "i32", 4)
    labels = {name: f.label() for name in TABLE}
    done = f.label()
    cases = " ".join(f"i32 {NUMBER[name]}, label %{label}" for name, label in labels.items())
    f.emit(f"switch i32 {number}, label %{done} [ {cases} ]")
    for name, label in labels.items():
        f.place(label)
        write(name)
        f.jump(done)
    f.place(done)


def _apply(f: Function, emitter: Emitter, name: str, operands: Sequence[str]) -> str:
    values = [(f.load(f.at("%regs", r)), False) for r in operands]
    return emitter.number(emitter.elementary(name, values))


def _forward(host: Host) -> Function:
    """φ of one instance; all its values stay in the registers."""
    f = Function("forward", FORWARD, "double", True)
    emitter = Emitter(f, host, 1)
    _, first = _leaves(f)
    code = f.pointer("%data", Word.CODE)
    with f.loop(0, f.word("%data", Word.OPERATIONS)) as i:
        def write(name: str) -> None:
            value = _apply(f, emitter, name, operands_of(f, code, i, name))
            f.store(value, f.at("%regs", f.add(first, i)))

        each_operation(f, code, i, write)
    f.finish(f.load(f.at("%regs", f.word("%data", Word.OUTPUT))))
    return f


def partials_of(f: Function, emitter: Emitter, name: str, operands: Sequence[str], value: str) -> list[str | None]:
    """∂y/∂x_j of one operation; None where it is 0 everywhere."""
    kernel = local_partials(name)
    numbers = [f.load(f.at("%regs", r)) for r in operands]
    found = emitter.kernel(kernel, [*numbers, value], [])
    return [None if kernel.is_zero(j) else found[j] for j in range(len(operands))]


def _reverse(host: Host) -> Function:
    """Adjoints of the registers, given the output's; those that nothing reaches stay not live."""
    return backward(Function("reverse", REVERSE, "void", True), host)


def backward(f: Function, host: Host, curve: Callable[[Emitter, str, Sequence[str], str], None] | None = None
             ) -> Function:
    """The operations in reverse: b̄_j += b̄·∂y/∂x_j. With ``curve``, which adds what the change of the partials gives
    from (emitter, operation, operands, b̄), their rates of change too."""
    emitter = Emitter(f, host, 1)
    n_leaves = f.add(f.add(f.word("%data", Word.CONSTS), f.word("%data", Word.COEFS)), f.word("%data", Word.ARGS))
    n_operations = f.word("%data", Word.OPERATIONS)
    with f.loop(0, f.add(n_leaves, n_operations)) as i:
        f.store(literal(0.0), f.at("%bars", i))
        if curve is not None:
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
            value, bar = f.load(f.at("%regs", register)), f.load(f.at("%bars", register))
            rate = None if curve is None else f.load(f.at("%rates", register))

            def write(name: str) -> None:
                operands = operands_of(f, code, i, name)
                for operand, partial in zip(operands, partials_of(f, emitter, name, operands, value), strict=True):
                    if partial is not None:
                        _pass_on(f, name, operand, partial, bar, rate)
                if curve is not None:
                    curve(emitter, name, operands, bar)

            each_operation(f, code, i, write)
    f.finish(None)
    return f


def _pass_on(f: Function, name: str, operand: str, partial: str, bar: str, rate: str | None) -> None:
    """What an operation has for an operand's adjoint, and for its rate of change."""
    def add() -> None:
        f.increase(f.at("%bars", operand), f.do(f"fmul contract double {bar}, {partial}"))
        if rate is not None:
            f.increase(f.at("%rates", operand), f.do(f"fmul contract double {rate}, {partial}"))
        f.store("1", f.at("%live", operand, "i8"), "i8", 1)

    if TABLE[name].selects:
        with f.when(f.do(f"fcmp une double {partial}, {literal(0.0)}")):
            add()
    else:
        add()


def _instance() -> Function:
    return Function("instance", INSTANCE, "void", True)


def _values(quantity: str, in_state: bool) -> Function:
    f = _instance()
    z, out = f.pointer("%frame", Frame.Z), f.pointer("%frame", part_of(Frame.OUT, in_state))
    value = f.do(f"call double @forward(ptr {f.slot('double', REGISTERS)}, ptr {z}, ptr %data, i64 %k)")
    target = f.at(out, f.index(f.pointer("%data", Word.ROWS), "%k"))
    if quantity == "values":
        f.increase(target, value)
    else:
        f.store(value, target)
    f.finish(None)
    return f


@dataclass
class _Backward:
    """One instance run forward and back: its registers, and that of its first argument."""

    regs: str
    bars: str
    live: str
    first: str

    @staticmethod
    def of(f: Function, seed: str) -> _Backward:
        regs, bars, live = f.slot("double", REGISTERS), f.slot("double", REGISTERS), f.slot("i8", REGISTERS)
        z = f.pointer("%frame", Frame.Z)
        f.do(f"call double @forward(ptr {regs}, ptr {z}, ptr %data, i64 %k)")
        f.emit(f"call void @reverse(ptr {regs}, ptr {bars}, ptr {live}, ptr %data, double {seed})")
        return _Backward(regs, bars, live, f.add(f.word("%data", Word.CONSTS), f.word("%data", Word.COEFS)))


def _adjoint(in_state: bool) -> Function:
    f = _instance()
    w, lam = f.pointer("%frame", Frame.W), f.pointer("%frame", part_of(Frame.LAM, in_state))
    row, args = f.index(f.pointer("%data", Word.ROWS), "%k"), f.pointer("%data", Word.ARG_TABLE)
    back = _Backward.of(f, f.load(f.at(lam, row)))
    n_args = f.word("%data", Word.ARGS)
    begin = f.mul("%k", n_args)
    with f.loop(0, n_args) as j:
        register = f.add(back.first, j)
        with f.when(f.do(f"icmp ne i8 {f.load(f.at(back.live, register, 'i8'), 'i8', 1)}, 0")):
            f.increase(f.at(w, f.index(args, f.add(begin, j))), f.load(f.at(back.bars, register)))
    f.finish(None)
    return f


def _jacobian() -> Function:
    """entries[slot] += ∂φ/∂argument."""
    f = _instance()
    entries, slots = f.pointer("%frame", Frame.ENTRIES), f.pointer("%data", Word.SLOTS)
    n_args, back = f.word("%data", Word.ARGS), _Backward.of(f, literal(1.0))
    begin = f.mul("%k", n_args)
    with f.loop(0, n_args) as j:
        slot = f.index(slots, f.add(begin, j))
        with f.when(f.do(f"icmp sge i64 {slot}, 0")):
            f.increase(f.at(entries, slot), f.load(f.at(back.bars, f.add(back.first, j))))
    f.finish(None)
    return f


def _second(f: Function) -> tuple[str, str]:
    """λ of an instance whose second partials are computed to registers in the frame's scratch memory."""
    z, lam, regs = (f.pointer("%frame", part) for part in (Frame.Z, Frame.LAM, Frame.SCRATCH))
    f.do(f"call double @forward(ptr {regs}, ptr {z}, ptr %data, i64 %k)")
    return f.load(f.at(lam, f.index(f.pointer("%data", Word.ROWS), "%k"))), regs


def _hessian() -> Function:
    """entries[slot] += λ·∂²φ/∂arg_i∂arg_j."""
    f = _instance()
    multiplier, regs = _second(f)
    n, registers = f.word("%data", Word.OUTPUTS), f.pointer("%data", Word.REGISTERS)
    entries, slots = f.pointer("%frame", Frame.ENTRIES), f.pointer("%data", Word.SLOTS)
    begin = f.mul("%k", n)
    with f.loop(0, n) as o:
        slot = f.index(slots, f.add(begin, o))
        with f.when(f.do(f"icmp sge i64 {slot}, 0")):
            second = f.load(f.at(regs, f.index(registers, o)))
            f.increase(f.at(entries, slot), f.real("fmul", multiplier, second))
    f.finish(None)
    return f


def _tangent(host: Host) -> Function:
    """φ̇ of one instance: every register with its rate of change; those that no argument reaches stay not live."""
    f = Function("tangent", TANGENT, "double", True)
    emitter = Emitter(f, host, 1)
    first_arg, first = _leaves(f)
    with f.loop(0, first) as i:
        f.store(literal(0.0), f.at("%dots", i))
        f.store("0", f.at("%live", i, "i8"), "i8", 1)
    n_args = f.word("%data", Word.ARGS)
    args, begin = f.pointer("%data", Word.ARG_TABLE), f.mul("%instance", n_args)
    with f.loop(0, n_args) as j:
        f.store(f.load(f.at("%dz", f.index(args, f.add(begin, j)))), f.at("%dots", f.add(first_arg, j)))
        f.store("1", f.at("%live", f.add(first_arg, j), "i8"), "i8", 1)
    code = f.pointer("%data", Word.CODE)
    with f.loop(0, f.word("%data", Word.OPERATIONS)) as i:
        register = f.add(first, i)
        f.store(literal(0.0), f.at("%dots", register))
        f.store("0", f.at("%live", register, "i8"), "i8", 1)

        def write(name: str) -> None:
            operands = operands_of(f, code, i, name)
            value = _apply(f, emitter, name, operands)
            f.store(value, f.at("%regs", register))
            for operand, partial in zip(operands, partials_of(f, emitter, name, operands, value), strict=True):
                if partial is None:
                    continue
                moves = f.do(f"icmp ne i8 {f.load(f.at('%live', operand, 'i8'), 'i8', 1)}, 0")
                if TABLE[name].selects:
                    chosen = f.do(f"fcmp une double {partial}, {literal(0.0)}")
                    moves = f.do(f"and i1 {moves}, {chosen}")
                with f.when(moves):
                    step = f.do(f"fmul contract double {partial}, {f.load(f.at('%dots', operand))}")
                    f.increase(f.at("%dots", register), step)
                    f.store("1", f.at("%live", register, "i8"), "i8", 1)

        each_operation(f, code, i, write)
    f.finish(f.load(f.at("%dots", f.word("%data", Word.OUTPUT))))
    return f


def _tangents() -> Function:
    f = _instance()
    z, dz = f.pointer("%frame", Frame.Z), f.pointer("%frame", Frame.DZ)
    regs, dots, live = f.slot("double", REGISTERS), f.slot("double", REGISTERS), f.slot("i8", REGISTERS)
    value = f.do(
        f"call double @tangent(ptr {regs}, ptr {dots}, ptr {live}, ptr {z}, ptr {dz}, ptr %data, i64 %k)")
    out = f.pointer("%frame", Frame.OUT)
    f.increase(f.at(out, f.index(f.pointer("%data", Word.ROWS), "%k")), value)
    f.finish(None)
    return f
