"""Detections of other formats on their way into a result file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from scenes.boxes import Boxes3D
from scenes.conversion.drive import category_of_type
from scenes.conversion.source_frames import SourceFrames
from scenes.geometry import FloatArray
from scenes.result_format import MAX_BOXES_PER_SAMPLE, best_of_sample
from scenes.results import Results
from scenes.taxonomy import ObjectClass, Taxonomy

META = {"use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}
"""What is said of detections whose file says nothing."""


def label_of_type(source_type: str, format_: str, categories: Mapping[str, str], taxonomy: Taxonomy) -> int | None:
    """The label of a source's type; None for one that has no class. Arguments as for `category_of_type`."""
    label = taxonomy.label_of_category(category_of_type(source_type, format_, categories, taxonomy))
    return label if label >= 0 else None


def type_of_class(class_: ObjectClass, format_: str, type_of_name: Mapping[str, str]) -> str | None:
    """The source's type that results of a class are written as; None where there is none.

    It is that of the class's first category of the format, such as `kitti.Van`; without one the name decides.

    Args:
        class_: a class.
        format_: the source's format.
        type_of_name: the types of classes by name, for nuScenes' classes.
    """
    own = [category for category in class_.categories if category.startswith(f"{format_}.")]
    return own[0].removeprefix(f"{format_}.") if own else type_of_name.get(class_.name)


def probability_of_logit(logit: ArrayLike) -> FloatArray:
    """The logistic function, without overflow."""
    probability: FloatArray = expit(np.asarray(logit, dtype=np.float64))
    return probability


@dataclass
class FrameBoxes:
    """The boxes of one frame, in the frame in which the source gives them."""

    center_m: list[Sequence[float]] = field(default_factory=list)
    size_wlh_m: list[Sequence[float]] = field(default_factory=list)
    rotation: list[ArrayLike] = field(default_factory=list)
    label: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    velocity_mps: list[Sequence[float]] = field(default_factory=list)

    def add(
        self,
        center_m: Sequence[float],
        size_wlh_m: Sequence[float],
        rotation_wxyz: ArrayLike,
        label: int,
        score: float,
        velocity_mps: Sequence[float] = (np.nan, np.nan),
    ) -> None:
        self.center_m.append(center_m)
        self.size_wlh_m.append(size_wlh_m)
        self.rotation.append(rotation_wxyz)
        self.label.append(label)
        self.score.append(score)
        self.velocity_mps.append(velocity_mps)

    def boxes(self, global_from_source: FloatArray) -> Boxes3D:
        """The boxes in global coordinates."""
        count = len(self.label)
        return Boxes3D(
            center_m=np.array(self.center_m, dtype=np.float64).reshape(count, 3),
            size_wlh_m=np.array(self.size_wlh_m, dtype=np.float64).reshape(count, 3),
            rotation=np.array(self.rotation, dtype=np.float64).reshape(count, 4),
            velocity_mps=np.array(self.velocity_mps, dtype=np.float64).reshape(count, 2),
            label=np.array(self.label, dtype=np.int64),
            score=np.array(self.score, dtype=np.float64),
        ).transform(global_from_source)


@dataclass(frozen=True)
class Found:
    """Detections that were read.

    Attributes:
        results: of every key frame, in global coordinates.
        notes: what was left out, a line each, for the user to read.
    """

    results: Results
    notes: tuple[str, ...]


def found_results(boxes: Mapping[str, Boxes3D], frames: SourceFrames, left_out: Counter[str]) -> Found:
    """The detections of every key frame, the best of those that are too many for a result file.

    Args:
        boxes: by sample token, in global coordinates; frames that are not there have none.
        frames: of the split.
        left_out: what was left out, and how often.
    """
    complete: dict[str, Boxes3D] = {}
    for _, frame in frames.frames():
        of_frame = boxes.get(frame.token, FrameBoxes().boxes(np.eye(4)))
        complete[frame.token] = best = best_of_sample(of_frame)
        left_out[f"boxes beyond the {MAX_BOXES_PER_SAMPLE} best of their frame"] += len(of_frame) - len(best)
    notes = tuple(f"{count} {what} left out" for what, count in left_out.items() if count)
    return Found(Results(complete, META, frames.taxonomy), notes)
