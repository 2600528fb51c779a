"""A trained detector over a data set and frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from detection.data.loading import batches, build_loader
from detection.data.sample import CameraView, FrameSample
from detection.running.detector import Detector, detect, evaluate
from evaluation import evaluate_detection
from scenes import InputError, Results, read_detections, read_scenes, write_detections
from scenes.city import VAL_SPLIT, VERSION

TINY = Path(__file__).parents[1] / "city_tiny.py"
TinyConfig = Callable[..., Config]


def test_every_frame_in_order_and_written(tiny_config: TinyConfig, tiny_city: Path, checkpoint: Path) -> None:
    seen = []
    results = detect(tiny_config(), checkpoint, progress=lambda done, total: seen.append((done, total)))
    assert isinstance(results, Results)
    scenes = read_scenes(tiny_city, VERSION, VAL_SPLIT)
    assert set(results.boxes) == {token for scene in scenes for token in scene.sample_tokens}
    assert seen == [(done, 12) for done in range(13)]
    path = checkpoint.with_suffix(".json")
    write_detections(path, results)
    again = read_detections(path).boxes
    assert list(again) == list(results.boxes)
    assert all(np.array_equal(again[token].query_id, results.boxes[token].query_id) for token in again)
    assert sum(map(len, results.boxes.values())) > 0


def test_scored_as_the_file_would_be(tiny_config: TinyConfig, tiny_city: Path, checkpoint: Path) -> None:
    """What the config's metric says of chance boxes among true ones is what the official devkit says of them."""
    pytest.importorskip("nuscenes")
    results = detect(tiny_config(), checkpoint)
    assert isinstance(results, Results)
    mixed = {}
    for scene in read_scenes(tiny_city, VERSION, VAL_SPLIT):
        for index, frame in enumerate(scene.frames):
            assert frame.annotations is not None
            seen = frame.annotations.boxes.select(frame.annotations.num_lidar_pts > 0)
            true = seen.replace(track_id=None, attribute=None)
            chance = results.boxes[frame.token].replace(query_id=None)
            mixed[frame.token] = true if index % 2 else chance.replace(score=0.5 * chance.score)
    path = checkpoint.with_suffix(".json")
    write_detections(path, Results(mixed))
    found = evaluate(tiny_config(), read_detections(path)).summary
    expected = evaluate_detection(path, tiny_city, VERSION, VAL_SPLIT, engine="devkit").summary
    assert found["label_aps"]["car"]["2.0"] > 0.3
    assert found["mean_ap"] == pytest.approx(expected["mean_ap"], abs=1e-9)
    assert found["nd_score"] == pytest.approx(expected["nd_score"], abs=1e-9)


def test_frame_by_frame_equals_the_data_set(tiny_config: TinyConfig, checkpoint: Path) -> None:
    """Names of queries begin anew with each scene, and live on within one."""
    config = tiny_config()
    detector = Detector.from_config(TINY, checkpoint, device="cpu")
    expected = detect(config, checkpoint)
    assert isinstance(expected, Results)
    names: dict[str, list[set[int]]] = {}
    for batch in batches(build_loader(config.val_dataloader)):
        frame = batch["frames"][0]
        if not frame.continues_scene.any():
            detector.reset()
        (boxes,) = detector.step(frame)
        assert np.array_equal(boxes.center_m, expected.boxes[frame.sample_tokens[0]].center_m)
        names.setdefault(frame.scene_tokens[0], []).append(set(boxes.query_id.tolist()))
    for of_scene in names.values():
        assert of_scene[0] <= set(range(60))  # 40 learned queries and the 20 that stand in for carried ones
        assert all(before & after for before, after in pairwise(of_scene))


def test_images_of_ones_own(tiny_config: TinyConfig, checkpoint: Path) -> None:
    """Two streams from arrays and matrices alone see what the data set shows."""
    config = tiny_config()
    detector = Detector.from_config(config, checkpoint, device="cpu")
    dataset = build_loader(config.val_dataloader).dataset
    samples = []
    for index in (0, 5):
        record = dataset.record(index)
        views = [
            CameraView(
                name=camera.name,
                image_path=Path("live"),
                size_px=None,
                image=np.asarray(Image.open(camera.image_path)),
                image_from_camera=camera.image_from_camera,
                camera_from_lidar=camera.camera_from_lidar,
                annotations=None,
            )
            for camera in record.cameras
        ]
        samples.append(
            FrameSample(
                f"frame{index}", "drive", record.timestamp_us, record.global_from_lidar, tuple(views), None, None
            )
        )
    frame = detector.prepare(samples, continues_scene=[False, False])
    assert torch.equal(frame.images, torch.cat([dataset[index][0].images for index in (0, 5)]))
    assert frame.sample_tokens == ("frame0", "frame5")
    assert all(len(boxes) > 0 for boxes in detector.step(frame))


def test_several_streams_at_once_find_what_each_finds(tiny_config: TinyConfig, checkpoint: Path) -> None:
    config = tiny_config()
    alone = detect(config, checkpoint)
    assert isinstance(alone, Results)
    loader = config.train_dataloader.to_dict()
    loader["dataset"] = config.val_dataloader.dataset
    detector = Detector.from_config(config, checkpoint, device="cpu")
    for _, batch in zip(range(4), batches(build_loader(loader)), strict=False):
        frame = batch["frames"][0]
        for token, boxes in zip(frame.sample_tokens, detector.step(frame), strict=True):
            expected = alone.boxes[token]
            assert boxes.score == pytest.approx(expected.score, abs=1e-4)


def test_what_it_remembers_can_be_kept(tiny_config: TinyConfig, checkpoint: Path) -> None:
    """As arrays, by which another detector goes on; one without a memory takes none."""
    config = tiny_config()
    frames = [batch["frames"][0] for batch in batches(build_loader(config.val_dataloader))][:4]
    first, second = (Detector.from_config(config, checkpoint, device="cpu") for _ in range(2))
    assert first.state() == {}
    expected = [first.step(frame)[0] for frame in frames[:2]]
    second.load_state({name: array.copy() for name, array in first.state().items()})
    expected += [first.step(frame)[0] for frame in frames[2:]]
    found = [second.step(frame)[0] for frame in frames[2:]]
    for own, other in zip(found, expected[2:], strict=True):
        assert np.array_equal(own.center_m, other.center_m) and np.array_equal(own.query_id, other.query_id)
    state = first.state()
    first.model.pts_bbox_head.memory = None
    assert first.state() == {}
    with pytest.raises(InputError, match="a state of a detector that remembers"):
        first.load_state(state)


def test_the_tool_refuses_a_checkpoint_of_another_model(run, tiny_city: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CITY_ROOT", str(tiny_city))
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    done = run("test.py", TINY, tmp_path / "other.pth", "--out", tmp_path / "out.json")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {tmp_path / 'other.pth'}: ")
    assert not (tmp_path / "out.json").exists()


def test_wrong_calls_are_named(tiny_config: TinyConfig, checkpoint: Path) -> None:
    config = tiny_config(validate=False)
    with pytest.raises(InputError, match="the config has no 'val_dataloader'"):
        detect(config, checkpoint)
    with pytest.raises(InputError, match="the config has no 'val_evaluator'"):
        evaluate(config, Results({}))
    with pytest.raises(InputError, match="a process tests one stream at a time"):
        detect(tiny_config(val_dataloader__batch_size=2), checkpoint)
    with pytest.raises(InputError, match=r"absent\.pth: "):
        Detector.from_config(tiny_config(), checkpoint.with_name("absent.pth"))
