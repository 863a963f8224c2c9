"""What objects show of themselves: reports (titled tables of text cells), and their renderers.

An object says what to show (``Shown._report``); plain text, a rich terminal and HTML say how. Renderers are loaded
when something is shown.
"""

from .arrays import ARRAY_COLUMNS, array_cells, is_small
from .description import Column, Report, Rows, Shown, Table

__all__ = ["ARRAY_COLUMNS", "Column", "Report", "Rows", "Shown", "Table", "array_cells", "is_small"]
