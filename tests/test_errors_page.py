"""docs/errors.md: every ``py`` block raises the error of its section, with the message shown after it.

``python`` blocks of the page run in tests/test_readme.py like those of any page.
"""

import builtins
import contextlib
import inspect
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_readme import Block, agree, blocks_of

import lagrange_ad as la
from lagrange_ad import errors

PAGE = Path(__file__).parent.parent / "docs" / "errors.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTION = re.compile(r"^## (\w+)$", re.MULTILINE)


def cases() -> Iterator[tuple[str, Block, Block]]:
    """(error, snippet, message) of every snippet that raises."""
    titles = [(TEXT.count("\n", 0, match.start()) + 1, match[1]) for match in SECTION.finditer(TEXT)]
    blocks = list(blocks_of(TEXT))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language == "py":
            assert after is not None and after.language == "text" and after.follows, f"line {block.line}: no message"
            yield [title for line, title in titles if line < block.line][-1], block, after


def raised_by(block: Block) -> tuple[BaseException, str]:
    """What a snippet raises, and what it printed before."""
    source = "\n" * (block.line - 1) + "import numpy as np, lagrange_ad as la; " + block.text
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        try:
            exec(compile(source, PAGE.name, "exec"), {"__name__": "__main__"})
        except Exception as error:
            return error, stream.getvalue()
    raise AssertionError(f"line {block.line} raises nothing")


@pytest.mark.parametrize(("name", "snippet", "message"), list(cases()), ids=lambda x: getattr(x, "line", x))
def test_snippets_raise_what_is_shown(
    name: str, snippet: Block, message: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error, printed = raised_by(snippet)
    expected = getattr(errors, name, None) or getattr(builtins, name)
    assert type(error) is expected
    agree(printed + str(error), message.text)


def test_every_error_has_its_section_with_a_snippet() -> None:
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value) and name in la.__all__}
    shown = {name for name, _, _ in cases()}
    assert classes - {"LagrangeError"} <= shown
    assert set(SECTION.findall(TEXT)) == shown


def test_the_table_says_what_each_error_is_as_well() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \| ([^|]*) \|", TEXT, re.MULTILINE)
    assert {name for name, _, _ in rows} == {name for name, _, _ in cases()} - {"AttributeError"}
    for name, anchor, bases in rows:
        assert anchor == name.lower()
        for base in re.findall(r"`(\w+)`", bases):
            assert issubclass(getattr(errors, name), getattr(errors, base, None) or getattr(builtins, base))
