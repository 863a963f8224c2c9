"""What the benchmark scripts share: fair timing, agreement of numbers, Markdown tables, the line of versions.

A script lists ``Peer``s, ours first. Each makes its ``Work``: a function of one argument, the arguments to call it with
(never the same one twice in a row, so that nobody is paid for remembering), and how its result reads as NumPy arrays.
``compare`` checks that all agree, then times them in turns, so that a slow minute of the machine is everybody's.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import lagrange_ad as la

Array = np.ndarray
EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))  # some models and a reader of files are there
PACKAGES = ("numpy", "scipy", "llvmlite", "numba", "casadi", "jax", "torch", "autograd", "pyoptinterface", "openmdao",
            "optimistix", "pyomo")


@dataclass(frozen=True)
class Work:
    """``function(argument)`` is timed; ``numbers(result)`` are its arrays, compared with ours one by one.

    ``note`` is shown below the table.
    """

    function: Callable[[Any], Any]
    arguments: Sequence[Any]
    numbers: Callable[[Any], Sequence[Any]] = list
    note: str = ""


@dataclass(frozen=True)
class Peer:
    """A row of the table. ``target``: how many times our time it should take at least; ``said``: the same in words."""

    name: str
    needs: tuple[str, ...]
    make: Callable[[], Work]
    target: float | None = None
    said: str = ""


@dataclass
class Row:
    """What became of a peer: seconds a call, the largest difference from our numbers, or why there are none."""

    peer: Peer
    seconds: float = float("nan")
    difference: float | None = None
    note: str = ""
    missing: str = ""


class CannotDo(Exception):
    """Raised by ``Peer.make`` where the peer cannot do the work; the message goes into its row."""


def example(name: str) -> Any:
    """The module of an example, whose name may be that of a benchmark too."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


# running -------------------------------------------------------------------------------------------------------

def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every script has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="small sizes and few repeats: to see that it runs")
    made.add_argument("--repeats", type=int, default=0, help="rounds of timing; medians are shown (default 7, quick 3)")
    return made


def growing(doc: str | None, names: Sequence[str]) -> argparse.Namespace:
    """What was given to a script that times programs of growing sizes; ``case`` and ``size``: measure this one here."""
    made = parser(doc)
    made.add_argument("--most", type=int, default=0, help="largest power of ten (default 6, quick 4)")
    made.add_argument("--only", nargs="*", default=list(names), choices=list(names))
    made.add_argument("--case", help=argparse.SUPPRESS)
    made.add_argument("--size", type=int, help=argparse.SUPPRESS)
    given = made.parse_args()
    given.most = given.most or (4 if given.quick else 6)
    return given


def rounds(options: argparse.Namespace) -> int:
    """How often to repeat, by ``--repeats`` and ``--quick``."""
    return options.repeats or (3 if options.quick else 7)


def compare(peers: Sequence[Peer], repeats: int) -> list[Row]:
    """Check every peer's numbers against those of the first one, then time all of them in turns."""
    rows, works = [], []
    for peer in peers:
        row = Row(peer)
        rows.append(row)
        lacking = [name for name in peer.needs if importlib.util.find_spec(name) is None]
        if lacking:
            row.missing = f"not installed: {', '.join(lacking)}"
            continue
        try:
            work = peer.make()
        except CannotDo as reason:
            row.missing = str(reason)
            continue
        row.note = work.note
        works.append((row, work))
    reference = _numbers(works[0][1])
    for row, work in works[1:]:
        row.difference = difference(_numbers(work), reference)
    for (row, _), seconds in zip(works, medians([work for _, work in works], repeats), strict=True):
        row.seconds = seconds
    return rows


def _numbers(work: Work) -> list[list[Array]]:
    """The arrays of the result at every argument, copied: peers may write into the same buffers again."""
    return [[np.array(part, dtype=float) for part in work.numbers(work.function(a))] for a in work.arguments]


def difference(found: Sequence[Sequence[Array]], wanted: Sequence[Sequence[Array]]) -> float:
    """The largest |a − b| of any array, relative to that array's largest entry."""
    worst = 0.0
    for at_found, at_wanted in zip(found, wanted, strict=True):
        for a, b in zip(at_found, at_wanted, strict=True):
            a, b = np.ravel(a), np.ravel(b)
            scale = np.max(np.abs(b), initial=0.0) or 1.0
            worst = max(worst, float(np.max(np.abs(a - b), initial=0.0)) / scale)
    return worst


def medians(works: Sequence[Work], repeats: int, least: float = 0.05) -> list[float]:
    """Median seconds a call of each, warm, timed in turns; a turn takes at least ``least`` seconds."""
    counts = [_calls_for(work, least) for work in works]
    gc.collect()
    turns = [[_turn(work, count) for work, count in zip(works, counts, strict=True)] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*turns, strict=True)]


def _calls_for(work: Work, least: float) -> int:
    """How often to go round the arguments to take ``least`` seconds; going round once at least warms up."""
    count = 1
    while (seconds := _turn(work, count) * count * len(work.arguments)) < least:
        count = max(2 * count, int(count * min(least / max(seconds, 1e-9), 10.0)))
    return count if seconds < 10 * least else 1


def _turn(work: Work, count: int) -> float:
    """Seconds a call, going round the arguments ``count`` times."""
    arguments = [*work.arguments] * count
    function = work.function
    begin = time.perf_counter()
    for argument in arguments:
        function(argument)
    return (time.perf_counter() - begin) / len(arguments)


def child(script: str, *arguments: Any) -> dict[str, Any]:
    """The last line that a process of its own prints, as JSON: for peak memory, and for what must not be warm."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def cpu_jax() -> Any:
    """JAX in float64 on the processor."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    return jax


def casadi_buffers(function: Any) -> tuple[Callable[[], None], list[Array], list[Array]]:
    """(run, arguments, results) of a CasADi function by its buffer interface: fill arguments, run(), read results.

    The arrays hold the nonzeros.
    """
    buffer, trigger = function.buffer()
    arguments = [np.zeros(function.nnz_in(i)) for i in range(function.n_in())]
    results = [np.zeros(function.nnz_out(i)) for i in range(function.n_out())]
    for i, array in enumerate(arguments):
        buffer.set_arg(i, memoryview(array))
    for i, array in enumerate(results):
        buffer.set_res(i, memoryview(array))
    trigger.keep = (function, buffer)  # the trigger alone does not keep them alive
    return trigger, arguments, results


def casadi_work(function: Any, arguments: Sequence[Any], numbers: Callable[[Any], Sequence[Any]] = list) -> Work:
    """A CasADi function of one argument by its buffer interface; its results are what ``numbers`` reads."""
    run, (argument,), results = casadi_buffers(function)

    def filled(given: Any) -> Any:
        argument[:] = given
        run()
        return results

    return Work(filled, arguments, numbers)


# showing -------------------------------------------------------------------------------------------------------

def versions() -> str:
    """CPU model, cores, how busy they are, Python and the versions of what is installed of PACKAGES."""
    found = [f"{name} {_version(name)}" for name in PACKAGES if importlib.util.find_spec(name) is not None]
    return (f"{_cpu()}, {cores()} cores{_busy()}, Python {platform.python_version()}, "
            f"lagrange_ad {la.__version__}, {', '.join(found)}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"


def cores() -> int:
    """How many cores this process may use: ``taskset -c 0 python …`` leaves one to everybody."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _busy() -> str:
    """The load when we begin: above 0.2 or so others are at work, and times of several threads mean little."""
    return f" (load {os.getloadavg()[0]:.1f})" if hasattr(os, "getloadavg") else ""


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def heading(title: str) -> None:
    """The title and the versions, as every script begins."""
    print(f"# {title}\n\n{versions()}\n", flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(line) + " |" for line in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def show(rows: Sequence[Row], aim: str = "") -> None:
    """Print the rows: time, how many times ours, the target beside it, the largest difference; notes below."""
    ours = rows[0].seconds
    lines = []
    for row in rows:
        if row.missing:
            lines.append([row.peer.name, row.missing, "", row.peer.said, ""])
            continue
        apart = "" if row.difference is None else f"{row.difference:.1e}"
        lines.append([row.peer.name, duration(row.seconds), f"{row.seconds / ours:.3g}", verdict(row, ours), apart])
    lines[0][3] = aim
    print(table(["", "time", "times ours", "target", "largest relative difference"], lines))
    for row in rows:
        if row.note:
            print(f"\n{row.peer.name}: {row.note}")
    print(flush=True)


def verdict(row: Row, ours: float) -> str:
    """The target in words, and whether it is met."""
    if row.peer.target is None:
        return row.peer.said
    met = "met" if row.seconds / ours >= row.peer.target else "missed"
    return f"{row.peer.said or f'≥ {row.peer.target:g}'}: {met}"


def within(limit: float, seconds: float, said: str) -> str:
    """A target for our own time in words, and whether it is met."""
    return f"{said}: {'met' if seconds <= limit else 'missed'}"


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def power(n: float) -> str:
    """10^5 for 100000."""
    exponent = round(np.log10(n))
    return f"10^{exponent}" if n == 10**exponent else f"{n:g}"
