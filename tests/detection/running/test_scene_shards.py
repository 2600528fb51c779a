"""Detecting scene by scene: workers that hold the network write what one process finds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from detection.data.infos import read_infos, write_infos
from detection.data.loading import build_loader
from detection.running.detector import detect
from detection.running.scene_shards import detect_shards
from scenes import NUSCENES, InputError, Results, read_detections, write_detections
from scenes.jobs.executors import InProcess, LocalProcesses, SetupError
from scenes.jobs.shards import Shards
from scenes.result_format import DETECTION_FORMAT
from scenes.results import shard_samples

TinyConfig = Callable[..., Config]


def contents(shards: Shards) -> list[bytes]:
    return [path.read_bytes() for path in shards.paths()]


def test_shards_are_what_one_process_finds(tiny_config: TinyConfig, checkpoint: Path, tmp_path: Path) -> None:
    config = tiny_config()
    expected = detect(config, checkpoint, device="cpu")
    assert isinstance(expected, Results)
    here, failed = detect_shards(config, checkpoint, tmp_path / "here", InProcess(), device="cpu")
    assert failed == 0
    joined = read_detections(tmp_path / "here")
    assert list(joined.boxes) == list(expected.boxes)
    write_detections(tmp_path / "expected.json", expected)
    write_detections(tmp_path / "joined.json", joined)
    assert (tmp_path / "joined.json").read_bytes() == (tmp_path / "expected.json").read_bytes()
    both, failed = detect_shards(config, checkpoint, tmp_path / "both", LocalProcesses(2), device="cpu")
    assert failed == 0 and contents(both) == contents(here)


def test_only_missing_scenes_are_detected_in(tiny_config: TinyConfig, checkpoint: Path, tmp_path: Path) -> None:
    shards, _ = detect_shards(tiny_config(), checkpoint, tmp_path / "run", InProcess(), device="cpu")
    whole = contents(shards)
    shards.path(shards.scenes[0]).unlink()
    seen: list[int] = []
    detect_shards(
        *(tiny_config(), checkpoint, tmp_path / "run", InProcess()),
        device="cpu",
        resume=True,
        progress=lambda done, _: seen.append(done),
    )
    assert seen == [len(whole) - 1, len(whole)] and contents(shards) == whole
    with pytest.raises(InputError, match=r"another run \(settings.how.device differs: 'cpu' there, 'meta' here\)"):
        detect_shards(tiny_config(), checkpoint, tmp_path / "run", InProcess(), device="meta", resume=True)


def test_shards_of_another_info_file_are_refused(
    tiny_config: TinyConfig, tiny_city: Path, checkpoint: Path, tmp_path: Path
) -> None:
    config, copy = tiny_config(), tmp_path / "infos.pkl"
    shutil.copy(tiny_city / config.val_dataloader.dataset.ann_file, copy)
    config.val_dataloader.dataset.ann_file = str(copy)
    detect_shards(config, checkpoint, tmp_path / "run", InProcess(), device="cpu")
    infos, metadata = read_infos(copy)
    for camera in infos[0]["cams"].values():
        camera["cam_intrinsic"] = 1.5 * camera["cam_intrinsic"]
    write_infos(copy, infos, metadata)
    with pytest.raises(InputError, match=r"another run \(inputs\.infos differs"):
        detect_shards(config, checkpoint, tmp_path / "run", InProcess(), device="cpu", resume=True)


def test_a_broken_checkpoint_is_named_once(tiny_config: TinyConfig, tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(SetupError, match=r"broken\.pth"):
        detect_shards(tiny_config(), tmp_path / "broken.pth", tmp_path / "run", InProcess(), keep_going=True)


def test_an_image_that_is_missing_names_its_scene(
    tiny_config: TinyConfig, tiny_city: Path, checkpoint: Path, tmp_path: Path
) -> None:
    config = tiny_config()
    dataset = build_loader(config.val_dataloader).dataset
    record = dataset.record(int(dataset.sequences[0][0]))
    image = Path(record.cameras[0].image_path)
    hidden = image.with_suffix(".hidden")
    image.rename(hidden)
    try:
        shards, failed = detect_shards(config, checkpoint, tmp_path / "run", InProcess(), device="cpu", keep_going=True)
    finally:
        hidden.rename(image)
    assert failed == 1 and len(shards.missing()) == 1
    assert image.name in (tmp_path / "run" / "failures.json").read_text()
    with pytest.raises(InputError, match="is missing"):
        list(shard_samples(shards, DETECTION_FORMAT, NUSCENES))
