"""Small cities that several tests look at, and scripts that they run."""

import subprocess
import sys
from collections.abc import Callable
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


@pytest.fixture
def ran(tmp_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs the text of a script in a process of its own, which has to end by itself."""

    def run(text: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(text)
        return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240.0)

    return run
