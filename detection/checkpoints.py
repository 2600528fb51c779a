"""Weights from files, without running any code that a file might carry.

PyTorch files are read with `weights_only=True`; what mmengine keeps beside the weights (histories of scalars, numpy
numbers) is admitted by name. The names of older releases and of wrappers (`module.`, `student.`) are turned into ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scenes import InputError
from scenes.errors import shown
from scenes.files import atomic_path
from scenes.shipped import shipped_path

_WEIGHT_KEYS = ("state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.", "student.", "model.", "ema.")
_SHOWN_NAMES = 3
_REFUSED = re.compile(r"(?:GLOBAL |Unsupported class )([\w.]+)|Unsupported global: (?:GLOBAL )?([\w.]+)")
_HOW_TO_CONVERT = (
    "holds a Python object ({}) that is not loaded, since loading it could run any code; where the file was made, save "
    "its weights alone: torch.save(checkpoint['state_dict'], 'weights.pth')"
)


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """The weights in a file, by name.

    Args:
        path: a .safetensors file, or a PyTorch file that holds the weights themselves or a mapping with `state_dict`
            or `model`; or the address of one (https://...), which is downloaded once.

    Raises:
        InputError: the file is missing or broken, holds more than weights, or holds none.
    """
    if str(path).endswith(".safetensors"):
        return _read_safetensors(shipped_path(path))
    content = read_saved(path)
    for key in _WEIGHT_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(isinstance(one, Tensor) for one in content.values()):
        raise InputError(f"{path}: holds no weights; expected tensors by name, alone or under 'state_dict' or 'model'")
    for name, value in content.items():
        if not isinstance(name, str):
            raise InputError(f"{path}: holds a tensor under {shown(name)}; expected names")
        if value.layout is not torch.strided or value.is_quantized or value.is_nested or value.is_meta:
            raise InputError(
                f"{path}: {shown(name)} is a sparse, nested, quantized or empty tensor; expected plain ones"
            )
    return _unwrapped(dict(content))


def read_saved(path: Path | str) -> Any:
    """Everything that a PyTorch file holds: tensors, plain containers, numpy arrays and numbers, mmengine's histories.

    Args:
        path: of the file, or its address (https://...).

    Raises:
        InputError: the file is missing or broken or holds objects of other kinds.
    """
    try:
        with warnings.catch_warnings():  # of kinds of tensors: whoever takes the content says what is wrong with it
            warnings.simplefilter("ignore")
            if "://" in str(path):
                return torch.hub.load_state_dict_from_url(str(path), map_location="cpu", weights_only=True)
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # bytes of any other kind can make the unpickler fail in any way
        if refused := _REFUSED.search(str(error)):
            raise InputError(f"{path}: {_HOW_TO_CONVERT.format(refused[1] or refused[2])}") from error
        raise InputError(f"{path}: is no PyTorch file, or not a whole one") from error


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights alone, whole or not at all: as safetensors or as a PyTorch file, as the name of the file says.

    Raises:
        InputError: the name ends neither in .safetensors nor in .pth.
    """
    if path.suffix not in (".safetensors", ".pth"):
        raise InputError(f"{path}: expected a name that ends in .safetensors or .pth")
    with atomic_path(path) as temporary:
        if path.suffix == ".pth":
            torch.save(dict(weights), temporary)
        else:  # modules under several names share memory, which the format does not know: each name gets its copy
            # As bytes: a file that safetensors makes itself can be read by its owner alone.
            temporary.write_bytes(save({name: value.contiguous().clone() for name, value in weights.items()}))


def in_half_precision(weights: Mapping[str, Tensor], path: Path | str) -> dict[str, Tensor]:
    """The weights with their numbers as float16, which keeps three digits; counts stay integers.

    A model loads them like any others, in its own precision.

    Args:
        weights: by name.
        path: where they come from, for messages.

    Raises:
        InputError: a number is too great for float16.
    """
    halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    if lost := [name for name in weights if not torch.equal(weights[name].isfinite(), halved[name].isfinite())]:
        raise InputError(f"{path}: {lost[0]} holds numbers that float16 cannot hold")
    return halved


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load a checkpoint of the very same model.

    Raises:
        InputError: see `read_checkpoint`; or the names or shapes differ from the model's. Nothing is loaded then.
    """
    set_weights(model, read_checkpoint(path), path)


def set_weights(model: nn.Module, weights: Mapping[str, Tensor], path: Path | str) -> None:
    """Give a model the weights of the very same model, under its own names.

    Args:
        model: the model.
        weights: all of its weights, by name.
        path: where they come from, for messages.

    Raises:
        InputError: the names or shapes differ from the model's. Nothing is loaded then.
    """
    weights = _of_today(weights)
    own = model.state_dict()
    if differences := _differences(own, weights):
        raise InputError(f"{path}: holds {describe(weights)}; the model is {describe(own)}: {differences}")
    model.load_state_dict(weights, strict=True)


def load_part(part: nn.Module, path: Path | str) -> None:
    """Load a part of a model, such as the backbone, from a checkpoint that holds it at any place.

    Other weights in the file are left out, and so are tables that the code computes.

    Raises:
        InputError: see `read_checkpoint`; or no place in the file has all the weights of the part.
    """
    weights = read_checkpoint(path)
    own = part.state_dict()
    trained = {name for name, _ in part.named_parameters()}
    needed = {name: own[name] for name in own if name in trained or name.endswith(("running_mean", "running_var"))}
    first = next(iter(needed))
    places = [name[: -len(first)] for name in weights if name == first or name.endswith(f".{first}")]
    below = {
        place: {name: weights[place + name] for name in needed if place + name in weights}
        for place in sorted(places, key=len)
    }
    fitting = [found for found in below.values() if not _differences(needed, found)]
    if not fitting:
        found = max(below.values(), key=len, default={})
        differences = _differences(needed, found)
        raise InputError(f"{path}: holds no weights of a {type(part).__name__} like this one: {differences}")
    part.load_state_dict(fitting[0], strict=False)


def describe(weights: Mapping[str, Tensor]) -> str:
    """Which detector these weights seem to be of, such as `StreamPETR, ResNet-50, 900 queries`."""
    parts = [_first_match(_DETECTORS, weights) or "no detector of this project", _first_match(_BACKBONES, weights)]
    queries = weights.get("pts_bbox_head.reference_points.weight")
    if queries is not None:
        parts.append(f"{len(queries)} queries")
    predicted = next((weights[name] for name in weights if re.fullmatch(r"model_h\.\d+\.m\.0\.bias", name)), None)
    if predicted is not None:
        parts.append(f"{len(predicted) // _YOLO_ANCHORS - _YOLO_OUTPUTS_BEFORE_CLASSES} classes")
    return ", ".join(part for part in parts if part)


# The first row of which every name is in the weights says what they are.
_DETECTORS = {
    "Dy-YOLOv7-W6": ("model_h2.71.m.3.weight",),
    "Dy-YOLOv7-X": ("model_h2.62.m.2.weight",),
    "Dy-YOLOv7": ("model_h2.54.m.2.weight",),
    "DynamicDet": ("router.layer1.weight", "easy.pts_bbox_head.reference_points.weight"),
    "RepDETR3D": ("pts_bbox_head.transformer.decoder.layers.0.attentions.1.learnable_fc.weight",),
    "StreamPETR": ("pts_bbox_head.pseudo_reference_points.weight",),
    "Focal-PETR": ("pts_bbox_head.reference_points.weight", "img_roi_head.cls.weight"),
    "PETR": ("pts_bbox_head.reference_points.weight",),
    "perspective detector": ("img_roi_head.heat_map.0.weight", "img_roi_head.box_branch.0.weight"),
}
_YOLO_ANCHORS = 3  # of a cell
_YOLO_OUTPUTS_BEFORE_CLASSES = 5
_BACKBONES = {
    "EVA02-L": ("img_backbone.blocks.23.attn.q_proj.weight",),
    "V2-99": ("img_backbone.stage5.OSA5_3.ese.fc.weight",),
    "ResNet-101": ("img_backbone.layer3.22.conv3.weight",),
    "ResNet-50": ("img_backbone.layer3.5.conv3.weight",),
    "ResNet-34": ("img_backbone.layer3.5.conv2.weight",),
    "ResNet-18": ("img_backbone.layer3.1.conv2.weight",),
}


def _first_match(rows: Mapping[str, Iterable[str]], weights: Mapping[str, Tensor]) -> str | None:
    return next((kind for kind, names in rows.items() if all(name in weights for name in names)), None)


def _differences(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """What keeps the weights from a strict load, in a few words; empty where nothing does."""
    counted_steps = ".num_batches_tracked"  # absent from weights that were saved before PyTorch 0.4.1
    missing = [name for name in own if name not in weights and not name.endswith(counted_steps)]
    unexpected = [name for name in weights if name not in own]
    reshaped = [
        f"{name} {_shape(weights[name])} instead of {_shape(own[name])}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    said = [("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped)]
    return "; ".join(f"{len(names)} {what} ({_first_few(names)})" for what, names in said if names)


def _first_few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (", ..." if len(names) > _SHOWN_NAMES else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _of_today(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Dynamic detectors of 0.1 counted the iterations of their router; of one never trained, the last layer is zero."""
    kept = dict(weights)
    iterations = kept.pop("router_iterations", None)
    if iterations is not None and not iterations:
        untrained = [name for name in kept if name.startswith("router.layer2.")]
        kept |= {name: torch.zeros_like(kept[name]) for name in untrained}
    return kept


def _unwrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off the names of modules that training put around the model; of teacher and student, keep the student."""
    if any(name.startswith("student.") for name in weights):
        weights = {name: value for name, value in weights.items() if name.startswith("student.")}
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in weights):
            return _unwrapped({name[len(wrapper) :]: value for name, value in weights.items()})
    return weights


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return _unwrapped(load_file(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    except SafetensorError as error:
        raise InputError(f"{path}: is no safetensors file, or not a whole one") from error


def _statistic_of_history(owner: Any, name: str) -> Any:
    """Stands for `getattr` in mmengine's pickles, which fetch `HistoryBuffer.mean` and the like by it, and no more."""
    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise UnpicklingError(f"Unsupported global: GLOBAL builtins.getattr of {owner!r}")
    return getattr(HistoryBuffer, name)


def _under_name(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """The function, to be found by the unpickler under a name that pickles use for it."""

    def named(*arguments: Any) -> Any:
        return function(*arguments)

    named.__module__, named.__name__, named.__qualname__ = module, name, name
    return named


def _admit_training_state() -> None:
    """Let `weights_only=True` read what mmengine's checkpoints hold beside tensors."""
    numbers = [np.bool_, np.int32, np.int64, np.uint32, np.uint64, np.float32, np.float64]
    multiarray = [np.core.multiarray._reconstruct, np.core.multiarray.scalar]  # type: ignore[attr-defined]
    numpy_2 = [_under_name(function, "numpy._core.multiarray", function.__name__) for function in multiarray]
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            _under_name(_statistic_of_history, "builtins", "getattr"),
            np.ndarray,
            np.dtype,
            *{type(np.dtype(number)) for number in numbers},
            *multiarray,
            *numpy_2,
        ]
    )


_admit_training_state()
