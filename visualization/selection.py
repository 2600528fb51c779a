"""Which scenes of a data root a result file speaks of, and its boxes in the order of a scene's frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from scenes import Boxes3D, InputError, Results, Scene


def select_scenes(scenes: Sequence[Scene], results: Results, names: Collection[str], path: Path | str) -> list[Scene]:
    """The scenes to draw.

    Args:
        scenes: what the data root (or the split of it) holds.
        results: what the file held.
        names: scenes that are asked for; none asks for every scene of which the file holds a frame.
        path: of the file, named in messages.

    Raises:
        InputError: a scene that is asked for is not in the data root or not in the file, or the file holds no
            frame of any of the scenes.
    """
    in_file = [scene for scene in scenes if any(token in results.boxes for token in scene.sample_tokens)]
    if not in_file:
        raise InputError(f"{path}: holds no frame of the {len(scenes)} scenes; are these results of other data?")
    by_name = {scene.name: scene for scene in in_file}
    for name in names:
        if name not in {scene.name for scene in scenes}:
            raise InputError(f"scene '{name}' is not in the data root (or not in the split)")
        if name not in by_name:
            raise InputError(f"{path}: holds no frame of scene '{name}'; it has {_listed(list(by_name))}")
    return [by_name[name] for name in dict.fromkeys(names)] if names else in_file


def boxes_by_frame(scene: Scene, results: Results) -> list[Boxes3D]:
    """The boxes of each frame of the scene; none for a frame that the results do not hold."""
    return [results.boxes.get(token, Boxes3D.empty()) for token in scene.sample_tokens]


def results_of_scene(scene: Scene, results: Results) -> Results:
    """The part of the results that belongs to a scene: what a process that draws it needs to be sent."""
    return replace(results, boxes=dict(zip(scene.sample_tokens, boxes_by_frame(scene, results), strict=True)))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
