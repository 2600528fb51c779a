"""Every Python block of README and docs runs, in the order of its page, in a folder with a small city."""

import importlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from detection.config import read_config
from detection.exporting.export import Options, export_detector, write_export
from detection.registry import MODELS
from scenes import read_scenes, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from tracking import track_results
from tracking.config_file import tracker_config_from_dict

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if "```python" in path.read_text()
]

NEEDED = {"dynamic_yolo.md": "trained_yolo", "deployment.md": "exported_city"}
"""What pages expect from commands before their examples."""

SLOW = ("deployment.md",)

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples run: `out/city`, `detections.json` and `tracks.json` on it, an image, and weights."""
    folder = tmp_path_factory.mktemp("examples")
    city = folder / "out" / "city"
    make_city(city, train_scenes=0, val_scenes=1, frames=4, image_size=(176, 99), workers=1)
    scenes = read_scenes(city, VERSION, VAL_SPLIT)
    detections = simulate_detections(scenes)
    write_detections(folder / "detections.json", detections)
    write_tracks(folder / "tracks.json", track_results(detections, scenes))
    Image.fromarray(np.zeros((128, 224, 3), dtype=np.uint8)).save(folder / "image.jpg")
    return folder


@pytest.fixture
def trained_yolo(folder: Path) -> None:
    """Weights that have learned nothing, where docs/dynamic_yolo.md expects those of a training."""
    model = MODELS.build(read_config("configs/dynamic_yolo/city_step2.py")["model"])
    torch.nn.init.ones_(model.router.layer2.weight)  # a router that counts as trained
    (folder / "out" / "step2").mkdir()
    torch.save(model.state_dict(), folder / "out" / "step2" / "iter_300.pth")


@pytest.fixture
def exported_city(folder: Path) -> None:
    """An export where docs/deployment.md has it, of a smaller network."""
    config = read_config(ROOT / "tests" / "detection" / "city_tiny.py")
    weights = folder / "tiny.pth"
    torch.save(MODELS.build(config["model"]).state_dict(), weights)
    write_export(export_detector(config, weights, Options()), folder / "out" / "onnx")


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] * (page.name in SLOW), id=page.name) for page in PAGES]
)
def test_examples_run(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if page.name in NEEDED:
        request.getfixturevalue(NEEDED[page.name])
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for example in _examples(page):
        if "from nuscenes import" in example:
            pytest.importorskip("nuscenes")
        if "_base_ =" in example:
            _read_as_config(example, folder)
            continue
        before = set(names)
        exec(compile(example, str(page), "exec"), names)
        _check_settings({name: names[name] for name in set(names) - before})


def test_the_live_example_goes_on_after_a_restart(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(folder)
    (example,) = (one for one in _examples(ROOT / "docs" / "tracking.md") if "Tracker(" in one)
    Path("tracker.npz").unlink(missing_ok=True)
    for _ in range(2):
        exec(compile(example, "docs/tracking.md", "exec"), {})
    first, again = np.array_split(capsys.readouterr().out.splitlines(), 2)
    assert Path("tracker.npz").exists()
    assert len(first) == len(again) == 4


def _examples(page: Path) -> Iterator[str]:
    yield from re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def _read_as_config(example: str, folder: Path) -> None:
    """Read a config where a user would put it: beside those that its `_base_` names."""
    configs = folder / "configs"
    if not configs.exists():
        shutil.copytree(ROOT / "configs", configs)
    base = re.search(r'_base_ = "(.*?)"', example)
    assert base, "an example's _base_ names one file"
    beside = [one for one in sorted(configs.iterdir()) if one.is_dir() and (one / base.group(1)).is_file()]
    assert beside, f"no folder from which {base.group(1)} is there"
    path = beside[0] / "example.py"
    path.write_text(example)
    read_config(path)


def _check_settings(names: dict[str, object]) -> None:
    """Settings of a config, rather than a program, are checked by what reads them."""
    if isinstance(names.get("tracker"), dict):
        tracker_config_from_dict(names["tracker"])
    if isinstance(names.get("custom_imports"), dict):
        for module in names["custom_imports"]["imports"]:
            importlib.import_module(module)
