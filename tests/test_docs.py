"""The pages of docs/: Sphinx builds them without a warning, every page is in the table of contents, every public name
in the API reference. What their snippets print is checked in test_readme.py."""

import re
import subprocess
import sys
from pathlib import Path

import lagrange_ad

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def test_sphinx_builds_the_pages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(tmp_path / "html")]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "html" / "api.html").read_text(encoding="utf-8")
    assert "lagrange_ad.Program.evaluate" in page and "Raises ConvergenceError" in page


def test_every_page_is_in_the_contents() -> None:
    contents = set(re.findall(r"^[a-z_]+$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} == contents


def test_every_public_name_is_in_the_reference() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"auto(?:class|function|module):: lagrange_ad\.(\w+)", page))
    errors = {name for name in lagrange_ad.__all__ if name.endswith("Error")}
    missing = {name for name in lagrange_ad.__all__ if not name.startswith("__")} - named - errors
    assert not missing, f"docs/api.md says nothing of {sorted(missing)}"
