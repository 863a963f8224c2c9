"""Solving: forward propagation, Newton for blocks, multipliers by back-substitution, and the point that holds them."""

from .block import BlockReport
from .evaluation import evaluate_program, plan_of
from .jacobian import Jacobian
from .plan import Plan
from .point import Named, Point

__all__ = ["BlockReport", "Jacobian", "Named", "Plan", "Point", "evaluate_program", "plan_of"]
