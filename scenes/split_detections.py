"""The results of a split's scenes, out of files that may hold more of a data root."""

from collections.abc import Sequence
from pathlib import Path

from scenes.errors import InputError
from scenes.results import Results, hold_tracks, read_detections, read_tracks, select_samples
from scenes.scene import Scene, taxonomy_of
from scenes.shared_reading import read_shared
from scenes.splits import is_official_split
from scenes.tables import read_sample_tokens


def read_split_detections(
    path: Path, scenes: Sequence[Scene], dataroot: Path | str, version: str, split: str
) -> Results:
    """Read a detection file and keep the samples of `scenes`, the scenes of `split`.

    A file must hold exactly the samples of an official split, as the devkit asks; for any other split it may hold
    further samples of the data root, which are left out.

    Raises:
        InputError: the file cannot be used, or its samples do not match; see `select_samples`.
    """
    known = () if is_official_split(split) else read_sample_tokens(dataroot, version)
    wanted = [token for scene in scenes for token in scene.sample_tokens]
    return select_samples(read_shared(read_detections, path, taxonomy_of(scenes)), wanted, known, path)


def read_several_split_results(
    paths: Sequence[Path], scenes: Sequence[Scene], dataroot: Path | str, version: str, split: str
) -> list[Results]:
    """Read detection files, or tracking files, that are of the same `scenes`, the scenes of `split`.

    Each is read as by `read_split_detections`, but may lack samples: its results are of those that it has.

    Raises:
        InputError: a file is given twice, cannot be used, holds samples that do not belong to the split or none that
            do; or one holds detections and another tracks.
    """
    for number, path in enumerate(paths):
        if path.resolve() in [earlier.resolve() for earlier in paths[:number]]:
            raise InputError(f"{path}: given twice")
    kinds = [hold_tracks(path) for path in paths]
    if len(set(kinds)) > 1:
        detections, tracks = paths[kinds.index(False)], paths[kinds.index(True)]
        raise InputError(f"{detections}: holds detections, and {tracks} tracks: give files of one kind")
    read = read_tracks if kinds[0] else read_detections
    known = () if is_official_split(split) else read_sample_tokens(dataroot, version)
    wanted = [token for scene in scenes for token in scene.sample_tokens]
    taken = []
    for path in paths:
        results = read_shared(read, path, taxonomy_of(scenes))
        present = [token for token in wanted if token in results.boxes]
        if not present:
            raise InputError(f"{path}: holds none of the {len(wanted)} samples of split '{split}'")
        taken.append(select_samples(results, present, known, path))
    return taken
