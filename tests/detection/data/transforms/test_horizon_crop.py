"""Crops show the horizon and the focus, at the scale that was drawn."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.data import CropAroundHorizon
from detection.data.sample import FrameSample
from scenes import InputError

MakeSample = Callable[..., FrameSample]
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
IMAGE = np.zeros((180, 320, 3), np.uint8)


@many
@given(seed=st.integers(0, 2**31), across=st.floats(5, 315), down=st.floats(5, 175))
def test_the_focus_is_in_the_crop(make_sample: MakeSample, seed: int, across: float, down: float) -> None:
    sample = replace(make_sample(IMAGE), focus_px=np.array([across, down]))
    crop = CropAroundHorizon((64, 128), scale_range=(0.7, 1.2))
    view = crop(sample, np.random.default_rng(seed)).views[0]
    assert view.image is not None and view.image.shape == (64, 128, 3)
    after_from_before = view.image_from_camera @ np.linalg.inv(sample.views[0].image_from_camera)
    u, v = (after_from_before[:3, :3] @ [across, down, 1])[:2]
    assert -1 <= u <= 129 and -1 <= v <= 65
    scale = view.image_from_camera[1, 1] / sample.views[0].image_from_camera[1, 1]
    assert 0.7 <= scale <= 1.2 and view.image_from_camera[0, 0] == pytest.approx(scale * 200)


@many
@given(seed=st.integers(0, 2**31))
def test_without_focus_the_horizon_is_where_it_was_asked_for(make_sample: MakeSample, seed: int) -> None:
    crop = CropAroundHorizon((64, 128), scale_range=(0.8, 1.2), horizon_range=(0.3, 0.4))
    view = crop(make_sample(IMAGE), np.random.default_rng(seed)).views[0]
    # The camera of the sample is level: its horizon is the row of the principal point.
    assert 0.3 * 64 - 1 <= view.image_from_camera[1, 2] <= 0.4 * 64 + 1


def test_scales_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="scale_range"):
        CropAroundHorizon((64, 128), scale_range=(1.2, 0.8))
