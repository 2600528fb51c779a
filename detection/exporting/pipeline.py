"""What a config does to images before its network sees them, as far as Autoware's node can do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from mmengine.config import Config

from detection.data.infos import CAMERA_ORDER
from detection.deployment.images import NODE_MEAN, NODE_STD
from detection.running.trained import setting
from scenes import InputError
from scenes.geometry import FloatArray

_UNDERSTOOD: Final = ("LoadImages", "ResizeCropFlipRotate", "NormalizeImages", "PadImages")


@dataclass(frozen=True, eq=False)
class ImagePipeline:
    """How images come to be what the network sees.

    Attributes:
        cameras: in the order of the images.
        size_px: height and width of the network's images.
        to_rgb: whether its channels are red, green, blue.
        mean, std: (3,) of the channels in that order.
    """

    cameras: tuple[str, ...]
    size_px: tuple[int, int]
    to_rgb: bool
    mean: FloatArray
    std: FloatArray

    def from_node(self, channels: str) -> tuple[FloatArray, FloatArray, bool]:
        """From the node's normalised channels to the network's: (3,) factors, (3,) offsets, whether the order turns.

        Args:
            channels: `rgb` or `bgr`, the node's order.
        """
        order = slice(None) if self.to_rgb else slice(None, None, -1)
        node_mean, node_std = np.array(NODE_MEAN)[order], np.array(NODE_STD)[order]
        return node_std / self.std, (node_mean - self.mean) / self.std, (channels == "rgb") != self.to_rgb


def read_pose(path: Path) -> FloatArray:
    """A rigid pose from a text file of four rows of four numbers.

    Raises:
        InputError: there is none in it.
    """
    try:
        pose = np.loadtxt(path, dtype=np.float64, delimiter=None)
    except (ValueError, UnicodeDecodeError):
        raise InputError(f"{path}: expected four rows of four numbers") from None
    rigid = pose.shape == (4, 4) and np.isfinite(pose).all() and (pose[3] == [0, 0, 0, 1]).all()
    if not rigid or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-4) or _mirrors(pose):
        raise InputError(f"{path}: expected four rows of four numbers, a rotation and a translation")
    return pose


def _mirrors(pose: FloatArray) -> bool:
    return bool(np.linalg.det(pose[:3, :3]) < 0)


def image_pipeline(config: Config, cameras: Sequence[str] | None = None) -> ImagePipeline:
    """The pipeline of the data that a config validates on.

    Args:
        config: of the detector.
        cameras: names in the order in which the network sees them; None for what the config says, or nuScenes' six.

    Raises:
        InputError: it does what the node does not.
    """
    dataset: Mapping[str, Any] = setting(config, "val_dataloader")["dataset"]
    steps = {step["type"]: step for step in dataset["pipeline"]}
    if unknown := [name for name in steps if name not in _UNDERSTOOD]:
        raise InputError(f"val_dataloader.dataset.pipeline: {unknown[0]} has no place in an exported detector")
    for name in _UNDERSTOOD[1:3]:
        if name not in steps:
            raise InputError(f"val_dataloader.dataset.pipeline: needs {name} to be exported")
    resize, normalize = steps["ResizeCropFlipRotate"], steps["NormalizeImages"]
    if resize.get("training") or any(resize.get("bottom_crop_range", ())):
        raise InputError("val_dataloader.dataset.pipeline: ResizeCropFlipRotate has to cut off above alone, undrawn")
    height, width = resize["output_size"]
    divisor = steps.get("PadImages", {}).get("divisor", 1)
    if height % divisor or width % divisor:
        raise InputError(
            f"val_dataloader.dataset.pipeline: images of {width}x{height} are padded to multiples of {divisor}, "
            "which an exported detector does not do"
        )
    return ImagePipeline(
        cameras=tuple(cameras or dataset.get("cameras") or CAMERA_ORDER),
        size_px=(height, width),
        to_rgb=normalize["to_rgb"],
        mean=np.array(normalize["mean"], dtype=np.float64),
        std=np.array(normalize["std"], dtype=np.float64),
    )
