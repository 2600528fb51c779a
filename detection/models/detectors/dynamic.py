"""`DynamicDetector`: a light and a heavy detector in a cascade; a router decides frame by frame how far to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from detection.frames import FrameBatch
from detection.models.backbones.resnet import ResNet
from detection.models.box_coder import Candidates, Detections, in_order
from detection.models.detectors.multi_view import Features, MultiViewDetector
from detection.models.detectors.shared_memory import NUM_SUMMARY, SharedMemory, State, memory_summary, streams_of
from detection.models.heads.query_head import QueryHead
from detection.models.layers.position import to_metres
from detection.models.predictions import HeadOutputs, Predictions
from detection.models.routing.adaptive_offset import AdaptiveOffset, router_losses
from detection.models.routing.budget import HardBudget
from detection.models.routing.fusion import BackboneFusion
from detection.models.routing.router import Router, Routing, fixed_routing, takes_easy_path
from detection.records import on_device
from detection.registry import MODELS
from scenes.errors import InputError

DETECTORS, ROUTER = "detectors", "router"
_SHARED: Final = (  # what makes queries of points and of memory, and boxes of queries
    "reference_points",
    "pseudo_reference_points",
    "query_embedding",
    "time_embedding",
    "ego_pose_pe",
    "ego_pose_memory",
    "cls_branches",
    "reg_branches",
)
_ALIKE: Final = ("num_classes", "num_query", "pc_range", "embed_dims", "memory", "proposals")  # settings of both heads


@MODELS.register_module()
class DynamicDetector(BaseModel):  # type: ignore[misc]  # mmengine has no types
    """First backbone, router; easy: first head; hard: second backbone with the first one's maps, second head.

    Each stream of a batch takes its own path in each frame, for all of its cameras. Both heads have the same queries,
    the same branches and one memory, and differ in how they read the images: a stream may change its path at any frame
    and its queries keep their names.

    Training has two steps. First both detectors learn in every frame, while chance decides whose queries are
    remembered, so that each learns to go on from either. Then they are frozen and the router learns, see
    `detection.models.routing.adaptive_offset`.

    Source: Lin et al., DynamicDet, 2023, for images one by one.

    Attributes:
        threshold: streams whose score is below it take the hard path; 0: none, 1: all, and the router is not asked.
        budget: decides in the place of the threshold, where that is neither 0 nor 1; None for none.
        memory: what is remembered of the streams.
        adaptive_offset: of the router's training; `AdaptiveOffsetHook` saves it.
        last_routing: of the last frame in inference; None before.
    """

    def __init__(
        self,
        easy: dict[str, Any],
        hard: dict[str, Any],
        threshold: float = 0.5,
        hysteresis: float = 0.0,
        budget: Mapping[str, Any] | None = None,
        track_score: float = 0.3,
        trains: str = DETECTORS,
        switch_probability: float = 0.5,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        """Two detectors and a router.

        Args:
            easy, hard: configs of `MultiViewDetector`s with a memory and with ResNets; the GridMask of `easy` is over
                the images of both.
            threshold: see the attribute.
            hysteresis: how far a score has to pass the threshold before a stream changes its path within a scene, as a
                share of the way from the threshold to the end of the scale; in [0, 1).
            budget: settings of a `HardBudget`, which decides in the place of threshold and hysteresis; None for none.
            track_score: remembered queries from this score on count as objects in what the router is told.
            trains: `detectors` for the first step of training, `router` for the second.
            switch_probability: that a stream changes its path from one training frame to the next.
            data_preprocessor: config of the preprocessor; by default a `FramePreprocessor`.

        Raises:
            InputError: a setting out of range, or detectors that do not fit each other.
        """
        super().__init__(data_preprocessor=data_preprocessor or dict(type="streamtrack.FramePreprocessor"))
        if trains not in (DETECTORS, ROUTER):
            raise InputError(f"dynamic detector: trains is {trains!r}, expected {DETECTORS} or {ROUTER}")
        _check_share("threshold", threshold)
        _check_share("switch_probability", switch_probability)
        if not 0 <= hysteresis < 1:
            raise InputError(f"dynamic detector: hysteresis is {hysteresis}, expected at least 0 and less than 1")
        for name in _ALIKE:
            of_easy, of_hard = ((path.get("pts_bbox_head") or {}).get(name) for path in (easy, hard))
            if of_easy != of_hard:
                raise InputError(f"dynamic detector: pts_bbox_head.{name} is {of_easy} in easy and {of_hard} in hard")
        self.easy: MultiViewDetector = MODELS.build(easy)
        self.hard: MultiViewDetector = MODELS.build(hard)
        first, second = _checked_backbones(self.easy, self.hard)
        _share_queries(self.easy.pts_bbox_head, self.hard.pts_bbox_head)
        map_channels = [first.channels[stage + 1] for stage in first.out_indices]
        self.fusion = BackboneFusion(map_channels, first.out_indices, second.channels[:-1])
        self.router = Router(map_channels, NUM_SUMMARY)
        for part in self._frozen_parts(trains):
            part.requires_grad_(False)
        self.threshold = threshold
        self.hysteresis = hysteresis
        self.budget = None if budget is None else HardBudget(**budget)
        self.track_score = track_score
        self.trains = trains
        self.switch_probability = switch_probability
        self.memory = SharedMemory()
        self.adaptive_offset = AdaptiveOffset()
        self.last_routing: Routing | None = None
        self._last_mode: str | None = None

    def train(self, mode: bool = True) -> DynamicDetector:
        """Switch between training and evaluation; what the step does not train stays in evaluation."""
        super().train(mode)
        for part in self._frozen_parts(self.trains):
            part.eval()
        return self

    def forward(self, frames: Sequence[FrameBatch], mode: str = "predict") -> dict[str, Tensor] | list[Detections]:
        """Losses or detections of one time step; see `MultiViewDetector`.

        Losses of the detectors begin with `easy_` and `hard_`; that of the router is `loss_router`, with the means of
        its `score`, of the `gain` of the hard detector over the easy one, and the `offset` beside it.

        Raises:
            InputError: more than one time step, no annotations to train with, or a router that has not been trained.
        """
        if mode not in ("loss", "predict"):
            raise ValueError(f"a detector has the modes 'loss' and 'predict', not {mode!r}")
        if len(frames) != 1:
            raise InputError(f"a dynamic detector sees one time step at a time, not windows of {len(frames)}")
        if self._last_mode not in (None, mode):
            self.memory.reset()
        self._last_mode = mode
        (frame,) = frames
        if mode == "predict":
            return self.step(frame).detections()
        if frame.targets is None:
            raise InputError(f"training needs annotations; sample {frame.sample_tokens[0]} has none")
        return self._detector_losses(frame) if self.trains == DETECTORS else self._router_losses(frame)

    def tensor_functions(self) -> list[tuple[nn.Module, str]]:
        """See `MultiViewDetector.tensor_functions`: the part of a frame before the answer of the router, which the CPU
        has to know, and each of the paths behind it."""
        return [(self, name) for name in ("_unasked", "_asked", "_along_easy", "_along_hard")]

    def step(self, frame: FrameBatch) -> Candidates:
        """What is found in the B streams of a frame, each on its own path, on the device. The CPU waits for it only
        where the router decides."""
        frame, state = self._begun(frame)
        maps, self.last_routing = self._routed(frame, state)
        hard = self.last_routing.hard
        order: list[int] = []
        parts = []
        for along, taken in ((self._along_easy, ~hard), (self._along_hard, hard)):
            streams = taken.nonzero().flatten().tolist()
            if streams:
                order += streams
                whole = len(streams) == len(hard)
                its_maps = maps if whole else _maps_of(maps, streams)
                parts.append(along(frame if whole else frame.select(streams), its_maps, streams_of(state, streams)))
        # A CUDA graph writes its results to the same place again in the next frame.
        states = [{name: value.clone() for name, value in remembered.items()} for _, remembered in parts]
        self.memory.take_back(states, order, hard)
        return in_order([found for found, _ in parts], order)

    def _along_easy(self, frame: FrameBatch, maps: Features, state: State) -> tuple[Candidates, State]:
        """The easy path as a function, see `MultiViewDetector.advance`; maps are those of the first backbone."""
        return self._along(self.easy, frame, maps, state)

    def _along_hard(self, frame: FrameBatch, maps: Features, state: State) -> tuple[Candidates, State]:
        """The hard path as a function, see `_along_easy`."""
        return self._along(self.hard, frame, maps, state)

    def _along(
        self, path: MultiViewDetector, frame: FrameBatch, maps: Features, state: State
    ) -> tuple[Candidates, State]:
        memory = _memory_of(path)
        memory.load_state(state)
        outputs = path.frame_outputs(self._features(path, frame.images, maps), frame)
        return path.pts_bbox_head.decode(outputs), memory.state()

    def _detector_losses(self, frame: FrameBatch) -> dict[str, Tensor]:
        """Losses of both detectors in all streams."""
        images = self._masked_images(frame)
        maps = self._first_maps(images)
        frame, state = self._begun(frame)
        losses: dict[str, Tensor] = {}
        for name, path in (("easy", self.easy), ("hard", self.hard)):
            _memory_of(path).load_state(state)
            found = path.frame_losses(self._features(path, images, maps), frame)
            losses |= {f"{name}_{loss}": value for loss, value in found.items()}
        self._remember_by_chance(frame)
        return losses

    def _router_losses(self, frame: FrameBatch) -> dict[str, Tensor]:
        """The loss of the router, from what both detectors lose in each stream."""
        with torch.no_grad():
            images = self._masked_images(frame)
            maps = self._first_maps(images)
            frame, state = self._begun(frame)
            summary = self._summary(frame, state)
            totals = []
            for path in (self.easy, self.hard):
                _memory_of(path).load_state(state)
                outputs = path.frame_outputs(self._features(path, images, maps), frame)
                totals.append(_losses_by_stream(path.pts_bbox_head, outputs, frame))
            self._remember_by_chance(frame)
        easy, hard = totals
        return router_losses(self.adaptive_offset, self.router(maps, summary), easy, hard)

    def _masked_images(self, frame: FrameBatch) -> Tensor:
        """(B, N, 3, H, W) images under the GridMask of training."""
        mask = self.easy.grid_mask
        return frame.images if mask is None else mask(frame.images.flatten(0, 1)).view_as(frame.images)

    def _first_maps(self, images: Tensor) -> Features:
        """(B, N, C, H, W) maps of the first backbone."""
        flat = images.flatten(0, 1).contiguous(memory_format=self.easy.image_format)
        return _by_stream(self.easy.img_backbone(flat), len(images))

    def _features(self, path: MultiViewDetector, images: Tensor, maps: Features) -> Features:
        """What the head of a path reads, from images (B, N, 3, H, W) and their maps of the first backbone."""
        flat_maps = tuple(level.flatten(0, 1) for level in maps)
        if path is self.hard:
            flat = images.flatten(0, 1).contiguous(memory_format=path.image_format)
            flat_maps = path.img_backbone(flat, self.fusion(flat_maps))
        if path.img_neck is not None:
            flat_maps = path.img_neck(flat_maps)
        return _by_stream(flat_maps, len(images))

    def _begun(self, frame: FrameBatch) -> tuple[FrameBatch, State]:
        """A frame that says of its streams whether anything is remembered of them, and what."""
        state, continues_scene = self.memory.state_before(_memory_of(self.easy), frame)
        return replace(frame, continues_scene=continues_scene), state

    def _summary(self, frame: FrameBatch, state: State) -> Tensor:
        """What the router is told of the memory."""
        head, memory = self.easy.pts_bbox_head, _memory_of(self.easy)
        memory.load_state(state)
        memory.align(frame, to_metres(head.pseudo_reference_points.weight, head.pc_range))
        return memory_summary(memory, head.cls_branches[0], self.track_score)

    def _unasked(self, images: Tensor) -> Features:
        """Maps of the first backbone where the router is not asked, of images (B, N, 3, H, W)."""
        return self._first_maps(images)

    def _asked(self, frame: FrameBatch, state: State) -> tuple[Features, Tensor]:
        """Maps of the first backbone, and how easy the router finds each stream by them, (B,)."""
        maps = self._first_maps(frame.images)
        return maps, self.router(maps, self._summary(frame, state)).detach()

    def _routed(self, frame: FrameBatch, state: State) -> tuple[Features, Routing]:
        """Maps of the first backbone, and which streams take the hard path.

        Raises:
            InputError: there is something to decide, and the router has never been trained.
        """
        streams = len(frame.continues_scene)
        fixed = fixed_routing(self.threshold, streams, self.router)
        if fixed is not None:
            return self._unasked(frame.images), fixed
        maps, scores = self._asked(frame, state)
        # Decided on the CPU: one copy of both.
        of_streams, continues = torch.stack((scores, frame.continues_scene.to(scores))).cpu()
        return maps, Routing(self._is_hard(of_streams, continues.bool()), scores.clone())

    def _is_hard(self, scores: Tensor, continues_scene: Tensor) -> Tensor:
        """(B,) bool of what the router says (B,) and which streams go on (B,), all on the CPU."""
        last = self.memory.hard_path
        if self.budget is not None:
            return self.budget.spend(scores, continues_scene & (last is not None))
        limits = torch.full_like(scores, self.threshold)
        if last is not None:
            held = self.threshold + self.hysteresis * torch.where(last, 1 - self.threshold, -self.threshold)
            limits = torch.where(continues_scene, held, limits)
        return ~takes_easy_path(scores, limits)

    def _remember_by_chance(self, frame: FrameBatch) -> None:
        """Keeps what one head, drawn for each stream, has made of the frame."""
        continues = frame.continues_scene.cpu()
        hard = torch.rand(len(continues)) < 0.5
        switches = torch.rand(len(continues)) < self.switch_probability
        if self.memory.hard_path is not None:
            hard = torch.where(continues, self.memory.hard_path ^ switches, hard)
        parts: list[State] = []
        order: list[int] = []
        for path, taken in ((self.easy, ~hard), (self.hard, hard)):
            streams = taken.nonzero().flatten().tolist()
            if streams:
                order += streams
                parts.append(streams_of(_memory_of(path).state(), streams))
        self.memory.take_back(parts, order, hard)

    def _frozen_parts(self, trains: str) -> tuple[nn.Module, ...]:
        """What a step of training leaves as it is."""
        return (self.router,) if trains == DETECTORS else (self.easy, self.hard, self.fusion)


def _memory_of(path: MultiViewDetector) -> Any:
    """What the head of a path works on."""
    return path.pts_bbox_head.memory


def _maps_of(maps: Features, streams: Sequence[int]) -> Features:
    """The maps of some streams."""
    index = on_device(torch.tensor(streams), maps[0].device)
    return tuple(level[index] for level in maps)


def _by_stream(maps: Sequence[Tensor], streams: int) -> Features:
    return tuple(level.view(streams, -1, *level.shape[1:]) for level in maps)


def _losses_by_stream(head: QueryHead, outputs: HeadOutputs, frame: FrameBatch) -> Tensor:
    """(B,) what the last decoder layer loses in each stream: that of its classes and that of its boxes."""
    totals = []
    for stream in range(len(frame.images)):
        last = slice(-1, None), slice(stream, stream + 1)
        alone = HeadOutputs(Predictions(outputs.predictions.logits[last], outputs.predictions.codes[last]))
        losses = head.loss(alone, frame.select([stream]))
        totals.append(losses["loss_cls"] + losses["loss_bbox"])
    return torch.stack(totals)


def _checked_backbones(easy: MultiViewDetector, hard: MultiViewDetector) -> tuple[ResNet, ResNet]:
    """The backbones of two detectors that can be put into a cascade.

    Raises:
        InputError: backbones of another kind, a second GridMask, or a head without memory.
    """
    for name, detector in (("easy", easy), ("hard", hard)):
        if not isinstance(detector.img_backbone, ResNet):
            kind = type(detector.img_backbone).__name__
            raise InputError(f"dynamic detector: {name}.img_backbone is a {kind}, expected a ResNet")
        if detector.memory is None:
            raise InputError(f"dynamic detector: {name}.pts_bbox_head has no memory")
    if hard.grid_mask is not None:
        raise InputError("dynamic detector: hard.grid_mask: the one of easy is over the images of both")
    return easy.img_backbone, hard.img_backbone


def _share_queries(first: QueryHead, second: QueryHead) -> None:
    """Gives two heads one query space: a query means the same in both, whichever has decoded it last."""
    for name in _SHARED:
        setattr(second, name, getattr(first, name))


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"dynamic detector: {name} is {value}, expected a number from 0 to 1")
