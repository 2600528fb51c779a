"""2D boxes and their overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from scenes.boxes2d import Boxes2D, box_iou

edge = st.floats(-50.0, 50.0).map(lambda value: round(value, 2))
side = st.sampled_from([0.0, 0.5, 3.0, 20.0, 100.0])
boxes = st.lists(st.tuples(edge, edge, side, side), max_size=5).map(
    lambda rows: np.array([(x, y, x + width, y + height) for x, y, width, height in rows]).reshape(-1, 4)
)


@given(boxes, boxes)
def test_overlap_equals_shapelys(first: np.ndarray, second: np.ndarray) -> None:
    iou = box_iou(first, second)
    assert iou.shape == (len(first), len(second))
    for row, a in zip(iou, (box(*edges) for edges in first), strict=True):
        for value, b in zip(row, (box(*edges) for edges in second), strict=True):
            union = a.area + b.area - a.intersection(b).area
            assert value == pytest.approx(a.intersection(b).area / union if union else 0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("edges", "label", "score", "name"),
    [
        (np.zeros((2, 4)), [0], [0.5], "edges_px"),
        (np.zeros((1, 3)), [0], [0.5], "edges_px"),
        (np.zeros((1, 4)), [0], [0.5, 0.5], "score"),
    ],
)
def test_columns_that_do_not_agree_are_refused(edges, label, score, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Boxes2D(edges, np.array(label), np.array(score))


def test_selected_boxes_are_whole() -> None:
    boxes = Boxes2D(np.arange(12.0).reshape(3, 4), np.array([1, 2, 3]), np.array([0.1, 0.2, 0.3]))
    picked = boxes.select(np.array([2, 0]))
    assert picked.label.tolist() == [3, 1] and picked.score.tolist() == [0.3, 0.1] and picked.edges_px[0, 0] == 8.0
