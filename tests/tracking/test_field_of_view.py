"""Where boxes come from, and what that says of tracks that are not seen."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scenes import Boxes3D
from scenes.geometry import pose_matrix, rotation_from_yaw
from tracking import Tracker
from tracking.field_of_view import FieldOfView, Viewpoint

KEY_FRAME_US = 500_000
EGO_M = np.array([1210.0, -840.0, 7.5])


def pose(yaw_rad: float) -> np.ndarray:
    return pose_matrix(EGO_M.tolist(), rotation_from_yaw(yaw_rad)[0].tolist())


def places(*bearings_rad: float, yaw_rad: float, range_m: float = 20.0) -> np.ndarray:
    """Places in these directions, relative to where the ego vehicle looks."""
    angles = yaw_rad + np.array(bearings_rad)
    return EGO_M[:2] + range_m * np.column_stack([np.cos(angles), np.sin(angles)])


@given(yaw_rad=st.floats(-9.0, 9.0), later_rad=st.floats(-9.0, 9.0), range_m=st.floats(0.1, 900.0))
def test_directions_are_the_vehicle_s_own(yaw_rad: float, later_rad: float, range_m: float) -> None:
    """A detector that sees 30 degrees to both sides still does when the vehicle has turned."""
    ahead = np.radians(np.arange(-30.0, 31.0, 2.5))
    view = FieldOfView.unknown().with_boxes(places(*ahead, yaw_rad=yaw_rad), Viewpoint.of_pose(pose(yaw_rad)))
    asked = places(*np.radians([0.0, -33.0, 33.0, 41.0, -41.0, 180.0]), yaw_rad=later_rad, range_m=range_m)
    held = view.holds(asked, Viewpoint.of_pose(pose(later_rad)))
    assert held.tolist() == [True, True, True, False, False, False]


def test_nothing_is_held_before_anything_is_seen() -> None:
    viewpoint = Viewpoint.of_pose(pose(0.3))
    assert not FieldOfView.unknown().holds(places(0.0, 1.0, yaw_rad=0.3), viewpoint).any()
    assert not FieldOfView.unknown().with_boxes(np.zeros((0, 2)), viewpoint).seen.any()


def test_what_leaves_the_view_is_not_reported_any_more(boxes_at) -> None:
    """A car drives out of sight to the right, another one hides behind something: only that one is reported on."""
    tracker, yaw_rad = Tracker(), 1.1
    bearing_rad = np.radians([10.0, 0.0, -12.0, -24.0])
    for frame in range(4):
        xy_m = places(0.5, bearing_rad[frame], yaw_rad=yaw_rad, range_m=12.0)
        velocity = np.gradient(places(*bearing_rad, yaw_rad=yaw_rad, range_m=12.0), 0.5, axis=0)[frame]
        seen = boxes_at(xy_m, velocity_mps=np.array([[0.01, 0.0], velocity]))
        assert len(tracker.step(seen, frame * KEY_FRAME_US, pose(yaw_rad))) == 2
    (hidden,) = tracker.step(Boxes3D.empty(), 4 * KEY_FRAME_US, pose(yaw_rad)).center_m[:, :2]
    np.testing.assert_allclose(hidden, places(0.5, yaw_rad=yaw_rad, range_m=12.0)[0], atol=0.1)


def test_of_a_track_two_missed_frames_are_bridged(boxes_at) -> None:
    """However fast frames follow one another, and whatever the clock does."""
    for step_us, reported in ((500_000, [1, 0, 0]), (100_000, [1, 1, 0]), (40_000, [1, 1, 0])):
        tracker = Tracker()
        for frame in range(25):
            tracker.step(boxes_at(places(0.0, yaw_rad=0.0)), frame * step_us, pose(0.0))
        later = [tracker.step(Boxes3D.empty(), (25 + missed) * step_us, pose(0.0)) for missed in range(3)]
        assert [len(boxes) for boxes in later] == reported
    tracker = Tracker()
    for now_us in (0, 100_000, 200_000, -900_000):
        tracker.step(boxes_at(places(0.0, yaw_rad=0.0)), now_us, pose(0.0))
    assert [len(tracker.step(Boxes3D.empty(), us, pose(0.0))) for us in (-800_000, -700_000, -600_000)] == [0, 0, 0]
