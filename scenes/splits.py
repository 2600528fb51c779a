"""Which scenes a split holds: nuScenes' official names, a data root's own splits.json, or a file of scene names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from scenes.errors import InputError, shown
from scenes.json_text import read_json

_VERSION_SUFFIX = {
    "train": "trainval",
    "val": "trainval",
    "train_detect": "trainval",
    "train_track": "trainval",
    "test": "test",
    "mini_train": "mini",
    "mini_val": "mini",
}

_OFFICIAL_SCENES: Final = {
    "train_detect": (
        "1-2 41-76 161-168 170-176 190-196 199-200 202-204 206-214 254-264 283-306 315-318 321 323-324 "
        "347-375 382 420-439 457-459 461-465 467-469 471-472 474-480 566 568 570-578 580 582-583 665-679 681 "
        "683-689 739-741 744 746-747 749-752 757-765 767-769 868-873 875-878 880 882-903 945 947 949 952-953 "
        "955-961 975-984 988-991 1011-1025 1074-1102 1104-1105"
    ),
    "train_track": (
        "4-11 19-34 120-135 138-139 149-152 154-155 157-160 177-185 187-188 218-220 222 224-253 328 376-381 "
        "383-386 388-403 405-408 410-419 440-456 499-502 504-515 517-518 525-539 541-546 584-600 639-664 "
        "695-698 700-701 703-719 726-728 730-731 733-738 786-787 789-792 803-806 808-813 815-817 819-822 "
        "847-856 858 860-866 992 994-1010 1044-1058 1106-1110"
    ),
    "val": (
        "3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638 "
        "770-771 775 777-778 780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073"
    ),
    "test": (
        "77-91 111-119 140 142-148 265-266 279-282 307-314 333-343 481-498 547-551 601-604 606-624 827-831 "
        "833-842 844-846 932-933 935-943 1026-1043"
    ),
    "mini_train": "61 553 655 757 796 1077 1094 1100",
    "mini_val": "103 916",
}
"""The numbers of the scenes in nuScenes' official splits, as runs; the training split is the first two together."""


@cache
def official_splits() -> dict[str, tuple[str, ...]]:
    """The scene names of nuScenes' seven official splits, sorted."""
    splits = {name: tuple(_scene_names(runs)) for name, runs in _OFFICIAL_SCENES.items()}
    return splits | {"train": tuple(sorted(splits["train_detect"] + splits["train_track"]))}


def _scene_names(runs: str) -> Iterator[str]:
    """The names of the scenes in `first-last first-last ...`."""
    for run in runs.split():
        first, _, last = run.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield f"scene-{number:04}"


SplitName = str | tuple[str, ...]
"""A split by its name, see `scene_names_of_split`, or the names of its scenes themselves."""


def is_official_split(split: SplitName) -> bool:
    """Whether `split` is one of the devkit's own names, whose samples a result file must match exactly."""
    return split in _VERSION_SUFFIX


def splits_of_version(dataroot: Path, version: str) -> tuple[str, ...]:
    """The splits that a version can have: the devkit's that partition it, and those of its splits.json with scenes."""
    official = {"trainval": ("train", "val"), "mini": ("mini_train", "mini_val"), "test": ("test",)}
    of_version = next((names for suffix, names in official.items() if version.endswith(suffix)), ())
    path = dataroot / version / "splits.json"
    custom = _read_custom_splits(path) if path.is_file() else {}
    return (*of_version, *(name for name, scenes in custom.items() if scenes))


def scene_names_of_split(dataroot: Path, version: str, split: SplitName) -> tuple[str, ...]:
    """The names of the scenes in a split, in the order they are listed.

    Args:
        dataroot: nuScenes data root.
        version: folder of the tables in it, such as `v1.0-trainval`.
        split: one of the devkit's names (`val`, `mini_val`, ...), a name in `<dataroot>/<version>/splits.json`
            (the devkit's custom splits), or the path of a text file with one scene name a line; or the names of scenes.

    Raises:
        InputError: there is no such split, it is empty, or it belongs to another version.
    """
    if isinstance(split, tuple):
        return split
    if is_official_split(split):
        suffix = _VERSION_SUFFIX[split]
        if not version.endswith(suffix):
            raise InputError(f"split '{split}' belongs to a version ending in '{suffix}', not to '{version}'")
        return official_splits()[split]
    if _is_file(split):
        names = _names_in_text(Path(split))
    else:
        names = _names_in_custom_splits(dataroot / version / "splits.json", split)
    if not names:
        raise InputError(f"split {shown(split)} lists no scene")
    return names


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False


def _names_in_text(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file of scene names ({error.reason})") from error
    stripped = (line.strip() for line in lines)
    return tuple(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))


def _names_in_custom_splits(path: Path, split: str) -> tuple[str, ...]:
    known = ", ".join(sorted(_VERSION_SUFFIX))
    if not path.is_file():
        raise InputError(f"split {shown(split)} is none of {known}, no file of that name, and there is no {path}")
    custom = _read_custom_splits(path)
    if split not in custom:
        raise InputError(f"{path}: no split {shown(split)} (it has {', '.join(sorted(custom)) or 'none'})")
    return tuple(dict.fromkeys(custom[split]))


def _read_custom_splits(path: Path) -> dict[str, list[str]]:
    content = read_json(path)
    try:
        return msgspec.convert(content, dict[str, list[str]])
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not a dictionary from split to scene names: {error}") from error
