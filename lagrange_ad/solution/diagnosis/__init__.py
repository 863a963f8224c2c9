"""What is wrong with a program, or was with a solve, in the user's words: findings, each with what to try.

Errors, the notes of points and ``Program.diagnose`` are made of the same findings. Modules are imported one by one:
the plan needs ``structural``, which needs no plan.
"""

from .finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding"]
