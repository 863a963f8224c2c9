"""The Program users hold: its declarations, with everything that can be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from os import PathLike
from typing import Any

from . import files
from .errors import DeclarationError, LagrangeError, SolveError
from .functions import Function
from .lagrangian import Lagrangian, require_objective
from .optimization import AscentResult, Many, Multistart, OptimizeResult, Stopping, ascend
from .optimization import Options as OptimizeOptions
from .optimization import multistart as run_multistart
from .optimization import optimize as run_optimize
from .program import Declarations, Scope
from .program.showing import overview_of
from .solution import Plan, Point, evaluate_program, plan_of
from .solution.diagnosis import Diagnosis
from .solution.evaluation import MAX_ITERATIONS, declared_state
from .solution.showing import cycles_in_words
from .sweeps import Branch, Following, Options, Sweep
from .sweeps import follow as follow_branch
from .sweeps import sweep as run_sweep
from .tables import Report, Shown
from .text import shorten
from .views import View

MOST_TO_ANALYSE = 5000
"""Printing a program looks for its cycles where it has at most this many elements, or where that is known."""


class Program(Shown, Declarations):
    """A system of equations with inputs, parameters, variables and at most one objective."""

    def scope(self, name: str) -> Scope:
        """A namespace in this program (in the scope that it is in): names declared there begin with ``name.``.

        Enter it, ``with p.scope("m1"): p.input("i")``, or declare through it, ``m = p.scope("m1"); m.input("i")``. The
        same name again goes on in the same namespace. Results have full names: ``at["m1.i"]``. Raises
        DeclarationError for a name that is empty or has dots.
        """
        return Scope(self, name)

    def to_text(self) -> str:
        """The program as an equation file, to be read by :func:`reads`: the same program again.

        Files hold scalars, and the functions that their grammar knows; EquationFileError names what else there is.
        """
        return files.to_text(self)

    def write(self, path: str | PathLike[str]) -> None:
        """Write the program to an equation file, to be read by :func:`read`; whole or not at all.

        Raises EquationFileError for what :meth:`to_text` refuses and where the file cannot be written.
        """
        files.write(self, path)

    def evaluate(self, values: Mapping[str, Any] | None = None, /, *, start: Any = None,
                 perturbation: Mapping[str, Any] | None = None, max_iterations: int = MAX_ITERATIONS,
                 **named: Any) -> Point:
        """Solve the equations at given inputs and parameters; the program itself is not changed.

        Values come as a mapping or by keyword; those not given keep their declared ones. ``start`` (an earlier point,
        or a dict of variables) is where the solves of cycles begin; ``perturbation`` adds ε to the right sides of
        equations by name. Raises ConvergenceError, DomainError or StructureError, naming the equations; ``err.at``
        is the last iterate.
        """
        if values is not None and not isinstance(values, Mapping):
            raise DeclarationError(
                f"evaluate takes values by name, evaluate(x=0.5) or evaluate({{'x': 0.5}}), got {values!r}"
            )
        if perturbation is not None and not isinstance(perturbation, Mapping):
            raise DeclarationError(
                f"perturbation= takes what to add to right sides by equation, {{'y1': 1e-6}}, got {perturbation!r}"
            )
        if not isinstance(max_iterations, int) or max_iterations < 0:
            raise DeclarationError(f"max_iterations must be an integer ≥ 0, got {max_iterations!r}")
        return evaluate_program(self, {**(values or {}), **named}, start=start, perturbation=perturbation,
                                max_iterations=max_iterations)

    def diagnose(self, values: Mapping[str, Any] | None = None, /, *, at: Point | None = None, start: Any = None,
                 **named: Any) -> Diagnosis:
        """What is wrong with this program, or with one solve of it, in its names, and what to try.

        Takes values and a start as :meth:`evaluate` does, or ``at``, a point that was computed: also that of a failed
        solve, ``err.at``. Looks for equations that are too many or too few, the same twice or nearly dependent, for bad
        scaling, values without digits, edges of domains, other solutions, names without effect. Prints as a report;
        ``.ok``, ``.findings`` and ``.to_dict()`` are data; true where anything was found.

        Never raises for a model that is wrong. Raises DeclarationError and UnknownNameError for arguments that are.
        """
        if values is not None and not isinstance(values, Mapping):
            raise DeclarationError(f"diagnose takes values by name, diagnose(x=0.5) or diagnose({{'x': 0.5}}), got "
                                   f"{values!r}; a point is given by at=")
        from .solution.diagnosis.diagnose import diagnose_program

        return diagnose_program(self, {**(values or {}), **named}, at=at, start=start)

    @property
    def schedule(self) -> Plan:
        """The order in which the equations are computed, blocks included; prints readably."""
        return plan_of(self)

    @property
    def lagrangian(self) -> Lagrangian:
        """L = J − Σ λ_i·(left_i − right_i) as an object; prints as text, and as LaTeX in a notebook."""
        plan = plan_of(self)
        return Lagrangian(plan, declared_state(self, plan))

    def reduced(self) -> View:
        """The objective as a plain function of the flat inputs, for any optimizer; always to be minimized."""
        return View(self)

    def full(self) -> View:
        """The objective and the equations as plain functions of inputs and variables, for any optimizer.

        Nothing is solved: every equation is a constraint of the view. The program need not be square.
        """
        return View(self, eliminate="none")

    def view(self, eliminate: Any) -> View:
        """A view in which the variables that are named are eliminated and the others are kept as unknowns.

        ``eliminate``: names or symbols of variables, or elements of them; "all" (as :meth:`reduced`) or "none" (as
        :meth:`full`). What is eliminated is computed at each point, cycles among it are solved. Raises StructureError
        where no equation is left to determine it.
        """
        return View(self, eliminate=eliminate)

    def function(self, inputs: Any, outputs: Any) -> Function:
        """The outputs as a plain function F of the inputs, the equations solved at each call.

        ``inputs``: names or symbols, one or a list. ``outputs``: names of variables, constraints (their bodies) or
        equations, symbols, expressions; one, a list, or a mapping that names them. ``F(x1, x2)`` and
        ``F.jacobian(x1, x2)`` take an array an input; ``F.flat`` takes one vector.

        An equation's output is its residual, right − left, and F does not solve that equation: the variables it
        determines are inputs too, ``p.function(["y1", "y2"], ["balance", "flow"])``, or else keep their starts.
        Where a variable is among the inputs and has an equation of its name, that name among the outputs is the
        equation.

        Raises UnknownNameError, DeclarationError (a name twice, nothing asked) and StructureError, where what is
        given does not fit what is to be solved.
        """
        return Function(self, inputs, outputs)

    def ascend(self, rate: Any = None, steps: int = 1000, *, method: Any = "gradient", line_search: str | None = None,
               batches: Any = None, gradient_tolerance: float = 1e-8, step_tolerance: float = 1e-15,
               objective_tolerance: float = 1e-15, time_limit: float | None = None, callback: Any = None,
               progress: bool | None = None, checkpoint: str | PathLike[str] | None = None,
               checkpoint_every: Any = "10s", resume: str | PathLike[str] | bool = False) -> AscentResult:
        """Improve the inputs by gradient ascent (descent for minimize), within their bounds; the driver.

        ``method`` is ``"gradient"``, ``"momentum"``, ``"nesterov"``, ``"adam"``, ``"barzilai-borwein"``, or an object
        of ``la.ascent`` such as ``la.ascent.Momentum(0.9)``: x ← P(x + rate·d), d of the method, P on the bounds.
        ``rate`` is a number, or a schedule: a function of the number of steps taken, such as
        ``la.ascent.Cosine(0.1, 1000)``. It is used as it is, unless ``line_search="armijo"`` backtracks from it;
        without a rate the line search finds its own.

        ``batches`` gives parameters for every step: an iterable of mappings (a list is gone through again and again),
        a function of the number of steps taken, or ``la.ascent.Batches``. The program's parameters stay as declared,
        and the result is the last point with those.

        Stops when the largest entry of the projected gradient is at most ``gradient_tolerance``, when a step is at most
        ``step_tolerance·(1 + |x|)`` long, when the objective changes by at most ``objective_tolerance·|J|`` (both not
        on one step alone with a method that goes uphill at times), after ``steps`` steps, after ``time_limit`` seconds,
        or when ``callback(record)`` returns True; the result says which. With batches the tolerances do not count.
        Ctrl-C returns the best point so far. A step to where the program has no value goes back to the last good point.
        ``progress`` shows a bar (None: on a terminal).

        ``checkpoint`` is a file that holds the whole run, written every ``checkpoint_every`` (steps, or a time such as
        ``"30s"``), at Ctrl-C and at the end; ``resume`` goes on from such a file with the history and the result of a
        run never interrupted (``True``: from that of ``checkpoint``, where there is one). docs/ascending.md says more.

        Raises MissingObjectiveError without an objective, DeclarationError with constraints other than bounds or with
        options that do not go together, CheckpointError for a file that is no checkpoint of this run.
        """
        require_objective(plan_of(self), "ascend")
        stopping = Stopping(steps, gradient_tolerance, step_tolerance, objective_tolerance, time_limit)
        return ascend(self.reduced(), method=method, rate=rate, line_search=line_search, batches=batches,
                      stopping=stopping, callback=callback, progress=progress, checkpoint=checkpoint,
                      checkpoint_every=checkpoint_every, resume=resume)

    descend = ascend

    def optimize(self, method: Any = None, *, space: Any = None, start: Any = None, tolerance: float = 1e-8,
                 max_iterations: int = 3000, time_limit: float | None = None, callback: Any = None,
                 progress: bool | None = None, perturbation: Mapping[str, Any] | None = None) -> OptimizeResult:
        """The best inputs (and variables that no equation determines) under all constraints and bounds.

        ``method`` is a name or an object of ``la.optimizers``; None chooses by the structure of the problem:
        "uno" and "uno-sqp" (interior points, sequential quadratic programming), "ipopt" where cyipopt is installed,
        "slsqp", "trust-constr", "l-bfgs-b", "trust-krylov" of SciPy, "augmented-lagrangian", "lagrange-newton",
        "arrow-hurwicz", "auxiliary-coordinates", "gradient".

        ``space`` says what is eliminated: "reduced" solves the equations at every point, "full" keeps every variable as
        an unknown and its equation as a constraint, a list of variables eliminates these. None: reduced where only
        bounds of inputs are left then, else full.

        ``start`` is a point, an earlier result of any space and method (its multipliers are taken too), or values of
        inputs and variables by name. ``tolerance`` is the method's, of its optimality conditions. ``callback(record)``
        is called after every iteration and ends the run by returning True; so do ``time_limit`` (seconds) and Ctrl-C:
        the best point so far is returned. ``progress`` shows a line with the last iteration (None: on a terminal; True
        writes lines of a log where there is none). ``perturbation`` adds ε to
        right sides of equations by name.

        ``r.success`` says whether the point passes the optimality conditions, which are computed anew from the program;
        a run that ends otherwise is no exception. Raises MissingObjectiveError without an objective, DeclarationError
        for options that cannot be and methods that do not take what is declared, StructureError where ``space`` names
        what no equation determines, and DomainError or ConvergenceError where the start has no value.
        """
        return run_optimize(self, OptimizeOptions(
            method=method, space=space, start=start, tolerance=tolerance, max_iterations=max_iterations,
            time_limit=time_limit, callback=callback, progress=progress, perturbation=perturbation))

    def multistart(self, starts: Any = 20, method: Any = None, *, space: Any = None, executor: Any = None,
                   seed: int | None = 0, sampling: str = "latin-hypercube", scale: Any = 1.0, tolerance: float = 1e-8,
                   max_iterations: int = 3000, time_limit: float | None = None, callback: Any = None,
                   progress: bool | None = None) -> Multistart:
        """Optimize from many starts: the best optimum, and all distinct ones with how many starts led to each.

        ``starts`` is how many: the declared values, and points spread over the bounds of inputs and decisions by
        ``sampling``, "latin-hypercube" or "sobol". What has no finite bounds begins within ``v ± scale·max(1, |v|)``, v
        its declared value, or ± ``scale["x"]``, half-widths by name. Or ``starts`` is a list of dicts of inputs and
        variables by name. Variables that are kept begin where the equations put them, unless a dict names some.

        ``executor``, any concurrent.futures.Executor (threads, processes, Dask's ``client.get_executor()``), gets a run
        a start. ``seed`` decides the points, and results do not depend on the executor; None takes others every time.
        ``method``, ``space``, ``tolerance``, ``max_iterations`` are those of :meth:`optimize`. ``callback(run)`` is
        called with every run when it is known and ends it all by returning True; so do ``time_limit`` (seconds, of all
        together) and Ctrl-C: what is done comes back, the rest is in ``m.not_run``. Runs that fail are in ``m.failed``
        with their reasons. ``progress`` shows a bar (None: on a terminal).

        Raises what :meth:`optimize` raises for options that cannot be, and LagrangeError where all workers were lost.
        """
        options = OptimizeOptions(method=method, space=space, tolerance=tolerance, max_iterations=max_iterations,
                                  time_limit=time_limit)
        return run_multistart(self, options, Many(starts, executor, seed, sampling, scale, callback, progress))

    def sweep(self, values: Mapping[Any, Any], *, start: Any = None, gradients: bool = False, executor: Any = None,
              chunks: int | None = None, progress: bool | None = None, callback: Any = None,
              time_limit: float | None = None, file: str | PathLike[str] | None = None, file_every: Any = "10s",
              resume: bool = False, parts: int = 32, max_iterations: int = MAX_ITERATIONS) -> Sweep:
        """Solve at many values of inputs or parameters, following the branch of solutions from point to point.

        ``values`` by name, one a point: ``{"I": np.linspace(0.01, 1, 100)}``; of an array of shape S, ``(points, *S)``.
        Several names go together, point by point; ``la.grid(a=..., b=...)`` is every combination. ``s["n2"]`` is the
        array of all points. The program itself is not changed.

        The first solve begins at the declared starts, or at ``start`` (as in :meth:`evaluate`), each further one where
        the last good points lead to. Where one fails, up to ``parts`` more solves go there from the last good point in
        parts; then the point is in ``s.failed`` with its reason in ``s.errors``, NaN in the arrays, and the next one
        starts from the last good point again. ``gradients=True`` computes multipliers along the way.

        ``executor``, any concurrent.futures.Executor (threads, processes, Dask's ``client.get_executor()``), gets the
        points in ``chunks`` of neighbours; each follows its own branch from the start, so that results depend on the
        chunks but not on how many workers there are. Points whose worker died are among the failed.

        ``callback(index, point)`` is called with every point when it is known (None for one that failed) and ends the
        sweep by returning True; so do ``time_limit`` (seconds) and Ctrl-C: what is done is returned, the rest is in
        ``s.not_run``. ``progress`` shows a bar (None: on a terminal). ``file`` (.npz) is written every ``file_every``
        (points, or a time such as "30s") and at the end; ``resume=True`` goes on from it, with the arrays that a sweep
        never interrupted would have.

        Raises UnknownNameError, DeclarationError, ShapeError for values that cannot be, and CheckpointError for a file
        of another sweep.
        """
        return run_sweep(self, values, Options(
            start=start, gradients=gradients, executor=executor, chunks=chunks, progress=progress, callback=callback,
            time_limit=time_limit, file=file, file_every=file_every, resume=resume, parts=parts,
            max_iterations=max_iterations))

    def follow(self, parameter: Any, *, direction: float = 1, lower: float | None = None, upper: float | None = None,
               steps: int = 200, step: float = 0.1, until: Any = None, start: Any = None, callback: Any = None,
               progress: bool | None = None, time_limit: float | None = None) -> Branch:
        """Follow the branch of solutions in one input or parameter (or an element), round its turning points.

        It begins at the declared values, solved as :meth:`evaluate` does from ``start``, or at a point given as
        ``start``, and goes to larger values of the parameter, or to smaller ones with ``direction=-1``. Each step
        predicts along the tangent and corrects with the unknown held that changes fastest: the parameter where it can
        be, another one near a turning point. ``step`` is the longest step, relative to the sizes of what changes; steps
        are made shorter where the branch bends. Turning points are found and are points of the result: ``b.turning``.

        It ends where the parameter meets ``lower`` or ``upper`` (exactly), after ``steps`` steps, at the first point
        where ``until`` holds, a comparison such as ``np.max(u) >= 5``, after ``time_limit`` seconds, where
        ``callback(number, point)`` returns True, by Ctrl-C, or where no step leads on; ``b.reason`` says which.
        A bifurcation is not noticed: one of its branches is followed.

        Raises what :meth:`evaluate` raises for the first point, ConvergenceError where the branch cannot be begun
        there, and DeclarationError for what cannot be. Source: Rheinboldt and Burkardt, ACM TOMS 9 (1983).
        """
        return follow_branch(self, parameter, Following(
            direction=direction, lower=lower, upper=upper, steps=steps, step=step, until=until, start=start,
            callback=callback, progress=progress, time_limit=time_limit))

    # showing -----------------------------------------------------------------------------------------------

    def plot(self, at: Point | bool | None = None, path: str | PathLike[str] | None = None, ax: Any = None) -> Any:
        """Draw the program: inputs at the left, the objective at the right, cycles boxed; returns matplotlib's axes.

        ``at`` is the point whose values, multipliers and gradients are shown: None evaluates the program, False shows
        none. ``path`` (.png, .svg or .pdf) writes the picture; without it, and without ``ax``, the figure is one of
        pyplot's, shown by ``plt.show()``. Large and deep programs are condensed. Raises StructureError when the
        equations cannot be ordered, PlotError without matplotlib.
        """
        from .display.graph import plot_program
        from .display.plots import require_matplotlib

        require_matplotlib()
        if at is not None and not isinstance(at, bool):
            if at.plan.lowered.name != self.name:
                raise DeclarationError(f"at= is a point of {at.plan.lowered.name!r}, this is {self.name!r}")
            return plot_program(at.plan, at, path, ax)
        note = ""
        if at is not False:
            try:
                return plot_program(plan_of(self), self.evaluate(), path, ax)
            except SolveError as error:
                note = shorten(f"no numbers: {str(error).splitlines()[0]}", 120)
        return plot_program(plan_of(self), None, path, ax, note)

    def _report(self) -> Report:
        return overview_of(self, self._cycles())

    def _cycles(self) -> str:
        """The cycles in words, where they are known or cheap to find; or why the equations cannot be ordered."""
        known = self._memory.get("plan")
        if self.size > MOST_TO_ANALYSE and (known is None or known[0][0] != self.version):
            return "cycles: not looked for yet in a program of this size; p.schedule finds them"
        try:
            return cycles_in_words(plan_of(self))
        except LagrangeError as error:
            return str(error)


def read(path: str | PathLike[str], *, executor: str | None = None) -> Program:
    """The program of an equation file; without a ``program`` statement it is called as the file is.

    Nothing in the file is executed. ``executor`` is that of :class:`Program`. Raises EquationFileError, with the line
    and a caret under the place, for all that can be wrong.
    """
    return files.read(path, partial(Program, executor=executor))


def reads(text: str, name: str = "program", filename: str = "<equations>", *,
          executor: str | None = None) -> Program:
    """The program of a text in the language of equation files; see :func:`read`.

    ``name`` serves where the text has no ``program`` statement; ``filename`` is what errors show.
    """
    if not isinstance(text, str):
        raise DeclarationError(f"reads takes the text of an equation file, got {text!r}; read(path) reads a file")
    return files.reads(text, partial(Program, executor=executor), name, filename)
