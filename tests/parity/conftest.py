"""Recordings, and where the models that they are of come from."""

from pathlib import Path

import pytest

from parity.models import Workshop
from parity.rule import Rule

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture(scope="session")
def golden(recordings: Path) -> Path:
    """The recordings of the StreamPETR family."""
    return recordings / "golden"


@pytest.fixture(scope="session")
def workshop(golden: Path) -> Workshop:
    """Makes the recorded models."""
    return Workshop(CONFIGS, Rule.find(golden))
