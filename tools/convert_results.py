"""Convert results: detections of other formats into a detection file, tracks out into other formats."""

import argparse
from pathlib import Path

from scenes import read_detections, read_tracks, select_samples, write_detections
from scenes.command import run_command
from scenes.conversion.found_boxes import Found
from scenes.conversion.kitti_lines import read_kitti_lines, write_kitti_lines
from scenes.conversion.source_frames import SourceFrames, read_source_frames
from scenes.results import Results


def main() -> None:
    """Parse the arguments, convert, say what was written and what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    kitti = _reader(commands, "kitti", "KITTI lines, a file a sequence")
    kitti.add_argument(
        "folders", metavar="FOLDER", type=Path, nargs="+", help="with <scene>.txt; they are put together"
    )
    _scores(kitti, "logit")
    to_kitti = _writer(commands, "to-kitti", "KITTI lines, a file a sequence", "DIR")
    _scores(to_kitti, "probability")
    arguments = parser.parse_args()
    frames = read_source_frames(arguments.dataroot, arguments.version, arguments.split)
    notes = _write(arguments, frames) if arguments.format.startswith("to-") else _read(arguments, frames)
    for note in notes:
        print(note)


def _reader(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=f"in: {what}", description=f"Read detections: {what}.")
    _data_root(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="detection file to write")
    return parser


def _writer(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, what: str, out: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=f"out: {what}", description=f"Write results: {what}.")
    parser.add_argument("results", metavar="RESULTS", type=Path, help="result file, nuScenes submission format")
    parser.add_argument("--kind", choices=("tracks", "detections"), default="tracks", help="default: %(default)s")
    _data_root(parser)
    parser.add_argument("--out", metavar=out, type=Path, required=True, help="where to write")
    return parser


def _data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataroot", type=Path, required=True, help="data root that convert_data wrote")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-kitti")
    parser.add_argument("--split", required=True, help="a split of its splits.json, or a file of scene names")


def _scores(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--scores", choices=("logit", "probability"), default=default, help="of the lines (default: %(default)s)"
    )


def _read(arguments: argparse.Namespace, frames: SourceFrames) -> tuple[str, ...]:
    found = _found(arguments, frames)
    write_detections(arguments.out, found.results)
    boxes = sum(map(len, found.results.boxes.values()))
    print(f"{len(frames.scenes)} scenes, {len(found.results.boxes)} frames: {boxes} boxes -> {arguments.out}")
    return found.notes


def _found(arguments: argparse.Namespace, frames: SourceFrames) -> Found:
    return read_kitti_lines(arguments.folders, frames, arguments.scores)


def _write(arguments: argparse.Namespace, frames: SourceFrames) -> tuple[str, ...]:
    results = _results(arguments, frames)
    notes = write_kitti_lines(results, frames, arguments.out, arguments.scores)
    boxes = sum(map(len, results.boxes.values()))
    print(f"{len(frames.scenes)} scenes, {boxes} boxes -> {arguments.out}")
    return notes


def _results(arguments: argparse.Namespace, frames: SourceFrames) -> Results:
    read = read_tracks if arguments.kind == "tracks" else read_detections
    wanted = [frame.token for _, frame in frames.frames()]
    return select_samples(read(arguments.results), wanted, frames.name_of, arguments.results)


if __name__ == "__main__":
    run_command(main)
