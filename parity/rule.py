"""The rule that makes weights, inputs and annotations from nothing but numpy: a Python file beside the recordings."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from detection.frames import CameraTargets, FrameBatch, FrameTargets
from parity.comparison import Array
from scenes import InputError

_FILE = "rule.py"
_FUNCTIONS = ("weight", "frame", "ground_truth", "dn_noise")


class Rule:
    """The functions of a rule, in the language of this package."""

    def __init__(self, path: Path) -> None:
        """Import a rule.

        Raises:
            InputError: no such file, or it is no rule.
        """
        self.module: ModuleType = imported_rule(path)
        self._weights: dict[tuple[str, tuple[int, ...]], Array | None] = {}
        missing = [name for name in _FUNCTIONS if not callable(getattr(self.module, name, None))]
        if missing:
            raise InputError(f"{path}: is no rule, it has no function {missing[0]}")

    @classmethod
    def find(cls, folder: Path) -> Rule:
        """The rule in a folder of recordings, or in its sibling `golden`.

        Raises:
            InputError: in neither.
        """
        places = [folder / _FILE, folder.resolve().parent / "golden" / _FILE]
        for path in places:
            if path.is_file():
                return cls(path)
        raise InputError(f"{folder}: needs {_FILE}, which makes weights and inputs; neither here nor in {places[1]}")

    def load_weights(self, model: nn.Module) -> None:
        """Give every entry of a model's `state_dict` its value; what the code itself defines stays."""
        state = model.state_dict()
        for name, value in state.items():
            made = self._weight(name, tuple(value.shape))
            if made is not None:
                state[name] = torch.from_numpy(made)
        model.load_state_dict(state)

    def _weight(self, name: str, shape: tuple[int, ...]) -> Array | None:
        """One weight; kept, because drawing those of a whole model takes seconds and most recordings share them."""
        if (name, shape) not in self._weights:
            self._weights[name, shape] = self.module.weight(name, shape)
        return self._weights[name, shape]

    def arrays(self, sequence: str, number: int) -> dict[str, Any]:
        """The inputs of one frame of one sequence, by the rule's own names."""
        arrays: dict[str, Any] = self.module.frame(sequence, number)
        return arrays

    def frame(self, sequences: Sequence[str], number: int, boxes: bool = True) -> FrameBatch:
        """Frame `number` of some sequences as one batch, annotated.

        Args:
            sequences: names, one a stream.
            number: of the frame, from 0.
            boxes: whether there is anything to see in the annotations.
        """
        frames = [self.arrays(sequence, number) for sequence in sequences]

        def stacked(name: str) -> Tensor:
            return torch.stack([torch.as_tensor(frame[name]) for frame in frames])

        return FrameBatch(
            images=stacked("img"),
            image_from_lidar=stacked("lidar2img"),
            image_from_camera=stacked("intrinsics"),
            camera_from_lidar=stacked("extrinsics"),
            global_from_lidar=stacked("ego_pose").double(),
            timestamp_s=torch.tensor([float(frame["timestamp"]) for frame in frames], dtype=torch.float64),
            continues_scene=torch.tensor([bool(frame["prev_exists"]) for frame in frames]),
            scene_tokens=tuple(frame["scene_token"] for frame in frames),
            sample_tokens=tuple(f"{sequence}{number}" for sequence in sequences),
            targets=tuple(self.targets(self.module.ground_truth(frame), boxes) for frame in frames),
        )

    def denoising_noise(self, shape: Sequence[int], call: int) -> Tensor:
        """What replaces `torch.rand_like` in the denoising queries, at its call number `call`."""
        return torch.from_numpy(self.module.dn_noise(tuple(shape), call))

    @staticmethod
    def targets(truth: dict[str, Any], boxes: bool = True) -> FrameTargets:
        """Annotations of one frame.

        Args:
            truth: as the rule gives them.
            boxes: whether there is anything to see in them.
        """
        names = ("boxes2d", "labels2d", "centers2d", "depths")
        cameras = [
            [torch.as_tensor(array) for array in arrays]
            for arrays in zip(*(truth[name] for name in names), strict=True)
        ]
        kept = slice(None) if boxes else slice(0)
        return FrameTargets(
            torch.as_tensor(truth["boxes3d"])[kept],
            torch.as_tensor(truth["labels3d"])[kept],
            tuple(CameraTargets(*(array[kept] for array in arrays)) for arrays in cameras),
        )


def imported_rule(path: Path) -> ModuleType:
    """A Python file as a module.

    Raises:
        InputError: no such file, or it fails.
    """
    spec = importlib.util.spec_from_file_location(f"parity_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"{path}: no such rule")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a rule is a program: it may fail in any way
        raise InputError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module
