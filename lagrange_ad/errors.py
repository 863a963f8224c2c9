"""Every exception the library raises on purpose.

Each carries the names the user gave, what was found, what was expected and what to try.
Errors of a failed solve keep the last iterate in ``err.at``, so that nothing computed is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class LagrangeError(Exception):
    """Base of all errors of this library."""


class DeclarationError(LagrangeError, ValueError):
    """A declaration or a given value that cannot be: a name used twice, NaN input, a foreign variable."""


class ShapeError(DeclarationError):
    """Shapes that do not fit together."""


class ExpressionTypeError(LagrangeError, TypeError):
    """An operation that expressions do not support, with the spelling that works."""


class UnknownNameError(LagrangeError, KeyError):
    """A name that the program does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


class MissingObjectiveError(LagrangeError, ValueError):
    """A gradient, a multiplier or an ascent was asked of a program without an objective."""


class StructureError(LagrangeError, ValueError):
    """Equations that cannot determine the variables, whatever the numbers (structural singularity).

    ``err.findings`` is what its message is made of, as data.
    """

    def __init__(self, message: str, findings: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class SolveError(LagrangeError, RuntimeError):
    """A computation that failed on the numbers; ``err.at`` is the last iterate with its residuals.

    ``err.findings`` is what its message is made of, as data.
    """

    def __init__(self, message: str, at: Any = None, findings: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.at, self.findings = at, findings


class ConvergenceError(SolveError):
    """A block that did not converge."""


class DomainError(SolveError, ArithmeticError):
    """An equation that left the domain of one of its functions (its value is NaN)."""


class SingularError(SolveError):
    """A block whose Jacobian is singular, where a regular one is needed."""


class DerivativeError(LagrangeError, AssertionError):
    """A derivative that disagrees with differences of values (``testing.check_derivatives``)."""


class CheckpointError(LagrangeError, ValueError):
    """A checkpoint that cannot be written, cannot be read, or is of another program or other options."""


class EquationFileError(LagrangeError, ValueError):
    """An equation file that cannot be read; shows the place with a caret."""

    def __init__(
        self,
        message: str,
        *,
        filename: str | None = None,
        line: int | None = None,
        column: int | None = None,
        source_line: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.filename, self.line, self.column, self.source_line = filename, line, column, source_line

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.filename, self.line, self.column) if part is not None)
        text = f"{place}: {self.message}" if place else self.message
        if self.source_line is not None:
            text += f"\n    {self.source_line}"
            if self.column is not None:
                indent = "".join("\t" if c == "\t" else " " for c in self.source_line[: self.column - 1])
                text += f"\n    {indent}^"
        return text
