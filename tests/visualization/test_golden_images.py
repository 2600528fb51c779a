"""What annotators draw, against pictures that were looked at.

`DRAW_GOLDEN=1 python -m pytest tests/visualization/test_golden_images.py` draws them anew; look at them before they
are committed.
"""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import Boxes3D
from scenes.geometry import rotation_from_yaw, transform_points, yaw_from_rotation
from visualization import (
    BirdsEyeView,
    BoxAnnotator,
    CameraView,
    HeatAnnotator,
    LabelAnnotator,
    TailAnnotator,
    View,
    birds_eye_canvas,
    class_and_score_text,
    color_by_class,
    color_by_score,
)
from visualization.annotators import TOP_FACE

from .conftest import START, boxes_at, camera_at

GOLDEN = Path(__file__).with_name("golden")

# Letters and smooth lines differ a little between versions of their libraries.
LARGEST_MEAN_DIFFERENCE = 1.5
"""Grey levels, over all pixels and colours."""


def street(time: float = 0.0) -> Boxes3D:
    """Two cars that drive, a pedestrian, and a car that the camera passes."""
    centers = [(12.0 + 2 * time, 1.5), (22.0 - 3 * time, -4.0), (9.0, 4.0 - 0.5 * time), (3.2, 2.3)]
    boxes = boxes_at(centers, ["1", "2", "3", "0123456789abcdef"])
    return boxes.replace(
        rotation=rotation_from_yaw(yaw_from_rotation(boxes.rotation) + np.array([0.1, 3.0, -1.5, 0.0])),
        label=np.array([0, 1, 8, 0]),
        score=np.array([0.95, 0.6, 0.3, 0.1]),
        size_wlh_m=np.array([[1.9, 4.6, 1.6], [2.6, 7.0, 3.0], [0.7, 0.7, 1.6], [1.9, 4.6, 1.6]]),
    )


def camera_view() -> CameraView:
    return CameraView(camera_at(0.0, "CAM_FRONT", Path("none.jpg"), START), 480, 270)


def birds_eye() -> BirdsEyeView:
    return BirdsEyeView(START, 300, 300, pixels_per_m=5.0)


def canvas(view: View) -> np.ndarray:
    if isinstance(view, BirdsEyeView):
        return birds_eye_canvas(view)
    return np.full((view.height_px, view.width_px, 3), 110, dtype=np.uint8)


def draw_boxes_in_camera() -> np.ndarray:
    view = camera_view()
    image = BoxAnnotator().annotate(canvas(view), street(), view)
    return LabelAnnotator().annotate(image, street(), view)


def draw_classes_and_scores_in_camera() -> np.ndarray:
    view = camera_view()
    image = BoxAnnotator(color_by_class, thickness_px=1, outlined=False).annotate(canvas(view), street(), view)
    return LabelAnnotator(color_by_score, class_and_score_text, size_px=12).annotate(image, street(), view)


def draw_tails_from_above() -> np.ndarray:
    view = birds_eye()
    history = [street(time) for time in np.linspace(-2, 0, 5)]
    image = TailAnnotator().annotate(canvas(view), history, view)
    image = BoxAnnotator(thickness_px=1, tinted_face=TOP_FACE, outlined=False).annotate(image, history[-1], view)
    return LabelAnnotator(size_px=11).annotate(image, history[-1], view)


def draw_heat_from_above() -> np.ndarray:
    view = birds_eye()
    points_m = np.random.default_rng(0).normal([10.0, 5.0, 0.0], [6.0, 2.0, 0.0], (60, 3))
    return HeatAnnotator().annotate(canvas(view), transform_points(START, points_m), view)


PICTURES: dict[str, Callable[[], np.ndarray]] = {
    "boxes_in_camera": draw_boxes_in_camera,
    "classes_and_scores_in_camera": draw_classes_and_scores_in_camera,
    "tails_from_above": draw_tails_from_above,
    "heat_from_above": draw_heat_from_above,
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_as_it_was_looked_at(name):
    drawn = PICTURES[name]()
    if os.environ.get("DRAW_GOLDEN") == "1":
        cv2.imwrite(str(GOLDEN / f"{name}.png"), drawn[:, :, ::-1])
    golden = cv2.imread(str(GOLDEN / f"{name}.png"))[:, :, ::-1]
    assert drawn.shape == golden.shape
    assert np.abs(drawn.astype(float) - golden).mean() < LARGEST_MEAN_DIFFERENCE


def test_the_tolerance_sees_a_missing_box():
    view = camera_view()
    all_but_one = BoxAnnotator().annotate(canvas(view), street().select([1, 2, 3]), view)
    whole = BoxAnnotator().annotate(canvas(view), street(), view)
    assert np.abs(all_but_one.astype(float) - whole).mean() > LARGEST_MEAN_DIFFERENCE
