"""Lists of decoded boxes, whose order is that of scores which may be nearly equal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import linear_sum_assignment

from detection.models.box_coder import Detections
from parity import tolerances
from parity.comparison import Array, Comparison, array_of

_UNMATCHED = 1e6  # in units of the tolerance: pairs that are farther apart are all equally bad
_YAW = 6


def compare_detections(comparison: Comparison, prefix: str, found: Detections, arrays: Mapping[str, Array]) -> None:
    """Compare the boxes of one stream with those recorded as `decoded_*` and `result_boxes`.

    Scores are compared rank by rank; boxes after matching them by class, score and numbers. A recorded box whose score
    nearly equals the lowest one may have lost its place to another.

    Args:
        comparison: where to.
        prefix: of the recorded names.
        found: of the stream.
        arrays: recorded, by name without prefix.
    """
    boxes, scores, labels = (array_of(value) for value in (found.boxes, found.scores, found.labels))
    recorded_scores, recorded_labels = arrays["decoded_scores"], arrays["decoded_labels"]
    comparison.within(f"{prefix}decoded_scores", scores, recorded_scores, tolerances.RANKED_SCORES)
    on_the_ground = boxes - boxes[:, 5:6] / 2 * (np.arange(boxes.shape[1]) == 2)
    for name, mine in (("decoded_bboxes", boxes), ("result_boxes", on_the_ground)):
        if name not in arrays:
            continue
        distance = np.max(np.abs(_differences(arrays[name], mine)) / tolerances.BOXES, axis=-1)
        apart = np.abs(recorded_scores[:, None] - scores) / tolerances.RANKED_SCORES
        other_class = np.where(recorded_labels[:, None] == labels, 0.0, _UNMATCHED)
        cost = np.minimum(np.maximum(np.maximum(distance, apart), other_class), _UNMATCHED)
        rows, columns = linear_sum_assignment(cost)
        ratios = np.full(len(recorded_scores), _UNMATCHED)
        ratios[rows] = cost[rows, columns]
        replaceable = recorded_scores <= scores.min(initial=1.0) + tolerances.RANKED_SCORES
        ratios[replaceable & (ratios > 1)] = 0.0
        comparison.within(f"{prefix}{name}", ratios * tolerances.BOXES, np.zeros_like(ratios), tolerances.BOXES)
    comparison.compared.append(f"{prefix}decoded_labels")  # boxes of different classes never match


def _differences(recorded: Array, mine: Array) -> Array:
    """(R, M, 9) of every pair; yaws by the shorter way round."""
    differences = recorded[:, None] - mine
    turn = differences[..., _YAW] % (2 * np.pi)
    differences[..., _YAW] = np.minimum(turn, 2 * np.pi - turn)
    return differences
