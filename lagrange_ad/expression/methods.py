"""The methods that expressions share with NumPy's arrays, each the NumPy function of its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .tables import FUNCTIONS

if TYPE_CHECKING:
    from .node import Expression

_FUNCTIONS: Mapping[Any, Callable[..., Expression]] = FUNCTIONS  # those below give expressions


class ArrayMethods:
    """Methods of an array that a NumPy function spells too."""

    __slots__ = ()
    def sum(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.sum`` of it."""
        return _FUNCTIONS[np.sum](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.mean`` of it."""
        return _FUNCTIONS[np.mean](self, axis=axis, keepdims=keepdims)

    def dot(self, other: Any) -> Expression:
        """``np.dot(self, other)``."""
        return _FUNCTIONS[np.dot](self, other)

    def reshape(self, *shape: Any, order: Any = "C") -> Expression:
        """``np.reshape`` of it; the sizes as one tuple or one by one."""
        sizes = shape[0] if len(shape) == 1 else shape
        return _FUNCTIONS[np.reshape](self, sizes) if order == "C" else _FUNCTIONS[np.reshape](self, sizes, order=order)

    def transpose(self, *axes: Any) -> Expression:
        """``np.transpose`` of it."""
        return _FUNCTIONS[np.transpose](self, *((axes[0],) if len(axes) == 1 else (axes,) if axes else ()))

    def ravel(self) -> Expression:
        """All elements on one axis, in C order."""
        return _FUNCTIONS[np.ravel](self)

    flatten = ravel

    @property
    def mT(self) -> Expression:
        """The last two axes swapped."""
        return _FUNCTIONS[np.swapaxes](self, -1, -2)

    def squeeze(self, axis: Any = None) -> Expression:
        """``np.squeeze`` of it."""
        return _FUNCTIONS[np.squeeze](self, axis)

    def swapaxes(self, axis1: int, axis2: int) -> Expression:
        """``np.swapaxes`` of it."""
        return _FUNCTIONS[np.swapaxes](self, axis1, axis2)

    def diagonal(self, offset: int = 0) -> Expression:
        """``np.diagonal`` of it."""
        return _FUNCTIONS[np.diagonal](self, offset)

    def clip(self, min: Any = None, max: Any = None) -> Expression:
        """``np.clip`` of it."""
        return _FUNCTIONS[np.clip](self, min, max)

    def copy(self) -> Expression:
        """Itself: expressions never change."""
        return _FUNCTIONS[np.copy](self)
