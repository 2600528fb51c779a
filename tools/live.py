"""Follow cameras live: images in, tracks out, in real time, with identities.

    streamtrack live CONFIG CHECKPOINT SOURCE --page
    streamtrack live CONFIG ONNX_FOLDER drive.mcap --speed 2 --json-lines tracks.jsonl --stats

SOURCE is a data root (with --version and --split), a folder with a video or a folder of images a camera and
calibration.yaml, a ROS bag or MCAP file, or a calibration file of cameras that OpenCV opens. Stages that fall behind
drop the oldest work; what goes wrong is said on stderr, and the run goes on. Ctrl+C ends it in good order.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from detection.config import add_overrides, read_config
from detection.running.speed_options import add_speed_options
from scenes.command import between, run_command, table_console
from streaming.assembly import LONGEST_WAIT_S, Assembler
from streaming.detectors import check_classes, open_detector
from streaming.journal import Journal
from streaming.latency import Statistics
from streaming.pipeline import Pipeline, PipelineOptions
from streaming.sinks.choice import SinkOptions, open_sinks
from streaming.sinks.page import LOCALHOST, PORT
from streaming.sinks.ros2 import KINDS
from streaming.sources.choice import open_source
from tracking import TrackerConfig, load_tracker_config, read_calibration


def main() -> None:
    """Parse the command line, open source, detector and sinks, run, print."""
    arguments = _parse_arguments()
    logging.getLogger("streaming").setLevel(logging.INFO)
    journal = Journal()
    source = open_source(arguments.source, journal, arguments.version, arguments.split)
    overrides = dict(arguments.cfg_options)
    if source.taxonomy is not None:
        overrides = {"val_dataloader.dataset.dataroot": str(arguments.source), **overrides}
    config = read_config(arguments.config, overrides)
    detector = open_detector(config, arguments.checkpoint, source.taxonomy, **_speed(arguments))
    check_classes(detector, source.taxonomy, source.name)
    taxonomy = detector.taxonomy
    tracker = load_tracker_config(arguments.tracker, taxonomy) if arguments.tracker else TrackerConfig.of(taxonomy)
    calibration = read_calibration(arguments.calibration) if arguments.calibration else None
    assembler = Assembler(journal, arguments.wait, arguments.rate)
    options = PipelineOptions(arguments.speed, arguments.every_step, arguments.state, arguments.state_every)
    pipeline = Pipeline(source, assembler, detector, journal, tracker, calibration, options)
    with open_sinks(_sink_options(arguments), source.name, taxonomy, journal, lambda: pipeline.dropped) as sinks:
        statistics = pipeline.run(sinks)
    if arguments.stats:
        _print(statistics)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="configs/*/*.py of the detector")
    parser.add_argument("checkpoint", help="weights of this model, or a folder that `streamtrack export` has written")
    parser.add_argument("source", type=Path, help="data root, folder, bag, MCAP or calibration file of cameras")
    parser.add_argument("--version", help="of a data root: folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--split", help="of a data root: val, mini_val, a custom split, or a file of scene names")
    playing = parser.add_argument_group("playing")
    playing.add_argument(
        "--speed",
        type=float,
        default=1.0,
        action=between(0.01),
        help="of a recording, a multiple of its own time (default: %(default)s)",
    )
    playing.add_argument(
        "--every-step", action="store_true", help="wait rather than drop, and output the time of each step"
    )
    playing.add_argument("--rate", type=float, metavar="HZ", action=between(0.01), help="steps a second at most")
    playing.add_argument(
        "--wait",
        type=float,
        metavar="S",
        default=LONGEST_WAIT_S,
        action=between(0.0),
        help="how long the first image of a step waits for the others (default: %(default)s s)",
    )
    tracking = parser.add_argument_group("tracking")
    tracking.add_argument("--tracker", type=Path, metavar="FILE", help="configs/tracking/*.py; default: built in")
    tracking.add_argument("--calibration", type=Path, metavar="FILE", help="of the detector, by streamtrack calibrate")
    tracking.add_argument(
        "--state", type=Path, metavar="FILE", help="what is remembered: saved while it runs; a restart goes on from it"
    )
    tracking.add_argument("--state-every", type=float, metavar="S", default=1.0, action=between(0.0), help="default: 1")
    output = parser.add_argument_group("output")
    output.add_argument("--page", action="store_true", help="serve a page; its address is printed")
    output.add_argument("--host", default=LOCALHOST, help="address that the page listens at (default: this machine)")
    output.add_argument("--port", type=int, default=PORT, action=between(0, 65535), help="default: %(default)s")
    output.add_argument("--token", help="without which the page answers nobody (default: made up)")
    output.add_argument("--json-lines", type=Path, metavar="FILE", help="a line a step; - for stdout")
    output.add_argument("--mcap", type=Path, metavar="FILE", help="for Foxglove: objects as SceneUpdate")
    output.add_argument("--rerun", metavar="FILE|ADDRESS", help="recording, or rerun+http://... of a viewer")
    output.add_argument("--ros2", choices=tuple(KINDS), help="publish in ROS 2, where rclpy is installed")
    output.add_argument("--stats", action="store_true", help="print latency by stage and drops at the end")
    add_speed_options(parser)
    add_overrides(parser)
    return parser.parse_args()


def _speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """How a network of torch runs; ONNX Runtime, on a machine that may have no torch, chooses itself."""
    if Path(arguments.checkpoint).is_dir():
        return {}
    from detection.running.compilation import speed_of

    return speed_of(arguments)


def _sink_options(arguments: argparse.Namespace) -> SinkOptions:
    return SinkOptions(
        page=arguments.page,
        host=arguments.host,
        port=arguments.port,
        token=arguments.token,
        json_lines=arguments.json_lines,
        append=arguments.state is not None and arguments.state.exists(),
        mcap=arguments.mcap,
        rerun=arguments.rerun,
        ros2=arguments.ros2,
    )


def _print(statistics: Statistics) -> None:
    from rich.table import Table

    table = Table("stage", "steps", "p50 ms", "p95 ms", "p99 ms", "dropped")
    for row in statistics.rows():
        table.add_row(*row)
    console = table_console()
    console.print(table)
    for kind, count in sorted(statistics.faults.items()):
        console.print(f"{kind}: {count}")


if __name__ == "__main__":
    run_command(main)
