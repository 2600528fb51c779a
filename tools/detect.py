"""Find objects in an image, a folder of images or a video.

Writes annotated images, or an annotated video, and `detections.json`: images, categories and boxes with scores in the
COCO format, with file names, frame numbers and names of classes.

    streamtrack detect CONFIG CHECKPOINT --source drive.mp4 --out out/detect --hard-fraction 0.3
    streamtrack detect --onnx DIR --source drive.mp4 --out out/detect --dynamic-threshold 0.5

The second runs what `streamtrack export` has written, on a machine that needs no torch. What cannot be read is
named and counted, and the run goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detection.config import add_overrides, read_config
from detection.running.detections_file import DetectionsFile
from detection.running.found_images import Finder, FoundImage, detect_in_source
from detection.running.sources import Video, check_output_folder, open_source
from detection.running.speed_options import DTYPE_NAMES, add_speed_options
from scenes import InputError
from scenes.command import between, progress_bar, run_command
from scenes.files import atomic_path
from visualization.colors import Image
from visualization.image_boxes import draw_image_boxes, even_sided, write_image
from visualization.video import write_video

_MOST_PROBLEMS = 20  # that are printed


def main() -> None:
    """Parse the command line, detect, draw, write."""
    arguments = _parse_arguments()
    source = open_source(arguments.source)
    check_output_folder(arguments.out, source)
    detector = _trained(arguments) if arguments.onnx is None else _exported(arguments)
    noted = DetectionsFile(detector.classes)
    unit = "frames" if isinstance(source, Video) else "images"
    with _progress_bar() as progress:
        bar = progress.add_task(unit, total=source.expected)
        found = _noted(detect_in_source(detector, source, arguments.batch_size), noted, lambda: progress.advance(bar))
        if isinstance(source, Video):
            pictures = (even_sided(_painted(one, detector.classes)) for one in found)
            with atomic_path(arguments.out / f"{source.path.stem}.mp4") as temporary:
                write_video(temporary, pictures, source.frames_per_second)
        else:
            for one in found:
                write_image(arguments.out, one.image.name, _painted(one, detector.classes))
    noted.write(arguments.out / "detections.json")
    _print_problems(source.problems)
    print(f"{noted.images} {unit}, {noted.hard} of them hard: {noted.boxes} boxes -> {arguments.out}")


def _trained(arguments: argparse.Namespace) -> Finder:
    """A detector of a config, with torch."""
    # Inside, since a machine that runs exported detectors may have no torch.
    from detection.running.compilation import speed_of
    from detection.running.image_detector import ImageDetector, set_score_threshold
    from detection.running.operating_point import set_hard_share, set_threshold

    if arguments.config is None or arguments.checkpoint is None:
        raise InputError("what is to detect? say CONFIG CHECKPOINT, or --onnx DIR")
    config = read_config(arguments.config, arguments.cfg_options)
    set_score_threshold(config, arguments.score)
    if arguments.dynamic_threshold is not None:
        set_threshold(config, arguments.dynamic_threshold)
    if arguments.hard_fraction is not None:
        set_hard_share(config, arguments.hard_fraction, arguments.checkpoint)
    return ImageDetector.from_config(config, arguments.checkpoint, **speed_of(arguments))


def _exported(arguments: argparse.Namespace) -> Finder:
    """An exported detector, without torch."""
    from detection.deployment.image_detector import OnnxImageDetector

    if arguments.config is not None or arguments.cfg_options:
        raise InputError("--onnx: an exported detector takes no config and no checkpoint")
    if arguments.hard_fraction is not None:
        raise InputError("--hard-fraction: belongs to a checkpoint; an exported detector takes --dynamic-threshold")
    if arguments.compile or arguments.tf32 or arguments.cudnn_benchmark or arguments.dtype != DTYPE_NAMES[0]:
        raise InputError("--dtype, --compile, --tf32 and --cudnn-benchmark are torch's: an export is what it is")
    threshold = 0.5 if arguments.dynamic_threshold is None else arguments.dynamic_threshold
    return OnnxImageDetector.from_onnx(arguments.onnx, threshold, score_threshold=arguments.score)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?", help="configs/dynamic_yolo/*.py")
    parser.add_argument(
        "checkpoint", nargs="?", help="weights of this model: .pth, .safetensors, or the address of such a file"
    )
    parser.add_argument(
        "--onnx", type=Path, metavar="DIR", help="what `streamtrack export` has written, in their place"
    )
    parser.add_argument("--source", type=Path, required=True, help="an image, a folder of images or a video")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="folder to write to")
    parser.add_argument(
        "--score",
        type=float,
        default=0.25,
        action=between(0, 1),
        help="boxes have to be above it; default: %(default)s",
    )
    parser.add_argument("--batch-size", type=int, default=1, help="images at a time; default: %(default)s")
    add_speed_options(parser)
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--dynamic-threshold", type=float, metavar="T", help="images that are scored below T are hard")
    speed.add_argument(
        "--hard-fraction",
        type=float,
        metavar="F",
        help="share of hard images, by the thresholds that `streamtrack dynamic_thresholds` has written",
    )
    add_overrides(parser)
    return parser.parse_args()


def _noted(found: Iterable[FoundImage], noted: DetectionsFile, advance: Callable[[], None]) -> Iterator[FoundImage]:
    for one in found:
        noted.add(one)
        advance()
        yield one


def _painted(found: FoundImage, classes: tuple[str, ...]) -> Image:
    labels, scores = found.boxes.label.tolist(), found.boxes.score.tolist()
    texts = [f"{classes[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
    return draw_image_boxes(found.image.image, found.boxes.edges_px, labels, texts)


def _print_problems(problems: list[str]) -> None:
    for problem in problems[:_MOST_PROBLEMS]:
        print(f"warning: {problem}", file=sys.stderr)
    if len(problems) > _MOST_PROBLEMS:
        print(f"warning: and {len(problems) - _MOST_PROBLEMS} more; {len(problems)} in all", file=sys.stderr)


def _progress_bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return progress_bar(*columns)


if __name__ == "__main__":
    run_command(main)
