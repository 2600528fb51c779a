"""Splits: their scenes are there, and nothing of one is in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Final

import numpy as np

from scenes.doctor.data_root import DataRoot
from scenes.doctor.findings import Example, Finding, Severity
from scenes.errors import InputError, shown
from scenes.splits import is_official_split, scene_names_of_split, splits_of_version

_LEARNS: Final = ("train",)
_JUDGES: Final = ("val", "test")


def read_splits(root: DataRoot) -> dict[str, frozenset[str]]:
    """The scenes, by name, of each split of the version that has scenes here; none where they cannot be read."""
    present = {row.name for row in root.scenes.values()}
    try:
        names = splits_of_version(root.path, root.version)
        splits = {name: frozenset(scene_names_of_split(root.path, root.version, name)) for name in names}
    except InputError:
        return {}
    return {name: scenes for name, scenes in splits.items() if scenes & present}


def excludes(first: str, second: str, splits: Mapping[str, frozenset[str]]) -> bool:
    """Whether two splits must not share a drive: one is for learning and one for judging, or neither is a part of the
    other."""
    one, other = splits[first], splits[second]
    learned_and_judged = (_is_named(first, _LEARNS) and _is_named(second, _JUDGES)) or (
        _is_named(first, _JUDGES) and _is_named(second, _LEARNS)
    )
    return learned_and_judged or not (one <= other or other <= one)


def check_splits(root: DataRoot) -> Iterator[Finding]:
    """A splits.json that cannot be read, or that names scenes which are not there."""
    present = {row.name for row in root.scenes.values()}
    try:
        custom = [name for name in splits_of_version(root.path, root.version) if not is_official_split(name)]
    except InputError as error:
        yield Finding(
            "splits-broken",
            Severity.ERROR,
            1,
            0,
            "splits.json cannot be read",
            Example("splits.json", "splits.json", str(error)),
            'Write {"name of a split": ["name of a scene", ...], ...}.',
        )
        return
    named = [(split, scene) for split in custom for scene in scene_names_of_split(root.path, root.version, split)]
    absent = [(split, scene) for split, scene in named if scene not in present]
    if absent:
        split, scene = absent[0]
        yield Finding(
            "split-scene-unknown",
            Severity.ERROR,
            len(absent),
            len(named),
            "splits.json names scenes that scene.json does not have, which the readers refuse",
            Example(scene, "splits.json", f"split {shown(split)}"),
            "Name scenes by scene.json's names, not by tokens or files; take out those that were left out.",
        )


def check_split_overlap(root: DataRoot) -> Iterator[Finding]:
    """Scenes in two splits that exclude one another, and one drive in two scenes of such splits."""
    splits = read_splits(root)
    pairs = [pair for pair in combinations(splits, 2) if excludes(*pair, splits)]
    shared = [(first, second, scene) for first, second in pairs for scene in sorted(splits[first] & splits[second])]
    if shared:
        first, second, scene = shared[0]
        yield Finding(
            "split-overlap",
            Severity.ERROR,
            len({scene for _, _, scene in shared}),
            len(root.scenes),
            "a scene stands in two splits: what was learned is judged",
            Example(scene, "splits.json", f"in {first} and {second}"),
            "Put each scene into one split only, and scenes of one drive into the same.",
        )
    twice = list(_driven_twice(root, splits, pairs))
    if twice:
        scene, other = twice[0]
        yield Finding(
            "split-shares-drive",
            Severity.ERROR,
            len(twice),
            len(root.scenes),
            "scenes of two splits were driven by one vehicle at one time: one drive stands in both",
            Example(scene, "scene", f"at the time of {other}, in the same log"),
            "Cut drives into scenes that do not overlap, and keep a drive's scenes in one split.",
        )


def _driven_twice(
    root: DataRoot, splits: Mapping[str, frozenset[str]], pairs: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Scenes of one log that overlap in time and stand in splits that exclude one another."""
    spans = []
    for frames in root.frames_of_scenes():
        scene = root.scenes[root.scene_tokens[root.samples.scene[frames[0]]]]
        time_s = root.samples.time_s[frames]
        if np.isfinite(time_s).all():
            spans.append((scene.log_token, float(time_s[0]), float(time_s[-1]), scene.name))
    spans.sort()
    for index, (log, _, end, name) in enumerate(spans):
        for other_log, other_start, _, other in spans[index + 1 :]:
            if other_log != log or other_start >= end:
                break
            if any(
                (name in splits[a] and other in splits[b]) or (name in splits[b] and other in splits[a])
                for a, b in pairs
            ):
                yield name, other


def _is_named(split: str, words: tuple[str, ...]) -> bool:
    """Whether a split's name has one of these words in it."""
    return any(word in split.lower() for word in words)
