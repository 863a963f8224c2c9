"""A finding (what is wrong, where, what to try), many of them as a diagnosis, and as the text of an error.

Plain data: names, numbers and words. Prints as a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...tables import Column, Report, Shown, Table

SEVERITIES = ("error", "warning", "note")
"""``error``: no solution was found, or none can be. ``warning``: the answer stands, but look at it. ``note``: good to
know."""
MOST_NAMES = 20
"""A finding keeps this many names of equations and of variables; ``numbers`` has their count where it matters."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    ``kind`` says of what sort, ``severity`` how bad it is: "error", "warning" or "note". ``message`` is a sentence in
    the user's names, ``details`` are lines that belong to it, ``advice`` is what to try. ``equations`` and
    ``variables`` are names of elements (the first twenty), ``numbers`` what was measured, ``table`` rows to show.
    """

    kind: str
    severity: str
    message: str
    equations: Sequence[str] = ()
    variables: Sequence[str] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    advice: str = ""
    details: Sequence[str] = ()
    table: Table | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return in_words([self])

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        found: dict[str, Any] = {
            "kind": self.kind, "severity": self.severity, "message": self.message, "details": list(self.details),
            "equations": list(self.equations), "variables": list(self.variables),
            "numbers": {name: _plain(value) for name, value in self.numbers.items()}, "advice": self.advice,
        }
        if self.table is not None:
            headings = [column.heading for column in self.table.columns]
            found["table"] = [dict(zip(headings, row, strict=True)) for row in self.table.rows]
        return found


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def in_words(findings: Sequence[Finding], heading: str = "") -> str:
    """The text of an error: a heading or the first finding's message, then, indented, what else there is to say.

    The same advice is given once, after the last of those that stand together; the advice on a first finding that is
    the heading ends the text.
    """
    lines = [heading] if heading else []
    last = "" if heading or not findings else findings[0].advice
    for finding, after in zip(findings, [*findings[1:], None], strict=True):
        lines += [finding.message, *finding.details]
        repeated = after is not None and after.advice == finding.advice
        if finding.advice and finding.advice != last and not repeated:
            lines.append(finding.advice)
    return "\n  ".join([*lines, *([last] if last else [])])


@dataclass(frozen=True, repr=False)
class Diagnosis(Shown):
    """What ``Program.diagnose`` found, the worst first.

    True where there is anything, so ``if p.diagnose():`` reads as it says; a sequence of findings. ``ok``: no error and
    no warning among them. ``looked_at`` says what was examined. Prints as a table; ``to_dict()`` is plain data.
    """

    program: str
    findings: Sequence[Finding]
    looked_at: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return not (self.of_severity("error") or self.of_severity("warning"))

    @property
    def kinds(self) -> list[str]:
        """The kinds of the findings, each once."""
        return list(dict.fromkeys(finding.kind for finding in self.findings))

    def of_severity(self, severity: str) -> list[Finding]:
        """The findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    def of_kind(self, kind: str) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, index: int) -> Finding:
        return self.findings[index]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {"program": self.program, "ok": self.ok, "looked_at": list(self.looked_at),
                "findings": [finding.to_dict() for finding in self.findings]}

    as_dict = to_dict

    def reworded(self, words: Callable[[str], str]) -> Diagnosis:
        """The same with every text passed through a function."""
        return replace(self, findings=[
            replace(f, message=words(f.message), advice=words(f.advice), details=[words(line) for line in f.details])
            for f in self.findings])

    def __repr__(self) -> str:
        return f"<diagnosis of {self.program!r}: {self._count()}>"

    def _count(self) -> str:
        counts = [(len(self.of_severity(severity)), severity) for severity in SEVERITIES]
        return ", ".join(f"{n} {severity}{'s' * (n != 1)}" for n, severity in counts if n) or "nothing found"

    def _report(self) -> Report:
        tables = [table for finding in self.findings for table in _tables(finding)]
        looked = [f"looked at: {'; '.join(self.looked_at)}"] if self.looked_at else []
        return Report(f"diagnosis of {self.program}: {self._count()}", tables, looked)


def sorted_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes; otherwise as they came."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _tables(finding: Finding) -> Iterator[Table]:
    """A finding as rows: what was found, what belongs to it, what to try; and its own table."""
    rows = [["found", "\n".join([finding.message, *finding.details])]]
    if finding.advice:
        rows.append(["advice", finding.advice])
    yield Table(f"{finding.severity}: {finding.kind}", [Column("", role="kind"), Column("")], rows)
    if finding.table is not None:
        yield finding.table
