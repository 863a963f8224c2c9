"""A program as a function of some of its inputs: F(x1, x2) gives arrays, F.jacobian their derivatives.

Takes a program, what is given and what is wanted; gives a :class:`Function` for solvers that know nothing of programs.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DeclarationError, ShapeError
from .execution import executor_named
from .expression import Array, Expression
from .lowering import Lowered
from .program import Declarations, Equation, caller, fit, numeric
from .program.starts import has_start
from .solution import Plan, plan_of
from .solution.evaluation import DeclaredState, declared_starts, lay_out, solved_from, start_at, starting_state
from .solution.forward import Solved
from .solution.jacobian import Jacobian, jacobian_matrix, pushed, require_mode
from .solution.multipliers import PullBack, adjoints
from .solution.outputs import (
    Declared,
    Quantity,
    arguments_of,
    as_given,
    determined_by,
    outputs_of,
    positions,
    variant_plan,
)
from .solution.plan import make_plan
from .solution.point import plain
from .text import listing

if TYPE_CHECKING:
    from .solution.outputs_fast import Tape, Workspace


class Function:
    """Outputs of a program as a function of some of its inputs, the equations solved at each call.

    ``F(x1, x2)`` takes an array an input, in the order they were named, and gives an array an output: the one itself
    where there is one, else a tuple; floats for scalars. ``F.jacobian(x1, x2)`` is the array of shape
    y.shape + x.shape where there are one output and one input, else a :class:`Jacobian` of blocks. ``F.flat`` is the
    same function of one vector, all inputs one after the other, with values in one vector.

    The equations are those of the program when F was made; inputs and parameters that are not arguments, and starts,
    have the values of the program at the time of the call. Nothing is kept from one call to the next that could change
    its result: cycles are solved from the declared starts. Threads may call one F at the same time.
    """

    def __init__(self, program: Declarations, inputs: Any, outputs: Any) -> None:
        self._program = program
        _, declared = program.consistently(lambda: Declared.now(program))
        self._given = arguments_of(declared, inputs, "inputs", found_too=True)
        self._outputs = outputs_of(declared, outputs, "outputs", [q.symbol for q in self._given if q.symbol])
        held = self._make_plan(declared)
        self._held = [(program.symbols[name], symbol) for name, symbol in held.items()]
        self._places = np.concatenate([q.places.ravel() for q in self._given if q.places is not None])
        self._elements, self._rows = positions(self._plan, self._outputs, True)
        self._make_layout()
        self._prepared: tuple[int, DeclaredState] = self._lay_out()

    def _make_plan(self, declared: Declared) -> dict[str, Any]:
        """The plan of the variant that this function is; returns the variables it holds at their starts."""
        given = {q.symbol: as_given(declared.symbols[q.symbol], "input") for q in self._given
                 if q.symbol is not None and declared.unknown[q.places].any()}
        for q in self._given:
            if q.symbol is None and declared.unknown[q.places].any():
                raise DeclarationError(f"inputs: {q.name} is part of a variable: variables are given as a whole")
        unsolved = [q.declared for q in self._outputs if isinstance(q.declared, Equation)]
        n_given = sum(int(np.count_nonzero(declared.unknown[q.places])) for q in self._given)
        held = self._to_be_held(unsolved, given, n_given)
        executor = executor_named(self._program.executor)

        def make(lowered: Lowered, unknown: Array) -> Plan:
            started = declared_starts(lowered, unknown)
            return make_plan(lowered, unknown, started, executor, declared.owner.solver_choices)

        self._plan = variant_plan(declared, self._outputs, {**given, **held}, caller(), make)
        return held

    def _to_be_held(self, unsolved: list[Equation], given: dict[str, Any], n_given: int) -> dict[str, Any]:
        """The variables that equations whose residuals are asked for determine, unless enough of them are given."""
        if sum(math.prod(e.shape) for e in unsolved) <= n_given:
            return {}
        held = {}
        for symbol in determined_by(plan_of(self._program), unsolved):
            if symbol.name in given:
                continue
            if isinstance(symbol.value, Expression) or not np.all(has_start(symbol)):
                raise DeclarationError(
                    f"outputs: the equations {listing(e.name for e in unsolved)} are not solved, their residuals being "
                    f"asked for; they determine {symbol.name!r}, which is given by nothing else: make it an input of "
                    "this function too, or declare its value as a start"
                )
            held[symbol.name] = as_given(symbol, "parameter")
        return held

    # what it is --------------------------------------------------------------------------------------------

    @property
    def inputs(self) -> list[str]:
        """The names of the arguments, in order."""
        return [q.name for q in self._given]

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs, in order."""
        return [q.name for q in self._outputs]

    @property
    def held(self) -> list[str]:
        """Variables that keep their starts, as the equations that determine them are not solved but asked for."""
        return [symbol.name for _, symbol in self._held]

    @property
    def x0(self) -> Any:
        """The present values of the inputs: an array, or a tuple of them where there are several."""
        z = self._prepared_now()[1].filled({})
        values = [plain(z[q.places]) for q in self._given if q.places is not None]
        return values[0] if len(values) == 1 else tuple(values)

    @cached_property
    def flat(self) -> FlatFunction:
        """The same as a function from one vector to one vector, for ``scipy.optimize.least_squares`` and ``root``."""
        return FlatFunction(self)

    def __repr__(self) -> str:
        held = f", {listing(self.held)} held at the start" if self._held else ""
        return f"<Function of {self._program.name!r}: ({listing(self.inputs)}) → ({listing(self.outputs)}){held}>"

    # calling it --------------------------------------------------------------------------------------------

    def __call__(self, *values: Any) -> Any:
        """The outputs at given inputs. Raises as ``Program.evaluate`` does."""
        space = self._run(values)
        if space is None:
            return self._shaped(self._careful(self._flat_inputs(values))[1])
        if self._one_float is not None:
            return space.z.item(self._one_float)
        return self._shaped(space.z[self._in_memory])

    def jacobian(self, *values: Any, mode: str | None = None, sparse: bool = False) -> Any:
        """d(outputs)/d(inputs) at given inputs; what F computed there in this thread just before is not done again.

        One output and one input: the array of shape y.shape + x.shape (with ``sparse``: a CSR array, elements flat);
        else a :class:`Jacobian`. ``mode``: "adjoint", "tangent", or None for whichever needs fewer seeds.
        """
        require_mode(mode)
        solved, pull_back = self._solved(values)
        return self._as_asked(self._matrix(solved, pull_back, mode, sparse), sparse)

    def value_and_jacobian(self, *values: Any, mode: str | None = None, sparse: bool = False) -> tuple[Any, Any]:
        """(F(…), F.jacobian(…)) by one solve."""
        return self(*values), self.jacobian(*values, mode=mode, sparse=sparse)

    def tangent(self, values: Any, directions: Any) -> Any:
        """ȯ of the outputs for given ẋ of the inputs, at given inputs; each an array, or a tuple where there are
        several inputs, as JAX's ``jvp`` takes them."""
        solved, _ = self._solved(self._as_tuple(values, "inputs", self._given))
        flat = self._flat_inputs(self._as_tuple(directions, "directions", self._given))
        dz = np.zeros(self._plan.lowered.state.size)
        dz[self._places] = flat
        return self._shaped(pushed(self._plan, solved, dz, (self._elements, self._rows)))

    def adjoint(self, values: Any, seeds: Any) -> Any:
        """Σ_o ō·∂o/∂x of every input for given ō of the outputs, at given inputs (JAX's ``vjp``)."""
        solved, _ = self._solved(self._as_tuple(values, "inputs", self._given))
        flat = _joined(self._outputs, self._as_tuple(seeds, "seeds", self._outputs), "the seed")
        lam, on_state = np.zeros(self._plan.lowered.n_all_rows), np.zeros(self._plan.lowered.state.size)
        rows, elements = self._rows >= 0, self._elements >= 0
        np.add.at(lam, self._rows[rows], flat[rows])
        np.add.at(on_state, self._elements[elements], flat[elements])
        w = adjoints(self._plan, solved, lam, on_state)[1][self._places]
        return _parted(w, self._given)

    def _as_tuple(self, given: Any, what: str, quantities: list[Quantity]) -> tuple[Any, ...]:
        if len(quantities) == 1 and not isinstance(given, tuple):
            return (given,)
        if not isinstance(given, list | tuple) or len(given) != len(quantities):
            names = listing(q.name for q in quantities)
            raise DeclarationError(f"the {what} must be a tuple of {len(quantities)} arrays, for {names}")
        return tuple(given)

    # how it is computed ------------------------------------------------------------------------------------

    def _make_layout(self) -> None:
        """Where arguments go and outputs come from."""
        lowered = self._plan.lowered
        ends = np.cumsum([0, *(q.size for q in self._given)]).tolist()
        self._arguments = [(slice(lo, hi), q.shape) for lo, hi, q in zip(ends, ends[1:], self._given, strict=False)]
        memory = np.where(self._elements >= 0, self._elements, self._rows - lowered.objective_row + lowered.state.size)
        together = len(memory) > 0 and bool((np.diff(memory) == 1).all())
        self._in_memory: Any = slice(int(memory[0]), int(memory[-1]) + 1) if together else memory
        self._copied = not together
        is_scalar = len(self._outputs) == 1 and not self._outputs[0].shape
        self._one_float = int(memory[0]) if is_scalar else None
        self._parts = [(slice(lo, hi), q.shape) for q, lo, hi in _with_slices(self._outputs)]
        self._thread = threading.local()

    def _lay_out(self) -> tuple[int, DeclaredState]:
        """The program's present values, with the stamp of their version."""
        def read() -> DeclaredState:
            for original, copy in self._held:
                copy.value = original.value
            return lay_out(self._plan)

        return self._program.consistently(read)

    def _prepared_now(self) -> tuple[int, DeclaredState]:
        prepared = self._prepared
        if prepared[0] != self._program.values_version:
            prepared = self._prepared = self._lay_out()
        return prepared

    @cached_property
    def _tape(self) -> Tape | None:
        """The native calls, where no step needs Python and all starts are numbers."""
        compiled = self._plan.compiled
        if compiled is None or not compiled.is_whole:
            return None
        from .solution.outputs_fast import Tape

        return Tape(compiled, self._places)

    def _workspace(self) -> Workspace | None:
        """This thread's memory, for the program's present values."""
        declared = self._prepared_now()[1]
        known: Workspace | None = getattr(self._thread, "space", None)
        if known is not None and known.declared is declared:
            return known
        if self._tape is None or declared.computed:
            return None
        from .solution.outputs_fast import Workspace

        self._thread.space = made = Workspace(self._tape, declared)
        return made

    def _run(self, values: tuple[Any, ...], again: bool = True) -> Workspace | None:
        """Compute natively, ``again`` even where it was just done; None where the careful way must be gone."""
        space = self._workspace()
        if space is None:
            return None
        if len(values) != len(self._arguments):
            raise self._wrong_number(len(values))
        x = space.x
        for value, (where, shape) in zip(values, self._arguments, strict=True):
            if type(value) is np.ndarray and value.shape == shape and value.dtype == np.float64:
                x[where] = value if len(shape) == 1 else value.ravel()
            elif type(value) is float and not shape:
                x[where] = value
            else:
                x[:] = self._flat_inputs(values)
                break
        return space if (not again and space.is_done) or space.run() else None

    def _wrong_number(self, found: int) -> DeclarationError:
        return DeclarationError(
            f"this function takes {len(self._given)} input{'s' * (len(self._given) != 1)}, {listing(self.inputs)}, "
            f"got {found}" + ("; F.flat takes one vector of all of them" if len(self._given) > 1 else "")
        )

    def _flat_inputs(self, values: tuple[Any, ...]) -> Array:
        """The inputs as one vector, checked."""
        if len(values) != len(self._given):
            raise self._wrong_number(len(values))
        try:
            return _joined(self._given, values, "the value")
        except ShapeError as error:
            raise ShapeError(f"{error}; F.flat takes one vector of all inputs") from None

    def _careful(self, x: Array) -> tuple[Solved, Array]:
        """The solved state and the outputs, the way that says what is wrong."""
        declared, lowered = self._prepared_now()[1], self._plan.lowered
        start = starting_state(self._plan, declared, {}, {}, {})
        z = start.z
        z[self._places] = x
        if declared.computed:  # starts by expression follow the inputs
            given = {name: lowered.state.get(z, name) for name in lowered.symbols if self._plan.roles.has_given(name)}
            start = start_at(self._plan, declared, declared.filled(given), start.started)
        solved = solved_from(self._plan, start)
        rows = np.zeros(lowered.n_all_rows)
        with np.errstate(all="ignore"):
            self._plan.constraints.values(solved.z, rows)
        return solved, np.where(self._rows >= 0, rows[self._rows], solved.z[self._elements])

    def _solved(self, values: tuple[Any, ...]) -> tuple[Solved, PullBack | None]:
        """The solved state at given inputs, and what pulls seeds back there by compiled code."""
        space = self._run(values, again=False)
        if space is None:
            return self._careful(self._flat_inputs(values))[0], None
        solved = space.solved()
        if "pull_back" not in space.memory:
            space.memory["pull_back"] = PullBack.made(self._plan, solved)
        return solved, space.memory["pull_back"]

    def _matrix(self, solved: Solved, pull_back: PullBack | None, mode: str | None, sparse: bool) -> Any:
        return jacobian_matrix(self._plan, solved, (self._elements, self._rows), self._places, mode=mode, sparse=sparse,
                               pull_back=pull_back)

    def _as_asked(self, matrix: Any, sparse: bool) -> Any:
        if len(self._outputs) > 1 or len(self._given) > 1:
            return Jacobian(matrix, self._outputs, self._given)
        if sparse:
            return matrix
        block = matrix.reshape(self._outputs[0].shape + self._given[0].shape)
        return float(block) if block.ndim == 0 else block

    def _shaped(self, flat: Array) -> Any:
        """The outputs of their flat vector, in memory of their own."""
        if not self._copied:
            flat = flat.copy()
        found = [plain(flat[where].reshape(shape)) for where, shape in self._parts]
        return found[0] if len(found) == 1 else tuple(found)

    def __getstate__(self) -> dict[str, Any]:
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_tape", "_thread", "flat")}
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._thread = threading.local()


class FlatFunction:
    """A function of one vector, all inputs one after the other, whose value is one vector of all outputs.

    Fit for ``scipy.optimize.least_squares(G, G.x0, jac=G.jacobian, bounds=G.bounds)`` and ``root``.
    """

    def __init__(self, function: Function) -> None:
        self._function = function

    @property
    def x0(self) -> Array:
        """The present values of the inputs, flat."""
        values = self._function.x0
        return self.join(*(values if isinstance(values, tuple) else (values,)))

    @property
    def bounds(self) -> tuple[Array, Array]:
        """(lower, upper) of the inputs, flat, as ``least_squares`` takes them."""
        symbols, where = self._function._plan.lowered.symbols.values(), self._function._places
        lower = [np.broadcast_to(s.lower, s.shape).ravel() for s in symbols]
        upper = [np.broadcast_to(s.upper, s.shape).ravel() for s in symbols]
        return np.concatenate(lower)[where], np.concatenate(upper)[where]

    def join(self, *values: Any) -> Array:
        """The vector of given inputs."""
        return self._function._flat_inputs(values)

    def split(self, x: Any) -> tuple[Array, ...]:
        """The inputs of a vector."""
        function = self._function
        flat = np.asarray(x, dtype=np.float64)
        if flat.shape != function._places.shape:
            raise ShapeError(
                f"x must have shape {function._places.shape}, for {listing(function.inputs)}, got {flat.shape}"
            )
        return tuple(flat[where].reshape(shape) for where, shape in function._arguments)

    def __call__(self, x: Any) -> Array:
        """All outputs, flat."""
        function, values = self._function, self.split(x)
        space = function._run(values)
        if space is None:
            return function._careful(function._flat_inputs(values))[1]
        found: Array = space.z[function._in_memory]
        return found if function._copied else found.copy()

    def jacobian(self, x: Any, *, mode: str | None = None, sparse: bool = False) -> Any:
        """(outputs, inputs): d(outputs)/d(inputs); a CSR array with ``sparse``."""
        require_mode(mode)
        solved, pull_back = self._function._solved(self.split(x))
        return self._function._matrix(solved, pull_back, mode, sparse)

    def value_and_jacobian(self, x: Any, *, mode: str | None = None, sparse: bool = False) -> tuple[Array, Any]:
        """(G(x), G.jacobian(x)) by one solve."""
        return self(x), self.jacobian(x, mode=mode, sparse=sparse)

    def __repr__(self) -> str:
        return f"{self._function!r}, flat"


def _with_slices(quantities: list[Quantity]) -> Iterable[tuple[Quantity, int, int]]:
    at = 0
    for q in quantities:
        yield q, at, at + q.size
        at += q.size


def _joined(quantities: list[Quantity], values: Iterable[Any], what: str) -> Array:
    """Arrays for quantities as one vector, each checked and broadcast to its shape."""
    parts = [
        fit(q.name, numeric(q.name, value, what), q.shape, what).ravel()
        for q, value in zip(quantities, values, strict=True)
    ]
    return np.concatenate([np.empty(0), *parts])


def _parted(flat: Array, quantities: list[Quantity]) -> Any:
    found = [plain(flat[lo:hi].reshape(q.shape)) for q, lo, hi in _with_slices(quantities)]
    return found[0] if len(found) == 1 else tuple(found)
