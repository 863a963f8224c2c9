"""Mini-batches: the parameters of every step, from a list, a generator, a function of the step, or arrays cut to size.

A batch is a mapping of parameter names to values in the declared shapes. A list is gone through again and again, one
pass an epoch; a generator ends the run when it is exhausted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from ..errors import DeclarationError, LagrangeError, ShapeError
from ..expression import Array
from ..text import listing

Batch = Mapping[Any, Any]


class Batches:
    """Rows of arrays of equal length, in an order drawn anew for every epoch, ``size`` rows a batch.

    ``batches(step)`` is the batch of a step: a function of (seed, step) alone, so a resumed run finds the same ones.
    Rows that do not fill a batch are left out of their epoch. ``Batches({"X": X, "y": y}, size=32, seed=0)``.
    """

    def __init__(self, arrays: Mapping[str, Any], size: int, seed: int = 0) -> None:
        self.arrays = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
        lengths = {name: len(array) if array.ndim else 0 for name, array in self.arrays.items()}
        if not lengths or len(set(lengths.values())) > 1:
            shown = listing(f"{name}: {array.shape}" for name, array in self.arrays.items())
            raise ShapeError(f"Batches needs arrays with the same number of rows, got {shown or 'none'}")
        self.rows = next(iter(lengths.values()))
        if not _is_integer(size) or not 1 <= size <= self.rows:
            raise DeclarationError(f"the size of a batch must be an integer from 1 to {self.rows} rows, got {size!r}")
        if not _is_integer(seed) or seed < 0:
            raise DeclarationError(f"the seed of Batches must be an integer ≥ 0, got {seed!r}")
        self.size, self.seed = int(size), int(seed)
        self._drawn = -1, np.empty(0, dtype=np.int64)

    @property
    def per_epoch(self) -> int:
        """How many batches, which is how many steps, one epoch has."""
        return self.rows // self.size

    def __call__(self, step: int) -> dict[str, Array]:
        epoch, number = divmod(step, self.per_epoch)
        of_epoch, order = self._drawn
        if epoch != of_epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.rows)
            self._drawn = epoch, order  # at once: threads may share the batches
        chosen = order[number * self.size : (number + 1) * self.size]
        return {name: array[chosen] for name, array in self.arrays.items()}

    def __repr__(self) -> str:
        return f"Batches({listing(self.arrays)}; rows={self.rows}, size={self.size}, seed={self.seed})"


class Feed:
    """The batches of a run one after the other, whatever they come from."""

    def __init__(self, source: Any) -> None:
        self._source, self._taken = source, 0
        self._iterator: Iterator[Batch] | None = None
        if isinstance(source, Mapping):
            raise DeclarationError(
                "batches= takes one mapping a step, and got a single mapping: for the same values at every step, "
                "program.set(...); for arrays to be cut, la.ascent.Batches(arrays, size)"
            )
        if isinstance(source, Sequence) and not isinstance(source, str):
            if not source:
                raise DeclarationError("batches= is an empty list: there is nothing to step with")
        elif not callable(source):
            if not isinstance(source, Iterable) or isinstance(source, str):
                raise DeclarationError(
                    "batches= takes an iterable of mappings, a function of the step, or la.ascent.Batches, "
                    f"got {source!r}"
                )
            self._iterator = iter(source)

    def at(self, step: int) -> Batch | None:
        """The batch for a step, steps in order; None where they are exhausted. Raises DeclarationError for no batch."""
        batch = self._take(step)
        if batch is not None and not isinstance(batch, Mapping):
            raise DeclarationError(
                f"the batch of step {step} must be a mapping of parameter values such as {{'X': ..., 'y': ...}}, "
                f"got {type(batch).__name__}"
            )
        return batch

    def _take(self, step: int) -> Any:
        if self._iterator is None:
            return self._source(step) if callable(self._source) else self._source[step % len(self._source)]
        while self._taken < step:  # a resumed run: those before were stepped with
            if next(self._iterator, None) is None:
                return None
            self._taken += 1
        self._taken += 1
        return next(self._iterator, None)

    def describe(self) -> str:
        """What a checkpoint compares."""
        if isinstance(self._source, Batches):
            return repr(self._source)
        if self._iterator is not None:
            return "a generator or other iterable"
        return "a function of the step" if callable(self._source) else f"a list of {len(self._source)}"


def naming_the_step(error: LagrangeError, step: int) -> LagrangeError:
    """The same error, saying for which step the batch was."""
    return type(error)(f"the batch of step {step}: {error}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
