"""Traffic that moves like traffic."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from shapely import STRtree
from shapely.geometry import Polygon

from scenes import DETECTION_CLASSES, Boxes3D, Scene
from scenes.city.catalog import KINDS, Activity
from scenes.city.life.simulation import Drive, simulate_drive
from scenes.city.town import Town, build_town
from scenes.geometry import FloatArray, rotation_from_yaw, wrap_angle

DURATION_S = 15.0
MOMENTS_S = np.arange(0.0, DURATION_S + 0.1, 0.5)


@pytest.fixture(scope="module")
def drives() -> list[Drive]:
    return [simulate_drive(build_town(11, seed % 2), DURATION_S, np.random.default_rng(seed)) for seed in range(4)]


def footprints(drive: Drive, time_s: float, shrunk: float = 0.97) -> list[Polygon]:
    """Outlines of all vehicles, a little smaller than their boxes."""
    state = drive.cast.at(time_s)
    vehicles = vehicles_of(drive)
    count = int(vehicles.sum())
    boxes = Boxes3D(
        center_m=state.center_m[vehicles],
        size_wlh_m=shrunk * drive.cast.size_wlh_m[vehicles],
        rotation=rotation_from_yaw(state.yaw_rad[vehicles]),
        velocity_mps=np.zeros((count, 2)),
        label=np.zeros(count, dtype=np.int64),
        score=np.ones(count),
    )
    return [Polygon(corners[[0, 1, 5, 4], :2]) for corners in boxes.corners()]


def vehicles_of(drive: Drive) -> np.ndarray:
    return np.array([KINDS[kind].category.startswith("vehicle") for kind in drive.cast.kind])


def driven_of(drive: Drive) -> np.ndarray:
    return np.array([activity in (Activity.DRIVEN, Activity.RIDDEN) for activity in drive.cast.activity])


def steps(drive: Drive) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Velocity (N, 2), mean heading (N,) and change of speed (N,) between neighbouring moments."""
    states = [drive.cast.at(time_s) for time_s in MOMENTS_S.tolist()]
    for before, after in pairwise(states):
        velocity = (after.center_m - before.center_m)[:, :2] / 0.5
        yield velocity, 0.5 * (before.yaw_rad + after.yaw_rad), (after.speed_mps - before.speed_mps) / 0.5


def test_no_two_vehicles_share_ground(drives: list[Drive]) -> None:
    for drive in drives:
        for time_s in MOMENTS_S.tolist():
            outlines = footprints(drive, time_s)
            first, second = STRtree(outlines).query(outlines, predicate="intersects")
            overlaps = [outlines[a].intersection(outlines[b]).area for a, b in zip(first, second, strict=True) if a < b]
            assert max(overlaps, default=0.0) < 0.1


def test_ego_vehicle_touches_nobody(drives: list[Drive]) -> None:
    body = np.array([[3.3, 0.86], [3.3, -0.86], [-0.78, -0.86], [-0.78, 0.86]])
    for drive in drives:
        for time_s in MOMENTS_S.tolist():
            pose = drive.ego.pose_at(time_s)
            ego = Polygon(body @ pose[:2, :2].T + pose[:2, 3])
            assert not any(ego.intersects(outline) for outline in footprints(drive, time_s))


def test_speeds_and_accelerations_are_those_of_a_town(drives: list[Drive]) -> None:
    for drive in drives:
        on_foot = np.array([activity is Activity.ON_FOOT for activity in drive.cast.activity])
        driven = driven_of(drive)
        for velocity, _, acceleration in steps(drive):
            speed = np.linalg.norm(velocity, axis=1)
            assert speed[driven].max() < 16.0
            assert speed[on_foot].max() < 3.0
            assert np.abs(acceleration[driven]).max() < 7.0


def test_vehicles_go_where_they_point(drives: list[Drive]) -> None:
    compared = 0
    for drive in drives:
        for velocity, heading, _ in steps(drive):
            fast = driven_of(drive) & (np.linalg.norm(velocity, axis=1) > 1.0)
            course = np.arctan2(velocity[fast, 1], velocity[fast, 0])
            assert np.abs(wrap_angle(course - heading[fast])).max() < 0.3
            compared += int(fast.sum())
    assert compared > 1000


def test_everything_happens_in_traffic(drives: list[Drive]) -> None:
    moving, standing, turned = 0, 0, 0
    for drive in drives:
        states = [drive.cast.at(time_s) for time_s in (0.0, DURATION_S)]
        driven = driven_of(drive)
        moving += int((states[1].speed_mps[driven] > 3.0).sum())
        standing += int((states[1].speed_mps[driven] < 0.1).sum())
        turned += int((np.abs(states[1].yaw_rad - states[0].yaw_rad)[driven] > 1.0).sum())
    assert min(moving, standing, turned) > 5, (moving, standing, turned)


def test_people_cross_only_while_the_traffic_waits() -> None:
    town = build_town(11, 0)
    crossed = 0
    for seed in range(2):
        drive = simulate_drive(town, DURATION_S, np.random.default_rng(seed))
        for time_s in MOMENTS_S.tolist():
            crossed += _check_crosswalks(town, drive, time_s)
    assert crossed > 20


def _check_crosswalks(town: Town, drive: Drive, time_s: float) -> int:
    """Count the people on carriageways at crosswalks; none of them is touched by a vehicle."""
    state = drive.cast.at(time_s)
    on_foot = np.array([activity is Activity.ON_FOOT for activity in drive.cast.activity])
    people = state.center_m[on_foot & (state.speed_mps > 0.3), :2]
    middles = np.array([walk.path.at(np.array(0.5 * walk.path.length_m)) for walk in town.graph.crosswalks])
    crossing = people[(np.linalg.norm(people[:, None] - middles[None], axis=2) < 4.0).any(axis=1)]
    outlines = footprints(drive, time_s)
    for person in crossing:
        body = Polygon(person + 0.3 * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]))
        assert not any(body.intersects(outline) for outline in outlines)
    return len(crossing)


def test_classes_come_as_often_as_on_real_streets(plain_scenes: list[Scene]) -> None:
    annotations = [frame.annotations for scene in plain_scenes for frame in scene.frames]
    counts = Counter(DETECTION_CLASSES[label] for part in annotations for label in part.boxes.label.tolist())
    total = sum(counts.values())
    share = {name: counts[name] / total for name in DETECTION_CLASSES}
    assert 25 < total / len(annotations) < 60
    assert 0.3 < share["car"] < 0.6
    assert 0.1 < share["pedestrian"] < 0.35
    assert 0.02 < share["truck"] < 0.15
    assert 0.02 < share["barrier"] + share["traffic_cone"] < 0.3
    rare = ("bus", "trailer", "construction_vehicle", "motorcycle", "bicycle")
    assert all(share[name] < 0.08 for name in rare)


def test_attributes_agree_with_motion(plain_scenes: list[Scene]) -> None:
    seen: Counter[str] = Counter()
    for scene in plain_scenes:
        for frame in scene.frames:
            boxes = frame.annotations.boxes
            speed = np.linalg.norm(boxes.velocity_mps, axis=1)
            for attribute, mps in zip(boxes.attribute.tolist(), speed.tolist(), strict=True):
                seen[attribute] += 1
                if attribute in ("vehicle.parked", "pedestrian.sitting_lying_down", "cycle.without_rider", ""):
                    assert not mps > 0.01
                if attribute == "vehicle.stopped":
                    # The hardest braking, 7 m/s2, over the quarter of a second around the mean of a half.
                    assert not mps > 2.0
    assert {"vehicle.moving", "vehicle.stopped", "vehicle.parked"} <= set(seen)
    assert {"pedestrian.moving", "pedestrian.standing", "cycle.with_rider", "cycle.without_rider"} <= set(seen)
