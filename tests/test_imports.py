"""The rooms of the library import one way, and importing the library stays light."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lagrange_ad"

# A room may import itself and rooms on lines before it; those on one line know nothing of each other.
ORDER = (
    ("errors",),
    ("text",),
    ("parcel", "workers", "progress", "solvers"),
    ("optimizers",),
    ("tables",),
    ("elementary",),
    ("printing",),
    ("expression",),
    ("differences",),
    ("external",),
    ("interpolation", "gradients"),
    ("forms",),
    ("program",),
    ("saving",),
    ("structure",),
    ("lowering",),
    ("execution",),
    ("solution",),
    ("lagrangian",),
    ("views", "functions", "display"),
    ("optimization",),
    ("files",),
    ("sweeps",),
    ("api",),
    ("tracing", "testing"),
    ("cli",),
)
NEVER = {"structure": {"expression", "program", "lowering"}, "solvers": {"expression", "program", "lowering"},
         "optimizers": {"expression", "program", "lowering"}}
FREE = {"__init__", "__main__"}

LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}


def room_of(path: Path) -> str:
    """The first part of a module's path inside the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full module name of every import in a file of the package, wherever it stands."""
    package = ["lagrange_ad", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "lagrange_ad":
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    for line, module in imported_modules(path):
        head, _, rest = module.partition(".")
        if head == "lagrange_ad":
            room = rest.partition(".")[0]
            if room != "__version__":
                yield line, room


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) not in FREE)


def test_every_room_has_its_place() -> None:
    unknown = {room_of(path) for path in modules()} - set(LEVEL)
    assert not unknown, f"rooms without a place in ORDER: {sorted(unknown)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    for line, imported in imported_rooms(path):
        where = f"{path.relative_to(PACKAGE.parent)}:{line}"
        assert imported in LEVEL, f"{where} imports lagrange_ad.{imported}: name the room that has it"
        later = imported != room and LEVEL[imported] >= LEVEL[room]
        assert not later, f"{where}: {room} imports {imported}, which comes later"
        assert imported not in NEVER.get(room, ()), f"{where}: {room} must know nothing of {imported}"


def test_the_reader_of_imports_sees_all_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "files").mkdir()
    source = tmp_path / "files" / "a.py"
    source.write_text(
        "import numpy\nimport lagrange_ad.cli\nfrom ..views import x\nfrom .. import text\n"
        "def f():\n    from .b import y\n    from lagrange_ad.errors import z\n"
    )
    expected = [(2, "cli"), (3, "views"), (4, "text"), (6, "files"), (7, "errors")]
    assert sorted(imported_rooms(source)) == expected


def test_importing_the_library_is_light() -> None:
    heavy = ("llvmlite", "matplotlib", "lark", "networkx", "rich", "scipy.special")
    code = (
        "import json, sys, lagrange_ad\n"
        f"print(json.dumps([name for name in {heavy!r} if name in sys.modules]))"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert json.loads(run.stdout) == []
