"""The arrows between the rooms: who may import whom, and what needs no torch."""

import ast
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
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
    "streaming": {"scenes", "tracking", "visualization", "detection"},
}
ROOMS = set(ALLOWED)
BESIDE = {"tools", "configs", "tests", "parity", "gpu_check"}

# What the units of detection may import of each other, from the ground up: networks know no data and no running code;
# data, metrics, training and running stand on them.
_GROUND = {"registry", "checkpoints", "config", "processes"}
_NETWORKS = _GROUND | {"frames", "image_batch", "models", "poses"}
ALLOWED_IN_DETECTION = {
    "registry": set(),
    "checkpoints": set(),
    "launchers": set(),
    "processes": set(),
    "config": {"registry"},
    "records": set(),
    "poses": set(),
    "frames": {"records", "poses"},
    "image_batch": {"records"},
    "models": {"registry", "checkpoints", "records", "frames", "image_batch", "poses"},
    "distillation": _NETWORKS,
    "mmdet3d_plugin": {"registry", "models"},
    "global_boxes": {"frames", "models"},
    # What runs an exported detector, without torch.
    "deployment": {"data", "global_boxes"},
    "data": _GROUND | {"frames"},
    "images2d": _GROUND | {"data", "image_batch"},
    "metrics": _GROUND | {"image_batch", "images2d"},
    "running": _NETWORKS | {"global_boxes", "data", "images2d", "metrics", "deployment"},
    "training": _NETWORKS | {"global_boxes", "data", "images2d", "metrics", "running"},
    "exporting": _NETWORKS | {"data", "deployment", "running"},
}


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
        foreign = (_imported(path) & (ROOMS | BESIDE)) - ALLOWED[room] - {room}
        assert not foreign, f"{path.relative_to(ROOT)} imports {sorted(foreign)}"


def _imported_modules(path: Path) -> set[tuple[str, ...]]:
    """Modules, by their parts, that a module imports; `from a.b import c` is a.b.c where that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = tuple(node.module.split("."))
            for alias in node.names:
                inner = ROOT.joinpath(*module, alias.name)
                found.add((*module, alias.name) if inner.is_dir() or inner.with_suffix(".py").is_file() else module)
    return found


def _arrows(folder: Path) -> dict[str, set[str]]:
    """For each unit of a folder, a module or a folder in it, the others that it imports; `__init__` is no unit."""
    place = folder.relative_to(ROOT).parts
    arrows: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        unit = path.relative_to(folder).parts[0].removesuffix(".py")
        if unit != "__init__":
            inside = (module for module in _imported_modules(path) if module[: len(place)] == place)
            arrows[unit] |= {module[len(place)] for module in inside if len(module) > len(place)} - {unit}
    return arrows


def test_units_of_detection_stand_on_each_other() -> None:
    arrows = _arrows(ROOT / "detection")
    assert set(arrows) == set(ALLOWED_IN_DETECTION)
    wrong = {unit: sorted(inner - ALLOWED_IN_DETECTION[unit]) for unit, inner in arrows.items()}
    assert not {unit: inner for unit, inner in wrong.items() if inner}


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}),
    ids=Path.as_posix,
)
def test_no_circle_between_the_units_of_a_folder(folder: Path) -> None:
    try:
        TopologicalSorter(_arrows(ROOT / folder)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("room", ["scenes", "tracking", "evaluation", "visualization", "detection", "streaming"])
def test_room_is_imported_without_torch(room: str) -> None:
    program = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError('no torch here')\n"
        f"sys.meta_path.insert(0, NoTorch())\nimport {room}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_programs_run_the_code_that_lies_beside_the_tests(tmp_path: Path) -> None:
    """Whatever is installed: a tool that a test starts elsewhere imports the rooms of this checkout."""
    for room in sorted(ROOMS):
        program = f"import {room}; print({room}.__file__)"
        done = subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, capture_output=True, text=True)
        assert Path(done.stdout.strip()).parent == ROOT / room == Path(import_module(room).__file__ or "").parent


def test_detectors_are_loaded_when_they_are_asked_for() -> None:
    program = (
        "import sys, detection\n"
        "assert 'torch' not in sys.modules\n"
        "from detection import Detector, ImageDetector\n"
        "assert 'torch' in sys.modules and Detector.from_config and ImageDetector.from_config\n"
        "assert not hasattr(detection, 'Nothing')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_tracking_needs_no_slow_import() -> None:
    program = "import sys, tracking; print([name for name in ('nuscenes', 'numba', 'cv2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "tools").glob("*.py")), ids=lambda path: path.name)
def test_tool_explains_itself(run, path: Path) -> None:
    done = run(path.name, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage:")
