"""Time and memory of tracking with hindsight, by the length of the drive.

The drives are made for the purpose: objects that come into sight, drive straight or stand for 5 to 30 s and go, seen by
a camera that misses some of them. Each length is tracked in a process of its own, whose greatest memory is printed;
that of the detections and of the tracks is in it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from scenes import LABEL_OF_CLASS, TRACKING_CLASSES, Boxes3D
from scenes.command import table_console
from scenes.geometry import rotation_from_yaw
from scenes.jobs.processes import worker_pool
from tracking.calibration import Calibration
from tracking.class_table import ClassTable
from tracking.config import TrackerConfig
from tracking.offline import track_offline
from tracking.persistence import learn_from_drives

_SEEN_SHARE = 0.9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument("--minutes", type=float, nargs="+", default=[4, 15, 60], help="lengths (default: %(default)s)")
    parser.add_argument("--hertz", type=float, default=10.0, help="frames a second (default: %(default)s)")
    parser.add_argument("--tracks", type=int, default=60, help="objects in sight (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Print time and greatest memory for each length."""
    table = Table(title=f"hindsight, {arguments.hertz:g} Hz, {arguments.tracks} objects in sight")
    for column in ("minutes", "frames", "boxes", "tracks", "seconds", "memory"):
        table.add_column(column, justify="right")
    for minutes in arguments.minutes:
        n_frames = round(60 * minutes * arguments.hertz)
        with worker_pool(1) as pool:
            boxes, tracks, seconds, megabytes = pool.submit(
                measured_run, n_frames, arguments.hertz, arguments.tracks
            ).result()
        cells = (f"{minutes:g}", f"{n_frames:,}", f"{boxes:,}", f"{tracks:,}", f"{seconds:.0f}", f"{megabytes:.0f} MB")
        table.add_row(*cells)
    table_console().print(table)


def measured_run(n_frames: int, hertz: float, in_sight: int) -> tuple[int, int, float, float]:
    """Boxes, tracks, seconds and the process's greatest memory in megabytes."""
    drive = made_drive(n_frames, hertz, in_sight)
    times_us = [round(1e6 * frame / hertz) for frame in range(n_frames)]
    scale = learn_from_drives([zip(drive, times_us, strict=True)], ClassTable.from_config(TrackerConfig()))
    started_s = time.perf_counter()
    tracked = track_offline(
        drive, times_us, [np.eye(4)] * n_frames, TrackerConfig(), Calibration(scale), [()] * n_frames
    )
    seconds = time.perf_counter() - started_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    identities = {identity for boxes in tracked if boxes.track_id is not None for identity in boxes.track_id.tolist()}
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return sum(map(len, drive)), len(identities), seconds, peak / unit


def made_drive(n_frames: int, hertz: float, in_sight: int, seed: int = 0) -> list[Boxes3D]:
    """Frames of about `in_sight` objects, each seen nine times in ten."""
    rng = np.random.default_rng(seed)
    labels = [LABEL_OF_CLASS[name] for name in TRACKING_CLASSES]
    left_s = rng.uniform(0.0, 30.0, in_sight)
    state = _new_objects(rng, in_sight, labels)
    frames = []
    for _ in range(n_frames):
        gone = np.flatnonzero(left_s <= 0.0)
        left_s[gone] = rng.uniform(5.0, 30.0, len(gone))
        for column, fresh in zip(state, _new_objects(rng, len(gone), labels), strict=True):
            column[gone] = fresh
        place_m, velocity, yaw, label = state
        place_m += velocity / hertz
        left_s -= 1.0 / hertz
        seen = np.flatnonzero(rng.random(in_sight) < _SEEN_SHARE)
        frames.append(
            Boxes3D(
                center_m=np.column_stack([place_m[seen] + rng.normal(0.0, 0.3, (len(seen), 2)), np.ones(len(seen))]),
                size_wlh_m=np.tile([1.9, 4.5, 1.6], (len(seen), 1)),
                rotation=rotation_from_yaw(yaw[seen]),
                velocity_mps=velocity[seen] + rng.normal(0.0, 0.3, (len(seen), 2)),
                label=label[seen],
                score=rng.uniform(0.3, 0.9, len(seen)),
            )
        )
    return frames


def _new_objects(rng: np.random.Generator, count: int, labels: list[int]) -> tuple[NDArray[Any], ...]:
    """Places (N, 2), velocities (N, 2), headings and classes of objects that come into sight."""
    yaw = rng.uniform(-np.pi, np.pi, count)
    velocity = rng.choice([0.0, 3.0, 9.0], count)[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    return rng.uniform(-55.0, 55.0, (count, 2)), velocity, yaw, rng.choice(labels, count)
