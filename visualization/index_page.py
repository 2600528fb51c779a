"""Writes the page that lists scenes, with the scores over all of them and the errors of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from scenes import InputError
from scenes.files import write_atomically
from scenes.json_text import is_number, read_json
from visualization.annotators import short_identity
from visualization.html_page import assemble_page
from visualization.player import PageReport, page_link

_SCORES: Final = {"amota": 3, "amotp": 3, "mota": 3, "recall": 3, "ids": 0, "frag": 0}
"""Which scores of a summary are shown, with their decimals."""


class WorstTrack(msgspec.Struct, rename={"class_name": "class"}):
    """A track or an annotated object with many errors, as the evaluation lists it."""

    scene: str
    class_name: str
    track_id: str
    is_annotated: bool
    kind: str
    errors: int
    boxes: int
    sample_token: str
    start_s: float
    end_s: float


class _Analysis(msgspec.Struct):
    worst_tracks: list[WorstTrack]


def write_index(
    path: Path,
    reports: Sequence[PageReport],
    title: str,
    metrics: Mapping[str, float] | None = None,
    worst_tracks: Sequence[WorstTrack] = (),
) -> None:
    """Write the page that lists the scenes' pages, which must lie in its folder, whole or not at all.

    Args:
        path: the page to write, usually `index.html`.
        reports: the scenes.
        title: what is drawn, usually the name of the result file.
        metrics: scores over all scenes, see `read_metrics`.
        worst_tracks: listed with links into the scenes' pages, see `read_worst_tracks`; those of scenes without
            a page are left out.
    """
    frames = sum(report.frames for report in reports)
    data = {
        "title": title,
        "facts": f"{len(reports)} scenes, {frames} frames",
        "metrics": [
            {"name": name.upper(), "value": f"{metrics[name]:.{digits}f}"}
            for name, digits in _SCORES.items()
            if metrics is not None and is_number(metrics.get(name))
        ],
        "scenes": [_scene_entry(report) for report in reports],
        "worst": [_worst_entry(track) for track in worst_tracks if track.scene in {r.scene_name for r in reports}],
    }
    write_atomically(path, assemble_page("index.html", "index.css", ["index.js"], title, data))


def read_metrics(path: Path) -> dict[str, float]:
    """The scores over all classes of a `metrics_summary.json` as the tracking evaluation writes it.

    Raises:
        InputError: no such file, or it is no such summary.
    """
    summary = read_json(path)
    if not isinstance(summary, dict) or "amota" not in summary:
        raise InputError(f"{path}: no tracking summary: key 'amota' is missing")
    return {key: float(value) for key, value in summary.items() if is_number(value)}


def read_worst_tracks(path: Path) -> list[WorstTrack]:
    """The worst tracks of an `analysis.json` as the tracking evaluation writes it.

    Raises:
        InputError: no such file, or it holds no such list.
    """
    try:
        return msgspec.convert(read_json(path), _Analysis).worst_tracks
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: no analysis of the tracking evaluation: {error}") from error


def _worst_entry(track: WorstTrack) -> dict[str, Any]:
    return {
        "name": ("annotation " if track.is_annotated else "track ") + short_identity(track.track_id),
        "link": page_link(
            track.scene,
            sample_token=track.sample_token,
            track_id=None if track.is_annotated else track.track_id,
            annotation_id=track.track_id if track.is_annotated else None,
        ),
        "scene": track.scene,
        "class": track.class_name,
        "time": f"{track.start_s:.1f} to {track.end_s:.1f} s",
        "kind": track.kind.replace("_", " "),
        "errors": f"{track.errors} of {track.boxes} boxes",
    }


def _scene_entry(report: PageReport) -> dict[str, Any]:
    return {
        "name": report.scene_name,
        "link": quote(report.path.name),
        "location": report.location,
        "frames": report.frames,
        "tracks": report.tracks,
        "switches": report.switches,
        "misses": report.misses,
        "false_positives": report.false_positives,
        "amota": report.amota,
        "mota": report.mota,
        "thumbnail": report.thumbnail,
    }
