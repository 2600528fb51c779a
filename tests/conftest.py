"""Fixtures that every room's tests use."""

import importlib
import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first example of a test compiles, decodes or imports: a time limit an example would fail at random.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# Tests that compare with the official kit skip where it is absent (`pytest.importorskip`), unless it must be there.
if os.environ.get("REQUIRE_DEVKIT") == "1":
    for _package in ("nuscenes", "motmetrics"):
        importlib.import_module(_package)

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real frames, real detections and recorded numbers; skips where it is absent."""
    if not SHARED.is_dir():
        message = f"needs the recorded data in {SHARED}"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


@pytest.fixture(scope="session")
def mini_val(shared: Path) -> Path:
    """A devkit-readable data root: version v1.0-mini, split mini_val, two real scenes."""
    return shared / "nuscenes_mini_val"
