"""Everything that the doctor looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from scenes.doctor.annotations import check_categories, check_empty_frames, check_points
from scenes.doctor.cameras import (
    check_camera_axes,
    check_camera_directions,
    check_intrinsics,
    check_intrinsics_fit_images,
    check_mounting_units,
    check_shared_mountings,
)
from scenes.doctor.class_sizes import check_sizes
from scenes.doctor.data_root import DataRoot
from scenes.doctor.ego_motion import check_boxes_near_ego, check_ego_heading, check_ego_jumps
from scenes.doctor.findings import Diagnosis, Example, Finding, Severity, by_severity
from scenes.doctor.ground import check_ground
from scenes.doctor.identities import (
    check_box_headings,
    check_changing_sizes,
    check_identity_jumps,
    check_lasting_identities,
    check_repeated_identities,
)
from scenes.doctor.images import check_images
from scenes.doctor.projections import check_boxes_in_images
from scenes.doctor.quaternions import check_camera_quaternion_order, check_quaternion_norms, check_quaternion_order
from scenes.doctor.results import check_results
from scenes.doctor.splits import check_split_overlap, check_splits
from scenes.doctor.static_world import check_static_world
from scenes.doctor.structure import (
    check_attributes,
    check_chains,
    check_counts,
    check_files_inside,
    check_pointers,
    check_recordings,
    check_scene_names,
    check_sensors_complete,
)
from scenes.doctor.times import (
    check_frozen_times,
    check_pose_times,
    check_sample_order,
    check_sensors_in_step,
    check_steps,
    check_time_units,
)
from scenes.errors import InputError
from scenes.tables import read_scenes

Check = Callable[[DataRoot], Iterator[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    check_pointers,
    check_chains,
    check_counts,
    check_attributes,
    check_scene_names,
    check_files_inside,
    check_recordings,
    check_sensors_complete,
    check_quaternion_norms,
    check_quaternion_order,
    check_camera_quaternion_order,
    check_intrinsics,
    check_intrinsics_fit_images,
    check_camera_axes,
    check_camera_directions,
    check_mounting_units,
    check_shared_mountings,
    check_time_units,
    check_sample_order,
    check_steps,
    check_sensors_in_step,
    check_frozen_times,
    check_pose_times,
    check_ego_jumps,
    check_ego_heading,
    check_static_world,
    check_boxes_near_ego,
    check_categories,
    check_sizes,
    check_ground,
    check_box_headings,
    check_repeated_identities,
    check_identity_jumps,
    check_changing_sizes,
    check_lasting_identities,
    check_empty_frames,
    check_points,
    check_boxes_in_images,
    check_images,
    check_splits,
    check_split_overlap,
)


def examine(root: DataRoot, results: Path | None = None) -> Diagnosis:
    """Look for everything that goes wrong in a data root, and in a result file for it.

    Raises:
        InputError: there is no such result file, or nothing in it can be read; or the tables are empty.
    """
    findings = list(root.findings)
    # Absurd numbers are what is looked for: what comes of them is no number, and compares as false.
    with np.errstate(all="ignore"):
        for check in CHECKS:
            findings += check(root)
        if not any(finding.severity is Severity.ERROR for finding in findings):
            findings += _refusal(root)
        if results is not None:
            findings += check_results(root, results)
    if not len(root.samples.tokens) and not any(finding.severity is Severity.ERROR for finding in findings):
        raise InputError(f"{root.path / root.version}: no key frame, there is nothing to look at")
    return Diagnosis(
        dataroot=str(root.path),
        version=root.version,
        scenes=len(root.scenes),
        frames=len(root.samples.tokens),
        images=len(root.recordings.cameras),
        boxes=len(root.boxes.tokens),
        findings=by_severity(map(_printable, findings)),
    )


def _printable(finding: Finding) -> Finding:
    """A finding whose example can be written: JSON may hold halves of characters, which no encoding has."""
    texts = {name: getattr(finding.example, name) for name in ("token", "text", "sample_token", "channel")}
    plain = {name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()}
    return msgspec.structs.replace(finding, example=msgspec.structs.replace(finding.example, **plain))


def _refusal(root: DataRoot) -> Iterator[Finding]:
    """What the readers refuse all the same: where the doctor finds no error, every command can begin."""
    try:
        read_scenes(root.path, root.version)
    except InputError as error:
        yield Finding(
            "readers-refuse",
            Severity.ERROR,
            1,
            0,
            "the readers of every command refuse the data root",
            Example(root.version, "tables", str(error)),
            "Mend what the message names; docs/own_data.md says what each table needs.",
        )


def only_version(dataroot: Path) -> str:
    """The one folder of tables of a data root.

    Raises:
        InputError: there is none, or there are several.
    """
    if not dataroot.is_dir():
        raise InputError(f"{dataroot}: no such data root")
    found = sorted(path.parent.name for path in dataroot.glob("*/sample.json"))
    if len(found) != 1:
        raise InputError(
            f"{dataroot}: holds {', '.join(found)}; choose one with --version"
            if found
            else f"{dataroot}: no folder in it holds a sample.json; is it a data root in the nuScenes format?"
        )
    return found[0]
