"""Whether annotated boxes land in the images at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np

from scenes.doctor.data_root import DataRoot
from scenes.doctor.ego_motion import box_example
from scenes.doctor.findings import Finding, Severity
from scenes.errors import InputError
from scenes.projected_boxes import projected_boxes

_MOST_FRAMES: Final = 40
"""What is wrong with projection is wrong everywhere: frames all over the data root tell."""
_FEWEST_BOXES: Final = 20


def check_boxes_in_images(root: DataRoot) -> Iterator[Finding]:
    """Annotations of which no camera sees any."""
    rows_of_sample: defaultdict[int, list[int]] = defaultdict(list)
    for row in root.recordings.cameras.tolist():
        rows_of_sample[int(root.recordings.sample[row])].append(row)
    frames = [rows for rows in root.boxes.of_samples() if int(root.boxes.sample[rows[0]]) in rows_of_sample]
    chosen = (
        [frames[at] for at in np.unique(np.linspace(0, len(frames) - 1, _MOST_FRAMES).astype(int))] if frames else []
    )
    seen, total = 0, 0
    for rows in chosen:
        boxes = root.boxes.boxes(rows)
        visible: set[int] = set()
        looked = False
        for row in rows_of_sample[int(root.boxes.sample[rows[0]])]:
            camera = root.camera(row)
            try:
                if camera is not None:
                    visible.update(projected_boxes(boxes, camera)[0].tolist())
                    looked = True
            except InputError:  # neither the tables nor an image tell its size
                continue
        if looked:
            seen += len(visible)
            total += len(rows)
    if total >= _FEWEST_BOXES and not seen:
        yield Finding(
            "no-box-in-images",
            Severity.ERROR,
            total,
            total,
            "no annotated box lands in the image of any camera",
            box_example(root, int(chosen[0][0]), "in no camera"),
            "Follow one box by hand: from global to ego by ego_pose, to the camera by calibrated_sensor, to pixels.",
        )
