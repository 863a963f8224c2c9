"""What README.md and docs/ show: every Python block runs, and prints the text block that follows it.

The blocks of a page run in order in one namespace. Numbers are compared to six digits and times are not compared, so
that another machine's rounding does not matter; blank space and the length of rules do not either.
"""

import contextlib
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(\{[\w-]+\}|\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w])")
MASKS = (
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?[ ]?(?:s|ms|µs|us|min)\b"), "TIME"),
    (re.compile(r"\S+\.(?:py|md):\d+"), "FILE:LINE"),
    (re.compile(r"[─━-]{3,}"), "RULE"),
)
TINY = 1e-9
"""Residuals and rounding errors are below this: any two of them agree."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, text, first line, and whether it follows the block before directly."""

    language: str
    text: str
    line: int
    follows: bool


def blocks_of(page: str) -> Iterator[Block]:
    end = 0
    for match in FENCE.finditer(page):
        line = page.count("\n", 0, match.start()) + 2
        yield Block(match[1], match[2], line, end > 0 and not page[end : match.start()].strip())
        end = match.end()


def normalised(text: str) -> tuple[str, list[float]]:
    """The text with # for every number, and the numbers."""
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return re.sub(r"\s+", " ", NUMBER.sub("#", text)).strip(), [float(number) for number in NUMBER.findall(text)]


def agree(printed: str, shown: str) -> None:
    words, numbers = normalised(printed)
    expected_words, expected = normalised(shown)
    assert words == expected_words, f"printed:\n{printed}\nshown:\n{shown}"
    np.testing.assert_allclose(numbers, expected, rtol=1e-6, atol=TINY, err_msg=f"printed:\n{printed}\nshown:\n{shown}")


def run(block: Block, page: str, namespace: dict[str, Any]) -> str:
    """What a block prints; errors show the page and its line."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), namespace)
    return stream.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run_and_print_what_is_shown(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    blocks = list(blocks_of(page.read_text(encoding="utf-8")))
    for i, block in enumerate(blocks):
        if block.language != "python":
            continue
        printed = run(block, page.name, namespace)
        after = blocks[i + 1] if i + 1 < len(blocks) else None
        if after is not None and after.language == "text" and after.follows:
            agree(printed, after.text)


def test_the_readme_shows_output() -> None:
    """Or the convention has changed, and the test above compares nothing."""
    blocks = list(blocks_of((ROOT / "README.md").read_text(encoding="utf-8")))
    shown = [one for one, other in zip(blocks[1:], blocks[:-1], strict=True)
             if one.language == "text" and one.follows and other.language == "python"]
    assert len(shown) >= 3


def test_every_fence_says_its_language() -> None:
    for page in PAGES:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            assert block.language, f"{page.name}:{block.line} has a fence without a language"


def test_the_comparison_sees_a_difference() -> None:
    agree("x = 1.2345678901, 0.0123 s, residual 1e-16\n ─────", "x =   1.2345679, 7 s, residual 3.1e-15\n───")
    with pytest.raises(AssertionError):
        agree("x = 1.2345", "x = 1.2346")
    with pytest.raises(AssertionError):
        agree("x = 1", "y = 1")
    with pytest.raises(AssertionError):
        agree("x = 1", "x = 1 1")
    with pytest.raises(AssertionError):
        agree("converged after 6 steps", "converged after 7 steps")
