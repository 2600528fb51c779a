"""The tracking engine against its rules written out box by box, on small worlds far from the origin.

`test_tracking.py` compares with the devkit, which takes longer. Positions lie on a grid: many distances are equal, and
those between given boxes are exact however they are computed.
"""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from evaluation.engine import matching
from evaluation.engine.clear_events import Count, count_events, match_scores
from evaluation.engine.configuration import DETECTION_CONFIG, TRACKING_CONFIG, range_of_label_m
from evaluation.engine.distance import FUSED_X, FUSED_Y, PLAIN, ProductRounding, expanded_distance, squared_norms
from evaluation.engine.tracked_scenes import (
    GATE_M,
    TrackedClass,
    TrackedScenes,
    match_scenes,
    prepare_tracks,
    tracked_class,
)
from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, NUSCENES, Annotations, Boxes3D, Frame, InputError, Scene
from scenes.geometry import pose_matrix, rotation_from_yaw

RANGE_M = {"car": 50.0, "truck": 50.0, "bicycle": 40.0, "motorcycle": 40.0, "pedestrian": 40.0, "barrier": 0.0}
CLASSES = ("car", "bicycle", "pedestrian")
EGO_XY_M = np.array([1210.0, -840.0])
EGO_ROTATION = rotation_from_yaw(2.1)[0].tolist()


def _in_this_thread(tracked: TrackedScenes, class_: TrackedClass, threshold: float) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return match_scenes(tracked, class_, threshold, executor)


class Box(NamedTuple):
    """What an evaluated box of a track is in the reference."""

    xy_m: tuple[float, float]
    score: float
    track: str
    name: str


# --- worlds ---------------------------------------------------------------------------------------------------------


Rows = list[dict[str, Any]]


@dataclass
class World:
    scenes: list[Scene]
    results: dict[str, Boxes3D]


def boxes_of(rows: Rows) -> Boxes3D:
    columns = {
        name: [row[name] for row in rows] for name in ("xy", "z", "size", "yaw", "velocity", "name", "score", "id")
    }
    return Boxes3D(
        center_m=np.column_stack([np.array(columns["xy"]).reshape(-1, 2), columns["z"]]),
        size_wlh_m=np.array(columns["size"], dtype=np.float64).reshape(-1, 3),
        rotation=rotation_from_yaw(np.array(columns["yaw"])).reshape(-1, 4),
        velocity_mps=np.array(columns["velocity"], dtype=np.float64).reshape(-1, 2),
        label=np.array([LABEL_OF_CLASS[name] for name in columns["name"]], dtype=np.int64),
        score=np.array(columns["score"], dtype=np.float64),
        track_id=np.array(columns["id"], dtype=np.str_),
    )


RACK = {"z": 8.0, "size": [4.1, 2.1, 2.1], "yaw": np.pi / 2}
"""4.1 m wide along x, 2.1 m long along y, 2.1 m high: no place of the grid lies on its surface."""


class Builder:
    """Makes a few short scenes, and tracks for them, that meet every branch of the evaluation.

    Args:
        grid_m: places are multiples of this.
        scores: how many different ones there are.
        faulty: whether identities repeat in a frame, change class, and come back in another scene.
        names: the classes.
    """

    def __init__(self, seed: int, grid_m: float, scores: int, faulty: bool, names: tuple[str, ...]) -> None:
        self.rng = np.random.default_rng(seed)
        self.grid_m, self.scores, self.faulty, self.names = grid_m, scores, faulty, names

    def world(self) -> World:
        built = [self.scene(index) for index in range(2)]
        return World([scene for scene, _ in built], {token: boxes for _, of in built for token, boxes in of.items()})

    def scene(self, scene: int) -> tuple[Scene, dict[str, Boxes3D]]:
        """A scene, and the boxes predicted in it."""
        rng, names = self.rng, self.names
        length = int(rng.choice([1, 3, 7]))
        step_m = 0.5 * rng.integers(0, 3, 2)
        begin_m = EGO_XY_M + 100.0 * scene
        annotated: list[Rows] = [[] for _ in range(length)]
        predicted: list[Rows] = [[] for _ in range(length)]
        for number in range(int(rng.integers(1, 7))):
            name = str(rng.choice(names))
            at_the_bound = begin_m + RANGE_M[name] * np.eye(2)[rng.integers(2)]
            start = at_the_bound if rng.random() < 0.2 else self.near(begin_m, 4.0)
            speed = rng.choice([0.0, 0.5, 1.0], 2)
            places = [start + index * speed for index in range(length)]
            for here, place in zip(annotated, places, strict=True):
                if rng.random() < 0.8:
                    here.append(self.box(place, name, f"{scene}-{number}", 1.0))
            if rng.random() < 0.9:
                self.predict(predicted, f"{number}" if self.faulty else f"{scene}:{number}", places, name)
        if rng.random() < 0.5:
            self.predict(predicted, f"{scene}:ghost", [self.near(begin_m, 4.0)] * length, str(rng.choice(names)))
        rack = self.box(self.near(begin_m, 4.0), "bicycle", "rack", 1.0) | RACK
        racks = boxes_of([rack]).replace(track_id=None) if rng.random() < 0.5 else Boxes3D.empty()
        frames = []
        for index, here in enumerate(annotated):
            lidar, radar = rng.random(len(here)) < 0.9, rng.random(len(here)) < 0.2
            counts = (lidar.astype(np.int64), radar.astype(np.int64), np.full(len(here), 4))
            pose = pose_matrix([*(begin_m + index * step_m), 7.5], EGO_ROTATION)
            now_us = 1_500_000_000_000_000 + 500_000 * index + int(rng.choice([0, 40_000]))
            frames.append(
                Frame(f"{scene}-{index}", now_us, pose, None, (), Annotations(boxes_of(here), *counts, racks))
            )
        results = {frame.token: boxes_of(here) for frame, here in zip(frames, predicted, strict=True)}
        return Scene(f"scene-{scene}", f"scene-{scene}", "", "", tuple(frames)), results

    def near(self, xy: np.ndarray, spread_m: float) -> np.ndarray:
        """On the grid."""
        return np.round((xy + self.rng.uniform(-spread_m, spread_m, 2)) / self.grid_m) * self.grid_m

    def score(self) -> float:
        return float((1 + self.rng.integers(self.scores)) / self.scores)

    def box(self, xy: np.ndarray, name: str, identity: str, score: float) -> dict[str, Any]:
        velocity = self.rng.normal(0.0, 3.0, 2)
        z = self.rng.choice([8.0, 8.0, 12.0])
        return dict(xy=xy, z=z, name=name, id=identity, score=score, size=[1, 2, 1], yaw=0.0, velocity=velocity)

    def predict(self, predicted: list[Rows], identity: str, places: list[np.ndarray], name: str) -> None:
        """A track along places, with gaps, switches and noise."""
        rng = self.rng
        of_track = self.score()
        for here, place in zip(predicted, places, strict=True):
            if rng.random() < 0.25:
                continue
            if rng.random() < 0.12:
                identity += "+"
            for _ in range(2 if self.faulty and rng.random() < 0.2 else 1):
                own = str(rng.choice(self.names)) if self.faulty and rng.random() < 0.1 else name
                xy = self.near(place, 1.5) if rng.random() < 0.5 else place
                here.append(self.box(xy, own, identity, of_track if rng.random() < 0.6 else self.score()))


WORLDS = st.builds(
    Builder,
    seed=st.integers(0, 2**32 - 1),
    grid_m=st.sampled_from([0.25, 0.5, 1.0]),
    scores=st.sampled_from([1, 3, 1000]),
    faulty=st.booleans(),
    names=st.sampled_from([("car",), ("bicycle",), CLASSES]),
).map(Builder.world)


# --- the rules ------------------------------------------------------------------------------------------------------


def evaluated(frame: Frame, boxes: Boxes3D) -> list[int]:
    """Which boxes lie within the range of their class, and are no bicycle in a rack."""
    kept = []
    for index in range(len(boxes)):
        offset = boxes.center_m[index, :2] - frame.global_from_ego[:2, 3]
        name = DETECTION_CLASSES[boxes.label[index]]
        inside = False
        for rack in frame.annotations.bike_racks.center_m:
            inside |= bool((np.abs(boxes.center_m[index] - rack) <= [2.05, 1.05, 1.05]).all())
        if np.hypot(*offset) < RANGE_M[name] and not (inside and name in ("bicycle", "motorcycle")):
            kept.append(index)
    return kept


def tracks_of(scene: Scene, boxes: dict[str, Boxes3D], mean_scores: bool, devkit: bool) -> list[list[Box]]:
    """The boxes of each frame, those in gaps behind the given ones."""
    given: list[list[Box]] = []
    of_track: dict[str, list[tuple[int, Box]]] = defaultdict(list)
    for index, frame in enumerate(scene.frames):
        here = boxes[frame.token]
        given.append([])
        for row in evaluated(frame, here):
            if not mean_scores:
                assert frame.annotations is not None
                if frame.annotations.num_lidar_pts[row] + frame.annotations.num_radar_pts[row] == 0:
                    continue
            xy = tuple(here.center_m[row, :2].tolist())
            box = Box(xy, float(here.score[row]), str(here.track_id[row]), DETECTION_CLASSES[here.label[row]])
            given[index].append(box)
            of_track[box.track].append((index, box))
    mean = {name: float(np.mean([box.score for _, box in rows])) for name, rows in of_track.items()}
    if mean_scores:
        given = [[box._replace(score=mean[box.track]) for box in here] for here in given]
    for name, rows in of_track.items():
        for (before, left), (after, right) in pairwise(rows):
            for index in range(before + 1, after):
                times = [scene.frames[i].timestamp_us for i in (before, index, after)]
                near, far = (times[2], times[1]) if devkit else (times[1], times[0])
                weight = (near - far) / (times[2] - times[0])
                xy = tuple((1.0 - weight) * left.xy_m[i] + weight * right.xy_m[i] for i in range(2))
                ends = (mean[name], mean[name]) if mean_scores else (left.score, right.score)
                score = (1.0 - weight) * ends[0] + weight * ends[1]
                given[index].append(Box(xy, score, name, right.name))
    return given


Outcome = tuple[int | None, bool, float]
"""Of an annotation: which of the frame's predictions of the class, whether that is a switch, and the distance."""


def expanded_distances_m(truths: list[Box], guesses: list[Box]) -> np.ndarray:
    """(A, P) as the devkit has them: rounding on global coordinates can leave 3e-5 m of a distance of 0."""
    a, b = (np.array([box.xy_m for box in boxes]).reshape(-1, 2) for boxes in (truths, guesses))
    squares: np.ndarray = -2.0 * (a @ b.T) + (a * a).sum(1)[:, None] + (b * b).sum(1)
    return np.sqrt(np.maximum(squares, 0.0))


def matched(annotated: list[list[Box]], predicted: list[list[Box]], threshold: float) -> list[list[Outcome]]:
    """CLEAR MOT matching of one class in one scene."""
    last: dict[str, str] = {}
    outcomes = []
    for truths, guesses in zip(annotated, predicted, strict=True):
        kept = [index for index, guess in enumerate(guesses) if guess.score >= threshold]
        apart = expanded_distances_m(truths, [guesses[index] for index in kept])
        free = list(range(len(kept)))
        partner: list[int | None] = [None] * len(truths)
        for a, truth in enumerate(truths):
            own = [p for p in free if guesses[kept[p]].track == last.get(truth.track)]
            if own and apart[a, own[0]] < GATE_M:
                partner[a] = own[0]
                free.remove(own[0])
        allowed = apart < GATE_M
        for a in range(len(truths)):
            for p in range(len(kept)):
                allowed[a, p] &= partner[a] is None and p in free
        if allowed.any():
            too_much = 2 * min(apart.shape) * (apart[allowed].max() + 1) + 1
            for a, p in zip(*linear_sum_assignment(np.where(allowed, apart, too_much)), strict=True):
                if allowed[a, p]:
                    partner[a] = int(p)
        here: list[Outcome] = []
        for a, truth in enumerate(truths):
            p = partner[a]
            if p is None:
                here.append((None, False, 0.0))
                continue
            now = guesses[kept[p]].track
            here.append((kept[p], last.get(truth.track, now) != now, float(apart[a, p])))
            last[truth.track] = now
        outcomes.append(here)
    return outcomes


def events(annotated: list[list[Box]], predicted: list[list[Box]], threshold: float) -> tuple[dict[Count, int], float]:
    """The events of one class in one scene, counted track by track."""
    count: dict[Count, int] = dict.fromkeys(Count, 0)
    total_m = 0.0
    seen: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for truths, guesses, outcomes in zip(annotated, predicted, matched(annotated, predicted, threshold), strict=True):
        n_kept = sum(guess.score >= threshold for guess in guesses)
        if not truths and not n_kept:
            continue
        for truth, (partner, switched, distance_m) in zip(truths, outcomes, strict=True):
            seen[truth.track].append((count[Count.FRAMES], partner is not None))
            kind = Count.MISSES if partner is None else Count.SWITCHES if switched else Count.MATCHES
            count[kind] += 1
            total_m += distance_m
        count[Count.FALSE_POSITIVES] += n_kept - sum(partner is not None for partner, _, _ in outcomes)
        count[Count.FRAMES] += 1
    for frames in seen.values():
        matches = [frame for frame, hit in frames if hit]
        count[Count.MOSTLY_TRACKED] += len(matches) / len(frames) >= 0.8
        count[Count.MOSTLY_LOST] += len(matches) / len(frames) < 0.2
        if matches:
            first, last = frames[0][0], frames[-1][0]
            gaps = [after - before - 1 for before, after in pairwise(matches)]
            count[Count.MATCHED_TRACKS] += 1
            count[Count.INITIALISATION_FRAMES] += matches[0] - first
            count[Count.LONGEST_GAP_FRAMES] += max(matches[0] - first, *gaps, last - matches[-1], 0)
            word = "".join("m" if hit else " " for _, hit in frames).strip()
            count[Count.FRAGMENTATIONS] += len(word.split()) - 1
    return count, total_m


def of_class(frames: list[list[Box]], name: str) -> list[list[Box]]:
    return [[box for box in here if box.name == name] for here in frames]


# --- comparisons ----------------------------------------------------------------------------------------------------


def reference(world: World, devkit: bool = True) -> list[tuple[list[list[Box]], list[list[Box]]]]:
    """The annotated and the predicted tracks of each scene."""
    truth = {
        frame.token: frame.annotations.boxes for scene in world.scenes for frame in scene.frames if frame.annotations
    }
    return [
        (tracks_of(scene, truth, False, devkit), tracks_of(scene, world.results, True, devkit))
        for scene in world.scenes
    ]


@settings(max_examples=60)
@given(world=WORLDS, devkit=st.booleans())
def test_tracks_are_filtered_scored_and_filled(world: World, devkit: bool) -> None:
    tracked = prepare_tracks(world.results, world.scenes, "devkit" if devkit else "corrected")
    assert tracked.first_frame.tolist() == [0, *np.cumsum([len(scene.frames) for scene in world.scenes])]
    for side, ours in enumerate((tracked.annotated, tracked.predicted)):
        expected = [box for scene in reference(world, devkit) for here in scene[side] for box in here]
        table = ours.table
        assert len(table) == len(expected)
        frame_of = [frame for frame, here in enumerate(_frames(world, side, devkit)) for _ in here]
        assert table.frame.tolist() == frame_of
        assert [DETECTION_CLASSES[label] for label in table.label] == [box.name for box in expected]
        np.testing.assert_allclose(table.xy_m, np.array([box.xy_m for box in expected]).reshape(-1, 2), atol=1e-9)
        np.testing.assert_allclose(table.score, [box.score for box in expected], rtol=1e-14)
        # A number a track, in the order of appearance, scene after scene.
        names = [
            (tracked.first_frame.searchsorted(f, "right"), b.track) for f, b in zip(frame_of, expected, strict=True)
        ]
        number = {name: place for place, name in enumerate(dict.fromkeys(_appearance(ours, tracked)))}
        assert table.track.tolist() == [number[name] for name in names]
        scenes = [scene for scene, _ in number]
        assert ours.first_track.tolist() == [0, *(sum(s <= scene for s in scenes) for scene in (1, 2))]
        assert ours.n_tracks.tolist() == [scenes.count(1), scenes.count(2)]
        # Where the boxes came from.
        given_rows = ~table.filled
        assert (ours.given.frame[table.source[given_rows]] == table.frame[given_rows]).all()
        assert (ours.given.boxes.center_m[table.source[given_rows], :2] == table.xy_m[given_rows]).all()
        identities = ours.given.boxes.track_id
        assert all(identities[source] == name[1] for source, name in zip(table.source, names, strict=True))
        assert (ours.given.frame[table.source[table.filled]] < table.frame[table.filled]).all()
        all_boxes = [
            frame.annotations.boxes if side == 0 else world.results[frame.token]
            for scene in world.scenes
            for frame in scene.frames
        ]
        picked = Boxes3D.concatenate(all_boxes).select(ours.rows)
        assert picked.center_m.tolist() == ours.given.boxes.center_m.tolist()
        assert len(ours.rows) == len(ours.given) == given_rows.sum()


def _frames(world: World, side: int, devkit: bool) -> list[list[Box]]:
    return [here for scene in reference(world, devkit) for here in scene[side]]


def _appearance(ours: Any, tracked: TrackedScenes) -> list[tuple[int, str]]:
    scene = tracked.first_frame.searchsorted(ours.given.frame, "right").tolist()
    identities = ours.given.boxes.track_id
    return list(zip(scene, [] if identities is None else identities.tolist(), strict=True))


@settings(max_examples=150)
@given(world=WORLDS)
def test_matches_and_events_are_those_of_the_rules(world: World) -> None:
    tracked = prepare_tracks(world.results, world.scenes)
    scenes = reference(world)
    for name in CLASSES:
        class_ = tracked_class(tracked, name)
        parts = [(of_class(annotated, name), of_class(predicted, name)) for annotated, predicted in scenes]
        scores = sorted({box.score for _, predicted in parts for here in predicted for box in here})
        thresholds = [-np.inf, *scores[:: max(1, len(scores) // 3)], 1.5]
        found, total_m = count_events(
            class_.annotated,
            class_.predicted,
            class_.pairs,
            tracked.first_frame,
            tracked.annotated.n_tracks,
            tracked.predicted.n_tracks,
            np.array(thresholds),
            GATE_M,
        )
        for index, threshold in enumerate(thresholds):
            expected = [events(*part, threshold) for part in parts]
            assert found[index].tolist() == [sum(count[column] for count, _ in expected) for column in Count]
            assert total_m[index] == pytest.approx(sum(metres for _, metres in expected), abs=1e-6)
            ours = _in_this_thread(tracked, class_, threshold)
            for (annotated, predicted), (partner, switched, distance_m) in zip(parts, ours, strict=True):
                outcomes = [outcome for here in matched(annotated, predicted, threshold) for outcome in here]
                assert switched.tolist() == [outcome[1] for outcome in outcomes]
                np.testing.assert_allclose(distance_m, [outcome[2] for outcome in outcomes], atol=1e-6)
                guesses = [
                    None if outcome[0] is None else predicted[frame][outcome[0]]
                    for frame, here in enumerate(matched(annotated, predicted, threshold))
                    for outcome in here
                ]
                assert [place < 0 for place in partner] == [guess is None for guess in guesses]
                for place, guess in zip(partner, guesses, strict=True):
                    if guess is not None:
                        np.testing.assert_allclose(class_.predicted.xy_m[place], guess.xy_m, atol=1e-9)
                        row = class_.predicted.row[place]
                        assert tracked.predicted.table.label[row] == class_.label == LABEL_OF_CLASS[name]
                        assert (tracked.predicted.table.xy_m[row] == class_.predicted.xy_m[place]).all()


@settings(max_examples=100)
@given(world=WORLDS)
def test_scores_of_matches_are_those_of_the_rules(world: World) -> None:
    """A track that matches with one of several boxes in a frame counts with each."""
    tracked = prepare_tracks(world.results, world.scenes)
    for name in CLASSES:
        class_ = tracked_class(tracked, name)
        found = match_scores(class_.predicted, _in_this_thread(tracked, class_, -np.inf))
        expected = []
        for annotated, predicted in reference(world):
            guesses = of_class(predicted, name)
            outcomes = matched(of_class(annotated, name), guesses, -np.inf)
            for here, of_frame in zip(guesses, outcomes, strict=True):
                names = {
                    here[partner].track for partner, switched, _ in of_frame if partner is not None and not switched
                }
                expected += [box.score for box in here if box.track in names]
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def car_at(*places_m: float, name: str = "car") -> Boxes3D:
    """One car after the other along x."""
    rows = [
        dict(
            xy=EGO_XY_M + np.array([x_m, 0.0]),
            z=8.0,
            name=name,
            id="a",
            score=1.0,
            size=[1, 2, 1],
            yaw=0.0,
            velocity=[0, 0],
        )
        for x_m in places_m
    ]
    return boxes_of(rows)


def scene_of(frames: list[Boxes3D], times_us: list[int]) -> Scene:
    """The ego stands; every box was hit by a point."""
    ones = [np.ones(len(boxes), dtype=np.int64) for boxes in frames]
    pose = pose_matrix([*EGO_XY_M, 7.5], EGO_ROTATION)
    rows = enumerate(zip(frames, times_us, ones, strict=True))
    return Scene(
        "token",
        "city-7",
        "",
        "",
        tuple(
            Frame(f"f{index}", now_us, pose, None, (), Annotations(boxes, hit, hit, 4 * hit, Boxes3D.empty()))
            for index, (boxes, now_us, hit) in rows
        ),
    )


def nothing(scene: Scene) -> dict[str, Boxes3D]:
    return {frame.token: Boxes3D.empty() for frame in scene.frames}


def test_an_instance_that_is_annotated_twice_is_refused() -> None:
    scene = scene_of([car_at(3.0), car_at(5.0, 6.0), car_at(7.0)], [0, 500_000, 1_000_000])
    with pytest.raises(InputError, match=r"^sample 'f1': an instance is annotated more than once$"):
        prepare_tracks(nothing(scene), [scene])


@pytest.mark.parametrize("times_us", [[0, 500_000, 500_000], [0, 500_000, 400_000]])
def test_time_that_does_not_increase_is_refused(times_us: list[int]) -> None:
    scene = scene_of([car_at(3.0)] * 3, times_us)
    with pytest.raises(InputError, match=r"^scene 'city-7': time does not increase from sample 'f1' to 'f2'; tracks"):
        prepare_tracks(nothing(scene), [scene])


def test_a_scene_without_annotations_is_refused() -> None:
    scene = scene_of([car_at(3.0)], [0])
    bare = replace(scene, frames=(replace(scene.frames[0], annotations=None),))
    with pytest.raises(ValueError, match=r"^sample 'f0' has no annotations$"):
        prepare_tracks(nothing(bare), [bare])


@pytest.mark.parametrize("name", ["bicycle", "motorcycle", "car"])
@pytest.mark.parametrize(
    ("offset_m", "inside"),
    [
        *(((2.0, 0.0, 0.0), True), ((-2.0, -1.0, 3.0), True), ((0.0, 1.0, -3.0), True)),
        *(((2.25, 0.0, 0.0), False), ((0.0, -1.25, 0.0), False), ((0.0, 0.0, 3.25), False), ((0.0, 0.0, -3.25), False)),
    ],
)
def test_what_stands_in_a_bike_rack_or_on_its_surface_is_left_out(
    name: str, offset_m: tuple[float, float, float], inside: bool
) -> None:
    """A rack 4 m long, 2 m wide and 6 m high, the second of two; only its own frame's boxes stand in it."""
    rack = car_at(5.0).replace(size_wlh_m=[[2.0, 4.0, 6.0]], track_id=None)
    box = car_at(5.0, name=name)
    box = box.replace(center_m=box.center_m + np.array(offset_m))
    scene = scene_of([car_at(), box, box], [0, 500_000, 1_000_000])
    racks = Boxes3D.concatenate([car_at(30.0).replace(track_id=None), rack])
    first, second, third = scene.frames
    annotations = replace(second.annotations, bike_racks=racks)
    scene = replace(scene, frames=(first, replace(second, annotations=annotations), third))
    table = prepare_tracks({frame.token: box for frame in scene.frames}, [scene])
    left_out = inside and name != "car"
    assert table.annotated.given.frame.tolist() == ([2] if left_out else [1, 2])
    assert table.predicted.given.frame.tolist() == ([0, 2] if left_out else [0, 1, 2])


@pytest.mark.parametrize(("first_m", "kept"), [(10.0, False), (1.0, True)])
def test_of_a_track_that_is_twice_in_a_frame_the_first_box_keeps_its_object_or_none(first_m: float, kept: bool) -> None:
    """The other one is nearer than the gate, yet a stranger who is nearer still is taken."""
    scene = scene_of([car_at(0.0), car_at(0.0)], [0, 500_000])
    again = car_at(first_m, 1.5, 0.5).replace(track_id=np.array(["mine", "mine", "other"]))
    results = {"f0": car_at(0.0).replace(track_id=np.array(["mine"])), "f1": again}
    tracked = prepare_tracks(results, [scene])
    ((partner, switched, distance_m),) = _in_this_thread(tracked, tracked_class(tracked, "car"), 0.0)
    assert partner.tolist() == [0, 1 if kept else 3]
    assert switched.tolist() == [False, not kept]
    np.testing.assert_allclose(distance_m, [0.0, first_m if kept else 0.5], atol=1e-6)


def test_what_stands_before_in_the_frame_hides_nothing_of_another_track() -> None:
    scene = scene_of([car_at(0.0), car_at(0.0)], [0, 500_000])
    again = car_at(0.5, 1.0, 1.5).replace(track_id=np.array(["other", "mine", "mine"]))
    results = {"f0": car_at(0.0).replace(track_id=np.array(["mine"])), "f1": again}
    tracked = prepare_tracks(results, [scene])
    ((partner, switched, _),) = _in_this_thread(tracked, tracked_class(tracked, "car"), 0.0)
    assert partner.tolist() == [0, 2] and not switched.any()


# The gate is at no multiple of 0.3 m.
_PLACES_M = st.lists(st.integers(-10, 10).map(lambda step: 0.3 * step), min_size=1, max_size=6)


@settings(max_examples=200)
@given(annotated=_PLACES_M, predicted=_PLACES_M)
def test_crowds_are_matched_as_many_as_possible_at_least_distance(
    annotated: list[float], predicted: list[float]
) -> None:
    """Along a line, against scipy, with 1000 m for leaving a pair apart."""
    objects, boxes = (
        car_at(*places).replace(track_id=np.arange(len(places)).astype(np.str_)) for places in (annotated, predicted)
    )
    scene = scene_of([objects], [0])
    tracked = prepare_tracks({"f0": boxes}, [scene])
    ((partner, _, distance_m),) = _in_this_thread(tracked, tracked_class(tracked, "car"), 0.0)
    apart_m = np.abs(np.subtract.outer(annotated, predicted))
    cost = np.where(apart_m < GATE_M, apart_m, 1000.0)
    rows, columns = linear_sum_assignment(cost)
    formed = cost[rows, columns] < 1000.0
    assert np.count_nonzero(partner >= 0) == np.count_nonzero(formed)
    assert np.nansum(distance_m[partner >= 0]) == pytest.approx(cost[rows, columns][formed].sum(), abs=1e-4)


@pytest.mark.parametrize("places", [*permutations((1.0, -1.5, 0.5)), *permutations((1.0, -1.0, 0.5)), (1.0, -1.0)])
def test_the_nearest_of_several_boxes_is_taken(places: tuple[float, ...]) -> None:
    """Of equally near ones the one that scipy takes."""
    scene = scene_of([car_at(0.0)], [0])
    guesses = car_at(*places).replace(track_id=np.array([str(place) for place in places]))
    tracked = prepare_tracks({"f0": guesses}, [scene])
    ((partner, _, _),) = _in_this_thread(tracked, tracked_class(tracked, "car"), 0.0)
    assert partner.tolist() == linear_sum_assignment(np.abs([places]))[1].tolist()


def test_ranges_of_the_classes() -> None:
    """Classes that are not tracked have none."""
    assert (
        range_of_label_m(TRACKING_CONFIG, NUSCENES).dtype
        == range_of_label_m(DETECTION_CONFIG, NUSCENES).dtype
        == np.float64
    )
    for name, range_m in zip(DETECTION_CLASSES, range_of_label_m(TRACKING_CONFIG, NUSCENES), strict=True):
        assert range_m == TRACKING_CONFIG["class_range"].get(name, 0.0)
    in_file_order = [DETECTION_CONFIG["class_range"][name] for name in DETECTION_CLASSES]
    assert range_of_label_m(DETECTION_CONFIG, NUSCENES).tolist() == in_file_order


def test_no_scenes_no_tracks() -> None:
    tracked = prepare_tracks({}, [])
    assert tracked.first_frame.tolist() == [0] and len(tracked.annotated.table) == len(tracked.predicted.table) == 0
    assert _in_this_thread(tracked, tracked_class(tracked, "car"), 0.0) == []


def test_a_velocity_in_a_gap_lies_between() -> None:
    frames = [car_at(0.0).replace(velocity_mps=[[4.0, 8.0]]), car_at(), car_at(2.0).replace(velocity_mps=[[0.0, -8.0]])]
    scene = scene_of(frames, [0, 100_000, 400_000])
    table = prepare_tracks(nothing(scene), [scene], "corrected").annotated.table
    assert table.filled.tolist() == [False, True, False]
    np.testing.assert_allclose(table.velocity_mps, [[4.0, 8.0], [3.0, 4.0], [0.0, -8.0]])
    np.testing.assert_allclose(table.xy_m[1] - EGO_XY_M, [0.5, 0.0])


@pytest.mark.parametrize(
    ("annotated", "kept", "left_out", "expected"),
    [
        *((1, 1, left_out, "single") for left_out in range(3)),
        *((1, 2, left_out, "vector") for left_out in range(2)),
        *((2, 1, left_out, "vector") for left_out in range(2)),
        *((2, 2, left_out, "matrix") for left_out in range(2)),
        *((3, 1, 0, "vector"), (1, 3, 0, "vector"), (3, 2, 0, "matrix"), (2, 3, 1, "matrix")),
    ],
)
def test_distances_are_rounded_as_the_boxes_at_the_threshold_ask(
    annotated: int, kept: int, left_out: int, expected: str
) -> None:
    """One box on exactly one side makes a product with a vector, one on both a product of numbers."""
    places = 5.0 * np.arange(max(annotated, kept) + left_out)
    identities = np.array([str(place) for place in places], dtype=np.str_)
    truth = car_at(*places[:annotated]).replace(track_id=identities[:annotated])
    guesses = car_at(*places[: kept + left_out]).replace(track_id=identities[: kept + left_out])
    scores = np.where(np.arange(len(guesses)) < kept, 0.9, 0.1)
    scene = scene_of([truth], [0])
    tracked = prepare_tracks({"f0": guesses.replace(score=scores)}, [scene])
    class_ = tracked_class(tracked, "car")
    count = len(class_.pairs.prediction)
    marks = {"matrix_m": 0.25, "vector_m": 0.5, "single_m": 0.75}
    told_apart = class_.pairs._replace(**{name: np.full(count, mark) for name, mark in marks.items()})
    ((partner, _, distance_m),) = _in_this_thread(tracked, replace(class_, pairs=told_apart), 0.5)
    assert distance_m[partner >= 0].tolist() == [marks[f"{expected}_m"]] * min(annotated, kept)


@pytest.mark.parametrize("roundings", list(permutations((PLAIN, FUSED_Y, FUSED_X))))
def test_each_distance_has_the_rounding_of_its_product(
    roundings: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the linear algebra of this machine does."""
    monkeypatch.setattr(matching, "product_rounding", lambda: ProductRounding(*roundings, norm=PLAIN))
    rng = np.random.default_rng(0)
    offsets = rng.uniform(0.0, 1.0, 40)
    scene = scene_of([car_at(*offsets[:20]).replace(track_id=np.arange(20).astype(np.str_))], [0])
    guesses = car_at(*offsets[20:]).replace(track_id=np.arange(20).astype(np.str_))
    class_ = tracked_class(prepare_tracks({"f0": guesses}, [scene]), "car")
    assert len(class_.pairs.prediction) == 400
    pairs = class_.pairs
    for rounding, found in zip(roundings, (pairs.matrix_m, pairs.vector_m, pairs.single_m), strict=True):
        boxes = [list(zip(of.xy_m, squared_norms(of.xy_m), strict=True)) for of in (class_.annotated, class_.predicted)]
        expected = [expanded_distance(a, p, aa, pp, rounding) for a, aa in boxes[0] for p, pp in boxes[1]]
        np.testing.assert_array_equal(found, expected)
