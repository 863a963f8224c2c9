"""Run every benchmark, each in a process of its own, and keep what they print in one Markdown file.

    python benchmarks/all.py                       full sizes, to benchmarks/latest.md
    python benchmarks/all.py --quick --only recurrence network
    python benchmarks/all.py --output today.md
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("limits", "six_equations", "cheap_gradient", "hessian_product", "power_flow", "power_flow_solve",
           "recurrence", "robertson", "small_cycles", "bratu", "optimal_power_flow", "dynamic_optimization",
           "nonlinear_systems", "network", "declare", "structure", "random_expression")


def output_of(name: str, options: list[str]) -> str:
    """What a script prints, or the end of its complaint."""
    begin = time.perf_counter()
    command = [sys.executable, str(HERE / f"{name}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(f"{name}: {time.perf_counter() - begin:.0f} s, {'done' if done.returncode == 0 else 'FAILED'}", flush=True)
    if done.returncode:
        return f"{done.stdout}\n# {name} failed\n\n```text\n{done.stderr[-2000:].strip()}\n```\n"
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats")
    parser.add_argument("--only", nargs="*", choices=SCRIPTS, default=SCRIPTS, help="these scripts only")
    parser.add_argument("--output", type=Path, default=HERE / "latest.md", help="default benchmarks/latest.md")
    given = parser.parse_args()
    options = ["--quick"] if given.quick else []
    parts = [f"{datetime.date.today()}, `python benchmarks/all.py{' --quick' if given.quick else ''}`.\n"]
    for name in given.only:
        parts.append(output_of(name, options))
        given.output.write_text("\n".join(parts))
    print(given.output)


if __name__ == "__main__":
    main()
