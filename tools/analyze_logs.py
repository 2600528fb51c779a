"""Draw curves: of training logs, or of the details that the evaluation writes; several runs in one picture."""

from __future__ import annotations

import argparse
from itertools import takewhile
from pathlib import Path
from typing import Final

from scenes import InputError
from scenes.command import run_command
from visualization.curves import (
    detection_keys,
    read_details,
    read_training_log,
    speed_summary,
    write_detection_curves,
    write_tracking_curves,
    write_training_curves,
)

_TRAINING: Final = "plot_curve"


def main() -> None:
    arguments = _parser().parse_args()
    if arguments.out is None:
        first: Path = arguments.files[0]
        arguments.out = (first if first.is_dir() else first.parent) / "curves.png"
    if arguments.out.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{arguments.out}: pictures end in .png, .svg or .pdf")
    arguments.draw(arguments)
    print(arguments.out)


def _draw_training(arguments: argparse.Namespace) -> None:
    logs = {name: read_training_log(path) for name, path in _named(arguments.files).items()}
    write_training_curves(logs, arguments.out, arguments.keys)
    for name, log in logs.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in speed_summary(log).items()))


def _draw_tracking(arguments: argparse.Namespace) -> None:
    write_tracking_curves({name: read_details(path) for name, path in _named(arguments.files).items()}, arguments.out)


def _draw_detection(arguments: argparse.Namespace) -> None:
    runs = {name: read_details(path, detection_keys()) for name, path in _named(arguments.files).items()}
    write_detection_curves(runs, arguments.out)


def _named(paths: list[Path]) -> dict[str, Path]:
    """Files by a short name: the part of their paths in which they differ; a single one, by its folder and name."""
    if len(paths) == 1:
        return {"/".join(paths[0].resolve().parts[-2:]) if paths[0].is_file() else paths[0].resolve().name: paths[0]}
    parts = [path.resolve().parts for path in paths]
    start = _shared_length(parts)
    end = _shared_length([part[:start:-1] for part in parts])
    return {"/".join(part[start : len(part) - end]): path for part, path in zip(parts, paths, strict=True)}


def _shared_length(sequences: list[tuple[str, ...]]) -> int:
    """How many first parts are the same in all sequences."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*sequences, strict=False)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, draw, what in (
        (_TRAINING, _draw_training, "work directories of trainings, or their scalars.json"),
        ("tracking", _draw_tracking, "metrics_details.json of the tracking evaluation"),
        ("detection", _draw_detection, "metrics_details.json of the detection evaluation"),
    ):
        command = commands.add_parser(name, help=f"curves of {what}")
        command.add_argument("files", type=Path, nargs="+", help=what)
        picture = "picture: .png, .svg or .pdf" + ("; default: curves.png beside the log" if name == _TRAINING else "")
        command.add_argument("--out", type=Path, metavar="FILE", required=name != _TRAINING, help=picture)
        command.set_defaults(draw=draw)
        if name == _TRAINING:
            command.add_argument("--keys", nargs="+", default=[], help="draw these (default: losses, scores, speed)")
    return parser


if __name__ == "__main__":
    run_command(main)
