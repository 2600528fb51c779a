"""`OnnxImageDetector`: an exported Dy-YOLOv7, by ONNX Runtime and without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detection.data.letterboxing import letterboxed
from detection.deployment.contract import SINGLE
from detection.deployment.sessions import Graphs, load_graphs
from scenes import InputError
from scenes.boxes2d import Boxes2D, box_iou
from scenes.geometry import FloatArray

_MOST_CANDIDATES: Final = 30_000


@dataclass(frozen=True, eq=False)
class FoundInImage:
    """What was found in an image.

    Attributes:
        boxes: in the pixels of the image, best first; their labels index the detector's classes.
        easiness: how easy the router found it.
        hard: whether it took the hard path.
    """

    boxes: Boxes2D
    easiness: float
    hard: bool


class OnnxImageDetector:
    """An exported detector of single images.

    Args:
        graphs: of an export.
        threshold: images whose score is below it take the hard path; 0: none, 1: all.
        score_threshold, iou_threshold, max_detections: see `detection.models.yolo.suppression.Postprocessing`.

    Raises:
        InputError: the export is of another kind of detector, or a threshold is out of range.
    """

    def __init__(
        self,
        graphs: Graphs,
        threshold: float = 0.5,
        score_threshold: float = 0.001,
        iou_threshold: float = 0.65,
        max_detections: int = 300,
    ) -> None:
        if graphs.description.task != "images":
            raise InputError(f"{graphs.description.model} finds boxes in scenes: it is a Detector")
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold is {threshold}, expected a number from 0 to 1")
        self._graphs = graphs
        self.classes = graphs.description.classes
        self.threshold = threshold
        self._score, self._iou, self._most = score_threshold, iou_threshold, max_detections

    @classmethod
    def from_onnx(
        cls,
        folder: Path | str,
        threshold: float = 0.5,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        score_threshold: float = 0.001,
    ) -> OnnxImageDetector:
        """The detector in the file that `streamtrack export` has written; see `load_graphs`."""
        return cls(load_graphs(Path(folder), providers, threads), threshold, score_threshold)

    def detect(self, image: NDArray[np.uint8]) -> FoundInImage:
        """Detect in an image (H, W, 3) uint8 RGB of any size."""
        fitted, scale, left, top = letterboxed(image, self._graphs.description.image_size_px)
        pixels = np.ascontiguousarray(np.moveaxis(fitted, 2, 0)[None], dtype=np.float32) / 255
        threshold = np.array([self.threshold], dtype=np.float32)
        outputs = self._graphs.run(SINGLE, {"images": pixels, "threshold": threshold})
        boxes = self._detections(outputs["boxes"][0])
        height, width = image.shape[:2]
        edges = (boxes.edges_px - [left, top, left, top]) / scale
        edges = np.minimum(edges.clip(min=0.0), [width, height, width, height])
        easiness = float(outputs["scores"][0])
        return FoundInImage(
            Boxes2D(edges, boxes.label, boxes.score), easiness, easiness < self.threshold or self.threshold == 1
        )

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[Boxes2D, bool]]:
        """See `detection.running.found_images.Finder`."""
        return [(found.boxes, found.hard) for found in map(self.detect, images)]

    def _detections(self, boxes: NDArray[np.float32]) -> Boxes2D:
        """Of (N, 5 + classes): centre, width, height, probabilities of an object and of its class."""
        likely = boxes[boxes[:, 4] > self._score]
        confidences = likely[:, 5:] * likely[:, 4:5]
        rows, labels = np.nonzero(confidences > self._score)
        scores = confidences[rows, labels]
        order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
        centers, sizes = likely[rows[order], :2], likely[rows[order], 2:4]
        edges = np.concatenate((centers - sizes / 2, centers + sizes / 2), axis=1).astype(np.float64)
        kept = _best_of_each_object(edges, labels[order], self._iou, self._most)
        return Boxes2D(edges[kept], labels[order][kept], scores[order][kept])


def _best_of_each_object(
    edges_px: FloatArray, labels: NDArray[np.int64], iou_threshold: float, most: int
) -> NDArray[np.int64]:
    """Indices of the boxes, the best first, that no better one of their class overlaps by more than a threshold."""
    waiting = np.arange(len(labels))
    kept: list[int] = []
    while len(waiting) and len(kept) < most:
        best, waiting = waiting[0], waiting[1:]
        kept.append(int(best))
        overlaps = box_iou(edges_px[best : best + 1], edges_px[waiting])[0]
        waiting = waiting[(labels[waiting] != labels[best]) | (overlaps <= iou_threshold)]
    return np.array(kept, dtype=np.int64)
