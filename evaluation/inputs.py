"""Reads and checks what is evaluated: a result file against the scenes of a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenes import InputError, Results, Scene, read_sample_tokens, read_scenes, select_samples
from scenes.splits import is_official_split


class NotAnnotatedError(InputError):
    """The results are usable, but the split is published without annotations: there is nothing to compare with."""


@dataclass(frozen=True)
class Split:
    """Which scenes are evaluated.

    Attributes:
        dataroot: nuScenes data root.
        version: folder of the tables in it, such as `v1.0-trainval`.
        name: as `scenes.splits.scene_names_of_split` takes it.
    """

    dataroot: Path
    version: str
    name: str


@dataclass(frozen=True)
class Inputs:
    """Results and scenes that fit together.

    Attributes:
        results: boxes of every key frame of `scenes` and of no other, in the order in which the devkit goes
            through them: it decides between detections of equal score.
        scenes: annotated scenes.
        split: where the scenes come from.
        path: the result file; None for results that were handed over in memory.
    """

    results: Results
    scenes: Sequence[Scene]
    split: Split
    path: Path | None


def read_inputs(results: Path | str | Results, split: Split, read_results: Callable[[Path | str], Results]) -> Inputs:
    """Read results and scenes, and check that they belong together.

    Args:
        results: a result file, or its content.
        split: the scenes that it was made for.
        read_results: `scenes.read_detections` or `scenes.read_tracks`.

    Raises:
        NotAnnotatedError: everything fits, but the scenes have no annotations.
        InputError: the file, the data root or the split cannot be used, or the samples do not match.
    """
    path = None if isinstance(results, Results) else Path(results)
    content = results if isinstance(results, Results) else read_results(results)
    source = "results" if path is None else path
    scenes = read_scenes(split.dataroot, split.version, split.name)
    wanted = [token for scene in scenes for token in scene.sample_tokens]
    known = () if is_official_split(split.name) else read_sample_tokens(split.dataroot, split.version)
    selected = select_samples(content, wanted, known, source)
    if any(frame.annotations is None for scene in scenes for frame in scene.frames):
        raise NotAnnotatedError(
            f"{source}: {len(wanted)} samples of split '{split.name}' are valid; {split.dataroot / split.version} "
            "has no annotations to evaluate them with"
        )
    return Inputs(_reordered(selected, known or tuple(content.boxes)), scenes, split, path)


def _reordered(results: Results, order: Sequence[str]) -> Results:
    """The same results with their samples in the order of `order`, which may name others."""
    return Results({token: results.boxes[token] for token in order if token in results.boxes}, results.meta)
