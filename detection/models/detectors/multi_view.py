"""`MultiViewDetector`: images of several cameras to 3D boxes, frame by frame or over a window of frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from detection.checkpoints import load_part
from detection.frames import FrameBatch
from detection.models.box_coder import Candidates, Detections
from detection.models.heads.perspective_head import PerspectiveHead
from detection.models.layers.grid_mask import GridMask
from detection.models.memory import TemporalMemory
from detection.models.predictions import HeadOutputs
from detection.models.proposals import Proposals
from detection.registry import MODELS
from scenes.errors import InputError

Features = tuple[Tensor, ...]  # feature maps (B, N, C, H, W), the finest first


@MODELS.register_module()
class FramePreprocessor(BaseDataPreprocessor):  # type: ignore[misc]  # mmengine has no types
    """Moves the frames of a window to the device of the model, and normalises their images there."""

    def forward(self, data: Mapping[str, Sequence[FrameBatch]], training: bool = False) -> dict[str, list[FrameBatch]]:
        """`{"frames": window}`, as the data loader gives it, on the device of the model."""
        return {"frames": [frame.to(self.device).normalized() for frame in data["frames"]]}


@MODELS.register_module()
class MultiViewDetector(BaseModel):  # type: ignore[misc]  # mmengine has no types
    """Backbone, neck and head over one frame or a window of frames; in training also a 2D head and GridMask.

    Memory is forgotten on every switch between training and inference, since the streams change with it.

    Source: Wang et al., StreamPETR, 2023.
    """

    def __init__(
        self,
        img_backbone: dict[str, Any],
        img_neck: dict[str, Any] | None,
        pts_bbox_head: dict[str, Any] | None = None,
        img_roi_head: dict[str, Any] | None = None,
        grid_mask: dict[str, Any] | None = None,
        num_frame_losses: int = 1,
        num_frame_backbone_grads: int = 1,
        num_frame_head_grads: int = 1,
        channels_last: bool = False,
        pretrained: Mapping[str, str] | None = None,
        frozen: Sequence[str] = (),
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        """A detector, its parts built from their configs.

        Args:
            img_backbone, img_neck: images (B, 3, H, W) to feature maps; None for a backbone that needs no neck.
            pts_bbox_head: feature maps to 3D boxes; None where `img_roi_head` alone finds them, a `PerspectiveHead`.
            img_roi_head: feature maps to boxes in the images, an auxiliary task of training that may also rank image
                tokens.
            grid_mask: settings of the `GridMask` of training; None for none.
            num_frame_losses: frames at the end of a window that have losses.
            num_frame_backbone_grads: frames at the end of a window through whose backbone gradients pass.
            num_frame_head_grads: frames at the end of a window through whose head gradients pass; the earlier ones only
                fill the memory.
            channels_last: whether convolutions run with the channels innermost: twice as fast on a CPU and in half
                precision on a GPU, with rounding of another kind.
            pretrained: checkpoints by the name of a part (`pts_bbox_head`), whose weights of it `init_weights` loads.
            frozen: names of parts that do not learn: they run as in inference, without gradients and losses of theirs.
            data_preprocessor: config of the preprocessor; by default a `FramePreprocessor`.

        Raises:
            InputError: losses are asked of frames without gradients, a part is named that there is not, or the heads
                do not fit each other.
        """
        super().__init__(data_preprocessor=data_preprocessor or dict(type="streamtrack.FramePreprocessor"))
        if not 0 < num_frame_losses <= num_frame_head_grads:
            raise InputError(
                f"detector: needs 0 < num_frame_losses <= num_frame_head_grads, got {num_frame_losses} and "
                f"{num_frame_head_grads}"
            )
        self.img_backbone = MODELS.build(img_backbone)
        self.img_neck = None if img_neck is None else MODELS.build(img_neck)
        self.image_format = torch.channels_last if channels_last else torch.contiguous_format
        for convolutions in (self.img_backbone, self.img_neck):
            if convolutions is not None:
                convolutions.to(memory_format=self.image_format)
        self.pts_bbox_head: Any = None if pts_bbox_head is None else MODELS.build(pts_bbox_head)
        self.img_roi_head: Any = None if img_roi_head is None else MODELS.build(img_roi_head)
        self._check_heads()
        self.grid_mask = None if grid_mask is None else GridMask(**grid_mask)
        self.num_frame_losses = num_frame_losses
        self.num_frame_backbone_grads = num_frame_backbone_grads
        self.num_frame_head_grads = num_frame_head_grads
        self._pretrained = dict(pretrained or {})
        self._frozen = tuple(frozen)
        for setting, parts in (("pretrained", self._pretrained), ("frozen", self._frozen)):
            if unknown := set(parts) - dict(self.named_children()).keys():
                raise InputError(f"detector: {setting} names {min(unknown)}, which this detector does not have")
        for name in self._frozen:
            self.get_submodule(name).requires_grad_(False)
        self._last_mode: str | None = None

    def train(self, mode: bool = True) -> MultiViewDetector:
        """Training, in which the frozen parts run as in inference, or inference."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def init_weights(self) -> None:
        """Draw random weights, then load those of the parts that are pretrained.

        Raises:
            InputError: a checkpoint cannot be read, or does not hold the weights of its part.
        """
        super().init_weights()
        for name, checkpoint in self._pretrained.items():
            load_part(self.get_submodule(name), checkpoint)

    @property
    def memory(self) -> TemporalMemory | None:
        """What the head remembers of the streams; None for a detector of single frames."""
        memory: TemporalMemory | None = None if self.pts_bbox_head is None else self.pts_bbox_head.memory
        return memory

    def forward(self, frames: Sequence[FrameBatch], mode: str = "predict") -> dict[str, Tensor] | list[Detections]:
        """Losses of a window or detections of a frame.

        Args:
            frames: consecutive time steps of the same B streams, the oldest first; one for `predict`.
            mode: `loss`: a dict of losses, named `frame_<number in the window>_...`; `predict`: B `Detections`.
        """
        if mode not in ("loss", "predict"):
            raise ValueError(f"a detector has the modes 'loss' and 'predict', not {mode!r}")
        if self._last_mode not in (None, mode) and self.memory is not None:
            self.memory.reset()
        self._last_mode = mode
        return self._loss(frames) if mode == "loss" else self.step(*frames).detections()

    def tensor_functions(self) -> list[tuple[nn.Module, str]]:
        """Functions that are arithmetic on tensors alone and can be compiled, the owner and the name of each: the whole
        of a frame."""
        return [(self, "_found" if self.memory is None else "advance")]

    def extract_features(self, images: Tensor) -> Features:
        """Feature maps (B, N, C, H, W) of images (B, N, 3, H, W)."""
        streams = images.shape[0]
        flat = images.flatten(0, 1).contiguous(memory_format=self.image_format)
        if self.grid_mask is not None:
            flat = self.grid_mask(flat)
        levels = self.img_backbone(flat)
        if self.img_neck is not None:
            levels = self.img_neck(levels)
        return tuple(level.unflatten(0, (streams, -1)) for level in levels)

    def step(self, frame: FrameBatch) -> Candidates:
        """What is found in the B streams of a frame, on the device, which the CPU does not wait for."""
        if self.memory is None:
            return self._found(frame)
        state, continues_scene = self.memory.state_before(frame)
        found, state = self.advance(replace(frame, continues_scene=continues_scene), state)
        # A CUDA graph writes its results to the same place again in the next frame.
        self.memory.load_state({name: value.clone() for name, value in state.items()})
        return found

    def advance(self, frame: FrameBatch, state: dict[str, Tensor]) -> tuple[Candidates, dict[str, Tensor]]:
        """A step as a function: what the queries find in a frame, and what is remembered after it.

        Args:
            frame: of B streams.
            state: what is remembered before it, see `TemporalMemory.state_before`.
        """
        assert self.memory is not None
        self.memory.load_state(state)
        return self._found(frame), self.memory.state()

    def _found(self, frame: FrameBatch) -> Candidates:
        features = self.extract_features(frame.images)
        found: Candidates
        if self.pts_bbox_head is None:
            found = self.img_roi_head.detect(features, frame)
        else:
            found = self.pts_bbox_head.decode(self.frame_outputs(features, frame))
        return found

    def frame_outputs(self, features: Features, frame: FrameBatch) -> HeadOutputs:
        """What the head makes of a frame in inference, from its last decoder layer."""
        tokens = None if self.img_roi_head is None else self.img_roi_head.select_tokens(features, frame)
        outputs: HeadOutputs = self.pts_bbox_head(
            features, frame, tokens, self._proposals(features, frame), every_layer=False
        )
        return outputs

    def _proposals(self, features: Features, frame: FrameBatch) -> Proposals | None:
        """Where the head's queries begin, besides the learned ones; None for a head that takes none."""
        count = 0 if self.pts_bbox_head is None else self.pts_bbox_head.num_proposals
        proposals: Proposals | None = self.img_roi_head.propose(features, frame, count) if count else None
        return proposals

    def _check_heads(self) -> None:
        """Refuse heads that do not find boxes together."""
        perspective = self.img_roi_head if isinstance(self.img_roi_head, PerspectiveHead) else None
        if self.pts_bbox_head is None:
            if perspective is None:
                raise InputError("detector: without pts_bbox_head, img_roi_head has to be a PerspectiveHead")
            return
        if not self.pts_bbox_head.num_proposals:
            return
        if perspective is None:
            raise InputError("detector: pts_bbox_head.proposals need a PerspectiveHead as img_roi_head")
        taken = self.pts_bbox_head.proposed.embedding.in_features
        if taken != perspective.proposal_channels:
            raise InputError(
                f"detector: pts_bbox_head.proposals.in_channels is {taken}, img_roi_head gives "
                f"{perspective.proposal_channels}"
            )

    def _loss(self, frames: Sequence[FrameBatch]) -> dict[str, Tensor]:
        """Losses of a window."""
        if missing := [frame.sample_tokens[0] for frame in frames if frame.targets is None]:
            raise InputError(f"training needs annotations; sample {missing[0]} has none")
        losses: dict[str, Tensor] = {}
        first_with_loss = len(frames) - self.num_frame_losses
        first_with_grads = len(frames) - self.num_frame_head_grads
        for index, (frame, features) in enumerate(zip(frames, self._window_features(frames), strict=True)):
            if index < first_with_grads and self.pts_bbox_head is not None:
                with self._history():
                    self.pts_bbox_head(features, frame, proposals=self._proposals(features, frame))
                continue
            frame_losses = self.frame_losses(features, frame)
            if index >= first_with_loss:
                losses |= {f"frame_{index}_{name}": value for name, value in frame_losses.items()}
        return losses

    def frame_losses(self, features: Features, frame: FrameBatch) -> dict[str, Tensor]:
        """Losses of one frame with gradients, of boxes in space and in the images."""
        tokens, image_losses = None, {}
        if "img_roi_head" in self._frozen:
            tokens = self.img_roi_head.select_tokens(features, frame)
        elif self.img_roi_head is not None:
            image_losses, tokens = self.img_roi_head.loss(features, frame)
        if self.pts_bbox_head is None:
            return image_losses
        outputs = self.pts_bbox_head(features, frame, tokens, self._proposals(features, frame))
        return {**self.pts_bbox_head.loss(outputs, frame), **image_losses}

    def _window_features(self, frames: Sequence[FrameBatch]) -> Iterator[Features]:
        """Feature maps of each frame in turn: the history one by one, the frames with gradients in one batch."""
        first_with_grads = max(len(frames) - self.num_frame_backbone_grads, 0)
        for frame in frames[:first_with_grads]:
            with self._history():
                features = self.extract_features(frame.images)
            yield features
        recent = frames[first_with_grads:]
        levels = self.extract_features(torch.cat([frame.images for frame in recent]))
        yield from zip(*(level.chunk(len(recent)) for level in levels), strict=True)

    @contextmanager
    def _history(self) -> Iterator[None]:
        """Frames that only fill the memory: no gradient, no dropout, no denoising, no mask."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(was_training)
