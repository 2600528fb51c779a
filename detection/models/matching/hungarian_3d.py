"""Which query answers for which annotated box: the matching of least cost, for each decoder layer and stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detection.frames import FrameTargets
from detection.models.box_coder import encode_boxes
from detection.models.matching.pairs import cheapest_pairs
from detection.records import on_device
from detection.registry import MODELS

_TINY = 1e-12  # keeps the logarithm of a score that rounds to 0 or 1 finite


@dataclass(frozen=True, eq=False)
class Matches:
    """The matched pairs of all decoder layers.

    Attributes:
        layers, streams, queries: (M,) int64 each: where the matched queries lie.
        boxes: (M,) int64, the annotated boxes they answer for, counted through all streams of the batch.
    """

    layers: Tensor
    streams: Tensor
    queries: Tensor
    boxes: Tensor


@MODELS.register_module()
class HungarianMatcher3D:
    """One-to-one matching that weighs class scores against distances of the box codes; velocities do not count.

    Source: Carion et al., DETR, 2020; Wang et al., DETR3D, 2021.
    """

    def __init__(
        self, class_weight: float = 2.0, box_weight: float = 0.25, alpha: float = 0.25, gamma: float = 2.0
    ) -> None:
        """A matcher.

        Args:
            class_weight: of the change of the focal loss if the query were the box.
            box_weight: of the L1 distance of the first eight numbers of the code.
            alpha, gamma: of the focal loss.
        """
        self._class_weight = class_weight
        self._box_weight = box_weight
        self._alpha = alpha
        self._gamma = gamma

    @torch.no_grad()
    def match(self, logits: Tensor, codes: Tensor, targets: tuple[FrameTargets, ...], code_costs: Tensor) -> Matches:
        """The best matching of each layer and stream by itself.

        Args:
            logits: (layers, B, Q, classes).
            codes: (layers, B, Q, 10) with centres in metres.
            targets: annotations of the B streams.
            code_costs: (10,) weights of the numbers of the code.
        """
        costs = [
            self.cost(logits[:, stream], codes[:, stream], target, code_costs) for stream, target in enumerate(targets)
        ]
        first_box = np.cumsum([0] + [len(target.labels) for target in targets])
        places = [(layer, stream) for layer in range(len(logits)) for stream in range(len(costs))]
        found = cheapest_pairs([costs[stream][layer] for layer, stream in places])
        rows = [np.zeros((4, 0), dtype=np.int64)]
        for (layer, stream), (queries, boxes) in zip(places, found, strict=True):
            where = np.full_like(queries, layer), np.full_like(queries, stream)
            rows.append(np.stack((*where, queries, boxes + first_box[stream])))
        return Matches(*on_device(torch.from_numpy(np.concatenate(rows, axis=1)), logits.device))

    @torch.no_grad()
    def cost(self, logits: Tensor, codes: Tensor, target: FrameTargets, code_costs: Tensor) -> Tensor:
        """Cost of every pair of a query and a box of one stream.

        Args:
            logits: (..., Q, classes).
            codes: (..., Q, 10).
            target: N annotations.
            code_costs: (10,).

        Returns:
            (..., Q, N).
        """
        scores = logits.sigmoid()
        as_background = -(1 - scores + _TINY).log() * (1 - self._alpha) * scores**self._gamma
        as_object = -(scores + _TINY).log() * self._alpha * (1 - scores) ** self._gamma
        class_cost = (as_object - as_background)[..., target.labels]
        weights = code_costs[:8]
        distance = torch.cdist(codes[..., :8] * weights, encode_boxes(target.boxes)[:, :8] * weights, p=1)
        return self._class_weight * class_cost + self._box_weight * distance
