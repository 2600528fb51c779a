"""Small pieces that draw boxes into a picture, to be combined as one likes.

Every annotator draws into the image that it is given and returns it, and works in every view: the same
`BoxAnnotator` draws a camera's image and the bird's-eye view.

Example: a box ten metres ahead, seen from above.

    >>> import numpy as np
    >>> from scenes import Boxes3D
    >>> from visualization import BirdsEyeView, BoxAnnotator, birds_eye_canvas
    >>> boxes = Boxes3D(
    ...     center_m=np.array([[10.0, 0.0, 0.8]]), size_wlh_m=np.array([[1.9, 4.6, 1.7]]),
    ...     rotation=np.array([[1.0, 0.0, 0.0, 0.0]]), velocity_mps=np.zeros((1, 2)),
    ...     label=np.array([0]), score=np.array([0.9]), track_id=np.array(["7"]),
    ... )
    >>> view = BirdsEyeView(global_from_ego=np.eye(4), width_px=200, height_px=300, pixels_per_m=8.0)
    >>> image = BoxAnnotator().annotate(birds_eye_canvas(view), boxes, view)
    >>> image.shape
    (300, 200, 3)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from scenes import NUSCENES, Boxes3D, Taxonomy
from scenes.geometry import FloatArray
from visualization.colors import Coloring, Image, color_by_identity
from visualization.text import draw_text, text_size_px
from visualization.views import View

BOX_EDGES: Final = np.array(
    [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]]
)
"""The twelve edges of a box as indices into its corners (`Boxes3D.corners`)."""

FRONT_FACE: Final = (0, 1, 2, 3)
TOP_FACE: Final = (0, 1, 5, 4)
_FRONT_BOTTOM = (2, 3)
_BOTTOM = (2, 3, 6, 7)

_LONGEST_IDENTITY = 8
_SHOWN_END = 4
_SUBPIXEL_BITS = 4
_PLATE_MARGIN_PX = 3
_DARK = np.array([10, 12, 16], dtype=np.uint8)
_LIGHT = np.array([255, 255, 255], dtype=np.uint8)


@dataclass(frozen=True)
class BoxAnnotator:
    """Draws boxes: twelve edges, a tinted face, and a line on the ground from the middle to the front.

    Attributes:
        coloring: which colour each box gets.
        thickness_px: width of the lines.
        tinted_face: corners of the face that is tinted: the front, or the top where the view is from above.
        opacity: how strongly it is tinted, 0 to 1.
        outlined: whether lines get a dark rim, which keeps them legible on photographs.
    """

    coloring: Coloring = color_by_identity
    thickness_px: int = 2
    tinted_face: tuple[int, ...] = FRONT_FACE
    opacity: float = 0.3
    outlined: bool = True

    def annotate(self, image: Image, boxes: Boxes3D, view: View) -> Image:
        """Draw `boxes` (global) into `image`, far ones first."""
        lines, visible = project_boxes(boxes, view)
        colors = self.coloring(boxes)
        corners = boxes.corners()
        for index in far_to_near(boxes, view):
            if visible[index].any():
                color = colors[index]
                tint_polygon(image, view.polygon(corners[index, self.tinted_face]), color, self.opacity)
                self._draw_lines(image, lines[index][visible[index]], color)
        return image

    def _draw_lines(self, image: Image, lines: FloatArray, color: NDArray[np.uint8]) -> None:
        if self.outlined:
            draw_rim(image, lines, self.thickness_px)
        draw_lines(image, lines, color, self.thickness_px)


def identity_text(boxes: Boxes3D) -> list[str]:
    """The track identity of each box, "" without one. Of a long one (an instance token) the end is shown."""
    if boxes.track_id is None:
        return [""] * len(boxes)
    return [short_identity(identity) for identity in boxes.track_id.tolist()]


def short_identity(identity: str) -> str:
    """An identity as it is written at a box: whole, or the end of a long one."""
    return identity if len(identity) <= _LONGEST_IDENTITY else "…" + identity[-_SHOWN_END:]


def class_and_score_text(boxes: Boxes3D, taxonomy: Taxonomy = NUSCENES) -> list[str]:
    """Class name and score of each box, such as `car 0.87`."""
    return [
        f"{taxonomy.names[label]} {score:.2f}"
        for label, score in zip(boxes.label.tolist(), boxes.score.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class LabelAnnotator:
    """Writes a text at each box, near boxes first; a text that would cover another one moves or is left out.

    Attributes:
        coloring: the colour of a text's plate.
        text_of: which text each box gets; no plate is drawn for "".
        size_px: size of the letters.
    """

    coloring: Coloring = color_by_identity
    text_of: Callable[[Boxes3D], list[str]] = identity_text
    size_px: int = 14

    def annotate(self, image: Image, boxes: Boxes3D, view: View) -> Image:
        """Write at `boxes` (global) in `image`."""
        colors = self.coloring(boxes)
        for index, text, plate in self.place(boxes, view):
            draw_plate(image, text, plate, colors[index], self.size_px)
        return image

    def place(
        self, boxes: Boxes3D, view: View, covered: NDArray[np.int64] | None = None
    ) -> list[tuple[int, str, NDArray[np.int64]]]:
        """Where texts go in a view.

        Args:
            boxes: global. view: the view.
            covered: (M, 4) left, top, right, bottom in pixels of what no text may hide; texts then also stand beside
                their boxes.

        Returns:
            for each text that finds a place the index of its box, the text, and its plate as (left, top,
            right, bottom) in pixels.
        """
        lines, visible = project_boxes(boxes, view)
        texts = self.text_of(boxes)
        placed: list[tuple[int, str, NDArray[np.int64]]] = []
        taken = np.zeros((0, 4), dtype=np.int64) if covered is None else covered
        for index in far_to_near(boxes, view)[::-1].tolist():
            if texts[index] and visible[index].any():
                points = lines[index][visible[index]].reshape(-1, 2)
                shape = (view.height_px, view.width_px)
                plate = free_plate(texts[index], points, taken, shape, self.size_px, beside=covered is not None)
                if plate is not None:
                    taken = np.vstack([taken, plate])
                    placed.append((index, texts[index], plate))
        return placed


def free_plate(
    text: str,
    points_px: FloatArray,
    taken: NDArray[np.int64],
    shape: tuple[int, ...],
    size_px: int,
    beside: bool = False,
) -> NDArray[np.int64] | None:
    """Where a text fits in an image: above some points, else below them.

    Args:
        text: one line.
        points_px: (N, 2) points that it belongs to.
        taken: (M, 4) plates of other texts.
        shape: of the image: height, width, ...
        size_px: size of the letters.
        beside: whether it may also stand right or left of them.

    Returns:
        left, top, right, bottom; None if it fits nowhere.
    """
    width, height = text_size_px(text, size_px)
    width += 2 * _PLATE_MARGIN_PX
    left, top = points_px.min(axis=0)
    right, bottom = points_px.max(axis=0)
    middle, centre = 0.5 * (left + right - width), 0.5 * (top + bottom - height)
    above, below, far_above = ((middle, row) for row in (top - height - 2, bottom + 2, top - 2 * height - 3))
    sides = [(right + 3, centre), (left - width - 3, centre)] if beside else []
    for place in (above, below, far_above, *sides):
        column, line = np.clip(place, 0, [max(shape[1] - width, 0), max(shape[0] - height, 0)]).astype(int)
        plate = np.array([column, line, column + width, line + height])
        overlaps = (taken[:, :2] < plate[2:]).all(axis=1) & (taken[:, 2:] > plate[:2]).all(axis=1)
        if not overlaps.any():
            return plate
    return None


def draw_plate(image: Image, text: str, plate: NDArray[np.int64], color: NDArray[np.uint8], size_px: int) -> None:
    """Write a text on a plate of a colour, see `free_plate`, dark or light as can be read on it."""
    left, top, right, bottom = plate.tolist()
    image[top:bottom, left:right] = color
    luminance = float(color @ np.array([0.299, 0.587, 0.114]))
    draw_text(image, text, left + _PLATE_MARGIN_PX, top, size_px, _DARK if luminance > 110 else _LIGHT)


@dataclass(frozen=True)
class TailAnnotator:
    """Draws where each object came from: its path over the past frames, on the ground, thinner with age.

    Attributes:
        coloring: the colour of a path.
        thickness_px: width at the newest end.
    """

    coloring: Coloring = color_by_identity
    thickness_px: int = 3

    def annotate(self, image: Image, history: Sequence[Boxes3D], view: View) -> Image:
        """Draw the paths of the boxes in the last of `history`, frames in the order of time, boxes global."""
        if history:
            for path, color in zip(ground_paths(history), self.coloring(history[-1]), strict=True):
                self._draw_path(image, path, color, view)
        return image

    def _draw_path(self, image: Image, path_m: FloatArray, color: NDArray[np.uint8], view: View) -> None:
        lines, visible = view.segments(path_m[:-1], path_m[1:])
        youth = np.linspace(0.0, 1.0, len(lines) + 1)[1:]
        widths = np.maximum(1, np.round(youth * self.thickness_px)).astype(int)
        for line, width in zip(lines[visible], widths[visible].tolist(), strict=True):
            draw_lines(image, line[None], color, width)


def project_boxes(boxes: Boxes3D, view: View) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The lines that stand for each box in a view.

    Returns:
        (N, 13, 2, 2) pixels of twelve edges and the heading line, clipped to the view, and (N, 13) which
        of them are visible.
    """
    corners = boxes.corners()
    middle = corners[:, _BOTTOM].mean(axis=1)
    front = corners[:, _FRONT_BOTTOM].mean(axis=1)
    starts = np.concatenate([corners[:, BOX_EDGES[:, 0]], middle[:, None]], axis=1)
    ends = np.concatenate([corners[:, BOX_EDGES[:, 1]], front[:, None]], axis=1)
    pixels, visible = view.segments(starts.reshape(-1, 3), ends.reshape(-1, 3))
    shape = starts.shape[:2]
    return pixels.reshape(*shape, 2, 2), visible.reshape(shape)


def draw_lines(image: Image, lines: FloatArray, color: NDArray[np.uint8], thickness_px: int) -> None:
    """Draw smooth lines (N, 2, 2), given in pixels."""
    fixed_point = np.round(lines * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.polylines(image, list(fixed_point), False, color.tolist(), thickness_px, cv2.LINE_AA, _SUBPIXEL_BITS)


def draw_rim(image: Image, lines: FloatArray, thickness_px: int) -> None:
    """Draw the dark rim of lines of a thickness, over which they are to be drawn."""
    draw_lines(image, lines, _DARK, thickness_px + min(2, thickness_px))


def tint_polygon(image: Image, corners_px: FloatArray, color: NDArray[np.uint8], opacity: float) -> None:
    """Mix a colour into a convex polygon (K, 2); what lies outside of the image is left out."""
    if len(corners_px) < 3 or opacity <= 0:
        return
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners_px.min(axis=0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(corners_px.max(axis=0)) + 1, 0, [width, height]).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return
    mask = np.zeros(part.shape[:2], dtype=np.uint8)
    # Far corners are drawn to where the difference cannot be seen: fixed-point pixels have 32 bits.
    near = np.clip(corners_px, -1e5, 1e5) - low
    cv2.fillConvexPoly(mask, np.round(near * 2**_SUBPIXEL_BITS).astype(np.int32), (255,), cv2.LINE_AA, _SUBPIXEL_BITS)
    weight = (mask * np.float32(opacity / 255.0))[:, :, None]
    part[:] = (part + weight * (color - part.astype(np.float32))).astype(np.uint8)


def far_to_near(boxes: Boxes3D, view: View) -> NDArray[np.int64]:
    """The order (N,) in which boxes are painted, so that near ones cover far ones."""
    return np.argsort(-view.distance_m(boxes.center_m), kind="stable")


def ground_paths(history: Sequence[Boxes3D]) -> list[FloatArray]:
    """Where each box of the last of `history` came from.

    Returns:
        for each (P, 3) ground points under the boxes of its identity, oldest first; of a box without identity that
        under itself alone.
    """
    current = history[-1] if history else Boxes3D.empty()
    paths: dict[str, list[FloatArray]] = {}
    for boxes in history:
        for identity, point in zip(_identities(boxes), _ground_points(boxes), strict=True):
            paths.setdefault(identity, []).append(point)
    return [
        np.array(paths[identity]) if identity else point[None]
        for identity, point in zip(_identities(current), _ground_points(current), strict=True)
    ]


def _identities(boxes: Boxes3D) -> list[str]:
    return [""] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()


def _ground_points(boxes: Boxes3D) -> FloatArray:
    """(N, 3) points below the centres of boxes."""
    points: FloatArray = boxes.center_m - np.outer(0.5 * boxes.size_wlh_m[:, 2], [0.0, 0.0, 1.0])
    return points
