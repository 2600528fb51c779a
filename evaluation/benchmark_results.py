"""Results to time the evaluation with: annotations, disturbed at random, in the amounts that real detectors write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from scenes import LABEL_OF_CLASS, TRACKING_CLASSES, Boxes3D, Frame, Results, Scene, taxonomy_of
from scenes.geometry import FloatArray, rotation_from_yaw

_POSITION_NOISE_M = 0.6
_MISS_PROBABILITY = 0.25
_SWITCH_PROBABILITY = 0.02
_CLUTTER_RANGE_M = 50.0
_CLUTTER_TRACK_FRAMES = 8


def disturbed_detections(scenes: Sequence[Scene], boxes_per_frame: int, seed: int) -> Results:
    """Detections of every frame: disturbed annotations, filled up with low-scored clutter.

    Args:
        scenes: annotated scenes.
        boxes_per_frame: how many boxes a frame has at least.
        seed: of the disturbance.
    """
    taxonomy_of(scenes).require_nuscenes("the benchmark")
    rng = np.random.default_rng(seed)
    return Results(
        {frame.token: _detections(frame, boxes_per_frame, rng) for scene in scenes for frame in scene.frames}
    )


def disturbed_tracks(scenes: Sequence[Scene], clutter_per_frame: int, seed: int) -> Results:
    """Tracks of every frame: disturbed annotations that are missed, switch identity and lie among false tracks.

    Args:
        scenes: annotated scenes.
        clutter_per_frame: how many boxes of false tracks a frame has.
        seed: of the disturbance.
    """
    taxonomy_of(scenes).require_nuscenes("the benchmark")
    rng = np.random.default_rng(seed)
    return Results({token: boxes for scene in scenes for token, boxes in _tracks(scene, clutter_per_frame, rng)})


def _detections(frame: Frame, boxes_per_frame: int, rng: np.random.Generator) -> Boxes3D:
    found = _disturbed(frame, rng)
    clutter = _clutter(frame, max(boxes_per_frame - len(found), 0), len(LABEL_OF_CLASS), rng)
    return Boxes3D.concatenate([found.replace(track_id=None), clutter])


def _tracks(scene: Scene, clutter_per_frame: int, rng: np.random.Generator) -> Iterator[tuple[str, Boxes3D]]:
    tracked = [LABEL_OF_CLASS[name] for name in TRACKING_CLASSES]
    renamed: dict[str, str] = {}
    score_of: dict[str, float] = {}
    for index, frame in enumerate(scene.frames):
        found = _disturbed(frame, rng)
        found = found.select(np.isin(found.label, tracked))
        assert found.track_id is not None
        for identity in found.track_id[rng.random(len(found)) < _SWITCH_PROBABILITY].tolist():
            renamed[identity] = f"{identity}-{index}"
        names = [renamed.get(identity, identity) for identity in found.track_id.tolist()]
        clutter = _clutter(frame, clutter_per_frame, len(LABEL_OF_CLASS), rng)
        clutter = clutter.replace(label=np.resize(tracked, len(clutter)))
        block = index // _CLUTTER_TRACK_FRAMES
        names += [f"{scene.token}-clutter-{block}-{number}" for number in range(len(clutter))]
        boxes = Boxes3D.concatenate([found.replace(track_id=None), clutter])
        scores = [score_of.setdefault(name, float(score)) for name, score in zip(names, boxes.score, strict=True)]
        yield (
            frame.token,
            boxes.replace(track_id=np.array(names, dtype=np.str_), score=np.array(scores), attribute=None),
        )


def _disturbed(frame: Frame, rng: np.random.Generator) -> Boxes3D:
    assert frame.annotations is not None
    boxes = frame.annotations.boxes
    boxes = boxes.select(rng.random(len(boxes)) >= _MISS_PROBABILITY)
    center_m = boxes.center_m + rng.normal(0, _POSITION_NOISE_M, (len(boxes), 3)) * [1, 1, 0.2]
    velocity_mps = np.nan_to_num(boxes.velocity_mps) + rng.normal(0, 0.3, (len(boxes), 2))
    return boxes.replace(center_m=center_m, velocity_mps=velocity_mps, score=rng.beta(4, 3, len(boxes)))


def _clutter(frame: Frame, count: int, n_labels: int, rng: np.random.Generator) -> Boxes3D:
    offset_m: FloatArray = rng.uniform(-_CLUTTER_RANGE_M, _CLUTTER_RANGE_M, (count, 3)) * [1, 1, 0]
    return Boxes3D(
        center_m=frame.global_from_ego[:3, 3] + offset_m,
        size_wlh_m=rng.uniform(0.5, 5, (count, 3)),
        rotation=rotation_from_yaw(rng.uniform(-np.pi, np.pi, count)),
        velocity_mps=rng.normal(0, 1, (count, 2)),
        label=rng.integers(n_labels, size=count),
        score=rng.beta(1, 8, count),
        attribute=np.full(count, "", dtype=np.str_),
    )
