"""Draw tracks: per scene a video, a page that plays it, a picture for a paper, a Rerun recording; or all errors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from evaluation.events import TrackEvents
from scenes import InputError, Results, Scene, read_detections, read_scenes, read_taxonomy, read_tracks
from scenes.command import add_executor, between, run_command, workers_from
from scenes.shared_reading import read_shared
from scenes.short_names import short_names
from visualization import (
    COLORINGS,
    DEFAULT_SCORE,
    DrawingOptions,
    PageOptions,
    check_frames,
    confidence_text,
    confident_tracks,
    find_events,
    read_metrics,
    read_worst_tracks,
    results_from_annotations,
    results_of_scene,
    scene_file_name,
    select_scenes,
    write_error_heat,
    write_figure,
    write_index,
    write_pages,
    write_recordings,
    write_videos,
)

_SMOOTH_FPS = 60.0
_PICTURES: Final = ("png", "svg", "pdf")
_DRAWN: Final = (*_PICTURES, "rerun", "video")

# --workers is none of them: it says how many processes there may be at most, and some formats take one.
_FORMATS_OF: Final[Mapping[str, Sequence[str]]] = {
    "annotations": (*_PICTURES, "video"),
    "classes": _DRAWN,
    "min_score": _DRAWN,
    "color_by": _DRAWN,
    "compare": ("video",),
    "smooth": ("video",),
    "frames": _PICTURES,
    "detections": ("html", "rerun"),
    "metrics": ("html",),
    "analysis": ("html",),
    "images": ("html",),
    "executor": ("html", "rerun", "video"),
    "address": ("html", "rerun", "video"),
}
"""The formats that an option means something for; one that is not listed goes with all. None is what is not given."""


def main() -> None:
    arguments = _parser().parse_args()
    _check_options(arguments)
    taxonomy = read_taxonomy(arguments.dataroot)
    taxonomy.labels(arguments.classes or ())
    tracks = read_shared(read_tracks, arguments.tracks, taxonomy)
    scenes = read_scenes(arguments.dataroot, arguments.version, arguments.split)
    chosen = select_scenes(scenes, tracks, arguments.scene, arguments.tracks)
    # Tracks are judged where the MOTA over the whole file is best, whichever scenes are drawn.
    judged = select_scenes(scenes, tracks, (), arguments.tracks)
    _WRITERS[arguments.format](arguments, chosen, tracks, judged)


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse an option that the format makes nothing of: what is written would not be what was asked for."""
    for name, formats in _FORMATS_OF.items():
        if getattr(arguments, name) is not None and arguments.format not in formats:
            *others, last = formats
            listed = f"{', '.join(others)} or {last}" if others else last
            raise InputError(f"--{name.replace('_', '-')} goes with --format {listed}, not with {arguments.format}")


def _write_videos(
    arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results, judged: Sequence[Scene]
) -> None:
    events = _events(judged, tracks) if arguments.min_score is None or arguments.compare == "annotations" else None
    shown, drawing = _shown(arguments, scenes, tracks, events)
    reports = write_videos(
        scenes,
        shown,
        arguments.out,
        drawing,
        compared=_compared_runs(arguments, scenes, shown, judged, events) if arguments.compare else None,
        smooth_fps=_SMOOTH_FPS if arguments.smooth else None,
        workers=workers_from(arguments),
    )
    for report in reports:
        print(f"{report.path}  ({report.frames} frames{_grey_frames(report.unreadable_images)})")


def _shown(
    arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results, events: TrackEvents | None
) -> tuple[Results, DrawingOptions]:
    """The tracks that are drawn, all boxes from a score on or those that are worth a look, and how.

    Args:
        events: what the evaluation counts of all tracks of the file; not looked at if a score is asked for.
    """
    if arguments.min_score is None:
        assert events is not None
        tracks, shown = confident_tracks(scenes, tracks, events), confidence_text(events)
    else:
        shown = f"boxes of score {arguments.min_score:g} or more" if arguments.min_score else ""
    return tracks, DrawingOptions(
        annotations=bool(arguments.annotations),
        classes=tuple(arguments.classes or ()),
        min_score=arguments.min_score or 0.0,
        color_by=arguments.color_by or "identity",
        shown=shown,
        range_m=float(tracks.taxonomy.range_m.max()),
    )


def _compared_runs(
    arguments: argparse.Namespace,
    scenes: Sequence[Scene],
    tracks: Results,
    judged: Sequence[Scene],
    events: TrackEvents | None,
) -> Callable[[Scene], dict[str, Results]]:
    """For a scene the two runs that stand side by side; what is compared with stands on the left."""
    if arguments.compare == "annotations":
        return lambda scene: {
            "annotations": results_from_annotations(scene, events),
            arguments.tracks.name: results_of_scene(scene, tracks),
        }
    other = read_tracks(arguments.compare, tracks.taxonomy)
    select_scenes(scenes, other, [scene.name for scene in scenes], arguments.compare)
    if arguments.min_score is None:
        other = confident_tracks(scenes, other, _events(judged, other))
    names = short_names((arguments.compare, arguments.tracks))
    return lambda scene: dict(
        zip(names, (results_of_scene(scene, other), results_of_scene(scene, tracks)), strict=True)
    )


def _write_pages(
    arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results, judged: Sequence[Scene]
) -> None:
    metrics = read_metrics(arguments.metrics) if arguments.metrics else None
    worst_tracks = read_worst_tracks(arguments.analysis) if arguments.analysis else []
    detections = read_detections(arguments.detections, tracks.taxonomy) if arguments.detections else None
    options = PageOptions(embed_images=arguments.images != "beside")
    reports = []
    events = _events(judged, tracks)
    for report in write_pages(scenes, tracks, arguments.out, options, detections, workers_from(arguments), events):
        print(f"{report.path}  ({report.frames} frames{_grey_frames(report.unreadable_images)})")
        reports.append(report)
    write_index(arguments.out / "index.html", reports, arguments.tracks.name, metrics, worst_tracks)
    print(arguments.out / "index.html")


def _events(scenes: Sequence[Scene], tracks: Results) -> TrackEvents:
    """What the evaluation counts; nothing where it cannot be made: the tracks can be looked at nevertheless."""
    try:
        return find_events(scenes, tracks)
    except InputError as error:
        print(f"tracks are drawn without being judged: {error}")
        return TrackEvents({}, {}, {})


def _write_figures(
    arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results, judged: Sequence[Scene]
) -> None:
    frames = [number - 1 for number in arguments.frames or [1]]
    check_frames(scenes, frames)
    events = _events(judged, tracks) if arguments.min_score is None else None
    shown, drawing = _shown(arguments, scenes, tracks, events)
    for scene in scenes:
        path = arguments.out / f"{scene_file_name(scene.name)}.{arguments.format}"
        write_figure(scene, shown, path, frames, drawing)
        print(path)


def _write_recordings(
    arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results, judged: Sequence[Scene]
) -> None:
    detections = read_detections(arguments.detections, tracks.taxonomy) if arguments.detections else None
    events = _events(judged, tracks) if arguments.min_score is None else None
    shown, drawing = _shown(arguments, scenes, tracks, events)
    for path in write_recordings(scenes, shown, arguments.out, drawing, detections, workers_from(arguments)):
        print(path)


def _write_heat(
    arguments: argparse.Namespace, scenes: Sequence[Scene], tracks: Results, judged: Sequence[Scene]
) -> None:
    write_error_heat(scenes, tracks, arguments.out / "errors.png", find_events(judged, tracks))
    print(arguments.out / "errors.png")


_WRITERS = {
    "png": _write_figures,
    "svg": _write_figures,
    "pdf": _write_figures,
    "rerun": _write_recordings,
    "video": _write_videos,
    "html": _write_pages,
    "heat": _write_heat,
}


def _grey_frames(names: tuple[str, ...]) -> str:
    return f"; {len(names)} images are missing or broken, the first is {names[0]}" if names else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tracks", type=Path, help="tracking result file in the nuScenes format")
    parser.add_argument("--dataroot", type=Path, required=True, help="nuScenes-format data root")
    parser.add_argument("--version", required=True, help="folder of the tables, such as v1.0-mini")
    parser.add_argument("--split", help="read the scenes of this split only (quicker on a large data root)")
    parser.add_argument("--scene", nargs="+", default=[], metavar="NAME", help="draw these scenes only")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder to write into")
    parser.add_argument(
        "--format",
        choices=sorted(_WRITERS),
        default="video",
        help="what to write (default: video)",
    )
    add_executor(parser, os.cpu_count() or 1)
    drawing = parser.add_argument_group("video, png, svg, pdf and rerun")
    drawing.add_argument("--classes", nargs="+", metavar="CLASS", help="draw these classes only")
    drawing.add_argument(
        "--min-score",
        type=float,
        action=between(-1e6, 1e6),
        help="leave out boxes below it (default: tracks that do not count where the MOTA of their class is best, "
        f"without annotations those of a mean score below {DEFAULT_SCORE:g})",
    )
    drawing.add_argument("--color-by", choices=sorted(COLORINGS), help="default: identity")
    truth = parser.add_argument_group("video, png, svg and pdf")
    truth.add_argument("--annotations", action="store_true", default=None, help="draw the annotated boxes in white")
    videos = parser.add_argument_group("video")
    videos.add_argument("--compare", metavar="FILE", help="other tracks, or the word 'annotations', side by side")
    videos.add_argument(
        "--smooth", action="store_true", default=None, help="60 pictures a second, moving evenly from above"
    )
    pictures = parser.add_argument_group("png, svg and pdf")
    pictures.add_argument("--frames", type=int, nargs="+", metavar="N", help="from 1 (default: the first)")
    layers = parser.add_argument_group("html and rerun")
    layers.add_argument("--detections", type=Path, help="detection result file, shown as a layer of its own")
    pages = parser.add_argument_group("html")
    pages.add_argument(
        "--metrics", type=Path, help="metrics_summary.json of the tracks, shown above the list of scenes"
    )
    pages.add_argument(
        "--analysis", type=Path, help="analysis.json of the evaluation: lists and links the worst tracks"
    )
    pages.add_argument("--images", choices=["embed", "beside"], help="default: embed, in the page")
    return parser


if __name__ == "__main__":
    run_command(main)
