"""Smoothed tracks beside filterpy's Rauch-Tung-Striebel smoother."""

import numpy as np
import pytest
from filterpy.common import Q_discrete_white_noise
from filterpy.kalman import KalmanFilter

from scenes import Boxes3D
from scenes.geometry import rotation_from_yaw
from tracking import BoxErrors, TrackerConfig, tracker_config_from_dict
from tracking.class_table import ClassTable
from tracking.measurement import Measured, measured_boxes, ray_covariance
from tracking.smoothing import smooth

CONFIG = TrackerConfig(suppress_duplicates=False)
MOTIONS = ("constant_velocity", "constant_turn_rate", "bicycle")


def as_measured(boxes: Boxes3D, config: TrackerConfig) -> Measured:
    count, table = len(boxes), ClassTable.from_config(config)
    place_cov = ray_covariance(boxes.center_m[:, :2], config.noise, np.zeros(2))
    return measured_boxes(np.arange(count), boxes, np.zeros(count), config, table, BoxErrors.unknown(), place_cov)


def measured_track(boxes_at, config: TrackerConfig, seed: int = 0, n_frames: int = 12) -> Measured:
    """One box a frame: a car that drives along x at 8 m/s, seen with noise and its velocity."""
    rng = np.random.default_rng(seed)
    place = np.column_stack([20.0 + 4.0 * np.arange(n_frames), np.full(n_frames, 5.0)])
    velocity = np.tile([8.0, 0.0], (n_frames, 1))
    noise = rng.normal(0.0, 0.5, (2, n_frames, 2))
    return as_measured(boxes_at(place + noise[0], velocity_mps=velocity + noise[1]), config)


def alone(n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Track and frame of the boxes of a track that is seen in every frame."""
    return np.zeros(n_frames, dtype=np.int64), np.arange(n_frames)


def test_constant_velocity_equals_filterpys_smoother(boxes_at) -> None:
    n_frames = 12
    times_s = np.cumsum(np.random.default_rng(1).uniform(0.4, 0.6, n_frames))
    frame = np.delete(np.arange(n_frames), [3, 4, 8])
    measured = measured_track(boxes_at, CONFIG, n_frames=len(frame))
    table = ClassTable.from_config(CONFIG)
    smoothed = smooth(times_s, measured, np.zeros(len(frame), dtype=np.int64), frame, table)

    kalman = KalmanFilter(dim_x=5, dim_z=5)
    kalman.x = measured.planar[0][[0, 1, 3, 4, 2]].copy()
    kalman.P = measured.planar_cov[0][np.ix_([0, 1, 3, 4, 2], [0, 1, 3, 4, 2])].copy()
    kalman.H = np.eye(5)[[0, 1, 4, 2, 3]]
    acceleration, yaw_acceleration = table.noise[measured.boxes.label[0]]
    means, covs, transitions, noises = [kalman.x.copy()], [kalman.P.copy()], [np.eye(5)], [np.zeros((5, 5))]
    for now in range(1, n_frames):
        elapsed_s = times_s[now] - times_s[now - 1]
        kalman.F = np.eye(5)
        kalman.F[0, 2] = kalman.F[1, 3] = elapsed_s
        kalman.Q = np.zeros((5, 5))
        motion = Q_discrete_white_noise(2, elapsed_s, var=acceleration**2)
        kalman.Q[np.ix_([0, 2], [0, 2])] = kalman.Q[np.ix_([1, 3], [1, 3])] = motion
        kalman.Q[4, 4] = (yaw_acceleration * elapsed_s) ** 2
        kalman.predict()
        if now in frame:
            box = int(np.searchsorted(frame, now))
            kalman.update(measured.planar[box], R=measured.planar_cov[box])
        means.append(kalman.x.copy())
        covs.append(kalman.P.copy())
        transitions.append(kalman.F.copy())
        noises.append(kalman.Q.copy())
    # filterpy goes back from frame k + 1 with the transition that led there.
    expected, expected_cov = rts(kalman, means, covs, transitions, noises)
    np.testing.assert_allclose(smoothed.mean[:, :5], expected, atol=1e-9)
    np.testing.assert_allclose(smoothed.cov[:, :5, :5], expected_cov, atol=1e-9)


def rts(kalman: KalmanFilter, means: list, covs: list, transitions: list, noises: list) -> tuple:
    smoothed = kalman.rts_smoother(np.array(means), np.array(covs), Fs=transitions, Qs=noises)
    return smoothed[0], smoothed[1]


@pytest.mark.parametrize("motion", MOTIONS)
def test_hindsight_brings_tracks_nearer_to_the_truth(motion: str, boxes_at) -> None:
    config = tracker_config_from_dict({"suppress_duplicates": False, "every_class": {"motion": motion}})
    errors_m, boxes_m = [], []
    for seed in range(8):
        measured = measured_track(boxes_at, config, seed)
        smoothed = smooth(0.5 * np.arange(12), measured, *alone(12), ClassTable.from_config(config))
        truth = np.column_stack([20.0 + 4.0 * np.arange(12), np.full(12, 5.0)])
        errors_m.append(np.linalg.norm(smoothed.mean[:, :2] - truth, axis=1).mean())
        boxes_m.append(np.linalg.norm(measured.planar[:, :2] - truth, axis=1).mean())
    assert np.mean(errors_m) < 0.6 * np.mean(boxes_m)


def test_heading_is_what_most_boxes_say(boxes_at) -> None:
    yaws = np.array([np.pi, 0.0, 0.0, 0.0, np.pi, 0.0])
    boxes = boxes_at(np.tile([10.0, 0.0], (6, 1)), rotation=rotation_from_yaw(yaws))
    smoothed = smooth(0.5 * np.arange(6), as_measured(boxes, CONFIG), *alone(6), ClassTable.from_config(CONFIG))
    np.testing.assert_allclose(np.cos(smoothed.mean[:, 4]), 1.0, atol=1e-3)


@pytest.mark.parametrize("motion", MOTIONS)
def test_tracks_smoothed_together_are_smoothed_as_each_alone(motion: str, boxes_at) -> None:
    """Whenever they begin and end, and whatever frames they miss."""
    config = tracker_config_from_dict({"every_class": {"motion": motion}})
    table, times_s = ClassTable.from_config(config), np.cumsum(np.full(20, 0.5))
    frames = [np.array([2, 3, 5, 9]), np.array([0]), np.array([19]), np.arange(4, 17), np.array([7, 8])]
    tracks = [measured_track(boxes_at, config, seed, len(frame)).boxes for seed, frame in enumerate(frames)]
    track = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    together = smooth(times_s, as_measured(Boxes3D.concatenate(tracks), config), track, np.concatenate(frames), table)
    for index, (boxes, frame) in enumerate(zip(tracks, frames, strict=True)):
        single = smooth(times_s, as_measured(boxes, config), np.zeros(len(frame), dtype=np.int64), frame, table)
        cells = slice(together.spans.start[index], together.spans.start[index + 1])
        for name in ("mean", "cov", "body"):
            np.testing.assert_allclose(getattr(together, name)[cells], getattr(single, name), atol=1e-12)
