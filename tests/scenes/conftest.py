"""Small cities that several tests look at."""

from pathlib import Path

import pytest

from scenes import Scene, read_scenes
from scenes.city import VERSION, make_city


@pytest.fixture(scope="session")
def pictured_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with images: one training and one validation scene of three frames."""
    out = tmp_path_factory.mktemp("pictured") / "city"
    make_city(out, train_scenes=1, val_scenes=1, frames=3, image_size=(320, 180), seed=3, workers=1)
    return out


@pytest.fixture(scope="session")
def plain_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root without images: one training and four validation scenes of ten seconds."""
    out = tmp_path_factory.mktemp("plain") / "city"
    make_city(out, train_scenes=1, val_scenes=4, frames=20, seed=5, images=False, workers=1)
    return out


@pytest.fixture(scope="session")
def plain_scenes(plain_city: Path) -> list[Scene]:
    """All scenes of `plain_city`."""
    return read_scenes(plain_city, VERSION)
