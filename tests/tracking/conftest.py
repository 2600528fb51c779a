"""Boxes to track: made by hand, drawn by hypothesis, and detections of a small city."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from scenes import LABEL_OF_CLASS, Boxes3D, Scene, read_scenes
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.geometry import rotation_from_yaw
from tracking import Calibration
from tracking.score_scale import ScoreScale


@pytest.fixture(scope="session")
def boxes_at() -> Callable[..., Boxes3D]:
    """Boxes of ordinary cars at places (N, 2); columns can be replaced."""
    return _boxes_at


@pytest.fixture(scope="session")
def known() -> Calibration:
    """Of a detector that gave 81 boxes in a frame, with scores from 0 to 1."""
    return Calibration(ScoreScale.unknown().with_frame(np.linspace(0.0, 1.0, 81)))


@pytest.fixture(scope="session")
def random_boxes() -> st.SearchStrategy[Boxes3D]:
    """Up to twelve boxes of all classes, near one another, with velocities that may be unknown or absurd."""
    return _random_boxes()


@pytest.fixture(scope="session")
def city_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root without images: two validation scenes of twelve seconds."""
    out = tmp_path_factory.mktemp("tracked") / "city"
    make_city(out, train_scenes=1, val_scenes=2, frames=24, seed=11, images=False, workers=1)
    return out


@pytest.fixture(scope="session")
def city_scenes(city_root: Path) -> list[Scene]:
    """The validation scenes of `city_root`."""
    return read_scenes(city_root, VERSION, VAL_SPLIT)


def _boxes_at(places_m: Sequence[Sequence[float]], **columns: object) -> Boxes3D:
    xy_m = np.asarray(places_m, dtype=np.float64).reshape(-1, 2)
    count = len(xy_m)
    default = {
        "center_m": np.column_stack([xy_m, np.ones(count)]),
        "size_wlh_m": np.tile([1.9, 4.5, 1.6], (count, 1)),
        "rotation": rotation_from_yaw(np.zeros(count)),
        "velocity_mps": np.full((count, 2), np.nan),
        "label": np.full(count, LABEL_OF_CLASS["car"]),
        "score": np.full(count, 0.8),
    }
    return Boxes3D(**{**default, **columns})


@st.composite
def _random_boxes(draw: st.DrawFn) -> Boxes3D:
    count = draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    velocity = rng.normal(0.0, 8.0, (count, 2))
    odd = rng.random(count) < 0.3
    velocity[odd] = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e200, 1e6], (int(odd.sum()), 2))
    boxes = _boxes_at(
        rng.uniform(-15.0, 15.0, (count, 2)),
        velocity_mps=velocity,
        size_wlh_m=rng.uniform(0.3, 12.0, (count, 3)),
        rotation=rotation_from_yaw(rng.uniform(-np.pi, np.pi, count)).reshape(-1, 4),
        label=rng.integers(0, 10, count),
        score=rng.choice([0.0, 0.1, 0.5, 0.9], count) + rng.choice([0.0, 1e-3], count),
    )
    return boxes.replace(query_id=rng.integers(-1, 20, count)) if draw(st.booleans()) else boxes
