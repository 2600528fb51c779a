"""A detector that does not look at images: annotations, disturbed the way a camera detector with query memory errs.

Depth is what cameras know least: the range error lies along the viewing ray, grows with range and lasts from frame to
frame. What is far, hidden or cut off is found late and lost early; an object may be reported twice along its ray, and
houses and shadows may be reported as objects. Scores tell good from bad boxes, but not well. Every box bears the
`query_id` of the query it descends from, which usually stays with its object and sometimes jumps or is swapped: by kind
as often as was counted on a StreamPETR with a small backbone (docs/tracking.md, "Query identity").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.boxes import Boxes3D
from scenes.city.class_priors import ClassPriors, class_priors
from scenes.geometry import FloatArray, rotation_from_yaw
from scenes.results import Results
from scenes.scene import Frame, Scene, taxonomy_of

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

MAX_BOXES: Final = 300
"""The decoder of a query detector keeps this many boxes of a frame."""


@dataclass(frozen=True)
class DetectorNoise:
    """How a simulated detector errs. The defaults resemble a StreamPETR with a small backbone.

    Attributes:
        range_error: standard deviation of the range error as a share of the range, for an object in full view.
        range_error_memory: correlation of its lasting part from one key frame to the next.
        lasting_share: share of the range error's variance that lasts; the rest is new in every frame.
        bearing_error_rad: standard deviation across the viewing ray.
        height_error_m: standard deviation of a box's height above the ground.
        size_error: relative standard deviation of the size, constant for an object.
        yaw_error_rad: standard deviation of the heading of vehicles; of pedestrians it is four times that.
        yaw_flip_probability: for an object, that its heading is reversed; it may be put right later.
        speed_error_mps: standard deviation of each component of the velocity, at rest.
        speed_error_share: what is added to it for each m/s of speed.
        attribute_error_probability: of a wrong attribute.
        quality_at_ego: logit of how well an object at no distance is seen.
        quality_loss_per_m: how much of it each metre of range costs.
        occlusion_loss: how much an object costs that is nearly hidden (visibility level 1).
        truncation_loss: how much an object costs whose centre lies in no image.
        quality_spread: standard deviation of the lasting part of quality that belongs to the object.
        detection_threshold: boxes of lower quality are not reported.
        duplicate_probability: of a new duplicate of a reported object, in a frame.
        duplicate_survival: probability that a duplicate is there in the next frame as well.
        duplicate_offset: standard deviation of its displacement along the ray, as a share of the range.
        clutter_births: mean number of new lasting false positives in a frame.
        clutter_survival: probability that one is there in the next frame as well.
        flicker: mean number of false positives of a single frame.
        query_persistence: probability that an object's box descends from the query of the frame before.
        query_far_m: range beyond which identities jump.
        query_persistence_far: the probability there.
        query_swap_probability: for two objects of one class at one place, that they swap their queries in a frame.
        query_swap_reach_m: distance over which it falls to a third.
        max_range_m: nothing is reported beyond.
    """

    range_error: float = 0.042
    range_error_memory: float = 0.85
    lasting_share: float = 0.45
    bearing_error_rad: float = 0.006
    height_error_m: float = 0.12
    size_error: float = 0.05
    yaw_error_rad: float = 0.10
    yaw_flip_probability: float = 0.04
    speed_error_mps: float = 0.16
    speed_error_share: float = 0.07
    attribute_error_probability: float = 0.12
    quality_at_ego: float = 2.4
    quality_loss_per_m: float = 0.055
    occlusion_loss: float = 2.2
    truncation_loss: float = 1.0
    quality_spread: float = 0.7
    detection_threshold: float = -2.2
    duplicate_probability: float = 0.12
    duplicate_survival: float = 0.65
    duplicate_offset: float = 0.14
    clutter_births: float = 4.0
    clutter_survival: float = 0.72
    flicker: float = 22.0
    query_persistence: float = 0.98
    query_far_m: float = 40.0
    query_persistence_far: float = 0.85
    query_swap_probability: float = 0.1
    query_swap_reach_m: float = 2.0
    max_range_m: float = 60.0


def simulate_detections(scenes: Sequence[Scene], noise: DetectorNoise | None = None, seed: int = 0) -> Results:
    """Detections of every frame of some scenes.

    Args:
        scenes: with annotations.
        noise: how the detector errs; None takes the defaults of `DetectorNoise`.
        seed: each scene is drawn from it and from the scene's token, whatever the other scenes are.

    Returns:
        Global boxes with velocity, attribute, score and `query_id`, which is unique in its scene; best first.

    Raises:
        ValueError: a frame has no annotations.
        InputError: the scenes have different classes.
    """
    taxonomy = taxonomy_of(scenes)
    settings = noise or DetectorNoise()
    boxes: dict[str, Boxes3D] = {}
    for scene in scenes:
        detector = _SceneDetector(scene, settings, np.random.default_rng([seed, digest(scene.token)]))
        boxes.update((frame.token, detector.detect(frame)) for frame in scene.frames)
    return Results(boxes, taxonomy=taxonomy)


def digest(token: str) -> int:
    """A token as a number to seed with."""
    return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "big")


_FRESH_QUALITY_SPREAD: Final = 0.55
_QUALITY_MEMORY: Final = 0.8
_SCORE_SLOPE: Final = 0.95
_SCORE_SHIFT: Final = -0.75
_SCORE_SPREAD: Final = 0.45
_FLIP_CHANGE: Final = 0.06
_CONFUSION_PROBABILITY: Final = 0.3
_DUPLICATE_STEALS_PROBABILITY: Final = 0.03
_WELL_SEEN: Final = 0.0


@dataclass
class _Clutter:
    """Lasting false positives: rows that grow and are thinned out."""

    position_m: FloatArray
    label: IntArray
    logit: FloatArray
    query: IntArray
    yaw_rad: FloatArray

    @classmethod
    def none(cls) -> _Clutter:
        empty = np.zeros(0)
        return cls(np.zeros((0, 2)), np.zeros(0, np.int64), empty, np.zeros(0, np.int64), empty)

    def select(self, which: BoolArray) -> _Clutter:
        return _Clutter(
            self.position_m[which], self.label[which], self.logit[which], self.query[which], self.yaw_rad[which]
        )

    def joined(self, other: _Clutter) -> _Clutter:
        return _Clutter(
            np.concatenate([self.position_m, other.position_m]),
            np.concatenate([self.label, other.label]),
            np.concatenate([self.logit, other.logit]),
            np.concatenate([self.query, other.query]),
            np.concatenate([self.yaw_rad, other.yaw_rad]),
        )


class _SceneDetector:
    """Lasting errors and queries of all objects of a scene; `detect` goes through its frames in order."""

    def __init__(self, scene: Scene, noise: DetectorNoise, rng: np.random.Generator) -> None:
        names = sorted({name for frame in scene.frames for name in _track_ids(_annotated(frame))})
        self._index = {name: index for index, name in enumerate(names)}
        count = len(names)
        self._noise = noise
        self._priors = class_priors(scene.taxonomy)
        self._rng = rng
        # Apart, so that how identities err moves no box.
        self._query_rng = np.random.default_rng(rng.integers(2**63))
        self._range_error = rng.normal(0.0, 1.0, count)
        self._quality = rng.normal(0.0, 1.0, count)
        self._size_factor = np.exp(rng.normal(0.0, noise.size_error, (count, 3)))
        self._height_error_m = rng.normal(0.0, noise.height_error_m, count)
        self._flipped = rng.random(count) < noise.yaw_flip_probability
        self._query = np.full(count, -1, dtype=np.int64)
        self._duplicate = np.zeros(count, dtype=np.bool_)
        self._duplicate_query = np.full(count, -1, dtype=np.int64)
        self._duplicate_offset = np.zeros(count)
        self._duplicate_confused = np.zeros(count, dtype=np.bool_)
        self._clutter = _Clutter.none()
        self._queries = 0

    def detect(self, frame: Frame) -> Boxes3D:
        """The boxes that are reported in a frame, best first."""
        self._age_errors()
        truth, hidden = self._candidates(frame)
        which = np.array([self._index[name] for name in _track_ids(truth)], dtype=np.int64)
        eye = frame.global_from_ego[:2, 3]
        quality = self._qualities(truth, hidden, which, frame)
        found = quality > self._noise.detection_threshold
        truth, which, quality, hidden = truth.select(found), which[found], quality[found], hidden[found]
        self._assign_queries(truth, which, quality, eye)
        reported = self._disturbed(truth, which, quality, hidden, eye)
        parts = [reported, self._duplicates(reported, which, eye), self._lasting_clutter(frame), self._flickers(frame)]
        boxes = Boxes3D.concatenate(parts)
        return boxes.select(np.argsort(-boxes.score, kind="stable")[:MAX_BOXES])

    def _age_errors(self) -> None:
        """Carry the lasting errors on by one frame, as first-order autoregressive processes."""
        count = len(self._range_error)
        for values, memory in ((self._range_error, self._noise.range_error_memory), (self._quality, _QUALITY_MEMORY)):
            values *= memory
            values += np.sqrt(1.0 - memory**2) * self._rng.normal(0.0, 1.0, count)
        probability = self._noise.yaw_flip_probability
        redrawn = self._rng.random(count) < _FLIP_CHANGE
        self._flipped = np.where(redrawn, self._rng.random(count) < probability, self._flipped)

    def _candidates(self, frame: Frame) -> tuple[Boxes3D, FloatArray]:
        """The annotated boxes in range, and how hidden each is, from 0 to 1."""
        annotations = frame.annotations
        assert annotations is not None
        distance = np.linalg.norm(annotations.boxes.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1)
        near = distance < self._noise.max_range_m
        level = np.where(annotations.visibility == 0, 4, annotations.visibility)
        hidden = (4.0 - level) / 3.0 + 0.4 * (annotations.num_lidar_pts == 0)
        return annotations.boxes.select(near), hidden[near]

    def _qualities(self, truth: Boxes3D, hidden: FloatArray, which: IntArray, frame: Frame) -> FloatArray:
        """(N,) how well each object is seen, as a logit."""
        noise = self._noise
        distance = np.linalg.norm(truth.center_m[:, :2] - frame.global_from_ego[:2, 3], axis=1)
        fresh = _FRESH_QUALITY_SPREAD * self._rng.normal(0.0, 1.0, len(truth))
        quality: FloatArray = (
            noise.quality_at_ego
            + self._priors.difficulty[truth.label]
            - noise.quality_loss_per_m * distance
            - noise.occlusion_loss * hidden
            - noise.truncation_loss * ~_in_an_image(truth, frame)
            + noise.quality_spread * self._quality[which]
            + fresh
        )
        return quality

    def _assign_queries(self, truth: Boxes3D, which: IntArray, quality: FloatArray, eye_m: FloatArray) -> None:
        """Carry queries over from the frame before; some are lost and named anew, some are swapped."""
        noise, rng = self._noise, self._query_rng
        far = np.linalg.norm(truth.center_m[:, :2] - eye_m, axis=1) > noise.query_far_m
        kept = np.where(far, noise.query_persistence_far, noise.query_persistence)
        # A newborn query is one more box of an object, and what is hardly seen has none to spare.
        renamed = (self._query[which] < 0) | ((quality > _WELL_SEEN) & (rng.random(len(which)) > kept))
        self._query[which[renamed]] = self._new_queries(int(renamed.sum()))
        apart_m = np.linalg.norm(truth.center_m[:, None, :2] - truth.center_m[None, :, :2], axis=2)
        chance = noise.query_swap_probability * np.exp(-apart_m / noise.query_swap_reach_m)
        alike = truth.label[:, None] == truth.label[None, :]
        swapped = alike & (rng.random(apart_m.shape) < chance)
        for first, second in np.argwhere(np.triu(swapped, 1)).tolist():
            a, b = which[first], which[second]
            self._query[[a, b]] = self._query[[b, a]]

    def _new_queries(self, count: int) -> IntArray:
        first = self._queries
        self._queries += count
        return np.arange(first, first + count, dtype=np.int64)

    def _disturbed(
        self, truth: Boxes3D, which: IntArray, quality: FloatArray, hidden: FloatArray, eye_m: FloatArray
    ) -> Boxes3D:
        """The found objects as they are reported."""
        noise, rng, count = self._noise, self._rng, len(truth)
        lasting, fresh = np.sqrt(noise.lasting_share), np.sqrt(1.0 - noise.lasting_share)
        # A box of poor quality is also placed poorly: what makes it hard to see makes its depth hard to tell.
        scale = noise.range_error * (1.0 + 0.6 * hidden) * np.exp(-0.18 * (quality - 1.0))
        stretch = 1.0 + scale * (lasting * self._range_error[which] + fresh * rng.normal(0.0, 1.0, count))
        bearing = rng.normal(0.0, noise.bearing_error_rad, count)
        center = truth.center_m.copy()
        center[:, :2] = _along_ray(truth.center_m[:, :2], eye_m, np.maximum(stretch, 0.3), bearing)
        center[:, 2] += self._height_error_m[which] + rng.normal(0.0, 0.3 * noise.height_error_m, count)
        spread = noise.yaw_error_rad * np.where(self._priors.is_person[truth.label], 4.0, 1.0)
        yaw = truth.yaw_rad + spread * rng.normal(0.0, 1.0, count) + np.pi * self._flipped[which]
        velocity = np.nan_to_num(truth.velocity_mps, nan=0.0)
        speed = np.linalg.norm(velocity, axis=1)
        speed_error = noise.speed_error_mps + noise.speed_error_share * speed
        logit = _SCORE_SLOPE * quality + _SCORE_SHIFT + _SCORE_SPREAD * rng.normal(0.0, 1.0, count)
        return Boxes3D(
            center_m=center,
            size_wlh_m=truth.size_wlh_m * self._size_factor[which],
            rotation=rotation_from_yaw(yaw),
            velocity_mps=velocity + speed_error[:, None] * rng.normal(0.0, 1.0, (count, 2)),
            label=truth.label,
            score=sigmoid(logit),
            query_id=self._query[which],
            attribute=self._attributes(truth),
        )

    def _attributes(self, truth: Boxes3D) -> NDArray[np.str_]:
        given = _attributes_of(truth)
        wrong = self._rng.random(len(truth)) < self._noise.attribute_error_probability
        guessed = _guessed_attributes(truth.label, self._priors, self._rng)
        possible = [self._priors.attributes[label] for label in truth.label.tolist()]
        fits = np.array([name in names for name, names in zip(given.tolist(), possible, strict=True)], dtype=np.bool_)
        return np.where(wrong | ~fits, guessed, given)

    def _duplicates(self, reported: Boxes3D, which: IntArray, eye_m: FloatArray) -> Boxes3D:
        """Second boxes of reported objects, farther or nearer along the ray, some under another class."""
        noise, rng, count = self._noise, self._rng, len(which)
        lives = self._duplicate[which] & (rng.random(count) < noise.duplicate_survival)
        born = ~lives & (rng.random(count) < noise.duplicate_probability)
        fresh = which[born]
        self._duplicate_query[fresh] = self._new_queries(len(fresh))
        self._duplicate_offset[fresh] = rng.normal(0.0, noise.duplicate_offset, len(fresh))
        self._duplicate_confused[fresh] = rng.random(len(fresh)) < _CONFUSION_PROBABILITY
        self._duplicate[:] = False
        self._duplicate[which] = lives | born
        chosen = lives | born
        index = which[chosen]
        boxes = reported.select(chosen)
        stretch = 1.0 + self._duplicate_offset[index] + rng.normal(0.0, 0.02, len(index))
        center = boxes.center_m.copy()
        center[:, :2] = _along_ray(center[:, :2], eye_m, np.maximum(stretch, 0.4), rng.normal(0.0, 0.008, len(index)))
        confused = self._duplicate_confused[index]
        label = np.where(confused, self._priors.confused_label[boxes.label], boxes.label)
        query_id = self._duplicate_query[index]
        self._swap_with_objects(index)
        return boxes.replace(
            center_m=center,
            label=label,
            score=boxes.score * rng.uniform(0.15, 0.75, len(index)),
            query_id=query_id,
            attribute=np.where(confused, _guessed_attributes(label, self._priors, rng), _attributes_of(boxes)),
        )

    def _swap_with_objects(self, index: IntArray) -> None:
        """From the next frame on some duplicates bear their object's query, and the object theirs."""
        stolen = index[self._query_rng.random(len(index)) < _DUPLICATE_STEALS_PROBABILITY]
        self._query[stolen], self._duplicate_query[stolen] = self._duplicate_query[stolen], self._query[stolen].copy()

    def _lasting_clutter(self, frame: Frame) -> Boxes3D:
        rng, noise = self._rng, self._noise
        kept = self._clutter.select(rng.random(len(self._clutter.label)) < noise.clutter_survival)
        born = self._draw_clutter(int(rng.poisson(noise.clutter_births)), frame, mean_logit=-1.6)
        self._clutter = kept.joined(born)
        self._clutter.position_m = self._clutter.position_m + rng.normal(0.0, 0.25, self._clutter.position_m.shape)
        return self._clutter_boxes(self._clutter, frame)

    def _flickers(self, frame: Frame) -> Boxes3D:
        count = int(self._rng.poisson(self._noise.flicker))
        return self._clutter_boxes(self._draw_clutter(count, frame, mean_logit=-2.7), frame)

    def _draw_clutter(self, count: int, frame: Frame, mean_logit: float) -> _Clutter:
        """False positives all around, more of them near."""
        rng = self._rng
        distance = self._noise.max_range_m * rng.beta(1.6, 1.5, count)
        angle = rng.uniform(-np.pi, np.pi, count)
        offset = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return _Clutter(
            position_m=frame.global_from_ego[:2, 3] + offset,
            label=rng.choice(len(self._priors.clutter_share), count, p=self._priors.clutter_share),
            logit=rng.normal(mean_logit, 0.8, count),
            query=self._new_queries(count),
            yaw_rad=rng.uniform(-np.pi, np.pi, count),
        )

    def _clutter_boxes(self, clutter: _Clutter, frame: Frame) -> Boxes3D:
        rng, count = self._rng, len(clutter.label)
        size = self._priors.size_wlh_m[clutter.label] * np.exp(rng.normal(0.0, 0.12, (count, 3)))
        height = frame.global_from_ego[2, 3] + 0.5 * size[:, 2] + rng.normal(0.0, 0.3, count)
        return Boxes3D(
            center_m=np.column_stack([clutter.position_m, height]),
            size_wlh_m=size,
            rotation=rotation_from_yaw(clutter.yaw_rad + rng.normal(0.0, 0.2, count)).reshape(-1, 4),
            velocity_mps=rng.normal(0.0, 0.5, (count, 2)),
            label=clutter.label,
            score=sigmoid(clutter.logit + rng.normal(0.0, 0.4, count)),
            query_id=clutter.query,
            attribute=_guessed_attributes(clutter.label, self._priors, rng),
        )


def _annotated(frame: Frame) -> Boxes3D:
    if frame.annotations is None:
        raise ValueError(f"sample '{frame.token}' has no annotations to simulate detections from")
    return frame.annotations.boxes


def _track_ids(boxes: Boxes3D) -> list[str]:
    return [] if boxes.track_id is None else boxes.track_id.tolist()


def _attributes_of(boxes: Boxes3D) -> NDArray[np.str_]:
    return np.full(len(boxes), "") if boxes.attribute is None else boxes.attribute


def _along_ray(position_m: FloatArray, eye_m: FloatArray, stretch: FloatArray, bearing_rad: FloatArray) -> FloatArray:
    """Positions (N, 2) moved along the ray from the eye by a factor, and turned about the eye."""
    offset = (position_m - eye_m) * stretch[:, None]
    cos, sin = np.cos(bearing_rad), np.sin(bearing_rad)
    turned = np.stack([cos * offset[:, 0] - sin * offset[:, 1], sin * offset[:, 0] + cos * offset[:, 1]], axis=1)
    moved: FloatArray = eye_m + turned
    return moved


def _in_an_image(boxes: Boxes3D, frame: Frame) -> BoolArray:
    """(N,) whether a box's centre lies in an image of the frame."""
    inside = np.zeros(len(boxes), dtype=np.bool_)
    for camera in frame.cameras:
        pixels, depth = camera.project(boxes.center_m)
        size = np.array([camera.width_px, camera.height_px])
        inside |= (depth > 0.0) & ((pixels >= 0.0) & (pixels < size)).all(axis=1)
    return inside


def _guessed_attributes(label: IntArray, priors: ClassPriors, rng: np.random.Generator) -> NDArray[np.str_]:
    """(N,) an attribute that fits each class."""
    shares = rng.random(len(label))
    options = [priors.attributes[index] for index in label.tolist()]
    guessed = [names[int(share * len(names))] for names, share in zip(options, shares, strict=True)]
    return np.array(guessed, dtype=np.str_)


def sigmoid(logit: FloatArray) -> FloatArray:
    """(N,) probabilities of logits."""
    value: FloatArray = 1.0 / (1.0 + np.exp(-logit))
    return value
