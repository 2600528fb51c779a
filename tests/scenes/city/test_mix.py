"""Mixes: the balanced one has more of what is rare, and another rig in every scene that its tables tell of."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scenes import DETECTION_CLASSES, InputError, read_scenes
from scenes.city import TRAIN_SPLIT, VERSION, make_city
from scenes.city.mix import BALANCED, MIXES, NATURAL
from scenes.city.sensors.rig import CAMERAS, draw_rig

RARE = ("truck", "construction_vehicle", "bus", "trailer", "motorcycle", "bicycle")


def _city(out: Path, mix: str) -> Path:
    make_city(out, train_scenes=4, val_scenes=0, frames=2, seed=4, images=False, workers=1, mix=mix)
    return out


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mixes")
    return {mix: _city(folder / mix, mix) for mix in MIXES}


def _shares(root: Path) -> dict[str, float]:
    counts = Counter(
        DETECTION_CLASSES[label]
        for scene in read_scenes(root, VERSION, TRAIN_SPLIT)
        for frame in scene.frames
        if frame.annotations is not None
        for label in frame.annotations.boxes.label
        if label >= 0
    )
    return {name: counts[name] / counts.total() for name in DETECTION_CLASSES}


def test_rare_classes_are_met_more_often(roots: dict[str, Path]) -> None:
    natural, balanced = _shares(roots["natural"]), _shares(roots["balanced"])
    assert sum(balanced[name] for name in RARE) > 1.7 * sum(natural[name] for name in RARE)


def test_each_scene_has_a_rig_and_its_own_calibration(roots: dict[str, Path]) -> None:
    scenes = read_scenes(roots["balanced"], VERSION, TRAIN_SPLIT)
    heights = {round(float(scene.frames[0].cameras[0].ego_from_camera[2, 3]), 3) for scene in scenes}
    focal = {round(float(scene.frames[0].cameras[0].intrinsic[0, 0]), 3) for scene in scenes}
    assert len(heights) == len(focal) == len(scenes)
    for scene in scenes:  # the same in all frames of a scene
        poses = np.stack([frame.cameras[2].ego_from_camera for frame in scene.frames])
        np.testing.assert_array_equal(poses, np.broadcast_to(poses[0], poses.shape))


def test_the_natural_mix_has_the_usual_rig(roots: dict[str, Path]) -> None:
    (first, *_) = read_scenes(roots["natural"], VERSION, TRAIN_SPLIT)
    heights = {camera.name: float(camera.ego_from_camera[2, 3]) for camera in first.frames[0].cameras}
    assert heights == {mount.channel: mount.translation_m[2] for mount in CAMERAS}


def test_the_balanced_mix_has_flat_and_sloping_ground(roots: dict[str, Path]) -> None:
    sloping = {
        mix: {
            scene.name
            for scene in read_scenes(root, VERSION, TRAIN_SPLIT)
            if any(frame.global_from_ego[2, 3] != 0.0 for frame in scene.frames)
        }
        for mix, root in roots.items()
    }
    assert not sloping["natural"]
    assert 0 < len(sloping["balanced"]) < 4


def test_a_drawn_rig_stays_within_its_spread() -> None:
    spread = BALANCED.rig
    assert spread is not None and NATURAL.rig is None
    for seed in range(50):
        mounts = draw_rig(spread, np.random.default_rng(seed))
        lifts = {round(a.translation_m[2] - b.translation_m[2], 3) for a, b in zip(mounts, CAMERAS, strict=True)}
        assert max(lifts) - min(lifts) < 2e-3 and spread.height_m[0] - 1e-3 <= min(lifts) <= spread.height_m[1] + 1e-3
        for mount, usual in zip(mounts, CAMERAS, strict=True):
            assert abs(mount.yaw_deg - usual.yaw_deg) <= spread.yaw_deg
            assert abs(mount.pitch_deg - usual.pitch_deg) <= spread.pitch_deg
            assert abs(mount.roll_deg - usual.roll_deg) <= spread.roll_deg
            assert spread.focal[0] <= mount.focal_px / usual.focal_px <= spread.focal[1]


def test_an_unknown_mix_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mix odd: expected natural or balanced"):
        make_city(tmp_path / "city", mix="odd")
