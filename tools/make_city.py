"""Write the synthetic city, a nuScenes-format data root: `streamtrack make_city OUT`."""

import argparse
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from scenes import InputError
from scenes.city import TRAIN_SPLIT, VAL_SPLIT, VERSION, make_city
from scenes.city.mix import MIXES
from scenes.command import add_workers, progress_bar, run_command
from scenes.shipped import shipped_path


def main() -> None:
    """Parse the arguments, write the city, say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to create")
    parser.add_argument(
        "--train-scenes", type=int, default=20, help=f"of the split {TRAIN_SPLIT} (default: %(default)s)"
    )
    parser.add_argument("--val-scenes", type=int, default=5, help=f"of the split {VAL_SPLIT} (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=40, help="of a scene, two a second (default: %(default)s)")
    parser.add_argument("--image-size", default="704x396", metavar="WIDTHxHEIGHT", help="pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same gives the same bytes (default: %(default)s)")
    parser.add_argument(
        "--mix",
        choices=tuple(MIXES),
        default="natural",
        help="balanced: rare classes often, weather, slopes, another rig in every scene (default: %(default)s)",
    )
    parser.add_argument(
        "--slope",
        type=float,
        help="metres of height for a metre of way that no ground exceeds, 0 for flat; default: none in the natural "
        "mix, in the balanced one up to 0.08 in six scenes of ten",
    )
    parser.add_argument(
        "--sweeps",
        type=int,
        default=0,
        help="images and lidar sweeps of each sensor between two key frames; 5: twelve a second, as nuScenes' cameras "
        "(default: none)",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="classes of the data root in place of nuScenes' ten: docs/classes.md",
    )
    parser.add_argument("--no-images", action="store_true", help="tables and map masks only")
    add_workers(parser, None, "processes (default: one for each core)")
    arguments = parser.parse_args()

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("scenes", total=arguments.train_scenes + arguments.val_scenes)
        make_city(
            arguments.out,
            train_scenes=arguments.train_scenes,
            val_scenes=arguments.val_scenes,
            frames=arguments.frames,
            image_size=_image_size(arguments.image_size),
            seed=arguments.seed,
            images=not arguments.no_images,
            workers=arguments.workers,
            mix=arguments.mix,
            slope=arguments.slope,
            sweeps=arguments.sweeps,
            classes=shipped_path(arguments.classes) if arguments.classes else None,
            progress=lambda done: bar.update(task, completed=done),
        )
    print(f"wrote {arguments.out}: version {VERSION}, splits {TRAIN_SPLIT} and {VAL_SPLIT}")


def _image_size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise InputError(f"--image-size {text}: expected WIDTHxHEIGHT, such as 704x396")
    return int(width), int(height)


if __name__ == "__main__":
    run_command(main)
