"""A tracker that is stopped and started again goes on as if nothing had happened."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenes import Boxes3D, InputError
from scenes.geometry import pose_matrix, rotation_from_yaw
from tracking import Tracker, TrackerConfig

KEY_FRAME_US = 500_000
EGO = pose_matrix([1210.0, -840.0, 7.5], rotation_from_yaw(2.1)[0].tolist())
"""Far from the origin, and turned; boxes are placed around it."""
DRIVE_M = np.array([3.0, -2.0, 0.0])
"""What the ego moves from frame to frame."""


def ego_of(frame: int) -> np.ndarray:
    ego = EGO.copy()
    ego[:3, 3] += frame * DRIVE_M
    return ego


def around_ego(boxes: Boxes3D) -> Boxes3D:
    with np.errstate(invalid="ignore"):  # some velocities are infinite
        return boxes.transform(EGO)


def saved_and_loaded(tracker: Tracker) -> dict[str, np.ndarray]:
    file = io.BytesIO()
    np.savez(file, **tracker.state())
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def same(first, second) -> bool:
    columns = ("center_m", "size_wlh_m", "rotation", "velocity_mps", "label", "score", "track_id")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in columns)


@settings(max_examples=25)
@given(data=st.data(), stopped_after=st.integers(0, 4))
def test_restored_tracker_goes_on_as_the_first(data, stopped_after: int, random_boxes) -> None:
    frames = data.draw(st.lists(random_boxes.map(around_ego), min_size=5, max_size=6))
    config = TrackerConfig(recovery_gate_scale=2.0)
    running, restarted = Tracker(config), Tracker(config)
    for index, boxes in enumerate(frames):
        if index == stopped_after:
            restarted = Tracker.from_state(saved_and_loaded(restarted), config)
        now_us = 1_500_000_000_000_000 + index * KEY_FRAME_US
        assert same(running.step(boxes, now_us, ego_of(index)), restarted.step(boxes, now_us, ego_of(index)))


def test_a_state_is_a_copy(boxes_at) -> None:
    tracker = Tracker()
    tracker.step(around_ego(boxes_at([(0.0, 5.0)])), 0, ego_of(0))
    state = tracker.state()
    before = {name: array.copy() for name, array in state.items()}
    tracker.step(around_ego(boxes_at([(1.0, 5.0)])), KEY_FRAME_US, ego_of(1))
    assert all(np.array_equal(state[name], array) for name, array in before.items())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.clear(), "tracker state: version is None, this tracker reads version 8"),
        (lambda state: state.update(version=np.array(99)), "tracker state: version is 99"),
        (lambda state: state.pop("tracks.mean"), "tracker state: 'tracks.mean' is missing"),
        (
            lambda state: state.update({"tracks.mean": np.zeros((1, 4))}),
            "tracker state: 'tracks.mean' has shape (1, 4)",
        ),
        (
            lambda state: state.update({"tracks.hits": np.zeros(1)}),
            "tracker state: 'tracks.hits' has shape (1,) of float64",
        ),
        (
            lambda state: state.update({"tracks.hits": np.zeros(3, np.int64)}),
            "tracker state: the columns of the tracks differ",
        ),
        (
            lambda state: state.update({"waiting.score": np.zeros(99)}),
            "tracker state: the columns of 'waiting' differ in length",
        ),
        (
            lambda state: state.update({"scale.count": np.zeros(99, state["scale.count"].dtype)}),
            "tracker state: the columns of 'scale' differ in length",
        ),
    ],
)
def test_states_that_are_none_are_refused(damage, message: str, boxes_at) -> None:
    tracker = Tracker()
    tracker.step(around_ego(boxes_at([(0.0, 5.0)])), 0, ego_of(0))
    state = tracker.state()
    damage(state)
    with pytest.raises(InputError) as raised:
        Tracker.from_state(state)
    assert str(raised.value).startswith(message)
