"""Fixtures: recorded numbers of the published code, tiny detectors that train on a tiny city, small COCO data."""

import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn

from detection.checkpoints import read_checkpoint
from detection.config import read_config
from detection.data.create_infos import create_infos
from detection.training import train
from scenes.city import VERSION, make_city

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("city_tiny.py")
DYNAMIC = Path(__file__).with_name("city_tiny_dynamic.py")
STEP_2 = {
    "model.trains": "router",
    "model.threshold": 0.5,
    "custom_hooks": [dict(type="AdaptiveOffsetHook")],
    "schedule.reference_lr": 1e-2,
    "schedule.warmup_iterations": 0,
}
CATEGORIES = [{"id": 90, "name": "zebra"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}]


@pytest.fixture(scope="session")
def golden(recordings: Path) -> Path:
    """The folder of recordings, parameter names and the rule that makes their weights and inputs."""
    return recordings / "golden"


@pytest.fixture(scope="session")
def rule(golden: Path) -> ModuleType:
    """The module that makes weights and inputs of the recordings from numpy alone."""
    spec = importlib.util.spec_from_file_location("golden_rule", golden / "rule.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def set_rule_weights(rule: ModuleType) -> Callable[[nn.Module, str], None]:
    """Gives a part of a detector, whose names there begin with a prefix, the weights of the recordings."""

    def set_weights(part: nn.Module, prefix: str) -> None:
        made: dict[str, Any] = {name: rule.weight(prefix + name, own.shape) for name, own in part.state_dict().items()}
        weights = {name: torch.from_numpy(np.asarray(value)) for name, value in made.items() if value is not None}
        part.load_state_dict({**part.state_dict(), **weights})

    return set_weights


@pytest.fixture(scope="session")
def tiny_city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with three scenes of four frames in each split, with info files."""
    root = tmp_path_factory.mktemp("tiny") / "city"
    make_city(root, train_scenes=3, val_scenes=3, frames=4, image_size=(176, 99), seed=3, workers=1)
    create_infos(root, VERSION)
    return root


class ForkHost:
    """Runs tools in processes of their own that need not import torch again; see `fork_host.py`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0
        self._host = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "detection" / "fork_host.py"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, tool: str, *arguments: object, processes: int = 1, **environment: object) -> list[int]:
        """Process ids of a run that has begun; `end` has to follow."""
        self._runs += 1
        run = {
            "tool": tool,
            "arguments": [*map(str, arguments)],
            "processes": processes,
            "environment": {name: str(value) for name, value in environment.items()},
            "log": str(self._log),
        }
        assert self._host.stdin is not None
        print(json.dumps(run), file=self._host.stdin, flush=True)
        pids: list[int] = self._answer()
        return pids

    def end(self) -> tuple[list[int], str]:
        """Exit codes of the processes of the run that has begun, once all have ended, and what they printed."""
        return self._answer(), self._log.read_text()

    def run(self, tool: str, *arguments: object, processes: int = 1, **environment: object) -> str:
        """What a run printed that ended well."""
        self.start(tool, *arguments, processes=processes, **environment)
        codes, printed = self.end()
        assert codes == [0] * processes, printed[-3000:]
        return printed

    def close(self) -> None:
        """End the process that forks, and a run that has not ended."""
        self._host.communicate()

    @property
    def _log(self) -> Path:
        return self._folder / f"{self._runs}.log"

    def _answer(self) -> Any:
        assert self._host.stdout is not None
        return json.loads(self._host.stdout.readline())


@pytest.fixture(scope="session")
def fork_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkHost]:
    """Runs tools in processes of their own, without the seconds that a start with torch takes."""
    host = ForkHost(tmp_path_factory.mktemp("runs"))
    yield host
    host.close()


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


@pytest.fixture
def dynamic_config(tiny_city: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Reads the config of the tiny dynamic detector for a step of training, with overrides by dotted key."""
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))

    def read(step: int, **overrides: Any) -> Config:
        settings = {key.replace("__", "."): value for key, value in overrides.items()}
        return read_config(DYNAMIC, {**(STEP_2 if step == 2 else {}), **settings})

    return read


@pytest.fixture(scope="session")
def trained(tiny_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights after a few iterations of both steps: a router that decides, and detectors that see next to nothing."""
    work_dir = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_ROOT", str(tiny_city))
        config = read_config(DYNAMIC, {**STEP_2, "schedule.epochs": 0.5})
        config.pop("val_dataloader")
        config.pop("val_evaluator")
        train(config, work_dir=work_dir, launcher="none")
    (path,) = work_dir.glob("*.pth")
    weights = tmp_path_factory.mktemp("weights") / "dynamic.pth"
    torch.save(read_checkpoint(path), weights)
    return weights


@pytest.fixture
def write_coco(tmp_path: Path) -> Callable[..., Path]:
    """Writes an instances file and images of 60x40 with ids 0, 10, 20, ...; gives the folder that both are in."""

    def write(rows: list[dict[str, Any]], images: int = 3, **changes: Any) -> Path:
        named = [dict(id=10 * index, file_name=f"{index}.png", width=60, height=40) for index in range(images)]
        # An annotation's id may be anything, even the 0 that COCO's program takes for none.
        numbered = [{"id": index, **row} for index, row in enumerate(rows)]
        content = {"images": named, "categories": CATEGORIES, "annotations": numbered, **changes}
        (tmp_path / "instances.json").write_text(json.dumps(content))
        random = np.random.default_rng(1)
        for row in content["images"]:
            pixels = random.integers(0, 256, (row["height"], row["width"], 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / row["file_name"]), pixels)
        return tmp_path

    return write


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that are logged; mmengine's logger hands them to nobody else."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
