"""Systems of nonlinear equations from the literature: who solves them, from given and from perturbed starts.

    python benchmarks/nonlinear_systems.py --cases nonlinear_systems.json
    python benchmarks/nonlinear_systems.py --quick             two perturbed starts, not ten

The file lists systems as text, {"name", "vars", "defs", "equations", "start", "roots"}, with ^ for powers. Perturbed
starts are x + u·max(|x|, 1) with u uniform in [−1, 1], numpy.random.default_rng(2026), anew for each system.

A solve is a success, whoever did it and whatever it said of itself, when every residual at the point that it gave is
|r_i| ≤ 1e-9·max(1, Σ_j |∂r_i/∂x_j·x_j|). From the given start the point must also be one of the listed roots, to 1e-6
of max(|x|, 1), where their Jacobians are regular and no note says that there are others ("any", "several", "many").

Ours is p.evaluate() of a program with one equation a line. SciPy's hybr and lm and CasADi's newton and kinsol have
exact Jacobians; krylov has none. SciPy has tol=1e-12, kinsol its line search and abstol=1e-12 (with its defaults it
solves less), CasADi's newton its defaults. The last numbers are what all starts took: iterations of ours and CasADi's,
evaluations of the residuals of SciPy's; kinsol does not say.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import Array, heading, parser, table

import lagrange_ad as la

CASES = Path(__file__).parent.parent.parent / "shared" / "cases" / "nonlinear_systems.json"
ACCURACY, ROOT = 1e-9, 1e-6
FUNCTIONS = ("exp", "log", "log10", "sin", "cos", "tan", "sqrt")
Solve = Callable[[Array], Array]


@dataclass
class System:
    """One system: its text, and functions of arrays made of it."""

    name: str
    names: list[str]
    definitions: Mapping[str, str]
    equations: list[str]
    start: Array
    roots: Array
    note: str = ""
    code: list[Any] = field(default_factory=list)

    def written(self, values: Any, functions: Mapping[str, Any]) -> list[Any]:
        """The left sides with the given variables and functions."""
        if not self.code:
            texts = [*self.definitions.values(), *self.equations]
            self.code = [compile(text.replace("^", "**"), self.name, "eval") for text in texts]
        scope = {**functions, "pi": np.pi, "__builtins__": {}, **dict(zip(self.names, values, strict=True))}
        n = len(self.definitions)
        for name, code in zip(self.definitions, self.code[:n], strict=True):
            scope[name] = eval(code, scope)
        return [eval(code, scope) for code in self.code[n:]]

    def residual(self, x: Array) -> Array:
        """r (n,)."""
        with np.errstate(all="ignore"):
            return np.array([value + 0.0 * x[0] for value in self.written(x, of_numpy())])

    def jacobian(self, x: Array) -> Array:
        """∂r/∂x (n, n), by complex steps."""
        columns = [self.residual(x + 1e-30j * e).imag / 1e-30 for e in np.eye(len(x))]
        return np.stack(columns, axis=1)

    def is_solved(self, x: Any, from_given_start: bool) -> bool:
        """The criterion above."""
        point = np.asarray(x, dtype=float).ravel()
        if not np.isfinite(point).all():
            return False
        r, slopes = self.residual(point), self.jacobian(point)
        terms = np.abs(slopes) @ np.abs(point)
        if not (np.isfinite(r).all() and (np.abs(r) <= ACCURACY * np.maximum(1.0, terms)).all()):
            return False
        return not (from_given_start and self.lists_all_roots) or self.is_listed(point)

    @property
    def lists_all_roots(self) -> bool:
        """Whether the listed roots are meant to be all that may be found, and can be told to 1e-6."""
        regular = all(np.linalg.cond(self.jacobian(root)) < 1e12 for root in self.roots)
        return regular and not any(word in self.note for word in ("any ", "several", "many", "variants"))

    def is_listed(self, x: Array) -> bool:
        """Whether a point is one of the listed roots."""
        return any((np.abs(x - root) <= ROOT * np.maximum(np.abs(root), 1.0)).all() for root in self.roots)

    def starts(self, perturbed: int) -> list[Array]:
        """The given start and those beside it."""
        rng, x = np.random.default_rng(2026), self.start
        return [x, *(x + rng.uniform(-1.0, 1.0, len(x)) * np.maximum(np.abs(x), 1.0) for _ in range(perturbed))]


def of_numpy() -> dict[str, Any]:
    """The functions of the file."""
    return {**{name: getattr(np, name) for name in FUNCTIONS}, "atan": np.arctan}


def read(path: Path) -> list[System]:
    """The systems of a file."""
    listed = json.loads(path.read_text(encoding="utf-8"))["systems"]
    return [
        System(one["name"], one["vars"], one["defs"], one["equations"], np.array(one["start"], dtype=float),
               np.array([root["x"] for root in one["roots"]]), one["note"] + " ".join(one["tags"]))
        for one in listed
    ]


# who solves ----------------------------------------------------------------------------------------------------

@dataclass
class Count:
    """What a method needed in all."""

    calls: int = 0


def ours(system: System, count: Count) -> Solve:
    """p.evaluate(); where it raises, the point that the error carries."""
    p = la.Program(system.name)
    variables = [p.variable(name, start=value) for name, value in zip(system.names, system.start.tolist(), strict=True)]
    for expression in system.written(variables, of_numpy()):
        p.equate(expression, 0.0)

    def solve(x: Array) -> Array:
        try:
            at = p.evaluate(start=dict(zip(system.names, x.tolist(), strict=True)))
        except la.SolveError as error:
            at = error.at
        count.calls += sum(block.iterations for block in at.blocks)
        return np.array([float(at[name]) for name in system.names])

    return solve


def of_scipy(method: str) -> Callable[[System, Count], Solve]:
    """scipy.optimize.root."""
    def make(system: System, count: Count) -> Solve:
        from scipy.optimize import root

        jacobian: dict[str, Any] = {} if method == "krylov" else {"jac": system.jacobian}

        def residual(x: Array) -> Array:
            count.calls += 1
            return system.residual(x)

        def solve(x: Array) -> Array:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    return np.asarray(root(residual, x, method=method, tol=1e-12, **jacobian).x)
                except (ValueError, np.linalg.LinAlgError, ArithmeticError):
                    return np.full(len(x), np.nan)

        return solve

    return make


def of_casadi(method: str) -> Callable[[System, Count], Solve]:
    """casadi.rootfinder; where it throws there is no point."""
    def make(system: System, count: Count) -> Solve:
        import casadi

        symbols = [casadi.SX.sym(name) for name in system.names]
        functions = {**{name: getattr(casadi, name) for name in FUNCTIONS}, "atan": casadi.atan}
        problem = {"x": casadi.vertcat(*symbols), "g": casadi.vertcat(*system.written(symbols, functions))}
        options = {"strategy": "linesearch", "abstol": 1e-12, "max_iter": 1000} if method == "kinsol" else {}
        finder = casadi.rootfinder("finder", method, problem, {"error_on_fail": False, **options})

        def solve(x: Array) -> Array:
            try:
                found = np.asarray(finder(x, [])).ravel()
            except RuntimeError:
                found = np.full(len(x), np.nan)
            count.calls += int(finder.stats().get("iter_count", 0))
            return found

        return solve

    return make


METHODS: dict[str, tuple[str, Callable[[System, Count], Solve]]] = {
    "ours": ("", ours),
    "hybr": ("scipy", of_scipy("hybr")), "lm": ("scipy", of_scipy("lm")), "krylov": ("scipy", of_scipy("krylov")),
    "newton": ("casadi", of_casadi("newton")), "kinsol": ("casadi", of_casadi("kinsol")),
}  # fmt: skip


def solved(system: System, make: Callable[[System, Count], Solve], perturbed: int) -> tuple[bool, int, int]:
    """Whether the given start was a success, how many perturbed ones, and the calls for all."""
    count = Count()
    solve = make(system, count)
    good = [system.is_solved(solve(x), k == 0) for k, x in enumerate(system.starts(perturbed))]
    return good[0], sum(good[1:]), count.calls


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--cases", type=Path, default=CASES, help=f"the file of systems (default {CASES})")
    given = options.parse_args()
    heading("Systems of nonlinear equations")
    if not given.cases.exists():
        print(f"{given.cases} is not there: give the file of systems by --cases\n")
        return
    perturbed = 2 if given.quick else 10
    known = {name: make for name, (needs, make) in METHODS.items() if not needs or importlib.util.find_spec(needs)}
    rows, good, near, calls = [], dict.fromkeys(known, 0), dict.fromkeys(known, 0), dict.fromkeys(known, 0)
    for system in read(given.cases):
        row = [system.name]
        for name, make in known.items():
            first, others, count = solved(system, make, perturbed)
            good[name], near[name], calls[name] = good[name] + first, near[name] + others, calls[name] + count
            row.append(f"{'yes' if first else '**no**'}, {others}, {count}")
        rows.append(row)
    total = ["all", *(f"{good[name]}, {near[name]}, {calls[name]}" for name in known)]
    print(f"Given start solved, how many of {perturbed} perturbed ones, and iterations or evaluations for all:\n")
    print(table(["system", *(title(name) for name in known)], [*rows, total]))
    missing = [title(name) for name in METHODS if name not in known]
    if missing:
        print(f"\nnot installed: {', '.join(missing)}")


def title(name: str) -> str:
    """A method with its package."""
    package = {"scipy": "SciPy ", "casadi": "CasADi "}.get(METHODS[name][0], "")
    return package + name


if __name__ == "__main__":
    main()
