"""The two entrances to the room: evaluate detections, evaluate tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from evaluation.evaluation import Evaluation
from evaluation.identity_warnings import identity_warnings
from evaluation.inputs import Split, read_inputs
from scenes import Results, read_detections, read_tracks

Engine = Literal["ours", "devkit"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
DEFAULT_ENGINE: Engine = "ours"


def evaluate_tracking(
    tracks: Path | str | Results,
    dataroot: Path | str,
    version: str,
    split: str,
    *,
    engine: Engine = DEFAULT_ENGINE,
    partial: bool = False,
) -> Evaluation:
    """The nuScenes tracking metrics (AMOTA and 16 more) of a tracking result.

    Args:
        tracks: a tracking result file, or its content.
        dataroot: nuScenes data root.
        version: such as `v1.0-trainval`.
        split: one of the devkit's names, a name in `splits.json`, or a file of scene names.
        engine: `ours` is compiled, `devkit` the official nuscenes-devkit 1.2.0. They give the same numbers.
        partial: evaluate the scenes of which the tracks hold all samples, and name the others in a warning.

    Raises:
        NotAnnotatedError: the tracks are valid, but the split has no annotations.
        InputError: the file, the data root or the split cannot be used, or the samples do not match.
    """
    inputs = read_inputs(tracks, Split(Path(dataroot), version, split), read_tracks, partial=partial)
    warnings = (*inputs.warnings, *identity_warnings(inputs.results, inputs.scenes))
    # The engines are imported when they are used: numba takes half a second, the devkit several.
    if engine == "devkit":
        from evaluation import devkit

        return replace(devkit.evaluate_tracking(inputs), warnings=warnings)
    from evaluation.tracking import tracking_metrics

    return replace(tracking_metrics(inputs.results, inputs.scenes), warnings=warnings)


def evaluate_detection(
    detections: Path | str | Results,
    dataroot: Path | str,
    version: str,
    split: str,
    *,
    engine: Engine = DEFAULT_ENGINE,
    partial: bool = False,
) -> Evaluation:
    """The nuScenes detection metrics (mAP, five true-positive errors, NDS) of a detection result.

    Arguments and errors as for `evaluate_tracking`.
    """
    inputs = read_inputs(detections, Split(Path(dataroot), version, split), read_detections, partial=partial)
    if engine == "devkit":
        from evaluation import devkit

        return replace(devkit.evaluate_detection(inputs), warnings=inputs.warnings)
    from evaluation.detection import detection_metrics

    return replace(detection_metrics(inputs.results, inputs.scenes), warnings=inputs.warnings)
