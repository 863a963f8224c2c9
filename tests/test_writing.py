"""Programs written as equation files read back as the same programs: to the last bit, in the same order."""

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lagrange_ad as la
from lagrange_ad.elementary import TABLE
from lagrange_ad.expression import Expression, elementwise, postorder
from lagrange_ad.files.equations import FUNCTIONS
from lagrange_ad.files.syntax import KEYWORDS

EXAMPLES = Path(__file__).parent.parent / "examples"
OPERATORS = {"add", "subtract", "multiply", "divide", "power", "negative"}
WRITABLE = sorted({row.name for row in FUNCTIONS.values()} | OPERATORS)
SHARPER = ("in", "start", "unit", "domain", "for", "to", "exp", "m1.i", "e", "μ", *KEYWORDS)


def structure(e: Expression | None) -> Any:
    """An expression as plain data: every node once, in order, with operands by number."""
    if e is None:
        return None
    nodes = postorder([e])
    number = {id(node): i for i, node in enumerate(nodes)}
    said = {"symbol": lambda n: n.data.name, "constant": lambda n: float(n.data).hex()}
    return [(n.op, said.get(n.op, lambda n: None)(n), *(number[id(a)] for a in n.args)) for n in nodes]


def unfolded(e: Expression | None) -> Any:
    """The same without what is shared: as text, which has no sharing."""
    if e is None:
        return None
    text: dict[int, str] = {}
    for n in postorder([e]):
        leaf = n.data.name if n.op == "symbol" else float(n.data).hex() if n.op == "constant" else n.op
        text[id(n)] = f"{leaf}({','.join(text[id(a)] for a in n.args)})" if n.args else leaf
    return text[id(e)]


def description(p: la.Program, tree: Any = unfolded) -> dict[str, Any]:
    """All that a program is, but for where it was declared."""
    def value(v: Any) -> Any:
        return tree(v) if isinstance(v, Expression) else None if v is None else float(v).hex()

    return {
        "name": p.name,
        "symbols": [(s.name, s.kind, value(s.value), float(s.lower), float(s.upper), s.domain, s.unit)
                    for s in p.symbols.values()],
        "equations": [(e.name, tree(e.left), tree(e.right), e.own and e.own.name,
                       e.determines and e.determines.name) for e in p.equations],
        "objective": p.objective and (p.objective.name, p.objective.sense, tree(p.objective.expression)),
        "constraints": [(c.name, tree(c.body), tree(c.lower), tree(c.upper), c.lower is c.upper)
                        for c in p.constraints],
    }


def same(p: la.Program) -> la.Program:
    """The program that the text of ``p`` reads back as, after a look whether it is the same."""
    text = p.to_text()
    q = la.reads(text, executor=p.executor)
    assert description(q) == description(p), text
    assert q.to_text() == text
    return q


def without_places(error: object) -> str:
    return re.sub(r"\([^()\n]*:\d+\)", "(FILE)", str(error))


# files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sellar", "domke", "circuit"])
def test_examples_read_write_and_read_again(name: str, tmp_path: Path) -> None:
    p = la.read(EXAMPLES / f"{name}.lag")
    p.write(tmp_path / "again.lag")
    q = la.read(tmp_path / "again.lag")
    assert description(q, structure) == description(p, structure)
    assert q.evaluate().as_dict() == p.evaluate().as_dict()


def test_sellar_from_python_is_a_file_a_person_would_write() -> None:
    p = la.Program("sellar")
    z1, z2 = p.input("z1", 5.0, lower=-10, upper=10, unit="m/s"), p.input("z2", 2.0, lower=0)
    y1 = p.define("y1", z1**2 + z2 - 0.2 * (y2 := p.variable("y2", start=z1 / 2)))
    p.equate(y2, np.sqrt(y1) + z1 + z2, name="law")
    p.minimize(z2 + y1 + np.exp(-y2), name="f")
    p.subject_to(y1 >= 3.16, name="g1")
    p.subject_to(y2 - z1, lower=-1e-7, upper=24)
    assert p.to_text() == inspect.cleandoc("""
        program sellar

        input z1 = 5 in [-10, 10] unit "m/s"
        input z2 = 2 in [0, inf]
        variable y2 start z1/2
        y1 = z1^2 + z2 - 0.2*y2
        law: y2 = sqrt(y1) + z1 + z2

        minimize f: z2 + y1 + exp(-y2)

        subject to g1: y1 >= 3.16
        subject to -1e-07 <= y2 - z1 <= 24
    """) + "\n"
    assert same(p).evaluate().as_dict() == p.evaluate().as_dict()


def test_everything_a_declaration_can_say() -> None:
    p = la.Program('my "first" \\ program # 1')
    a = p.input("a", -0.0, lower=-np.inf, upper=1e300, unit='deg "C" # \\')
    b = p.parameter("b", 5e-324, lower=0.1 + 0.2, unit="%")
    y = p.variable("y", start=2.0 * a - b, lower=-1.0, upper=1.0, domain=(-np.inf, 2.0), unit="µm")
    z = p.variable("z", domain=(0.0, np.inf))
    p.equate(a * b, y - 1.0, for_=y)
    p.equate(z - y, 0.0, name="residue", for_=z)
    w = p.define("w", z)
    v = p.variable("v")
    p.equate(v, 1.0)
    p.equate(v, w)
    p.subject_to(b <= a)
    p.subject_to(a == b, name="tie")
    p.subject_to(a <= w * 2)
    p.subject_to(a, lower=b, upper=np.inf)
    p.subject_to(a, lower=2, upper=2)
    p.maximize(w, name="gain")
    q = same(p)
    assert np.signbit(q.symbols["a"].value)


def test_order_is_kept_where_equations_and_variables_stand_apart() -> None:
    p = la.Program("order")
    x = p.input("x", 1.0)
    late, first = p.variable("late"), p.variable("first")
    p.equate(first, x)
    second = p.define("second", first + late)
    p.equate(second * late, 2.0)
    p.equate(late, x + 1.0)
    p.define("third", second)
    same(p)


@pytest.mark.parametrize("name", SHARPER)
def test_words_of_the_language_as_names(name: str) -> None:
    p = la.Program(name)
    x = p.input(name if name != "x" else "y", 1.0)
    p.define("a", x)
    p.equate(x * p.variable("v"), 2.0)
    p.minimize(x + 1.0, name="goal")
    p.subject_to(x <= 3.0)
    same(p)
    p = la.Program("p")
    y = p.define(name, 2.0)
    p.equate(y + p.variable("w", start=y), 1.0)
    p.minimize(y)
    p.subject_to(2.0 * y <= 3.0)
    same(p)
    p = la.Program("p")
    x = p.input("x", 1.0)
    p.minimize(x, name=name)
    same(p)
    p = la.Program("p")
    p.subject_to(p.input("x", 1.0) <= 2.0, name=name)
    same(p)


def test_scopes_are_dots() -> None:
    p = la.Program("p")
    with p.scope("m"), p.scope("n"):
        i = p.input("i", 1.0)
        p.equate(p.variable("v") * i, 2.0)
        p.subject_to(i >= 0)
        p.minimize(i)
    assert "m.n.equation_1: m.n.v*m.n.i = 2" in p.to_text()
    same(p)


# formulas ---------------------------------------------------------------------------------------------------

_NUMBERS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e22, 5e-324, np.inf])


@st.composite
def formulas(draw: Any) -> la.Program:
    """Two equations and an objective of any functions that files know, on shared parts; never of numbers alone."""
    p = la.Program("random", executor="reference")
    numbers = st.floats(0.25, 2.0)
    pool = [p.input(name, draw(numbers)) for name in ("x", "input", "s.t")]
    for name in ("y", "z"):
        for _ in range(draw(st.integers(1, 8))):
            row = TABLE[draw(st.sampled_from(WRITABLE))]
            operands: list[Any] = [draw(st.sampled_from(pool)) for _ in range(row.arity)]
            if row.arity == 2 and not row.fixed and draw(st.booleans()):
                operands[draw(st.integers(0, 1))] = draw(_NUMBERS)
            operands[: row.fixed] = [2.0] * row.fixed
            pool.append(elementwise(row.name, *operands))
        pool.append(p.define(name, pool[-1]))
    p.minimize(draw(st.sampled_from(pool)) * pool[-1])
    return p


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(formulas())
def test_random_formulas_are_the_same_to_the_last_bit(p: la.Program) -> None:
    q = same(p)
    try:
        at = p.evaluate()
        expected = at.as_dict()
    except la.SolveError as error:
        with pytest.raises(type(error)) as caught:
            q.evaluate()
        assert without_places(caught.value) == without_places(error)
    else:
        found = q.evaluate().as_dict()
        said = [[without_places(text) for text in (one.pop("message", ""), *one.pop("notes", ()))]
                for one in (found, expected)]
        assert said[0] == said[1]
        np.testing.assert_equal(found, expected)


@pytest.mark.parametrize("name", WRITABLE)
def test_every_function_that_files_have_is_written(name: str) -> None:
    p = la.Program("p", executor="reference")
    row = TABLE[name]
    a, b = p.input("a", 1.6 if row.domain == "argument ≥ 1" else 0.6), p.input("b", 0.7)
    p.minimize(p.define("y", elementwise(name, *((3.0, a) if row.fixed else (a, b)[: row.arity]))))
    at = same(p).evaluate()
    np.testing.assert_equal(at.as_dict(), p.evaluate().as_dict())


@pytest.mark.parametrize("name", sorted(set(TABLE) - set(WRITABLE)))
def test_every_other_row_of_the_table_is_refused(name: str) -> None:
    p = la.Program("p")
    x = p.input("x", 0.5)
    row = TABLE[name]
    operands = [x > 0.2, x, x][: row.arity] if name == "where" or name.startswith("logical") else [x] * row.arity
    if name.startswith("logical") and row.arity == 2:
        operands = [x > 0.2, x > 0.3]
    y = p.define("y", np.where(c, 1.0, 2.0) if (c := elementwise(name, *operands)).is_boolean else c)
    assert y is not None
    with pytest.raises(la.EquationFileError, match=r"equation 'y' uses .*which equation files do not have"):
        p.to_text()


def test_brackets_stand_only_where_they_must() -> None:
    p = la.Program("p")
    a, b, c = (p.input(name, 1.0) for name in "abc")
    for i, e in enumerate([a - (b - c), (a - b) - c, a * (b / c), a / b * c, (a**b) ** c, a ** (b**c), -(a**2),
                           (-a) ** 2, -a * b, -(a * b), a * -b, a - -1.0, 2.0**-a, (-2.0) ** a, -2.0 * a, a + (b + c),
                           np.negative(-a), a ** (-b),
                           (a + b) * c, np.minimum(np.minimum(a, b), c), abs(a - b), -(a + b), a / (b * c)]):
        p.define(f"y{i}", e)
    same(p)
    written = [line.partition(" = ")[2] for line in p.to_text().splitlines() if line.startswith("y")]
    assert written == [
        "a - (b - c)", "a - b - c", "a*(b/c)", "a/b*c", "(a^b)^c", "a^b^c", "-a^2", "(-a)^2", "-a*b", "-(a*b)", "a*-b",
        "a - -1", "2^-a", "(-2)^a", "-2*a", "a + (b + c)", "--a", "a^-b", "(a + b)*c", "min(min(a, b), c)",
        "abs(a - b)", "-(a + b)", "a/(b*c)",
    ]


# depth and size ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [
    lambda e, x: np.sin(e), lambda e, x: e + x, lambda e, x: x + e, lambda e, x: -e, lambda e, x: x / e,
], ids=["calls", "left sums", "right sums", "signs", "fractions"])
def test_deep_formulas(step: Any) -> None:
    p = la.Program("deep")
    x = e = p.input("x", 0.5)
    for _ in range(10_000):
        e = step(e, x)
    p.minimize(e)
    q = la.reads(p.to_text())
    assert q.objective is not None
    assert structure(q.objective.expression) == structure(e)


def test_many_equations() -> None:
    p = la.Program("many")
    x = p.input("x", 0.5)
    y = x
    for i in range(2_000):
        y = p.define(f"y{i}", np.cos(y) + 0.1 * x)
    p.minimize(y)
    assert la.reads(p.to_text()).evaluate().as_dict() == p.evaluate().as_dict()


def test_what_is_shared_is_written_out_up_to_a_limit() -> None:
    p = la.Program("shared")
    e = p.input("x", 0.5)
    for _ in range(8):
        e = e * e + e
    p.minimize(e)
    same(p)
    p = la.Program("shared")
    e = p.input("x", 0.5)
    for _ in range(2000):
        e = e + e
    p.define("y", e)
    with pytest.raises(la.EquationFileError, match=r"equation 'y' would be more than 1000000 .*of their own"):
        p.to_text()


# refusals ---------------------------------------------------------------------------------------------------


def test_arrays_are_refused_by_name(tmp_path: Path) -> None:
    p = la.Program("p")
    u = p.input("u", np.zeros(3))
    p.define("y", u[0] + np.sum(u))
    path = tmp_path / "p.lag"
    path.write_text("kept")
    with pytest.raises(la.EquationFileError, match=rf"input 'u' has shape \(3,\).*u_0, u_1, .*{Path(__file__).name}:"):
        p.write(path)
    assert path.read_text() == "kept" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("declare", "words"), [
    (lambda p, x: p.define("y", np.sum(np.stack([x, x]))), "equation 'y' uses an array"),
    (lambda p, x: p.define("y", np.where(x > 0, x, 1.0)), "equation 'y' uses a condition"),
    (lambda p, x: p.define("y", la.external(np.sin, jacobian=np.cos)(x)), "equation 'y' uses the function 'sin' of"),
    (lambda p, x: p.minimize(np.where(x > 0, x, 1.0)), "the objective uses a condition"),
    (lambda p, x: p.subject_to(np.where(x > 0, x, 1.0) <= 2.0, name="g"), "constraint 'g' uses a condition"),
    (lambda p, x: p.variable("v", start=np.where(x > 0, x, 1.0)), "the start of 'v' uses a condition"),
    (lambda p, x: p.define("pi", x), "variable 'pi' has the name of a number that equation files know"),
    (lambda p, x: p.subject_to(x <= 1.0, name="inf"), "constraint 'inf' has the name of a number"),
    (lambda p, x: p.equate(x * p.variable("y"), 1.0, name="input"), "equation 'input' begins a statement"),
])
def test_what_files_cannot_say_is_refused_with_its_place(declare: Any, words: str) -> None:
    p = la.Program("p")
    declare(p, p.input("x", 1.0))
    with pytest.raises(la.EquationFileError, match=words) as caught:
        p.to_text()
    assert f"(declared at {__file__}:" in str(caught.value)


def test_parameters_alone_in_a_constraint_are_refused() -> None:
    p = la.Program("p")
    p.subject_to(p.parameter("b", 1.0), upper=2.0, name="g")
    with pytest.raises(la.EquationFileError, match="constraint 'g' holds parameters only"):
        p.to_text()


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    p = la.Program("p")
    p.input("x", 1.0)
    with pytest.raises(la.EquationFileError, match=r"cannot write .*missing"):
        p.write(tmp_path / "missing" / "p.lag")
    with pytest.raises(la.EquationFileError, match="cannot write"):
        p.write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    p.write(tmp_path / "p.lag")
    p.write(str(tmp_path / "p.lag"))
    assert [path.name for path in tmp_path.iterdir()] == ["p.lag"]
    (tmp_path / "link.lag").symlink_to("p.lag")
    p.set(x=2.0)
    p.write(tmp_path / "link.lag")
    assert (tmp_path / "link.lag").is_symlink() and la.read(tmp_path / "p.lag").symbol("x").value == 2.0
