"""Key frames of `read_scenes`, one after the other, show the detector what the data set shows."""

from pathlib import Path

import numpy as np
import pytest

from detection import Detector
from detection.config import read_config
from detection.data.sample import FrameSample
from detection.running.detector import detect
from scenes import read_scenes
from scenes.city import VAL_SPLIT, VERSION

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "configs" / "repdetr3d" / "city_r18.py"
WEIGHTS = ROOT / "detection" / "weights" / "repdetr3d_city_r18.safetensors"


def test_key_frames_of_a_scene(tiny_city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))
    expected = detect(read_config(CONFIG), WEIGHTS)
    assert expected is not None
    detector = Detector.from_config(CONFIG, WEIGHTS)
    scene = read_scenes(tiny_city, VERSION, VAL_SPLIT)[0]
    for index, frame in enumerate(scene.frames):
        sample = FrameSample.from_frame(frame, scene.token)
        (boxes,) = detector.step(detector.prepare([sample], continues_scene=[index > 0]))
        np.testing.assert_allclose(boxes.center_m, expected.boxes[frame.token].center_m, atol=1e-3)
        np.testing.assert_allclose(boxes.score, expected.boxes[frame.token].score, atol=1e-4)
