"""The step of a detector as functions of tensors that an exporter can follow: parts for Autoware's node, or all in one.

Each part runs the very network; only its frame is told in the words of the contract. Streams: one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.deployment.contract import CONE, MEMORY
from detection.frames import FrameBatch
from detection.models.box_coder import Candidates
from detection.models.detectors.multi_view import Features, MultiViewDetector
from detection.models.heads.petr_head import PETRHead
from detection.models.layers.attention import MultiheadAttention
from detection.models.layers.deformable_aggregation import DeformableAggregation
from detection.models.predictions import HeadOutputs
from detection.poses import inverse_poses
from scenes.geometry import FloatArray, invert_pose

_MATRIX: Final = 16


@dataclass(frozen=True)
class Setup:
    """What the graphs are made for.

    Attributes:
        cameras: number of cameras.
        image_size_px: height and width of the network's images.
        cells: rows and columns of the node's feature maps.
        base_from_model: (4, 4) from the frame in which the network thinks to that of inputs and boxes; None: the same.
        scale, offset: (3,) of each channel, from the node's normalisation to the network's; None for no change.
        reverse: whether the network sees the channels in the other order.
    """

    cameras: int
    image_size_px: tuple[int, int]
    cells: tuple[int, int]
    base_from_model: FloatArray | None
    scale: FloatArray | None
    offset: FloatArray | None
    reverse: bool


@dataclass(frozen=True, eq=False)
class _NodeFrame(FrameBatch):
    """A frame that comes with its inverse matrices, and with what has been encoded of its calibration."""

    base_from_image: Tensor | None = None
    base_from_global: Tensor | None = None
    located: tuple[Tensor, Tensor] | None = None

    @property
    def lidar_from_image(self) -> Tensor:
        """See `FrameBatch`."""
        return super().lidar_from_image if self.base_from_image is None else self.base_from_image

    @property
    def lidar_from_global(self) -> Tensor:
        """See `FrameBatch`."""
        return super().lidar_from_global if self.base_from_global is None else self.base_from_global


def plain_operators(model: nn.Module) -> None:
    """Let a network compute, in place, by operators that ONNX has."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.use("math")
        elif isinstance(module, DeformableAggregation):
            module.use("grid_sample")


class _Part(nn.Module):
    """A graph of one part of the detector, or of all of it."""

    base_from_model: Tensor
    model_from_base: Tensor

    def __init__(self, model: MultiViewDetector, setup: Setup) -> None:
        super().__init__()
        self.model = model
        self.setup = setup
        self.memory: Any = model.memory
        self.levels = read_levels(model)
        self.moved = setup.base_from_model is not None
        base_from_model = np.eye(4) if setup.base_from_model is None else setup.base_from_model
        for name, pose in (("base_from_model", base_from_model), ("model_from_base", invert_pose(base_from_model))):
            self.register_buffer(name, torch.tensor(pose, dtype=torch.float32), persistent=False)

    def frame(self, like: Tensor, **said: Any) -> _NodeFrame:
        """A frame of which the rest, by default, is nothing."""
        height, width = self.setup.image_size_px
        cameras = self.setup.cameras
        nowhere = torch.eye(4).expand(1, cameras, 4, 4)
        defaults: dict[str, Any] = dict(
            images=like.new_zeros(()).expand(1, cameras, 3, height, width),
            image_from_lidar=nowhere,
            image_from_camera=nowhere,
            camera_from_lidar=nowhere,
            global_from_lidar=torch.eye(4)[None],
            timestamp_s=torch.zeros(1),
            continues_scene=torch.zeros(1, dtype=torch.bool),
            scene_tokens=("",),
            sample_tokens=("",),
        )
        return _NodeFrame(**{**defaults, **said})

    def calibration(self, intrinsics: Tensor, img2lidar: Tensor, size: Tensor | None = None) -> dict[str, Tensor]:
        """The calibration in the frame in which the network thinks.

        Args:
            intrinsics, img2lidar: (1, N, 4, 4) as the node gives them.
            size: (3,) height, width and channels of the images that these are for; None for those of the network.
        """
        if size is not None:
            height, width = self.setup.image_size_px
            one = torch.ones_like(size[:1])
            given_from_own = torch.diag(torch.cat((size[1:2] / width, size[:1] / height, one, one)))
            own_from_given = torch.diag(torch.cat((width / size[1:2], height / size[:1], one, one)))
            intrinsics, img2lidar = own_from_given @ intrinsics, img2lidar @ given_from_own
        model_from_image = self.model_from_base @ img2lidar if self.moved else img2lidar
        # Rigid, and its inverse without loss; that of `img2lidar` would have the rounding of the focal lengths.
        camera_from_model = inverse_poses(model_from_image @ intrinsics)
        return {
            "base_from_image": model_from_image,
            "image_from_camera": intrinsics,
            "camera_from_lidar": camera_from_model,
            "image_from_lidar": intrinsics @ camera_from_model,
        }

    def motion(self, pose: Tensor, inverse: Tensor, egopose: Tensor) -> dict[str, Tensor]:
        """Where the car is, and whether anything is remembered."""
        if self.moved:
            pose, inverse = pose @ self.base_from_model, self.model_from_base @ inverse
        return {
            "global_from_lidar": pose,
            "base_from_global": inverse,
            "continues_scene": egopose[:, 0, 3, 3] > 0.5,  # 1 in rows that have been filled, 0 after a reset
        }

    def load_memory(self, remembered: Mapping[str, Tensor]) -> None:
        """Go on from the tensors `pre_memory_*`, by the names of `MEMORY`."""
        rows = remembered["embedding"].shape[1]
        self.memory.load_state(
            {
                "embeddings": remembered["embedding"],
                "reference_points_m": remembered["reference_point"],
                "velocities_mps": remembered["velo"],
                "timestamps_s": -remembered["timestamp"].squeeze(-1),  # this frame's is 0
                "poses": remembered["egopose"],
                "query_ids": torch.zeros(1, rows, dtype=torch.int64),
                "next_query_ids": torch.zeros(1, dtype=torch.int64),
            }
        )

    def remembered(self, outputs: HeadOutputs) -> tuple[Tensor, ...]:
        """The tensors `post_memory_*`, in the order of `MEMORY`, and the queries that they are of."""
        state = self.memory.state()
        self.memory.reset()
        assert outputs.pushed is not None
        after = {
            "embedding": state["embeddings"],
            "reference_point": state["reference_points_m"],
            "timestamp": -state["timestamps_s"].unsqueeze(-1),
            "egopose": state["poses"],
            "velo": state["velocities_mps"],
        }
        return (*(after[name].float() for name in MEMORY), outputs.pushed.float())

    def found(self, outputs: HeadOutputs) -> tuple[Tensor, Tensor]:
        """(1, classes, Q) logits and (1, 10, Q) box codes of the last decoder layer."""
        codes = outputs.predictions.codes[-1]
        if self.moved:
            turn = _turn(self.base_from_model)
            centers = codes[..., :3] @ self.base_from_model[:3, :3].T + self.base_from_model[:3, 3]
            headings = codes[..., [7, 6]] @ turn.T
            codes = torch.cat((centers, codes[..., 3:6], headings[..., [1, 0]], codes[..., 8:] @ turn.T), dim=-1)
        return outputs.predictions.logits[-1].transpose(1, 2), codes.transpose(1, 2)


class ImageFeatures(_Part):
    """Images to feature maps."""

    def forward(self, img: Tensor) -> Tensor:
        """(1, N, 3, H, W) images in the node's normalisation -> (1, N, C, h, w)."""
        levels = features_of(self.model, img, self.setup)
        return packed([levels[level] for level in self.levels], self.setup.cells)


class PositionEmbedding(_Part):
    """The calibration, encoded."""

    def forward(self, img_metas_pad: Tensor, intrinsics: Tensor, img2lidar: Tensor) -> tuple[Tensor, Tensor]:
        """`pos_embed` and `cone`: where each token looks; of a head that samples the images, the matrices."""
        said = self.calibration(intrinsics, img2lidar, img_metas_pad)
        head = self.model.pts_bbox_head
        frame = self.frame(img2lidar, **said)
        if isinstance(head, PETRHead):
            (height, width), stride = self.setup.image_size_px, head.stride_px
            rays = head.token_rays(frame, (-(-height // stride), -(-width // stride)))
            return head.encoded_rays(rays), head.camera_cones(frame, rays)
        return (
            _carried(said["camera_from_lidar"], self.setup.cells, head.embed_dims),
            _carried(said["image_from_camera"], self.setup.cells, CONE),
        )


class HeadWithMemory(_Part):
    """Feature maps to boxes, and what is remembered."""

    def __init__(self, model: MultiViewDetector, setup: Setup, level_shapes: Sequence[torch.Size]) -> None:
        super().__init__(model, setup)
        self.level_shapes = level_shapes
        if isinstance(model.pts_bbox_head, PETRHead):
            head: Any = model.pts_bbox_head
            head.image_context = lambda features, frame, points, tokens: head.located_context(
                features, *frame.located, tokens
            )

    def forward(
        self,
        x: Tensor,
        pos_embed: Tensor,
        cone: Tensor,
        data_ego_pose: Tensor,
        data_ego_pose_inv: Tensor,
        pre_memory_embedding: Tensor,
        pre_memory_reference_point: Tensor,
        pre_memory_timestamp: Tensor,
        pre_memory_egopose: Tensor,
        pre_memory_velo: Tensor,
    ) -> tuple[Tensor, ...]:
        """All shapes as in `detection.deployment.contract`."""
        said = self.motion(data_ego_pose, data_ego_pose_inv, pre_memory_egopose)
        if isinstance(self.model.pts_bbox_head, PETRHead):
            said["located"] = (pos_embed, cone)  # type: ignore[assignment]
        else:
            camera_from_model = _matrices(pos_embed, self.setup.cameras)
            intrinsics = _matrices(cone, self.setup.cameras)
            said |= {
                "camera_from_lidar": camera_from_model,
                "image_from_camera": intrinsics,
                "image_from_lidar": intrinsics @ camera_from_model,
            }
        given = (
            pre_memory_embedding,
            pre_memory_reference_point,
            pre_memory_timestamp,
            pre_memory_egopose,
            pre_memory_velo,
        )
        self.load_memory(dict(zip(MEMORY, given, strict=True)))
        levels: list[Any] = [None] * (self.levels[-1] + 1)
        for level, maps in zip(self.levels, unpacked(x, self.level_shapes), strict=True):
            levels[level] = maps
        outputs = self.model.frame_outputs(tuple(levels), self.frame(x, **said))
        return (*self.found(outputs), *self.remembered(outputs))


class WholeDetector(_Part):
    """Images to boxes, and what is remembered if anything is."""

    def forward(self, img: Tensor, intrinsics: Tensor, img2lidar: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """All shapes as in `detection.deployment.contract`; `memory` is two poses and `pre_memory_*`."""
        said = self.calibration(intrinsics, img2lidar)
        if memory:
            pose, inverse, *rows = memory
            remembered = dict(zip(MEMORY, rows, strict=True))
            said |= self.motion(pose, inverse, remembered["egopose"])
            self.load_memory(remembered)
        features = features_of(self.model, img, self.setup)
        frame = self.frame(img, **said)
        if self.model.pts_bbox_head is None:
            return self._candidates(self.model.img_roi_head.detect(features, frame))
        outputs = self.model.frame_outputs(features, frame)
        return (*self.found(outputs), *(self.remembered(outputs) if memory else ()))

    def _candidates(self, found: Candidates) -> tuple[Tensor, ...]:
        boxes = found.boxes
        if self.moved:
            turn = _turn(self.base_from_model)
            centers = boxes[..., :3] @ self.base_from_model[:3, :3].T + self.base_from_model[:3, 3]
            yaws = boxes[..., 6:7] + torch.atan2(turn[1, 0], turn[0, 0])
            yaws = torch.atan2(yaws.sin(), yaws.cos())
            boxes = torch.cat((centers, boxes[..., 3:6], yaws, boxes[..., 7:] @ turn.T), dim=-1)
        return boxes, found.scores, found.labels.float(), found.valid.float()


def features_of(model: MultiViewDetector, img: Tensor, setup: Setup) -> Features:
    """The feature maps of images (1, N, 3, H, W) in the node's normalisation."""
    if setup.reverse:
        img = img.flip(2)
    if setup.scale is not None:
        img = img * img.new_tensor(setup.scale)[:, None, None]
    if setup.offset is not None:
        img = img + img.new_tensor(setup.offset)[:, None, None]
    return model.extract_features(img)


def read_levels(model: MultiViewDetector) -> tuple[int, ...]:
    """Which feature maps the heads read in inference."""
    head, roi = model.pts_bbox_head, model.img_roi_head
    if isinstance(head, PETRHead) and not head.num_proposals:
        chooses = getattr(roi, "infer_ratio", 1.0) < 1
        return tuple(sorted({head.position_level, *([0] if chooses else [])}))
    return tuple(range(len(roi.strides_px if head is None else _num_levels(head))))


def _num_levels(head: Any) -> range:
    return range(head.transformer["decoder"].layers[0].attentions[1].num_levels)


def packed(levels: Sequence[Tensor], cells: tuple[int, int]) -> Tensor:
    """Feature maps (1, N, C, H_i, W_i) as one; a single one stays as it is.

    Several lie one behind the other as (1, N, C', rows, columns): the node hands one buffer on.
    """
    if len(levels) == 1:
        return levels[0]
    flat = torch.cat([maps.flatten(2) for maps in levels], dim=2)
    rows, columns = cells
    missing = -flat.shape[2] % (rows * columns)
    return functional.pad(flat, (0, missing)).reshape(1, flat.shape[1], -1, rows, columns)


def unpacked(together: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The inverse of `packed`, for maps of these shapes."""
    if len(shapes) == 1:
        return [together]
    sizes = [shape[2:].numel() for shape in shapes]
    flat = together.flatten(2)
    parts = torch.split(flat[..., : sum(sizes)], sizes, dim=2)
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _carried(matrices: Tensor, cells: tuple[int, int], channels: int) -> Tensor:
    """(1, N * rows * columns, channels) with matrices (1, N, 4, 4) in front of the numbers of each camera."""
    numbers = matrices.flatten(2)
    room = cells[0] * cells[1] * channels
    return functional.pad(numbers, (0, room - _MATRIX)).reshape(1, -1, channels)


def _matrices(carried: Tensor, cameras: int) -> Tensor:
    """The inverse of `_carried`."""
    return carried.reshape(1, cameras, -1)[..., :_MATRIX].reshape(1, cameras, 4, 4)


def _turn(base_from_model: Tensor) -> Tensor:
    """(2, 2) the turn about z of a pose (4, 4)."""
    yaw = torch.atan2(base_from_model[1, 0], base_from_model[0, 0])
    cos, sin = yaw.cos(), yaw.sin()
    return torch.stack((torch.stack((cos, -sin)), torch.stack((sin, cos))))
