"""Numbers and names as text: how every room writes what it has. Takes plain data, gives strings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def number(value: Any) -> str:
    """A float with the digits a reader wants: 10 significant ones, no trailing zeros."""
    value = float(value)
    return f"{value:.10g}"


def values(array: Any, most: int = 3) -> str:
    """A scalar as a number, an array as its first elements and its shape."""
    data = np.asarray(array)
    if data.ndim == 0:
        return number(data)
    flat = data.ravel()
    shown = ", ".join(f"{x:.6g}" for x in flat[:most].tolist())
    return f"[{shown}{', …' if flat.size > most else ''}] {data.shape}"


def listing(names: Iterable[Any], most: int = 8) -> str:
    """Names joined by commas; a long list is cut and counted."""
    items = [str(name) for name in names]
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])}, … ({len(items)} in all)"


def shorten(text: str, most: int = 160) -> str:
    """The beginning of a long text."""
    return text if len(text) <= most else text[: most - 2] + " …"


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a known name is close, else empty."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def plain(value: Any) -> Any:
    """Arrays, numbers, dicts and sequences as data for strict JSON, which has no infinity and no NaN: both are None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and np.isfinite(value).all():
        return value.tolist()
    if hasattr(value, "tolist"):  # a NumPy array or number
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
