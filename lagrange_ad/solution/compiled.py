"""A whole plan as lists of native calls: for the forward pass, back-substitution, tangents and Hessian products.

Rows live in state space: an explicit row is the element it computes, the objective and the constraints are elements
after the state's end. What native code does not do (large blocks, a solve that needs more than Newton's method) is
asked of Python in the middle of a list, by ``forward`` and ``multipliers``, and the list goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from ..execution.native.blocks import BlockTable
from ..execution.native.driver import CallList, Pointers, Records
from ..execution.native.executor import parts_of, records_of
from ..execution.native.flat import Extra
from ..execution.native.loops import Frame
from ..execution.native.records import (
    NOT_A_NUMBER,
    ask,
    begin_adjoint,
    check,
    clear,
    offsets,
    place_inputs,
    place_rates,
    take_gradient,
    zeros,
)
from ..execution.native.sequence import StateSequence
from ..execution.native.state import (
    SmallSteps,
    SmallTerms,
    instances_of_rows,
    rows_of_calls,
    wide_records,
)
from ..execution.reference import GroupRun
from ..expression import Array
from ..lowering import ExternalKernel, Group
from ..solvers import MAX_ITERATIONS
from .plan import Plan
from .steps import BlockStep, Cut, SequenceStep, Step, WideStep, in_turns


class CompiledPlan:
    """The native form of a plan. Lists are made when first needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.lowered = plan, plan.lowered
        self.n_state = plan.lowered.state.size
        n = self.n_state + 1 + plan.lowered.constraint_rows.size
        self.own = np.concatenate([plan.lowered.own, np.arange(self.n_state, n)])
        self.extra = Extra(n)
        """What stands after the state, the objective and the constraints; grows as lists are made."""
        self._forward_lists: dict[bool, Listing] = {}
        self._backward_lists: dict[tuple[bool, bool], Listing] = {}
        self._terms: dict[int, SmallTerms] = {}
        self._called_groups: dict[bool, list[GroupRun]] = {}
        self._lock = threading.RLock()
        self._compile_from = getattr(plan.executor, "compile_from")  # noqa: B009

    @cached_property
    def no_offset(self) -> Array:
        """ε of every row where nobody perturbs any."""
        return np.zeros(self.lowered.n_all_rows)

    def memory(self, state: Array) -> Array:
        """A state with room after it for everything that lists keep there, constants filled in.

        The list of the forward pass has been made; those of back-substitution need no more room than this.
        """
        with self._lock:
            for groups in (self.lowered.objective_groups, self.lowered.constraint_groups):
                self._small_terms(groups)
            z = np.zeros(self.extra.size)
            self.extra.fill(z)
        z[: self.n_state] = state
        return z

    def scratch(self) -> Array:
        """Room for the solves of small blocks."""
        return np.empty(self.blocks.scratch if self.block_steps else 0)

    def pointers(self, z: Array, started: Array, domain: tuple[Array, Array], limit: int = MAX_ITERATIONS,
                 **others: Array) -> Pointers:
        """What lists that solve work on: a state with its room, which unknowns have a start, the domains, the most
        iterations of a block, and ``others`` besides the usual."""
        usual = {"offset": self.no_offset, "iterations": np.zeros(len(self.block_steps), dtype=np.int64), **others}
        return Pointers(z=z, started=started, low=domain[0], high=domain[1], scratch=self.scratch(),
                        limit=np.array([limit], dtype=np.int64), **usual)

    # tables ------------------------------------------------------------------------------------------------

    @cached_property
    def block_steps(self) -> list[BlockStep]:
        """The blocks in order."""
        return [step for step in self.plan.steps if isinstance(step, BlockStep)]

    @cached_property
    def blocks(self) -> BlockTable:
        """The small blocks."""
        schedules = [step.schedule for step in self.block_steps]
        plain = [step.is_plain for step in self.block_steps]
        return BlockTable(self.lowered.groups, schedules, self.lowered.own, self.n_state, self._compile_from,
                          np.array(plain, dtype=bool))

    @cached_property
    def _small(self) -> tuple[SmallSteps, dict[int, int]]:
        """The small explicit steps, and the number of each by identity."""
        steps = [s for s in self.plan.steps if self._kind(s) == "small"]
        table = SmallSteps(self.lowered.groups, [s.rows for s in steps], self.lowered.own, self.extra)
        return table, {id(step): i for i, step in enumerate(steps)}

    @cached_property
    def _large(self) -> dict[int, list[Group]]:
        """The groups of the large explicit steps, in state space, by the step's identity."""
        steps = [s for s in self.plan.steps if self._kind(s) == "large"]
        cut = Cut(self.lowered, [s.rows for s in steps], self.plan.executor)
        return {id(step): groups for step, groups in zip(steps, cut.groups if steps else [], strict=True)}

    @cached_property
    def _sequences(self) -> dict[int, StateSequence]:
        found = {}
        for step in self.plan.steps:
            if isinstance(step, SequenceStep) and id(step) in self._large:
                groups, whose, _ = in_turns(self._large[id(step)], step.rows)
                state = [group.with_rows(self.own) for group in groups]
                found[id(step)] = StateSequence(state, whose, self._compile_from, self.extra)
        return found

    @cached_property
    def _wides(self) -> dict[int, tuple[Records, Records]]:
        found = {}
        for step in self.plan.steps:
            if isinstance(step, WideStep) and id(step) in self._large:
                groups = [group.with_rows(self.own) for group in self._large[id(step)]]
                found[id(step)] = wide_records(groups, step.own, self._compile_from)
        return found

    # lists -------------------------------------------------------------------------------------------------

    def _listed(self, steps: list[Step], write: Callable[[Step], Records], quantity: str,
                with_offsets: bool) -> tuple[Records, list[Step]]:
        """The calls of steps in the order given, small ones and blocks in one go where they stand side by side; and
        the step of every call that may ask for help."""
        records, asking = Records(), list[Step | None]()
        at = 0
        while at < len(steps):
            kind, stop = self._kind(steps[at]), at + 1
            while stop < len(steps) and kind in ("small", "block") and self._kind(steps[stop]) == kind:
                stop += 1
            here = steps[at:stop]
            if kind == "small":
                table, number = self._small
                part = table.records([number[id(step)] for step in here], quantity, with_offsets)
            elif kind == "block":
                numbers = np.array([step.number for step in here if isinstance(step, BlockStep)])
                part = self.blocks.records(numbers, quantity)
            else:
                part = ask() if kind == "python" else write(here[0])
            records.extend(part)
            asking += here if kind in ("block", "python") else [None] * len(part)
            at = stop
        return records, asking  # type: ignore[return-value]

    def _kind(self, step: Step) -> str:
        if isinstance(step, BlockStep):
            return "block" if self.blocks.fits[step.number] else "python"
        if self._called[step.rows].any():
            return "python"
        return "small" if self._instances_of_rows[step.rows].sum() < self._compile_from else "large"

    @cached_property
    def _called(self) -> Array:
        return rows_of_calls(self.lowered.groups, self.lowered.n_rows)

    @cached_property
    def _instances_of_rows(self) -> Array:
        return instances_of_rows(self.lowered.groups, self.lowered.n_rows)

    def _forward(self, offset: bool) -> tuple[Records, list[Step]]:
        def write(step: Step) -> Records:
            if isinstance(step, SequenceStep):
                sequence, records = self._sequences[id(step)], Records()
                if offset:
                    records.extend(offsets(step.own, step.rows))
                    records.extend(sequence.records("values"))
                else:
                    missing = step.own[~np.isin(step.own, sequence.own)]
                    records.extend(zeros(missing))
                    records.extend(sequence.records("store_values"))
                return records
            assert isinstance(step, WideStep)
            if not offset:
                return self._wides[id(step)][0]
            records = offsets(step.own, step.rows)
            groups = [group.with_rows(self.own) for group in self._large[id(step)]]
            records.extend(records_of(parts_of(groups, self._compile_from), "values", True))
            return records

        return self._listed(list(self.plan.steps), write, "values", offset)

    def _backward(self, everything: bool, with_offsets: bool) -> tuple[Records, list[Step]]:
        def write(step: Step) -> Records:
            if isinstance(step, SequenceStep):
                return self._sequences[id(step)].records("adjoint", with_offsets)
            return self._wides[id(step)][1]

        steps = [step for step in reversed(self.plan.steps) if step.reached or everything]
        return self._listed(steps, write, "adjoint", with_offsets)

    def _tangent(self, with_offsets: bool) -> tuple[Records, list[Step]]:
        """Rates of change of all unknowns, in ``dz``, which is the frame's ``out`` too; 0 there before."""
        def write(step: Step) -> Records:
            if isinstance(step, SequenceStep):
                return self._sequences[id(step)].records("tangent", with_offsets)
            groups = [group.with_rows(self.own) for group in self._large[id(step)]]
            return records_of(parts_of(groups, self._compile_from), "tangent")

        return self._listed(list(self.plan.steps), write, "tangent", with_offsets)

    def _outer(self, groups: tuple[Group, ...], quantity: str) -> Records:
        """The calls of the objective or the constraints, which are elements after the state."""
        large = [group.with_rows(self.own) for group in groups if group.size >= self._compile_from]
        records = self._small_terms(groups).records(quantity)
        records.extend(records_of(parts_of(large, self._compile_from), quantity, quantity != "tangent"))
        return records

    def _small_terms(self, groups: tuple[Group, ...]) -> SmallTerms:
        if id(groups) not in self._terms:
            small = [group.with_rows(self.own) for group in groups if group.size < self._compile_from]
            self._terms[id(groups)] = SmallTerms(small, self.extra)
        return self._terms[id(groups)]

    @cached_property
    def explicit(self) -> tuple[Array, Array]:
        """The rows of explicit steps and the elements they compute: λ of the one is w of the other."""
        rows = [step.rows for step in self.plan.steps if not isinstance(step, BlockStep)]
        joined = np.concatenate([np.empty(0, np.int64), *rows])
        return joined, self.lowered.own[joined]

    def forward(self, with_offsets: bool) -> Listing:
        """The forward pass, ending with a look for NaN; ``with_offsets`` where right sides have an ε."""
        with self._lock:
            if with_offsets not in self._forward_lists:
                self._forward_lists[with_offsets] = self._with_check(*self._forward(with_offsets))
            return self._forward_lists[with_offsets]

    def _with_check(self, records: Records, asking: list[Step]) -> Listing:
        records.extend(check(self.lowered.n_user))
        return Listing(records, asking)

    def backward(self, everything: bool, with_offsets: bool) -> Listing:
        """Back-substitution from the objective through the steps it depends on, or from constraints too through all.

        ``with_offsets``: after a forward pass of that kind, which keeps intermediate results in places of its own.
        """
        key = everything, with_offsets
        with self._lock:
            if key not in self._backward_lists:
                self._backward_lists[key] = self._made_backward(*key)
            return self._backward_lists[key]

    def _made_backward(self, everything: bool, with_offsets: bool) -> Listing:
        room = self.extra.size
        first = self._outer(self.lowered.objective_groups, "adjoint")
        if everything:
            first.extend(self._outer(self.lowered.constraint_groups, "adjoint"))
        records, asking = self._backward(everything, with_offsets)
        before: list[Step] = [None] * len(first)  # type: ignore[list-item]
        first.extend(records)
        if self.extra.size != room:
            raise RuntimeError("back-substitution needs places that the forward pass did not make: please report this")
        return Listing(first, before + asking)

    def tangent(self, inputs: Array, with_offsets: bool) -> Listing:
        """Rates of the state, the objective and the constraints (elements after it) for those of the inputs, from x.

        Who helps is given (False, step).
        """
        with self._lock:
            records, asking = self._rates(inputs, with_offsets)
            for groups in (self.lowered.objective_groups, self.lowered.constraint_groups):
                records.extend(self._outer(groups, "tangent"))
            return Listing(records, asking)

    def hessian_product(self, inputs: Array, with_offsets: bool, everything: bool) -> Listing:
        """Rates of the state from x, Σ λ ∂²φ·ż over rows in w, and back-substitution from there; what arrives at the
        inputs stands in ``gradient``. Of all rows and steps, or of those that the objective depends on.

        Who helps is given (False, step) for rates, None when it is the turn of ``called``, (True, step) going back.
        """
        with self._lock:
            records, asking = self._rates(inputs, with_offsets)
            groups = self.lowered.all_groups if everything else self.plan.reached_groups
            parts = parts_of(groups, self._compile_from)
            records.extend(clear(Frame.W, self.extra.size))
            records.extend(records_of(parts, "hessian_product"))
            if self.called(everything):
                asking += [None] * (len(records) - len(asking) + 1)
                records.extend(ask())
            back, asking_back = self._backward(everything, with_offsets)
            asking += [None] * (len(records) - len(asking)) + [(True, step) for step in asking_back]
            records.extend(back)
            records.extend(take_gradient(inputs))
            return Listing(records, asking)

    def _rates(self, inputs: Array, with_offsets: bool) -> tuple[Records, list[Any]]:
        """Rates of the state, and who is asked for help with each call."""
        records = clear(Frame.DZ, self.extra.size)
        records.extend(place_rates(inputs))
        moving, asking = self._tangent(with_offsets)
        asked = [None] * len(records) + [(False, step) for step in asking]
        records.extend(moving)
        return records, asked

    def called(self, everything: bool) -> list[GroupRun]:
        """The groups of user functions, all or those that the objective depends on."""
        if everything not in self._called_groups:
            groups = self.lowered.all_groups if everything else self.plan.reached_groups
            self._called_groups[everything] = [GroupRun(piece) for group in groups for piece in group.pieces()
                                               if isinstance(group.kernel, ExternalKernel)]
        return self._called_groups[everything]

    @property
    def is_whole(self) -> bool:
        """Whether no step needs Python as a rule."""
        return not self._called.any() and (not self.block_steps or bool(self.blocks.fits.all()))

    def value(self, inputs: Array) -> CallList:
        """One list: the inputs (state elements ``inputs``) from x, the forward pass, the objective."""
        with self._lock:
            records = self._value(inputs)
            records.extend(self._outer(self.lowered.objective_groups, "values"))
            return CallList(records)

    def value_and_gradient(self, inputs: Array, sign: float) -> CallList:
        """The same, the objective with its adjoint fused, then back-substitution and the gradient, times ``sign``."""
        with self._lock:
            records, objective = self._value(inputs), self._outer(self.lowered.objective_groups, "value_adjoint")
            records.extend(begin_adjoint(self.extra.size, self.n_state, sign))
            records.extend(objective)
            records.extend(self._backward(everything=False, with_offsets=False)[0])
            records.extend(take_gradient(inputs))
            return CallList(records)

    def outputs(self, inputs: Array) -> CallList:
        """One list: the inputs from x, the forward pass, the bodies of all constraints."""
        with self._lock:
            records = self._value(inputs)
            records.extend(zeros(np.arange(self.n_state, self.n_state + 1 + self.lowered.constraint_rows.size)))
            records.extend(self._outer(self.lowered.constraint_groups, "values"))
            return CallList(records)

    def _value(self, inputs: Array) -> Records:
        records = place_inputs(inputs)
        records.extend(self._forward(offset=False)[0])
        records.extend(check(self.lowered.n_user))
        records.extend(zeros(np.array([self.n_state])))
        return records


class Listing:
    """A list of native calls with the step behind each that may ask for help."""

    def __init__(self, records: Records, asking: list[Any]) -> None:
        self.tape, self._asking = CallList(records), asking

    def run(self, pointers: Pointers, help_with: Callable[[Any], bool]) -> bool:
        """Run all of it; ``help_with(step)`` does a step in Python and says whether to go on. False: stopped or NaN."""
        at = 0
        while True:
            at, status = self.tape.run(pointers, at)
            if not status:
                return True
            if status == NOT_A_NUMBER or not help_with(self._asking[at]):
                return False
            at += 1
