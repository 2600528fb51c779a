"""Draw tracks: per scene one video of the cameras with projected boxes and of a bird's-eye view."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from scenes import read_scenes, read_tracks
from scenes.command import run_command
from visualization import MosaicOptions, select_scenes, write_videos


def main() -> None:
    arguments = _parser().parse_args()
    tracks = read_tracks(arguments.tracks)
    scenes = read_scenes(arguments.dataroot, arguments.version, arguments.split)
    chosen = select_scenes(scenes, tracks, arguments.scene, arguments.tracks)
    options = MosaicOptions(annotations=arguments.annotations)
    for report in write_videos(chosen, tracks, arguments.out, options, arguments.workers):
        print(f"{report.path}  ({report.frames} frames{_grey_frames(report.unreadable_images)})")


def _grey_frames(names: tuple[str, ...]) -> str:
    return f"; {len(names)} images are missing or broken, the first is {names[0]}" if names else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracks", type=Path, help="tracking result file in the nuScenes format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes-format data root")
    parser.add_argument("--version", required=True, help="folder of the tables, such as v1.0-mini")
    parser.add_argument("--split", help="read the scenes of this split only (quicker on a large data root)")
    parser.add_argument("--scene", nargs="+", default=[], metavar="NAME", help="draw these scenes only")
    parser.add_argument("--out", type=Path, required=True, help="folder for the videos")
    parser.add_argument("--annotations", action="store_true", help="draw the annotated boxes in white")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    return parser


if __name__ == "__main__":
    run_command(main)
