"""Programs from files: equation files for people who would rather not write Python."""

from .equations import parse_equations, read, reads

__all__ = ["parse_equations", "read", "reads"]
