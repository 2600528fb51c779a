"""From the numbers that an exported network gives to scored boxes, the best first: NumPy's words for `NMSFreeCoder`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detection.deployment.contract import Description
from detection.deployment.node import Tensors
from scenes.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """What was found in a frame.

    Attributes:
        boxes: (n, 9) as in `detection.frames.FrameTargets.boxes`, in the frame of the network's inputs.
        scores: (n,) in [0, 1], the best first.
        labels: (n,) int64 class indices.
        queries: (n,) int64, which query has found each; None from a network that gives boxes.
    """

    boxes: FloatArray
    scores: FloatArray
    labels: NDArray[np.int64]
    queries: NDArray[np.int64] | None


def found_boxes(outputs: Tensors, description: Description) -> FoundBoxes:
    """The boxes in the outputs of an export's last file."""
    if not description.num_queries:
        kept = outputs["valid"][0] > 0.5
        order = np.argsort(-outputs["scores"][0][kept], kind="stable")
        boxes, scores, labels = (outputs[name][0][kept][order] for name in ("boxes", "scores", "labels"))
        return FoundBoxes(boxes.astype(np.float64), scores.astype(np.float64), labels.astype(np.int64), None)
    logits = outputs["all_cls_scores"][0].T
    num_classes = logits.shape[1]
    best = np.argsort(-logits.ravel(), kind="stable")[: description.max_boxes]
    queries, labels = best // num_classes, best % num_classes
    codes = outputs["all_bbox_preds"][0].T[queries].astype(np.float64)
    boxes = np.concatenate(
        (codes[:, :3], np.exp(codes[:, 3:6]), np.arctan2(codes[:, 6], codes[:, 7])[:, None], codes[:, 8:]), axis=1
    )
    scores = 1 / (1 + np.exp(-logits.ravel()[best].astype(np.float64)))
    kept = _inside(boxes[:, :3], description)
    return FoundBoxes(boxes[kept], scores[kept], labels[kept], queries[kept])


def _inside(centers_m: FloatArray, description: Description) -> NDArray[np.bool_]:
    """Which centres (n, 3) are in the range, which is that of the frame in which the network thinks."""
    base_from_model = np.array(description.base_link_from_lidar)
    in_model = (centers_m - base_from_model[:3, 3]) @ base_from_model[:3, :3]
    least, greatest = np.array(description.center_range_m).reshape(2, 3)
    return np.asarray(((in_model >= least) & (in_model <= greatest)).all(axis=1))
