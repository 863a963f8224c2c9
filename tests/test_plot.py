"""The picture of a program: who stands where, what is boxed, what is written, and that large programs stay small."""

import sys

import matplotlib
import matplotlib.figure
import matplotlib.pyplot
import networkx as nx
import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.display.dependence import dependence
from lagrange_ad.display.layout import arrange
from lagrange_ad.display.picture import MOST_NODES, picture, short
from lagrange_ad.display.plots import PlotError

matplotlib.use("Agg")


def domke():
    p = la.Program("domke")
    x = p.input("x", 0.1)
    a = p.define("a", np.exp(x))
    b = p.define("b", a**2)
    c = p.define("c", a + b)
    d, e = p.define("d", np.exp(c)), p.define("e", np.sin(c))
    p.maximize(p.define("f", d + e))
    return p


def two_cycles():
    p = la.Program("two_cycles")
    x = p.input("x", 0.5)
    for i in range(2):
        u, w = p.variable(f"u{i}", start=1.0), p.variable(f"w{i}", start=1.0)
        p.equate(u, x + 0.3 * np.cos(w))
        p.equate(w + 0.1 * w**3, 0.3 * np.sin(u) + x, name=f"law{i}")
        x = u
    p.minimize(x**2)
    return p


def chain(n):
    p = la.Program("chain")
    z = x = p.input("x", 0.1)
    for i in range(n):
        z = p.define(f"z{i}", 0.5 * z + np.sin(x))
    p.minimize(z)
    return p


def random_program(n, seed):
    rng = np.random.default_rng(seed)
    p = la.Program("random")
    nodes = [p.input(f"x{i}", rng.random()) for i in range(5)]
    for i in range(n):
        parents = rng.choice(len(nodes), size=rng.integers(1, 4), replace=False)
        nodes.append(p.define(f"v{i}", np.sin(sum(nodes[j] for j in parents))))
    p.maximize(sum(nodes[-4:]))
    return p


def artists(axes, gid):
    return [artist for artist in axes.get_children() if artist.get_gid() == gid]


def drawn(p, at=None):
    """The axes, and where every name stands."""
    axes = p.plot(at, ax=matplotlib.figure.Figure(figsize=(12, 8)).add_subplot())
    return axes, {text.get_text(): text.get_position() for text in artists(axes, "name")}


def bounds(patch):
    return patch.get_x(), patch.get_y(), patch.get_x() + patch.get_width(), patch.get_y() + patch.get_height()


# the graph --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_dependence_is_the_declared_graph(seed):
    p = random_program(60, seed)
    graph = dependence(p.schedule)
    names = [*p.symbols, "objective"]
    edges = {(names[a], names[b]) for a, b in zip(graph.source, graph.target, strict=True)}
    expected = set(p.graph.edges) | {(f"v{i}", "objective") for i in range(56, 60)}
    assert edges == expected
    generation = {name: i for i, layer in enumerate(nx.topological_generations(nx.DiGraph(list(expected))))
                  for name in layer}
    for name, level in zip(names[:-1], graph.level[:-1], strict=True):
        assert level == generation.get(name, 0)


def test_implicit_equations_stand_at_what_they_determine():
    p = two_cycles()
    graph = dependence(p.schedule)
    names = list(p.symbols)
    edges = {(names[a], names[b]) for a, b in zip(graph.source, graph.target, strict=True) if b < len(names)}
    assert {("u0", "w0"), ("w0", "u0"), ("x", "u0"), ("x", "w0"), ("u0", "u1"), ("u0", "w1")} <= edges
    assert [sorted(names[i] for i in block) for block in graph.blocks] == [["u0", "w0"], ["u1", "w1"]]


def test_arrays_and_products_are_one_node_each():
    p = la.Program("net")
    w, x = p.input("W", np.ones((3, 4))), p.parameter("X", np.ones((4, 20)))
    h = p.define("h", np.tanh(w @ x))
    p.minimize(np.mean(h**2), name="loss")
    axes, where = drawn(p)
    assert set(where) == {"W", "X", "h", "loss"}
    assert {"3×4", "4×20", "3×20"} == {text.get_text() for text in artists(axes, "detail")}


# the drawing ------------------------------------------------------------------------------------------------


def test_values_and_multipliers_are_written():
    p = domke()
    at = p.evaluate(x=0.2)
    axes, where = drawn(p, at)
    assert set(where) == set("xabcdef")
    values = {text.get_text() for text in artists(axes, "value")}
    assert values == {f"{at[name]:.6g}" for name in "xabcdef"}
    worths = {text.get_text() for text in artists(axes, "worth")}
    assert worths == {f"∇ {at.gradient['x']:.5g}", *(f"λ {at.multiplier[name]:.5g}" for name in "abcdef")}
    colour = {gid: {text.get_color() for text in artists(axes, gid)} for gid in ("value", "worth")}
    assert len(colour["value"] | colour["worth"]) == 2
    assert f"{at.objective:.8g}" in artists(axes, "title")[0].get_text()


@pytest.mark.parametrize("program", [domke(), random_program(60, 7)], ids=["six", "sixty"])
def test_children_stand_to_the_right_of_their_parents(program):
    _, where = drawn(program)
    assert len(where) > 6
    for parent, child in program.graph.edges:
        assert where[parent][0] < where[child][0]
    right = max(x for x, _ in where.values())
    assert where["f" if "f" in where else "objective"][0] == right
    inputs = {where[name][0] for name, symbol in program.symbols.items() if symbol.kind == "input"}
    assert len({round(x, 9) for x in inputs}) == 1 or max(inputs) < min(
        where[name][0] for name, symbol in program.symbols.items() if symbol.kind == "variable")


@pytest.mark.parametrize("program", [domke(), two_cycles(), random_program(60, 3)], ids=["six", "cycles", "sixty"])
def test_nodes_do_not_overlap_and_text_stays_inside(program):
    axes = program.plot(path=None, ax=None)
    axes.figure.canvas.draw()
    nodes = [bounds(node) for node in artists(axes, "node")]
    for i, (left, low, right, high) in enumerate(nodes):
        for other in nodes[:i]:
            assert right <= other[0] or other[2] <= left or high <= other[1] or other[3] <= low
    frames = np.array(nodes)
    inverse = axes.transData.inverted()
    for gid in ("name", "value", "worth"):
        for text in artists(axes, gid):
            box = text.get_window_extent().transformed(inverse)
            inside = ((frames[:, 0] <= box.x0) & (box.x1 <= frames[:, 2]) & (frames[:, 1] <= box.y0 + 0.02)
                      & (box.y1 - 0.02 <= frames[:, 3]))
            assert inside.sum() == 1, text.get_text()
    figure = axes.figure.bbox
    for text in axes.texts:
        box = text.get_window_extent()
        assert figure.x0 <= box.x0 and box.x1 <= figure.x1 and figure.y0 <= box.y0 and box.y1 <= figure.y1
    matplotlib.pyplot.close(axes.figure)


def test_every_cycle_is_boxed():
    p = two_cycles()
    axes, where = drawn(p)
    boxes = [bounds(box) for box in artists(axes, "box")]
    inside = [{name for name, (x, y) in where.items() if left < x < right and low < y < high}
              for left, low, right, high in boxes]
    assert sorted(map(sorted, inside)) == [["u0", "w0"], ["u1", "w1"]]
    assert any(text.get_text().startswith("λ (law0) ") for text in artists(axes, "worth"))
    assert {text.get_text() for text in artists(axes, "box label")} == {"cycle"}
    assert not artists(drawn(domke())[0], "box")


def test_implicit_equations_and_recurrences_in_turns_are_told_from_cycles():
    p = la.Program("kinds")
    a, b = p.variable("a", shape=20), p.variable("b", shape=20)
    p.equate(a, np.concatenate([[1.0], a[:-1] + 0.1 * b[:-1]]))
    p.equate(b, np.concatenate([[0.0], b[:-1] - 0.1 * a[:-1]]))
    q, r = p.variable("q", shape=20, start=0.5), p.variable("r", start=0.5)
    p.equate(q + 0.1 * q**3, a, name="damping")
    p.equate(r, np.cos(r) + q[0])
    axes, where = drawn(p)
    labels = sorted(text.get_text() for text in artists(axes, "box label"))
    assert labels == ["20 implicit equations", "computed in turns", "implicit"]
    dashed = [box for box in artists(axes, "box") if box.get_linestyle() != "solid" and box.get_linestyle() != "-"]
    assert len(dashed) == 1
    left, low, right, high = bounds(dashed[0])
    assert {name for name, (x, y) in where.items() if left < x < right and low < y < high} == {"a", "b"}
    assert "solved for by itself: q[0], q[1]" in str(p) and "(21 in all)" in str(p)


def test_the_structure_alone_and_a_program_without_a_solution():
    axes, _ = drawn(domke(), at=False)
    assert not artists(axes, "value") and not artists(axes, "worth")
    p = la.Program("none")
    u = p.variable("u", start=1.0)
    p.equate(u**2, -1.0, name="impossible")
    axes, where = drawn(p)
    assert "u" in where and "no numbers: " in artists(axes, "legend")[0].get_text()


def test_the_same_program_gives_the_same_picture():
    first, second = (drawn(random_program(40, 2))[1] for _ in range(2))
    assert first == second


def test_a_name_that_looks_like_mathematics_is_written_as_it_is():
    p = la.Program("$cost$_1")
    p.minimize(p.input("x", 1.0) ** 2)
    axes, _ = drawn(p)
    axes.figure.canvas.draw()
    assert artists(axes, "title")[0].get_text().startswith(r"\$cost\$_1")


# large programs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("program", "counted"), [
    (chain(2000), 2001), (chain(40), 41), (random_program(500, 1), 505),
], ids=["deep", "chain", "wide"])  # fmt: skip
def test_large_and_deep_programs_are_condensed(program, counted):
    at = program.evaluate()
    axes, _ = drawn(program, at)
    assert len(artists(axes, "node")) <= 20 and len(axes.patches) + len(axes.texts) < 200
    shown = picture(program.schedule, at)
    symbols = np.concatenate([node.members for node in shown.nodes])
    assert sorted(symbols[symbols < counted].tolist()) == list(range(counted))
    low, high = min(at.multiplier.values()), max(at.multiplier.values())
    written = [float(part) for text in artists(axes, "worth") if text.get_text().startswith("λ")
               for part in text.get_text()[2:].split(" … ")]
    np.testing.assert_allclose([min(written), max(written)], [low, high], rtol=1e-2)


def test_many_cycles_are_counted_and_arrays_stay():
    p = la.Program("many")
    y = p.input("y", np.ones(50))
    x = p.define("x", np.sum(y))
    for i in range(60):
        u, w = p.variable(f"u{i}", start=1.0), p.variable(f"w{i}", start=1.0)
        p.equate(u, 0.01 * x + 0.3 * np.cos(w))
        p.equate(w, 0.3 * np.sin(u) + 0.1)
        x = u
    p.minimize(x)
    axes, where = drawn(p)
    assert "y" in where and p.size > MOST_NODES
    counts = [text.get_text().split() for text in artists(axes, "name") if "cycle" in text.get_text()]
    assert all(words[1:] == ["cycles", "of", "2"] for words in counts) and sum(int(n) for n, *_ in counts) == 60
    assert len(artists(axes, "node")) < 15


def test_long_names_are_cut_in_the_middle():
    assert short("abc") == "abc"
    assert len(short("a" * 30 + "b" * 30)) == 20 and short("a" * 30 + "b" * 30)[8:11] == "a…b"


# files, axes, errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures_are_written(tmp_path, suffix):
    path, open_before = tmp_path / f"out.{suffix}", matplotlib.pyplot.get_fignums()
    axes = domke().plot(path=path)
    assert path.stat().st_size > 2000 and axes.figure.get_size_inches()[0] < 12
    assert matplotlib.pyplot.get_fignums() == open_before


def test_text_shrinks_with_the_axes():
    sizes = []
    for width in (12, 3):
        axes = domke().plot(ax=matplotlib.figure.Figure(figsize=(width, 3)).add_subplot())
        sizes.append(artists(axes, "name")[0].get_size())
    assert sizes[1] < sizes[0] / 2


def test_the_command_line_draws(tmp_path, capsys):
    source, path = tmp_path / "p.lag", tmp_path / "p.svg"
    source.write_text("program p\ninput x = 1\ny = x^2\nminimize y\n")
    assert main(["show", str(source), "--plot", str(path)]) == 0
    assert path.stat().st_size > 2000 and "Schedule" in capsys.readouterr().out
    assert main(["show", str(source), "--plot", str(tmp_path / "p.txt")]) == 2


def test_what_is_missing_or_wrong_is_said(monkeypatch, tmp_path):
    p = domke()
    with pytest.raises(PlotError, match=r"no picture format '\.txt'.*\.png, \.svg or \.pdf"):
        p.plot(path=tmp_path / "out.txt")
    with pytest.raises(la.DeclarationError, match=r"a point of 'chain', this is 'domke'"):
        p.plot(chain(3).evaluate())
    broken = la.Program("broken")
    broken.variable("free")
    with pytest.raises(la.StructureError, match="free"):
        broken.plot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PlotError, match=r"pip install lagrange-ad\[plot\]"):
        p.plot()


def test_layout_orders_by_barycentre():
    """Two layers declared crosswise come out without a crossing."""
    n = 6
    edges = [(i, n + (n - 1 - i)) for i in range(n)]
    layout = arrange(np.ones((2 * n, 2)), [[i] for i in range(2 * n)], [0] * n + [1] * n, edges)
    heights = layout.centre[:, 1]
    assert all((heights[a] < heights[c]) == (heights[b] < heights[d]) for a, b in edges for c, d in edges if a != c)


def test_an_empty_program_is_a_picture_too():
    assert drawn(la.Program("empty"))[1] == {}
