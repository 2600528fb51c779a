"""A small city and a detector that trains on it in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from detection.config import read_config
from detection.data.create_infos import create_infos
from scenes.city import VERSION, make_city

TINY = Path(__file__).with_name("city_tiny.py")


@pytest.fixture(scope="session")
def tiny_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with three scenes of four frames in each split, with info files."""
    root = tmp_path_factory.mktemp("tiny") / "city"
    make_city(root, train_scenes=3, val_scenes=3, frames=4, image_size=(176, 99), seed=3, workers=1)
    create_infos(root, VERSION)
    return root


@pytest.fixture
def tiny_config(tiny_city: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Reads the config of the tiny detector, with overrides by dotted key, with or without validation."""
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))

    def read(validate: bool = True, **overrides: Any) -> Config:
        config = read_config(TINY, {key.replace("__", "."): value for key, value in overrides.items()})
        if not validate:
            config.pop("val_dataloader")
            config.pop("val_evaluator")
        return config

    return read


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """So small a network is slower on several threads, above all where tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
