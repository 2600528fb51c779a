"""How boxes err, against boxes that err in a known way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import Boxes3D
from scenes.geometry import pose_matrix
from tracking import BoxErrors, Calibration, MeasurementNoise, Tracker, TrackerConfig
from tracking.box_errors import LONGEST_WINDOW_S, Windows, windows
from tracking.measurement import ray_covariance

ASSUMED_COV = np.array([[0.5, 0.2], [0.2, 0.3]])
KEY_FRAME_US = 500_000
EYE_M = np.array([4.0, -2.0])
EGO_MPS = np.array([3.0, -9.0])
WALKER = 8


def windows_of(
    scale: float, velocity_share: float, velocity_std: float = 0.3, count: int = 3000, seed: int = 0, lost: float = 0.0
) -> Windows:
    """Windows of objects at constant velocity.

    Args:
        scale: of what boxes err, relative to what is assumed, from one box to the next.
        velocity_share: how much of an object's velocity the detector reports, with errors of `velocity_std`.
        lost: share of the windows whose last box is that of another object.
    """
    rng = np.random.default_rng(seed)
    velocity = rng.normal(0.0, 5.0, (count, 2))
    times_us = np.cumsum(rng.integers(300_000, 700_000, (count, 3)), axis=1)
    xy_m = rng.uniform(-50.0, 50.0, (count, 1, 2)) + 1e-6 * times_us[:, :, None] * velocity[:, None]
    xy_m += scale * rng.multivariate_normal(np.zeros(2), ASSUMED_COV, (count, 3))
    xy_m[rng.random(count) < lost, 2] += [30.0, -40.0]
    told = velocity_share * velocity + rng.normal(0.0, velocity_std, (count, 2))
    return windows(times_us, xy_m, told, np.tile(ASSUMED_COV, (count, 1, 1)), np.ones(count), EYE_M, EGO_MPS)


@pytest.mark.parametrize("scale", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("lost", [0.0, 0.2])
def test_places_err_three_times_as_much_as_shows_from_box_to_box(scale: float, lost: float) -> None:
    """Whatever the times between boxes, also where a fifth of the windows are none."""
    learned = BoxErrors.unknown().with_windows(windows_of(scale, 1.0, lost=lost))
    assert learned.place_scale == pytest.approx(3.0 * scale, rel=0.06 if not lost else 0.35)
    if lost:
        assert learned.place_scale > 3.0 * scale


@pytest.mark.parametrize(("along", "across"), [(0.3, 0.1), (0.1, 0.3), (0.05, 0.5)])
def test_errors_along_and_across_the_ray_are_told_apart(along: float, across: float) -> None:
    rng = np.random.default_rng(1)
    count = 4000
    noise = MeasurementNoise()
    velocity = rng.normal(0.0, 5.0, (count, 2))
    times_us = np.tile([0, 1, 2], (count, 1)) * KEY_FRAME_US
    ray = rng.normal(0.0, 1.0, (count, 2))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    place = EYE_M + rng.uniform(20.0, 60.0, (count, 1)) * ray
    assumed = ray_covariance(place, noise, EYE_M)
    deviations = np.sqrt(np.linalg.eigvalsh(assumed))  # across, along
    side = np.column_stack([-ray[:, 1], ray[:, 0]])
    errors = (
        rng.normal(0.0, along, (count, 3, 1)) * deviations[:, 1, None, None] * ray[:, None]
        + rng.normal(0.0, across, (count, 3, 1)) * deviations[:, 0, None, None] * side[:, None]
    )
    xy_m = place[:, None] + (np.arange(3) - 1)[:, None] * 0.5 * velocity[:, None] + errors
    seen = windows(times_us, xy_m, np.zeros((count, 2)), assumed, np.ones(count), EYE_M, EGO_MPS)
    learned = BoxErrors.unknown().with_windows(seen)
    assert learned.along_scale == pytest.approx(3.0 * along, rel=0.08)
    assert learned.across_scale == pytest.approx(3.0 * across, rel=0.08)


def test_the_scale_stays_within_bounds() -> None:
    assert BoxErrors.unknown().with_windows(windows_of(1e-9, 1.0)).place_scale == 0.1
    assert BoxErrors.unknown().with_windows(windows_of(30.0, 1.0)).place_scale == 2.0


@given(assumed_mps=st.floats(0.01, 10.0))
def test_before_anything_is_seen_boxes_err_as_assumed(assumed_mps: float) -> None:
    unknown = BoxErrors.unknown()
    assert unknown.place_scale == 1.0
    assert unknown.velocity_mps(assumed_mps) == pytest.approx(assumed_mps, rel=1e-9)
    none = windows(
        np.zeros((0, 3), np.int64),
        np.zeros((0, 3, 2)),
        np.zeros((0, 2)),
        np.zeros((0, 2, 2)),
        np.zeros(0),
        EYE_M,
        EGO_MPS,
    )
    assert unknown.with_windows(none) is unknown


@pytest.mark.parametrize("std", [0.3, 1.0, 2.5])
def test_the_error_of_velocities_is_found(std: float) -> None:
    learned = BoxErrors.unknown().with_windows(windows_of(0.1, 1.0, velocity_std=std))
    assert learned.velocity_mps(1.5) == pytest.approx(std, rel=0.06)


def test_velocities_that_say_nothing_are_worth_nothing() -> None:
    """Almost zero for every object, as from a network that never learned them."""
    learned = BoxErrors.unknown().with_windows(windows_of(0.1, 0.0, velocity_std=0.01))
    assert learned.velocity_mps(1.5) > 30.0
    half = BoxErrors.unknown().with_windows(windows_of(0.1, 0.5, velocity_std=0.5)).velocity_mps(1.5)
    assert half == pytest.approx(1.0, rel=0.1), "errors count by what velocities rise with the movement"


@given(std=st.floats(0.0, 1e3), share=st.floats(-5.0, 5.0), scale=st.floats(0.0, 1e3), count=st.integers(1, 50))
def test_whatever_boxes_do_their_errors_are_positive(std: float, share: float, scale: float, count: int) -> None:
    learned = BoxErrors.unknown().with_windows(windows_of(scale, share, velocity_std=std, count=count))
    assert 0.1 <= learned.along_scale <= 2.0 and 0.1 <= learned.across_scale <= 2.0
    assert 0.15 <= learned.velocity_mps(1.5) < np.inf


def test_a_few_windows_hardly_change_what_is_assumed() -> None:
    few = BoxErrors.unknown().with_windows(windows_of(0.05, 1.0, count=3))
    assert 0.6 < few.place_scale < 1.0


def test_windows_need_three_times_that_run_on() -> None:
    second = 1_000_000
    times_us = np.array([[0, 1, 2], [0, 0, 1], [0, 1, 1], [2, 1, 3], [0, 1, 9]]) * second // 2
    covs, weights = np.tile(np.eye(2), (5, 1, 1)), np.arange(1.0, 6.0)
    seen = windows(times_us, np.zeros((5, 3, 2)), np.zeros((5, 2)), covs, weights, EYE_M, EGO_MPS)
    assert seen.weight.tolist() == [1.0] and LONGEST_WINDOW_S < 4.5
    assert not seen.tells.any(), "a velocity of exactly zero is none"


def test_what_stands_before_a_standing_sensor_tells_nothing() -> None:
    """However the two move: it is the view that has to change."""
    times_us = np.array([[0, 1, 2]] * 3) * KEY_FRAME_US
    velocity = np.array([[0.0, 0.0], [3.0, -9.0], [3.0, -8.4]])
    xy_m = 0.5 * np.arange(3)[:, None] * velocity[:, None]
    one = np.ones(3)
    for sensor_mps, counted in ((np.zeros(2), [1, 2]), (EGO_MPS, [0, 2])):
        seen = windows(times_us, xy_m, np.zeros((3, 2)), np.tile(np.eye(2), (3, 1, 1)), one, EYE_M, sensor_mps)
        np.testing.assert_allclose(seen.moved_mps, velocity[counted])


@given(split=st.integers(0, 300))
def test_it_does_not_matter_how_windows_are_parted(split: int) -> None:
    seen = windows_of(0.1, 1.0, count=300)

    def part(rows: slice) -> Windows:
        return Windows(**{name: getattr(seen, name)[rows] for name in Windows.__dataclass_fields__})

    whole = BoxErrors.unknown().with_windows(seen)
    parts = BoxErrors.unknown().with_windows(part(slice(split))).with_windows(part(slice(split, None)))
    np.testing.assert_allclose(parts.along, whole.along)
    np.testing.assert_allclose(parts.across, whole.across)
    assert parts.velocity_mps(1.5) == pytest.approx(whole.velocity_mps(1.5))


def test_what_was_seen_long_ago_fades() -> None:
    learned = BoxErrors.unknown()
    for scale in (0.4, 0.05):
        for seed in range(8):
            learned = learned.with_windows(windows_of(scale, 1.0, seed=seed))
    assert learned.place_scale == pytest.approx(0.15, rel=0.1)


def drive(tracker: Tracker, boxes_at, frames: int, std_m: float, told: float) -> None:
    """Thirty walkers about a standing ego, seen with errors of `std_m`; `told` of their velocity is reported."""
    rng = np.random.default_rng(3)
    ego = pose_matrix([1210.0, -840.0, 7.5], [1.0, 0.0, 0.0, 0.0])
    place = ego[:2, 3] + np.column_stack([np.repeat(np.arange(-25.0, 26.0, 10.0), 5), np.tile(np.arange(5) * 9.0, 6)])
    velocity = rng.normal(0.0, 1.0, (30, 2))
    for index in range(frames):
        seen = place + 0.5 * index * velocity + rng.normal(0.0, std_m, (30, 2))
        boxes = boxes_at(seen, label=np.full(30, WALKER), velocity_mps=told * velocity, score=np.full(30, 0.9))
        tracker.step(boxes, index * KEY_FRAME_US, ego)


def test_the_tracker_learns_on_the_way_and_uses_it(boxes_at) -> None:
    exact, rough = Tracker(), Tracker()
    drive(exact, boxes_at, 10, 0.01, 1.0)
    drive(rough, boxes_at, 10, 0.2, 0.0)
    noise = MeasurementNoise()
    assert exact.calibration.box_errors.place_scale < 0.3 < 0.6 < rough.calibration.box_errors.place_scale
    assert exact.calibration.box_errors.velocity_mps(noise.velocity_mps) < 0.8
    assert rough.calibration.box_errors.velocities[0] == 0.0, "velocities of exactly zero are none"
    box = boxes_at([(1215.0, -840.0)], velocity_mps=np.array([[0.3, 0.1]]))
    ego = pose_matrix([1210.0, -840.0, 7.5], [1.0, 0.0, 0.0, 0.0])
    sharp, wide = (
        Tracker(calibration=tracker.calibration).assign(box, 0, ego).measured.planar_cov[0]
        for tracker in (exact, rough)
    )
    fine, coarse = exact.calibration.box_errors, rough.calibration.box_errors
    # The ray to this box runs along x.
    np.testing.assert_allclose(sharp[0, 0], (fine.along_scale / coarse.along_scale) ** 2 * wide[0, 0])
    np.testing.assert_allclose(sharp[1, 1], (fine.across_scale / coarse.across_scale) ** 2 * wide[1, 1])
    assert sharp[3, 3] < 0.8**2


def test_worthless_velocities_are_as_good_as_unknown(boxes_at) -> None:
    tracker = Tracker()
    drive(tracker, boxes_at, 12, 0.01, 0.02)
    box = boxes_at([(1215.0, -840.0)], label=np.array([WALKER]), velocity_mps=np.array([[0.3, 0.1]]))
    ego = pose_matrix([1210.0, -840.0, 7.5], [1.0, 0.0, 0.0, 0.0])
    moving = tracker.calibration.box_errors.with_reports(np.ones(1), np.ones(1))
    assert not Tracker(calibration=Calibration(box_errors=moving)).assign(box, 0, ego).measured.has_velocity[0]
    told = BoxErrors.unknown().with_reports(np.ones(1), np.ones(1))
    assert Tracker(calibration=Calibration(box_errors=told)).assign(box, 0, ego).measured.has_velocity[0]


def test_velocities_are_unknown_while_no_probable_box_has_reported_a_movement(boxes_at, known) -> None:
    ego = pose_matrix([1210.0, -840.0, 7.5], [1.0, 0.0, 0.0, 0.0])

    def pair(speed_mps: float, score: float) -> Boxes3D:
        """Two walkers: one reports next to nothing, the other some speed."""
        velocity = np.array([[0.02, 0.0], [speed_mps, 0.0]])
        places, label = [(1215.0, -840.0), (1225.0, -840.0)], np.array([WALKER, WALKER])
        return boxes_at(places, label=label, velocity_mps=velocity, score=np.array([0.9, score]))

    scale = Calibration(known.score_scale)
    tracker = Tracker(calibration=scale)
    believed = [
        tracker.assign(pair(speed_mps, score), frame * KEY_FRAME_US, ego).measured.has_velocity.all()
        for frame, (speed_mps, score) in enumerate([(0.4, 0.9), (0.6, 0.1), (0.6, 0.9), (0.0, 0.9)])
    ]
    # The frame that reports a movement counts, clutter does not, and what was reported is remembered.
    assert believed[:3] == [False, False, True]
    assert tracker.calibration.box_errors.fastest_mps.tolist() == [0.6]
    as_told = Tracker(TrackerConfig(learn_noise=False), scale)
    assert as_told.assign(pair(0.4, 0.9), 0, ego).measured.has_velocity.all()


def test_heights_yaws_and_repeated_boxes_follow_what_is_learned_of_places(boxes_at, known) -> None:
    """Heights and yaws half way; a second box farther along the ray is one of its own where places are exact."""
    ego = pose_matrix([1210.0, -840.0, 7.5], [1.0, 0.0, 0.0, 0.0])
    boxes = boxes_at(
        [(1240.0, -840.0), (1243.05, -840.0)], label=np.array([WALKER, WALKER]), score=np.array([0.9, 0.8])
    )
    exact = BoxErrors.unknown().with_windows(windows_of(0.25 / 3.0, 1.0, count=20_000))
    rough, sharp = (
        Tracker(calibration=Calibration(known.score_scale, errors)).assign(boxes, 0, ego).measured
        for errors in (BoxErrors.unknown(), exact)
    )
    assert len(rough) == 1 and len(sharp) == 2
    np.testing.assert_allclose(sharp.body_var[0, 0] / rough.body_var[0, 0], exact.place_scale)
    np.testing.assert_allclose(sharp.planar_cov[0, 2, 2] / rough.planar_cov[0, 2, 2], exact.place_scale)
    np.testing.assert_allclose(sharp.body_var[0, 1:], rough.body_var[0, 1:])


def test_fixed_noise_is_what_the_settings_say(boxes_at) -> None:
    config = TrackerConfig(learn_noise=False)
    tracker = Tracker(config)
    drive(tracker, boxes_at, 6, 0.01, 1.0)
    assert tracker.calibration.box_errors.place_scale == 1.0
    learned = Tracker()
    drive(learned, boxes_at, 6, 0.01, 1.0)
    given_anyway = Tracker(config, Calibration(box_errors=learned.calibration.box_errors))
    assert given_anyway.calibration.box_errors.place_scale == 1.0
