"""The two entrances to the room: evaluate detections, evaluate tracks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from evaluation.evaluation import Evaluation
from evaluation.inputs import Split, read_inputs
from scenes import Results, read_detections, read_tracks

Engine = Literal["ours", "devkit"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
DEFAULT_ENGINE: Engine = "ours"


def evaluate_tracking(
    tracks: Path | str | Results, dataroot: Path | str, version: str, split: str, *, engine: Engine = DEFAULT_ENGINE
) -> Evaluation:
    """The nuScenes tracking metrics (AMOTA and 16 more) of a tracking result.

    Args:
        tracks: a tracking result file, or its content.
        dataroot: nuScenes data root.
        version: such as `v1.0-trainval`.
        split: one of the devkit's names, a name in `splits.json`, or a file of scene names.
        engine: `ours` is compiled, `devkit` the official nuscenes-devkit 1.2.0. They give the same numbers.

    Raises:
        NotAnnotatedError: the tracks are valid, but the split has no annotations.
        InputError: the file, the data root or the split cannot be used, or the samples do not match.
    """
    inputs = read_inputs(tracks, Split(Path(dataroot), version, split), read_tracks)
    # The engines are imported when they are used: numba takes half a second, the devkit several.
    if engine == "devkit":
        from evaluation import devkit

        return devkit.evaluate_tracking(inputs)
    from evaluation.tracking import tracking_metrics

    return tracking_metrics(inputs.results, inputs.scenes)


def evaluate_detection(
    detections: Path | str | Results,
    dataroot: Path | str,
    version: str,
    split: str,
    *,
    engine: Engine = DEFAULT_ENGINE,
) -> Evaluation:
    """The nuScenes detection metrics (mAP, five true-positive errors, NDS) of a detection result.

    Arguments and errors as for `evaluate_tracking`.
    """
    inputs = read_inputs(detections, Split(Path(dataroot), version, split), read_detections)
    if engine == "devkit":
        from evaluation import devkit

        return devkit.evaluate_detection(inputs)
    from evaluation.detection import detection_metrics

    return detection_metrics(inputs.results, inputs.scenes)
