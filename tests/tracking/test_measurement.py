"""Which boxes are measurements, in which order, and how uncertain."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import LABEL_OF_CLASS, NO_QUERY, Boxes3D
from scenes.geometry import rotation_from_yaw
from tracking.calibration import Calibration
from tracking.class_table import ClassTable
from tracking.config import ClassConfig, MeasurementNoise, TrackerConfig
from tracking.measurement import Measured, measure, ray_covariance
from tracking.score_scale import ScoreScale

SENSOR_XY_M = np.array([1210.0, -840.0])
NOISE = MeasurementNoise(
    along_m=0.5,
    along_per_m=0.05,
    across_m=0.2,
    across_per_m=0.01,
    height_m=0.3,
    size_share=0.1,
    yaw_rad=0.4,
    velocity_mps=1.5,
)
CONFIG = TrackerConfig(noise=NOISE, suppress_duplicates=False)


def measured(boxes: Boxes3D, config: TrackerConfig = CONFIG) -> Measured:
    return measure(boxes, config, ClassTable.from_config(config), Calibration(scale_of(boxes)), SENSOR_XY_M)


def scale_of(boxes: Boxes3D) -> ScoreScale:
    """As if they were all that a detector had ever said."""
    return ScoreScale.unknown().with_frame(boxes.score[np.isfinite(boxes.score)])


def test_measurements_know_which_boxes_they_are(boxes_at) -> None:
    """Whatever is left out, and in whatever order they stand."""
    rng = np.random.default_rng(0)
    boxes = boxes_at(SENSOR_XY_M + rng.uniform(-9.0, 9.0, (30, 2)), score=rng.choice([0.2, 0.6, np.nan], 30))
    for suppress in (True, False):
        found = measured(boxes, TrackerConfig(suppress_duplicates=suppress))
        assert 0 < len(found) < 30 and len(set(found.source.tolist())) == len(found)
        np.testing.assert_array_equal(boxes.center_m[found.source], found.boxes.center_m)
        np.testing.assert_array_equal(boxes.score[found.source], found.boxes.score)


@given(bearing=st.floats(-np.pi, np.pi), range_m=st.floats(0.1, 200.0))
def test_a_place_is_uncertain_along_its_ray_and_across(bearing: float, range_m: float) -> None:
    along = np.array([np.cos(bearing), np.sin(bearing)])
    across = np.array([-along[1], along[0]])
    (cov,) = ray_covariance((SENSOR_XY_M + range_m * along)[None], NOISE, SENSOR_XY_M)
    assert along @ cov @ along == pytest.approx((0.5 + 0.05 * range_m) ** 2, rel=1e-6)
    assert across @ cov @ across == pytest.approx((0.2 + 0.01 * range_m) ** 2, rel=1e-6)
    assert along @ cov @ across == pytest.approx(0.0, abs=1e-6 * range_m)


def test_at_the_sensor_itself_no_direction_is_the_rays() -> None:
    np.testing.assert_allclose(ray_covariance(SENSOR_XY_M[None], NOISE, SENSOR_XY_M), [0.04 * np.eye(2)])


def test_every_number_of_a_box_and_how_uncertain_it_is(boxes_at) -> None:
    boxes = boxes_at(
        [(1230.0, -840.0), (1210.0, -800.0)],
        rotation=rotation_from_yaw([0.5, -2.0]),
        velocity_mps=[[3.0, -1.0], [np.nan, np.nan]],
        size_wlh_m=[[2.0, 5.0, 1.5], [1.0, 4.0, 3.0]],
        score=np.array([0.9, 0.7]),
    )
    found = measured(boxes)
    assert len(found) == 2
    np.testing.assert_allclose(found.planar, [[1230.0, -840.0, 0.5, 3.0, -1.0], [1210.0, -800.0, -2.0, 0.0, 0.0]])
    assert found.has_velocity.tolist() == [True, False]
    np.testing.assert_allclose(found.body, [[1.0, 2.0, 5.0, 1.5], [1.0, 1.0, 4.0, 3.0]])
    np.testing.assert_allclose(found.body_var, [[0.09, 0.04, 0.25, 0.0225], [0.09, 0.01, 0.16, 0.09]])
    np.testing.assert_array_equal(found.log_odds, scale_of(boxes).of(np.array([0.9, 0.7])))
    assert found.log_odds[0] > found.log_odds[1]
    np.testing.assert_allclose(found.probability, 1.0 / (1.0 + np.exp(-found.log_odds)))
    diagonals = [[1.5**2, 0.4**2, 0.16, 2.25, 2.25], [0.6**2, 2.5**2, 0.16, 2.25, 2.25]]
    np.testing.assert_allclose(found.planar_cov, [np.diag(diagonal) for diagonal in diagonals], atol=1e-9)


@pytest.mark.parametrize(
    ("columns", "used"),
    [
        ({}, True),
        ({"center_m": [[np.nan, 0.0, 0.0]]}, False),
        ({"center_m": [[0.0, 0.0, np.inf]]}, False),
        ({"center_m": [[0.0, -1.01e9, 0.0]]}, False),
        ({"center_m": [[0.0, -0.99e9, 0.0]]}, True),
        ({"size_wlh_m": [[1.0, 0.0, 1.0]]}, False),
        ({"size_wlh_m": [[1.0, 1.0, -1.0]]}, False),
        ({"size_wlh_m": [[1e-3, 1.0, 1.0]]}, True),
        ({"size_wlh_m": [[1.0, 1.01e9, 1.0]]}, False),
        ({"rotation": [[0.0, 0.0, 0.0, 0.0]]}, False),
        ({"rotation": [[0.0, 0.0, 0.0, np.nan]]}, False),
        ({"rotation": [[0.0, 0.0, 0.0, -1.0]]}, True),
        ({"rotation": [[0.0, 0.0, 0.0, -1.01e9]]}, False),
        ({"score": [np.nan]}, False),
        ({"label": [-1]}, False),
        ({"label": [10]}, False),
        ({"label": [LABEL_OF_CLASS["barrier"]]}, False),
    ],
)
def test_what_cannot_be_used_is_left_out_and_the_rest_stays(columns: dict, used: bool, boxes_at, caplog) -> None:
    odd = boxes_at([(0.0, 5.0)], **{name: np.array(value) for name, value in columns.items()})
    others = boxes_at([(0.0, 30.0), (0.0, 50.0)], score=np.array([0.7, 0.6]))
    found = measured(Boxes3D.concatenate([odd, others]))
    assert len(found) == 2 + used and found.boxes.center_m[-2:, 1].tolist() == [30.0, 50.0]
    broken = not used and "label" not in columns
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 3 boxes left out: not finite, or of no size" for _ in range(broken)
    ]


def test_each_class_has_its_least_score(boxes_at) -> None:
    classes = {"car": ClassConfig(min_score=0.5), "bus": ClassConfig(min_score=0.2)}
    config = TrackerConfig(suppress_duplicates=False, classes=classes)
    label = np.array([LABEL_OF_CLASS[name] for name in ("car", "car", "bus", "bus", "pedestrian")])
    boxes = boxes_at([(0.0, y) for y in range(0, 50, 10)], label=label, score=np.array([0.5, 0.4, 0.2, 0.1, 0.9]))
    assert measured(boxes, config).boxes.score.tolist() == [0.5, 0.2]


@given(order=st.permutations(range(6)))
def test_best_score_first_and_ties_in_an_order_of_their_own(order: list[int], boxes_at) -> None:
    boxes = boxes_at(
        [(0.0, 0.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (5.0, 1.0)],
        score=np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.7]),
        velocity_mps=[[0.0, 0.0], [1.0, 0.0], [np.nan, np.nan], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]],
        label=np.array([0, 0, 0, 1, 0, 0]),
        query_id=np.array([1, 2, 2, 2, 5, 2]),
    )
    sorted_ = measured(boxes.select(np.array(order))).boxes
    assert sorted_.score.tolist() == [0.9, 0.7, 0.5, 0.5, 0.5, 0.5]
    plain = measured(boxes).boxes
    for name in ("center_m", "velocity_mps", "label", "query_id"):
        np.testing.assert_array_equal(getattr(sorted_, name), getattr(plain, name))
    unnamed = measured(boxes.replace(query_id=None).select(np.array(order))).boxes
    assert unnamed.score.tolist() == sorted_.score.tolist() and unnamed.query_id is None


def test_duplicates_are_left_out_where_that_is_wanted(boxes_at) -> None:
    """A box behind a better one on the viewing ray, and one beside it."""
    places = np.add(SENSOR_XY_M, [(30.0, 0.0), (31.5, 0.0), (30.0, 9.0)])
    boxes = boxes_at(places, score=np.array([0.9, 0.5, 0.4]))
    assert len(measured(boxes)) == 3
    kept = measured(boxes, TrackerConfig(noise=NOISE))
    assert kept.boxes.score.tolist() == [0.9, 0.4]
    np.testing.assert_allclose(kept.planar_cov[:, :2, :2], measured(boxes).planar_cov[[0, 2], :2, :2])


def test_a_query_is_one_object_whatever_classes_it_reports(boxes_at) -> None:
    boxes = boxes_at(
        np.add(SENSOR_XY_M, [(10.0, 0.0), (10.2, 0.0), (40.0, 0.0), (60.0, 0.0), (80.0, 0.0)]),
        score=np.array([0.4, 0.9, 0.5, 0.3, 0.2]),
        label=np.array([LABEL_OF_CLASS["truck"], LABEL_OF_CLASS["bus"], *[LABEL_OF_CLASS["car"]] * 3]),
        query_id=np.array([7, 7, 8, NO_QUERY, NO_QUERY]),
    )
    alone = replace(CONFIG, suppress_duplicates=True)
    assert measured(boxes, alone).source.tolist() == [1, 2, 3, 4]
    assert measured(boxes).source.tolist() == [1, 2, 0, 3, 4]


def test_velocities_that_are_absurd_or_exactly_zero_are_unknown(boxes_at) -> None:
    config = TrackerConfig(suppress_duplicates=False, classes={"car": ClassConfig(max_speed_mps=10.0)})
    velocity = [[6.0, 8.0], [6.1, 8.0], [0.0, 0.0], [1e200, 1e200], [0.0, 1e-3], [np.nan, 1.0], [np.inf, 0.0]]
    boxes = boxes_at([(0.0, 9.0 * y) for y in range(7)], velocity_mps=velocity, score=np.linspace(0.9, 0.3, 7))
    with np.errstate(over="raise", invalid="raise"):  # and nobody is told about arithmetic that cannot be done
        found = measured(boxes, config)
    assert found.has_velocity.tolist() == [True, False, False, False, True, False, False]
    np.testing.assert_array_equal(found.planar[:, 3:], np.where(found.has_velocity[:, None], velocity, 0.0))
