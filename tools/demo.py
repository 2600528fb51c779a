"""The main job on the synthetic city: city -> detections -> tracks -> metrics -> videos and pages."""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from detection.config import read_config
from detection.data.create_infos import create_infos
from detection.running.detector import detect
from evaluation import Evaluation, evaluate_detection, evaluate_tracking
from scenes import Results, Scene, read_scenes, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.command import run_command
from tracking import TrackerConfig, load_tracker_config, track_results
from visualization import (
    DrawingOptions,
    confidence_text,
    confident_tracks,
    find_events,
    write_index,
    write_pages,
    write_videos,
)

_DETECTOR = "configs/perspective/city_perspective.py"
_WEIGHTS = "detection/weights/perspective_city_r18.safetensors"
_BASELINE = "configs/tracking/centerpoint.py"
_IMAGE_SIZE = (704, 396)
_WORKERS = os.cpu_count() or 1

_console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    """Run the steps one after another, announce each, and end with a table and the paths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("out/demo"), help="default: %(default)s")
    parser.add_argument("--scenes", type=int, default=3, help="number of scenes (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=40, help="of a scene, two a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the city (default: %(default)s)")
    arguments = parser.parse_args()
    out: Path = arguments.out
    city = out / f"city-{arguments.scenes}x{arguments.frames}-seed{arguments.seed}"

    with _step("city: a synthetic town with traffic, six cameras and a lidar, in nuScenes format"):
        if city.exists():
            _console.print(f"  found {city}")
        else:
            _make(city, arguments.scenes, arguments.frames, arguments.seed)
        scenes = read_scenes(city, VERSION, VAL_SPLIT)
    with _step("detections: a small detector, trained on another such town, looks at each image"):
        detections = _detect(city)
        write_detections(out / "results_nusc.json", detections)
    with _step("tracks: Kalman filters, assignment; and the greedy baseline"):
        tracks = track_results(detections, scenes, TrackerConfig(), _WORKERS)
        write_tracks(out / "tracking_result.json", tracks)
        baseline = track_results(detections, scenes, load_tracker_config(_BASELINE), _WORKERS)
    with _step("metrics: the official nuScenes numbers"):
        of_detections = evaluate_detection(detections, city, VERSION, VAL_SPLIT)
        of_tracks = evaluate_tracking(tracks, city, VERSION, VAL_SPLIT)
        of_baseline = evaluate_tracking(baseline, city, VERSION, VAL_SPLIT)
        of_detections.write(out / "detection_metrics")
        of_tracks.write(out / "tracking_metrics")
    with _step("pictures: one video and one page a scene"):
        videos = _draw(scenes, tracks, detections, of_tracks, out)
    _report(of_detections, of_tracks, of_baseline)
    _console.print(f"\nplay the scenes:  {out / 'pages' / 'index.html'}")
    _console.print("videos:           " + "  ".join(str(path) for path in videos))
    _console.print(f"tracks:           {out / 'tracking_result.json'}")


@contextmanager
def _step(title: str) -> Iterator[None]:
    _console.print(f"[bold]{title}[/bold]")
    started = time.perf_counter()
    yield
    _console.print(f"  {time.perf_counter() - started:.1f} s")


def _make(city: Path, scenes: int, frames: int, seed: int) -> None:
    with _console.status("drawing scenes ...") as status:
        make_city(
            city,
            train_scenes=0,
            val_scenes=scenes,
            frames=frames,
            image_size=_IMAGE_SIZE,
            seed=seed,
            progress=lambda done: status.update(f"drawing scenes: {done} of {scenes}"),
        )


def _detect(city: Path) -> Results:
    create_infos(city, VERSION)
    config = read_config(_DETECTOR, {"val_dataloader.dataset.dataroot": str(city)})
    with _console.status("detecting ...") as status:
        detections = detect(config, _WEIGHTS, progress=lambda done, of: status.update(f"detecting: {done} of {of}"))
    assert detections is not None  # only processes beside the first have none
    return detections


def _draw(scenes: list[Scene], tracks: Results, detections: Results, metrics: Evaluation, out: Path) -> list[Path]:
    events = find_events(scenes, tracks)
    pages = list(write_pages(scenes, tracks, out / "pages", detections=detections, workers=_WORKERS, events=events))
    write_index(out / "pages" / "index.html", pages, "demo", metrics.summary)
    options = DrawingOptions(shown=confidence_text(events))
    shown = confident_tracks(scenes, tracks, events)
    return [report.path for report in write_videos(scenes, shown, out / "videos", options, workers=_WORKERS)]


def _report(detections: Evaluation, tracks: Evaluation, baseline: Evaluation) -> None:
    table = Table(title="Scores", title_justify="left")
    for column in ("", "AMOTA", "AMOTP m", "recall", "identity switches"):
        table.add_column(column, justify="left" if not column else "right")
    for name, evaluation in (("StreamTrack", tracks), ("CenterPoint's greedy tracker", baseline)):
        summary = evaluation.summary
        numbers = (f"{summary[key]:.3f}" for key in ("amota", "amotp", "recall"))
        table.add_row(name, *numbers, f"{summary['ids']:.0f}")
    _console.print()
    _console.print(table)
    _console.print(f"detections: mAP {detections.summary['mean_ap']:.3f}, NDS {detections.summary['nd_score']:.3f}")


if __name__ == "__main__":
    run_command(main)
