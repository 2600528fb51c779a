"""A small city, the detector that ships, and a sink that keeps what comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config

from detection import Detector
from detection.config import read_config
from detection.data.create_infos import create_infos
from scenes import Scene, read_scenes
from scenes.city import VAL_SPLIT, VERSION, make_city
from streaming.output import TrackedStep

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "repdetr3d" / "city_r18.py"
FRAMES = 3
WEIGHTS = ROOT / "detection" / "weights" / "repdetr3d_city_r18.safetensors"


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root of two scenes."""
    root = tmp_path_factory.mktemp("live") / "city"
    make_city(root, train_scenes=0, val_scenes=2, frames=FRAMES, image_size=(176, 99), seed=5, workers=1)
    create_infos(root, VERSION)
    return root


@pytest.fixture(scope="session")
def scenes(city: Path) -> list[Scene]:
    """Its scenes."""
    return list(read_scenes(city, VERSION, VAL_SPLIT, annotations=False))


@pytest.fixture(scope="session")
def config(city: Path) -> Iterator[Config]:
    """Of the detector that ships, for the small city."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_ROOT", str(city))
        yield read_config(CONFIG, {"val_dataloader.num_workers": 0})


@pytest.fixture(scope="session")
def detector(config: Config) -> Detector:
    """The detector that ships."""
    return Detector.from_config(config, WEIGHTS, device="cpu")


class Collected:
    """A sink that keeps what is published."""

    def __init__(self) -> None:
        self.steps: list[TrackedStep] = []
        self.is_closed = False

    def publish(self, step: TrackedStep) -> None:
        self.steps.append(step)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def collected() -> Collected:
    """A sink that keeps what is published."""
    return Collected()
