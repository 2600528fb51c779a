"""The wheel holds all that runs: installed elsewhere, without the checkout, it runs the main job."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT_FROM = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "constraints.txt")
ROOMS = ("scenes", "detection", "tracking", "evaluation", "visualization", "streamtrack", "tools", "configs")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that a build leaves nothing in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source)
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__", "*.nbc", "*.nbi"))
    _pip("wheel", "--no-deps", "--wheel-dir", out, source)
    (path,) = out.glob("streamtrack-*.whl")
    return path


@pytest.fixture(scope="module")
def target(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into. What the project needs comes from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    _pip("install", "--no-deps", "--no-compile", "--target", folder, wheel)
    return folder


def _run(target: Path, folder: Path, *command: object) -> str:
    """What Python prints in `folder`, where the project is the one in `target`."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_tools_configs_and_weights_travel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("tools", "configs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".sh", ".json"):
                assert f"streamtrack/{path.relative_to(ROOT)}" in held
    assert "detection/weights/repdetr3d_city_r18.safetensors" in held
    assert any(name.startswith("visualization/page/") for name in held)
    assert {name.split("/")[0] for name in held if "dist-info" not in name} == set(ROOMS) - {"tools", "configs"}


def test_the_rooms_are_those_of_the_wheel(target: Path, tmp_path: Path) -> None:
    program = "import scenes, streamtrack.command as command; print(scenes.__file__, *command.tool_paths().values())"
    found = _run(target, tmp_path, "-c", program).split()
    assert len(found) > len(ROOMS)
    assert all(Path(path).is_relative_to(target) for path in found)


@pytest.mark.slow
def test_the_demo_runs_without_the_checkout(target: Path, tmp_path: Path) -> None:
    command = target / "bin" / "streamtrack"
    printed = _run(target, tmp_path, command, "demo", "--out", "demo", "--scenes", 1, "--frames", 6)
    assert "AMOTA" in printed
    summary = json.loads((tmp_path / "demo" / "tracking_metrics" / "metrics_summary.json").read_text())
    assert 0 <= summary["amota"] <= 1
    assert (tmp_path / "demo" / "videos" / "city-0001.mp4").stat().st_size > 1000
