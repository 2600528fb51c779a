"""The lidar frame moves, the world stays."""

from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.data import RotateScaleFlipLidarFrame
from detection.data.sample import FrameSample

MakeSample = Callable[..., FrameSample]
number = st.floats(-40, 40)
BOX = [3.0, 20.0, -0.5, 4.5, 1.9, 1.6, 0.7, 3.0, -1.5]


def _body_corners(box: np.ndarray) -> np.ndarray:
    """(8, 3) corners in the lidar frame."""
    signs = np.array([[i, j, k] for i in (-0.5, 0.5) for j in (-0.5, 0.5) for k in (-0.5, 0.5)])
    cos, sin = np.cos(box[6]), np.sin(box[6])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    corners: np.ndarray = (signs * box[3:6]) @ turn.T + box[:3]
    return corners


def _global(sample: FrameSample, points: np.ndarray) -> np.ndarray:
    moved: np.ndarray = points @ sample.global_from_lidar[:3, :3].T + sample.global_from_lidar[:3, 3]
    return moved


def _sorted(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(points.round(6).T)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(seed=st.integers(0, 2**31), x=number, y=number, yaw=st.floats(-3, 3), flip=st.booleans())
def test_world_stays_where_it_is(
    make_sample: MakeSample, seed: int, x: float, y: float, yaw: float, flip: bool
) -> None:
    box = np.array([x, y, *BOX[2:6], yaw, *BOX[7:]])
    before = make_sample(np.zeros((180, 320, 3), np.uint8), [box])
    after = RotateScaleFlipLidarFrame((-1.0, 1.0), (0.9, 1.1), flip=flip)(before, np.random.default_rng(seed))
    assert after.boxes is not None
    corners = _body_corners(after.boxes[0])
    np.testing.assert_allclose(
        _sorted(_global(after, corners)), _sorted(_global(before, _body_corners(box))), atol=1e-6
    )
    pixels = []
    for sample, center in ((before, box[:3]), (after, after.boxes[0, :3])):
        view = sample.views[0]
        pixels.append((view.image_from_camera @ view.camera_from_lidar @ [*center, 1])[:3])
    np.testing.assert_allclose(pixels[1], pixels[0], atol=1e-6)
    # Half a second on, the box is where its velocity says, in both frames.
    later = [
        _global(sample, center + 0.5 * np.array([*velocity, 0.0]))
        for sample, center, velocity in (
            (before, box[:3], box[7:]),
            (after, after.boxes[0, :3], after.boxes[0, 7:]),
        )
    ]
    np.testing.assert_allclose(later[1], later[0], atol=1e-6)


def test_frames_with_different_draws_agree_on_the_world(make_sample: MakeSample) -> None:
    sample = make_sample(np.zeros((180, 320, 3), np.uint8), [BOX])
    augmentation = RotateScaleFlipLidarFrame()
    first, second = (augmentation(sample, np.random.default_rng(seed)) for seed in (1, 2))
    assert first.boxes is not None and second.boxes is not None
    assert abs(first.boxes[0, 0] - second.boxes[0, 0]) > 0.1
    second_from_first = np.linalg.inv(second.global_from_lidar) @ first.global_from_lidar
    moved = second_from_first @ [*first.boxes[0, :3], 1]
    np.testing.assert_allclose(moved[:3], second.boxes[0, :3], atol=1e-6)


def test_stays_within_its_ranges(make_sample: MakeSample) -> None:
    sample = make_sample(np.zeros((180, 320, 3), np.uint8), [BOX])
    augmentation = RotateScaleFlipLidarFrame((0.1, 0.3), (0.95, 1.05))
    for seed in range(50):
        after = augmentation(sample, np.random.default_rng(seed))
        assert after.boxes is not None
        assert 0.1 <= after.boxes[0, 6] - BOX[6] <= 0.3
        assert 0.95 <= after.boxes[0, 3] / BOX[3] <= 1.05


def test_frame_without_annotations_and_without_boxes(make_sample: MakeSample) -> None:
    empty = make_sample(np.zeros((18, 32, 3), np.uint8))
    after = RotateScaleFlipLidarFrame(flip=True)(empty, np.random.default_rng(0))
    assert after.boxes is not None and after.boxes.shape == (0, 9)
