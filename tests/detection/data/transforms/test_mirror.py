"""The mirrored world is a world that could be, and mirrored again it is the first one."""

from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.data import MirrorWorld
from detection.data.sample import FrameSample
from detection.data.transforms.mirror import mirrored

MakeSample = Callable[..., FrameSample]
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2


def _corners_m(box: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(box[6]), np.sin(box[6])
    body = SIGNS * box[3:6]
    return box[:3] + body @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def _pixels(sample: FrameSample, points_m: np.ndarray) -> np.ndarray:
    view = sample.views[0]
    matrix = view.image_from_camera @ view.camera_from_lidar
    seen = np.column_stack([points_m, np.ones(len(points_m))]) @ matrix.T
    return seen[:, :2] / seen[:, 2:3]


@many
@given(x=st.floats(-8, 8), y=st.floats(8, 40), yaw=st.floats(-3.1, 3.1), speed=st.floats(0, 9))
def test_boxes_and_pixels_are_mirrored_together(
    make_sample: MakeSample, x: float, y: float, yaw: float, speed: float
) -> None:
    box = [x, y, -0.5, 4.5, 1.9, 1.6, yaw, speed * np.cos(yaw), speed * np.sin(yaw)]
    before = make_sample(np.zeros((180, 320, 3), np.uint8), [box])
    after = mirrored(before)
    assert before.boxes is not None and after.boxes is not None
    pixels, flipped = (_pixels(sample, _corners_m(sample.boxes[0])) for sample in (before, after))
    pixels[:, 0] = 320 - pixels[:, 0]
    order, of_flipped = (np.lexsort(points.round(6).T) for points in (pixels, flipped))
    np.testing.assert_allclose(flipped[of_flipped], pixels[order], atol=1e-6)
    heading = [np.cos(after.boxes[0, 6]), np.sin(after.boxes[0, 6])]
    np.testing.assert_allclose(after.boxes[0, 7:9], speed * np.array(heading), atol=1e-9)  # it still drives ahead


def test_cameras_stay_proper_and_images_turn_round(make_sample: MakeSample) -> None:
    image = np.random.default_rng(0).integers(0, 255, (180, 320, 3), dtype=np.uint8)
    sample = make_sample(image, [[2, 15, 0, 4, 2, 1.5, 0.3, 0, 0]])
    after = mirrored(sample)
    view = after.views[0]
    np.testing.assert_array_equal(view.image, image[:, ::-1])
    assert view.image_from_camera[0, 0] > 0
    for pose in (view.camera_from_lidar, after.global_from_lidar):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) > 0
    assert view.annotations is not None and sample.views[0].annotations is not None
    left, _, right, _ = view.annotations.boxes_px[0]
    assert left < right
    np.testing.assert_allclose(view.annotations.centers_px[0], _pixels(after, after.boxes[:, :3])[0])  # type: ignore[index]


def test_twice_mirrored_is_the_same(make_sample: MakeSample) -> None:
    image = np.random.default_rng(0).integers(0, 255, (180, 320, 3), dtype=np.uint8)
    sample = make_sample(image, [[2, 15, 0, 4, 2, 1.5, 0.3, 1, 2], [-4, 30, 0, 4, 2, 1.5, -2.9, 0, 1]])
    again = mirrored(mirrored(sample))
    for name in ("boxes", "global_from_lidar"):
        np.testing.assert_allclose(getattr(again, name), getattr(sample, name), atol=1e-12)
    for name in ("image", "image_from_camera", "camera_from_lidar"):
        np.testing.assert_allclose(getattr(again.views[0], name), getattr(sample.views[0], name), atol=1e-9)


def test_half_of_the_frames_are_mirrored(make_sample: MakeSample) -> None:
    sample = make_sample(np.zeros((180, 320, 3), np.uint8), [[2, 15, 0, 4, 2, 1.5, 0.3, 0, 0]])
    random = np.random.default_rng(0)
    turned = [MirrorWorld(0.5)(sample, random) is not sample for _ in range(400)]
    assert 160 < sum(turned) < 240
