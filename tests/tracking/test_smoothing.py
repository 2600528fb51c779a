"""Smoothed tracks beside filterpy's Rauch-Tung-Striebel smoother."""

import numpy as np
import pytest
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter

from scenes.geometry import rotation_from_yaw
from tracking import ScoreScale, TrackerConfig, tracker_config_from_dict
from tracking.measurement import Measured, measure
from tracking.settings import ClassTable
from tracking.smoothing import smooth

CONFIG = TrackerConfig(suppress_duplicates=False)
MOTIONS = ("constant_velocity", "constant_turn_rate", "bicycle")


def measured_track(boxes_at, config: TrackerConfig, seed: int = 0, n_frames: int = 12) -> Measured:
    """One box a frame: a car that drives along x at 8 m/s, seen with noise and its velocity."""
    rng = np.random.default_rng(seed)
    table, scale = ClassTable.from_config(config), ScoreScale.unknown()
    frames = []
    for index in range(n_frames):
        place = np.array([[20.0 + 4.0 * index, 5.0]]) + rng.normal(0.0, 0.5, (1, 2))
        boxes = boxes_at(place, velocity_mps=np.array([[8.0, 0.0]]) + rng.normal(0.0, 0.5, (1, 2)))
        frames.append(measure(boxes, config, table, scale, np.zeros(2)))
    return Measured.concatenate(frames)


def test_constant_velocity_equals_filterpys_smoother(boxes_at) -> None:
    measured = measured_track(boxes_at, CONFIG)
    n_frames = len(measured)
    times_s = np.cumsum(np.random.default_rng(1).uniform(0.4, 0.6, n_frames))
    box_of = np.arange(n_frames)[None].copy()
    box_of[0, [3, 4, 8]] = -1
    table = ClassTable.from_config(CONFIG)
    smoothed = smooth(times_s, measured, box_of, table)

    kalman = KalmanFilter(dim_x=5, dim_z=5)
    kalman.x = measured.planar[0][[0, 1, 3, 4, 2]].copy()
    kalman.P = measured.planar_cov[0][np.ix_([0, 1, 3, 4, 2], [0, 1, 3, 4, 2])].copy()
    kalman.H = np.eye(5)[[0, 1, 4, 2, 3]]
    acceleration, yaw_acceleration = table.noise[measured.boxes.label[0]]
    means, covs, transitions, noises = [kalman.x.copy()], [kalman.P.copy()], [np.eye(5)], [np.zeros((5, 5))]
    for frame in range(1, n_frames):
        elapsed_s = times_s[frame] - times_s[frame - 1]
        kalman.F = np.eye(5)
        kalman.F[0, 2] = kalman.F[1, 3] = elapsed_s
        kalman.Q = np.zeros((5, 5))
        motion = Q_discrete_white_noise(2, elapsed_s, var=acceleration**2)
        kalman.Q[np.ix_([0, 2], [0, 2])] = kalman.Q[np.ix_([1, 3], [1, 3])] = motion
        kalman.Q[4, 4] = (yaw_acceleration * elapsed_s) ** 2
        kalman.predict()
        if box_of[0, frame] >= 0:
            kalman.update(measured.planar[frame], R=measured.planar_cov[frame])
        means.append(kalman.x.copy())
        covs.append(kalman.P.copy())
        transitions.append(kalman.F.copy())
        noises.append(kalman.Q.copy())
    # filterpy goes back from frame k + 1 with the transition that led there.
    expected, expected_cov = rts(kalman, means, covs, transitions, noises)
    np.testing.assert_allclose(smoothed.mean[:, 0, :5], expected, atol=1e-9)
    np.testing.assert_allclose(smoothed.cov[:, 0, :5, :5], expected_cov, atol=1e-9)


def rts(kalman: KalmanFilter, means: list, covs: list, transitions: list, noises: list) -> tuple:
    smoothed = kalman.rts_smoother(np.array(means), np.array(covs), Fs=transitions, Qs=noises)
    return smoothed[0], smoothed[1]


@pytest.mark.parametrize("motion", MOTIONS)
def test_hindsight_brings_tracks_nearer_to_the_truth(motion: str, boxes_at) -> None:
    config = tracker_config_from_dict({"suppress_duplicates": False, "every_class": {"motion": motion}})
    errors_m, boxes_m = [], []
    for seed in range(8):
        measured = measured_track(boxes_at, config, seed)
        smoothed = smooth(0.5 * np.arange(12), measured, np.arange(12)[None], ClassTable.from_config(config))
        truth = np.column_stack([20.0 + 4.0 * np.arange(12), np.full(12, 5.0)])
        errors_m.append(np.linalg.norm(smoothed.mean[:, 0, :2] - truth, axis=1).mean())
        boxes_m.append(np.linalg.norm(measured.planar[:, :2] - truth, axis=1).mean())
    assert np.mean(errors_m) < 0.6 * np.mean(boxes_m)


def test_heading_is_what_most_boxes_say(boxes_at) -> None:

    table, scale = ClassTable.from_config(CONFIG), ScoreScale.unknown()
    yaws = [np.pi, 0.0, 0.0, 0.0, np.pi, 0.0]
    frames = [boxes_at([(10.0, 0.0)], rotation=rotation_from_yaw(yaw)) for yaw in yaws]
    measured = Measured.concatenate([measure(boxes, CONFIG, table, scale, np.zeros(2)) for boxes in frames])
    smoothed = smooth(0.5 * np.arange(6), measured, np.arange(6)[None], table)
    np.testing.assert_allclose(np.cos(smoothed.mean[:, 0, 4]), 1.0, atol=1e-3)
