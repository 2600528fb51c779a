"""Convert a recording or data set into a nuScenes-format data root: `streamtrack convert_data kitti SOURCE OUT`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from scenes import NUSCENES, InputError, Taxonomy, read_classes, read_taxonomy
from scenes.command import add_executor, between, progress_bar, run_command, workers_from
from scenes.conversion.data_root import ALL_SPLIT, FASTEST_HZ, SLOWEST_HZ, convert
from scenes.conversion.folder import CALIBRATION
from scenes.conversion.folder_example import write_example
from scenes.conversion.formats import FORMATS, open_source
from scenes.conversion.text_files import read_text
from scenes.shipped import shipped_path


def main() -> None:
    """Parse the arguments, convert, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", metavar="FORMAT", choices=FORMATS, help=", ".join(FORMATS))
    parser.add_argument("source", metavar="SOURCE", type=Path, help="the recording's folder")
    parser.add_argument("out", metavar="OUT", type=Path, nargs="?", help="data root to create")
    parser.add_argument(
        "--init", action="store_true", help=f"folder only: write SOURCE/{CALIBRATION} to fill in, and nothing else"
    )
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help=f"a split of splits.json, from a file of drive names; may be given often. '{ALL_SPLIT}' lists every drive",
    )
    parser.add_argument("--images", choices=("link", "copy"), default="link", help="default: %(default)s")
    parser.add_argument(
        "--key-frames",
        type=float,
        metavar="HZ",
        action=between(SLOWEST_HZ, FASTEST_HZ),
        help="key frames a second, the rest become sweeps (default: every frame of the source)",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="classes of the data root, such as configs/classes/kitti.json (default: nuScenes' ten)",
    )
    add_executor(parser, 1)
    arguments = parser.parse_args()
    if arguments.init:
        _init(arguments)
    elif arguments.out is None:
        parser.error("the following arguments are required: OUT")
    else:
        _convert(arguments)


def _init(arguments: argparse.Namespace) -> None:
    if arguments.format != "folder":
        raise InputError(f"--init: is for the format folder, not for {arguments.format}")
    cameras = write_example(arguments.source)
    print(f"{arguments.source / CALIBRATION}: cameras {', '.join(cameras)}; now fill in their calibration")


def _convert(arguments: argparse.Namespace) -> None:
    splits = _splits(arguments.split)
    source = open_source(arguments.format, arguments.source, _taxonomy(arguments))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("drives", total=None)
        converted = convert(
            source,
            arguments.out,
            link=arguments.images == "link",
            key_frames_hz=arguments.key_frames,
            splits=splits,
            workers=workers_from(arguments),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(
        f"{converted.drives} drives, {converted.frames} key frames, {converted.boxes} boxes of {converted.objects} "
        f"objects, {converted.files} files of {converted.recordings} recordings -> {arguments.out}"
    )
    if converted.without_class:
        types = ", ".join(f"{name} ({count})" for name, count in converted.without_class.items())
        print(f"kept as categories without a class: {types}")
    if converted.changing:
        print(f"{converted.changing} objects change their type; each has the one that it has most often")
    print(f"version {source.version}, split {', '.join([ALL_SPLIT, *splits])}")


def _taxonomy(arguments: argparse.Namespace) -> Taxonomy:
    if arguments.classes:
        return read_classes(shipped_path(arguments.classes))
    # A data root that is converted anew keeps what it brings.
    return read_taxonomy(arguments.source) if arguments.format == "nuscenes-schema" else NUSCENES


def _splits(texts: Sequence[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for name, drives in map(_split, texts):
        if name in splits:
            raise InputError(f"--split {name}: is given twice")
        splits[name] = drives
    return splits


def _split(text: str) -> tuple[str, list[str]]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise InputError(f"--split {text}: expected NAME=FILE, such as my_val=val.txt")
    return name, [line.strip() for line in read_text(Path(path)).splitlines() if line.strip()]


if __name__ == "__main__":
    run_command(main)
