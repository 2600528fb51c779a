"""`ScenePairs`: how similar the boxes of each frame are, which is all that HOTA and assignments ask of boxes."""

from __future__ import annotations

from typing import NamedTuple

from evaluation.engine.box_table import IntArray
from scenes.compiled import compiled
from scenes.geometry import FloatArray


class ScenePairs(NamedTuple):
    """The boxes of one class in one scene, frame after frame, and how similar those of a frame are.

    Attributes:
        annotated_track, predicted_track: (A,), (P,) number of each box's track within the scene.
        first_annotated, first_predicted: (F + 1,) the boxes of frame f are `first[f]` to `first[f + 1]`.
        similarity: the matrices (annotated, predicted) of the frames, flat, one after the other; from 0 to 1.
        first_pair: (F + 1,) where they begin.
    """

    annotated_track: IntArray
    first_annotated: IntArray
    predicted_track: IntArray
    first_predicted: IntArray
    similarity: FloatArray
    first_pair: IntArray


@compiled(nogil=True)
def pairs_of_frame(pairs: ScenePairs, frame: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The tracks of the annotated and of the predicted boxes of a frame, and their similarities."""
    rows = pairs.annotated_track[pairs.first_annotated[frame] : pairs.first_annotated[frame + 1]]
    columns = pairs.predicted_track[pairs.first_predicted[frame] : pairs.first_predicted[frame + 1]]
    similarity = pairs.similarity[pairs.first_pair[frame] : pairs.first_pair[frame + 1]]
    return rows, columns, similarity.reshape(len(rows), len(columns))
