"""Programs in files: equation files, read and written, for people who would rather not write Python."""

from .equations import parse_equations, read, reads
from .writing import to_text, write

__all__ = ["parse_equations", "read", "reads", "to_text", "write"]
