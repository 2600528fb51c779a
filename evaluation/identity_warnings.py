"""What a reader of tracking metrics should know about the `tracking_id`s of a file.

The official evaluation accepts all of this without a word. The numbers are the same here, but they rarely mean what the
author of the file had in mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from scenes import Results, Scene

Faults = Mapping[str, tuple[str, int]]
"""By kind the first case, in words, and the number of cases."""

_MEANINGS: Final = {
    "repeated in a sample": "each box counts as a prediction of its own",
    "in two scenes": "they are evaluated as different tracks",
    "of two classes": "the score of its boxes is the mean over all, and each class has gaps filled from the other",
}


def identity_warnings(tracks: Results, scenes: Sequence[Scene]) -> tuple[str, ...]:
    """One line for each kind of fault, with its first case and the number of all cases."""
    return fault_lines(identity_faults(tracks, scenes))


def identity_faults(tracks: Results, scenes: Sequence[Scene]) -> dict[str, tuple[str, int]]:
    """The kinds of fault that there are."""
    kinds = {
        "repeated in a sample": _repeated(tracks, scenes),
        "in two scenes": _in_two_scenes(tracks, scenes),
        "of two classes": _of_two_classes(tracks, scenes),
    }
    found = {}
    for kind, cases in kinds.items():
        first = next(cases, None)
        if first:
            found[kind] = (first, 1 + sum(1 for _ in cases))
    return found


def joined_faults(parts: Iterable[Faults]) -> dict[str, tuple[str, int]]:
    """The faults of several parts of the scenes, in their order."""
    joined: dict[str, tuple[str, int]] = {}
    for part in parts:
        for kind, (first, count) in part.items():
            earliest, so_far = joined.get(kind, (first, 0))
            joined[kind] = (earliest, so_far + count)
    return joined


def fault_lines(faults: Faults) -> tuple[str, ...]:
    """See `identity_warnings`."""
    return tuple(
        f"{faults[kind][0]} ({faults[kind][1]} such cases of a tracking_id {kind}): {meaning}"
        for kind, meaning in _MEANINGS.items()
        if kind in faults
    )


def _repeated(tracks: Results, scenes: Sequence[Scene]) -> Iterator[str]:
    for _, token, identities, _ in _samples(tracks, scenes):
        if len(set(identities)) < len(identities):
            seen: set[str] = set()
            for identity in identities:
                if identity in seen:
                    yield f"tracking_id '{identity}' stands at several boxes of sample '{token}'"
                seen.add(identity)


def _in_two_scenes(tracks: Results, scenes: Sequence[Scene]) -> Iterator[str]:
    scenes_of: dict[str, str] = {}
    reported: set[str] = set()
    for scene, _, identities, _ in _samples(tracks, scenes):
        for identity in identities:
            first = scenes_of.setdefault(identity, scene.name)
            if first != scene.name and identity not in reported:
                reported.add(identity)
                yield f"tracking_id '{identity}' appears in scenes '{first}' and '{scene.name}'"


def _of_two_classes(tracks: Results, scenes: Sequence[Scene]) -> Iterator[str]:
    labels_of: dict[tuple[str, str], int] = {}
    reported: set[tuple[str, str]] = set()
    for scene, _, identities, labels in _samples(tracks, scenes):
        for identity, label in zip(identities, labels, strict=True):
            key = (scene.name, identity)
            first = labels_of.setdefault(key, label)
            if first != label and key not in reported:
                reported.add(key)
                names = f"{tracks.taxonomy.names[first]} and {tracks.taxonomy.names[label]}"
                yield f"tracking_id '{identity}' is {names} in scene '{scene.name}'"


def _samples(tracks: Results, scenes: Sequence[Scene]) -> Iterator[tuple[Scene, str, list[str], list[int]]]:
    """Scene, sample token, identities and labels of each sample with boxes."""
    for scene in scenes:
        for token in scene.sample_tokens:
            boxes = tracks.boxes[token]
            if boxes.track_id is not None and len(boxes):
                yield scene, token, boxes.track_id.tolist(), boxes.label.tolist()
