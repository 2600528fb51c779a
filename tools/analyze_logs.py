"""Draw curves: of training logs, or of the details that the evaluation writes; several runs in one picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from scenes import InputError
from scenes.command import run_command
from scenes.short_names import short_names
from visualization.curves import (
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
    runs = {name: read_details(path, "detection") for name, path in _named(arguments.files).items()}
    write_detection_curves(runs, arguments.out)


def _named(paths: list[Path]) -> dict[str, Path]:
    return dict(zip(short_names(paths), paths, strict=True))


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
