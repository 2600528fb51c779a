"""The panel of a picture: the scene's name, the time, how many objects are shown, what the marks mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import cv2
import numpy as np

from scenes import Boxes3D, Scene, Taxonomy
from visualization.colors import Image, class_color, class_legend, identity_color, rgb, score_color
from visualization.run_painter import DrawingOptions
from visualization.text import draw_text, text_size_px

PANEL_COLOR: Final = rgb("#181e28")
_INK: Final = rgb("#e8edf4")
_FAINT_INK: Final = rgb("#9aa6b8")


def paint_panel(
    scene: Scene, index: int, boxes: Boxes3D, options: DrawingOptions, width_px: int, height_px: int
) -> Image:
    """The panel of a frame.

    Args:
        scene, index: which frame.
        boxes: what is drawn of it, to be counted.
        options: what is drawn, to be explained.
        width_px, height_px: size of the panel.
    """
    image = np.empty((height_px, width_px, 3), dtype=np.uint8)
    image[:] = PANEL_COLOR
    draw_text(image, scene.name, 24, 16, 26, _INK)
    draw_text(image, frame_text(scene, index), 24, 56, 16, _FAINT_INK)
    _draw_counts(image, boxes, options, scene.taxonomy, left_px=24, top_px=96)
    _draw_legend(image, options, scene.taxonomy, left_px=300, top_px=96)
    return image


def frame_text(scene: Scene, index: int) -> str:
    """Which frame of a scene, when and where."""
    elapsed_s = 1e-6 * (scene.frames[index].timestamp_us - scene.frames[0].timestamp_us)
    return f"frame {index + 1} of {len(scene.frames)}    {elapsed_s:.1f} s    {scene.location}"


def draw_title(image: Image, title: str, size_px: int = 13) -> None:
    """Write a title on a darkened plate in the upper left corner."""
    width, height = text_size_px(title, size_px)
    plate = image[: height + 6, : width + 12]
    plate[:] = (0.35 * plate).astype(np.uint8)
    draw_text(image, title, 6, 3, size_px, _INK)


def _draw_counts(
    image: Image, boxes: Boxes3D, options: DrawingOptions, taxonomy: Taxonomy, left_px: int, top_px: int
) -> None:
    """How many boxes of each class the frame shows, in the classes' colours where boxes have them."""
    counts = Counter(boxes.label.tolist())
    rows = [(f"{len(boxes)}", "tracks", _INK)]
    for label, count in counts.most_common():
        ink = rgb(class_color(label, taxonomy)) if options.color_by == "class" else _FAINT_INK
        rows.append((f"{count}", taxonomy.names[label].replace("_", " "), ink))
    for line, (count_text, name, ink) in enumerate(rows):
        top = top_px + 26 * line
        width, _ = text_size_px(count_text, 17)
        draw_text(image, count_text, left_px + 40 - width, top, 17, _INK)
        draw_text(image, name, left_px + 52, top, 17, ink)


def _draw_legend(image: Image, options: DrawingOptions, taxonomy: Taxonomy, left_px: int, top_px: int) -> None:
    """What colours and marks mean."""
    text_of_color, colors = _color_entry(options.color_by, taxonomy)
    entries: list[tuple[str, Callable[[Image, int, int], None]]] = [
        (text_of_color, partial(_draw_dots, colors=colors)),
        ("tinted face, short line: the front", _draw_box_mark),
    ]
    entries.append((f"tail: the last {options.tail_s:g} s", _draw_tail_mark))
    if options.annotations:
        entries.append(("white: annotated", _draw_annotation_mark))
    for line, (text, draw_mark) in enumerate(entries):
        top = top_px + 28 * line
        draw_text(image, text, left_px + 36, top, 15, _FAINT_INK)
        draw_mark(image, left_px, top + 9)
    draw_text(image, options.shown, left_px, top_px + 28 * len(entries), 15, _FAINT_INK)


def _color_entry(color_by: str, taxonomy: Taxonomy) -> tuple[str, list[str]]:
    """What colours mean, and some of them."""
    if color_by == "identity":
        return "one colour an identity", [identity_color(identity) for identity in "123"]
    if color_by == "class":
        return "one colour a class", [color for _, color in class_legend(taxonomy)[:3]]
    return "colour: the score", [score_color(score) for score in (0.0, 0.5, 1.0)]


def _draw_dots(image: Image, left_px: int, middle_px: int, colors: list[str]) -> None:
    for column, color in enumerate(colors):
        cv2.circle(image, (left_px + 4 + 10 * column, middle_px), 4, rgb(color).tolist(), -1, cv2.LINE_AA)


def _draw_box_mark(image: Image, left_px: int, middle_px: int) -> None:
    cv2.rectangle(image, (left_px, middle_px - 6), (left_px + 24, middle_px + 6), _INK.tolist(), 1)
    image[middle_px - 5 : middle_px + 6, left_px + 19 : left_px + 24] = _FAINT_INK


def _draw_tail_mark(image: Image, left_px: int, middle_px: int) -> None:
    cv2.line(image, (left_px, middle_px), (left_px + 12, middle_px), _INK.tolist(), 1, cv2.LINE_AA)
    cv2.line(image, (left_px + 12, middle_px), (left_px + 24, middle_px), _INK.tolist(), 3, cv2.LINE_AA)


def _draw_annotation_mark(image: Image, left_px: int, middle_px: int) -> None:
    cv2.rectangle(image, (left_px, middle_px - 6), (left_px + 24, middle_px + 6), (255, 255, 255), 1)
