"""Where errors happen around the car: a map of heat over the bird's-eye view.

>>> from visualization import BirdsEyeView, birds_eye_canvas
>>> view = BirdsEyeView(global_from_ego=np.eye(4), width_px=200, height_px=200, pixels_per_m=2.0)
>>> errors_m = np.array([[20.0, 0.0, 0.0], [21.0, 1.0, 0.0]])
>>> image = HeatAnnotator(radius_m=2.0).annotate(birds_eye_canvas(view), errors_m, view)
>>> image[58, 98].tolist() != birds_eye_canvas(view)[58, 98].tolist()
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import matplotlib
import numpy as np
from PIL import Image as PillowImage

from evaluation.events import TrackEvents
from scenes import InputError, Results, Scene
from scenes.files import atomic_path
from scenes.geometry import FloatArray, invert_pose, transform_points
from visualization.birds_eye import birds_eye_canvas
from visualization.colors import Image
from visualization.events import find_events
from visualization.panel import draw_title
from visualization.views import BirdsEyeView

ERROR_KINDS: Final = ("misses", "false positives", "switches")
_PANEL_PX: Final = 640
_RANGE_M: Final = 52.0


@dataclass(frozen=True)
class HeatAnnotator:
    """Draws how densely points lie, from nothing over blue to yellow.

    Attributes:
        radius_m: standard deviation of the blur.
        most: the density, in points a square metre, that is drawn as the hottest; None takes the highest there is.
    """

    radius_m: float = 1.5
    most: float | None = None

    def annotate(self, image: Image, points_m: FloatArray, view: BirdsEyeView) -> Image:
        """Draw the density of global points (N, 3) into a bird's-eye view and return it."""
        density = self.density(points_m, view)
        hottest = self.most or float(density.max())
        if hottest <= 0:
            return image
        heat = np.clip(density / hottest, 0.0, 1.0)
        colors = 255.0 * matplotlib.colormaps["cividis"](heat)[:, :, :3]
        # The root lifts faint traces; a single error should still be seen.
        opacity = np.sqrt(heat)[:, :, None]
        image[:] = (image + opacity * (colors - image)).astype(np.uint8)
        return image

    def density(self, points_m: FloatArray, view: BirdsEyeView) -> FloatArray:
        """(H, W) points a square metre."""
        edges_y, edges_x = np.arange(view.height_px + 1), np.arange(view.width_px + 1)
        pixels = view.pixels(points_m)
        counts = np.histogram2d(pixels[:, 1], pixels[:, 0], bins=(edges_y, edges_x))[0]
        blurred = cv2.GaussianBlur(counts, (0, 0), self.radius_m * view.pixels_per_m, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred * view.pixels_per_m**2, dtype=np.float64)


def error_positions(
    scenes: Sequence[Scene], tracks: Results, events: TrackEvents | None = None
) -> dict[str, FloatArray]:
    """Where the errors of annotated scenes lie, seen from the car.

    Args:
        scenes: those without annotations add nothing.
        tracks: boxes by sample token, with `track_id`.
        events: what the evaluation counts; found in these scenes alone when not given.

    Returns:
        for each of `ERROR_KINDS` (N, 3) positions in ego coordinates, as many as the official evaluation counts.

    Raises:
        InputError: the scenes cannot be evaluated.
    """
    positions: dict[str, list[FloatArray]] = {kind: [np.zeros((0, 3))] for kind in ERROR_KINDS}
    counted = (find_events(scenes, tracks) if events is None else events).frames
    for frame in (frame for scene in scenes for frame in scene.frames if frame.token in counted):
        of_frame = counted[frame.token]
        ego_from_global = invert_pose(frame.global_from_ego)
        errors_m = {
            "misses": of_frame.annotations.boxes.center_m[of_frame.missed],
            "false positives": of_frame.tracks.boxes.center_m[of_frame.false_positive],
            "switches": of_frame.tracks.boxes.center_m[of_frame.switch],
        }
        for kind, centers_m in errors_m.items():
            positions[kind].append(transform_points(ego_from_global, centers_m))
    return {kind: np.concatenate(parts) for kind, parts in positions.items()}


def write_error_heat(scenes: Sequence[Scene], tracks: Results, path: Path, events: TrackEvents | None = None) -> None:
    """Write a PNG with a bird's-eye view of the misses, the false positives and the switches of all scenes.

    Args: see `error_positions`.

    Raises:
        InputError: no scene is annotated, or they cannot be evaluated.
    """
    if not any(frame.annotations is not None for scene in scenes for frame in scene.frames):
        raise InputError("no scene is annotated: there are no errors to draw")
    view = BirdsEyeView(np.eye(4), _PANEL_PX, _PANEL_PX, pixels_per_m=0.5 * _PANEL_PX / _RANGE_M)
    panels = []
    for kind, points_m in error_positions(scenes, tracks, events).items():
        panel = HeatAnnotator().annotate(birds_eye_canvas(view), points_m, view)
        draw_title(panel, f"{len(points_m)} {kind}", size_px=18)
        panels.append(panel)
    with atomic_path(path) as temporary:
        PillowImage.fromarray(np.hstack(panels)).save(temporary, format="PNG")
