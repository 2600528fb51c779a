"""Convert results: detections of other formats into a detection file, results out into other formats."""

import argparse
from collections.abc import Callable
from pathlib import Path

from scenes import InputError, read_detections, read_tracks, select_samples, write_detections
from scenes.command import between, run_command
from scenes.conversion.argoverse2_results import read_argoverse2_detections, write_argoverse2_results
from scenes.conversion.exports import write_csv, write_deepen, write_mot, write_parquet_table
from scenes.conversion.found_boxes import Found
from scenes.conversion.kitti_lines import read_kitti_lines, write_kitti_lines
from scenes.conversion.mmdet3d_results import read_mmdet3d_results
from scenes.conversion.omni3d_results import read_omni3d_results
from scenes.conversion.source_frames import SourceFrames, read_source_frames
from scenes.results import Results
from scenes.track_scores import tracks_from_score

Commands = argparse._SubParsersAction
Read = Callable[[argparse.Namespace, SourceFrames], Found]
Write = Callable[[Results, SourceFrames, argparse.Namespace], tuple[str, ...]]


def main() -> None:
    """Parse the arguments, convert, say what was written and what was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="format", metavar="FORMAT", required=True)
    _add_readers(commands)
    _add_writers(commands)
    arguments = parser.parse_args()
    frames = read_source_frames(arguments.dataroot, arguments.version, arguments.split)
    for note in arguments.convert(arguments, frames):
        print(note)


def _add_readers(commands: Commands) -> None:
    kitti = _reader(
        commands,
        "kitti",
        "KITTI lines, a file a sequence",
        lambda arguments, frames: read_kitti_lines(arguments.folders, frames, arguments.scores),
    )
    kitti.add_argument(
        "folders", metavar="FOLDER", type=Path, nargs="+", help="with <scene>.txt; they are put together"
    )
    _scores(kitti, "logit")
    argoverse2 = _reader(
        commands,
        "argoverse2",
        "Argoverse 2 feather files",
        lambda arguments, frames: read_argoverse2_detections(arguments.files, frames),
    )
    argoverse2.add_argument("files", metavar="FEATHER", type=Path, nargs="+", help="they are put together")
    mmdet3d = _reader(
        commands,
        "mmdet3d",
        "a pickle of mmdet3d's results, of which nothing is run",
        lambda arguments, frames: read_mmdet3d_results(arguments.results, frames, arguments.samples),
    )
    mmdet3d.add_argument("results", metavar="PICKLE", type=Path, help="a list of results, one a sample")
    mmdet3d.add_argument(
        "--samples", metavar="TEXT", type=Path, help="the sample token of each result (default: the split's order)"
    )
    omni3d = _reader(
        commands,
        "omni3d",
        "JSON like COCO's, with boxes in camera coordinates",
        lambda arguments, frames: read_omni3d_results(arguments.results, arguments.data_set, frames),
    )
    omni3d.add_argument("results", metavar="RESULTS", type=Path, help="list of boxes")
    omni3d.add_argument("data_set", metavar="DATASET", type=Path, help="images and categories in the COCO format")


def _add_writers(commands: Commands) -> None:
    to_kitti = _writer(
        commands,
        "to-kitti",
        "KITTI lines, a file a sequence",
        "DIR",
        lambda results, frames, arguments: write_kitti_lines(results, frames, arguments.out, arguments.scores),
    )
    _scores(to_kitti, "probability")
    for name, what, out, write in (
        ("to-argoverse2", "an Argoverse 2 submission, a feather file", "FILE", write_argoverse2_results),
        ("to-csv", "text with commas, a line a box", "FILE", write_csv),
        ("to-parquet", "Parquet, a row a box", "FILE", write_parquet_table),
        ("to-mot", "MOTChallenge text, a file a camera", "DIR", write_mot),
        ("to-deepen", "Deepen's labels, which T4 data sets are made from, a file a scene", "DIR", write_deepen),
    ):
        _writer(commands, name, what, out, _without_options(write))


def _without_options(write: Callable[[Results, SourceFrames, Path], tuple[str, ...]]) -> Write:
    return lambda results, frames, arguments: write(results, frames, arguments.out)


def _reader(commands: Commands, name: str, what: str, read: Read) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=f"in: {what}", description=f"Read {what}.")
    _data_root(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="detection file to write")
    parser.set_defaults(convert=lambda arguments, frames: _read(arguments, frames, read))
    return parser


def _writer(commands: Commands, name: str, what: str, out: str, write: Write) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=f"out: {what}", description=f"Write {what}.")
    parser.add_argument("results", metavar="RESULTS", type=Path, help="result file, nuScenes submission format")
    parser.add_argument("--kind", choices=("tracks", "detections"), default="tracks", help="default: %(default)s")
    parser.add_argument(
        "--min-track-score",
        type=float,
        action=between(0, 1e6),
        default=0.0,
        help="of tracks, leave out those whose boxes score less in the mean (default: %(default)g)",
    )
    _data_root(parser)
    parser.add_argument("--out", metavar=out, type=Path, required=True, help="where to write")
    parser.set_defaults(convert=lambda arguments, frames: _write(arguments, frames, write))
    return parser


def _data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataroot", type=Path, required=True, help="data root that convert_data wrote")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-kitti")
    parser.add_argument("--split", required=True, help="a split of its splits.json, or a file of scene names")


def _scores(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--scores", choices=("logit", "probability"), default=default, help="of the lines (default: %(default)s)"
    )


def _read(arguments: argparse.Namespace, frames: SourceFrames, read: Read) -> tuple[str, ...]:
    found = read(arguments, frames)
    write_detections(arguments.out, found.results)
    boxes = sum(map(len, found.results.boxes.values()))
    print(f"{len(frames.scenes)} scenes, {len(found.results.boxes)} frames: {boxes} boxes -> {arguments.out}")
    return found.notes


def _write(arguments: argparse.Namespace, frames: SourceFrames, write: Write) -> tuple[str, ...]:
    read = read_tracks if arguments.kind == "tracks" else read_detections
    wanted = [frame.token for _, frame in frames.frames()]
    results = select_samples(read(arguments.results, frames.taxonomy), wanted, frames.name_of, arguments.results)
    if arguments.min_track_score:
        if arguments.kind == "detections":
            raise InputError("--min-track-score: detections are no tracks")
        results = tracks_from_score(results, arguments.min_track_score)
    notes = write(results, frames, arguments)
    boxes = sum(map(len, results.boxes.values()))
    print(f"{len(frames.scenes)} scenes, {boxes} boxes -> {arguments.out}")
    return notes


if __name__ == "__main__":
    run_command(main)
