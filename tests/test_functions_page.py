"""docs/functions.md against the table of elementary functions: every row, its domain and its convention."""

from pathlib import Path

from lagrange_ad.elementary import TABLE, Elementary
from lagrange_ad.files.equations import FUNCTIONS

PAGE = Path(__file__).parent.parent / "docs" / "functions.md"


def line_of(row: Elementary) -> str:
    """A row of the table as a line of the page."""
    names = sorted(name for name, other in FUNCTIONS.items() if other is row)
    files = ", ".join(f"`{name}`" for name in names) or (f"`{row.symbol}`" if _in_files(row) else "")
    return f"| `{row.spelling}` | {files} | {row.domain} | {row.convention} |"


def _in_files(row: Elementary) -> bool:
    return row.symbol in ("+", "-", "*", "/", "**")


def test_the_page_has_every_row_as_it_is() -> None:
    expected = [line_of(row) for row in TABLE.values()]
    page = PAGE.read_text(encoding="utf-8")
    first = page.index("## Elementwise functions")
    found = [line for line in page[first : page.index("## Array functions")].splitlines() if line.startswith("| `")]
    assert found == expected, "docs/functions.md is stale; its lines should be\n" + "\n".join(expected)
