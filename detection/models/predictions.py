"""What a head says of one frame: the language between heads, losses and detectors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from detection.models.denoising.queries import DenoisingQueries


@dataclass(frozen=True, eq=False)
class Predictions:
    """What every decoder layer says of every query; in inference the last layer alone.

    Attributes:
        logits: (layers, B, Q, classes) float32.
        codes: (layers, B, Q, 10) float32, see `box_coder.encode_boxes`; centres in metres in the lidar frame.
    """

    logits: Tensor
    codes: Tensor

    def split(self, num_first: int) -> tuple[Predictions, Predictions]:
        """The predictions of the first queries and of the others."""
        first = Predictions(self.logits[:, :, :num_first], self.codes[:, :, :num_first])
        return first, Predictions(self.logits[:, :, num_first:], self.codes[:, :, num_first:])


@dataclass(frozen=True, eq=False)
class HeadOutputs:
    """What a head makes of one frame.

    Attributes:
        predictions: of the ordinary queries: the learned ones, the proposals, then the carried ones.
        query_ids: (B, Q) int64, their names; None without memory.
        pushed: (B, topk) int64, the queries put into memory, best first; None without memory.
        denoising: the denoising queries of a training frame; None where there are none.
        denoising_predictions: of the slots of `denoising`.
    """

    predictions: Predictions
    query_ids: Tensor | None = None
    pushed: Tensor | None = None
    denoising: DenoisingQueries | None = None
    denoising_predictions: Predictions | None = None
