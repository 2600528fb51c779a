"""What is annotated, and what was forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from scenes.doctor.data_root import DataRoot
from scenes.doctor.ego_motion import box_example
from scenes.doctor.findings import Example, Finding, Severity
from scenes.taxonomy import Taxonomy

_FEW_BOXES: Final = 5


def check_empty_frames(root: DataRoot) -> Iterator[Finding]:
    """Frames without a box between frames with several; scenes without any among annotated ones."""
    counts = np.bincount(root.boxes.sample, minlength=len(root.samples.tokens))
    empty: list[int] = []
    bare: list[int] = []
    scenes = root.frames_of_scenes()
    for frames in scenes:
        of_frame = counts[frames]
        if not of_frame.any():
            bare.append(int(frames[0]))
            continue
        before, here, after = of_frame[:-2], of_frame[1:-1], of_frame[2:]
        between = (here == 0) & (np.minimum(before, after) >= _FEW_BOXES)
        empty += frames[1:-1][between].tolist()
    if empty:
        yield Finding(
            "frame-without-boxes",
            Severity.WARNING,
            len(empty),
            len(counts),
            "frames without a box stand between frames with several",
            Example(root.samples.tokens[empty[0]], "sample", "no box", root.samples.tokens[empty[0]]),
            "Annotate them, or make them sweeps: as key frames they teach that there is nothing.",
        )
    if bare and len(bare) < len(scenes):
        name = root.scene_name(int(root.samples.scene[bare[0]]))
        yield Finding(
            "scene-without-boxes",
            Severity.WARNING,
            len(bare),
            len(scenes),
            "scenes without a box stand among annotated ones",
            Example(root.scene_tokens[root.samples.scene[bare[0]]], "scene", name, root.samples.tokens[bare[0]]),
            "Keep them out of splits for training and scoring until they are annotated.",
        )


def check_points(root: DataRoot) -> Iterator[Finding]:
    """Annotations without a point, which the official evaluation leaves out."""
    points = root.boxes.points
    if len(points) and (points == 0).all():
        yield Finding(
            "no-points",
            Severity.WARNING,
            len(points),
            len(points),
            "every annotation has 0 lidar and radar points: the official evaluation leaves such boxes out, here all",
            box_example(root, 0, "num_lidar_pts 0, num_radar_pts 0"),
            "Count the points in each box; without point clouds write 1 for what annotators could see.",
        )


def check_categories(root: DataRoot) -> Iterator[Finding]:
    """Annotations of which none belongs to a class of the detection task."""
    boxes = root.boxes
    if len(boxes.tokens) and (boxes.label < 0).all():
        names = ", ".join(sorted(set(boxes.categories.tolist()))[:5])
        yield Finding(
            "no-known-category",
            Severity.ERROR,
            len(boxes.tokens),
            len(boxes.tokens),
            f"no annotation has a category that belongs to one of the classes of {root.taxonomy}",
            box_example(root, 0, f"categories {names}"),
            f"Name categories as the classes do, such as {' and '.join(_some_categories(root.taxonomy))}.",
        )


def _some_categories(taxonomy: Taxonomy) -> list[str]:
    return [class_.categories[0] for class_ in taxonomy.classes[:2]]
