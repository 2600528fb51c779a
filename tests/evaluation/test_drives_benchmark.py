"""The benchmark's drives are a data root like any other, with detections that fit."""

from pathlib import Path

import numpy as np

from evaluation import evaluate_detection
from evaluation.drives_benchmark import SPLIT, Step, copy_drives, steps_table
from scenes import read_scenes
from scenes.city import VERSION, make_city


def test_copies_of_drives_are_drives(tmp_path: Path) -> None:
    make_city(tmp_path / "city", train_scenes=0, val_scenes=2, frames=3, seed=6, images=False, workers=1)
    originals = read_scenes(tmp_path / "city", VERSION, "city_val", cameras=False)
    copy_drives(tmp_path / "city", tmp_path / "root", 5)
    copies = read_scenes(tmp_path / "root", VERSION, SPLIT)
    assert len({scene.name for scene in copies}) == len({scene.token for scene in copies}) == 5
    assert len({token for scene in copies for token in scene.sample_tokens}) == 15
    for number, scene in enumerate(copies):
        for frame, original in zip(scene.frames, originals[number % 2].frames, strict=True):
            assert np.array_equal(frame.global_from_ego, original.global_from_ego)
            assert np.array_equal(frame.annotations.boxes.center_m, original.annotations.boxes.center_m)
            # Instances are a copy's own, and their velocities come from its own rows.
            assert np.array_equal(
                frame.annotations.boxes.velocity_mps, original.annotations.boxes.velocity_mps, equal_nan=True
            )
    found = evaluate_detection(tmp_path / "root" / "detections.json", tmp_path / "root", VERSION, SPLIT)
    assert found.summary["mean_ap"] > 0.1


def test_a_step_is_a_row() -> None:
    table = steps_table([Step("track", 500, 12.2, 1.0, 20.0, 300_000_000, 150_000_000)])
    assert table.splitlines()[1].split() == ["track", "500", "12", "40.0", "2.0", "300", "150"]
