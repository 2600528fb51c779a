"""Frames per second of the tracker on one core: every preset, and a greedy peer, on the same boxes.

The boxes are made for the purpose: objects that drive straight or stand, seen by a camera that misses some of them,
among false boxes. The peer is the greedy tracker that StreamPETR ships, written plainly, box by box, after its
description; it has no filter and no history.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from scenes import DETECTION_CLASSES, LABEL_OF_CLASS, TRACKING_CLASSES, Boxes3D, InputError
from scenes.command import between, table_console
from scenes.geometry import rotation_from_yaw
from scenes.shipped import shipped_path
from tracking.config import TrackerConfig
from tracking.config_file import load_tracker_config
from tracking.tracker import Tracker

_KEY_FRAME_S = 0.5
_EGO = np.eye(4)
_WARM_UP_FRAMES = 10

_Step = Callable[[Boxes3D, int], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's arguments."""
    parser.add_argument(
        "--boxes", type=int, action=between(0), nargs="+", default=[10, 30, 120, 300, 1000], help="boxes a frame"
    )
    parser.add_argument("--frames", type=int, action=between(1), default=80, help="frames of a run")
    parser.add_argument("--rounds", type=int, action=between(1), default=3, help="runs of which the fastest counts")
    presets = shipped_path("configs/tracking")
    parser.add_argument("--configs", type=shipped_path, default=presets, help="folder of presets")


def run(arguments: argparse.Namespace) -> None:
    """Print frames per second of every preset and of the peer, for each number of boxes."""
    presets = {path.stem: load_tracker_config(path) for path in sorted(arguments.configs.glob("*.py"))}
    if not presets:
        raise InputError(f"{arguments.configs}: no configs in it")
    trackers: dict[str, Callable[[], _Step]] = {name: _fresh(config) for name, config in presets.items()}
    trackers["greedy, as published"] = lambda: GreedyPeer().step
    table = Table(title="frames per second, one core")
    table.add_column("tracker")
    for count in arguments.boxes:
        table.add_column(f"{count} boxes", justify="right")
    drives = [made_frames(count, arguments.frames + _WARM_UP_FRAMES) for count in arguments.boxes]
    for name, fresh in trackers.items():
        speeds = [frames_per_second(fresh, drive, arguments.rounds) for drive in drives]
        table.add_row(name, *(f"{speed:,.0f}" for speed in speeds))
    table_console().print(table)


def frames_per_second(fresh: Callable[[], _Step], frames: Sequence[Boxes3D], rounds: int) -> float:
    """The fastest of several runs over `frames`, the first of which only warm up."""
    fastest_s = math.inf
    for _ in range(rounds):
        step = fresh()
        for index, boxes in enumerate(frames):
            if index == _WARM_UP_FRAMES:
                started_s = time.perf_counter()
            step(boxes, int(index * _KEY_FRAME_S * 1e6))
        fastest_s = min(fastest_s, time.perf_counter() - started_s)
    return (len(frames) - _WARM_UP_FRAMES) / fastest_s


def made_frames(count: int, n_frames: int, seed: int = 0) -> list[Boxes3D]:
    """Frames of `count` boxes: seven in ten see an object, the others are false and anywhere."""
    rng = np.random.default_rng(seed)
    labels = [LABEL_OF_CLASS[name] for name in TRACKING_CLASSES]
    n_objects = max(1, int(0.8 * count))
    label = rng.choice(labels, n_objects, p=[0.05, 0.03, 0.5, 0.04, 0.25, 0.03, 0.1])
    place_m = rng.uniform(-55.0, 55.0, (n_objects, 2))
    yaw = rng.uniform(-np.pi, np.pi, n_objects)
    speed = rng.choice([0.0, 3.0, 9.0], n_objects)
    velocity = speed[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    frames = []
    for _ in range(n_frames):
        place_m = (place_m + _KEY_FRAME_S * velocity + 55.0) % 110.0 - 55.0
        seen = rng.permutation(n_objects)[: int(0.7 * count)]
        false = count - len(seen)
        xy_m = np.concatenate([place_m[seen] + rng.normal(0.0, 0.4, (len(seen), 2)), rng.uniform(-55, 55, (false, 2))])
        frames.append(
            Boxes3D(
                center_m=np.column_stack([xy_m, np.ones(count)]),
                size_wlh_m=np.tile([1.9, 4.5, 1.6], (count, 1)),
                rotation=rotation_from_yaw(np.concatenate([yaw[seen], rng.uniform(-np.pi, np.pi, false)])),
                velocity_mps=np.concatenate([velocity[seen], np.zeros((false, 2))]) + rng.normal(0.0, 0.3, (count, 2)),
                label=np.concatenate([label[seen], rng.choice(labels, false)]),
                score=np.concatenate([rng.uniform(0.3, 0.9, len(seen)), rng.uniform(0.05, 0.4, false)]),
                query_id=np.concatenate([seen, 10_000 + rng.integers(0, 10_000, false)]),
            )
        )
    return frames


class GreedyPeer:
    """Velocity-compensated greedy matching, one box after another, as StreamPETR ships it (published settings).

    Scores below 0.25 are dropped. Each box moved back by its velocity takes the nearest free track of its class within
    2.5 m. Tracks without a box coast by their last velocity and are dropped at age 3.
    """

    least_score = 0.25
    gate_m = 2.5
    max_age = 3

    def __init__(self) -> None:
        self._tracks: list[dict[str, Any]] = []
        self._last_us: int | None = None
        self._count = 0

    def step(self, boxes: Boxes3D, timestamp_us: int) -> list[dict[str, Any]]:
        """The tracks seen in one frame."""
        elapsed_s = 0.0 if self._last_us is None else (timestamp_us - self._last_us) * 1e-6
        self._last_us = timestamp_us
        kept: list[dict[str, Any]] = []
        taken: set[int] = set()
        for box in self._detections(boxes, elapsed_s):
            nearest = self._nearest(box, taken)
            if nearest is None:
                self._count += 1
                box["identity"] = self._count
            else:
                taken.add(nearest)
                box["identity"] = self._tracks[nearest]["identity"]
            kept.append(box)
        self._tracks = kept + list(self._coasting(taken, elapsed_s))
        return kept

    def _detections(self, boxes: Boxes3D, elapsed_s: float) -> Iterator[dict[str, Any]]:
        columns = (boxes.center_m, boxes.velocity_mps, boxes.label, boxes.score)
        for center, velocity, label, score in zip(*columns, strict=True):
            if score >= self.least_score and DETECTION_CLASSES[label] in TRACKING_CLASSES:
                back = center[:2] - elapsed_s * velocity
                yield {"place": center[:2], "back": back, "velocity": velocity, "label": label, "age": 0}

    def _nearest(self, box: dict[str, Any], taken: set[int]) -> int | None:
        best, best_m = None, self.gate_m
        if self._tracks:
            places = np.array([track["place"] for track in self._tracks])
            distances = np.sqrt(((places - box["back"]) ** 2).sum(axis=1))
            for index in np.flatnonzero(distances < best_m).tolist():
                same = self._tracks[index]["label"] == box["label"]
                if same and index not in taken and distances[index] < best_m:
                    best, best_m = index, distances[index]
        return best

    def _coasting(self, taken: set[int], elapsed_s: float) -> Iterator[dict[str, Any]]:
        for index, track in enumerate(self._tracks):
            if index not in taken and track["age"] + 1 < self.max_age:
                moved = track["place"] + elapsed_s * track["velocity"]
                yield {**track, "place": moved, "age": track["age"] + 1}


def _fresh(config: TrackerConfig) -> Callable[[], _Step]:
    def start() -> _Step:
        tracker = Tracker(config)
        return lambda boxes, timestamp_us: tracker.step(boxes, timestamp_us, _EGO)

    return start
