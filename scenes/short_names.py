"""The shortest names that tell files apart, for tables and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path


def short_names(paths: Sequence[Path | str]) -> list[str]:
    """For each path the part in which it differs from the others: `runs/a/x.json` and `runs/b/x.json` are a and b.

    A suffix that all have is left out. A path on its own is called by its folder and name, a folder by its name. Of
    paths that do not differ, or of which one lies below another, each is called by itself, a second time with ` (2)`.
    """
    places = [Path(path).resolve() for path in paths]
    if len(places) == 1:
        (place,) = places
        return ["/".join(place.parts[-2:]) if place.is_file() else place.name]
    same_suffix = len({place.suffix for place in places}) == 1 and places[0].suffix
    parts = [(place.with_suffix("") if same_suffix else place).parts for place in places]
    start = _shared_length(parts)
    end = _shared_length([part[:start:-1] for part in parts])
    names = ["/".join(part[start : len(part) - end]) for part in parts]
    return _numbered([name or str(path) for name, path in zip(names, paths, strict=True)])


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, those that have been there before with how often."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered


def _shared_length(sequences: Sequence[tuple[str, ...]]) -> int:
    """How many first parts are the same in all sequences."""
    return sum(1 for _ in takewhile(lambda parts: len(set(parts)) == 1, zip(*sequences, strict=False)))
