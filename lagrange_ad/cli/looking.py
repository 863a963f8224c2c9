"""The commands that change nothing: evaluate, show, diagnose, check."""

from __future__ import annotations

import argparse
from typing import Any

from .reading import add_command, read_program
from .values import picture
from .writing import NOT_CONVERGED, WORKED, fail, in_json, in_words_of_files, write, write_shown


def add_evaluate(commands: Any) -> None:
    """The command line of evaluate."""
    add_command(commands, "evaluate", _evaluate, "solve the equations; values, multipliers and the gradient")


def add_others(commands: Any) -> None:
    """The command line of show, diagnose, check."""
    show = add_command(commands, "show", _show, "the declarations, the Lagrangian and the order of solution")
    show.add_argument("--plot", metavar="PNG", type=picture, help="draw the program (.png, .svg or .pdf)")
    add_command(commands, "diagnose", _diagnose, "say what is wrong with the equations, or with their solution")
    check = add_command(commands, "check", _check, "compare every derivative with differences of values")
    check.add_argument("--hessian", action="store_true", help="check second derivatives too")
    check.add_argument("--nearby", metavar="N", type=int, default=0,
                       help="check at N more points, inputs and parameters changed by up to 10 percent at random")


def _evaluate(options: argparse.Namespace) -> int:
    at = read_program(options).evaluate()
    write_shown(at, options.json)
    return WORKED


def _show(options: argparse.Namespace) -> int:
    program = read_program(options)
    lagrangian = str(program.lagrangian) if program.objective is not None else None
    if options.plot:
        program.plot(path=options.plot)
    if options.json:
        write(in_json(_description(program, lagrangian)))
        return WORKED
    parts = [program.summary(), "Lagrangian\n\n" + (lagrangian or "none: the file states no objective")]
    write("\n\n".join([*parts, f"Schedule\n\n{program.schedule}"]))
    return WORKED


def _check(options: argparse.Namespace) -> int:
    from ..testing import check_derivatives

    report = check_derivatives(read_program(options), values=dict(options.set), hessian=options.hessian,
                               nearby=options.nearby)
    write_shown(report, options.json)
    if not report.ok:
        return fail(f"{report.checked['wrong']} wrong: {report.worst}", NOT_CONVERGED)
    if not report.solved:
        return fail("the equations have no solution here, so the gradient was not checked", NOT_CONVERGED)
    return WORKED


def _diagnose(options: argparse.Namespace) -> int:
    found = read_program(options).diagnose()
    write_shown(found.reworded(in_words_of_files), options.json)
    return WORKED if found.ok else NOT_CONVERGED


def _description(program: Any, lagrangian: str | None) -> dict[str, Any]:
    symbols = [
        {"name": s.name, "kind": s.kind, "value": _plain_value(s.value), "lower": s.lower, "upper": s.upper,
         **({"unit": s.unit} if s.unit else {}), **({"role": program.role_of(s)} if s.name in program.swapped else {})}
        for s in program.symbols.values()
    ]
    return {
        "program": program.name,
        "symbols": symbols,
        "equations": [{"name": e.name, "equation": str(e)} for e in program.equations],
        "objective": None if program.objective is None else str(program.objective),
        "constraints": [{"name": c.name, "constraint": str(c)} for c in program.constraints],
        "lagrangian": lagrangian,
        "schedule": str(program.schedule).splitlines(),
    }


def _plain_value(value: Any) -> Any:
    """A value or a start: numbers as they are, a formula as text."""
    from ..expression import Expression
    from ..printing import to_text

    return to_text(value) if isinstance(value, Expression) else value
