"""Identities: one body for each instance, once in a frame, moving as bodies move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from scenes.doctor.class_sizes import labels_longer_than_wide
from scenes.doctor.data_root import DataRoot, IntArray
from scenes.doctor.ego_motion import box_example, deviations_m
from scenes.doctor.findings import Finding, Severity

_LONGEST_STEP_S: Final = 1.5
_FASTEST_MPS: Final = {"pedestrian": 12.5, "bicycle": 30.0}
"""The fastest runner and the fastest cyclist; others see `_FASTEST_VEHICLE_MPS`."""
_FASTEST_VEHICLE_MPS: Final = 90.0
_CHANGED: Final = 1.5
_SINGLE: Final = 0.8
_FEWEST_FRAMES: Final = 4
_MOVED_M: Final = 1.0
_FEWEST_STEPS: Final = 10
_VEHICLES: Final = ("car", "truck", "bus", "trailer", "construction_vehicle", "motorcycle", "bicycle")


def check_repeated_identities(root: DataRoot) -> Iterator[Finding]:
    """Instances that are twice in a frame, or in two scenes."""
    boxes = root.boxes
    pairs = Counter(zip(boxes.sample.tolist(), boxes.instances.tolist(), strict=True))
    twice = {pair for pair, count in pairs.items() if count > 1}
    if twice:
        keys = zip(boxes.sample.tolist(), boxes.instances.tolist(), strict=True)
        first = next(index for index, pair in enumerate(keys) if pair in twice)
        yield Finding(
            "identity-twice",
            Severity.ERROR,
            len(twice),
            len(pairs),
            "an instance has several boxes in one frame",
            box_example(root, first, f"instance {boxes.instances[first]}"),
            "Give each body an instance of its own; identities are unique in the whole data root.",
        )
    scenes: dict[str, int] = {}
    wandering: dict[str, int] = {}
    of_box = root.samples.scene[boxes.sample].tolist()
    for index, (instance, scene) in enumerate(zip(boxes.instances.tolist(), of_box, strict=True)):
        if scenes.setdefault(instance, scene) != scene:
            wandering.setdefault(instance, index)
    if wandering:
        instance, index = next(iter(wandering.items()))
        yield Finding(
            "identity-in-scenes",
            Severity.ERROR,
            len(wandering),
            len(scenes),
            "an instance has boxes in several scenes",
            box_example(root, index, f"instance {instance}, also in {root.scene_name(scenes[instance])}"),
            "Put the scene's name into the instance's token: numbers that begin again in each drive are not unique.",
        )


def check_identity_jumps(root: DataRoot) -> Iterator[Finding]:
    """Instances that get somewhere no body gets, within or between two steps."""
    boxes, samples = root.boxes, root.samples
    jumps: list[tuple[int, float, str]] = []
    total = 0
    for rows in _within_scenes(root):
        time_s, place = samples.time_s[boxes.sample[rows]], boxes.center_m[rows]
        later = np.concatenate([[True], np.diff(time_s) > 0])
        rows, time_s, place = rows[later], time_s[later], place[later]
        elapsed = np.diff(time_s)
        length = float(boxes.size_wlh_m[rows].max())
        total += len(elapsed)
        moved = np.linalg.norm(np.diff(place, axis=0), axis=1)
        too_fast = moved > length + _fastest_mps(root, int(boxes.label[rows[0]])) * elapsed
        jumps += [
            (int(rows[at + 1]), float(moved[at]), f"moved by {moved[at]:.1f} m in {elapsed[at]:.2f} s")
            for at in np.flatnonzero(too_fast).tolist()
        ]
        if len(rows) >= 3:
            off, most = deviations_m(time_s, place)
            close = (elapsed[:-1] <= _LONGEST_STEP_S) & (elapsed[1:] <= _LONGEST_STEP_S)
            for at in np.flatnonzero(close & (off > length + most)).tolist():
                text = f"{off[at]:.1f} m beside the line between the frames before and after"
                jumps.append((int(rows[at + 1]), float(off[at]), text))
    if jumps:
        box, _, text = max(jumps, key=lambda jump: jump[1])
        yield Finding(
            "identity-jumps",
            Severity.ERROR,
            len({jump[0] for jump in jumps}),
            total,
            "an instance jumps by more than its own length beyond what accelerations allow: two bodies share it",
            box_example(root, box, text),
            "Look for exchanged identities, a box put elsewhere by mistake, or a token used again.",
        )


def check_changing_sizes(root: DataRoot) -> Iterator[Finding]:
    """Instances that grow or shrink."""
    boxes = root.boxes
    changing = []
    instances = boxes.of_instances()
    for rows in instances:
        size = boxes.size_wlh_m[rows]
        if (size.max(axis=0) > _CHANGED * size.min(axis=0)).any():
            at = int(np.argmax(np.abs(np.log(size / np.median(size, axis=0))).max(axis=1)))
            changing.append((int(rows[at]), f"{size[at].tolist()}, in the median {np.median(size, axis=0).tolist()}"))
    if changing:
        yield Finding(
            "size-changes",
            Severity.WARNING,
            len(changing),
            len(instances),
            "the size of an instance changes from frame to frame by half and more: bodies do not",
            box_example(root, *changing[0]),
            "Give all boxes of an instance one size; look whether two bodies share the identity.",
        )


def check_lasting_identities(root: DataRoot) -> Iterator[Finding]:
    """Identities that are new in every frame."""
    boxes = root.boxes
    frames = Counter(root.samples.scene.tolist())
    counts = Counter(
        instance
        for instance, scene in zip(boxes.instances.tolist(), root.samples.scene[boxes.sample].tolist(), strict=True)
        if frames[scene] >= _FEWEST_FRAMES
    )
    single = [instance for instance, count in counts.items() if count == 1]
    if len(counts) >= _FEWEST_STEPS and len(single) > _SINGLE * len(counts):
        index = boxes.instances.tolist().index(single[0])
        yield Finding(
            "identity-once",
            Severity.ERROR,
            len(single),
            len(counts),
            "nearly every instance has a box in one frame only: identities do not last, and boxes have no velocity",
            box_example(root, index, f"instance {single[0]}"),
            "Use the track's number as the instance, not the box's; without tracks, tracking cannot be scored.",
        )


def check_box_headings(root: DataRoot) -> Iterator[Finding]:
    """Vehicles that drive where they do not face."""
    boxes, samples = root.boxes, root.samples
    named = root.taxonomy.label_of
    wanted = {*labels_longer_than_wide(root.taxonomy), *(named[name] for name in _VEHICLES if name in named)}
    start, end = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for rows in _within_scenes(root):
        if boxes.label[rows[0]] in wanted:
            start.append(rows[:-1])
            end.append(rows[1:])
    before, after = np.concatenate(start), np.concatenate(end)
    elapsed = samples.time_s[boxes.sample[after]] - samples.time_s[boxes.sample[before]]
    moved = boxes.center_m[after, :2] - boxes.center_m[before, :2]
    length = np.linalg.norm(moved, axis=1)
    drives = (length > _MOVED_M) & (elapsed > 0) & (elapsed <= _LONGEST_STEP_S)
    if drives.sum() < _FEWEST_STEPS:
        return
    before, moved, length = before[drives], moved[drives], length[drives]
    ahead = boxes.turn[before][:, :2, 0]
    along = (moved * ahead).sum(axis=1) / length
    astray = np.flatnonzero(along < np.sqrt(0.5))
    if 2 * len(astray) > len(along):
        worst = int(astray[np.argmin(along[astray])])
        angle = float(np.rad2deg(np.arccos(np.clip(along[worst], -1.0, 1.0))))
        yield Finding(
            "box-heading",
            Severity.ERROR,
            len(astray),
            len(along),
            "vehicles do not drive where their boxes face",
            box_example(root, int(before[worst]), f"drives {angle:.0f} degrees away from its heading"),
            "Measure yaw anticlockwise from global x to the front of the box; mind signs, 90 degrees and w x y z.",
        )


def _within_scenes(root: DataRoot) -> Iterator[IntArray]:
    """For each instance and scene in which it has two boxes or more, these in the order of time."""
    boxes = root.boxes
    for rows in boxes.of_instances():
        scene = root.samples.scene[boxes.sample[rows]]
        for part in np.split(rows, np.flatnonzero(np.diff(scene)) + 1):
            if len(part) >= 2 and np.isfinite(root.samples.time_s[boxes.sample[part]]).all():
                yield part


def _fastest_mps(root: DataRoot, label: int) -> float:
    if label < 0:
        return _FASTEST_VEHICLE_MPS
    class_ = root.taxonomy.classes[label]
    named = _FASTEST_MPS.get(class_.name, _FASTEST_VEHICLE_MPS)
    return named if class_.max_speed_mps is None else class_.max_speed_mps
