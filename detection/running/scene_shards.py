"""Detects in any number of scenes, each a job with a shard of its own, by workers that hold the loaded network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from detection.data.dataset import FrameRequest, TemporalFrameDataset, path_below
from detection.data.loading import build_loader
from detection.running.detector import Detector
from detection.running.trained import setting
from scenes import Boxes3D, InputError, Results, read_scenes, write_detections
from scenes.jobs.executors import Executor
from scenes.jobs.shards import Progress, Shards, begin_shards, file_digest, run_shards, tables_digest
from scenes.shipped import shipped_path


@dataclass(frozen=True)
class SceneDetector:
    """A detector and the data set that it looks at; what a worker holds.

    Attributes:
        detector: with its weights. dataset: that a config validates on.
    """

    detector: Detector
    dataset: TemporalFrameDataset

    def detect(self, frames: Sequence[int]) -> dict[str, Boxes3D]:
        """The boxes of a scene's frames, which are asked for by their indices, by sample token."""
        found: dict[str, Boxes3D] = {}
        for position, index in enumerate(frames):
            # As `EvaluationSampler` asks for them.
            window = self.dataset[FrameRequest(index, 0, position > 0, (0, index, 0))]
            found.update(self.detector.detect_batch(self.dataset.collate([window])))
        return found


def detect_shards(
    config: Config,
    checkpoint: Path | str,
    folder: Path,
    executor: Executor,
    *,
    gpus: float = 0.0,
    resume: bool = False,
    keep_going: bool = False,
    progress: Progress | None = None,
    **how: Any,
) -> tuple[Shards, int]:
    """Detect in the scenes of the data set that a config validates on.

    On a CPU each worker computes in one thread, so that its numbers do not depend on how many workers there are.

    Args:
        config, checkpoint, how: see `detection.running.detector.detect`.
        folder: for the shards.
        executor: where to detect.
        gpus: that a worker needs, which a cluster counts.
        resume, keep_going, progress: see `scenes.jobs.shards`.

    Returns:
        the shards, in the order of the data set, and how many scenes failed.

    Raises:
        InputError: the config, the checkpoint, the data set or the folder cannot be used; or a scene fails, without
            `keep_going`.
    """
    dataset: Any = build_loader({**setting(config, "val_dataloader"), "batch_size": 1, "num_workers": 0}).dataset
    if not isinstance(dataset, TemporalFrameDataset):
        raise InputError("--shards: of a detector for scenes; single images have none")
    names, tables = _scene_names(config, dataset)
    data_set = setting(config, "val_dataloader")["dataset"]
    infos = path_below(Path(data_set["dataroot"]), Path(data_set["ann_file"]))
    shards = begin_shards(
        folder,
        "detections",
        names,
        settings={"config": config.to_dict(), "how": {key: str(value) for key, value in sorted(how.items())}},
        inputs={"checkpoint": _digest(checkpoint), "infos": file_digest(infos), "tables": tables},
        resume=resume,
    )
    jobs = zip(names, ((frames.tolist(),) for frames in dataset.sequences), strict=True)
    failed = run_shards(
        shards,
        _detect_scene,
        jobs,
        executor,
        keep_going=keep_going,
        progress=progress,
        setup=partial(_load, config, checkpoint, how),
        gpus=gpus,
    )
    return shards, failed


def _load(config: Config, checkpoint: Path | str, how: Mapping[str, Any]) -> SceneDetector:
    torch.set_num_threads(1)
    loader = build_loader({**setting(config, "val_dataloader"), "batch_size": 1, "num_workers": 0})
    return SceneDetector(Detector.from_config(config, checkpoint, **how), loader.dataset)  # type: ignore[arg-type]


def _detect_scene(scene_detector: SceneDetector, frames: Sequence[int], path: Path) -> None:
    found = scene_detector.detect(frames)
    write_detections(path, Results(found, taxonomy=scene_detector.detector.taxonomy))


def _scene_names(config: Config, dataset: TemporalFrameDataset) -> tuple[list[str], str]:
    """The names of the data set's scenes in its order, and the digest of the tables that they stand in."""
    evaluator = setting(config, "val_evaluator")
    try:
        where = (Path(evaluator["dataroot"]), evaluator["version"])
        split = evaluator["split"]
    except (KeyError, TypeError) as error:
        raise InputError("val_evaluator has to be a NuScenesMetric with dataroot, version and split") from error
    scenes = read_scenes(*where, split, annotations=False, cameras=False)
    name_of_token = {scene.token: scene.name for scene in scenes}
    tokens = [dataset.record(int(frames[0])).scene_token for frames in dataset.sequences]
    if unknown := [token for token in tokens if token not in name_of_token]:
        raise InputError(f"split '{split}' has no scene '{unknown[0]}', of which the info file has frames")
    if len(set(tokens)) < len(tokens):
        raise InputError("val_dataloader.dataset: sequence_split cuts scenes, of which each needs a shard")
    return [name_of_token[token] for token in tokens], tables_digest(*where)


def _digest(checkpoint: Path | str) -> str:
    path = shipped_path(Path(checkpoint))
    return file_digest(path) if path.is_file() else str(checkpoint)
