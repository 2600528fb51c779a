"""The pairs of one frame, cut out of the flat arrays of a scene."""

import numpy as np

from evaluation.engine.scene_pairs import ScenePairs, pairs_of_frame


def test_each_frame_has_its_own_tracks_and_similarities() -> None:
    """Frames of 1 x 2, 2 x 0, 0 x 1 and 2 x 1 boxes."""
    pairs = ScenePairs(
        annotated_track=np.array([4, 0, 1, 2, 3]),
        first_annotated=np.array([0, 1, 3, 3, 5]),
        predicted_track=np.array([7, 8, 9, 5]),
        first_predicted=np.array([0, 2, 2, 3, 4]),
        similarity=np.array([0.1, 0.2, 0.5, 0.6]),
        first_pair=np.array([0, 2, 2, 2, 4]),
    )
    frames = [[part.tolist() for part in pairs_of_frame(pairs, frame)] for frame in range(4)]
    assert frames == [
        [[4], [7, 8], [[0.1, 0.2]]],
        [[0, 1], [], [[], []]],
        [[], [9], []],
        [[2, 3], [5], [[0.5], [0.6]]],
    ]
