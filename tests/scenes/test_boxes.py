"""`Boxes3D` against the devkit's `Box`, and what its methods promise."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyquaternion import Quaternion

from scenes import Boxes3D
from scenes.geometry import pose_matrix


def random_boxes(count: int, seed: int = 0, **columns: object) -> Boxes3D:
    """Boxes of any orientation."""
    rng = np.random.default_rng(seed)
    rotation = rng.normal(size=(count, 4))
    return Boxes3D(
        center_m=rng.uniform(-50, 50, (count, 3)),
        size_wlh_m=rng.uniform(0.5, 10, (count, 3)),
        rotation=rotation / np.linalg.norm(rotation, axis=1, keepdims=True),
        velocity_mps=rng.uniform(-10, 10, (count, 2)),
        label=rng.integers(0, 10, count),
        score=rng.uniform(size=count),
        **columns,  # type: ignore[arg-type]
    )


def devkit_boxes(boxes: Boxes3D) -> list[Any]:
    """The same boxes in the devkit's class."""
    devkit = pytest.importorskip("nuscenes.utils.data_classes")
    return [
        devkit.Box(center, size, Quaternion(rotation), velocity=(*velocity, 0.0))
        for center, size, rotation, velocity in zip(
            boxes.center_m, boxes.size_wlh_m, boxes.rotation, boxes.velocity_mps, strict=True
        )
    ]


@given(count=st.integers(0, 5), seed=st.integers(0, 1000))
def test_corners_equal_the_devkit(count: int, seed: int) -> None:
    boxes = random_boxes(count, seed)
    corners = boxes.corners()
    assert corners.shape == (count, 8, 3)
    for ours, theirs in zip(corners, devkit_boxes(boxes), strict=True):
        np.testing.assert_allclose(ours, theirs.corners().T, atol=1e-9)


@given(seed=st.integers(0, 1000))
def test_transform_equals_the_devkit(seed: int) -> None:
    boxes = random_boxes(3, seed)
    translation, turn = np.array([100.0, -20.0, 3.0]), Quaternion(np.random.default_rng(seed).normal(size=4)).normalised
    moved = boxes.transform(pose_matrix(translation, turn.elements))
    for ours, theirs in zip(devkit_boxes(moved), devkit_boxes(boxes), strict=True):
        theirs.rotate(turn)
        theirs.translate(translation)
        np.testing.assert_allclose(ours.center, theirs.center, atol=1e-9)
        np.testing.assert_allclose(ours.corners(), theirs.corners(), atol=1e-9)
        np.testing.assert_allclose(ours.velocity[:2], theirs.velocity[:2], atol=1e-9)


def test_transform_keeps_the_other_columns() -> None:
    boxes = random_boxes(3, query_id=np.arange(3), track_id=np.array(["a", "b", "c"]), attribute=np.array([""] * 3))
    moved = boxes.transform(np.eye(4))
    for name in ("size_wlh_m", "label", "score", "query_id", "track_id", "attribute"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(boxes, name))


def test_empty_boxes_go_through_everything() -> None:
    empty = Boxes3D.empty()
    assert len(empty) == len(empty.transform(np.eye(4))) == len(empty.select([])) == 0
    assert empty.corners().shape == (0, 8, 3)
    assert empty.yaw_rad.shape == (0,)
    assert len(Boxes3D.concatenate([])) == 0
    assert len(Boxes3D.concatenate([empty, random_boxes(2)])) == 2


def test_select_takes_masks_indices_and_slices_in_their_order() -> None:
    boxes = random_boxes(4, track_id=np.array(list("abcd")))
    assert boxes.select([2, 0]).track_id.tolist() == ["c", "a"]  # type: ignore[union-attr]
    assert boxes.select(np.array([False, True, False, True])).track_id.tolist() == ["b", "d"]  # type: ignore[union-attr]
    assert boxes.select(slice(1, 3)).track_id.tolist() == ["b", "c"]  # type: ignore[union-attr]


def test_concatenate_keeps_an_optional_column_only_if_all_have_it() -> None:
    named, unnamed = random_boxes(2, query_id=np.array([1, 2])), random_boxes(1)
    assert Boxes3D.concatenate([named, named]).query_id.tolist() == [1, 2, 1, 2]  # type: ignore[union-attr]
    assert Boxes3D.concatenate([named, unnamed]).query_id is None


@pytest.mark.parametrize(
    ("column", "value"),
    [("size_wlh_m", np.ones((2, 2))), ("rotation", np.ones((3, 4))), ("score", np.ones((2, 1))), ("label", [1])],
)
def test_arrays_that_do_not_agree_are_refused(column: str, value: object) -> None:
    with pytest.raises(ValueError, match=column):
        random_boxes(2).replace(**{column: value})
