"""A simulated detector that errs like a camera detector."""

from pathlib import Path

import numpy as np
import pytest

from evaluation.analysis.query_identity import query_steps
from scenes import (
    CAMERA_META,
    DETECTION_CLASSES,
    NO_QUERY,
    Boxes3D,
    Results,
    Scene,
    read_detections,
    read_scenes,
    write_detections,
)
from scenes.city.simulated_detector import DetectorNoise, simulate_detections
from scenes.result_format import MAX_BOXES_PER_SAMPLE
from scenes.scene import Frame


def same(first: Boxes3D, second: Boxes3D) -> bool:
    columns = ("center_m", "size_wlh_m", "rotation", "velocity_mps", "label", "score", "query_id", "attribute")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in columns)


def matched(frame: Frame, boxes: Boxes3D, reach_m: float = 4.0) -> list[tuple[int, int]]:
    """Pairs of an annotation and the best-scored free box of its class within reach, best first."""
    truth = frame.annotations.boxes
    free = np.ones(len(truth), dtype=np.bool_)
    pairs = []
    for index in range(len(boxes)):
        distance = np.linalg.norm(truth.center_m[:, :2] - boxes.center_m[index, :2], axis=1)
        allowed = free & (truth.label == boxes.label[index]) & (distance < reach_m)
        if allowed.any():
            nearest = int(np.flatnonzero(allowed)[distance[allowed].argmin()])
            free[nearest] = False
            pairs.append((nearest, index))
    return pairs


def is_alone(truth: Boxes3D, index: int) -> bool:
    """Whether no other object of the class is near: which box belongs to it is beyond doubt."""
    distance = np.linalg.norm(truth.center_m[:, :2] - truth.center_m[index, :2], axis=1)
    return bool(((distance < 5.0) & (truth.label == truth.label[index])).sum() == 1)


@pytest.fixture(scope="module")
def detections(plain_scenes: list[Scene]) -> Results:
    return simulate_detections(plain_scenes)


def frames_of(scenes: list[Scene]) -> list[Frame]:
    return [frame for scene in scenes for frame in scene.frames]


def test_same_seed_same_boxes_in_any_order_of_scenes(plain_scenes: list[Scene], detections: Results) -> None:
    again = simulate_detections(plain_scenes[::-1])
    assert again.boxes.keys() == detections.boxes.keys()
    assert all(same(boxes, again.boxes[token]) for token, boxes in detections.boxes.items())
    other = simulate_detections(plain_scenes[:1], seed=1)
    assert not any(same(boxes, detections.boxes[token]) for token, boxes in other.boxes.items())


def test_every_frame_has_plausible_boxes_best_first(plain_scenes: list[Scene], detections: Results) -> None:
    counts = []
    for frame in frames_of(plain_scenes):
        boxes = detections.boxes[frame.token]
        counts.append(len(boxes))
        numbers = np.column_stack([boxes.center_m, boxes.size_wlh_m, boxes.rotation, boxes.velocity_mps, boxes.score])
        assert np.isfinite(numbers).all()
        assert (boxes.size_wlh_m > 0).all()
        assert ((boxes.score > 0) & (boxes.score < 1)).all()
        assert (np.diff(boxes.score) <= 0).all()
        assert len(boxes) <= MAX_BOXES_PER_SAMPLE
    assert 40 < np.mean(counts) < 120


def test_queries_are_named_once_a_frame(detections: Results) -> None:
    for boxes in detections.boxes.values():
        assert NO_QUERY not in boxes.query_id
        assert len(set(boxes.query_id.tolist())) == len(boxes)


def test_queries_usually_stay_with_their_object(plain_scenes: list[Scene], detections: Results) -> None:
    kept = compared = 0
    for scene in plain_scenes:
        before: dict[str, int] = {}
        for frame in scene.frames:
            boxes = detections.boxes[frame.token]
            pairs = matched(frame, boxes, reach_m=2.0)
            truth = frame.annotations.boxes
            names = {str(truth.track_id[a]): int(boxes.query_id[b]) for a, b in pairs if is_alone(truth, a)}
            both = names.keys() & before.keys()
            compared += len(both)
            kept += sum(names[name] == before[name] for name in both)
            before = names
    assert compared > 300
    assert 0.88 < kept / compared < 0.97


def test_range_error_grows_with_range_and_lies_along_the_ray(plain_scenes: list[Scene], detections: Results) -> None:
    ranges, along, across = [], [], []
    for frame in frames_of(plain_scenes):
        boxes, eye = detections.boxes[frame.token], frame.global_from_ego[:2, 3]
        for a, b in matched(frame, boxes):
            offset = frame.annotations.boxes.center_m[a, :2] - eye
            distance = np.linalg.norm(offset)
            ray = offset / distance
            error = boxes.center_m[b, :2] - frame.annotations.boxes.center_m[a, :2]
            ranges.append(distance)
            along.append(abs(error @ ray))
            across.append(abs(error @ np.array([-ray[1], ray[0]])))
    ranges, along, across = np.array(ranges), np.array(along), np.array(across)
    near, far = ranges < 15.0, ranges > 30.0
    assert np.median(along[far]) > 1.7 * np.median(along[near])
    assert np.median(along) > 2.0 * np.median(across)
    assert 0.01 < np.median(along[near] / ranges[near]) < 0.08


def test_far_and_hidden_objects_are_missed_more_often(plain_scenes: list[Scene], detections: Results) -> None:
    found: dict[str, list[bool]] = {"near": [], "far": [], "clear": [], "hidden": []}
    for frame in frames_of(plain_scenes):
        annotations = frame.annotations
        hit = {a for a, _ in matched(frame, detections.boxes[frame.token])}
        distance = np.linalg.norm(annotations.boxes.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1)
        for index in np.flatnonzero(distance < 50.0).tolist():
            found["near" if distance[index] < 20.0 else "far"].append(index in hit)
            if distance[index] < 30.0 and annotations.visibility[index] in (1, 4):
                found["clear" if annotations.visibility[index] == 4 else "hidden"].append(index in hit)
    share = {name: np.mean(values) for name, values in found.items()}
    assert share["near"] > share["far"] + 0.1
    assert share["clear"] > share["hidden"] + 0.2
    assert share["clear"] > 0.85


def test_scores_tell_good_boxes_from_bad_but_not_surely(plain_scenes: list[Scene], detections: Results) -> None:
    good, bad = [], []
    for frame in frames_of(plain_scenes):
        boxes = detections.boxes[frame.token]
        true = {b for _, b in matched(frame, boxes, reach_m=2.0)}
        for index, score in enumerate(boxes.score.tolist()):
            (good if index in true else bad).append(score)
    assert np.mean(good) > np.mean(bad) + 0.2
    assert np.mean(np.array(bad) > np.median(good)) > 0.01
    assert np.percentile(np.concatenate([good, bad]), 30) < 0.15


def test_less_noise_means_better_boxes(plain_scenes: list[Scene], detections: Results) -> None:
    quiet = simulate_detections(plain_scenes[:2], DetectorNoise(range_error=0.005, clutter_births=0.0, flicker=0.0))

    def errors(results: Results) -> list[float]:
        return [
            float(np.linalg.norm(results.boxes[f.token].center_m[b, :2] - f.annotations.boxes.center_m[a, :2]))
            for f in frames_of(plain_scenes[:2])
            for a, b in matched(f, results.boxes[f.token])
        ]

    assert np.median(errors(quiet)) < 0.5 * np.median(errors(detections))


def test_attributes_fit_their_classes(detections: Results) -> None:
    family = {
        "pedestrian": "pedestrian.",
        "bicycle": "cycle.",
        "motorcycle": "cycle.",
        "barrier": "",
        "traffic_cone": "",
    }
    for boxes in detections.boxes.values():
        for label, attribute in zip(boxes.label.tolist(), boxes.attribute.tolist(), strict=True):
            prefix = family.get(DETECTION_CLASSES[label], "vehicle.")
            assert attribute.startswith(prefix)
            assert bool(attribute) == bool(prefix)


def test_file_is_read_back_without_complaint(detections: Results, tmp_path: Path) -> None:
    write_detections(tmp_path / "detections.json", detections)
    again = read_detections(tmp_path / "detections.json")
    assert again.meta == CAMERA_META
    assert all(same(boxes, again.boxes[token]) for token, boxes in detections.boxes.items())


def test_works_on_real_scenes(mini_val: Path) -> None:
    scenes = read_scenes(mini_val, "v1.0-mini")
    results = simulate_detections(scenes)
    assert len(results.boxes) == sum(len(scene.frames) for scene in scenes)
    assert 40 < np.mean([len(boxes) for boxes in results.boxes.values()]) < 150


def test_scene_without_annotations_is_refused(plain_scenes: list[Scene]) -> None:
    frame = plain_scenes[0].frames[0]
    bare = Frame(frame.token, frame.timestamp_us, frame.global_from_ego, frame.ego_from_lidar, frame.cameras, None)
    scene = Scene("t", "n", "", "", (bare,))
    with pytest.raises(ValueError, match="no annotations"):
        simulate_detections([scene])


def test_the_simulated_detector_errs_in_the_published_proportions(plain_scenes: list[Scene]) -> None:
    """Half of the changes are swaps, nine in ten of these within 3 m; beyond 40 m identities jump."""
    steps = query_steps(simulate_detections(plain_scenes), plain_scenes)
    assert 0.4 < steps.share(steps.swapped) < 0.65
    assert steps.near_swaps > 0.8
    assert steps.kept_between(0.0, 40.0) > steps.kept_between(40.0, 60.0) + 0.02
    faithful = DetectorNoise(query_persistence=1.0, query_persistence_far=1.0, query_swap_probability=0.0)
    assert query_steps(simulate_detections(plain_scenes, faithful), plain_scenes).changes < steps.changes
