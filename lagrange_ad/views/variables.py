"""The x of a view: which elements of the state it is, where it begins, its bounds and names; and the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import DeclarationError, LagrangeError, ShapeError, SolveError, UnknownNameError
from ..expression import Array
from ..lagrangian import require_objective
from ..lowering import Blocks, Lowered
from ..program import Declarations, fit, key_name, numeric
from ..program.starts import require_domain
from ..solution import Plan
from ..solution.evaluation import declared_starts, lay_out, offsets, solve_from, start_at
from ..solution.roles import flagged_blocks
from ..tables import Shown
from ..text import listing, nearest
from .space import Space, solved_for, space_of

FEW = 25
"""So many iterations may be spent on a cycle of kept variables without starts."""


class Variables(Shown):
    """The variables x of a space of a program: flat vectors by name and back, start and bounds; and the parameters."""

    def __init__(self, program: Declarations, eliminate: Any, perturbation: Mapping[str, Any] | None) -> None:
        self.space: Space = space_of(program, eliminate)
        self._plan: Plan = self.space.plan
        lowered = self._plan.lowered
        require_objective(self._plan, "be optimized")
        self._places = self.space.x
        empty = any(s.kind == "input" and 0 in s.shape for s in lowered.symbols.values())
        if not len(self._places) and not empty:
            every = [s.name for s in lowered.symbols.values() if s.kind == "input"]
            raise DeclarationError(
                f"{program.name!r} has no inputs, so there is nothing to optimize: "
                + (f"freed: {listing(every)}" if every else "declare one with input(name, value)")
            )
        self._in_x = np.zeros(lowered.state.size, dtype=bool)
        self._in_x[self._places] = True
        self.inputs: Blocks = flagged_blocks(lowered, self._in_x, [s.kind == "input" for s in lowered.symbols.values()])
        self._original = lay_out(self._plan)
        added = offsets(self.space.own, perturbation or {})
        if added.any():
            offset = np.zeros(lowered.n_all_rows)
            offset[self.space.arranged.row] = added
            self._original = replace(self._original, offset=offset)
        self._declared = self._original
        self._x0 = self._begun()[self._places]
        self._lower, self._upper = self._bounds_of(self._places)
        self._parameters = {name: s.shape for name, s in lowered.symbols.items() if self._is_parameter(name)}
        objective = lowered.objective
        self.sign = -1.0 if objective is not None and objective.sense == "maximize" else 1.0

    def _begun(self) -> Array:
        """The declared state, what is kept without a start computed from the rest where its equations let it be."""
        z, own = self._declared.filled({}), self.space.own
        guessed = self.space.unknown & self._in_x[: own.n_user] & ~declared_starts(own, self._in_x)[: own.n_user]
        if not guessed.any():
            return z
        space = solved_for(self.space, guessed)
        if not space.plan.unknown[: own.n_user].any():
            return z
        declared = lay_out(space.plan)
        try:
            found = solve_from(space.plan, start_at(space.plan, declared, z.copy(), declared.started), FEW).state
        except SolveError as error:
            if error.at is None:
                return z
            found = error.at.state
        good = np.flatnonzero(space.plan.unknown[: own.n_user] & np.isfinite(found[: own.n_user]))
        z[good] = found[good]
        return z

    def _is_parameter(self, name: str) -> bool:
        """Whether a symbol has elements that are given and not in x."""
        where = self._plan.lowered.state.slices[name]
        if where.start == where.stop:
            return self._plan.lowered.symbols[name].kind == "parameter"
        return not (self._plan.unknown[where] | self._in_x[where]).all()

    def _bounds_of(self, places: Array) -> tuple[Array, Array]:
        """The declared bounds of some elements of the state."""
        lowered = self._plan.lowered
        low, high = np.full(lowered.state.size, -np.inf), np.full(lowered.state.size, np.inf)
        for name, symbol in lowered.symbols.items():
            if not symbol.is_unbounded:
                where = lowered.state.slices[name]
                low[where] = np.broadcast_to(symbol.lower, symbol.shape).ravel()
                high[where] = np.broadcast_to(symbol.upper, symbol.shape).ravel()
        return low[places], high[places]

    @property
    def is_perturbed(self) -> bool:
        """Whether ε was added to right sides."""
        return self._original.offset is not None

    @property
    def plan(self) -> Plan:
        """The plan that solves what is eliminated."""
        return self._plan

    @property
    def places(self) -> Array:
        """Where x stands in the flat state; a copy."""
        return self._places.copy()

    def declared_state(self) -> Array:
        """The flat state before anything is solved, with the parameters that the view has now; a copy."""
        return self._declared.filled({})

    @property
    def lowered(self) -> Lowered:
        """The lowered program that the view evaluates."""
        return self._plan.lowered

    def role_of(self, name: str) -> str:
        """What was done to a symbol before the view was made: "fixed", "freed", with the elements where in part."""
        word, lowered = self._plan.roles.changed.get(name, ""), self._plan.lowered
        if not word.endswith("in part"):
            return word
        fixed, freed = self._plan.roles.changed_elements()
        where = lowered.state.slices[name]
        return f"{word}: {listing(lowered.state.element(i) for i in fixed + freed if where.start <= i < where.stop)}"

    @property
    def executor(self) -> str:
        """What evaluates it: ``native`` or ``reference``."""
        return self._plan.executor.name

    @property
    def x0(self) -> Array:
        """The declared inputs, flat; a copy, free to be changed."""
        return self._x0.copy()

    @property
    def lower(self) -> Array:
        """The lower bounds of x; a copy."""
        return self._lower.copy()

    @property
    def upper(self) -> Array:
        """The upper bounds of x; a copy."""
        return self._upper.copy()

    @property
    def bounds(self) -> Any:
        """The bounds of x as scipy.optimize.Bounds."""
        from scipy.optimize import Bounds

        return Bounds(self.lower, self.upper)

    def join(self, values: dict[str, Any]) -> Array:
        """The flat x of arrays by name; of one of which some elements are not in x, what stands at the others."""
        wanted = {name: self._plan.lowered.symbols[name].shape for name in self.inputs.names}
        wrong = [name for name in (*wanted, *values) if (name in wanted) != (name in values)]
        if wrong:
            raise UnknownNameError(f"x consists of {listing(wanted)}; missing or unknown: {listing(wrong)}")
        parts = [np.ravel(fit(name, np.asarray(values[name]), shape, "the value")) for name, shape in wanted.items()]
        return np.concatenate([part[self._kept(name)] for name, part in zip(wanted, parts, strict=True)]
                              ).astype(np.float64)

    def _kept(self, name: str) -> Any:
        """Which elements of a symbol are in x."""
        return self._in_x[self._plan.lowered.state.slices[name]]

    def split(self, x: Array) -> dict[str, Array]:
        """What is in x by name; elements that are not are where they start."""
        found = self.inputs.split(self._checked(x).copy(), self.inputs.names)
        for name in found:
            kept = self._kept(name)
            if not kept.all():
                whole = self._plan.lowered.state.get(self._declared.z, name).copy()
                whole.ravel()[kept] = found[name]
                found[name] = whole
        return found

    def _checked(self, x: Any) -> Array:
        """x as a flat float64 array, or an error that names the inputs."""
        flat = self._numbers(x)
        if flat.shape != self._x0.shape:
            raise ShapeError(f"x must have shape {self._x0.shape} for {listing(self.inputs.names)}, got {flat.shape}")
        if not np.isfinite(flat).all():
            first = int(np.flatnonzero(~np.isfinite(flat))[0])
            raise DeclarationError(f"x is {flat[first]} at {self.inputs.element(first)}: give finite numbers")
        return flat

    def _numbers(self, x: Any) -> Array:
        """x as real numbers."""
        wanted = f"x must be a flat array of {self._x0.size} real numbers for {listing(self.inputs.names)}"
        if isinstance(x, Mapping):
            raise DeclarationError(f"{wanted}, got a dict: view.join({{name: value}}) makes one")
        try:
            found = np.asarray(x)
            if found.dtype.kind == "O":
                found = np.asarray([float(item) for item in found.ravel()]).reshape(found.shape)
        except (TypeError, ValueError) as error:
            if isinstance(error, LagrangeError):
                raise
            raise DeclarationError(f"{wanted}, got {str(x)[:60]!r} ({error})") from None
        if np.ma.is_masked(x):
            raise DeclarationError(f"{wanted}, got an array with masked elements: fill them")
        if found.dtype.kind not in "buif":
            what = "complex numbers: complex steps are for the Lagrangian" if found.dtype.kind == "c" else repr(x)[:60]
            raise DeclarationError(f"{wanted}, got {what}")
        return found.astype(np.float64, copy=False)

    def _parameter(self, key: Any, value: Any) -> tuple[str, Array]:
        owner = next((symbol.owner for symbol in self._plan.lowered.symbols.values()), None)
        name = key_name(key, owner)
        if name not in self._parameters:
            symbol = self._plan.lowered.symbols.get(name) if isinstance(name, str) else None
            what = f"there is no parameter {name!r}"
            if symbol is not None:
                role = self._plan.roles.changed.get(name)
                what = f"{name!r} is one of the {symbol.kind}s{f', {role}' if role else ''}"
            near = "" if symbol is not None else nearest(str(name), self._parameters)
            raise UnknownNameError(f"{what}{near}; the parameters are {listing(self._parameters) or 'none'}")
        shape = self._parameters[name]
        if self._plan.roles.has_unknown(name) or self._plan.lowered.symbols[name].kind == "variable":
            return name, self._fixed(name, value)
        is_float = type(value) is np.ndarray and value.dtype == np.float64
        if is_float and value.shape == shape and np.isfinite(value).all():
            return name, value
        return name, fit(name, numeric(name, value, "the value"), shape, "the value")

    def _fixed(self, name: str, value: Any) -> Array:
        """A value for a symbol with fixed elements, inside the domain there."""
        symbol, where = self._plan.lowered.symbols[name], self._plan.lowered.state.slices[name]
        found = fit(name, numeric(name, value, "the value"), symbol.shape, "the value")
        require_domain(symbol, found, ~self._plan.unknown[where])
        return found
