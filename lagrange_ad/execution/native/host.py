"""What this machine offers compiled code: vector width, the C library's functions and their vector forms."""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import lru_cache
from importlib import import_module
from typing import Any


class Host:
    """The processor and its mathematics libraries.

    ``width`` doubles are computed at once. A function of the C library is called through its own address, and, where
    glibc has one (libmvec), through its vector form, which is accurate to 4 units in the last place.
    """

    def __init__(self, cpu: str, features: str, has: Any, machine: str) -> None:
        self.cpu, self.features = cpu, features
        self.width, self._prefix = _vector(has, machine)
        names = [ctypes.util.find_library(name) for name in ("m", "ucrtbase")]  # the second one on Windows
        self._libm: Any = ctypes.CDLL(next((name for name in names if name), "libm.so.6"))
        try:
            self._libmvec: Any = ctypes.CDLL("libmvec.so.1") if self._prefix else None
        except OSError:
            self._libmvec = None

    def vector_function(self, name: str, arity: int, width: int) -> str | None:
        """The symbol of a function's vector form, or None."""
        if self._libmvec is None or width != self.width:
            return None
        symbol = f"_ZGV{self._prefix}N{width}{'v' * arity}_{name}"
        return symbol if hasattr(self._libmvec, symbol) else None

    def address(self, symbol: str) -> int:
        """Where a function that compiled code calls stands: of the C library, its vector forms, or SciPy's BLAS."""
        if symbol.startswith("blas_"):
            return _capsule("cython_blas", symbol[5:])
        if symbol.startswith("lapack_"):
            return _capsule("cython_lapack", symbol[7:])
        library, name = (self._libm, symbol[3:]) if symbol.startswith("la_") else (self._libmvec, symbol)
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0

    @property
    def attributes(self) -> str:
        """Attributes of every function: vectors of the full width are legal (some processors split them otherwise)."""
        bits = 64 * self.width
        return f'nounwind "min-legal-vector-width"="{bits}" "prefer-vector-width"="{bits}"'


def _vector(has: Any, machine: str) -> tuple[int, str]:
    """(doubles at once, letter of the vector functions) of a processor."""
    if machine in ("x86_64", "AMD64"):
        if has("avx512f") and has("avx512dq") and has("avx512vl"):
            return 8, "e"
        return (4, "d") if has("avx2") and has("fma") else (4, "")
    return (2, "n") if machine == "aarch64" else (4, "")


def _capsule(module: str, name: str) -> int:
    """The address of a function that ``scipy.linalg`` exports to compiled code."""
    python: Any = ctypes.pythonapi
    python.PyCapsule_GetName.restype, python.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    held = import_module(f"scipy.linalg.{module}").__pyx_capi__[name]
    return int(python.PyCapsule_GetPointer(held, python.PyCapsule_GetName(held)))


@lru_cache(maxsize=1)
def host() -> Host:
    """This machine. Raises ImportError without llvmlite."""
    import platform

    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return Host(llvm.get_host_cpu_name(), features.flatten(), lambda name: features.get(name, False),
                platform.machine())
