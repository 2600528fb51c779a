"""Boxes on the ground: none below it, none above it, and their centres in their middle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from scenes.classes import NO_CLASS
from scenes.doctor.class_sizes import better_reading
from scenes.doctor.data_root import BoolArray, DataRoot, IntArray
from scenes.doctor.ego_motion import box_example
from scenes.doctor.findings import Finding, Severity
from scenes.geometry import FloatArray

_NEAR_M: Final = 20.0
_STEEPEST_SLOPE: Final = 0.2
"""Streets are hardly ever steeper."""
_STOREY_M: Final = 2.0
"""What stands on a kerb, a ramp or a lorry's bed is not as high up: somebody could walk beneath it."""
_HIGHEST_ORIGIN_M: Final = 3.0
"""The origin of a vehicle lies between the road and its roof."""
_FEWEST_NEIGHBOURS: Final = 3
_SAME_PLACE: Final = 0.25
"""Centres nearer than this share of the smaller width are those of one body: two do not pass through another."""
_SAME_SIDE: Final = 0.02
_SAME_HEADING: Final = float(np.cos(np.deg2rad(10.0)))
_FEWEST_FRAMES: Final = 3
_OTHER_HEIGHT_M: Final = 0.5
_CLOSE_M: Final = 10.0
_FEWEST_PAIRS: Final = 20
_TIED: Final = 0.3
"""Boxes whose centres are given as the middle of the bottom have bottoms half their height too low, those of the top as
much too high: between neighbours of different heights the bottoms then differ by half of what the heights differ by."""


class _Pairs(NamedTuple):
    """Pairs of boxes of one frame nearer than `_NEAR_M`, each once: box (P,), neighbour (P,), distance (P,)."""

    first: IntArray
    second: IntArray
    distance_m: FloatArray


def check_ground(root: DataRoot) -> Iterator[Finding]:
    """All that neighbours within a frame tell of heights and places."""
    boxes = root.boxes
    if better_reading(boxes.size_wlh_m[boxes.usable], boxes.label[boxes.usable], root.taxonomy) is not None:
        return  # heights are not what they are taken for, and that is told already
    bottom = boxes.center_m[:, 2] - 0.5 * boxes.size_wlh_m[:, 2]
    pairs = _neighbours(root)
    tied = _tie_of_bottoms(root, pairs, bottom)
    if tied is not None and abs(tied) > _TIED:
        where = "bottom" if tied < 0 else "top"
        highest = int(pairs.first[np.argmax(boxes.size_wlh_m[pairs.first, 2])])
        yield Finding(
            "center-not-middle",
            Severity.ERROR,
            int(boxes.usable.sum()),
            int(boxes.usable.sum()),
            f"sample_annotation.json: translation is the middle of the {where} face: tall boxes stand at other heights",
            box_example(root, highest, f"its bottom lies at {bottom[highest]:.2f} m"),
            f"{'Add' if tied < 0 else 'Subtract'} half the height {'to' if tied < 0 else 'from'} the third coordinate.",
        )
    else:
        yield from _off_ground(root, pairs, bottom)
    yield from _frames_off_ground(root, bottom)
    yield from _same_places(root, pairs)


def _like_twins(root: DataRoot, pairs: _Pairs) -> BoolArray:
    """(P,) whether two boxes have one size and heading, as an import leaves them and two people hardly do."""
    boxes = root.boxes
    size = np.log(boxes.size_wlh_m)
    same_size = (np.abs(size[pairs.first] - size[pairs.second]) < _SAME_SIDE).all(axis=1)
    along = (boxes.turn[pairs.first, :, 0] * boxes.turn[pairs.second, :, 0]).sum(axis=1)
    twins: BoolArray = same_size & (along > _SAME_HEADING)
    return twins


def _neighbours(root: DataRoot) -> _Pairs:
    boxes = root.boxes
    found: list[_Pairs] = []
    for rows in boxes.of_samples():
        place = boxes.center_m[rows, :2]
        first, second = np.triu_indices(len(rows), 1)
        distance = np.linalg.norm(place[first] - place[second], axis=1)
        near = distance < _NEAR_M
        found.append(_Pairs(rows[first[near]], rows[second[near]], distance[near]))
    none = np.zeros(0, dtype=np.int64)
    columns = zip(_Pairs(none, none, np.zeros(0)), *found, strict=True)
    return _Pairs(*(np.concatenate(column) for column in columns))


def _tie_of_bottoms(root: DataRoot, pairs: _Pairs, bottom: FloatArray) -> float | None:
    """How much of a difference in height is one of bottoms, in the median of close pairs; 0 on a road."""
    taller = root.boxes.size_wlh_m[pairs.first, 2] - root.boxes.size_wlh_m[pairs.second, 2]
    telling = (np.abs(taller) > _OTHER_HEIGHT_M) & (pairs.distance_m < _CLOSE_M)
    if telling.sum() < _FEWEST_PAIRS:
        return None
    higher = bottom[pairs.first] - bottom[pairs.second]
    return float(np.median(higher[telling] / taller[telling]))


def _off_ground(root: DataRoot, pairs: _Pairs, bottom: FloatArray) -> Iterator[Finding]:
    """Boxes a storey above or below their neighbours, beyond what a slope explains."""
    box = np.concatenate([pairs.first, pairs.second])
    other = np.concatenate([pairs.second, pairs.first])
    slope = np.tile(_STEEPEST_SLOPE * pairs.distance_m, 2)
    difference = bottom[box] - bottom[other]
    excess = np.sign(difference) * np.maximum(np.abs(difference) - slope, 0.0)
    # Sorted by box, then by excess: the middle of each box's part is its median.
    order = np.lexsort([excess, box])
    box, excess = box[order], excess[order]
    starts = np.flatnonzero(np.diff(box, prepend=-1))
    counts = np.diff(starts, append=len(box))
    judged = counts >= _FEWEST_NEIGHBOURS
    medians = 0.5 * (excess[starts + (counts - 1) // 2] + excess[starts + counts // 2])
    height = dict(zip(box[starts[judged]].tolist(), medians[judged].tolist(), strict=True))
    for name, sign, what in (
        ("box-floats", 1.0, "boxes float above the ground that their neighbours stand on"),
        ("box-under-ground", -1.0, "boxes lie under the ground that their neighbours stand on"),
    ):
        off = {index: sign * by for index, by in height.items() if sign * by > _STOREY_M}
        if off:
            worst = max(off, key=lambda index: off[index])
            yield Finding(
                name,
                Severity.WARNING,
                len(off),
                len(height),
                what,
                box_example(root, worst, f"{off[worst]:.1f} m more than the steepest road explains"),
                "Look at them in the pictures; correct their heights, or leave out what is not on the road.",
            )


def _frames_off_ground(root: DataRoot, bottom: FloatArray) -> Iterator[Finding]:
    """Key frames of which most boxes are above or below the ego vehicle, beyond what a slope explains."""
    boxes, pose = root.boxes, root.frame_pose
    off: list[tuple[int, float]] = []
    frames = [rows for rows in boxes.of_samples() if pose[boxes.sample[rows[0]]] >= 0]
    for rows in frames:
        ego = root.poses.translation_m[pose[boxes.sample[rows[0]]]]
        higher = bottom[rows] - ego[2]
        slope = _STEEPEST_SLOPE * np.linalg.norm(boxes.center_m[rows, :2] - ego[:2], axis=1)
        excess = float(np.median(np.sign(higher) * np.maximum(np.abs(higher) - slope, 0.0)))
        if abs(excess) > _HIGHEST_ORIGIN_M:
            off.append((int(rows[np.argmax(np.abs(higher))]), excess))
    if off:
        box, excess = max(off, key=lambda one: abs(one[1]))
        yield Finding(
            "ground-elsewhere",
            Severity.ERROR if 2 * len(off) > len(frames) else Severity.WARNING,
            len(off),
            len(frames),
            "most boxes of a frame lie far above or below the ego vehicle",
            box_example(root, box, f"in the median {excess:+.1f} m against the ego pose, slopes allowed for"),
            "See whether heights of boxes and of ego poses count from the same level.",
        )


def _same_places(root: DataRoot, pairs: _Pairs) -> Iterator[Finding]:
    """Two boxes of one category in one place."""
    boxes = root.boxes
    width = np.minimum(boxes.size_wlh_m[:, 0], boxes.size_wlh_m[:, 1])
    near = pairs.distance_m < _SAME_PLACE * np.minimum(width[pairs.first], width[pairs.second])
    alike = near & (boxes.categories[pairs.first] == boxes.categories[pairs.second])
    alike &= (boxes.label[pairs.first] != root.taxonomy.label_of.get("pedestrian", NO_CLASS)) | _like_twins(root, pairs)
    alike &= np.abs(boxes.center_m[pairs.first, 2] - boxes.center_m[pairs.second, 2]) < width[pairs.first]
    frames: dict[str, set[int]] = {}
    for instance, sample in zip(boxes.instances.tolist(), boxes.sample.tolist(), strict=True):
        frames.setdefault(instance, set()).add(sample)
    together: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for at in np.flatnonzero(alike).tolist():
        one, other = sorted((str(boxes.instances[pairs.first[at]]), str(boxes.instances[pairs.second[at]])))
        together[one, other].append(at)
    # People brush past one another; who is inside of somebody else whenever both are there is the same.
    same = {
        pair: places
        for pair, places in together.items()
        if pair[0] != pair[1] and len(places) >= max(_FEWEST_FRAMES, len(frames[pair[0]] & frames[pair[1]]))
    }
    if same:
        at = next(iter(same.values()))[0]
        yield Finding(
            "annotated-twice",
            Severity.WARNING,
            len(same),
            len(frames),
            "two instances of one category are in one place in all frames that they share",
            box_example(
                root, int(pairs.first[at]), f"{pairs.distance_m[at]:.2f} m from {boxes.tokens[pairs.second[at]]}"
            ),
            "Keep one of the two; look for annotations that were imported twice.",
        )
