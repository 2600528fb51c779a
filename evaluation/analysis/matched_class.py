"""One class matched at one score threshold: who is whose partner, and the kind of every error."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from evaluation.analysis.diagnosis import ErrorCounter
from evaluation.analysis.error_kinds import classify_errors
from evaluation.engine.box_table import BoolArray, IntArray
from evaluation.engine.matching import NONE
from evaluation.engine.tracked_scenes import GATE_M, TrackedClass, TrackedScenes, match_scenes
from scenes.geometry import FloatArray


@dataclass(frozen=True, eq=False)
class MatchedClass:
    """A annotated and P predicted boxes of one class, over all scenes.

    Attributes:
        class_: the boxes.
        threshold: predictions of lower score take no part.
        partner: (A,) the predicted box of each annotation, `NONE` for a miss.
        switched: (A,) whether the partner is of another track than before.
        distance_m: (A,) distance of the partner, 0 for a miss.
        annotated_kind, predicted_kind: (A,), (P,) kind of each error, `NO_ERROR` where there is none.
        annotated_scene, predicted_scene: (A,), (P,) index of the scene.
        annotated_frame, predicted_frame: (A,), (P,) index of the key frame.
    """

    class_: TrackedClass
    threshold: float
    partner: IntArray
    switched: BoolArray
    distance_m: FloatArray
    annotated_kind: IntArray
    predicted_kind: IntArray
    annotated_scene: IntArray
    predicted_scene: IntArray
    annotated_frame: IntArray
    predicted_frame: IntArray

    @property
    def name(self) -> str:
        """The class."""
        return self.class_.name

    @property
    def takes_part(self) -> BoolArray:
        """(P,) which predictions reach the threshold."""
        return self.class_.predicted.score >= self.threshold

    @property
    def is_partner(self) -> BoolArray:
        """(P,) which predictions have an annotation."""
        matched = np.zeros(len(self.predicted_kind), np.bool_)
        matched[self.partner[self.partner != NONE]] = True
        return matched


def match_class(tracked: TrackedScenes, counter: ErrorCounter, threshold: float, executor: Executor) -> MatchedClass:
    """Match all scenes of one class."""
    class_ = counter.class_
    matches = match_scenes(tracked, class_, threshold, executor)
    errors = [
        classify_errors(
            class_.annotated,
            class_.predicted,
            class_.pairs,
            counter.far,
            counter.other_class_near,
            (tracked.first_frame[scene], tracked.first_frame[scene + 1]),
            tracked.annotated.n_tracks[scene],
            tracked.predicted.n_tracks[scene],
            threshold,
            GATE_M,
            partner,
            switched,
        )
        for scene, (partner, switched, _) in enumerate(matches)
    ]
    scene_of_frame = np.repeat(np.arange(len(tracked.scenes)), np.diff(tracked.first_frame))
    annotated_frame, predicted_frame = (
        np.repeat(np.arange(len(tracked.frames)), np.diff(boxes.first_box))
        for boxes in (class_.annotated, class_.predicted)
    )
    return MatchedClass(
        class_=class_,
        threshold=threshold,
        partner=np.concatenate([match[0] for match in matches]),
        switched=np.concatenate([match[1] for match in matches]),
        distance_m=np.concatenate([match[2] for match in matches]),
        annotated_kind=np.concatenate([error.annotated for error in errors]),
        predicted_kind=np.concatenate([error.predicted for error in errors]),
        annotated_scene=scene_of_frame[annotated_frame],
        predicted_scene=scene_of_frame[predicted_frame],
        annotated_frame=annotated_frame,
        predicted_frame=predicted_frame,
    )
