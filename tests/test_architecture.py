"""The arrows between the rooms: who may import whom, and what needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

ALLOWED = {
    "scenes": set(),
    "tracking": {"scenes"},
    "evaluation": {"scenes"},
    "visualization": {"scenes", "evaluation"},
    "detection": {"scenes", "evaluation"},
    "streamtrack": {"scenes"},
}
ROOMS = set(ALLOWED)


def _imported(path: Path) -> set[str]:
    """Top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_room_imports_only_what_it_may(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        foreign = (_imported(path) & (ROOMS | {"tools", "configs", "tests", "benchmarks"})) - ALLOWED[room] - {room}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


@pytest.mark.parametrize("room", ["scenes", "tracking", "evaluation", "visualization"])
def test_room_is_imported_without_torch(room: str) -> None:
    program = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('no torch here')\n"
        f"sys.meta_path.insert(0, NoTorch())\nimport {room}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_tracking_needs_no_slow_import() -> None:
    program = "import sys, tracking; print([name for name in ('nuscenes', 'numba', 'cv2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "tools").glob("*.py")), ids=lambda path: path.name)
def test_tool_explains_itself(path: Path) -> None:
    done = subprocess.run([sys.executable, path, "--help"], check=True, capture_output=True, text=True)
    assert "usage:" in done.stdout
