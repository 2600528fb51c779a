"""Columns of tracks moved and corrected, each as filterpy would its own."""

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter

from scenes import LABEL_OF_CLASS
from scenes.geometry import rotation_from_yaw
from tracking.calibration import Calibration
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.config_file import tracker_config_from_dict
from tracking.filtering import BODY_DRIFT_VAR_PER_S, correct, predict, start_states
from tracking.kalman import kalman_predict
from tracking.measurement import Measured, measure
from tracking.motion import MOTION_MODELS
from tracking.tracks import Tracks

CAR, BUS, WALKER = (LABEL_OF_CLASS[name] for name in ("car", "bus", "pedestrian"))
MIXED = tracker_config_from_dict(
    {
        "suppress_duplicates": False,
        "classes": {"bus": {"motion": "bicycle", "acceleration_mps2": 1.5}, "pedestrian": {"motion": "last_box"}},
    }
)
SENSOR_XY_M = np.array([1210.0, -840.0])


def random_tracks(label: list[int], seed: int = 0) -> Tracks:
    rng = np.random.default_rng(seed)
    count = len(label)
    empty = Tracks.none().columns()
    values = {name: np.zeros((count, *column.shape[1:]), column.dtype) for name, column in empty.items()}
    values["label"][:] = label
    values["mean"][:] = rng.normal(0.0, [50.0, 50.0, 2.0, 5.0, 0.1, 0.0], (count, 6))
    values["mean"][:, 5] = 0.5 * (values["label"] == BUS)
    root = rng.normal(0.0, 1.0, (count, 6, 6))
    values["cov"][:] = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(6)
    values["body"][:] = rng.uniform(1.0, 5.0, (count, 4))
    values["body_var"][:] = rng.uniform(0.1, 1.0, (count, 4))
    return Tracks.from_columns(values)


def boxes_near(tracks: Tracks, boxes_at, config: TrackerConfig, seed: int = 1, **columns: object) -> Measured:
    """A box near every track; those of higher rows score lower, so that columns are rows."""
    rng = np.random.default_rng(seed)
    count = len(tracks)
    given = {
        "label": tracks.label,
        "rotation": rotation_from_yaw(rng.uniform(-0.5, 0.5, count)),
        "velocity_mps": rng.normal(0.0, 3.0, (count, 2)),
        "score": np.linspace(0.9, 0.5, count),
    }
    boxes = boxes_at(tracks.mean[:, :2] + rng.normal(0.0, 1.0, (count, 2)), **{**given, **columns})
    table = ClassTable.from_config(config)
    return measure(boxes, config, table, Calibration(), SENSOR_XY_M)


def copied(tracks: Tracks) -> Tracks:
    return Tracks.from_columns({name: column.copy() for name, column in tracks.columns().items()})


def test_every_row_moves_by_the_model_of_its_class() -> None:
    label = [CAR, BUS, WALKER, BUS, CAR]
    tracks, table = random_tracks(label), ClassTable.from_config(MIXED)
    before = copied(tracks)
    predict(tracks, table, 0.4)
    names = {CAR: "constant_velocity", BUS: "bicycle", WALKER: "constant_velocity"}
    for row, of_row in enumerate(label):
        model, mean = MOTION_MODELS[names[of_row]], before.mean[row : row + 1]
        moved, transition = model.move(mean, 0.4, before.body[row : row + 1, 2])
        added = model.process_noise(mean, 0.4, table.noise[[of_row]])
        np.testing.assert_allclose(tracks.mean[row], moved[0])
        np.testing.assert_allclose(tracks.cov[row], kalman_predict(before.cov[row : row + 1], transition, added)[0])
    np.testing.assert_array_equal(tracks.body, before.body)
    np.testing.assert_allclose(tracks.body_var, before.body_var + 0.4 * BODY_DRIFT_VAR_PER_S)


@pytest.mark.parametrize("velocity_known", [True, False])
def test_corrected_as_filterpy_does(velocity_known: bool, boxes_at) -> None:
    """A box without a velocity is a measurement of three numbers, and no word about the other two."""
    config = TrackerConfig(suppress_duplicates=False)
    table = ClassTable.from_config(config)
    tracks = random_tracks([CAR] * 4)
    tracks.mean[:, 4] = [0.1, -0.2, 0.3, 0.0]
    unknown = {} if velocity_known else {"velocity_mps": np.full((4, 2), np.nan)}
    measured = boxes_near(tracks, boxes_at, config, **unknown)
    before, rows = copied(tracks), np.array([3, 0, 2])
    correct(tracks, table, rows, measured, rows)
    numbers = 5 if velocity_known else 3
    for row in rows:
        kalman = KalmanFilter(dim_x=6, dim_z=numbers)
        kalman.x, kalman.P = before.mean[row].copy(), before.cov[row].copy()
        kalman.H = np.eye(6)[[0, 1, 4, 2, 3]][:numbers]
        kalman.update(measured.planar[row, :numbers], R=measured.planar_cov[row, :numbers, :numbers])
        np.testing.assert_allclose(tracks.mean[row], kalman.x, atol=1e-9)
        np.testing.assert_allclose(tracks.cov[row], kalman.P, atol=1e-9)
        for number in range(4):
            scalar = KalmanFilter(dim_x=1, dim_z=1)
            scalar.x, scalar.P = before.body[row, [number]], before.body_var[row, [number]][None]
            scalar.H = np.eye(1)
            scalar.update(measured.body[row, number], R=measured.body_var[row, number])
            assert tracks.body[row, number] == pytest.approx(scalar.x[0])
            assert tracks.body_var[row, number] == pytest.approx(scalar.P[0, 0])
    for name, column in tracks.columns().items():
        np.testing.assert_array_equal(column[1], before.columns()[name][1])


def test_unknown_velocities_leave_the_others_theirs(boxes_at) -> None:
    config = TrackerConfig(suppress_duplicates=False)
    tracks, together = random_tracks([CAR] * 3), random_tracks([CAR] * 3)
    tracks.mean[:, 4] = together.mean[:, 4] = 0.0
    velocity = np.array([[2.0, 1.0], [np.nan, np.nan], [-3.0, 0.5]])
    measured = boxes_near(tracks, boxes_at, config, velocity_mps=velocity)
    assert measured.has_velocity.tolist() == [True, False, True]
    table = ClassTable.from_config(config)
    correct(together, table, np.arange(3), measured, np.arange(3))
    for row in range(3):
        correct(tracks, table, np.array([row]), measured, np.array([row]))
    np.testing.assert_allclose(together.mean, tracks.mean)
    np.testing.assert_allclose(together.cov, tracks.cov)


def test_a_class_that_is_not_filtered_takes_the_box(boxes_at) -> None:
    label = [CAR, WALKER, BUS, WALKER]
    tracks, table = random_tracks(label), ClassTable.from_config(MIXED)
    measured = boxes_near(tracks, boxes_at, MIXED, velocity_mps=np.full((4, 2), 0.5))
    before, rows = copied(tracks), np.array([0, 1, 2])
    correct(tracks, table, rows, measured, rows)
    mean, cov = start_states(measured, table, np.array([1]))
    np.testing.assert_array_equal(tracks.mean[1], mean[0])
    np.testing.assert_array_equal(tracks.cov[1], cov[0])
    np.testing.assert_array_equal(tracks.mean[1, :4], measured.planar[1, [0, 1, 3, 4]])
    np.testing.assert_array_equal(tracks.body[1], measured.body[1])
    np.testing.assert_array_equal(tracks.body_var[1], measured.body_var[1])
    for row in (0, 2):
        assert (tracks.mean[row, :2] != measured.planar[row, :2]).all()
        assert (tracks.body_var[row] < before.body_var[row]).all()
    np.testing.assert_array_equal(tracks.mean[3], before.mean[3])


def test_states_start_by_the_model_of_their_class(boxes_at) -> None:
    label = [BUS, CAR, WALKER, BUS]
    config, table = MIXED, ClassTable.from_config(MIXED)
    velocity = np.array([[3.0, 0.5], [np.nan, np.nan], [0.5, 0.5], [np.nan, np.nan]])
    measured = boxes_near(random_tracks(label), boxes_at, config, velocity_mps=velocity)
    columns = np.array([3, 1, 0])
    mean, cov = start_states(measured, table, columns)
    for row, column in enumerate(columns):
        model = MOTION_MODELS["bicycle" if label[column] == BUS else "constant_velocity"]
        one = slice(column, column + 1)
        expected = model.start(
            measured.planar[one],
            measured.planar_cov[one],
            measured.has_velocity[one],
            table.speed_mps[[label[column]]],
        )
        np.testing.assert_allclose(mean[row], expected[0][0])
        np.testing.assert_allclose(cov[row], expected[1][0])


@pytest.mark.parametrize("label", [CAR, BUS])
def test_a_track_turns_around_when_most_boxes_have_faced_backwards(label: int, boxes_at) -> None:
    """Votes count up to three; the fourth contradiction in a row outvotes three agreements."""
    config, table = MIXED, ClassTable.from_config(MIXED)
    tracks = random_tracks([label])
    yaw = 2 if label == BUS else 4
    tracks.mean[0, 2:] = 0.0
    first = np.array([0])

    def see(yaw_rad: float) -> float:
        rotation = rotation_from_yaw(yaw_rad)
        measured = boxes_near(tracks, boxes_at, config, rotation=rotation, velocity_mps=np.full((1, 2), np.nan))
        correct(tracks, table, first, measured, first)
        return float(tracks.heading_votes[0])

    assert [see(0.0) for _ in range(5)] == [1.0, 2.0, 3.0, 3.0, 3.0]
    assert [see(np.pi) for _ in range(3)] == [2.0, 1.0, 0.0]
    assert abs(tracks.mean[0, yaw]) < 0.01
    assert see(np.pi) == 1.0
    assert abs(tracks.mean[0, yaw]) == pytest.approx(np.pi, abs=0.01)
    assert see(np.pi) == 2.0
    assert see(0.4) == 1.0  # faces backwards now


def test_a_quarter_turn_is_the_most_that_a_box_can_correct(boxes_at) -> None:
    table = ClassTable.from_config(MIXED)
    for yaw_rad, sense in ((1.5, 1.0), (1.6, -1.0), (-1.5, -1.0), (-1.6, 1.0)):
        tracks = random_tracks([CAR])
        tracks.mean[0, 4] = 0.0
        tracks.cov[0] = np.eye(6)
        measured = boxes_near(
            tracks, boxes_at, MIXED, rotation=rotation_from_yaw(yaw_rad), velocity_mps=np.full((1, 2), np.nan)
        )
        correct(tracks, table, np.array([0]), measured, np.array([0]))
        assert (
            np.sign(np.sin(2 * tracks.mean[0, 4])) == sense
        )  # twice the angle: a track that turned around counts alike
        assert tracks.heading_votes[0] == 1.0
