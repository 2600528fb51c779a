"""A 2D detector that does not look at images: annotations projected into each camera, disturbed the way one errs.

What is small, hidden or unlucky is missed, for several frames in a row where the object itself is hard; edges tremble;
of what is partly hidden only a part is boxed; a few boxes bear a similar class, and a few see nothing at all. It is
drawn apart from `scenes.city.simulated_detector`: both lose what is small and hidden, but otherwise not together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scenes.boxes2d import Boxes2D, CameraBoxes
from scenes.city.class_priors import ClassPriors, class_priors
from scenes.city.simulated_detector import digest, sigmoid
from scenes.geometry import FloatArray
from scenes.projected_boxes import projected_boxes
from scenes.scene import Annotations, Camera, Scene, taxonomy_of

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class CameraDetectorNoise:
    """How a simulated 2D detector errs. The defaults resemble a YOLO of medium size.

    Attributes:
        even_height: height of a box, as a share of the image's, at which an object in full view is found half the time.
        quality_per_doubling: what each doubling of the height adds to the quality, a logit.
        occlusion_loss: how much an object costs that is nearly hidden (visibility level 1).
        quality_spread, fresh_spread: standard deviation of the part of the quality that belongs to an object for some
            frames, and of the part that is new in every image.
        quality_memory: correlation of the lasting part from one key frame to the next.
        edge_error: standard deviation of each edge, as a share of the box's side.
        hidden_part: how much of a box is cut off, at most, where the object is nearly hidden.
        confusion_probability: of bearing a similar class.
        clutter: mean number of boxes in an image that see nothing.
    """

    even_height: float = 0.02
    quality_per_doubling: float = 1.2
    occlusion_loss: float = 3.0
    quality_spread: float = 0.8
    fresh_spread: float = 0.6
    quality_memory: float = 0.8
    edge_error: float = 0.04
    hidden_part: float = 0.6
    confusion_probability: float = 0.03
    clutter: float = 1.0


_CLUTTER_LOGIT: Final = -1.2
_SMALLEST_SIDE_PX: Final = 2.0


def simulate_camera_boxes(
    scenes: Sequence[Scene], noise: CameraDetectorNoise | None = None, seed: int = 0
) -> CameraBoxes:
    """2D boxes of every camera image of some scenes.

    Args:
        scenes: with cameras and annotations; every annotated box needs a `track_id`.
        noise: how the detector errs; None takes the defaults.
        seed: each scene is drawn from it and from the scene's token, whatever the other scenes are.

    Raises:
        ValueError: a frame has no annotations.
        InputError: the scenes have different classes.
    """
    priors = class_priors(taxonomy_of(scenes))
    settings = noise or CameraDetectorNoise()
    boxes: dict[str, dict[str, Boxes2D]] = {}
    for scene in scenes:
        detector = _SceneDetector(settings, priors, np.random.default_rng([seed, digest(scene.token), 2]))
        for frame in scene.frames:
            if frame.annotations is None:
                raise ValueError(f"sample '{frame.token}' has no annotations to simulate boxes from")
            detector.age()
            boxes[frame.token] = {camera.name: detector.detect(frame.annotations, camera) for camera in frame.cameras}
    return boxes


class _SceneDetector:
    """The lasting quality of the objects of a scene; `detect` goes through its images in order."""

    def __init__(self, noise: CameraDetectorNoise, priors: ClassPriors, rng: np.random.Generator) -> None:
        self._noise = noise
        self._priors = priors
        self._rng = rng
        self._quality: dict[str, float] = {}

    def age(self) -> None:
        """Carry the lasting qualities on by one key frame, as first-order autoregressive processes."""
        memory = self._noise.quality_memory
        fresh = np.sqrt(1.0 - memory**2) * self._rng.normal(0.0, 1.0, len(self._quality))
        for name, new in zip(list(self._quality), fresh.tolist(), strict=True):
            self._quality[name] = memory * self._quality[name] + new

    def detect(self, annotations: Annotations, camera: Camera) -> Boxes2D:
        """The boxes that are reported in an image, best first."""
        noise, rng = self._noise, self._rng
        picked, edges, _, _ = projected_boxes(annotations.boxes, camera)
        level = np.where(annotations.visibility == 0, 4, annotations.visibility)[picked]
        hidden = (4.0 - level) / 3.0
        quality = (
            noise.quality_per_doubling * np.log2((edges[:, 3] - edges[:, 1]) / camera.height_px / noise.even_height)
            - noise.occlusion_loss * hidden
            + noise.quality_spread * self._lasting(annotations, picked)
            + noise.fresh_spread * rng.normal(0.0, 1.0, len(picked))
        )
        found = quality > 0.0
        label = annotations.boxes.label[picked][found]
        confused = rng.random(len(label)) < noise.confusion_probability
        boxes = Boxes2D(
            edges_px=self._disturbed(edges[found], hidden[found]),
            label=np.where(confused, self._priors.confused_label[label], label),
            score=sigmoid(quality[found] - 1.0 + 0.4 * rng.normal(0.0, 1.0, len(label))),
        )
        return _inside(_joined(boxes, self._clutter(camera)), camera)

    def _lasting(self, annotations: Annotations, picked: IntArray) -> FloatArray:
        names = annotations.boxes.track_id
        assert names is not None  # annotated boxes are named by their instance
        for name in names[picked].tolist():
            if name not in self._quality:
                self._quality[name] = float(self._rng.normal())
        return np.array([self._quality[name] for name in names[picked].tolist()])

    def _disturbed(self, edges_px: FloatArray, hidden: FloatArray) -> FloatArray:
        """Edges that tremble, with a part of what is hidden cut off at one side."""
        noise, rng, count = self._noise, self._rng, len(edges_px)
        sides = np.tile(edges_px[:, 2:] - edges_px[:, :2], 2)
        inwards = np.array([1.0, 1.0, -1.0, -1.0])
        cut_edge = rng.integers(0, 4, count)[:, None] == np.arange(4)
        cut = noise.hidden_part * hidden * rng.random(count)
        moved = noise.edge_error * rng.normal(0.0, 1.0, (count, 4)) + inwards * cut_edge * cut[:, None]
        disturbed: FloatArray = edges_px + moved * sides
        return disturbed

    def _clutter(self, camera: Camera) -> Boxes2D:
        """Boxes that see nothing, most of them small and of low score."""
        rng = self._rng
        count = int(rng.poisson(self._noise.clutter))
        height = camera.height_px * 0.02 * 2.0 ** rng.uniform(0.0, 4.0, count)
        half = 0.5 * np.column_stack([height * 2.0 ** rng.uniform(-1.0, 1.0, count), height])
        middle = rng.uniform(0.0, 1.0, (count, 2)) * (camera.width_px, camera.height_px)
        return Boxes2D(
            edges_px=np.concatenate([middle - half, middle + half], axis=1),
            label=rng.choice(len(self._priors.clutter_share), count, p=self._priors.clutter_share),
            score=sigmoid(rng.normal(_CLUTTER_LOGIT, 0.8, count)),
        )


def _joined(first: Boxes2D, second: Boxes2D) -> Boxes2D:
    return Boxes2D(
        np.concatenate([first.edges_px, second.edges_px]),
        np.concatenate([first.label, second.label]),
        np.concatenate([first.score, second.score]),
    )


def _inside(boxes: Boxes2D, camera: Camera) -> Boxes2D:
    """What the image's border leaves of the boxes, best first."""
    edges = boxes.edges_px.clip(0.0, np.tile([camera.width_px, camera.height_px], 2))
    large = ((edges[:, 2:] - edges[:, :2]) >= _SMALLEST_SIDE_PX).all(axis=1)
    kept = Boxes2D(edges, boxes.label, boxes.score).select(large)
    return kept.select(np.argsort(-kept.score, kind="stable"))
