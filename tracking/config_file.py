"""Reads a `TrackerConfig` from an mmengine config file, and names what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import Config

from scenes import NUSCENES, InputError, Taxonomy
from scenes.shipped import shipped_path
from tracking.config import CameraEvidenceConfig, ClassConfig, MeasurementNoise, TrackerConfig, default_classes

_SettingsT = TypeVar("_SettingsT", CameraEvidenceConfig, ClassConfig, MeasurementNoise, TrackerConfig)


def load_tracker_config(path: Path | str, taxonomy: Taxonomy = NUSCENES) -> TrackerConfig:
    """The settings in `tracker = dict(...)` of a config file, over the defaults.

    Args:
        path: the file.
        taxonomy: the classes of the data root, which the settings are for.

    Raises:
        InputError: no such file, not a config, a key that does not exist, a value of the wrong type or outside its
            choices.
    """
    path = shipped_path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such config file")
    try:
        content = Config.fromfile(str(path))
    except (Exception, SystemExit) as error:  # a config file is a program: it may fail or end in any way
        raise InputError(f"{path}: not a config: {type(error).__name__}: {error}") from error
    if "tracker" not in content:
        raise InputError(f"{path}: no `tracker = dict(...)` in it")
    return tracker_config_from_dict(content.to_dict()["tracker"], str(path), taxonomy)


def tracker_config_from_dict(
    given: Mapping[str, Any], source: str = "tracker", taxonomy: Taxonomy = NUSCENES
) -> TrackerConfig:
    """The settings in a dictionary, over the defaults.

    `every_class` holds what differs for all classes, `classes` what differs for one.

    Raises:
        InputError: see `load_tracker_config`; the message begins with `source`.
    """
    given = dict(_mapping(given, source))
    for_all = _mapping(given.pop("every_class", {}), f"{source}: every_class")
    by_class = _mapping(given.pop("classes", {}), f"{source}: classes")
    noise = _mapping(given.pop("noise", {}), f"{source}: noise")
    cameras = _mapping(given.pop("camera_evidence", {}), f"{source}: camera_evidence")
    _check_names(by_class, taxonomy.tracked_names, f"{source}: classes")
    classes = {}
    for name, default in default_classes(taxonomy).items():
        own = _mapping(by_class.get(name, {}), f"{source}: classes.{name}")
        shared = _overridden(default, for_all, f"{source}: every_class")
        classes[name] = _overridden(shared, own, f"{source}: classes.{name}")
    base = TrackerConfig(
        classes=classes,
        noise=_overridden(MeasurementNoise(), noise, f"{source}: noise"),
        camera_evidence=_overridden(CameraEvidenceConfig(), cameras, f"{source}: camera_evidence"),
        taxonomy=taxonomy,
    )
    return _overridden(base, given, source)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a dict, got {value!r}")
    return value


def _overridden(base: _SettingsT, given: Mapping[str, Any], where: str) -> _SettingsT:
    """`base` with the given values, which it checks."""
    _check_names(given, [field.name for field in fields(base) if field.name != "taxonomy"], where)
    try:
        return replace(base, **given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _check_names(given: Iterable[str], known: Iterable[str], where: str) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            hint = f", did you mean '{close[0]}'?" if close else f" (there are {', '.join(known)})"
            raise InputError(f"{where}: no setting '{name}'{hint}")
