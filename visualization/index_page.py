"""Writes the page that lists scenes, with the scores over all of them and the errors of each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from scenes import InputError
from scenes.files import write_atomically
from visualization.html_page import assemble_page
from visualization.player import PageReport

_SCORES: Final = {"amota": 3, "amotp": 3, "mota": 3, "recall": 3, "ids": 0, "frag": 0}
"""Which scores of a summary are shown, with their decimals."""


def write_index(
    path: Path,
    reports: Sequence[PageReport],
    title: str,
    metrics: Mapping[str, float] | None = None,
    amota: Mapping[str, float] | None = None,
) -> None:
    """Write the page that lists the scenes' pages, which must lie in its folder, whole or not at all.

    Args:
        path: the page to write, usually `index.html`.
        reports: the scenes.
        title: what is drawn, usually the name of the result file.
        metrics: scores over all scenes, see `read_metrics`.
        amota: AMOTA of single scenes by name.
    """
    frames = sum(report.frames for report in reports)
    data = {
        "title": title,
        "facts": f"{len(reports)} scenes, {frames} frames",
        "metrics": [
            {"name": name.upper(), "value": f"{metrics[name]:.{digits}f}"}
            for name, digits in _SCORES.items()
            if metrics is not None and name in metrics
        ],
        "scenes": [_scene_entry(report, (amota or {}).get(report.scene_name)) for report in reports],
    }
    write_atomically(path, assemble_page("index.html", "index.css", ["index.js"], title, data))


def read_metrics(path: Path) -> dict[str, float]:
    """The scores over all classes of a `metrics_summary.json` as the tracking evaluation writes it.

    Raises:
        InputError: no such file, or it is no such summary.
    """
    try:
        # The devkit writes NaN, which only Python's own reader takes.
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(summary, dict) or "amota" not in summary:
        raise InputError(f"{path}: no tracking summary: key 'amota' is missing")
    return {key: float(value) for key, value in summary.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _scene_entry(report: PageReport, amota: float | None) -> dict[str, Any]:
    return {
        "name": report.scene_name,
        "link": quote(report.path.name),
        "location": report.location,
        "frames": report.frames,
        "tracks": report.tracks,
        "switches": report.switches,
        "misses": report.misses,
        "false_positives": report.false_positives,
        "amota": amota if _is_number(amota) else None,
        "mota": report.mota,
        "thumbnail": report.thumbnail,
    }
