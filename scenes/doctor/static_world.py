"""What stands still in the world stands still in global coordinates: boxes and ego poses fit together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from scenes.doctor.data_root import DataRoot, IntArray
from scenes.doctor.ego_motion import box_example
from scenes.doctor.findings import Finding, Severity
from scenes.geometry import FloatArray, transform_points

_STANDS_M: Final = 0.5
"""Annotators place what stands still within decimetres, and an ego pose at rest scatters less."""
_STATIC_STEP_M: Final = 1.0
_FEWEST_STEPS: Final = 10
_SHORTEST_STEP_S: Final = 0.5
_LONGEST_STEP_S: Final = 1.5
_MOVES_M: Final = 2.0
_TELLING_STEPS: Final = 50
_TELLING_INSTANCES: Final = 10
_MANY: Final = 0.2
_NEARLY_NONE: Final = 0.05
_CLEARLY: Final = 3.0
_FOUR_WHEELED: Final = ("car", "truck", "bus", "trailer", "construction_vehicle")


class _Steps(NamedTuple):
    """Steps of instances: boxes before (N,) and after (N,), scene (N,), and the ego's step (N, 2) meanwhile."""

    before: IntArray
    after: IntArray
    scene: IntArray
    ego_m: FloatArray


def check_static_world(root: DataRoot) -> Iterator[Finding]:
    """Barriers, cones and parked vehicles that move in global coordinates; without such, all that is annotated."""
    steps = _steps(root)
    still = root.boxes.is_static[steps.before] & root.boxes.is_static[steps.after]
    of_static = _Steps(steps.before[still], steps.after[still], steps.scene[still], steps.ego_m[still])
    findings = list(_static_things(root, of_static))
    yield from findings or _everything(root, steps)


def _static_things(root: DataRoot, steps: _Steps) -> Iterator[Finding]:
    length = _length_m(root.boxes.center_m, steps)
    moving: list[int] = []
    stands: list[int] = []
    scenes = np.unique(steps.scene)
    for scene in scenes.tolist():
        of_scene = np.flatnonzero(steps.scene == scene)
        if len(of_scene) < _FEWEST_STEPS or np.median(length[of_scene]) < _STATIC_STEP_M:
            continue
        driven = float(np.linalg.norm(steps.ego_m[of_scene], axis=1).max())
        (stands if driven < _STANDS_M else moving).append(int(of_scene[np.argmax(length[of_scene])]))
    for name, cases, what in (
        ("ego-stands", stands, "the ego pose stands still while barriers, cones and parked vehicles move past"),
        ("static-world-moves", moving, "barriers, cones and parked vehicles move in global coordinates"),
    ):
        if cases:
            at = max(cases, key=lambda case: length[case])
            yield _finding(root, name, Severity.ERROR, steps, at, len(cases), len(scenes), what)


def _everything(root: DataRoot, steps: _Steps) -> Iterator[Finding]:
    """Without things that are known to stand: does much more stand when boxes are taken to be in ego coordinates?"""
    driven = np.linalg.norm(steps.ego_m, axis=1)
    drives = np.flatnonzero(driven > _MOVES_M)
    written = _length_m(root.boxes.center_m, steps)
    if len(drives) >= _TELLING_STEPS:
        moved = _length_m(_as_of_ego(root), steps)
        stood, would_stand = (float((length[drives] < _STANDS_M).mean()) for length in (written, moved))
        if would_stand > _MANY and would_stand > _CLEARLY * stood:
            at = int(drives[np.argmax(written[drives] - moved[drives])])
            what = "hardly anything annotated stands still, and much does when boxes are taken to be in ego coordinates"
            yield _finding(root, "static-world-moves", Severity.ERROR, steps, at, len(drives), len(drives), what)
    # Where the vehicle stands, people may all walk; of ten vehicles one waits or is parked.
    named = root.taxonomy.label_of
    vehicle = np.isin(root.boxes.label[steps.before], [named[name] for name in _FOUR_WHEELED if name in named])
    for scene in np.unique(steps.scene).tolist():
        of_scene = np.flatnonzero((steps.scene == scene) & vehicle)
        instances = np.unique(root.boxes.instances[steps.before[of_scene]])
        telling = len(of_scene) >= _TELLING_STEPS and len(instances) >= _TELLING_INSTANCES
        if telling and driven[of_scene].max() < _STANDS_M and (written[of_scene] < _STANDS_M).mean() < _NEARLY_NONE:
            at = int(of_scene[np.argmax(written[of_scene])])
            what = "the ego pose stands still, and no annotated vehicle does"
            yield _finding(root, "ego-stands", Severity.WARNING, steps, at, len(of_scene), len(of_scene), what)
            return


def _finding(
    root: DataRoot, name: str, severity: Severity, steps: _Steps, at: int, count: int, of: int, what: str
) -> Finding:
    moved = np.linalg.norm(root.boxes.center_m[steps.after[at], :2] - root.boxes.center_m[steps.before[at], :2])
    text = f"moved by {moved:.1f} m, the ego vehicle meanwhile by {np.linalg.norm(steps.ego_m[at]):.1f} m"
    advice = {
        "ego-stands": "Write the poses of the drive; without any, boxes serve only where the vehicle really stands.",
        "static-world-moves": "Transform annotations by the ego pose of their frame, once: they are in ego "
        "coordinates, or poses are inverted or of another time.",
    }
    return Finding(name, severity, count, of, what, box_example(root, int(steps.after[at]), text), advice[name])


def _steps(root: DataRoot) -> _Steps:
    """From each box to the first of its instance half a second later or more, where ego poses are known."""
    boxes, samples, pose = root.boxes, root.samples, root.frame_pose
    before: list[IntArray] = [np.zeros(0, dtype=np.int64)]
    after = before.copy()
    for rows in boxes.of_instances():
        rows = rows[pose[boxes.sample[rows]] >= 0]
        time_s = samples.time_s[boxes.sample[rows]]
        # A little less than half a second: key frames come early and late.
        later = np.searchsorted(time_s, time_s + 0.8 * _SHORTEST_STEP_S)
        there = later < len(rows)
        before.append(rows[there])
        after.append(rows[later[there]])
    start, end = np.concatenate(before), np.concatenate(after)
    elapsed = samples.time_s[boxes.sample[end]] - samples.time_s[boxes.sample[start]]
    close = (
        (elapsed > 0)
        & (elapsed <= _LONGEST_STEP_S)
        & (samples.scene[boxes.sample[start]] == samples.scene[boxes.sample[end]])
    )
    start, end = start[close], end[close]
    places = [root.poses.translation_m[pose[boxes.sample[rows]], :2] for rows in (start, end)]
    return _Steps(start, end, samples.scene[boxes.sample[end]], places[1] - places[0])


def _length_m(place_m: FloatArray, steps: _Steps) -> FloatArray:
    """(N,) how far boxes move on the ground in each step."""
    length: FloatArray = np.linalg.norm(place_m[steps.after, :2] - place_m[steps.before, :2], axis=1)
    return length


def _as_of_ego(root: DataRoot) -> FloatArray:
    """(B, 3) where boxes are if what is written is in ego coordinates; NaN without a pose."""
    place = np.full_like(root.boxes.center_m, np.nan)
    for rows in root.boxes.of_samples():
        pose = int(root.frame_pose[root.boxes.sample[rows[0]]])
        if pose >= 0:
            place[rows] = transform_points(root.poses.matrix(pose), root.boxes.center_m[rows])
    return place
