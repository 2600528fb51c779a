"""Where errors happen around the car: a map of heat over the bird's-eye view.

>>> from visualization import BirdsEyeView, birds_eye_canvas
>>> view = BirdsEyeView(global_from_ego=np.eye(4), width_px=200, height_px=200, pixels_per_m=2.0)
>>> errors_m = np.array([[20.0, 0.0, 0.0], [21.0, 1.0, 0.0]])
>>> image = HeatAnnotator(radius_m=2.0).annotate(birds_eye_canvas(view), errors_m, view)
>>> image[58, 98].tolist() != birds_eye_canvas(view)[58, 98].tolist()
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from visualization.birds_eye import GROUND_COLOR, birds_eye_canvas
from visualization.colors import Image, rgb
from visualization.events import find_events
from visualization.panel import draw_title
from visualization.text import draw_text, text_size_px
from visualization.views import BirdsEyeView

ERROR_KINDS: Final = ("misses", "false positives", "switches")
_PANEL_PX: Final = 640
_RANGE_M: Final = 52.0
_SCALE_PX: Final = 60
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_TICK_TEXT_PX: Final = 15
_INK: Final = rgb("#e8edf4")
_AREA_M2, _FRAMES = 100, 100
"""What the numbers of the scale count errors on and in."""


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
        return _draw_heat(image, np.clip(density / hottest, 0.0, 1.0))

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


def draw_error_heat(errors_m: Mapping[str, FloatArray], frames: int) -> Image:
    """Bird's-eye views of errors side by side, hottest alike, above the scale that they share.

    Args:
        errors_m: by kind (N, 3) positions in ego coordinates, see `error_positions`.
        frames: in how many key frames they happened.
    """
    view = BirdsEyeView(np.eye(4), _PANEL_PX, _PANEL_PX, pixels_per_m=0.5 * _PANEL_PX / _RANGE_M)
    annotator = HeatAnnotator()
    hottest = max(float(annotator.density(points_m, view).max()) for points_m in errors_m.values())
    panels = []
    for kind, points_m in errors_m.items():
        panel = replace(annotator, most=hottest or None).annotate(birds_eye_canvas(view), points_m, view)
        draw_title(panel, f"{len(points_m)} {kind}", size_px=18)
        panels.append(panel)
    picture = np.hstack(panels)
    return np.vstack([picture, _scale(hottest * _AREA_M2 * _FRAMES / max(frames, 1), picture.shape[1])])


def write_error_heat(scenes: Sequence[Scene], tracks: Results, path: Path, events: TrackEvents | None = None) -> None:
    """Write a PNG with a bird's-eye view of the misses, the false positives and the switches of all scenes.

    Args: see `error_positions`.

    Raises:
        InputError: no scene is annotated, or they cannot be evaluated.
    """
    if not any(frame.annotations is not None for scene in scenes for frame in scene.frames):
        raise InputError("no scene is annotated: there are no errors to draw")
    annotated = [scene for scene in scenes if all(frame.annotations is not None for frame in scene.frames)]
    picture = draw_error_heat(error_positions(scenes, tracks, events), sum(len(scene.frames) for scene in annotated))
    with atomic_path(path) as temporary:
        PillowImage.fromarray(picture).save(temporary, format="PNG")


def _draw_heat(image: Image, heat: FloatArray) -> Image:
    """Draw heat (H, W) from 0 to 1 into an image (H, W, 3) and return it."""
    colors = 255.0 * matplotlib.colormaps["cividis"](heat)[:, :, :3]
    # The root lifts faint traces; a single error should still be seen.
    opacity = np.sqrt(heat)[:, :, None]
    image[:] = (image + opacity * (colors - image)).astype(np.uint8)
    return image


def _scale(most: float, width_px: int) -> Image:
    """A strip that tells what the colours mean, from none to `most`."""
    image = np.empty((_SCALE_PX, width_px, 3), dtype=np.uint8)
    image[:] = rgb(GROUND_COLOR)
    left, bar_px = 2 * _SCALE_PX, width_px // 3
    bar = image[10 : _SCALE_PX - 24, left : left + bar_px]
    _draw_heat(bar, np.tile(np.linspace(0.0, 1.0, bar_px), (len(bar), 1)))
    for share in _TICKS:
        text = f"{share * most:.3g}"
        text_width, _ = text_size_px(text, _TICK_TEXT_PX)
        draw_text(image, text, round(left + share * bar_px - text_width / 2), _SCALE_PX - 20, _TICK_TEXT_PX, _INK)
    text = f"errors on {_AREA_M2} m² in {_FRAMES} frames"
    draw_text(image, text, left + bar_px + _SCALE_PX, (_SCALE_PX - _TICK_TEXT_PX) // 2 - 4, _TICK_TEXT_PX, _INK)
    return image
