"""Normalised innovations and errors, of worlds that move and are seen exactly as the filter assumes, and of others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from scenes import Annotations, Boxes3D, Frame, Results, Scene
from scenes.geometry import pose_matrix
from tracking import ClassConfig, MeasurementNoise, TrackerConfig
from tracking.class_table import ClassTable
from tracking.consistency import KINDS, Consistency, consistency
from tracking.measurement import ray_covariance

KEY_FRAME_S = 0.5
FRAMES, OBJECTS = 30, 40
EGO = pose_matrix([1210.0, -840.0, 7.5], [1.0, 0.0, 0.0, 0.0])
CONFIG = TrackerConfig(
    learn_noise=False,
    noise=MeasurementNoise(along_m=0.3, along_per_m=0.002, across_m=0.3, across_per_m=0.001),
    gate_sigmas=20.0,
    classes={"car": ClassConfig(gate_m=10.0)},
)
"""Gates cut nothing off, and hardly anything lies farther than 2 m from its object."""


World = Callable[..., tuple[Results, list[Scene]]]


@pytest.fixture
def world(boxes_at) -> World:
    """A drive with cars that drift at walking pace, in a lattice so wide that nobody is mistaken."""

    def make(error_scale: float = 1.0, annotated: bool = True) -> tuple[Results, list[Scene]]:
        rng = np.random.default_rng(5)
        noise, table = CONFIG.noise, ClassTable.from_config(CONFIG)
        acceleration = table.noise[0, 0]
        side = np.arange(8) * 28.0 - 98.0
        place = EGO[:2, 3] + np.column_stack([np.repeat(side, 5), np.tile(side[:5] + 14.0, 8)])
        velocity = rng.normal(0.0, 0.5, (OBJECTS, 2))
        frames, boxes = [], {}
        for index in range(FRAMES):
            pushed = rng.normal(0.0, acceleration, (OBJECTS, 2))
            place = place + KEY_FRAME_S * velocity + 0.5 * KEY_FRAME_S**2 * pushed
            velocity = velocity + KEY_FRAME_S * pushed
            cov = ray_covariance(place, noise, EGO[:2, 3])
            error = np.einsum("nij,nj->ni", np.linalg.cholesky(cov), rng.normal(0.0, 1.0, (OBJECTS, 2)))
            told = velocity + rng.normal(0.0, error_scale * noise.velocity_mps, (OBJECTS, 2))
            token = f"frame{index}"
            boxes[token] = boxes_at(place + error_scale * error, velocity_mps=told, score=np.full(OBJECTS, 0.9))
            ones = np.ones(OBJECTS, dtype=np.int64)
            truth = Annotations(boxes_at(place, velocity_mps=velocity), ones, ones, ones, Boxes3D.empty())
            now_us = round(index * KEY_FRAME_S * 1e6)
            frames.append(Frame(token, now_us, EGO, None, (), truth if annotated else None))
        return Results(boxes), [Scene("drive", "drive", "", "somewhere", tuple(frames))]

    return make


def test_a_filter_is_consistent_in_the_world_that_it_assumes(world: World) -> None:
    """Within 12% of 1 by place and velocity, seen before and after the boxes."""
    found = consistency(*world(), CONFIG)["car"]
    assert {kind: len(of_kind.squared) > 1000 for kind, of_kind in found.items()} == dict.fromkeys(KINDS, True)
    for kind, of_kind in found.items():
        assert of_kind.mean == pytest.approx(1.0, abs=0.12), kind


def test_a_filter_that_believes_bad_boxes_is_overconfident_and_one_that_doubts_good_ones_is_cautious(
    world: World,
) -> None:
    for scale, low, high in ((1.7, 2.0, 4.0), (0.5, 0.1, 0.6)):
        found = consistency(*world(scale), CONFIG)["car"]
        for kind in KINDS[:2]:
            assert low < found[kind].mean < high, (kind, scale)


def test_without_annotations_there_are_innovations_alone(world: World) -> None:
    found = consistency(*world(annotated=False), CONFIG)["car"]
    assert len(found["NIS"].squared) > 1000 and found["NIS"].mean == pytest.approx(1.0, abs=0.12)
    assert [len(found[kind].squared) for kind in KINDS] == [len(found["NIS"].squared), 0, 0]
    assert np.isnan(found["NEES place"].mean) and np.isnan(found["NEES place"].bounds).all()


def test_it_does_not_matter_when_a_drive_begins(world: World) -> None:
    results, (scene,) = world()
    later = replace(
        scene, frames=tuple(replace(frame, timestamp_us=frame.timestamp_us + 10**15) for frame in scene.frames)
    )
    first, second = (consistency(results, [one], CONFIG)["car"]["NIS"].squared for one in (scene, later))
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_classes_are_kept_apart(world: World) -> None:
    found = consistency(*world(), CONFIG)
    assert all(
        len(of_kind.squared) == 0 for name, kinds in found.items() if name != "car" for of_kind in kinds.values()
    )


def test_bounds_are_those_of_chi_square() -> None:
    low, high = Consistency(np.ones(50)).bounds
    assert chi2.cdf(100 * low, 100) == pytest.approx(0.025) and chi2.sf(100 * high, 100) == pytest.approx(0.025)
