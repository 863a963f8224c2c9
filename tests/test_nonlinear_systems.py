"""Published systems of nonlinear equations: all from their given starts, more than SciPy from perturbed ones."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
CASES = ROOT.parent / "shared" / "cases" / "nonlinear_systems.json"
PERTURBED = 10
CHEAP = ("himmelblau", "gottfried", "hyperbola_circle", "ferraris_tronconi", "kepler_e0.99")
"""Systems on which krylov does not take long."""


@pytest.fixture(scope="module")
def benchmark() -> Any:
    """benchmarks/nonlinear_systems.py, which has the criterion."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("nonlinear_systems", ROOT / "benchmarks" / "nonlinear_systems.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["nonlinear_systems"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


@pytest.fixture(scope="module")
def systems(benchmark: Any) -> list[Any]:
    if not CASES.exists():
        pytest.skip(f"the reference cases are not here: {CASES.name}")
    return list(benchmark.read(CASES))


@pytest.fixture(scope="module")
def found(benchmark: Any, systems: list[Any]) -> dict[str, tuple[bool, int, int]]:
    """Ours: whether from the given start, how many from perturbed ones, iterations."""
    return {system.name: benchmark.solved(system, benchmark.ours, PERTURBED) for system in systems}


def test_all_from_their_given_starts(systems: list[Any], found: dict[str, tuple[bool, int, int]]) -> None:
    assert len(systems) == 19
    assert [name for name, (first, _, _) in found.items() if not first] == []


@pytest.mark.parametrize("method", ["hybr", "lm"])
def test_more_from_perturbed_starts(method: str, benchmark: Any, systems: list[Any],
                                    found: dict[str, tuple[bool, int, int]]) -> None:
    make = benchmark.METHODS[method][1]
    theirs = sum(benchmark.solved(system, make, PERTURBED)[1] for system in systems)
    assert sum(near for _, near, _ in found.values()) > theirs


def test_more_than_krylov_on_what_is_quick(benchmark: Any, systems: list[Any],
                                              found: dict[str, tuple[bool, int, int]]) -> None:
    make = benchmark.METHODS["krylov"][1]
    theirs = sum(benchmark.solved(system, make, PERTURBED)[1] for system in systems if system.name in CHEAP)
    assert sum(found[name][1] for name in CHEAP) > theirs


def test_the_criterion_tells_right_from_wrong(benchmark: Any, systems: list[Any]) -> None:
    for system in systems:
        root = system.roots[0]
        assert system.is_solved(root, True) or not system.lists_all_roots
        assert not system.is_solved(root + 0.1 * np.maximum(np.abs(root), 1.0), False)
        assert not system.is_solved(np.full(len(root), np.nan), False)
