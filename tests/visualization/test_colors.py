"""One colour an identity, everywhere."""

import subprocess
import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from visualization.colors import (
    ANNOTATION_COLOR,
    DETECTION_COLOR,
    PALETTE,
    color_by_class,
    color_by_identity,
    color_by_score,
    identity_color,
    rgb,
    score_color,
)

from .conftest import boxes_at


@given(st.text())
def test_any_identity_has_a_colour_of_the_palette(identity):
    assert identity_color(identity) in PALETTE


def test_the_colour_of_an_identity_is_the_same_in_another_process():
    program = "from visualization import identity_color; print(*[identity_color(str(i)) for i in range(20)])"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.split() == [identity_color(str(i)) for i in range(20)]


def test_reserved_colours_belong_to_no_identity():
    assert not {ANNOTATION_COLOR, DETECTION_COLOR} & set(PALETTE)


def test_neighbouring_identities_use_the_whole_palette():
    assert len({identity_color(str(i)) for i in range(100)}) == len(PALETTE)


def test_identity_wins_over_query_and_query_over_grey():
    boxes = boxes_at([(1.0, 0.0)], ["17"])
    assert color_by_identity(boxes)[0].tolist() == rgb(identity_color("17")).tolist()
    queried = boxes.replace(track_id=None, query_id=np.array([5]))
    assert color_by_identity(queried)[0].tolist() == rgb(identity_color("5")).tolist()
    assert color_by_identity(boxes.replace(track_id=None))[0].tolist() == rgb(DETECTION_COLOR).tolist()


def test_score_colours_grow_lighter():
    luminance = [float(rgb(score_color(score)) @ np.array([0.299, 0.587, 0.114])) for score in np.linspace(0, 1, 9)]
    assert luminance == sorted(luminance)
    assert score_color(-3.0) == score_color(0.0)
    assert score_color(3.0) == score_color(1.0)


def test_every_colouring_takes_no_boxes():
    none = boxes_at([], [])
    for coloring in (color_by_identity, color_by_class, color_by_score):
        assert coloring(none).shape == (0, 3)
