"""The detector that ships, whole, over a clip with a change of scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from detection.config import read_config
from detection.deployment.over_scenes import data_frames
from detection.exporting.comparison import compare_on
from detection.exporting.export import Options, export_detector, write_export
from scenes.city import VAL_SPLIT, VERSION, make_city

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_forty_frames_of_the_city(tmp_path: Path) -> None:
    city = tmp_path / "city"
    make_city(city, train_scenes=0, val_scenes=2, frames=20, image_size=(256, 144), seed=77, workers=1)
    config = read_config(ROOT / "configs" / "repdetr3d" / "city_r18.py")
    weights = ROOT / "detection" / "weights" / "repdetr3d_city_r18.safetensors"
    write_export(export_detector(config, weights, Options()), tmp_path / "onnx")
    differences = compare_on(config, weights, tmp_path / "onnx", data_frames(city, VERSION, VAL_SPLIT))
    assert [number for number, one in enumerate(differences) if one.begins] == [0, 20] and len(differences) == 40
    for name in ("boxes", "scores", "memory"):
        assert max(getattr(one, name) for one in differences) < 1e-3
    assert all(one.alike == one.sure for one in differences)
    assert sum(one.sure for one in differences) > 1000 and sum(one.exchanged for one in differences) < 5
