"""Make the info files that the detector reads from nuScenes tables: mini, trainval, test or a recording of your own.

If it is stopped, the same command goes on after the scenes that were finished.
"""

import argparse
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn

from detection.data.create_infos import create_infos
from scenes.command import add_workers, progress_bar, run_command
from scenes.jobs.processes import available_cores


def main() -> None:
    """Parse the command line, write the files, name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataroot", type=Path, help="nuScenes data root")
    parser.add_argument("--version", required=True, help="folder of tables in it, such as v1.0-trainval")
    parser.add_argument("--out-dir", type=Path, help="where to write (default: the data root)")
    parser.add_argument("--tag", default="nuscenes2d", help="first part of the file names (default: nuscenes2d)")
    parser.add_argument("--coco", action="store_true", help="also write the cameras' 2D boxes: coco_<split>.json")
    add_workers(parser, available_cores(), "processes (default: all cores)")
    arguments = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress_bar(*columns) as bar:
        tasks: dict[str, TaskID] = {}

        def show(split: str, done: int, total: int) -> None:
            if split not in tasks:
                tasks[split] = bar.add_task(f"scenes of {split}", total=total)
            bar.update(tasks[split], completed=done)

        written = create_infos(
            arguments.dataroot,
            arguments.version,
            arguments.out_dir,
            arguments.tag,
            show,
            coco=arguments.coco,
            workers=arguments.workers,
        )
    for split in written:
        print(f"{split.frames} frames -> {split.path}")
        if split.coco:
            coco = split.coco
            print(f"{coco.images} images, {coco.boxes} boxes, {coco.crowds} of them crowds -> {coco.path}")


if __name__ == "__main__":
    run_command(main)
