"""Evaluate detection or tracking result files with the nuScenes metrics.

    streamtrack evaluate tracking RESULTS --dataroot D --version V --split S --out DIR [--report [--detections FILE]]
    streamtrack evaluate tracking RESULTS --dataroot D --version V --split S --out DIR --protocol ab3dmot
    streamtrack evaluate detection RESULTS --dataroot D --version V --split S --out DIR [--report]
    streamtrack evaluate tracking RESULTS --dataroot D --version V --split S --out DIR --shards DIR [--executor ray]
    streamtrack evaluate ceiling DETECTIONS --dataroot D --version V --split S --out DIR
    streamtrack evaluate compare RESULTS RESULTS [...] [--task detection] --dataroot D --version V --split S

Prints a table and writes `metrics_summary.json` and `metrics_details.json`, in the schema of nuscenes-devkit, to DIR.
With --protocol tracks on KITTI are judged by AB3DMOT's metrics or HOTA, one object a class in `metrics_summary.json`.
"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from evaluation import (
    DEFAULT_ENGINE,
    ENGINES,
    PROTOCOLS,
    NotAnnotatedError,
    compare,
    evaluate_detection,
    evaluate_protocol,
    evaluate_tracking,
    report_detection,
    report_tracking,
)
from evaluation.analysis.ceiling import ceiling_tracks
from evaluation.check import TOLERANCE, first_difference
from evaluation.evaluation import DETAILS_FILE, SUMMARY_FILE, Evaluation, Interpolation
from evaluation.inputs import Split, read_inputs
from evaluation.runs.recording import Recorder, add_record, evaluation_metrics
from evaluation.runs.scene_counts import scene_metrics
from evaluation.runs.store import Metric
from evaluation.shards import evaluate_shards, sharded_scene_metrics
from evaluation.table import metrics_table
from evaluation.tracking import tracking_metrics
from scenes import (
    InputError,
    read_detections,
    read_tracks,
    write_tracks,
)
from scenes.command import (
    add_executor,
    add_shards,
    check_shards,
    run_command,
    scene_bar,
    shards_failed,
    workers_from,
)
from scenes.jobs.executors import executor_of

if TYPE_CHECKING:
    from evaluation.report import ReportTable

_EVALUATE = {"detection": evaluate_detection, "tracking": evaluate_tracking}


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for task in _EVALUATE:
        command = commands.add_parser(task, help=f"evaluate a {task} result file")
        command.add_argument("results", type=Path, help="result file in the nuScenes submission format")
        _add_split(command)
        command.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for the metrics")
        command.add_argument("--partial", action="store_true", help="leave out scenes that the results do not hold")
        how = command.add_mutually_exclusive_group()
        how.add_argument("--engine", choices=ENGINES, default=DEFAULT_ENGINE, help="default: %(default)s")
        how.add_argument("--check", action="store_true", help="run both engines and compare all numbers")
        how.add_argument("--report", action="store_true", help="write report.html and report.md as well")
        add_executor(command, 1)
        add_shards(command, "what the metrics need")
        add_record(command)
        if task == "tracking":
            how.add_argument(
                "--protocol", choices=PROTOCOLS, help="of KITTI, on a data root that `convert_data kitti` made"
            )
    tracking = commands.choices["tracking"]
    tracking.add_argument(
        "--interpolation",
        choices=get_args(Interpolation),
        default="devkit",
        help="weights of boxes in the gaps of tracks; the devkit's are the wrong way round; default: %(default)s",
    )
    tracking.add_argument(
        "--detections",
        type=Path,
        help="what the tracks were made of: the report then tells how far the tracker's own uncertainty can be trusted",
    )
    tracking.add_argument("--tracker-config", type=Path, help="with --detections: configs/tracking/*.py")
    ceiling = commands.add_parser("ceiling", help="the best that a tracker could make of detections")
    ceiling.add_argument("results", type=Path, help="detection result file in the nuScenes submission format")
    _add_split(ceiling)
    ceiling.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder for tracks.json and metrics")
    comparison = commands.add_parser("compare", help="how result files differ, with confidence intervals")
    comparison.add_argument("results", type=Path, nargs="+", help="result files; the others are set against the first")
    comparison.add_argument("--task", choices=list(_EVALUATE), default="tracking", help="default: %(default)s")
    _add_split(comparison)
    arguments = parser.parse_args()
    if arguments.command == "compare" and len(arguments.results) < 2:
        raise InputError("compare needs two result files or more: the others are set against the first")
    return arguments


def _add_split(command: argparse.ArgumentParser) -> None:
    command.add_argument("--dataroot", type=Path, required=True, help="nuScenes data root")
    command.add_argument("--version", required=True, help="folder of the tables, such as v1.0-trainval")
    command.add_argument("--split", required=True, help="split of the devkit or of splits.json, or a file of names")


def main() -> int:
    """Evaluate, write, print."""
    arguments = _parse_arguments()
    where = (arguments.dataroot, arguments.version, arguments.split)
    try:
        if arguments.command == "compare":
            print(compare(arguments.task, arguments.results, *where))
            return 0
        if arguments.command == "ceiling":
            return _ceiling(arguments, where)
        return _evaluate(arguments, where)
    except NotAnnotatedError as notice:
        print(notice)
        return 0


def _evaluate(arguments: argparse.Namespace, where: tuple[Path, str, str]) -> int:
    if arguments.command == "tracking" and arguments.protocol:
        return _evaluate_protocol(arguments, where)
    check_shards(arguments)
    _check_consistency(arguments)
    recorder = Recorder(arguments, f"evaluate {arguments.command}")
    if arguments.shards:
        return _evaluate_shards(arguments, where, recorder)
    if arguments.workers or arguments.executor or arguments.address:
        raise InputError("--workers, --executor and --address go with --shards DIR: all in memory runs in one process")
    evaluate = partial(_EVALUATE[arguments.command], arguments.results, *where, partial=arguments.partial)
    if arguments.command == "tracking":
        evaluate = partial(evaluate, interpolation=arguments.interpolation)
    if arguments.report and arguments.command == "tracking":
        tables = [_consistency(arguments, where)] if arguments.detections else []
        evaluation = report_tracking(arguments.results, *where, arguments.out, partial=arguments.partial, added=tables)
    elif arguments.report:
        evaluation = report_detection(arguments.results, *where, arguments.out, partial=arguments.partial)
    else:
        evaluation = evaluate(engine=arguments.engine)
    _warn(evaluation.warnings)
    if arguments.check:
        difference = first_difference(evaluation, evaluate(engine="devkit"))
        if difference:
            print(f"error: the engines differ (ours against devkit): {difference}", file=sys.stderr)
            return 1
        print(f"both engines agree within {TOLERANCE:g}")
    if not arguments.report:
        evaluation.write(arguments.out)
    print(metrics_table(evaluation))
    print(f"written to {arguments.out}")
    if arguments.record and arguments.command == "tracking":
        inputs = read_inputs(arguments.results, Split(*where), read_tracks, partial=arguments.partial)
        _record(recorder, arguments, evaluation, scene_metrics(inputs.results, inputs.scenes))
    else:
        _record(recorder, arguments, evaluation, ())
    return 0


def _check_consistency(arguments: argparse.Namespace) -> None:
    """Refuse options of the tracker's consistency where there is no report to show it."""
    if arguments.command != "tracking":
        return
    if arguments.detections and not arguments.report:
        raise InputError("--detections goes with --report")
    if arguments.tracker_config and not arguments.detections:
        raise InputError("--tracker-config goes with --detections")


def _consistency(arguments: argparse.Namespace, where: tuple[Path, str, str]) -> "ReportTable":
    """The tracker run over the detections again, for its innovations and errors."""
    # Few evaluations need the tracker, whose import takes a while.
    from evaluation.report import ReportTable
    from tracking.consistency import consistency_of_file

    header, rows = consistency_of_file(arguments.detections, *where, arguments.tracker_config)
    return ReportTable(
        "How far the tracker's uncertainty can be trusted",
        "Mean squared distances by dimension, in standard deviations: boxes from tracks before they are corrected "
        "(NIS), objects from tracks afterwards (NEES). A consistent filter has 1 and stays within the bounds in "
        "brackets; above it is overconfident, below too cautious.",
        header,
        rows,
    )


def _ceiling(arguments: argparse.Namespace, where: tuple[Path, str, str]) -> int:
    inputs = read_inputs(arguments.results, Split(*where), read_detections)
    tracks = ceiling_tracks(inputs.results, inputs.scenes)
    evaluation = tracking_metrics(tracks, inputs.scenes)
    _warn(inputs.warnings)
    write_tracks(arguments.out / "tracks.json", tracks)
    evaluation.write(arguments.out)
    print(metrics_table(evaluation))
    print(f"written to {arguments.out}")
    return 0


def _record(
    recorder: Recorder, arguments: argparse.Namespace, evaluation: Evaluation, of_scenes: Iterable[Metric]
) -> None:
    outputs = {name: arguments.out / name for name in (SUMMARY_FILE, DETAILS_FILE)}
    if arguments.report:
        outputs["report"] = arguments.out / "report.html"
    recorder.record(
        arguments.results,
        config=evaluation.summary["cfg"],
        outputs=outputs,
        metrics=[*evaluation_metrics(evaluation), *of_scenes],
    )


def _evaluate_shards(arguments: argparse.Namespace, where: tuple[Path, str, str], recorder: Recorder) -> int:
    """Evaluate scene by scene; the exit code."""
    if arguments.partial or arguments.check or arguments.report or arguments.engine != DEFAULT_ENGINE:
        raise InputError(
            "--shards goes without --partial, --check, --report and --engine: they take all scenes at once"
        )
    executor = executor_of(workers_from(arguments), sys.maxsize)
    with executor, scene_bar(executor) as progress:
        done = evaluate_shards(
            arguments.command,
            arguments.results,
            *where,
            arguments.shards,
            executor,
            interpolation=getattr(arguments, "interpolation", "devkit"),
            resume=arguments.resume,
            keep_going=arguments.keep_going,
            progress=progress,
        )
    if done.evaluation is None:
        return shards_failed(done.failed, arguments.shards)
    _warn(done.evaluation.warnings)
    done.evaluation.write(arguments.out)
    print(metrics_table(done.evaluation))
    print(f"written to {arguments.out}")
    if arguments.record:
        with_scenes = arguments.command == "tracking"
        _record(recorder, arguments, done.evaluation, sharded_scene_metrics(done, executor) if with_scenes else ())
    return 0


def _evaluate_protocol(arguments: argparse.Namespace, where: tuple[Path, str, str]) -> int:
    if arguments.interpolation != "devkit":
        raise InputError("--interpolation is of nuScenes' metrics; KITTI's protocols fill no gaps of tracks")
    evaluation = evaluate_protocol(arguments.results, *where, arguments.protocol, partial=arguments.partial)
    _warn(evaluation.warnings)
    evaluation.write(arguments.out)
    print(evaluation.table())
    print(f"written to {arguments.out}")
    return 0


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
