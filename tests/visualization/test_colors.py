"""One colour an identity, everywhere."""

import subprocess
import sys

import numpy as np
import pytest
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


# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009:
# linear RGB as seen without red, green or blue cones.
SIMULATED_EYES = {
    "all cones": np.eye(3),
    "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
LINEAR_RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear_palette() -> np.ndarray:
    encoded = np.array([rgb(color) for color in PALETTE]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def cielab(linear_rgb: np.ndarray) -> np.ndarray:
    white = LINEAR_RGB_TO_XYZ.sum(axis=1)
    ratio = linear_rgb @ LINEAR_RGB_TO_XYZ.T / white
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = root.T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", SIMULATED_EYES)
def test_colours_stay_apart_for_colour_blind_eyes(eye):
    seen = cielab(np.clip(linear_palette() @ np.array(SIMULATED_EYES[eye]).T, 0, 1))
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    assert distance[np.triu_indices(len(PALETTE), 1)].min() > 16.5


def test_colours_are_legible_on_dark_ground():
    luminance = linear_palette() @ LINEAR_RGB_TO_XYZ[1]
    assert ((luminance + 0.05) / 0.058).min() > 4.5


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
