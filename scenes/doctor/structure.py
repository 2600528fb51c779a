"""Whether the tables hold together: tokens that lead somewhere, chains, counts, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from scenes.doctor.data_root import DataRoot, is_inside
from scenes.doctor.findings import Example, Finding, Severity
from scenes.doctor.raw_tables import RawTable
from scenes.doctor.rows import LooseRow
from scenes.errors import shown

_RowFault = tuple[LooseRow, str]
"""A row, and what is wrong with it."""


def check_pointers(root: DataRoot) -> Iterator[Finding]:
    """Tokens that lead nowhere, a finding for each column."""
    data, annotations = root.data_table, root.annotations_table
    for table, column, target in (
        (root.scenes, "log_token", root.logs),
        (root.scenes, "first_sample_token", root.samples_table),
        (root.samples_table, "scene_token", root.scenes),
        (root.samples_table, "next", root.samples_table),
        (root.samples_table, "prev", root.samples_table),
        (root.calibrations_table, "sensor_token", root.sensors),
        (data, "sample_token", root.samples_table),
        (data, "calibrated_sensor_token", root.calibrations_table),
        (data, "ego_pose_token", root.poses_table),
        (root.instances, "category_token", root.categories),
        (annotations, "sample_token", root.samples_table),
        (annotations, "instance_token", root.instances),
        (annotations, "prev", annotations),
        (annotations, "next", annotations),
    ):
        yield from _dangling(table, column, target)
    strays = [
        (row, shown(token))
        for row in annotations.values()
        for token in row.attribute_tokens
        if token not in root.attributes
    ]
    yield from _leading_nowhere(annotations, "attribute_tokens", root.attributes, strays)


def _dangling(table: RawTable[Any], column: str, target: RawTable[Any]) -> Iterator[Finding]:
    may_be_empty = column in ("prev", "next")
    rows = ((row, getattr(row, column)) for row in table.values())
    strays = [(row, shown(token)) for row, token in rows if token not in target and not (may_be_empty and not token)]
    yield from _leading_nowhere(table, column, target, strays)


def _leading_nowhere(
    table: RawTable[Any], column: str, target: RawTable[Any], strays: Sequence[_RowFault]
) -> Iterator[Finding]:
    if strays:
        row, token = strays[0]
        yield Finding(
            "token-leads-nowhere",
            Severity.ERROR,
            len(strays),
            len(table),
            f"{table.name}.json, {column}: tokens that {target.name}.json does not have",
            Example(row.token, table.name, f"{column} {token}"),
            f"Write the missing rows of {target.name}.json, or take the rows that point to them out.",
        )


def check_chains(root: DataRoot) -> Iterator[Finding]:
    """`prev` and `next` that do not answer one another, leave their scene or instance, or run in a circle."""
    samples = root.samples_table
    yield from _broken_chain(samples, _chain_faults(samples, lambda row: row.scene_token, "scene"))
    yield from _broken_chain(samples, _unreached(root))
    annotations = root.annotations_table
    yield from _broken_chain(annotations, _chain_faults(annotations, lambda row: row.instance_token, "instance"))


def _broken_chain(table: RawTable[Any], faults: Iterable[_RowFault]) -> Iterator[Finding]:
    listed = list(faults)
    if listed:
        row, what = listed[0]
        yield Finding(
            "chain-broken",
            Severity.ERROR,
            len(listed),
            len(table),
            f"{table.name}.json: the rows of one chain do not hang together by prev and next: {what}",
            Example(row.token, table.name, what),
            "Sort the rows of each scene or instance by time and link neighbours both ways, the ends with ''.",
        )


def _chain_faults(rows: Mapping[str, Any], owner: Callable[[Any], str], owner_name: str) -> Iterator[_RowFault]:
    for row in rows.values():
        for forward, backward in (("next", "prev"), ("prev", "next")):
            neighbour = rows.get(getattr(row, forward))
            if neighbour is None:
                continue
            if neighbour is row:
                yield row, f"{forward} points to the row itself"
            elif owner(neighbour) != owner(row):
                yield row, f"{forward} leads to another {owner_name}"
            elif getattr(neighbour, backward) != row.token:
                yield row, f"{forward} leads to a row whose {backward} does not lead back"


def _unreached(root: DataRoot) -> Iterator[_RowFault]:
    """Key frames that the readers do not come to, since they go from `first_sample_token` along `next`."""
    reached: set[str] = set()
    for scene in root.scenes.values():
        token = scene.first_sample_token
        while token in root.samples_table and token not in reached:
            reached.add(token)
            token = root.samples_table[token].next
    for row in root.samples_table.values():
        if row.token not in reached and row.scene_token in root.scenes:
            yield row, "not reached from its scene's first_sample_token along next"


def check_counts(root: DataRoot) -> Iterator[Finding]:
    """`nbr_samples` and `nbr_annotations` that are not the numbers of rows."""
    of_scene = Counter(row.scene_token for row in root.samples_table.values())
    of_instance = Counter(row.instance_token for row in root.annotations_table.values())
    yield from _miscounted(root.scenes, "nbr_samples", of_scene)
    yield from _miscounted(root.instances, "nbr_annotations", of_instance)


def _miscounted(table: RawTable[Any], column: str, counts: Mapping[str, int]) -> Iterator[Finding]:
    stated = [(row, getattr(row, column)) for row in table.values() if getattr(row, column) is not None]
    wrong = [(row, number) for row, number in stated if number != counts[row.token]]
    if wrong:
        row, number = wrong[0]
        yield Finding(
            "count-wrong",
            Severity.WARNING,
            len(wrong),
            len(stated),
            f"{table.name}.json, {column}: not the number of rows that there are",
            Example(row.token, table.name, f"{column} {number}, rows {counts[row.token]}"),
            "See whether rows got lost on the way; if not, count again.",
        )


def check_attributes(root: DataRoot) -> Iterator[Finding]:
    """Annotations with several attributes."""
    several = [row for row in root.annotations_table.values() if len(row.attribute_tokens) > 1]
    if several:
        yield Finding(
            "several-attributes",
            Severity.ERROR,
            len(several),
            len(root.annotations_table),
            "annotations have several attributes, which the readers refuse",
            Example(several[0].token, "sample_annotation", f"attribute_tokens {several[0].attribute_tokens}"),
            "Keep the one that the nuScenes task asks for.",
        )


def check_scene_names(root: DataRoot) -> Iterator[Finding]:
    """Scenes of one name: splits know scenes by name."""
    counts = Counter(row.name for row in root.scenes.values())
    twice = [row for row in root.scenes.values() if counts[row.name] > 1]
    if twice:
        yield Finding(
            "scene-name-twice",
            Severity.ERROR,
            len(twice),
            len(root.scenes),
            "several scenes have one name, which the readers refuse: splits know scenes by their names",
            Example(twice[0].token, "scene", f"name {shown(twice[0].name)}"),
            "Give each scene a name of its own.",
        )


def check_files_inside(root: DataRoot) -> Iterator[Finding]:
    """File names that lead out of the data root."""
    outside = [row for row in root.data_table.values() if not is_inside(row.filename)]
    if outside:
        yield Finding(
            "file-outside",
            Severity.ERROR,
            len(outside),
            len(root.data_table),
            "sample_data.json, filename: empty, absolute, or climbing out of the data root, which the readers refuse",
            Example(outside[0].token, "sample_data", shown(outside[0].filename)),
            "Write paths relative to the data root, and copy or link the files below it.",
        )


def check_recordings(root: DataRoot) -> Iterator[Finding]:
    """Key frames without a recording, and sensors that have two in one."""
    recordings, samples = root.recordings, root.samples
    seen = np.zeros(len(samples.tokens), dtype=np.bool_)
    seen[recordings.sample[recordings.is_camera | (recordings.channel == "LIDAR_TOP")]] = True
    without = np.flatnonzero(~seen).tolist()
    if without:
        yield Finding(
            "frame-without-recording",
            Severity.ERROR,
            len(without),
            len(samples.tokens),
            "key frames without a camera or LIDAR_TOP in sample_data, which the readers refuse",
            Example(samples.tokens[without[0]], "sample", root.scene_name(int(samples.scene[without[0]]))),
            "Write a row of sample_data with is_key_frame true for each sensor and key frame, or drop the frame.",
        )
    pairs = Counter(zip(recordings.sample.tolist(), recordings.channel.tolist(), strict=True))
    twice = [pair for pair, count in pairs.items() if count > 1 and pair[1]]
    if twice:
        sample, channel = twice[0]
        yield Finding(
            "sensor-twice",
            Severity.ERROR,
            len(twice),
            len(pairs),
            "one sensor has several key-frame rows of sample_data in one sample",
            Example(samples.tokens[sample], "sample", f"{channel}, {pairs[twice[0]]} rows", samples.tokens[sample]),
            "Mark the one nearest in time with is_key_frame, the others as sweeps.",
        )


def check_sensors_complete(root: DataRoot) -> Iterator[Finding]:
    """Cameras that lack in some key frames of a scene."""
    recordings, samples = root.recordings, root.samples
    missing: list[tuple[int, str]] = []
    total = 0
    cameras = recordings.cameras
    for frames in root.frames_of_scenes():
        rows = cameras[np.isin(recordings.sample[cameras], frames)]
        for channel in np.unique(recordings.channel[rows]).tolist():
            having = set(recordings.sample[rows[recordings.channel[rows] == channel]].tolist())
            missing += [(frame, channel) for frame in frames.tolist() if frame not in having]
            total += len(frames)
    if missing:
        frame, channel = missing[0]
        yield Finding(
            "camera-lacks-frames",
            Severity.WARNING,
            len(missing),
            total,
            "a camera of the scene has no row in some key frames: detectors that expect all cameras stop there",
            Example(samples.tokens[frame], "sample", f"no {channel}", samples.tokens[frame]),
            "Look for dropped images in the recording; leave such frames out, or the camera out of the scene.",
        )
