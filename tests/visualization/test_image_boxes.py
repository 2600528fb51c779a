"""Boxes in single images: where they lie, in whose colour, readable; files under their names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from visualization.colors import class_color, rgb
from visualization.image_boxes import draw_image_boxes, even_sided, write_image


def test_box_is_drawn_around_its_object() -> None:
    image = np.full((200, 300, 3), 50, dtype=np.uint8)
    drawn = draw_image_boxes(image, np.array([[50.0, 60.0, 150.0, 120.0]]), [3], ["car 0.90"])
    assert (image == 50).all()
    color = rgb(class_color(3))
    for column, row in ((50, 90), (150, 90), (100, 60), (100, 120)):
        np.testing.assert_allclose(drawn[row, column].astype(int), color, atol=30)  # its edge is smooth
    assert (drawn[70:110, 60:140] == 50).all() and (drawn[130:] == 50).all()
    assert (drawn[30:58, 50:150] == color).all(axis=2).any()  # the text's plate


def test_text_of_the_best_box_is_seen() -> None:
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    box = np.array([40.0, 40.0, 100.0, 80.0])
    one = draw_image_boxes(image, box[None], [0], ["car 0.90"])
    many = draw_image_boxes(
        image, np.stack([box, *(box + shift for shift in (1, 2, 3, 4, 5))]), [0] * 6, ["car 0.90"] * 6
    )
    plate = (one[20:38] == rgb(class_color(0))).all(axis=2)
    assert plate.any() and (many[20:38][plate] == rgb(class_color(0))).all()


@pytest.mark.parametrize("edges", [[0, 0, 1, 1], [-20, -20, 400, 400], [30, 30, 30, 30], [63, 47, 64, 48]])
def test_box_at_the_edge(edges: list[float]) -> None:
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    assert draw_image_boxes(image, np.array([edges], dtype=float), [12], ["a long name 1.00"]).shape == image.shape


def test_nothing_to_draw() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_image_boxes(image, np.zeros((0, 4)), [], []), image)


@pytest.mark.parametrize("shape", [(4, 6), (5, 6), (4, 7), (5, 7)])
def test_even_sides(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    even = even_sided(image)
    assert [side % 2 for side in even.shape[:2]] == [0, 0]
    np.testing.assert_array_equal(even[: shape[0], : shape[1]], image)
    np.testing.assert_array_equal(even[-1, -1], image[-1, -1])


@pytest.mark.parametrize(
    ("name", "written"), [("a.png", "a.png"), ("a.JPG", "a.JPG"), ("a.tif", "a.tif.jpg"), ("a", "a.jpg")]
)
def test_image_under_its_name(tmp_path: Path, name: str, written: str) -> None:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8), (40, 30))
    path = write_image(tmp_path / "new", name, image)
    assert path == tmp_path / "new" / written
    read = cv2.imread(str(path))[:, :, ::-1].astype(int)
    assert np.abs(read - image).mean() < (1e-9 if name.endswith("png") else 4)
