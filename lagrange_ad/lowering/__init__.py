"""Expressions to kernels, groups and a state layout; see :func:`lower`."""

from .external import ExternalKernel
from .grouping import Group, IndexMap
from .inlining import inlined
from .kernel import Kernel
from .layout import Blocks
from .lowered import Lowered, lower
from .operations import Operations, count_operations
from .rearranged import Rearranged, rearranged, with_outputs, without_equations

__all__ = [
    "Blocks", "ExternalKernel", "Group", "IndexMap", "Kernel", "Lowered", "Operations", "Rearranged",
    "count_operations", "inlined", "lower", "rearranged", "with_outputs",
    "without_equations",
]  # fmt: skip
