"""Gates, identity and second chances, pair by pair."""

import numpy as np
import pytest

from scenes import LABEL_OF_CLASS, Boxes3D
from scenes.geometry import rotation_from_yaw
from tracking.calibration import Calibration
from tracking.class_table import ClassTable
from tracking.config import ClassConfig, MeasurementNoise, TrackerConfig
from tracking.measurement import measure
from tracking.stages import associate
from tracking.tracks import Tracks

NOW_US = 1_500_000_000_000_000
GAP_S = 0.5
SENSOR_XY_M = np.array([1210.0, -840.0])
METRE_NOISE = MeasurementNoise(along_m=1.0, along_per_m=0.0, across_m=1.0, across_per_m=0.0)
"""Tracks are known exactly here: with boxes like this, standard deviations are metres."""


def settings(car: dict | None = None, **changed: object) -> TrackerConfig:
    """Gates of 3 standard deviations and 4 m; nothing is recovered."""
    classes = {"car": ClassConfig(**{"max_unseen_s": 100.0, **(car or {})})}
    plain = {
        "gate_sigmas": 3.0,
        "noise": METRE_NOISE,
        "suppress_duplicates": False,
        "recovery_gate_scale": 0.0,
        "classes": classes,
    }
    return TrackerConfig(**{**plain, **changed})


def standing(places_m: list, unseen_s: float = GAP_S, **columns: object) -> Tracks:
    """Cars that stand, observed for a minute and last seen a frame ago."""
    count = len(places_m)
    empty = Tracks.none().columns()
    values = {name: np.zeros((count, *column.shape[1:]), column.dtype) for name, column in empty.items()}
    values["mean"][:, :2] = np.reshape(places_m, (count, 2))
    values["body"][:] = [1.0, 1.9, 4.5, 1.6]
    values["observed_s"][:] = 60.0
    values["query_id"][:] = -1
    values["seen_us"][:] = values["supported_us"][:] = NOW_US - round(unseen_s * 1e6)
    return Tracks.from_columns({**values, **{name: np.array(value) for name, value in columns.items()}})


def partners(
    tracks: Tracks,
    boxes: Boxes3D,
    config: TrackerConfig,
    last_xy_m: np.ndarray | None = None,
    calibration: Calibration | None = None,
) -> list[tuple[float, float] | None]:
    """For each track the place of its box, None without one."""
    table = ClassTable.from_config(config)
    measured = measure(boxes, config, table, calibration or Calibration(), SENSOR_XY_M)
    last_xy_m = tracks.mean[:, :2] if last_xy_m is None else last_xy_m
    rows, columns = associate(tracks, measured, table, config, last_xy_m, NOW_US, GAP_S, config.use_identity)
    assert len(set(rows.tolist())) == len(rows) == len(columns) == len(set(columns.tolist()))
    places = dict(zip(rows.tolist(), measured.boxes.center_m[columns, :2].tolist(), strict=True))
    return [tuple(places[row]) if row in places else None for row in range(len(tracks))]


def taken(tracks: Tracks, boxes: Boxes3D, config: TrackerConfig) -> bool:
    """Whether the only track takes the only box."""
    return partners(tracks, boxes, config) != [None]


@pytest.mark.parametrize(
    ("changed", "farthest_m"),
    [
        ({}, 3.0),
        ({"gate_sigmas": 2.0}, 2.0),
        ({"gate_sigmas": 100.0}, 4.0),
        ({"gate_sigmas": 100.0, "car": {"gate_m": 2.5}}, 2.5),
        ({"cost": "distance"}, 4.0),
        ({"cost": "backtracked_distance"}, 4.0),
        ({"cost": "giou", "gate_giou": 2.0}, 4.0),
    ],
)
def test_a_box_counts_within_standard_deviations_and_metres(changed: dict, farthest_m: float, boxes_at) -> None:
    tracks = standing([(7.0, -3.0)])
    for direction in ([1.0, 0.0], [0.0, -1.0], [0.6, 0.8]):
        inside, outside = (np.array([7.0, -3.0]) + share * farthest_m * np.array(direction) for share in (0.99, 1.01))
        assert taken(tracks, boxes_at([inside]), settings(**changed)), direction
        assert not taken(tracks, boxes_at([outside]), settings(**changed)), direction


def test_uncertainty_of_track_and_box_add_up(boxes_at) -> None:
    cov = np.zeros((1, 6, 6))
    cov[0, 0, 0], cov[0, 1, 1] = 0.44, 3.0
    tracks = standing([(0.0, 0.0)], cov=cov)
    for inside, outside in (((3.5, 0.0), (3.7, 0.0)), ((0.0, 5.9), (0.0, 6.1))):  # 3 x 1.2 m, 3 x 2 m
        assert taken(tracks, boxes_at([inside]), settings({"gate_m": 50.0}))
        assert not taken(tracks, boxes_at([outside]), settings({"gate_m": 50.0}))


def test_each_class_has_its_own_gate(boxes_at) -> None:
    names = ("car", "bus", "pedestrian")
    label = np.array([LABEL_OF_CLASS[name] for name in names])
    classes = {name: ClassConfig(gate_m=gate_m) for name, gate_m in zip(names, (4.0, 9.0, 2.0), strict=True)}
    config = settings(gate_sigmas=100.0, classes=classes)
    tracks = standing([(0.0, 0.0), (50.0, 0.0), (100.0, 0.0)], label=label)
    for step_m, expected in ((1.9, [True, True, True]), (3.9, [True, True, False]), (8.9, [False, True, False])):
        boxes = boxes_at([(step_m, 0.0), (50.0 + step_m, 0.0), (100.0 + step_m, 0.0)], label=label)
        assert [place is not None for place in partners(tracks, boxes, config)] == expected
    assert partners(tracks, boxes_at([(0.0, 0.0)], label=label[1:2]), config)[0] is None


@pytest.mark.parametrize(("along", "across"), [(1.5, 0.0), (0.0, 0.6)])
def test_overlap_of_bodies_seen_from_above(along: float, across: float, boxes_at) -> None:
    """Two equal rectangles that face alike and are shifted along a side: 1 - GIoU is 2 d / (side + d)."""
    yaw = 0.7
    forward, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    mean = np.zeros((1, 6))
    mean[0, :2], mean[0, 4] = [7.0, -3.0], yaw
    tracks = standing([(7.0, -3.0)], mean=mean)
    boxes = boxes_at([mean[0, :2] + along * forward + across * left], rotation=rotation_from_yaw(yaw))
    cost = 2 * along / (4.5 + along) if along else 2 * across / (1.9 + across)
    assert taken(tracks, boxes, settings(cost="giou", gate_giou=cost + 0.01))
    assert not taken(tracks, boxes, settings(cost="giou", gate_giou=cost - 0.01))


def test_overlap_is_that_of_the_body_as_its_model_sees_it(boxes_at) -> None:
    """A bicycle model keeps the yaw elsewhere than constant velocity does."""
    label = np.array([LABEL_OF_CLASS["bus"], LABEL_OF_CLASS["car"]])
    classes = {"bus": ClassConfig(motion="bicycle"), "car": ClassConfig()}
    mean = np.zeros((2, 6))
    mean[:, 0] = [0.0, 50.0]
    mean[0, 2] = mean[1, 4] = 1.2
    tracks = standing([(0.0, 0.0), (50.0, 0.0)], mean=mean, label=label)
    boxes = boxes_at(mean[:, :2], rotation=rotation_from_yaw([1.2, 1.2]), label=label)
    config = settings(cost="giou", gate_giou=0.01, classes=classes)
    assert partners(tracks, boxes, config) == [(0.0, 0.0), (50.0, 0.0)]


def test_backtracked_places_are_compared_with_the_last_ones(boxes_at) -> None:
    config = settings({"gate_m": 1.0}, cost="backtracked_distance")
    tracks, last_xy_m = standing([(30.0, 0.0)]), np.array([[2.0, 8.0]])
    moving = boxes_at([(7.0, 10.0)], velocity_mps=[[10.0, 4.0]])
    assert partners(tracks, moving, config, last_xy_m) == [(7.0, 10.0)]
    assert partners(tracks, moving.replace(velocity_mps=[[0.0, 0.0]]), config, last_xy_m) == [None]


def queried(boxes_at, places: list, queries: list, **columns) -> Boxes3D:
    return boxes_at(places, query_id=np.array(queries), **columns)


@pytest.mark.parametrize(
    ("changed", "nearest", "expected"),
    [
        ({}, 1.4, 1.4),  # within half of both gates the query decides alone
        ({}, 1.6, 0.1),  # beyond, a bonus of 1 does not outweigh a place so much better
        ({"identity_gate_scale": 0.6}, 1.6, 1.6),
        ({"identity_gate_scale": 0.4}, 1.3, 0.1),
        ({"identity_gate_scale": 0.4, "gate_sigmas": 100.0}, 1.7, 0.1),
        ({"use_identity": False}, 1.4, 0.1),
    ],
)
def test_a_query_decides_where_motion_agrees_closely(changed: dict, nearest: float, expected: float, boxes_at) -> None:
    tracks = standing([(0.0, 0.0)], query_id=[5])
    boxes = queried(boxes_at, [(nearest, 0.0), (-0.1, 0.0)], [5, -1])
    (place,) = partners(tracks, boxes, settings(**{"identity_bonus": 0.0, **changed}))
    assert abs(place[0]) == expected


@pytest.mark.parametrize(
    ("bonus", "other_query", "expected"),
    [
        (1.5, 9, 2.0),  # 2.0 - 1.5 against 0.6
        (1.5, -1, 2.0),
        (1.3, 9, -0.6),
        (0.0, 9, -0.6),
    ],
)
def test_a_query_makes_a_pair_cheaper(bonus, other_query, expected, boxes_at) -> None:
    tracks = standing([(0.0, 0.0)], query_id=[5])
    boxes = queried(boxes_at, [(2.0, 0.0), (-0.6, 0.0)], [5, other_query])
    (place,) = partners(tracks, boxes, settings(identity_bonus=bonus))
    assert place[0] == expected


def test_boxes_without_a_query_share_none(boxes_at) -> None:
    tracks = standing([(0.0, 0.0), (0.0, 20.0)], query_id=[-1, 7])
    boxes = queried(boxes_at, [(1.0, 0.0), (-0.9, 0.0), (1.0, 20.0), (-0.9, 20.0)], [-1, 3, -1, -1])
    assert partners(tracks, boxes, settings(identity_bonus=5.0)) == [(-0.9, 0.0), (-0.9, 20.0)]


def test_queries_are_served_by_their_places_first(boxes_at) -> None:
    """Two tracks of one query and one box of it: the nearer track has it, and greedily so."""
    tracks = standing([(0.0, 0.0), (1.5, 0.0)], query_id=[5, 5])
    boxes = queried(boxes_at, [(0.4, 0.0), (-1.0, 0.0)], [5, 5])
    assert partners(tracks, boxes, settings()) == [(0.4, 0.0), (-1.0, 0.0)]


def test_only_tracks_that_missed_a_frame_are_recovered_by_place(boxes_at) -> None:
    missed, just_seen = standing([(0.0, 0.0)], unseen_s=1.0), standing([(0.0, 0.0)])
    wide = settings(recovery_gate_scale=1.5)
    inside, outside = boxes_at([(4.4, 0.0)]), boxes_at([(4.6, 0.0)])
    assert taken(missed, inside, wide)
    assert not taken(missed, outside, wide)
    assert not taken(missed, inside, settings())
    assert not taken(just_seen, inside, wide)
    metres = settings(recovery_gate_scale=1.5, gate_sigmas=100.0)
    assert taken(missed, boxes_at([(5.9, 0.0)]), metres)
    assert not taken(missed, boxes_at([(6.1, 0.0)]), metres)


def test_a_box_inside_the_body_of_a_track_that_took_none_is_its_own(boxes_at) -> None:
    """However sure the gates are: bodies of 4.5 m by 1.9 m, gates of 0.3 m and 0.45 m."""
    sure = settings(recovery_gate_scale=1.5, gate_sigmas=0.3)
    inside, ahead, aside = ([place] for place in ((2.2, 0.9), (2.3, 0.0), (0.0, 1.0)))
    along_x = standing([(0.0, 0.0)])
    assert taken(along_x, boxes_at(inside), sure)
    assert not taken(along_x, boxes_at(ahead), sure) and not taken(along_x, boxes_at(aside), sure)
    along_y = standing([(0.0, 0.0)])
    along_y.mean[:, 4] = np.pi / 2
    assert taken(along_y, boxes_at([(-0.9, 2.2)]), sure) and not taken(along_y, boxes_at(inside), sure)
    assert not taken(along_x, boxes_at(inside), settings(gate_sigmas=0.3)), "nothing is recovered"
    assert not taken(standing([(0.0, 0.0)], unseen_s=1.2, observed_s=[0.0]), boxes_at(inside), sure), "asleep"
    assert partners(along_x, boxes_at([(0.1, 0.0), (1.0, 0.0)]), sure) == [(0.1, 0.0)], "it has its box"


def test_a_track_of_one_box_reaches_farther_for_what_is_probably_true(boxes_at, known) -> None:
    metres = settings(gate_sigmas=100.0, newborn_gate_scale=2.0)

    def reaches(track: Tracks, x_m: float, score: float, config: TrackerConfig = metres) -> bool:
        boxes = boxes_at([(x_m, 0.0)], score=np.array([score]))
        return partners(track, boxes, config, calibration=known) != [None]

    newborn, doubtful = (standing([(0.0, 0.0)], hits=[1], last_log_odds=[value]) for value in (2.0, 0.5))
    older = standing([(0.0, 0.0)], hits=[2], last_log_odds=[2.0])
    assert reaches(newborn, 7.9, 0.9) and not reaches(newborn, 8.1, 0.9)
    assert not reaches(newborn, 7.9, 0.5), "clutter is everywhere"
    assert not reaches(doubtful, 7.9, 0.9) and not reaches(older, 7.9, 0.9)
    assert reaches(doubtful, 3.9, 0.9) and reaches(older, 3.9, 0.5)
    assert not reaches(newborn, 7.9, 0.9, settings(newborn_gate_scale=2.0)), "the gate in standard deviations stays"
    assert not reaches(newborn, 7.9, 0.9, settings(gate_sigmas=100.0, newborn_gate_scale=1.0))


def test_recovery_by_query_comes_before_recovery_by_place(boxes_at) -> None:
    tracks = standing([(0.0, 0.0)], unseen_s=1.0, query_id=[5])
    boxes = queried(boxes_at, [(4.4, 0.0), (-3.1, 0.0)], [5, -1])
    wide = settings(recovery_gate_scale=1.5)
    assert partners(tracks, boxes, wide) == [(4.4, 0.0)]
    assert partners(standing([(0.0, 0.0)], query_id=[5]), boxes, wide) == [(4.4, 0.0)]
    assert partners(tracks, boxes.replace(query_id=None), wide) == [(-3.1, 0.0)]


def test_dormant_tracks_return_by_their_query_alone(boxes_at) -> None:
    """Observed for no time at all, a track takes boxes by its place for 0.6 s that end with the frame before."""
    wide = settings(recovery_gate_scale=1.5)
    for unseen_s, by_place in ((1.0, True), (1.2, False)):
        tracks = standing([(0.0, 0.0)], unseen_s=unseen_s, observed_s=[0.0], query_id=[5])
        assert taken(tracks, boxes_at([(0.0, 0.0)]), wide) == by_place
        assert taken(tracks, boxes_at([(3.5, 0.0)]), wide) == by_place
        assert taken(tracks, boxes_at([(0.0, 0.0)], score=np.array([0.1])), wide) == by_place
        assert taken(tracks, queried(boxes_at, [(0.0, 0.0)], [5]), wide)
        assert taken(tracks, queried(boxes_at, [(0.0, 0.0)], [5]), settings(recovery_gate_scale=0.9))
    supported = standing([(0.0, 0.0)], unseen_s=1.2, observed_s=[0.0], supported_us=[NOW_US - 600_000])
    assert taken(supported, boxes_at([(0.0, 0.0)]), wide)


def test_optimal_and_greedy_assignment(boxes_at) -> None:
    tracks = standing([(0.0, 0.0), (2.0, 0.0)])
    boxes = boxes_at([(1.2, 0.0), (-2.5, 0.0)])
    assert partners(tracks, boxes, settings()) == [(-2.5, 0.0), (1.2, 0.0)]
    nearer_to_first = boxes_at([(0.9, 0.0), (-2.5, 0.0)])
    assert partners(tracks, nearer_to_first, settings(assignment="greedy")) == [(0.9, 0.0), None]
    assert partners(tracks, nearer_to_first, settings()) == [(-2.5, 0.0), (0.9, 0.0)]


def test_nobody_there(boxes_at) -> None:
    assert partners(standing([]), boxes_at([(0.0, 0.0)]), settings(recovery_gate_scale=1.5)) == []
    assert partners(standing([(0.0, 0.0)]), Boxes3D.empty(), settings(recovery_gate_scale=1.5)) == [None]
