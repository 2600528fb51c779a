"""`DynamicYoloDetector`: a `DynamicYolo` that trains by config, and finds objects in batches of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from detection.image_batch import ImageBatch, ImageDetections, ImageTargets
from detection.models.detectors.dynamic import DETECTORS, ROUTER
from detection.models.routing import AdaptiveOffset, Routing, fixed_routing, router_losses, takes_easy_path
from detection.models.yolo.dynamic_yolo import DynamicYolo
from detection.models.yolo.loss import YoloLoss
from detection.models.yolo.suppression import Postprocessing
from detection.models.yolo.variants import VARIANTS, scaled
from detection.registry import MODELS
from scenes.errors import InputError


@MODELS.register_module()
class ImagePreprocessor(BaseDataPreprocessor):  # type: ignore[misc]  # mmengine has no types
    """Moves images to the device of the model."""

    def forward(self, data: Mapping[str, ImageBatch], training: bool = False) -> dict[str, ImageBatch]:
        """`{"images": batch}`, as the data loader gives it, on the device of the model."""
        return {"images": data["images"].to(self.device)}


@MODELS.register_module()
class DynamicYoloDetector(DynamicYolo, BaseModel):  # type: ignore[misc]  # mmengine has no types
    """Dy-YOLOv7 over batches of images, each on its own path. Names of weights are the published ones.

    Training has two steps. First both detectors learn from every image, with the sum of their losses. Then they are
    frozen and the router learns, see `detection.models.routing.adaptive_offset`.

    Attributes:
        num_classes: of objects.
        threshold: images whose score is below it are hard; 0: none, 1: all, and the router is not asked.
        adaptive_offset: of the router's training; `AdaptiveOffsetHook` saves it.
        last_routing: of the last batch in inference; None before.
        memory: None, images do not follow each other.
    """

    memory = None

    def __init__(
        self,
        variant: str,
        num_classes: int = 80,
        width: float = 1.0,
        anchor_scale: float = 1.0,
        threshold: float = 0.5,
        trains: str = DETECTORS,
        loss: dict[str, Any] | None = None,
        postprocess: Mapping[str, Any] | None = None,
        channels_last: bool = False,
    ) -> None:
        """A detector.

        Args:
            variant: name in `VARIANTS`.
            num_classes: of objects.
            width: factor of all channels, which are rounded to multiples of 8; 1 is as published.
            anchor_scale: factor of the anchors' sides, which are made for images of 640 px, for W6 of 1280 px.
            threshold: see the attribute.
            trains: `detectors` for the first step of training, `router` for the second.
            loss: config of a `YoloLoss`; None for one as it is.
            postprocess: settings of a `Postprocessing`.
            channels_last: whether convolutions run with the channels innermost, see `MultiViewDetector`.

        Raises:
            InputError: a setting out of range.
        """
        if variant not in VARIANTS:
            raise InputError(f"dynamic YOLO: variant is {variant!r}, expected {', '.join(VARIANTS)}")
        if trains not in (DETECTORS, ROUTER):
            raise InputError(f"dynamic YOLO: trains is {trains!r}, expected {DETECTORS} or {ROUTER}")
        if not 0 <= threshold <= 1:
            raise InputError(f"dynamic YOLO: threshold is {threshold}, expected a number from 0 to 1")
        for name, value in (("num_classes", num_classes), ("width", width), ("anchor_scale", anchor_scale)):
            if not value > 0:
                raise InputError(f"dynamic YOLO: {name} is {value}, expected a number above 0")
        super().__init__(scaled(VARIANTS[variant], width, anchor_scale), num_classes)
        self.data_preprocessor = ImagePreprocessor()
        self.num_classes = num_classes
        self.threshold = threshold
        self.trains = trains
        self.criterion: YoloLoss = MODELS.build(loss or dict(type="YoloLoss"))
        self.postprocessing = Postprocessing(**(postprocess or {}))
        self.adaptive_offset = AdaptiveOffset()
        self.last_routing: Routing | None = None
        self.image_format = torch.channels_last if channels_last else torch.contiguous_format
        self._coarsest_stride = VARIANTS[variant].strides[-1]
        for part in self._frozen_parts():
            part.requires_grad_(False)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Check that it is a detector for the classes of a data set.

        Raises:
            InputError: it has another number of classes.
        """
        if len(classes) != self.num_classes:
            raise InputError(
                f"the data set has {len(classes)} classes ({', '.join(classes)}), the detector {self.num_classes}: "
                f"set model.num_classes={len(classes)}"
            )

    def train(self, mode: bool = True) -> DynamicYoloDetector:
        """Switch between training and evaluation; what the step does not train stays in evaluation."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        return self

    def forward(  # type: ignore[override]  # the network alone takes tensors
        self, images: ImageBatch, mode: str = "predict"
    ) -> dict[str, Tensor] | list[ImageDetections]:
        """Losses or detections of a batch.

        Losses of the detectors begin with `easy_` and `hard_`; that of the router is `loss_router`, with the means of
        its `score`, of the `gain` of the hard detector over the easy one, and the `offset` beside it.

        Returns:
            In the mode `predict` the detections of each image, in pixels of the network's image.

        Raises:
            InputError: sides that are no multiple of the coarsest stride, no annotations to train with, labels that the
                detector does not know, or a router that has not been trained.
        """
        if mode not in ("loss", "predict"):
            raise ValueError(f"a detector has the modes 'loss' and 'predict', not {mode!r}")
        height, width = images.images.shape[-2:]
        if height % self._coarsest_stride or width % self._coarsest_stride:
            raise InputError(
                f"{images.names[0]}: the network's image is {width}x{height} pixels, its sides have to be multiples of "
                f"{self._coarsest_stride}"
            )
        if mode == "predict":
            return self._predict(self._scaled(images))
        targets = self._checked_targets(images)
        pixels = self._scaled(images)
        return (
            self._detector_losses(pixels, targets) if self.trains == DETECTORS else self._router_losses(pixels, targets)
        )

    def tensor_functions(self) -> list[tuple[nn.Module, str]]:
        """See `MultiViewDetector.tensor_functions`."""
        assert self.router is not None
        parts: list[tuple[nn.Module, str]] = [
            (self, name) for name in ("first_maps", "easy_logits", "hard_logits", "decode")
        ]
        return [*parts, (self.router, "forward")]

    def _predict(self, pixels: Tensor) -> list[ImageDetections]:
        maps = self.first_maps(pixels)
        self.last_routing = self._route(maps, len(pixels))
        return self.postprocessing.detections(self.boxes(pixels, maps, ~self.last_routing.hard))

    def _route(self, maps: list[Tensor], count: int) -> Routing:
        """Which images take the hard path.

        Raises:
            InputError: there is something to decide, and the router has never been trained.
        """
        assert self.router is not None
        fixed = fixed_routing(self.threshold, count, self.router)
        if fixed is not None:
            return fixed
        scores = self.router(self.routed_maps(maps)).detach()
        return Routing(~takes_easy_path(scores, self.threshold).cpu(), scores)

    def _detector_losses(self, pixels: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """Losses of both detectors."""
        maps = self.first_maps(pixels)
        found = (("easy", self.easy_logits(maps)), ("hard", self.hard_logits(pixels, maps)))
        return {
            f"{name}_{loss}": value
            for name, logits in found
            for loss, value in self.criterion.losses(self.prediction, logits, targets).items()
        }

    def _router_losses(self, pixels: Tensor, targets: ImageTargets) -> dict[str, Tensor]:
        """The loss of the router, from what both detectors lose in each image."""
        assert self.router is not None
        with torch.no_grad():
            maps = self.first_maps(pixels)
            easy, hard = (
                self.criterion.losses_by_image(self.prediction, logits, targets)
                for logits in (self.easy_logits(maps), self.hard_logits(pixels, maps))
            )
        return router_losses(self.adaptive_offset, self.router(self.routed_maps(maps)), easy, hard)

    def _checked_targets(self, images: ImageBatch) -> ImageTargets:
        targets = images.targets
        if targets is None:
            raise InputError(f"training needs annotations; {images.names[0]} has none")
        unknown = (targets.labels >= self.num_classes).nonzero().flatten()
        if len(unknown):
            first = int(unknown[0])
            name, label = images.names[int(targets.image_index[first])], int(targets.labels[first])
            raise InputError(f"{name}: has an object of class {label}; the detector has {self.num_classes} classes")
        return targets

    def _scaled(self, images: ImageBatch) -> Tensor:
        """(B, 3, H, W) in [0, 1]."""
        return (images.images.float() / 255).contiguous(memory_format=self.image_format)

    def _frozen_parts(self) -> tuple[nn.Module, ...]:
        """What a step of training leaves as it is."""
        assert self.router is not None
        if self.trains == DETECTORS:
            return (self.router,)
        return (self.model_b, self.model_b2, self.model_h, self.model_h2)
