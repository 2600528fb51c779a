"""Curves of an evaluation as pictures, each a self-contained SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scenes import Taxonomy

_COLORS = {
    "car": "#1f77b4",
    "truck": "#17becf",
    "bus": "#2ca02c",
    "trailer": "#8c564b",
    "construction_vehicle": "#bcbd22",
    "pedestrian": "#d62728",
    "motorcycle": "#e377c2",
    "bicycle": "#9467bd",
    "traffic_cone": "#ff7f0e",
    "barrier": "#7f7f7f",
}
_FURTHER_COLORS = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
_SIZE_INCHES = (5.2, 3.6)


def class_colors(taxonomy: Taxonomy) -> dict[str, str]:
    """The colour of each class's line: its own, that of nuScenes' class of its name, or one of a palette."""
    colors = {}
    for label, class_ in enumerate(taxonomy.classes):
        further = matplotlib.colors.to_hex(_FURTHER_COLORS[label % len(_FURTHER_COLORS)])
        colors[class_.name] = class_.color or _COLORS.get(class_.name, further)
    return colors


def recall_curves(details: Mapping[str, Any], metric: str, colors: Mapping[str, str]) -> str:
    """A tracking metric (`mota`, `motar`) over the recall, a line for each class."""
    with _figure("recall", metric.upper()) as (axes, drawn):
        for name, curves in details.items():
            recall, values = np.array(curves["recall"], dtype=float), np.array(curves[metric], dtype=float)
            if np.isfinite(values).any():
                axes.plot(recall, values, color=colors[name], marker=".", markersize=4, label=name)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return drawn.svg


def precision_recall_curves(details: Mapping[str, Any], distance_m: float, colors: Mapping[str, str]) -> str:
    """Precision over recall of detections at one matching distance, a line for each class that has any."""
    with _figure("recall", f"precision at {distance_m:g} m") as (axes, drawn):
        for key, curves in details.items():
            name, distance = key.split(":")
            if float(distance) == distance_m and any(curves["precision"]):
                reached = np.array(curves["confidence"]) > 0
                axes.plot(
                    np.array(curves["recall"])[reached],
                    np.array(curves["precision"])[reached],
                    color=colors[name],
                    label=name,
                )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return drawn.svg


def calibration_curves(calibration: Mapping[str, Sequence[Mapping[str, float]]], colors: Mapping[str, str]) -> str:
    """The share of predicted boxes that have an annotation over their mean score, a line for each class."""
    with _figure("score", "share of boxes that are right") as (axes, drawn):
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle="--", linewidth=1)
        for name, parts in calibration.items():
            scores, precisions = ([part[key] for part in parts] for key in ("score", "precision"))
            axes.plot(scores, precisions, color=colors[name], marker="o", markersize=3, label=name)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    return drawn.svg


def oracle_bars(oracles: Mapping[str, float]) -> str:
    """What mending each kind of error alone would add to AMOTA."""
    gains = {name: value - oracles["none"] for name, value in oracles.items() if name != "none"}
    names = sorted(gains, key=lambda name: gains[name])
    with _figure("AMOTA gained", "", legend=False) as (axes, drawn):
        axes.barh(names, [gains[name] for name in names], color="#1f77b4")
        axes.set_xlim(0, max([0.01, *gains.values()]) * 1.18)
        for position, name in enumerate(names):
            axes.text(gains[name], position, f" +{gains[name]:.3f}", va="center", fontsize=8)
        axes.grid(axis="y", visible=False)
    return drawn.svg


class _Drawn:
    svg = ""


@contextmanager
def _figure(x_label: str, y_label: str, *, legend: bool = True) -> Iterator[tuple[Axes, _Drawn]]:
    """Axes to draw on; the picture is there when the block has ended."""
    drawn = _Drawn()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "streamtrack", "font.size": 9}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.grid(visible=True, color="#e6e6e6")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        yield axes, drawn
        if legend and axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside right center", frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    drawn.svg = svg[svg.index("<svg") :]
