"""The detections of a split's scenes, out of a file that may hold more of a data root."""

from collections.abc import Sequence
from pathlib import Path

from scenes.results import Results, read_detections, select_samples
from scenes.scene import Scene, taxonomy_of
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
    return select_samples(read_detections(path, taxonomy_of(scenes)), wanted, known, path)
