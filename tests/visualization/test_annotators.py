"""Boxes, labels and tails land where they belong, in every view."""

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import visualization.annotators
import visualization.heat
import visualization.views
from scenes import Boxes3D
from visualization import BirdsEyeView, BoxAnnotator, CameraView, LabelAnnotator, TailAnnotator, project_boxes
from visualization.annotators import ground_paths, short_identity
from visualization.colors import identity_color, rgb
from visualization.interpolation import interpolate_boxes

from .conftest import START, boxes_at, camera_at


def birds_eye() -> BirdsEyeView:
    return BirdsEyeView(START, 300, 300, pixels_per_m=5.0)


def black(view) -> np.ndarray:
    return np.zeros((view.height_px, view.width_px, 3), dtype=np.uint8)


def front_view(tmp_path) -> CameraView:
    return CameraView(camera_at(0.0, "CAM_FRONT", tmp_path / "none.jpg", START), 800, 450)


@pytest.mark.parametrize("module", [visualization.annotators, visualization.views, visualization.heat])
def test_examples_in_the_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_a_box_is_drawn_where_it_stands_and_nowhere_else():
    view = birds_eye()
    image = BoxAnnotator(thickness_px=1, outlined=False).annotate(black(view), boxes_at([(10.0, 0.0)], ["7"]), view)
    rows, columns = np.nonzero(image.any(axis=2))
    # 4.6 m x 1.9 m around ten metres ahead, at five pixels a metre, and the width of a line.
    assert (rows.min(), rows.max()) == pytest.approx((150 - 61.5, 150 - 38.5), abs=2)
    assert (columns.min(), columns.max()) == pytest.approx((150 - 4.75, 150 + 4.75), abs=2)
    assert image.reshape(-1, 3).max(axis=0) == pytest.approx(rgb(identity_color("7")), abs=6)


def test_a_box_ahead_is_drawn_around_its_projection(tmp_path):
    view = front_view(tmp_path)
    box = boxes_at([(15.0, 0.0)], ["7"])
    image = BoxAnnotator(outlined=False, opacity=0.0).annotate(black(view), box, view)
    corners, _ = view.camera.project(box.corners()[0])
    rows, columns = np.nonzero(image.any(axis=2))
    assert (columns.min(), rows.min()) == pytest.approx(corners.min(axis=0), abs=3)
    assert (columns.max(), rows.max()) == pytest.approx(corners.max(axis=0), abs=3)


@pytest.mark.parametrize("center", [(-15.0, 0.0), (-3.0, 8.0)])
def test_a_box_behind_the_camera_draws_nothing(tmp_path, center):
    view = front_view(tmp_path)
    box = boxes_at([center], ["7"])
    assert not BoxAnnotator().annotate(black(view), box, view).any()
    assert not LabelAnnotator().annotate(black(view), box, view).any()


def test_a_box_that_passes_the_camera_stays_on_its_side(tmp_path):
    view = front_view(tmp_path)
    # The camera stands at x = 1.5; the box reaches from behind it to before it, 2.5 m to the left.
    image = BoxAnnotator().annotate(black(view), boxes_at([(3.0, 2.5)], ["7"]), view)
    _, columns = np.nonzero(image.any(axis=2))
    assert len(columns)
    assert columns.max() < 400


def test_the_front_is_marked():
    view = birds_eye()
    pixels, _ = project_boxes(boxes_at([(10.0, 0.0)], ["7"]), view)
    middle, front = pixels[0, 12]
    assert middle == pytest.approx([150.0, 100.0])
    assert front == pytest.approx([150.0, 150 - 5 * 12.3])


def test_labels_do_not_cover_each_other():
    view = birds_eye()
    crowd = boxes_at([(5.0 + 0.1 * i, 0.05 * i) for i in range(30)], [str(i) for i in range(30)])
    plates = [plate for _, _, plate in LabelAnnotator().place(crowd, view)]
    assert 2 <= len(plates) < 30
    for one, other in itertools.combinations(plates, 2):
        assert (one[:2] >= other[2:]).any() or (one[2:] <= other[:2]).any()


def test_the_nearest_box_gets_its_label_first(tmp_path):
    row = boxes_at([(30.0, 0.0), (10.0, 0.0), (20.0, 0.0)], ["far", "near", "middle"])
    texts = [text for _, text, _ in LabelAnnotator().place(row, front_view(tmp_path))]
    assert texts == ["near", "middle", "far"]


def test_a_tail_shows_where_an_object_came_from():
    view = birds_eye()
    history = [boxes_at([(float(x), 0.0), (float(x), 20.0)], ["7", f"only-{x}"]) for x in range(5)]
    image = TailAnnotator().annotate(black(view), history, view)
    rows, columns = np.nonzero(image.any(axis=2))
    assert (rows.min(), rows.max()) == pytest.approx((130, 150), abs=2)
    # The other identities were seen once: they have no path.
    assert columns.min() > 140


def test_a_tail_of_nothing_draws_nothing():
    view = birds_eye()
    assert not TailAnnotator().annotate(black(view), [], view).any()
    assert not TailAnnotator().annotate(black(view), [Boxes3D.empty()], view).any()


def test_a_long_identity_is_shortened():
    assert short_identity("12345678") == "12345678"
    assert short_identity("0123456789abcdef") == "…cdef"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(-5, 5), st.floats(-4, 4), st.floats(0.01, 20)),
        max_size=12,
    )
)
def test_boxes_anywhere_are_drawn_without_an_error(tmp_path_factory, rows):
    count = len(rows)
    values = np.array(rows).reshape(count, 5)
    half = 0.5 * values[:, 3]
    boxes = Boxes3D(
        center_m=values[:, :3],
        size_wlh_m=np.tile(values[:, 4:], (1, 3)),
        rotation=np.column_stack([np.cos(half), np.zeros((count, 2)), np.sin(half)]),
        velocity_mps=np.zeros((count, 2)),
        label=np.zeros(count, dtype=np.int64),
        score=np.ones(count),
        track_id=np.array([str(i) for i in range(count)], dtype=np.str_),
    )
    for view in (front_view(tmp_path_factory.getbasetemp()), birds_eye()):
        image = BoxAnnotator().annotate(black(view), boxes, view)
        LabelAnnotator().annotate(image, boxes, view)
        TailAnnotator().annotate(image, [boxes, boxes], view)
        pixels, visible = project_boxes(boxes, view)
        assert np.isfinite(pixels[visible]).all()


def test_boxes_without_identity_have_no_tail_and_do_not_move():
    before, after = boxes_at([(5.0, 0.0), (9.0, 2.0)], ["", "1"]), boxes_at([(30.0, 9.0), (10.0, 2.0)], ["", "1"])
    below = [0.0, 0.0, 0.8]
    alone, followed = ground_paths([before, after])
    assert alone == pytest.approx(after.center_m[:1] - below)
    assert followed == pytest.approx(np.stack([before.center_m[1], after.center_m[1]]) - below)
    between = interpolate_boxes(before, after, 0.5).center_m
    assert between[0] == pytest.approx(before.center_m[0])
    assert between[1] == pytest.approx((before.center_m[1] + after.center_m[1]) / 2)


def test_texts_hide_nothing_that_is_covered_and_then_stand_beside_their_box():
    box = boxes_at([(0.0, 0.0)], ["12"])
    around = np.eye(4)
    around[:3, 3] = box.center_m[0]
    view = BirdsEyeView(around, 200, 200, pixels_per_m=4.0)

    def place(*covered) -> np.ndarray:
        ((_, _, plate),) = LabelAnnotator().place(box, view, np.array(covered).reshape(-1, 4))
        return plate

    above = place()
    ceiling = [0, 0, 200, above[3]]
    below = place(ceiling)
    floor = [0, below[1], 200, 200]
    right = place(ceiling, floor)
    left = place(ceiling, floor, [100, 0, 200, 200])
    assert above[3] <= right[1] < right[3] <= below[1]
    assert left[2] < above[0] + (above[2] - above[0]) / 2 < right[0]
    assert LabelAnnotator().place(box, view, np.array([[0, 0, 200, 200]])) == []
