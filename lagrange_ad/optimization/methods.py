"""Methods of ascent: from a gradient and a state, the direction of the next step and the state after it.

    x ← P(x + rate·d)        g = the gradient of what is minimized (−dJ/dx to maximize, dJ/dx to minimize)

A state is a dict of float64 arrays and nothing else, so that a checkpoint can hold it. Where a bound cuts the step of
an element, P keeps the element at the bound and ``at_bounds`` says what the method forgets of it: momentum that ran
into a bound is gone, as in an inelastic collision, so that nothing has to unwind when the gradient turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import DeclarationError
from ..expression import Array
from ..text import listing, nearest

State = Mapping[str, Array]


class Method:
    """What the driver asks of a method; a subclass gives ``direction`` and changes what else it must.

    ``name`` is how results and errors call it. ``sets_rate``: it proposes rates of its own. ``patience``: on how many
    steps in a row the step or the objective must hold still before the run is over. ``no_line_search`` and
    ``no_batches``: why a line search or batches make no sense with it, empty where they do.
    """

    name: ClassVar[str] = "method"
    sets_rate: ClassVar[bool] = False
    patience: ClassVar[int] = 1
    no_line_search: ClassVar[str] = ""
    no_batches: ClassVar[str] = ""

    def start(self, size: int) -> State:
        """The state before the first step, for ``size`` flat inputs."""
        return {}

    def direction(self, x: Array, gradient: Array, state: State) -> tuple[Array, State]:
        """d, shape (inputs,), at x with the gradient of what is minimized; and the new state."""
        raise NotImplementedError(f"{type(self).__name__} must say its direction(x, gradient, state)")

    def rate(self, state: State) -> float | None:
        """The rate that the method proposes for the step of its last direction; None for the driver's own."""
        return None

    def at_bounds(self, state: State, cut: Array) -> State:
        """The state after a step of which bounds have cut the elements ``cut`` (booleans)."""
        return state

    @property
    def memory(self) -> int:
        """A line search compares with the worst of so many objectives."""
        return 1


@dataclass(frozen=True)
class Gradient(Method):
    """Steepest ascent: d = −g."""

    name: ClassVar[str] = "gradient"

    def direction(self, x: Array, gradient: Array, state: State) -> tuple[Array, State]:
        return -gradient, state


_UPHILL = "its step does not always improve the objective, and the search would shorten it to nothing"


@dataclass(frozen=True)
class Momentum(Method):
    """Heavy ball: v ← β·v + g, d = −v. Source: B. Polyak (1964)."""

    beta: float = 0.9
    name: ClassVar[str] = "momentum"
    patience: ClassVar[int] = 10
    no_line_search: ClassVar[str] = _UPHILL

    def __post_init__(self) -> None:
        _check_fraction(self, "beta", self.beta)

    def start(self, size: int) -> State:
        return {"velocity": np.zeros(size)}

    def direction(self, x: Array, gradient: Array, state: State) -> tuple[Array, State]:
        velocity = self.beta * state["velocity"] + gradient
        return -velocity, {"velocity": velocity}

    def at_bounds(self, state: State, cut: Array) -> State:
        return {"velocity": np.where(cut, 0.0, state["velocity"])}


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov's momentum: v ← β·v + g, d = −(g + β·v).

    The iterates x are the points that look ahead, where Nesterov's scheme takes its gradients (the form of Sutskever
    and others, 2013): with a constant rate and no bounds they are the y of y = z + β(z − z₋), z ← y − rate·g(y).
    Source: Y. Nesterov (1983).
    """

    name: ClassVar[str] = "nesterov"

    def direction(self, x: Array, gradient: Array, state: State) -> tuple[Array, State]:
        velocity = self.beta * state["velocity"] + gradient
        return -(gradient + self.beta * velocity), {"velocity": velocity}


@dataclass(frozen=True)
class Adam(Method):
    """Adam: m ← β1·m + (1−β1)·g, s ← β2·s + (1−β2)·g², d = −m̂/(√ŝ + ε), m̂ = m/(1−β1ᵗ), ŝ = s/(1−β2ᵗ).

    t counts steps from 1. Source: D. Kingma and J. Ba (2015), algorithm 1.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: ClassVar[str] = "adam"
    patience: ClassVar[int] = 10
    no_line_search: ClassVar[str] = _UPHILL

    def __post_init__(self) -> None:
        _check_fraction(self, "beta1", self.beta1)
        _check_fraction(self, "beta2", self.beta2)
        if not (is_number(self.epsilon) and self.epsilon > 0):
            raise DeclarationError(f"Adam's epsilon must be a positive number, got {self.epsilon!r}")

    def start(self, size: int) -> State:
        return {"mean": np.zeros(size), "square": np.zeros(size), "count": np.zeros(())}

    def direction(self, x: Array, gradient: Array, state: State) -> tuple[Array, State]:
        count = state["count"] + 1.0
        mean = self.beta1 * state["mean"] + (1.0 - self.beta1) * gradient
        square = self.beta2 * state["square"] + (1.0 - self.beta2) * gradient**2
        size = np.sqrt(square / (1.0 - self.beta2**count)) + self.epsilon
        return -(mean / (1.0 - self.beta1**count)) / size, {"mean": mean, "square": square, "count": np.asarray(count)}

    def at_bounds(self, state: State, cut: Array) -> State:
        return {**state, "mean": np.where(cut, 0.0, state["mean"])}


@dataclass(frozen=True)
class BarzilaiBorwein(Method):
    """d = −g with the rate of a secant: s = x − x₋, y = g − g₋; long: sᵀs/sᵀy, short: sᵀy/yᵀy, or both in turns.

    Where sᵀy ≤ 0 (no curvature that a secant could use) the rate before is kept, by a line search doubled. A line
    search starts at this rate and compares with the worst of the last ``remembered`` objectives, since good steps of
    this method may go uphill. Sources: J. Barzilai and J. Borwein (1988); E. Birgin, J. Martínez and M. Raydan (2000)
    for the projection and the search.
    """

    kind: str = "long"
    remembered: int = 10
    name: ClassVar[str] = "barzilai-borwein"
    sets_rate: ClassVar[bool] = True
    patience: ClassVar[int] = 3
    no_batches: ClassVar[str] = "the difference of two gradients is of no use where they are of different batches"
    smallest: ClassVar[float] = 1e-20
    largest: ClassVar[float] = 1e20

    def __post_init__(self) -> None:
        if self.kind not in ("long", "short", "alternate"):
            raise DeclarationError(f"BarzilaiBorwein's kind must be 'long', 'short' or 'alternate', got {self.kind!r}")
        if not (isinstance(self.remembered, int) and self.remembered >= 1):
            raise DeclarationError(f"BarzilaiBorwein's remembered must be an integer ≥ 1, got {self.remembered!r}")

    @property
    def memory(self) -> int:
        return self.remembered

    def start(self, size: int) -> State:
        return {"x": np.full(size, np.nan), "gradient": np.full(size, np.nan), "count": np.zeros(()),
                "rate": np.full((), np.nan)}  # fmt: skip

    def direction(self, x: Array, gradient: Array, state: State) -> tuple[Array, State]:
        count = float(state["count"])
        rate = self._secant(x - state["x"], gradient - state["gradient"], count) if count > 0 else np.nan
        return -gradient, {"x": x, "gradient": gradient, "count": np.asarray(count + 1.0), "rate": np.asarray(rate)}

    def _secant(self, s: Array, y: Array, count: float) -> float:
        curvature = float(s @ y)
        if not curvature > 0:
            return np.nan
        short = self.kind == "short" or (self.kind == "alternate" and count % 2 == 0)
        rate = curvature / float(y @ y) if short else float(s @ s) / curvature
        return min(max(rate, self.smallest), self.largest)

    def rate(self, state: State) -> float | None:
        rate = float(state["rate"])
        return rate if np.isfinite(rate) else None


METHODS: dict[str, Callable[[], Method]] = {
    m.name: m for m in (Gradient, Momentum, Nesterov, Adam, BarzilaiBorwein)
}


def method_named(method: Any) -> Method:
    """The method of a name, or a method itself. Raises DeclarationError for anything else."""
    if isinstance(method, Method):
        return method
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]()
    if isinstance(method, type) and issubclass(method, Method):
        raise DeclarationError(f"method must be an object: la.ascent.{method.__name__}(), with parentheses")
    raise DeclarationError(
        f"method must be one of {listing(METHODS)}, or a method of la.ascent such as la.ascent.Momentum(0.9), "
        f"got {method!r}{nearest(method, METHODS) if isinstance(method, str) else ''}"
    )


def is_number(value: Any) -> bool:
    """Whether a value is a real number (True and False are not meant as numbers)."""
    from numbers import Real

    return isinstance(value, Real) and not isinstance(value, bool)


def _check_fraction(method: Method, name: str, value: Any) -> None:
    if not (is_number(value) and 0 <= value < 1):
        raise DeclarationError(f"{type(method).__name__}'s {name} must be a number in [0, 1), got {value!r}")
