"""What a check of derivatives found: one row a derivative, the worst first. Plain data that prints as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import DerivativeError
from ..tables import Column, Report, Rows, Shown, Table
from ..text import number


@dataclass(frozen=True)
class DerivativeCheck:
    """One derivative beside its numerical value.

    ``kind``: ``partial`` (of an equation's right side, of right − left where implicit, of the objective or of a
    constraint), ``gradient`` (of the objective, the equations solved), ``transposed`` (back-substitution against the
    partials) or ``second``. ``element`` names the elements where ``equation`` or ``wrt`` are arrays. ``verdict``:
    ``right``, ``wrong`` or ``could not tell``, and ``note`` why.
    """

    kind: str
    equation: str
    wrt: str
    element: str
    analytic: float
    numerical: float
    error: float
    tolerance: float
    method: str
    verdict: str
    note: str = ""
    place: str = ""
    badness: float = field(default=0.0, repr=False)

    @property
    def title(self) -> str:
        """The derivative as it is written: ∂y/∂x of an equation, dJ/dx of the solved objective, ∂²L/∂x∂y of Σ λ·f."""
        if self.kind == "second":
            return "∂²L/" + "".join(f"∂{name}" for name in self.wrt.split(", "))
        signs = {"partial": "∂", "gradient": "d"}
        if self.kind not in signs:
            return f"{self.kind}: {self.equation} by {self.wrt}"
        return f"{signs[self.kind]}{self.equation.removeprefix('objective ')}/{signs[self.kind]}{self.wrt}"

    def __str__(self) -> str:
        where = f"{self.equation} by {self.wrt}" + (f" at {self.element}" if self.element else "")
        text = (f"{self.kind} of {where}{f' ({self.place})' if self.place else ''}: {number(self.analytic)}, "
                f"by {self.method} {number(self.numerical)}: {self.verdict}")
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class DerivativeReport(Shown):
    """All that was checked of one program: ``rows``, the worst first; ``ok`` unless one of them is wrong.

    ``checked`` counts derivatives by verdict, those that have no row of their own among them; ``notes`` say what was
    not checked, and how; ``solved`` is False where the equations had no solution at a point. ``assert report.ok`` and
    ``report.raise_if_wrong()`` serve in tests.
    """

    program: str
    rows: Sequence[DerivativeCheck]
    checked: dict[str, int]
    notes: Sequence[str] = ()
    solved: bool = True

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; what could not be told does not count."""
        return self.checked["wrong"] == 0

    @property
    def worst(self) -> DerivativeCheck | None:
        """The first row."""
        return self.rows[0] if self.rows else None

    def raise_if_wrong(self) -> None:
        """Raise DerivativeError, naming the worst, unless :attr:`ok`."""
        if not self.ok:
            count = self.checked["wrong"]
            found = "1 derivative" if count == 1 else f"{count} derivatives"
            raise DerivativeError(
                f"{found} of {self.program!r} {'is' if count == 1 else 'are'} wrong; the worst is the {self.rows[0]}. "
                "Look at the derivative rule or the jacobian= of that equation"
            )

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        rows = [{key: value for key, value in asdict(row).items() if key != "badness"} for row in self.rows]
        return {"program": self.program, "ok": self.ok, "solved": self.solved, "checked": dict(self.checked),
                "rows": rows, "notes": list(self.notes)}

    def _report(self) -> Report:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.checked.items() if count)
        verdict = "right" if self.ok else "WRONG"
        has_elements = any(row.element for row in self.rows)
        columns = [Column("derivative", role="name"), *([Column("element")] * has_elements),
                   Column("analytic", numeric=True), Column("numerical", numeric=True), Column("error", numeric=True),
                   Column("tolerance", numeric=True, drop=2), Column("method", drop=1), Column("verdict")]
        cells = Rows(len(self.rows), lambda i: _cells(self.rows[i], has_elements))
        noted = [row for row in self.rows if row.note]
        lines = [f"{row.equation} by {row.wrt}: {row.note}" for row in noted[:10]]
        lines += [f"… {len(noted) - 10} more that could not be told"] * (len(noted) > 10)
        heading = f"{self.program}: derivatives {verdict} ({counts or 'nothing to check'})"
        return Report(heading, [Table("", columns, cells)], [*lines, *self.notes])

    def __repr__(self) -> str:
        return f"<derivative report of {self.program!r}: {self.checked}>"


def _cells(row: DerivativeCheck, has_elements: bool) -> list[str]:
    return [row.title, *([row.element] * has_elements), number(row.analytic), number(row.numerical),
            f"{row.error:.1e}", f"{row.tolerance:.1e}", row.method.removeprefix("central "), row.verdict]
