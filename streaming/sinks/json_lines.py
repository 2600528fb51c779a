"""A line of JSON a step, with the names of the nuScenes tracking format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import numpy as np

from scenes import NO_QUERY, Taxonomy
from streaming.output import TrackedStep
from streaming.sinks.files import check_writable, cut_unfinished_line


class JsonLinesSink:
    """Writes to a file, or to stdout, and flushes every line.

    Args:
        path: the file; `-` for stdout.
        taxonomy: the classes of the boxes.
        append: go on in the file of an earlier run, behind its last whole line.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, taxonomy: Taxonomy, append: bool = False) -> None:
        self._path = path
        self._taxonomy = taxonomy
        self._append = append
        self._file: IO[bytes] | None = None
        if str(path) == "-":
            self._file = sys.stdout.buffer
        else:
            check_writable(path)

    def publish(self, step: TrackedStep) -> None:
        if self._file is None:
            if self._append:
                cut_unfinished_line(self._path)
            self._file = cast(IO[bytes], self._path.open("ab" if self._append else "wb"))
        self._file.write(msgspec.json.encode(json_record(step, self._taxonomy)) + b"\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None and self._file is not sys.stdout.buffer:
            self._file.close()


def json_record(step: TrackedStep, taxonomy: Taxonomy) -> dict[str, Any]:
    """What a line says of a step; numbers that are not known are null."""
    return {
        "scene_token": step.scene,
        "sample_token": step.frame.token,
        "timestamp_us": step.frame.timestamp_us,
        "at_us": step.at_us,
        "latency_ms": round(1e3 * step.latency_s, 3),
        "cameras": sorted(step.images),
        "global_from_ego": step.frame.global_from_ego.tolist(),
        "objects": _objects(step, taxonomy),
    }


def _objects(step: TrackedStep, taxonomy: Taxonomy) -> list[dict[str, Any]]:
    boxes = step.boxes
    assert boxes.track_id is not None  # the tracker names every box
    queries = np.full(len(boxes), NO_QUERY) if boxes.query_id is None else boxes.query_id
    columns = zip(
        boxes.track_id.tolist(),
        boxes.label.tolist(),
        boxes.center_m.tolist(),
        boxes.size_wlh_m.tolist(),
        boxes.rotation.tolist(),
        boxes.velocity_mps.tolist(),
        boxes.score.tolist(),
        queries.tolist(),
        strict=True,
    )
    return [
        {
            "tracking_id": identity,
            "tracking_name": taxonomy.names[label],
            "translation": center,
            "size": size,
            "rotation": rotation,
            "velocity": velocity,
            "tracking_score": score,
            **({} if query == NO_QUERY else {"query_id": query}),
        }
        for identity, label, center, size, rotation, velocity, score, query in columns
    ]
