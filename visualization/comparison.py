"""One picture of a key frame for two runs, side by side: small cameras above, a bird's-eye view below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from scenes import Results, Scene
from visualization.colors import Image
from visualization.images import has_images
from visualization.mosaic import sorted_cameras
from visualization.panel import PANEL_COLOR, draw_title, frame_text
from visualization.run_painter import CameraImages, DrawingOptions, RunPainter

_HALF_PX: Final = (960, 1080)
_CELL_PX: Final = (320, 180)
_COLUMNS: Final = 3
_GAP_PX: Final = 4
"""Between the two halves."""


class ComparisonPainter:
    """Paints the frames of one scene with two runs. Without any image on disk, two bird's-eye views alone."""

    def __init__(self, scene: Scene, runs: Mapping[str, Results], options: DrawingOptions | None = None) -> None:
        """
        Args:
            scene: what is painted.
            runs: by name the boxes of each run by sample token, with `track_id`; the first stands on the left.
            options: what is shown.
        """
        self.images = CameraImages()
        self._scene = scene
        self._runs = {name: RunPainter(scene, results, options or DrawingOptions()) for name, results in runs.items()}
        self._with_cameras = has_images(scene)
        self._cameras: tuple[int, list[Image]] | None = None

    def paint(self, index: int, share: float = 0.0) -> Image:
        """The picture of a frame, see `MosaicPainter.paint`."""
        if self._cameras is None or self._cameras[0] != index:
            self._cameras = index, [self._paint_cameras(run, index) for run in self._runs.values()]
        halves = [
            self._paint_half(name, run, index, share, cameras)
            for (name, run), cameras in zip(self._runs.items(), self._cameras[1], strict=True)
        ]
        picture = np.hstack(halves)
        middle = picture.shape[1] // 2
        picture[:, middle - _GAP_PX // 2 : middle + _GAP_PX // 2] = 0
        return picture

    def _paint_half(self, name: str, run: RunPainter, index: int, share: float, cameras: Image) -> Image:
        width, height = _HALF_PX
        birds_eye = run.paint_birds_eye(index, width, height - cameras.shape[0], share)
        draw_title(birds_eye, f"{name}    {len(run.boxes[index])} boxes", size_px=18)
        corner = birds_eye[-26:, :]
        draw_title(corner, f"{self._scene.name}    {frame_text(self._scene, index)}    {run.options.shown}".rstrip())
        return np.vstack([cameras, birds_eye])

    def _paint_cameras(self, run: RunPainter, index: int) -> Image:
        """The cameras of a run in rows of three; of no height where the scene has no image."""
        cell_width, cell_height = _CELL_PX
        cameras = sorted_cameras(self._scene.frames[index].cameras) if self._with_cameras else []
        most = max(len(frame.cameras) for frame in self._scene.frames) if self._with_cameras else 0
        image = np.empty((-(-most // _COLUMNS) * cell_height, _HALF_PX[0], 3), dtype=np.uint8)
        image[:] = PANEL_COLOR
        for position, camera in enumerate(cameras):
            photo = self.images.read(camera, cell_width, cell_height)
            run.annotate_camera(photo, index, camera, label_px=10)
            draw_title(photo, camera.name, size_px=10)
            top, left = position // _COLUMNS * cell_height, position % _COLUMNS * cell_width
            image[top : top + cell_height, left : left + cell_width] = photo
        return image
