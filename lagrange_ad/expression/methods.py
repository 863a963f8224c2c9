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

    def var(self, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Expression:
        """``np.var`` of it."""
        return _FUNCTIONS[np.var](self, axis=axis, ddof=ddof, keepdims=keepdims)

    def std(self, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Expression:
        """``np.std`` of it."""
        return _FUNCTIONS[np.std](self, axis=axis, ddof=ddof, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.prod`` of it."""
        return _FUNCTIONS[np.prod](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.max`` of it."""
        return _FUNCTIONS[np.max](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Expression:
        """``np.min`` of it."""
        return _FUNCTIONS[np.min](self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: Any = None) -> Expression:
        """``np.cumsum`` of it."""
        return _FUNCTIONS[np.cumsum](self, axis=axis)

    def cumprod(self, axis: Any = None) -> Expression:
        """``np.cumprod`` of it."""
        return _FUNCTIONS[np.cumprod](self, axis=axis)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Expression:
        """``np.trace`` of it."""
        return _FUNCTIONS[np.trace](self, offset, axis1, axis2)

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

    def conjugate(self) -> Expression:
        """Itself: expressions are real. NumPy asks for it in np.var of a list of expressions."""
        return _FUNCTIONS[np.copy](self)

    def copy(self) -> Expression:
        """Itself: expressions never change."""
        return _FUNCTIONS[np.copy](self)
