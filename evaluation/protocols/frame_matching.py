"""Which label and which tracked box of a frame belong together, by their overlap, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.engine.assignment import FREE, minimum_cost_assignment
from evaluation.engine.box_table import IntArray
from evaluation.engine.scene_pairs import ScenePairs, pairs_of_frame
from scenes.compiled import compiled
from scenes.geometry import FloatArray


@compiled(nogil=True)
def match_frames(
    pairs: ScenePairs, kept: NDArray[np.bool_], least: float, most_pairs: bool
) -> tuple[IntArray, FloatArray]:
    """(A,) index of the predicted box that each annotated one is matched with, `FREE` of those without, and (A,) the
    similarity of the match, 0 of those without.

    Args:
        pairs: of a scene.
        kept: (P,) which predicted boxes take part.
        least: pairs of less similarity are none.
        most_pairs: whether as many pairs as possible are sought, and among such choices the one of the largest total
            similarity, or the largest total alone.
    """
    matched = np.full(len(pairs.annotated_track), FREE)
    similarity_of_match = np.zeros(len(pairs.annotated_track))
    for frame in range(len(pairs.first_pair) - 1):
        rows, _, similarity = pairs_of_frame(pairs, frame)
        taken = np.flatnonzero(kept[pairs.first_predicted[frame] : pairs.first_predicted[frame + 1]])
        if len(rows) == 0 or len(taken) == 0:
            continue
        # One pair more must outweigh whatever the others' similarity could gain.
        worth_of_pair = len(rows) + 1.0 if most_pairs else 0.0
        cost = np.zeros((len(rows), len(taken)))
        for r in range(len(rows)):
            for c in range(len(taken)):
                if similarity[r, taken[c]] >= least:
                    cost[r, c] = -(worth_of_pair + similarity[r, taken[c]])
        column_of_row = minimum_cost_assignment(cost)
        for r in range(len(rows)):
            c = column_of_row[r]
            if c != FREE and cost[r, c] < 0:
                matched[pairs.first_annotated[frame] + r] = pairs.first_predicted[frame] + taken[c]
                similarity_of_match[pairs.first_annotated[frame] + r] = similarity[r, taken[c]]
    return matched, similarity_of_match
