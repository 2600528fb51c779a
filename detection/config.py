"""Reads the config of a detector, and names whatever in it nobody would read."""

from __future__ import annotations

import argparse
import difflib
import inspect
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import OPTIMIZERS, Registry

from detection.registry import DATA_SAMPLERS, DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
from scenes import InputError
from scenes.errors import shown
from scenes.shipped import shipped_path

LOADER_SETTINGS: Final = frozenset({"num_workers", "prefetch_factor", "persistent_workers", "pin_memory"})
"""What a config may say to torch's `DataLoader`, besides the batch size."""

_LOADER_KEYS: Final = LOADER_SETTINGS | {"dataset", "sampler", "batch_size"}
_KEYS: Final[Mapping[str, frozenset[str] | None]] = {
    # Top-level keys, with the keys of those that are no configs of classes; None: checked where it is read.
    "model": None,
    "train_dataloader": _LOADER_KEYS,
    "val_dataloader": _LOADER_KEYS,
    "val_evaluator": None,
    "schedule": None,
    "optim_wrapper": frozenset({"optimizer", "paramwise_cfg", "clip_grad"}),
    "amp": None,
    "seed": None,
    "log_interval": None,
    "keep_checkpoints": None,
    "tensorboard": None,
    "find_unused_parameters": None,
    "sync_bn": None,
    "with_cp": None,
    "custom_hooks": None,
    "custom_imports": frozenset({"imports", "allow_failed_imports"}),
    "load_from": None,
    "work_dir": None,
}
_GIVEN_BY_CODE: Final = frozenset({"self", "args", "kwargs"})
_REGISTRIES: Final = (MODELS, DATASETS, TRANSFORMS, DATA_SAMPLERS, METRICS, HOOKS, OPTIMIZERS)


def read_config(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Config:
    """The config in a file, checked.

    Names that begin with an underscore are the file's own variables; every other name at its top level, and every
    argument of a class that it names, has to be one that is read.

    Args:
        path: a Python file in mmengine's style.
        overrides: values by dotted key, such as `{"schedule.epochs": 12}`.

    Raises:
        InputError: no such file, not a config, or a key or a class that does not exist.
    """
    path = shipped_path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such config file")
    try:
        with _without_remarks():
            config = Config.fromfile(str(path))
    except (Exception, SystemExit) as error:  # a config file is a program: it may fail or end in any way
        raise InputError(f"{path}: not a config: {type(error).__name__}: {error}") from error
    try:
        config.merge_from_dict(dict(overrides or {}))
    except (TypeError, KeyError, AssertionError, IndexError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: an override does not fit: {error}") from error
    check_config(config, str(path))
    return config


def add_overrides(parser: argparse.ArgumentParser, help_: str = "values by dotted key") -> None:
    """Add the option `--cfg-options KEY=VALUE ...`; what it collects are the overrides of `read_config`.

    Raises:
        InputError: from the parser, for what is no KEY=VALUE.
    """
    parser.add_argument("--cfg-options", nargs="+", action=_Overrides, default={}, metavar="KEY=VALUE", help=help_)


class _Overrides(DictAction):  # type: ignore[misc]
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        overrides: dict[str, Any] = {}
        for value in values:
            given = argparse.Namespace()
            if not value.partition("=")[0] or "=" not in value:
                raise InputError(f"{option_string} {shown(value)}: expected KEY=VALUE")
            try:
                super().__call__(parser, given, [value], option_string)
            except Exception as error:  # mmengine's parser trips over brackets in many ways
                raise InputError(f"{option_string} {shown(value)}: the value cannot be read ({error})") from error
            overrides |= getattr(given, self.dest)
        setattr(namespace, self.dest, overrides)


def check_config(config: Mapping[str, Any], source: str) -> None:
    """Check that somebody reads every key of a config.

    Args:
        config: the config.
        source: named in messages.

    Raises:
        InputError: a key that nobody reads, a class that does not exist, an argument that it does not have.
    """
    public = {key: value for key, value in config.items() if not key.startswith("_")}
    _check_names(public, _KEYS, source)
    for key, value in public.items():
        known = _KEYS[key]
        if known is not None and isinstance(value, Mapping):
            _check_names(value, known, f"{source}: {key}")
        for where, part in _class_configs(value, key):
            _check_class_config(part, f"{source}: {where}")


@contextmanager
def building(where: str) -> Iterator[None]:
    """Around the building of a part of a config: a setting that does not fit ends in one line that names the part.

    Settings of inner parts that are no classes of their own, such as those of a decoder, only show there.

    Raises:
        InputError: an argument does not exist or is missing, or has a value that cannot be.
    """
    try:
        yield
    except InputError:
        raise
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise InputError(f"{where}: {error}") from error
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Inside the block mmengine does not tell of every environment variable that a config names."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _class_configs(value: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every `dict(type='...', ...)` in a value, with its dotted place."""
    if isinstance(value, Mapping):
        if isinstance(value.get("type"), str):
            yield where, value
        for key, part in value.items():
            yield from _class_configs(part, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _class_configs(part, f"{where}.{index}")


def _check_class_config(config: Mapping[str, Any], where: str) -> None:
    name = config["type"]
    found = next((found for registry in _REGISTRIES if (found := registry.get(name)) is not None), None)
    if found is None:
        known = {name for registry in _REGISTRIES for name in _names_in(registry)}
        raise InputError(f"{where}: there is no class '{name}'{_hint(name, known)}")
    accepted = _arguments_of(found)
    if accepted is not None:
        _check_names({key: None for key in config if key not in ("type", "_scope_")}, accepted, f"{where} ({name})")


def _arguments_of(called: Any) -> Collection[str] | None:
    """The arguments that a class takes; None if it takes any. `**kwargs` are followed to the base class."""
    if not inspect.isclass(called):
        return None
    names: set[str] = set()
    for base in called.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        names.update(parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            return names - _GIVEN_BY_CODE
    return None


def _names_in(registry: Registry) -> set[str]:
    return {*registry.module_dict, *({} if registry.parent is None else registry.parent.module_dict)}


def _check_names(given: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise InputError(f"{where}: there is no '{name}'{_hint(name, known)}")


def _hint(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f", did you mean '{close[0]}'?" if close else f" (there are {', '.join(sorted(known))})"
