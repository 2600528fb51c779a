"""Reads and checks what is evaluated: a result file against the scenes of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scenes import InputError, Results, Scene, Taxonomy, read_sample_tokens, read_scenes, read_taxonomy, select_samples
from scenes.garbage_collection import without_garbage_collection
from scenes.shared_reading import ReadResults, begun_reading
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
        left_out: names of the split's scenes that are not evaluated, because the results lack samples of them.
    """

    results: Results
    scenes: Sequence[Scene]
    split: Split
    path: Path | None
    left_out: tuple[str, ...] = ()

    @property
    def is_official(self) -> bool:
        """Whether exactly one of the devkit's own splits is evaluated."""
        return is_official_split(self.split.name) and not self.left_out

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line that names the scenes that were left out."""
        if not self.left_out:
            return ()
        return (
            f"{len(self.left_out)} of {len(self.left_out) + len(self.scenes)} scenes are left out, "
            f"because the results do not hold all their samples: {', '.join(self.left_out)}",
        )


def read_inputs(
    results: Path | str | Results,
    split: Split,
    read_results: ReadResults,
    *,
    partial: bool = False,
) -> Inputs:
    """Read results and scenes, and check that they belong together.

    Args:
        results: a result file, or its content.
        split: the scenes that it was made for.
        read_results: `scenes.read_detections` or `scenes.read_tracks`.
        partial: leave out the scenes of which the results lack samples, instead of refusing the results.

    Raises:
        NotAnnotatedError: everything fits, but the scenes have no annotations.
        InputError: the file, the data root or the split cannot be used, or the samples do not match.
    """
    path = None if isinstance(results, Results) else Path(results)
    source = "results" if path is None else path
    taxonomy = read_taxonomy(split.dataroot)
    with without_garbage_collection(), _begun(read_results, results, taxonomy) as content_of_results:
        all_scenes = read_scenes(split.dataroot, split.version, split.name, cameras=False)
        content = content_of_results()
    scenes = _complete_scenes(all_scenes, content, source) if partial else all_scenes
    left_out = tuple(scene.name for scene in all_scenes if scene not in scenes)
    wanted = [token for scene in scenes for token in scene.sample_tokens]
    known: Sequence[str] = [token for scene in all_scenes for token in scene.sample_tokens] if left_out else ()
    if not is_official_split(split.name):
        known = read_sample_tokens(split.dataroot, split.version)
    selected = select_samples(content, wanted, known, source)
    if any(frame.annotations is None for scene in scenes for frame in scene.frames):
        raise NotAnnotatedError(
            f"{source}: {len(wanted)} samples of split '{split.name}' are valid; {split.dataroot / split.version} "
            "has no annotations to evaluate them with"
        )
    inputs = Inputs(selected, scenes, split, path, left_out)
    order = tuple(content.boxes) if inputs.is_official else read_sample_tokens(split.dataroot, split.version)
    return replace(inputs, results=_reordered(selected, order))


def _complete_scenes(scenes: Sequence[Scene], results: Results, source: object) -> list[Scene]:
    """The scenes of which the results hold every sample."""
    complete = [scene for scene in scenes if results.boxes.keys() >= set(scene.sample_tokens)]
    if not complete:
        raise InputError(f"{source}: holds all samples of none of the split's {len(scenes)} scenes")
    return complete


@contextmanager
def _begun(
    read_results: ReadResults, results: Path | str | Results, taxonomy: Taxonomy
) -> Iterator[Callable[[], Results]]:
    """A function that returns the results, which may be there already."""
    if isinstance(results, Results):
        yield lambda: results
    else:
        with begun_reading(read_results, results, taxonomy) as content:
            yield content


def _reordered(results: Results, order: Sequence[str]) -> Results:
    """The same results with their samples in the order of `order`, which may name others."""
    return replace(results, boxes={token: results.boxes[token] for token in order if token in results.boxes})
