"""Whether annotated boxes land in the images at all, in any camera and in each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from scenes.doctor.data_root import DataRoot, IntArray
from scenes.doctor.ego_motion import box_example
from scenes.doctor.findings import Example, Finding, Severity
from scenes.errors import InputError
from scenes.geometry import invert_pose
from scenes.projected_boxes import projected_boxes

_MOST_FRAMES: Final = 40
"""What is wrong with projection is wrong everywhere: frames all over the data root tell."""
_FEWEST_BOXES: Final = 20
_NEAREST_M: Final = 5.0
_FARTHEST_M: Final = 40.0


class _Sight(NamedTuple):
    """What one camera has of a key frame's boxes: the recording, how many are ahead of it, and which land in it."""

    row: int
    ahead: int
    seen: frozenset[int]


def check_boxes_in_images(root: DataRoot) -> Iterator[Finding]:
    """Annotations of which no camera sees any, and cameras that see none of those ahead of them."""
    total = 0
    seen = 0
    of_channel: defaultdict[str, list[_Sight]] = defaultdict(list)
    frames = _frames(root)
    for rows, recordings in frames:
        sights = [sight for row in recordings if (sight := _sight(root, row, rows)) is not None]
        for sight in sights:
            of_channel[str(root.recordings.channel[sight.row])].append(sight)
        if sights:
            total += len(rows)
            seen += len(frozenset().union(*(sight.seen for sight in sights)))
    if total >= _FEWEST_BOXES and not seen:
        yield Finding(
            "no-box-in-images",
            Severity.ERROR,
            total,
            total,
            "no annotated box lands in the image of any camera",
            box_example(root, int(frames[0][0][0]), "in no camera"),
            "Follow one box by hand: from global to ego by ego_pose, to the camera by calibrated_sensor, to pixels.",
        )
        return
    blind = {
        channel: ahead
        for channel, sights in of_channel.items()
        if (ahead := sum(sight.ahead for sight in sights)) >= _FEWEST_BOXES and not any(sight.seen for sight in sights)
    }
    if blind:
        channel, ahead = next(iter(blind.items()))
        row = max(of_channel[channel], key=lambda sight: sight.ahead).row
        sample = root.samples.tokens[root.recordings.sample[row]]
        yield Finding(
            "camera-sees-no-box",
            Severity.WARNING,
            len(blind),
            len(of_channel),
            "no annotated box lands in the image of a camera, though many lie in its direction",
            Example(root.recordings.tokens[row], "sample_data", f"{channel}: {ahead} boxes ahead", sample, channel),
            "Look at its extrinsics: it looks over the boxes or under them; or nobody annotated what it sees.",
        )


def _frames(root: DataRoot) -> list[tuple[IntArray, list[int]]]:
    """The boxes and the recordings of cameras of some key frames that have both."""
    of_sample: defaultdict[int, list[int]] = defaultdict(list)
    for row in root.recordings.cameras.tolist():
        of_sample[int(root.recordings.sample[row])].append(row)
    frames = [rows for rows in root.boxes.of_samples() if int(root.boxes.sample[rows[0]]) in of_sample]
    if not frames:
        return []
    chosen = np.unique(np.linspace(0, len(frames) - 1, _MOST_FRAMES).astype(int)).tolist()
    return [(frames[at], of_sample[int(root.boxes.sample[frames[at][0]])]) for at in chosen]


def _sight(root: DataRoot, row: int, rows: IntArray) -> _Sight | None:
    camera = root.camera(row)
    if camera is None:
        return None
    boxes = root.boxes.boxes(rows)
    try:
        seen = projected_boxes(boxes, camera)[0].tolist()
        half_angle = np.arctan(0.5 * camera.width_px / camera.intrinsic[0, 0])
    except InputError:  # neither the tables nor an image tell its size
        return None
    global_from_camera = invert_pose(camera.camera_from_global)
    axis, way = global_from_camera[:2, 2], boxes.center_m[:, :2] - global_from_camera[:2, 3]
    distance = np.linalg.norm(way, axis=1)
    along = way @ axis / (distance * np.linalg.norm(axis))
    ahead = (distance > _NEAREST_M) & (distance < _FARTHEST_M) & (along > np.cos(half_angle))
    return _Sight(row, int(ahead.sum()), frozenset(seen))
