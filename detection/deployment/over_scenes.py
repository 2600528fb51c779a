"""An exported detector over the scenes of a data root, which needs no info files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from detection.data.sample import FrameSample
from detection.deployment.detector import OnnxDetector
from scenes import Boxes3D, InputError, Results, read_scenes, taxonomy_of


def data_frames(
    dataroot: Path, version: str, split: str, most: int | None = None, most_of_scene: int | None = None
) -> Iterator[tuple[FrameSample, bool]]:
    """The frames of a split, scene after scene, with whether each continues its scene.

    Args:
        dataroot, version, split: see `scenes.read_scenes`.
        most: frames at most; None for all.
        most_of_scene: of each scene at most; None for all.

    Raises:
        InputError: the tables or an image cannot be read.
    """
    given = 0
    for scene in read_scenes(dataroot, version, split):
        for index, frame in enumerate(scene.frames[:most_of_scene]):
            if given == most:
                return
            given += 1
            yield FrameSample.from_frame(frame, scene.token), index > 0


def detect_scenes(
    folder: Path, dataroot: Path, version: str, split: str, progress: Callable[[int, int], None] | None = None
) -> Results:
    """Detect in every frame of a split.

    Args:
        folder: of an export.
        dataroot, version, split: see `scenes.read_scenes`.
        progress: called with the number of frames seen and that of all, first with 0.

    Raises:
        InputError: the export, the tables or an image cannot be used.
    """
    scenes = read_scenes(dataroot, version, split)
    if not scenes:
        raise InputError(f"{dataroot}: split '{split}' has no scenes")
    detector = OnnxDetector.from_onnx(folder, taxonomy_of(scenes))
    total = sum(len(scene.frames) for scene in scenes)
    found: dict[str, Boxes3D] = {}
    for sample, continues in data_frames(dataroot, version, split):
        if progress is not None:
            progress(len(found), total)
        (found[sample.sample_token],) = detector.step(detector.prepare([sample], [continues]))
    if progress is not None:
        progress(total, total)
    return Results(found, taxonomy=detector.taxonomy)
