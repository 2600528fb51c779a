"""One picture of a key frame: the cameras around a bird's-eye view, and a panel with names and numbers."""

from __future__ import annotations

from typing import Final

import numpy as np

from scenes import Camera, Results, Scene
from visualization.colors import Image
from visualization.images import has_images
from visualization.panel import PANEL_COLOR, draw_title, paint_panel
from visualization.run_painter import CameraImages, DrawingOptions, RunPainter

CELL_PX: Final = (640, 360)
"""Width and height of a camera's cell; the bird's-eye view is two cells high."""

_COLUMNS: Final = 3
_BIRDS_EYE_CELL: Final = (1, 1)
_PANEL_CELL: Final = (2, 2)
_CAMERA_CELLS: Final = ((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (1, 2))
"""Row and column of the cameras, in the order of `_CAMERA_ORDER`; more cameras go into rows below."""

_CAMERA_ORDER: Final = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)


class MosaicPainter:
    """Paints the frames of one scene. Where the scene has no image on disk, the bird's-eye view alone."""

    def __init__(self, scene: Scene, tracks: Results, options: DrawingOptions | None = None) -> None:
        """
        Args:
            scene: what is painted.
            tracks: its boxes by sample token, with `track_id`.
            options: what is shown.
        """
        self.images = CameraImages()
        self._scene = scene
        self._options = options or DrawingOptions()
        self._run = RunPainter(scene, tracks, self._options)
        self._with_cameras = has_images(scene)
        self._surroundings: tuple[int, Image] | None = None

    def paint(self, index: int, share: float = 0.0) -> Image:
        """The picture of a frame, (H, W, 3); every frame of a scene has the same size.

        Args:
            index: of the frame.
            share: how far time has gone on towards the next frame, 0 to 1. The bird's-eye view moves with it;
                the cameras keep the images, and the boxes, of the key frame.
        """
        width, height = CELL_PX
        if self._surroundings is None or self._surroundings[0] != index:
            self._surroundings = index, self._paint_surroundings(index)
        image = self._surroundings[1].copy()
        if self._with_cameras:
            _place(image, self._run.paint_birds_eye(index, width, 2 * height, share), _BIRDS_EYE_CELL)
        else:
            _place(image, self._run.paint_birds_eye(index, 2 * width, 3 * height, share), (0, 0))
        return image

    def _paint_surroundings(self, index: int) -> Image:
        """Everything but the bird's-eye view."""
        width, height = CELL_PX
        image = np.empty((self._rows() * height, _COLUMNS * width, 3), dtype=np.uint8)
        image[:] = PANEL_COLOR
        boxes = self._run.boxes[index]
        if not self._with_cameras:
            _place(image, paint_panel(self._scene, index, boxes, self._options, width, 3 * height), (0, 2))
            return image
        _place(image, paint_panel(self._scene, index, boxes, self._options, width, height), _PANEL_CELL)
        for position, camera in enumerate(sorted_cameras(self._scene.frames[index].cameras)):
            photo = self.images.read(camera, width, height)
            self._run.annotate_camera(photo, index, camera)
            draw_title(photo, camera.name)
            _place(image, photo, _camera_cell(position))
        return image

    def _rows(self) -> int:
        most_cameras = max(len(frame.cameras) for frame in self._scene.frames) if self._with_cameras else 0
        return 3 + -(-max(0, most_cameras - len(_CAMERA_CELLS)) // _COLUMNS)


def sorted_cameras(cameras: tuple[Camera, ...]) -> list[Camera]:
    """Cameras as they stand in a picture: front and back, each from left to right; others by name."""

    def rank(camera: Camera) -> tuple[int, str]:
        known = camera.name in _CAMERA_ORDER
        return _CAMERA_ORDER.index(camera.name) if known else len(_CAMERA_ORDER), camera.name

    return sorted(cameras, key=rank)


def _camera_cell(position: int) -> tuple[int, int]:
    if position < len(_CAMERA_CELLS):
        return _CAMERA_CELLS[position]
    row, column = divmod(position - len(_CAMERA_CELLS), _COLUMNS)
    return 3 + row, column


def _place(image: Image, part: Image, cell: tuple[int, int]) -> None:
    top, left = cell[0] * CELL_PX[1], cell[1] * CELL_PX[0]
    image[top : top + part.shape[0], left : left + part.shape[1]] = part
