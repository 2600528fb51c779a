"""The entrances to the room: evaluate detections or tracks, write a report, compare runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from evaluation.evaluation import Evaluation, Interpolation, Task
from evaluation.identity_warnings import identity_warnings
from evaluation.inputs import Split, read_inputs
from scenes import InputError, Results, read_detections, read_tracks
from scenes.conversion.source_frames import read_source_frames
from scenes.files import write_atomically
from scenes.short_names import short_names

if TYPE_CHECKING:
    from evaluation.protocols.protocol_evaluation import ProtocolEvaluation
    from evaluation.report import ReportTable

Engine = Literal["ours", "devkit"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
DEFAULT_ENGINE: Engine = "ours"

Protocol = Literal["ab3dmot", "kitti-hota"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

ANALYSIS_FILE = "analysis.json"


def evaluate_tracking(
    tracks: Path | str | Results,
    dataroot: Path | str,
    version: str,
    split: str,
    *,
    engine: Engine = DEFAULT_ENGINE,
    partial: bool = False,
    interpolation: Interpolation = "devkit",
) -> Evaluation:
    """The nuScenes tracking metrics (AMOTA and 16 more) of a tracking result.

    Args:
        tracks: a tracking result file, or its content.
        dataroot: nuScenes data root.
        version: such as `v1.0-trainval`.
        split: one of the devkit's names, a name in `splits.json`, or a file of scene names.
        engine: `ours` is compiled, `devkit` the official nuscenes-devkit 1.2.0. They give the same numbers.
        partial: evaluate the scenes of which the tracks hold all samples, and name the others in a warning.
        interpolation: `corrected` fills the gaps of tracks with the right weights, which is not what the devkit does.

    Raises:
        NotAnnotatedError: the tracks are valid, but the split has no annotations.
        InputError: the file, the data root or the split cannot be used, or the samples do not match.
    """
    inputs = read_inputs(tracks, Split(Path(dataroot), version, split), read_tracks, partial=partial)
    warnings = (*inputs.warnings, *identity_warnings(inputs.results, inputs.scenes))
    # The engines are imported when they are used: numba takes half a second, the devkit several.
    if engine == "devkit":
        if interpolation != "devkit":
            raise InputError("the devkit knows only its own interpolation; use our engine for the corrected one")
        from evaluation import devkit

        return replace(devkit.evaluate_tracking(inputs), warnings=warnings)
    from evaluation.tracking import tracking_metrics

    evaluation = tracking_metrics(inputs.results, inputs.scenes, interpolation=interpolation)
    return replace(evaluation, warnings=warnings)


def evaluate_protocol(
    tracks: Path | str | Results,
    dataroot: Path | str,
    version: str,
    split: str,
    protocol: Protocol,
    *,
    partial: bool = False,
) -> ProtocolEvaluation:
    """The metrics of a tracking result by a protocol of KITTI.

    Args:
        tracks, partial: as for `evaluate_tracking`.
        dataroot, version, split: of a data root that `convert_data kitti` made.
        protocol: `ab3dmot` compares boxes in space, over recall; `kitti-hota` rectangles in the image.

    Raises:
        NotAnnotatedError, InputError: as for `evaluate_tracking`; or the data root is not KITTI's.
    """
    inputs = read_inputs(tracks, Split(Path(dataroot), version, split), read_tracks, partial=partial)
    from evaluation.protocols.protocol_evaluation import evaluate_kitti

    evaluated = {scene.token for scene in inputs.scenes}
    frames = read_source_frames(Path(dataroot), version, split)
    frames = replace(frames, scenes=[scene for scene in frames.scenes if scene.token in evaluated])
    evaluation = evaluate_kitti(inputs.results, frames, protocol)
    return replace(evaluation, warnings=(*inputs.warnings, *evaluation.warnings))


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


def report_tracking(
    tracks: Path | str,
    dataroot: Path | str,
    version: str,
    split: str,
    folder: Path | str,
    *,
    partial: bool = False,
    added: Sequence[ReportTable] = (),
) -> Evaluation:
    """Evaluate tracks with our engine, analyse them, and write metrics, analysis and report to a folder.

    Besides the two files of `Evaluation.write` these are `report.html`, `report.md` and `analysis.json`, which holds
    what `evaluation.analysis.track_analysis.analyse_tracks` found, and on the page the tables `added`. Other arguments
    and errors as for `evaluate_tracking`.
    """
    from evaluation.analysis.track_analysis import analyse_tracks
    from evaluation.report import write_report
    from evaluation.tracking import tracking_metrics

    inputs = read_inputs(tracks, Split(Path(dataroot), version, split), read_tracks, partial=partial)
    warnings = (*inputs.warnings, *identity_warnings(inputs.results, inputs.scenes))
    evaluation = replace(tracking_metrics(inputs.results, inputs.scenes), warnings=warnings)
    analysis = analyse_tracks(inputs.results, inputs.scenes, evaluation)
    evaluation.write(folder)
    write_atomically(Path(folder, ANALYSIS_FILE), json.dumps(analysis, indent=2).encode())
    write_report(evaluation, analysis, _title(tracks, split), folder, inputs.results.taxonomy, added)
    return evaluation


def report_detection(
    detections: Path | str, dataroot: Path | str, version: str, split: str, folder: Path | str, *, partial: bool = False
) -> Evaluation:
    """Evaluate detections with our engine, analyse them, and write metrics, analysis and report.

    `analysis.json` holds what `evaluation.analysis.detection_analysis.analyse_detections` found. Arguments as for
    `report_tracking`.
    """
    from evaluation.analysis.detection_analysis import analyse_detections
    from evaluation.detection import detection_metrics
    from evaluation.report import write_report

    inputs = read_inputs(detections, Split(Path(dataroot), version, split), read_detections, partial=partial)
    evaluation = replace(detection_metrics(inputs.results, inputs.scenes), warnings=inputs.warnings)
    analysis = analyse_detections(inputs.results, inputs.scenes)
    evaluation.write(folder)
    write_atomically(Path(folder, ANALYSIS_FILE), json.dumps(analysis, indent=2).encode())
    write_report(evaluation, analysis, _title(detections, split), folder, inputs.results.taxonomy)
    return evaluation


def compare(task: Task, paths: Sequence[Path | str], dataroot: Path | str, version: str, split: str) -> str:
    """A table of how several result files differ from the first, with intervals from a paired bootstrap.

    Errors as for `evaluate_tracking`.
    """
    from evaluation.comparison.bootstrap import comparison_table
    from evaluation.comparison.detections import compare_detections
    from evaluation.comparison.tracks import compare_tracks

    where = Split(Path(dataroot), version, split)
    read_results = read_tracks if task == "tracking" else read_detections
    named = zip(short_names(paths), paths, strict=True)
    inputs = {name: read_inputs(path, where, read_results) for name, path in named}
    first = next(iter(inputs))
    scenes = inputs[first].scenes
    compare_runs = compare_tracks if task == "tracking" else compare_detections
    compared = compare_runs({name: of_run.results for name, of_run in inputs.items()}, scenes)
    return comparison_table(compared, first, len(scenes))


def _title(results: Path | str, split: str) -> str:
    return f"{Path(results).name} on {split}"
