"""Pictures for papers: one frame, or a strip of frames, as PNG, SVG or PDF, with the colours of the videos.

Boxes, tails and labels stay lines and text in SVG and PDF; only the camera images are pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Polygon
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from scenes import InputError, Results, Scene
from scenes.files import atomic_path
from scenes.geometry import FloatArray
from visualization.annotators import FRONT_FACE, TOP_FACE, LabelAnnotator, far_to_near, ground_paths, project_boxes
from visualization.birds_eye import EGO_OUTLINE_M, RING_SPACING_M
from visualization.colors import ColorArray, class_color, coloring_of, score_color
from visualization.images import grey_image, has_images, read_image
from visualization.mosaic import sorted_cameras
from visualization.run_painter import DrawingOptions, RunPainter
from visualization.views import BirdsEyeView, CameraView, View

FIGURE_FORMATS: Final = ("png", "svg", "pdf")

_INK: Final = "#1b2330"
_RING_COLOR: Final = "#d4d9e0"
_ANNOTATION_INK: Final = "#000000"
_ANNOTATION_DASHES: Final = (0, (2.0, 1.5))
_EDGE_SHADE: Final = 0.6
"""How much darker than a box from above its edges are."""
_LEGEND_EDGE: Final = "#346c8c"
_PIXELS_PER_INCH: Final = 200
_LABEL_PX: Final = 12
_RING_LABEL_PX: Final = (34, 12)
"""Width and height of the distance at a ring."""
_WIDTH_IN: Final = 7.2
"""Across a page of two columns."""
_GAP_IN: Final = 0.03
_LEGEND_IN: Final = 0.28
"""Height of a legend of one row."""
_LEGEND_ROW_IN: Final = 0.13
_LEGEND_HANDLE_IN: Final = 0.42
_LETTER_IN: Final = 0.047
"""Of the legend's letters, on average, at most."""
_TITLE_IN: Final = 0.2
_RULES: Final[dict[Any, Any]] = {"svg.hashsalt": "streamtrack", "font.family": "DejaVu Sans", "pdf.fonttype": 42}
"""The same scene gives the same bytes, and text in a PDF stays text."""


@dataclass(frozen=True)
class _Area:
    """A rectangle of a figure, in inches from its lower left corner."""

    left: float
    bottom: float
    width: float
    height: float


def write_figure(
    scene: Scene, tracks: Results, path: Path, frames: Sequence[int] = (0,), options: DrawingOptions | None = None
) -> None:
    """Draw frames of a scene and write them as PNG, SVG or PDF, by the path's suffix, whole or not at all.

    Args, errors: see `draw_figure`.
    """
    check_frames([scene], frames)  # before there is a folder for it
    with matplotlib.rc_context(_RULES), atomic_path(path) as temporary:
        figure = draw_figure(scene, tracks, frames, options)
        undated: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[path.suffix[1:]]
        figure.savefig(temporary, format=path.suffix[1:], dpi=300, metadata=undated)


def draw_figure(
    scene: Scene, tracks: Results, frames: Sequence[int] = (0,), options: DrawingOptions | None = None
) -> Figure:
    """One frame with all cameras and the bird's-eye view, or several frames with the front camera above each.

    Args:
        scene: frames and cameras; without any image on disk only the bird's-eye view is drawn.
        tracks: boxes by sample token, with `track_id`.
        frames: indices of the frames, from 0.
        options: what is drawn.

    Raises:
        InputError: there is no frame of such an index.
    """
    check_frames([scene], frames)
    run = RunPainter(scene, tracks, options or DrawingOptions())
    painter = _FigurePainter(run, has_images(scene))
    return painter.single(frames[0]) if len(frames) == 1 else painter.strip(frames)


def check_frames(scenes: Iterable[Scene], frames: Sequence[int]) -> None:
    """Check that every scene has all of some frames.

    Args:
        scenes: that are to be drawn. frames: indices of the frames, from 0.

    Raises:
        InputError: a scene has no frame of such an index.
    """
    for scene in scenes:
        for index in frames:
            if not 0 <= index < len(scene.frames):
                raise InputError(f"scene '{scene.name}' has {len(scene.frames)} frames, none with number {index + 1}")


class _FigurePainter:
    """Lays out a figure and fills it."""

    def __init__(self, run: RunPainter, with_cameras: bool) -> None:
        self._run = run
        self._options = run.options
        self._with_cameras = with_cameras
        self._coloring = coloring_of(run.options.color_by, run.scene.taxonomy)

    def single(self, index: int) -> Figure:
        """All cameras in two rows, the bird's-eye view beside them."""
        cameras = sorted_cameras(self._run.scene.frames[index].cameras) if self._with_cameras else []
        columns = -(-len(cameras) // 2)
        # Two rows of 16:9 cells and a square of their common height fill the width.
        cell = (_WIDTH_IN - columns * _GAP_IN) / (columns + 2 * 9 / 16) if cameras else 0.0
        side = 2 * cell * 9 / 16 + _GAP_IN if cameras else 0.5 * _WIDTH_IN
        width = _WIDTH_IN if cameras else side
        legend = _Legend(self._legend_handles([index]), width)
        figure = Figure(figsize=(width, side + legend.height_in))
        for position, camera in enumerate(cameras):
            row, column = divmod(position, columns)
            bottom = legend.height_in + (1 - row) * (cell * 9 / 16 + _GAP_IN)
            axes, view_px = _add_axes(figure, _Area(column * (cell + _GAP_IN), bottom, cell, cell * 9 / 16))
            self._draw_camera(axes, index, camera.name, view_px)
        left = columns * (cell + _GAP_IN)
        axes, view_px = _add_axes(figure, _Area(left, legend.height_in, side, side))
        self._draw_birds_eye(axes, index, view_px)
        legend.draw(figure)
        return figure

    def strip(self, frames: Sequence[int]) -> Figure:
        """A column a frame: time, front camera, bird's-eye view."""
        cell = (_WIDTH_IN - (len(frames) - 1) * _GAP_IN) / len(frames)
        camera_height = cell * 9 / 16 + _GAP_IN if self._with_cameras else 0.0
        legend = _Legend(self._legend_handles(frames), _WIDTH_IN)
        figure = Figure(figsize=(_WIDTH_IN, legend.height_in + cell + camera_height + _TITLE_IN))
        start_us = self._run.scene.frames[0].timestamp_us
        for column, index in enumerate(frames):
            left = column * (cell + _GAP_IN)
            axes, view_px = _add_axes(figure, _Area(left, legend.height_in, cell, cell))
            self._draw_birds_eye(axes, index, view_px)
            frame = self._run.scene.frames[index]
            if self._with_cameras and frame.cameras:
                names = [camera.name for camera in frame.cameras]
                name = "CAM_FRONT" if "CAM_FRONT" in names else names[0]
                area = _Area(left, legend.height_in + cell + _GAP_IN, cell, cell * 9 / 16)
                axes, view_px = _add_axes(figure, area)
                self._draw_camera(axes, index, name, view_px)
            axes.set_title(f"{1e-6 * (frame.timestamp_us - start_us):.1f} s", fontsize=7, color=_INK, pad=2)
        legend.draw(figure)
        return figure

    def _draw_camera(self, axes: Axes, index: int, name: str, view_px: tuple[int, int]) -> None:
        camera = next(camera for camera in self._run.scene.frames[index].cameras if camera.name == name)
        width, height = view_px
        # Twice the drawing's resolution: photographs are looked at closely.
        image = read_image(camera, 2 * width, 2 * height)
        shown = grey_image(camera.image_path, 2 * width, 2 * height) if image is None else image
        axes.imshow(shown, extent=(0, width, height, 0), interpolation="lanczos")
        view = CameraView(camera, width, height)
        self._draw_annotations(axes, index, view, "white")
        self._draw_boxes(axes, index, view, FRONT_FACE, opacity=0.3)
        title = axes.text(5, 5, name, fontsize=4.5, color="white", va="top")
        title.set_path_effects([withStroke(linewidth=1.2, foreground=_INK)])

    def _draw_birds_eye(self, axes: Axes, index: int, view_px: tuple[int, int]) -> None:
        width, height = view_px
        pose = self._run.scene.frames[index].global_from_ego
        view = BirdsEyeView(pose, width, height, pixels_per_m=0.5 * height / self._options.range_m)
        _draw_rings(axes, view)
        self._draw_tails(axes, index, view)
        self._draw_boxes(axes, index, view, TOP_FACE, opacity=0.75)
        # Over the tracks: where both agree the dashes show on the body's colour.
        self._draw_annotations(axes, index, view, _ANNOTATION_INK, dashes=_ANNOTATION_DASHES, order=4.5)

    def _draw_boxes(self, axes: Axes, index: int, view: View, face: tuple[int, ...], opacity: float) -> None:
        boxes = self._run.boxes[index]
        lines, visible = project_boxes(boxes, view)
        colors = self._coloring(boxes) / 255.0
        corners = boxes.corners()
        from_above = face is TOP_FACE
        for rank, box in enumerate(far_to_near(boxes, view).tolist()):
            if not visible[box].any():
                continue
            order = 3 + rank / len(boxes)
            polygon = view.polygon(corners[box, face])
            if len(polygon) >= 3:
                axes.add_collection(PolyCollection([polygon], color=colors[box], alpha=opacity, lw=0, zorder=order))
            # On white ground pale colours would fade: the edges there are a darker shade. Black is for annotations.
            edge = _EDGE_SHADE * colors[box] if from_above else colors[box]
            edges = LineCollection(
                list(lines[box][visible[box]]), colors=[edge], lw=0.3 if from_above else 0.7, zorder=order
            )
            if not from_above:
                edges.set_path_effects([withStroke(linewidth=1.3, foreground=_INK)])
            axes.add_collection(edges)
        hidden = _rectangles(view, corners) if isinstance(view, BirdsEyeView) else None
        self._draw_labels(axes, index, view, colors, hidden)

    def _draw_labels(
        self, axes: Axes, index: int, view: View, colors: FloatArray, covered: NDArray[np.int64] | None
    ) -> None:
        annotator = LabelAnnotator(self._coloring, size_px=_LABEL_PX)
        for box, text, (left, top, right, bottom) in annotator.place(self._run.boxes[index], view, covered):
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            axes.add_patch(Polygon(corners, facecolor=colors[box], lw=0, zorder=5))
            ink = _INK if float(colors[box] @ np.array([0.299, 0.587, 0.114])) > 0.43 else "white"
            size_pt = 0.85 * _LABEL_PX * 72 / _PIXELS_PER_INCH
            center = (0.5 * (left + right), 0.5 * (top + bottom))
            axes.text(*center, text, fontsize=size_pt, color=ink, ha="center", va="center_baseline", zorder=6)

    def _draw_annotations(
        self, axes: Axes, index: int, view: View, color: str, dashes: Any = "solid", order: float = 2
    ) -> None:
        annotations = self._run.scene.frames[index].annotations
        if self._options.annotations and annotations is not None:
            lines, visible = project_boxes(self._options.chosen(annotations.boxes, self._run.scene.taxonomy), view)
            axes.add_collection(LineCollection(list(lines[visible]), colors=color, lw=0.6, ls=dashes, zorder=order))

    def _draw_tails(self, axes: Axes, index: int, view: View) -> None:
        boxes = self._run.boxes[index]
        colors: ColorArray = self._coloring(boxes)
        for path, color in zip(ground_paths(self._run.history(index)), colors, strict=True):
            lines, visible = view.segments(path[:-1], path[1:])
            axes.add_collection(LineCollection(list(lines[visible]), colors=[color / 255.0], lw=1.0, zorder=2.5))

    def _legend_handles(self, frames: Sequence[int]) -> list[Any]:
        handles: list[Any] = [
            Line2D([], [], color=_LEGEND_EDGE, lw=0.8, label="edges, with a line towards the front"),
            Line2D([], [], color="#56b4e9", lw=1.2, label=f"path of the last {self._options.tail_s:g} s"),
        ]
        if self._options.color_by == "identity":
            handles.insert(0, Patch(color="#56b4e9", label="one colour an identity"))
        elif self._options.color_by == "class":
            labels = sorted({label for index in frames for label in self._run.boxes[index].label.tolist()})
            taxonomy = self._run.scene.taxonomy
            names = [(taxonomy.names[label].replace("_", " "), class_color(label, taxonomy)) for label in labels]
            handles = [Patch(color=color, label=name) for name, color in names]
        else:
            handles = [Patch(color=score_color(score), label=f"score {score:g}") for score in (0.0, 0.5, 1.0)]
        if self._options.annotations:
            label = "annotated (white in cameras)"
            handles.append(Line2D([], [], color=_ANNOTATION_INK, lw=0.6, ls=_ANNOTATION_DASHES, label=label))
        if self._options.shown:
            handles.append(Line2D([], [], lw=0, label=self._options.shown))
        return handles


class _Legend:
    """What stands below a figure, in as many rows as its width needs."""

    def __init__(self, handles: Sequence[Any], width_in: float) -> None:
        self._handles = handles
        labels = [str(handle.get_label()) for handle in handles]
        fitting = (columns for columns in range(len(labels), 1, -1) if _columns_width_in(labels, columns) <= width_in)
        self._columns = next(fitting, 1)
        self.height_in = _LEGEND_IN + (-(-len(labels) // self._columns) - 1) * _LEGEND_ROW_IN

    def draw(self, figure: Figure) -> None:
        figure.legend(
            handles=self._handles, loc="lower center", ncols=self._columns, fontsize=6, frameon=False, borderpad=0.2
        )


def _columns_width_in(labels: Sequence[str], columns: int) -> float:
    """How wide a legend is whose labels fill so many columns one after the other."""
    parts = np.array_split(np.array([len(label) for label in labels]), columns)
    return float(sum(_LEGEND_HANDLE_IN + _LETTER_IN * part.max() for part in parts))


def _add_axes(figure: Figure, area: _Area) -> tuple[Axes, tuple[int, int]]:
    """Axes without ticks whose unit is a pixel, and their size in pixels."""
    width, height = figure.get_size_inches()
    place = (area.left / width, area.bottom / height, area.width / width, area.height / height)
    axes = figure.add_axes(place)
    view_px = round(area.width * _PIXELS_PER_INCH), round(area.height * _PIXELS_PER_INCH)
    axes.set(xlim=(0, view_px[0]), ylim=(view_px[1], 0), xticks=[], yticks=[], autoscale_on=False)
    for spine in axes.spines.values():
        spine.set(color=_RING_COLOR, linewidth=0.5)
    return axes, view_px


def _rectangles(view: BirdsEyeView, corners_m: FloatArray) -> NDArray[np.int64]:
    """(M, 4) left, top, right, bottom of boxes with corners (N, 8, 3) and of the rings' labels, pixels."""
    pixels = view.pixels(corners_m.reshape(-1, 3)).reshape(-1, 8, 2)
    of_boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    half_px = np.array(_RING_LABEL_PX) / 2
    of_rings = [np.concatenate([place - half_px, place + half_px]) for _, place in _ring_labels(view)]
    rectangles: NDArray[np.int64] = np.round(np.vstack([of_boxes, *of_rings])).astype(np.int64)
    return rectangles


def _ring_labels(view: BirdsEyeView) -> list[tuple[str, FloatArray]]:
    """The text at each ring, and where its middle is in the picture."""
    reach_m = float(np.hypot(view.width_px, view.height_px)) / (2 * view.pixels_per_m)
    labels = []
    for radius_m in np.arange(RING_SPACING_M, reach_m, RING_SPACING_M):
        place = view.pixels_from_ego(radius_m * np.sqrt(0.5) * np.array([[1.0, -1.0]]))[0]
        if place[0] < 0.95 * view.width_px and place[1] > 0.03 * view.height_px:
            labels.append((f"{radius_m:.0f} m", place))
    return labels


def _draw_rings(axes: Axes, view: BirdsEyeView) -> None:
    middle = view.pixels_from_ego(np.zeros((1, 2)))[0]
    reach_m = float(np.hypot(view.width_px, view.height_px)) / (2 * view.pixels_per_m)
    for radius_m in np.arange(RING_SPACING_M, reach_m, RING_SPACING_M):
        radius = radius_m * view.pixels_per_m
        axes.add_patch(Circle((middle[0], middle[1]), radius, fill=False, color=_RING_COLOR, lw=0.4, zorder=1))
    for text, place in _ring_labels(view):
        axes.text(place[0], place[1], text, fontsize=4, color="#8a93a0", ha="center", va="center", zorder=1)
    outline = view.pixels_from_ego(EGO_OUTLINE_M)
    axes.add_patch(Polygon(outline, facecolor="#c9d0da", edgecolor=_INK, lw=0.5, zorder=2))
