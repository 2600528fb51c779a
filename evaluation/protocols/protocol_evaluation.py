"""`ProtocolEvaluation`: what a protocol of another data set says of tracks, class by class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.evaluation import SUMMARY_FILE
from evaluation.protocols import ab3dmot, kitti_hota
from evaluation.protocols.kitti_boxes import read_kitti_sequences
from evaluation.table import text_table
from scenes.conversion.source_frames import SourceFrames
from scenes.errors import InputError
from scenes.files import write_atomically
from scenes.results import Results

_MODULES = {"ab3dmot": ab3dmot, "kitti-hota": kitti_hota}


@dataclass(frozen=True)
class ProtocolEvaluation:
    """The metrics of one result file.

    Attributes:
        summary: of each class that is labelled, percent and counts; see `ab3dmot.class_metrics` and
            `kitti_hota.class_metrics`.
        warnings: what a reader should know about the input, one line each.
    """

    summary: dict[str, dict[str, Any]]
    warnings: tuple[str, ...] = ()

    def write(self, folder: Path | str) -> None:
        """Write `metrics_summary.json`, whole or not at all."""
        write_atomically(Path(folder, SUMMARY_FILE), json.dumps(self.summary, indent=2).encode())

    def table(self) -> str:
        """One row a class, and one for each object inside a class's."""
        rows: dict[str, dict[str, float]] = {}
        for name, metrics in self.summary.items():
            rows[name] = {key: value for key, value in metrics.items() if not isinstance(value, dict)}
            rows |= {f"{name}, {key}": value for key, value in metrics.items() if isinstance(value, dict)}
        header = list(dict.fromkeys(key for values in rows.values() for key in values))
        lines = [[name, *(_cell(values.get(key)) for key in header)] for name, values in rows.items()]
        return text_table(["class", *header], lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def evaluate_kitti(results: Results, frames: SourceFrames, protocol: str) -> ProtocolEvaluation:
    """Judge tracks by a protocol of KITTI.

    Args:
        results: tracks of every key frame of `frames`.
        frames: of a data root that was converted from KITTI.
        protocol: `ab3dmot` or `kitti-hota`.

    Raises:
        InputError: see `read_kitti_sequences`; or no class is labelled.
    """
    judge = _MODULES[protocol]
    sequences = list(read_kitti_sequences(results, frames))
    found = {name: judge.class_metrics(sequences, name) for name in judge.CLASSES}
    summary = {name: metrics for name, metrics in found.items() if metrics is not None}
    if not summary:
        raise InputError(
            f"{frames.folder}: no {', '.join(found)} that counts is labelled; there is nothing to compare with"
        )
    tracked = {kind for sequence in sequences for kind in sequence.tracks.kind.tolist()}
    unlabelled = [f"no {name} that counts is labelled: left out" for name in found if name not in summary]
    untracked = [f"there are no {name} tracks" for name in summary if judge.CLASSES[name][0] not in tracked]
    return ProtocolEvaluation(summary, (*unlabelled, *untracked))
