"""Declarations: what one program consists of, its objective and constraints beside its symbols and equations."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any, Self

from ..errors import DeclarationError, ShapeError
from ..expression import Symbol, as_expression, symbols_of
from ..printing import place, to_text
from ..text import nearest
from .choices import SolverChoice, solver_choice
from .constraints import bound_of, check_bounds, comparison
from .given import caller
from .pickling import packed, unpacked
from .records import Constraint, Location, Objective
from .roles import Roles, place_of_bound
from .showing import description_of, graph_of, summary_of

if TYPE_CHECKING:
    import networkx

_FOREIGN_WORDS = {
    "solve": "evaluate() solves the equations, ascend() improves the inputs",
    "run": "evaluate()",
    "add_constraint": "subject_to(expr <= bound, name=...)",
    "constraint": "subject_to(expr <= bound, name=...)",
    "add_subsystem": "define(name, expr) or equate(left, right)",
    "add_equation": "equate(left, right) or define(name, expr)",
    "equation": "equate(left, right) or define(name, expr)",
    "add_variable": "variable(name, start=...) or input(name, value)",
    "var": "variable(name, start=...) or input(name, value)",
    "add_input": "input(name, value)",
    "set_objective": "minimize(expr) or maximize(expr)",
    "objective": "minimize(expr) or maximize(expr)",
    "minimise": "minimize(expr)",
    "maximise": "maximize(expr)",
    "set_value": "set(name=value)",
    "unfix": "free(name)",
    "block": "scope(name)",
    "group": "scope(name)",
    "add_group": "scope(name)",
    "copy": "copy.copy(program), with the module copy",
    "save": "write(path) for an equation file, or pickle",
    "load": "lagrange_ad.read(path)",
    "gradient": "evaluate().gradient[name]",
}


class Declarations(Roles):
    """What a program consists of, in the order it was declared.

    ``symbols`` by name, ``equations`` and ``constraints`` as lists, ``objective`` or None. ``version`` rises with
    every declaration, ``values_version`` with every ``set`` and ``plan_version`` with every choice of how blocks are
    solved, with ``fix`` and ``free`` and with first starts, so that what was computed before is known to be old.
    ``swapped`` has, by name, which elements of a symbol are found from the equations where that is not as declared.
    ``executor`` names what runs it: ``"native"`` (code compiled for this machine), ``"reference"`` (NumPy: the meaning,
    many times slower), or None for the native one where it can be had.
    """

    def __init__(self, name: str = "program", *, executor: str | None = None) -> None:
        super().__init__(name, executor=executor)
        self.constraints: list[Constraint] = []
        self.objective: Objective | None = None
        self.solver_choices: list[SolverChoice] = []

    def __getstate__(self) -> dict[str, Any]:
        return packed(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(unpacked(self, state), _lock=threading.RLock(), _memory={})

    def __copy__(self) -> Self:
        """An independent program: what is declared in a copy is not declared here."""
        return copy.deepcopy(self)

    def __getattr__(self, name: str) -> Any:
        if name in _FOREIGN_WORDS:
            raise AttributeError(f"a Program has no {name!r}; here it is {_FOREIGN_WORDS[name]}")
        raise AttributeError(f"a Program has no attribute {name!r}{nearest(name, dir(type(self)))}")

    # objective and constraints -----------------------------------------------------------------------------

    def maximize(self, expression: Any, name: str | None = None, *, _location: Location | None = None) -> None:
        """Declare the scalar objective, to be made as large as possible."""
        self._objective("maximize", expression, name, _location or caller())

    def minimize(self, expression: Any, name: str | None = None, *, _location: Location | None = None) -> None:
        """Declare the scalar objective, to be made as small as possible."""
        self._objective("minimize", expression, name, _location or caller())

    def _objective(self, sense: str, expression: Any, name: str | None, location: Location) -> None:
        name, node = self._full(name), self._number(expression, "the objective")
        if node.shape != ():
            raise ShapeError(
                f"the objective must be a scalar, but {to_text(node, 60)} has shape {node.shape}: "
                "np.sum or np.mean makes one number of it"
            )
        with self._lock:
            if self.objective is not None:
                raise DeclarationError(
                    f"the objective is declared already, at {place(self.objective.location)}: a program has one"
                )
            if name is not None:
                self._free_name(name, allow=node)
            default = node.data.name if node.op == "symbol" else "objective"
            self.objective = Objective(name or default, sense, node, location)
            if name is not None and name not in self.symbols:
                self._take_name(name, location)
            self.version += 1

    def subject_to(self, constraint: Any, *, lower: Any = None, upper: Any = None, name: str | None = None,
                   _location: Location | None = None) -> None:
        """Declare a constraint: ``subject_to(expr <= bound)``, ``>=``, ``==``, or ``subject_to(expr, lower=, upper=)``.

        ``evaluate`` never fails on a violated one; optimizers hold it. The bound is the side without inputs or
        variables; when both sides have some, left − right is bounded by 0.
        """
        location, name = _location or caller(), self._full(name)
        node = as_expression(constraint)
        if node.is_boolean:
            if lower is not None or upper is not None:
                raise DeclarationError("subject_to takes a comparison, or an expression with lower=/upper=, not both")
            body, low, high = comparison(node)
        else:
            if lower is None and upper is None:
                raise DeclarationError(
                    f"subject_to({to_text(node, 60)}) says no bound: write expr <= bound, or give lower= or upper="
                )
            body, low, high = node, bound_of(lower, "lower"), bound_of(upper, "upper")
        self._own(body, "the constraint")
        with self._lock:
            if name is not None:
                self._free_name(name)
            label = name or self._constraint_name()
            check_bounds(label, body, low, high)
            self.constraints.append(Constraint(label, body, low, high, location))
            self._take_name(label, location)
            self.version += 1

    def _refuse_in_bounds(self, symbol: Symbol) -> None:
        for constraint in self.constraints:
            for bound in (constraint.lower, constraint.upper):
                if bound is not None and symbol in symbols_of(bound):
                    raise DeclarationError(place_of_bound(symbol, constraint))

    def _constraint_name(self) -> str:
        number, stem = len(self.constraints) + 1, self._full("constraint_")
        while f"{stem}{number}" in self._named:
            number += 1
        return f"{stem}{number}"

    # how blocks are solved ---------------------------------------------------------------------------------

    def solver(self, of: Any = None, method: Any = "auto", *, linear: Any = "auto", tear: Any = None,
               tolerance: float | None = None, max_iterations: int | None = None) -> None:
        """How to solve the blocks (cycles, implicit equations) that determine ``of``; a later choice replaces earlier.

        ``of`` is a variable or elements of one: ``"y1"``, ``y1``, ``v[3]``, ``"v[3]"``; None means all blocks.

        ``method`` is ``"auto"`` (Newton's method first, then what is more robust), ``"newton"``, ``"trust-region"``,
        ``"levenberg-marquardt"``, ``"pseudo-transient"``, ``"homotopy"``, ``"fixed-point"``, ``"bracket"``, or an
        object of ``la.solvers`` such as ``la.solvers.FixedPoint(anderson=5)``. ``linear`` is how its linear systems
        are solved: ``"auto"``, ``"lu"``, ``"klu"``, ``"krylov"``, or an object such as ``la.solvers.Krylov(...)``.

        ``tear=True`` solves in a few unknowns of a cycle, from which the others follow by propagation, chosen by the
        library; ``tear=["y2"]`` says which must be among them. A fixed-point iteration is torn unless ``tear=False``:
        what is not torn comes one after the other, in Gauss and Seidel's order. Of choices for different unknowns of
        one block the last says how it is solved; it is torn where any of them says so. ``tolerance``, relative to the
        sizes of the equations, ends a solve before its residuals are at rounding level; ``max_iterations`` is the
        limit of all its methods together. docs/solving.md says more.

        Raises UnknownNameError and DeclarationError; nothing is changed then.
        """
        choice = solver_choice(self, of, method, linear, tear, tolerance, max_iterations)
        with self._lock:
            if choice.elements is None:
                self.solver_choices.clear()
            self.solver_choices.append(choice)
            self.plan_version += 1

    # showing -----------------------------------------------------------------------------------------------

    @property
    def graph(self) -> networkx.DiGraph:
        """The program as a networkx.DiGraph (frozen; made at the first look after a declaration).

        A node a named input, parameter, variable and implicit equation with ``kind``, ``role`` ("fixed", "freed", one
        of them with "in part", or nothing), ``shape``, ``start``, ``equation`` (printable) and ``location``; an edge
        from every parent to what it appears in, as declared.
        """
        return self.remembered("graph", (self.version, self.values_version), lambda: graph_of(self))

    def summary(self) -> str:
        """Everything declared, as text tables."""
        return summary_of(self)

    def __repr__(self) -> str:
        return description_of(self)
