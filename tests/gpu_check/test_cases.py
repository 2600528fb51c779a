"""What is timed and trained: a small detector stands in for each published one, and targets are what cameras see."""

from typing import Any

import pytest
import torch

from detection.config import read_config
from detection.running.benchmark import made_stream
from gpu_check import cases, training
from gpu_check.parts import PARTS


def test_every_speed_has_its_detector_and_a_small_one() -> None:
    subjects = {part.subject for part in PARTS if part.module == "gpu_check.speed"}
    assert subjects == cases.CASES.keys() == cases.SMALL_CASES.keys()


@pytest.mark.parametrize("case", [*cases.CASES.values(), *cases.SMALL_CASES.values()], ids=lambda case: case.config)
def test_configs_take_the_changes(case: cases.Case) -> None:
    read: Any = read_config(cases._CONFIGS / case.config, case.changes)
    for key, value in case.changes.items():
        assert read.get(key.split(".")[0])[key.split(".")[1]] == value


def test_made_targets_are_inside_the_images() -> None:
    (frame,) = made_stream(1, 6, (64, 192), torch.device("cpu"))
    annotated = training._annotated(frame, 3)
    assert annotated.images.shape == (2, 6, 3, 64, 192) and annotated.targets is not None
    first, second = annotated.targets
    assert not torch.equal(first.boxes, second.boxes)
    seen = sum(len(camera.labels) for camera in first.cameras)
    assert 10 < seen < 60
    for camera in first.cameras:
        edges, centers = camera.boxes_px, camera.centers_px
        assert (edges >= 0).all() and (edges <= torch.tensor([192, 64, 192, 64])).all()
        assert (edges[:, 2:] > edges[:, :2]).all() and (camera.depths_m > 1).all()
        assert ((centers >= edges[:, :2]) & (centers <= edges[:, 2:])).all()
