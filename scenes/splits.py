"""Which scenes a split holds: the devkit's names, a data root's own splits.json, or a file of scene names."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

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


@cache
def official_splits() -> dict[str, tuple[str, ...]]:
    """The scene names of the seven splits that nuscenes-devkit defines.

    The lists are read from the devkit's source as data: importing `nuscenes.utils.splits` pulls in
    matplotlib and scikit-learn and takes longer than tracking a scene.
    """
    package = importlib.util.find_spec("nuscenes")
    assert package is not None and package.submodule_search_locations
    source = Path(package.submodule_search_locations[0], "utils", "splits.py").read_text()
    lists: dict[str, tuple[str, ...]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in _VERSION_SUFFIX and isinstance(node.value, ast.List):
                lists[name] = tuple(ast.literal_eval(node.value))
    lists["train"] = tuple(sorted({*lists["train_detect"], *lists["train_track"]}))
    return lists


def is_official_split(split: str) -> bool:
    """Whether `split` is one of the devkit's own names, whose samples a result file must match exactly."""
    return split in _VERSION_SUFFIX


def splits_of_version(dataroot: Path, version: str) -> tuple[str, ...]:
    """The splits that a version can have: the devkit's that partition it, and those of its splits.json with scenes."""
    official = {"trainval": ("train", "val"), "mini": ("mini_train", "mini_val"), "test": ("test",)}
    of_version = next((names for suffix, names in official.items() if version.endswith(suffix)), ())
    path = dataroot / version / "splits.json"
    custom = _read_custom_splits(path) if path.is_file() else {}
    return (*of_version, *(name for name, scenes in custom.items() if scenes))


def scene_names_of_split(dataroot: Path, version: str, split: str) -> tuple[str, ...]:
    """The names of the scenes in a split, in the order they are listed.

    Args:
        dataroot: nuScenes data root.
        version: folder of the tables in it, such as `v1.0-trainval`.
        split: one of the devkit's names (`val`, `mini_val`, ...), a name in `<dataroot>/<version>/splits.json`
            (the devkit's custom splits), or the path of a text file with one scene name a line.

    Raises:
        InputError: there is no such split, it is empty, or it belongs to another version.
    """
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
