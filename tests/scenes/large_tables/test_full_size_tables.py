"""The benchmark's tables: few scenes of them, which the devkit opens, and the arithmetic of all."""

from collections import Counter
from pathlib import Path

import pytest

from scenes import read_scenes
from scenes.large_tables import full_size_tables
from scenes.large_tables.full_size_tables import VERSION, make_full_size_tables


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene of each split."""
    root = tmp_path_factory.mktemp("full")
    make_full_size_tables(root, seed=1, share=0.001, workers=1)
    return root


def test_all_scenes_have_the_key_frames_of_trainval() -> None:
    jobs = full_size_tables._scene_jobs(1.0, 0)
    assert len({job.name for job in jobs}) == 850
    assert sum(job.frames for job in jobs) == 34_149
    val = set(full_size_tables.official_splits()["val"])
    assert sum(job.frames for job in jobs if job.name in val) == 6_019


def test_rows_are_those_of_a_real_drive(root: Path, tmp_path: Path) -> None:
    made = make_full_size_tables(tmp_path, seed=1, share=0.001, workers=2)
    for path in (root / VERSION).iterdir():
        assert path.read_bytes() == (tmp_path / VERSION / path.name).read_bytes()
    assert made.bytes == sum(path.stat().st_size for path in (root / VERSION).iterdir())
    (scene,) = read_scenes(root, VERSION, "val")
    assert len(scene.frames) in (40, 41) and made.rows["sample"] in (80, 81, 82)
    # 2.6 million rows of sample_data and 1.17 million annotations in 34,149 key frames.
    assert made.rows["sample_data"] / made.rows["sample"] == pytest.approx(2.62e6 / 34_149, rel=0.02)
    assert made.rows["sample_annotation"] / made.rows["sample"] == pytest.approx(1.17e6 / 34_149, rel=0.15)
    assert Counter(len(frame.cameras) for frame in scene.frames) == {6: len(scene.frames)}


def test_the_devkit_opens_them(root: Path) -> None:
    nusc = pytest.importorskip("nuscenes").NuScenes(VERSION, str(root), verbose=False)
    for scene in read_scenes(root, VERSION, "val"):
        for frame in scene.frames[::13]:
            assert frame.annotations is not None
            assert len(nusc.get("sample", frame.token)["anns"]) >= len(frame.annotations.boxes)
            lidar = nusc.get("sample_data", nusc.get("sample", frame.token)["data"]["LIDAR_TOP"])
            assert nusc.get("ego_pose", lidar["ego_pose_token"])["translation"] == frame.global_from_ego[:3, 3].tolist()
