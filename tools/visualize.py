"""Draw tracks: per scene a video, or a page that plays it, with a page that lists the scenes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from scenes import Results, Scene, read_detections, read_scenes, read_tracks
from scenes.command import run_command
from visualization import (
    MosaicOptions,
    PageOptions,
    read_metrics,
    select_scenes,
    write_index,
    write_pages,
    write_videos,
)


def main() -> None:
    arguments = _parser().parse_args()
    tracks = read_tracks(arguments.tracks)
    scenes = read_scenes(arguments.dataroot, arguments.version, arguments.split)
    chosen = select_scenes(scenes, tracks, arguments.scene, arguments.tracks)
    _WRITERS[arguments.format](arguments, chosen, tracks)


def _write_videos(arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results) -> None:
    options = MosaicOptions(annotations=arguments.annotations)
    for report in write_videos(scenes, tracks, arguments.out, options, arguments.workers):
        print(f"{report.path}  ({report.frames} frames{_grey_frames(report.unreadable_images)})")


def _write_pages(arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results) -> None:
    metrics = read_metrics(arguments.metrics) if arguments.metrics else None
    detections = read_detections(arguments.detections) if arguments.detections else None
    options = PageOptions(embed_images=arguments.images == "embed")
    reports = []
    for report in write_pages(scenes, tracks, arguments.out, options, detections, arguments.workers):
        print(f"{report.path}  ({report.frames} frames{_grey_frames(report.unreadable_images)})")
        reports.append(report)
    write_index(arguments.out / "index.html", reports, arguments.tracks.name, metrics)
    print(arguments.out / "index.html")


_WRITERS = {"video": _write_videos, "html": _write_pages}


def _grey_frames(names: tuple[str, ...]) -> str:
    return f"; {len(names)} images are missing or broken, the first is {names[0]}" if names else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracks", type=Path, help="tracking result file in the nuScenes format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes-format data root")
    parser.add_argument("--version", required=True, help="folder of the tables, such as v1.0-mini")
    parser.add_argument("--split", help="read the scenes of this split only (quicker on a large data root)")
    parser.add_argument("--scene", nargs="+", default=[], metavar="NAME", help="draw these scenes only")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--format", choices=sorted(_WRITERS), default="video", help="what to write (default: video)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    video = parser.add_argument_group("video")
    video.add_argument("--annotations", action="store_true", help="draw the annotated boxes in white")
    pages = parser.add_argument_group("html")
    pages.add_argument("--detections", type=Path, help="detection result file, shown as a layer of its own")
    pages.add_argument(
        "--metrics", type=Path, help="metrics_summary.json of the tracks, shown above the list of scenes"
    )
    pages.add_argument("--images", choices=["embed", "beside"], default="embed", help="in the page, or in a folder")
    return parser


if __name__ == "__main__":
    run_command(main)
