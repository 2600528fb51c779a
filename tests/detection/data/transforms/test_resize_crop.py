"""Pixels, matrices and 2D annotations move by one and the same map."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.data import ResizeCropFlipRotate
from detection.data.sample import FrameSample

MakeSample = Callable[..., FrameSample]
seeds = st.integers(0, 2**31)
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def _augmentation(output_size: tuple[int, int] = (96, 160), **changes: object) -> ResizeCropFlipRotate:
    settings_: dict[str, object] = dict(
        training=True,
        zoom_range=(0.8, 1.4),
        bottom_crop_range=(0.0, 0.2),
        flip=True,
        rotation_range_rad=(-0.2, 0.2),
        hide_covered=False,
    )
    return ResizeCropFlipRotate(output_size, **{**settings_, **changes})  # type: ignore[arg-type]


def _after_from_before(before: FrameSample, after: FrameSample) -> np.ndarray:
    """The map of image points that the intrinsics have taken up."""
    matrix: np.ndarray = after.views[0].image_from_camera[:3, :3] @ np.linalg.inv(
        before.views[0].image_from_camera[:3, :3]
    )
    return matrix


@many
@given(seed=seeds, column=st.floats(30, 290), row=st.floats(30, 150), turned=st.booleans())
def test_marker_moves_as_the_matrix_says(
    make_sample: MakeSample, seed: int, column: float, row: float, turned: bool
) -> None:
    u, v = np.meshgrid(np.arange(320) + 0.5, np.arange(180) + 0.5)
    blob = 250 * np.exp(-((u - column) ** 2 + (v - row) ** 2) / (2 * 4.0**2))
    before = make_sample(np.repeat(blob.round()[..., None], 3, axis=2).astype(np.uint8))
    augmentation = _augmentation(**({} if turned else {"rotation_range_rad": (0.0, 0.0)}))
    after = augmentation(before, np.random.default_rng(seed))
    image = after.views[0].image
    assert image is not None and image.shape == (96, 160, 3)
    expected = (_after_from_before(before, after) @ [column, row, 1])[:2]
    margin = 28 if turned else 12  # before it was turned a marker lay up to 16 pixels nearer to the edge
    if not ((expected > margin) & (expected < np.array([160, 96]) - margin)).all():
        return  # cut off
    weight = image[..., 0].astype(float)
    u, v = np.meshgrid(np.arange(160) + 0.5, np.arange(96) + 0.5)
    near = np.hypot(u - expected[0], v - expected[1]) < 12
    weight = np.where(near & (weight > 3), weight, 0)
    found = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    # OpenCV's cubic kernel moves the middle of a blob by up to a twentieth of a pixel.
    np.testing.assert_allclose(found, expected, atol=0.08 if turned else 0.03)


@many
@given(seed=seeds, x=st.floats(-8, 8), y=st.floats(4, 40), z=st.floats(-2, 2))
def test_projecting_afterwards_is_moving_the_projection(
    make_sample: MakeSample, seed: int, x: float, y: float, z: float
) -> None:
    before = make_sample(np.zeros((180, 320, 3), np.uint8), [[x, y, z, 4, 2, 1.5, 0.3, 0, 0]])
    after = _augmentation()(before, np.random.default_rng(seed))
    projected = [
        (view.image_from_camera @ view.camera_from_lidar @ [x, y, z, 1])[:3] for view in (*before.views, *after.views)
    ]
    pixels = [point[:2] / point[2] for point in projected]
    moved = _after_from_before(before, after) @ [*pixels[0], 1]
    np.testing.assert_allclose(pixels[1], moved[:2], atol=1e-6)
    annotations = after.views[0].annotations
    assert annotations is not None
    for center, depth in zip(annotations.centers_px, annotations.depths_m, strict=True):
        np.testing.assert_allclose(center, np.clip(pixels[1], 0, [160, 96]), atol=1e-6)
        np.testing.assert_allclose(depth, projected[1][2])


@many
@given(seed=seeds, left=st.integers(60, 200), top=st.integers(50, 110), turned=st.booleans())
def test_2d_box_stays_around_its_object(make_sample: MakeSample, seed: int, left: int, top: int, turned: bool) -> None:
    image = np.zeros((180, 320, 3), np.uint8)
    image[top : top + 30, left : left + 50] = 255
    box = [[left, top, left + 50, top + 30]]
    before = make_sample(image, [[0, 10, 0, 4, 2, 1.5, 0, 0, 0]], boxes_px=box, depths_m=[10.0])
    augmentation = _augmentation(**({} if turned else {"rotation_range_rad": (0.0, 0.0)}))
    view = augmentation(before, np.random.default_rng(seed)).views[0]
    assert view.image is not None and view.annotations is not None
    rows, columns = np.nonzero(view.image[..., 0] > 127)
    if not len(rows) or not len(view.annotations.boxes_px):
        return
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    (box_px,) = view.annotations.boxes_px
    # The corners of a turned rectangle are thin: half of a pixel there is not half white. What the image's edge leaves
    # of one can be a sliver as sharp as the turn, which is a pixel wide only so many pixels from its tip.
    cut = (box_px[:2] < 1e-6).any() or (box_px[2:] > np.subtract([160, 96], 1e-6)).any()
    np.testing.assert_allclose(box_px, seen, atol=(1.0 / np.tan(0.2) if cut else 2.5) if turned else 0.6)


def test_nuscenes_image_is_cut_as_published(make_sample: MakeSample) -> None:
    before = make_sample(np.zeros((900, 1600, 3), np.uint8))
    after = ResizeCropFlipRotate((256, 704), training=False)(before, np.random.default_rng(0))
    expected = np.array([[0.44, 0, 0], [0, 0.44, -140], [0, 0, 1]])
    np.testing.assert_allclose(_after_from_before(before, after), expected, atol=1e-12)


def test_what_the_image_does_not_cover_is_black(make_sample: MakeSample) -> None:
    before = make_sample(np.full((180, 320, 3), 200, np.uint8))
    small = _augmentation((96, 160), zoom_range=(0.5, 0.5), flip=False, rotation_range_rad=(0.0, 0.0))
    image = small(before, np.random.default_rng(0)).views[0].image
    assert image is not None
    covered = image[..., 0] == 200
    assert (covered | (image[..., 0] == 0)).all()
    assert covered.any(axis=0).sum() == 85  # 96 / 180 * 0.5 * 320, rounded down
    assert covered[-1].any() or not covered.any()


def test_all_cameras_of_a_frame_move_alike(make_sample: MakeSample) -> None:
    sample = make_sample(np.zeros((180, 320, 3), np.uint8))
    after = _augmentation()(sample.with_views([*sample.views, *sample.views]), np.random.default_rng(5))
    np.testing.assert_array_equal(after.views[0].image_from_camera, after.views[1].image_from_camera)


def test_box_behind_a_nearer_one_is_dropped(make_sample: MakeSample) -> None:
    rectangles = [[100, 60, 120, 80], [90, 50, 140, 100], [200, 60, 230, 90], [0, 0, 1, 1]]
    boxes = np.tile([0.0, 10, 0, 4, 2, 1.5, 0, 0, 0], (4, 1))
    sample = make_sample(np.zeros((180, 320, 3), np.uint8), boxes, boxes_px=rectangles, depths_m=[30.0, 10, 40, 5])
    for hide_covered, expected in ((True, [1, 2]), (False, [0, 1, 2])):
        transform = ResizeCropFlipRotate((180, 320), training=False, hide_covered=hide_covered)
        annotations = transform(sample, np.random.default_rng(0)).views[0].annotations
        assert annotations is not None and sorted(annotations.labels) == expected


@pytest.mark.parametrize("size", [(180, 320), (90, 400), (300, 100)])
def test_any_image_fills_the_output(make_sample: MakeSample, size: tuple[int, int]) -> None:
    before = make_sample(np.full((*size, 3), 200, np.uint8))
    image = ResizeCropFlipRotate((96, 160), training=False)(before, np.random.default_rng(0)).views[0].image
    assert image is not None
    np.testing.assert_array_equal(image, 200)
