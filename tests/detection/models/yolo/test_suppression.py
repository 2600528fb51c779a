"""Detections from boxes: OpenCV's suppression as the oracle, and every class above the threshold counts."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detection.models.yolo.suppression import Postprocessing, best_of_each_object
from scenes import InputError


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(0, 10_000), iou_threshold=st.floats(0.1, 0.9))
def test_agrees_with_opencv(count: int, seed: int, iou_threshold: float) -> None:
    random = np.random.default_rng(seed)
    low, size = random.uniform(0, 60, (count, 2)), random.uniform(5, 50, (count, 2))
    labels = random.integers(0, 3, count)
    scores = np.sort(random.uniform(0.1, 1.0, count))[::-1]
    boxes = torch.from_numpy(np.concatenate([low, low + size], axis=1)).float()
    kept = best_of_each_object(boxes, torch.from_numpy(labels), iou_threshold, count + 1)
    expected = cv2.dnn.NMSBoxesBatched(
        np.concatenate([low, size], axis=1), scores, labels.astype(np.int32), 0.0, iou_threshold
    )
    assert kept.tolist() == sorted(int(index) for index in expected)


@pytest.mark.parametrize("most", [50, 400, 3000])
def test_many_boxes_agree_with_opencv(most: int) -> None:
    random = np.random.default_rng(1)
    low, size = random.uniform(0, 300, (3000, 2)), random.uniform(20, 80, (3000, 2))
    labels = random.integers(0, 3, 3000)
    boxes = torch.from_numpy(np.concatenate([low, low + size], axis=1)).float()
    kept = best_of_each_object(boxes, torch.from_numpy(labels), 0.5, most)
    scores = np.linspace(1.0, 0.1, 3000)
    expected = cv2.dnn.NMSBoxesBatched(np.concatenate([low, size], axis=1), scores, labels.astype(np.int32), 0.0, 0.5)
    assert kept.tolist() == sorted(int(index) for index in expected)[:most]


def test_a_box_is_found_as_each_class_above_the_threshold() -> None:
    box = [20.0, 30.0, 10.0, 20.0, 0.5, 0.9, 0.1, 0.02]
    (found,) = Postprocessing(score_threshold=0.02).detections(torch.tensor([[box]]))
    assert found.labels.tolist() == [0, 1]
    torch.testing.assert_close(found.scores, torch.tensor([0.45, 0.05]))
    assert found.boxes_px.tolist() == [[15.0, 20.0, 25.0, 40.0]] * 2


def test_the_best_come_first_and_no_more_than_asked_for() -> None:
    boxes = torch.rand(200, 8, generator=torch.Generator().manual_seed(0))
    boxes[:, :2] *= 1000
    (found,) = Postprocessing(max_detections=7).detections(boxes[None])
    (everything,) = Postprocessing(max_detections=1000).detections(boxes[None])
    assert len(found) == 7
    assert found.scores.tolist() == sorted(everything.scores.tolist(), reverse=True)[:7]


def test_images_of_a_batch_are_apart() -> None:
    boxes = torch.rand(3, 60, 8, generator=torch.Generator().manual_seed(0))
    boxes[..., :2] *= 1000
    boxes[1] = 0
    together = Postprocessing().detections(boxes)
    assert len(together[0]) and not len(together[1]) and len(together[2])
    for image, found in zip(boxes, together, strict=True):
        (alone,) = Postprocessing().detections(image[None])
        assert torch.equal(found.boxes_px, alone.boxes_px)
        assert torch.equal(found.scores, alone.scores) and torch.equal(found.labels, alone.labels)


def test_nothing_found() -> None:
    (found,) = Postprocessing().detections(torch.zeros(1, 5, 8))
    assert (len(found), found.boxes_px.shape) == (0, (0, 4))


@pytest.mark.parametrize(
    "setting", [dict(score_threshold=-0.1), dict(iou_threshold=1.5), dict(max_detections=0)], ids=str
)
def test_settings_that_cannot_be(setting: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"postprocess: {next(iter(setting))} is "):
        Postprocessing(**setting)
