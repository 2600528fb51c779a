"""Writes the city as a nuScenes-format data root: whole, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import msgspec

from scenes.city.drawing.ground import draw_map_mask
from scenes.city.mix import MIXES
from scenes.city.nuscenes_rows import vocabulary_tables
from scenes.city.recording import record_scene
from scenes.city.scene_job import SceneJob
from scenes.city.town import build_town
from scenes.errors import InputError
from scenes.jobs.executors import run_jobs
from scenes.jobs.processes import available_cores
from scenes.new_rows import Tables, empty_tables, merge_tables, token_of
from scenes.taxonomy import CLASSES_FILE, read_classes

VERSION: Final = "v1.0-city"
TRAIN_SPLIT: Final = "city_train"
VAL_SPLIT: Final = "city_val"

STEEPEST: Final = 0.25
"""The steepest slope that a city may have."""

MOST_SWEEPS: Final = 24
"""Of each sensor between two key frames: 50 a second."""

_SMALLEST_SIDE_PX: Final = 32
_LARGEST_SIDE_PX: Final = 4096


def make_city(
    out: Path,
    *,
    train_scenes: int = 20,
    val_scenes: int = 5,
    frames: int = 40,
    image_size: tuple[int, int] = (704, 396),
    seed: int = 0,
    images: bool = True,
    workers: int | None = None,
    mix: str = "natural",
    slope: float | None = None,
    sweeps: int = 0,
    classes: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write a synthetic city as a nuScenes-format data root.

    The tables lie in `<out>/v1.0-city`, with the custom splits `city_train` and `city_val` beside them. The same
    arguments give the same bytes, whatever the number of workers. A script that calls this with more than one worker
    needs the usual `if __name__ == "__main__":`, since workers are started afresh.

    Args:
        out: folder to create; it may exist if it is empty.
        train_scenes, val_scenes: scenes of the two splits.
        frames: key frames of a scene, half a second apart.
        image_size: width and height of the images, pixels.
        seed: everything is drawn from it.
        images: whether to write images and lidar sweeps; the tables are the same without.
        workers: processes; None takes one for each core.
        mix: `natural`, or `balanced`: rare classes often, weather, slopes, another rig in every scene; to train on.
        slope: metres of height for a metre of way that the ground of no scene exceeds, 0 for flat; None for that of
            the mix.
        sweeps: images and lidar sweeps of each sensor between two key frames; the key frames are the same without.
        classes: file of the classes that the data root will have, made of nuScenes' categories; None for its ten.
        progress: called with the number of finished scenes, 0 at the start.

    Raises:
        InputError: `out` is not empty, an argument is out of range, or the classes cannot be used.
    """
    _check(out, train_scenes, val_scenes, frames, image_size, seed, workers)
    if mix not in MIXES:
        raise InputError(f"mix {mix}: expected {' or '.join(MIXES)}")
    if slope is not None and not 0 <= slope <= STEEPEST:
        raise InputError(f"slope {slope:g}: must lie between 0, flat ground, and {STEEPEST}")
    if not 0 <= sweeps <= MOST_SWEEPS:
        raise InputError(f"{sweeps} sweeps between key frames: must lie between 0 and {MOST_SWEEPS}")
    if classes is not None:
        read_classes(classes)
    width, height = image_size
    count = train_scenes + val_scenes
    with _new_folder(out) as root:
        jobs = [
            SceneJob(seed, index, frames, width, height, root, images, mix, slope, sweeps) for index in range(count)
        ]
        tables = [vocabulary_tables(seed, width, height)]
        report = progress or _silent
        report(0)
        # As many workers as cores would otherwise start as many threads each.
        one_thread = partial(cv2.setNumThreads, 1)
        all_recorded = run_jobs(record_scene, [(job,) for job in jobs], workers or available_cores(), one_thread)
        for done, recorded in enumerate(all_recorded, start=1):
            tables.append(recorded)
            report(done)
        tables.append(_write_maps(jobs, root))
        _write_tables(merge_tables(tables), root / VERSION)
        names = [job.name for job in jobs]
        splits = {TRAIN_SPLIT: names[:train_scenes], VAL_SPLIT: names[train_scenes:]}
        (root / VERSION / "splits.json").write_bytes(msgspec.json.encode(splits))
        if classes is not None:
            shutil.copyfile(classes, root / CLASSES_FILE)


def _check(
    out: Path,
    train_scenes: int,
    val_scenes: int,
    frames: int,
    image_size: tuple[int, int],
    seed: int,
    workers: int | None,
) -> None:
    if min(train_scenes, val_scenes) < 0 or train_scenes + val_scenes == 0:
        raise InputError(f"a city needs a scene: {train_scenes} training and {val_scenes} validation scenes")
    if frames < 1:
        raise InputError(f"a scene needs a key frame: {frames} frames")
    if not all(_SMALLEST_SIDE_PX <= side <= _LARGEST_SIDE_PX for side in image_size):
        raise InputError(
            f"image size {image_size[0]}x{image_size[1]}: sides must lie between "
            f"{_SMALLEST_SIDE_PX} and {_LARGEST_SIDE_PX} pixels"
        )
    if seed < 0:
        raise InputError(f"seed {seed}: must not be negative")
    if workers is not None and workers < 1:
        raise InputError(f"{workers} workers: at least one is needed")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder")


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its place when the block ends well."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        error.filename = str(out)  # the temporary name would say little
        raise
    try:
        root = temporary / "root"
        root.mkdir()
        yield root
        if out.exists():
            out.rmdir()
        root.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_maps(jobs: list[SceneJob], root: Path) -> Tables:
    """One map mask for each town, and its row."""
    tables = empty_tables()
    (root / "maps").mkdir()
    for town in sorted({job.town for job in jobs}):
        seed = jobs[0].seed
        token = token_of(seed, "map", town)
        filename = f"maps/{token}.png"
        cv2.imwrite(str(root / filename), draw_map_mask(build_town(seed, town).plan))
        logs = [job.token("log") for job in jobs if job.town == town]
        row = {"token": token, "category": "semantic_prior", "filename": filename, "log_tokens": logs}
        tables["map"].append(row)
    return tables


def _write_tables(tables: Tables, folder: Path) -> None:
    folder.mkdir()
    for name, rows in tables.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(rows))


def _silent(_: int) -> None:
    pass
