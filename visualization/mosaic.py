"""One picture of a key frame: the cameras around a bird's-eye view, and a panel with names and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np

from scenes import DETECTION_CLASSES, Boxes3D, Camera, Results, Scene
from visualization.annotators import TOP_FACE, BoxAnnotator, LabelAnnotator, TailAnnotator
from visualization.birds_eye import birds_eye_canvas
from visualization.colors import ANNOTATION_COLOR, Image, identity_color, rgb, single_color
from visualization.images import grey_image, has_images, read_image
from visualization.selection import boxes_by_frame
from visualization.text import draw_text, text_size_px
from visualization.views import BirdsEyeView, CameraView, View

CELL_PX: Final = (640, 360)
"""Width and height of a camera's cell; the bird's-eye view is two cells high."""

_COLUMNS: Final = 3
_BIRDS_EYE_CELL: Final = (1, 1)
_PANEL_CELL: Final = (2, 2)
_CAMERA_CELLS: Final = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0))
"""Row and column of the cameras, in the order of `_CAMERA_ORDER`; more cameras go into rows below."""

_CAMERA_ORDER: Final = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK_RIGHT",
    "CAM_BACK",
)

_INK: Final = rgb("#e8edf4")
_FAINT_INK: Final = rgb("#9aa6b8")
_PANEL_COLOR: Final = rgb("#181e28")


@dataclass(frozen=True)
class MosaicOptions:
    """What a mosaic shows.

    Attributes:
        annotations: whether annotated boxes are drawn in white under the tracks.
        range_m: how far ahead and behind the bird's-eye view reaches.
        tail_s: how far back the tails reach.
    """

    annotations: bool = False
    range_m: float = 50.0
    tail_s: float = 4.0


@dataclass
class MosaicPainter:
    """Paints the key frames of one scene. Where the scene has no image on disk, the bird's-eye view alone.

    Attributes:
        scene: what is painted.
        tracks: its boxes by sample token, with `track_id`.
        options: what is shown.
        unreadable: names of the image files that were painted as a grey frame so far.
    """

    scene: Scene
    tracks: Results
    options: MosaicOptions = field(default_factory=MosaicOptions)
    unreadable: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._boxes = boxes_by_frame(self.scene, self.tracks)
        self._with_cameras = has_images(self.scene)

    def paint(self, index: int) -> Image:
        """The picture of the frame with this index, (H, W, 3); every frame of a scene has the same size."""
        width, height = CELL_PX
        if not self._with_cameras:
            birds_eye = self._paint_birds_eye(index, 2 * width, 3 * height)
            return np.hstack([birds_eye, self._paint_panel(index, width, 3 * height)])
        cameras = sorted(self.scene.frames[index].cameras, key=_camera_rank)
        rows = 3 + -(-max(0, self._camera_count() - len(_CAMERA_CELLS)) // _COLUMNS)
        image = np.empty((rows * height, _COLUMNS * width, 3), dtype=np.uint8)
        image[:] = _PANEL_COLOR
        _place(image, self._paint_birds_eye(index, width, 2 * height), _BIRDS_EYE_CELL)
        _place(image, self._paint_panel(index, width, height), _PANEL_CELL)
        for position, camera in enumerate(cameras):
            _place(image, self._paint_camera(camera, index), _camera_cell(position))
        return image

    def _camera_count(self) -> int:
        return max(len(frame.cameras) for frame in self.scene.frames)

    def _paint_camera(self, camera: Camera, index: int) -> Image:
        width, height = CELL_PX
        image = read_image(camera, width, height)
        if image is None:
            self.unreadable.append(camera.image_path.name)
            image = grey_image(camera.image_path, width, height)
        view = CameraView(camera, width, height)
        self._annotate_reference(image, index, view)
        BoxAnnotator().annotate(image, self._boxes[index], view)
        LabelAnnotator(size_px=13).annotate(image, self._boxes[index], view)
        _draw_title(image, camera.name)
        return image

    def _paint_birds_eye(self, index: int, width_px: int, height_px: int) -> Image:
        pose = self.scene.frames[index].global_from_ego
        view = BirdsEyeView(pose, width_px, height_px, pixels_per_m=0.5 * height_px / self.options.range_m)
        image = birds_eye_canvas(view)
        self._annotate_reference(image, index, view)
        TailAnnotator(thickness_px=2).annotate(image, self._history(index), view)
        painter = BoxAnnotator(thickness_px=1, tinted_face=TOP_FACE, opacity=0.35, outlined=False)
        painter.annotate(image, self._boxes[index], view)
        return LabelAnnotator(size_px=11).annotate(image, self._boxes[index], view)

    def _annotate_reference(self, image: Image, index: int, view: View) -> None:
        """The annotated boxes, under everything else."""
        annotations = self.scene.frames[index].annotations
        if self.options.annotations and annotations is not None:
            annotator = BoxAnnotator(single_color(ANNOTATION_COLOR), thickness_px=1, opacity=0.0, outlined=False)
            annotator.annotate(image, annotations.boxes, view)

    def _history(self, index: int) -> Sequence[Boxes3D]:
        """The boxes of the frames from `tail_s` ago until now."""
        oldest_us = self.scene.frames[index].timestamp_us - 1e6 * self.options.tail_s
        return [
            boxes
            for frame, boxes in zip(self.scene.frames[: index + 1], self._boxes, strict=False)
            if frame.timestamp_us >= oldest_us
        ]

    def _paint_panel(self, index: int, width_px: int, height_px: int) -> Image:
        image = np.empty((height_px, width_px, 3), dtype=np.uint8)
        image[:] = _PANEL_COLOR
        frame, first = self.scene.frames[index], self.scene.frames[0]
        elapsed_s = 1e-6 * (frame.timestamp_us - first.timestamp_us)
        draw_text(image, self.scene.name, 24, 16, 26, _INK)
        position = f"frame {index + 1} of {len(self.scene.frames)}    {elapsed_s:.1f} s    {self.scene.location}"
        draw_text(image, position, 24, 56, 16, _FAINT_INK)
        _draw_counts(image, self._boxes[index], left_px=24, top_px=96)
        _draw_legend(image, self.options, left_px=300, top_px=96)
        return image


def _camera_rank(camera: Camera) -> tuple[int, str]:
    known = camera.name in _CAMERA_ORDER
    return _CAMERA_ORDER.index(camera.name) if known else len(_CAMERA_ORDER), camera.name


def _camera_cell(position: int) -> tuple[int, int]:
    if position < len(_CAMERA_CELLS):
        return _CAMERA_CELLS[position]
    row, column = divmod(position - len(_CAMERA_CELLS), _COLUMNS)
    return 3 + row, column


def _place(image: Image, part: Image, cell: tuple[int, int]) -> None:
    top, left = cell[0] * CELL_PX[1], cell[1] * CELL_PX[0]
    image[top : top + part.shape[0], left : left + part.shape[1]] = part


def _draw_title(image: Image, title: str) -> None:
    width, height = text_size_px(title, 13)
    plate = image[: height + 6, : width + 12]
    plate[:] = (0.35 * plate).astype(np.uint8)
    draw_text(image, title, 6, 3, 13, _INK)


def _draw_counts(image: Image, boxes: Boxes3D, left_px: int, top_px: int) -> None:
    """How many tracks of each class the frame shows."""
    counts = Counter(boxes.label.tolist())
    rows = [(f"{len(boxes)}", "tracks")]
    rows += [(f"{count}", DETECTION_CLASSES[label].replace("_", " ")) for label, count in counts.most_common()]
    for line, (count, name) in enumerate(rows):
        top = top_px + 26 * line
        width, _ = text_size_px(count, 17)
        draw_text(image, count, left_px + 40 - width, top, 17, _INK)
        draw_text(image, name, left_px + 52, top, 17, _INK if line == 0 else _FAINT_INK)


def _draw_legend(image: Image, options: MosaicOptions, left_px: int, top_px: int) -> None:
    """What colours and marks mean."""
    entries = ["one colour an identity", "filled face, short line: the front", f"tail: the last {options.tail_s:g} s"]
    if options.annotations:
        entries.append("white: annotated")
    for line, text in enumerate(entries):
        draw_text(image, text, left_px + 36, top_px + 28 * line, 15, _FAINT_INK)
        _draw_mark(image, line, left_px, top_px + 28 * line + 9)


def _draw_mark(image: Image, entry: int, left_px: int, middle_px: int) -> None:
    """The small sign before a line of the legend: identity, front, tail, annotation."""
    if entry == 0:
        for column, identity in enumerate(("1", "2", "3")):
            color = rgb(identity_color(identity)).tolist()
            cv2.circle(image, (left_px + 4 + 10 * column, middle_px), 4, color, -1, cv2.LINE_AA)
    elif entry == 1:
        cv2.rectangle(image, (left_px, middle_px - 6), (left_px + 24, middle_px + 6), _INK.tolist(), 1)
        image[middle_px - 5 : middle_px + 6, left_px + 19 : left_px + 24] = _FAINT_INK
    elif entry == 2:
        cv2.line(image, (left_px, middle_px), (left_px + 12, middle_px), _INK.tolist(), 1, cv2.LINE_AA)
        cv2.line(image, (left_px + 12, middle_px), (left_px + 24, middle_px), _INK.tolist(), 3, cv2.LINE_AA)
    else:
        cv2.rectangle(image, (left_px, middle_px - 6), (left_px + 24, middle_px + 6), _INK.tolist(), 1)
