"""Names and shapes of what an exported detector takes and gives, and what its files say of themselves.

The three files of `autoware` are those that Autoware's `autoware_camera_streampetr` loads; `single` is one file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from scenes import InputError

FEATURES, POSITION, HEAD, SINGLE = "features", "position", "head", "single"
FILES: Final = {
    FEATURES: "simplify_extract_img_feat.onnx",
    POSITION: "simplify_position_embedding.onnx",
    HEAD: "simplify_pts_head_memory.onnx",
    SINGLE: "streamtrack_detector.onnx",
}
PARAMETERS: Final = "ml_package_camera_streampetr.param.yaml"
FORMATS: Final = {"autoware": (FEATURES, POSITION, HEAD), "single": (SINGLE,)}
"""The files of each format."""

MEMORY: Final = ("embedding", "reference_point", "timestamp", "egopose", "velo")
STRIDE_PX: Final = 16
CONE: Final = 8
CODE_SIZE: Final = 10
CHANNELS: Final = ("rgb", "bgr")
METADATA_KEY: Final = "streamtrack"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Description:
    """What every file of an export says of it, as JSON in its metadata.

    Attributes:
        model: name of the config.
        export: the same in all files that belong together.
        format: one of `FORMATS`.
        classes: what the scores are of.
        cameras: in the order of the images.
        image_size_px: height and width of the network's images.
        channels: their order, one of `CHANNELS`; with the mean and deviation of ImageNet's.
        center_range_m: least x, y, z and greatest x, y, z of a box's centre, in the frame of the model's boxes before
            `base_link_from_lidar`.
        max_boxes: a frame.
        base_link_from_lidar: (4, 4) from the frame in which the model thinks to that of its inputs and boxes.
        memory_length, memory_topk, num_propagated: rows that a frame reads and adds, and how many become queries; 0 of
            a model of single frames.
        num_queries: of a frame, carried ones included; 0 of a model that gives boxes instead of queries.
        int8: whether convolutions are quantised.
        task: `scenes`, or `images` of a detector of single images, in which `max_boxes` is how many it gives.
    """

    model: str
    export: str
    format: str
    classes: tuple[str, ...]
    cameras: tuple[str, ...]
    image_size_px: tuple[int, int]
    channels: str
    center_range_m: tuple[float, ...]
    max_boxes: int
    base_link_from_lidar: tuple[tuple[float, ...], ...]
    memory_length: int = 0
    memory_topk: int = 0
    num_propagated: int = 0
    num_queries: int = 0
    int8: bool = False
    task: str = "scenes"

    def to_json(self) -> str:
        """For the metadata of a file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, path: Path) -> Description:
        """Of the metadata of a file.

        Raises:
            InputError: it is another version's.
        """
        try:
            said: Mapping[str, Any] = json.loads(text)
            if set(said) != {field.name for field in fields(cls)}:
                raise KeyError
            return cls(**{name: _tuples(value) for name, value in said.items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{path}: was exported by another version; export the model anew") from None

    def belongs_to(self, other: Description) -> bool:
        """Whether two files are of one export."""
        return self.export == other.export


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Signature:
    """Shapes of a file's inputs and outputs by name, all of them float32."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


def signatures(description: Description, features: Shape, position: Shape, embed_dims: int) -> dict[str, Signature]:
    """What the contract says of the files of an export.

    Args:
        description: of the export.
        features: (1, N, C, h, w) of the feature maps between the first file and the last.
        position: (1, T, C) of what the second file encodes.
        embed_dims: channels of a query.
    """
    cameras, (height, width) = len(description.cameras), description.image_size_px
    if description.task == "images":
        found = {"boxes": (1, description.max_boxes, 5 + len(description.classes)), "scores": (1,)}
        return {SINGLE: Signature({"images": (1, 3, height, width), "threshold": (1,)}, found)}
    images = {"img": (1, cameras, 3, height, width)}
    calibration = {"intrinsics": (1, cameras, 4, 4), "img2lidar": (1, cameras, 4, 4)}
    located = {"pos_embed": position, "cone": (*position[:2], CONE)}
    before, after = _memory(description, embed_dims)
    boxes = _found(description)
    if description.format == "single":
        return {SINGLE: Signature({**images, **calibration, **before}, {**boxes, **after})}
    return {
        FEATURES: Signature(images, {"img_feats": features}),
        POSITION: Signature({"img_metas_pad": (3,), **calibration}, located),
        HEAD: Signature({"x": features, **located, **before}, {**boxes, **after}),
    }


def _memory(description: Description, embed_dims: int) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """What a graph takes of the frames before, and what it gives."""
    if not description.memory_length:
        return {}, {}
    rest = {"embedding": (embed_dims,), "reference_point": (3,), "timestamp": (1,), "egopose": (4, 4), "velo": (2,)}
    length = description.memory_length
    poses: dict[str, Shape] = {"data_ego_pose": (1, 4, 4), "data_ego_pose_inv": (1, 4, 4)}
    before = {f"pre_memory_{name}": (1, length, *rest[name]) for name in MEMORY}
    after: dict[str, Shape] = {
        f"post_memory_{name}": (1, length + description.memory_topk, *rest[name]) for name in MEMORY
    }
    return {**poses, **before}, {**after, "post_memory_query": (1, description.memory_topk)}


def _found(description: Description) -> dict[str, Shape]:
    if description.num_queries:
        count = description.num_queries
        return {"all_cls_scores": (1, len(description.classes), count), "all_bbox_preds": (1, CODE_SIZE, count)}
    count = description.max_boxes
    return {"boxes": (1, count, 9), "scores": (1, count), "labels": (1, count), "valid": (1, count)}


def check_signature(path: Path, kind: str, found: Mapping[str, Sequence[Any]], expected: Mapping[str, Shape]) -> None:
    """Compare the inputs or outputs of a file with those of the contract.

    Args:
        path: of the file, for the message.
        kind: `input` or `output`.
        found: (type, dimension, ...) by name.
        expected: shapes by name.

    Raises:
        InputError: one is missing, is not of the contract, or has another type or shape.
    """
    for name, shape in expected.items():
        if name not in found:
            raise InputError(f"{path}: has no {kind} '{name}'")
        type_, *dimensions = found[name]
        if type_ != "float":
            raise InputError(f"{path}: {kind} '{name}' is {type_}, expected float32")
        if tuple(dimensions) != tuple(shape):
            raise InputError(f"{path}: {kind} '{name}' is {_text(dimensions)}, expected {_text(shape)}")
    for name in found:
        if name not in expected:
            raise InputError(f"{path}: has {'an' if kind[0] in 'io' else 'a'} {kind} '{name}', which nobody knows")


def cells(image_size_px: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the node's feature maps."""
    height, width = image_size_px
    return math.ceil(height / STRIDE_PX), math.ceil(width / STRIDE_PX)


def _text(shape: Sequence[Any]) -> str:
    return "x".join(map(str, shape)) or "a number"
