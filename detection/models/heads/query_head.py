"""What PETR, StreamPETR and RepDETR3D share: object queries in 3D, a decoder, prediction branches, losses, memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from detection.frames import FrameBatch
from detection.models.box_coder import Candidates
from detection.models.denoising.queries import DenoisingQueries
from detection.models.heads.branches import box_branch, class_branch
from detection.models.heads.proposal_queries import ProposalQueries
from detection.models.layers.decoder import Decoder, Remembered
from detection.models.layers.modulation import MotionAwareLayerNorm
from detection.models.layers.position import (
    frequency_encoding,
    inverse_sigmoid,
    sine_encoding,
    sine_encoding_3d,
    to_metres,
    to_shares,
)
from detection.models.layers.precision import full_precision
from detection.models.memory import TemporalMemory
from detection.models.predictions import HeadOutputs, Predictions
from detection.models.proposals import Proposals
from detection.registry import MODELS

_MOTION_DIMS = 2 + 1 + 12  # velocity, age, the upper three rows of a pose
_MOTION_FREQUENCIES = 6


@dataclass(frozen=True, eq=False)
class QueryTokens:
    """Queries as the decoder takes them, the new ones first, and what they remember.

    Attributes:
        content: (B, Q, C).
        position: (B, Q, C) encoded reference points.
        reference_points: (B, Q, 3) in shares of the detection range.
        remembered: queries of earlier frames that are only looked at; None without memory.
    """

    content: Tensor
    position: Tensor
    reference_points: Tensor
    remembered: Remembered | None = None


class QueryHead(nn.Module):
    """Decodes object queries against the images of one frame; a subclass says how queries read the images.

    With a memory it is a streaming detector: the best queries of the last frame are queries again, older ones are keys
    of self-attention.

    Sources: Liu et al., PETR, 2022; Wang et al., StreamPETR, 2023.
    """

    full_precision_parts = ("cls_branches", "reg_branches")
    code_weights: Tensor
    match_costs: Tensor
    pc_range: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        num_query: int,
        pc_range: Sequence[float],
        decoder: dict[str, Any],
        bbox_coder: dict[str, Any],
        embed_dims: int = 256,
        memory: dict[str, Any] | None = None,
        denoising: dict[str, Any] | None = None,
        proposals: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        code_weights: Sequence[float] = (2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    ) -> None:
        """A head.

        Args:
            num_classes: number of classes.
            num_query: learned queries.
            pc_range: least x, y, z and greatest x, y, z in metres of predicted centres.
            decoder: settings of the decoder, see `make_decoder`.
            bbox_coder: config of the box coder.
            embed_dims: channels of the queries, a multiple of 4.
            memory: `length`, `topk` and `num_propagated` of the `TemporalMemory`; None for a detector of single frames.
            denoising: config of the denoising strategy of training; None for no denoising.
            proposals: `count` and `in_channels` of the `Proposals` that are new queries beside the learned ones, with
                the linear map of their features for content; what the decoder says of them corrects their boxes and
                scores. None for none.
            loss: config of the loss; by default `SetPredictionLoss` with its defaults.
            code_weights: (10,) weights of the numbers of a box code in loss and matching.
        """
        super().__init__()
        self.num_classes = num_classes
        self.num_query = num_query
        self.embed_dims = embed_dims
        self.register_buffer("code_weights", torch.tensor(tuple(code_weights), dtype=torch.float32))
        self.register_buffer("match_costs", self.code_weights.clone())
        self.register_buffer("pc_range", torch.tensor(tuple(pc_range), dtype=torch.float32))
        made = self.make_decoder(**decoder)
        self.transformer = nn.ModuleDict({"decoder": made})
        num_layers = len(made.layers)
        self.cls_branches = nn.ModuleList([class_branch(embed_dims, num_classes)] * num_layers)
        self.reg_branches = nn.ModuleList([box_branch(embed_dims)] * num_layers)
        self.reference_points = _uniform_points(num_query)
        self.query_embedding = nn.Sequential(
            nn.Linear(embed_dims * 3 // 2, embed_dims), nn.ReLU(), nn.Linear(embed_dims, embed_dims)
        )
        self.memory = None if memory is None else TemporalMemory(**memory, embed_dims=embed_dims)
        if self.memory is not None:
            self.pseudo_reference_points = _uniform_points(self.memory.num_propagated).requires_grad_(False)
            motion_features = 2 * _MOTION_FREQUENCIES * _MOTION_DIMS
            self.time_embedding = nn.Sequential(nn.Linear(embed_dims, embed_dims), nn.LayerNorm(embed_dims))
            self.ego_pose_pe = MotionAwareLayerNorm(motion_features, embed_dims)
            self.ego_pose_memory = MotionAwareLayerNorm(motion_features, embed_dims)
        self.bbox_coder = MODELS.build(bbox_coder)
        self.denoising = None if denoising is None else MODELS.build(denoising)
        self.criterion = MODELS.build(loss or dict(type="SetPredictionLoss"))
        self.proposed = None
        if proposals is not None:
            self.proposed = ProposalQueries(**proposals, num_classes=num_classes, embed_dims=embed_dims)

    @property
    def num_proposals(self) -> int:
        """Proposals that a frame needs."""
        return 0 if self.proposed is None else self.proposed.count

    @property
    def num_new(self) -> int:
        """New queries of a frame: learned ones and proposals."""
        return self.num_query + self.num_proposals

    @abstractmethod
    def make_decoder(self, *args: Any, **settings: Any) -> Decoder:
        """The decoder with the cross-attention of this kind of head, from the settings in the config."""

    @abstractmethod
    def image_context(
        self, features: Sequence[Tensor], frame: FrameBatch, reference_points: Tensor, tokens: Tensor | None
    ) -> Any:
        """What the decoder's cross-attention reads of the images.

        Args:
            features: feature maps (B, N, C, H, W), the finest first.
            frame: the frame they show.
            reference_points: (B, Q, 3) of all queries, in shares of the detection range.
            tokens: (B, T, 1) int64 tokens to keep, counted by camera, row, column; None for all.
        """

    def forward(
        self,
        features: Sequence[Tensor],
        frame: FrameBatch,
        tokens: Tensor | None = None,
        proposals: Proposals | None = None,
        every_layer: bool = True,
    ) -> HeadOutputs:
        """Predicts the boxes of a frame and remembers its best queries.

        Args:
            features: feature maps (B, N, C, H, W), the finest first.
            frame: the frame they show, with targets in training.
            tokens: (B, T, 1) int64 tokens to look at, counted by camera, row, column; None for all.
            proposals: as many as the head is made for.
            every_layer: whether to predict boxes from every decoder layer, or from the last one alone.
        """
        denoising = None
        if self.training and self.denoising is not None:
            denoising = self.denoising(frame, self.pc_range, self.num_classes)
        if self.memory is not None:
            self.memory.align(frame, to_metres(self.pseudo_reference_points.weight, self.pc_range))

        points, content = self._new_queries(len(frame.images), proposals)
        num_slots = 0
        if denoising is not None:
            num_slots = denoising.reference_points.shape[1]
            points = torch.cat((denoising.reference_points, points), dim=1)
            if content is not None:
                content = functional.pad(content, (0, 0, num_slots, 0))
        queries = self.query_tokens(points, content)
        decoded = self.transformer["decoder"](
            queries.content,
            queries.position,
            self.image_context(features, frame, queries.reference_points, tokens),
            queries.remembered,
            None if denoising is None else self._attention_mask(denoising, queries),
        )
        supervised = decoded if every_layer else decoded[-1:]
        said = self.predictions(supervised, queries.reference_points)
        if self.proposed is not None and proposals is not None:
            said = self.proposed.corrected(said, supervised, proposals, num_slots + self.num_query, self.pc_range)
        slots, predictions = said.split(num_slots)
        query_ids, pushed = self._remember(decoded[-1, :, num_slots:], predictions)
        return HeadOutputs(predictions, query_ids, pushed, denoising, None if denoising is None else slots)

    def decode(self, outputs: HeadOutputs) -> Candidates:
        """The boxes that the last decoder layer sees in each stream."""
        predictions = outputs.predictions
        boxes: Candidates = self.bbox_coder.decode(predictions.logits[-1], predictions.codes[-1], outputs.query_ids)
        return boxes

    def loss(self, outputs: HeadOutputs, frame: FrameBatch) -> dict[str, Tensor]:
        """The losses of an annotated frame by name, see `SetPredictionLoss`.

        Where a denoising strategy finds no box in the whole batch, the `dn_` entries copy the others without gradient,
        so that every iteration logs the same names.
        """
        assert frame.targets is not None, "losses need annotated frames"
        losses: dict[str, Tensor] = self.criterion(outputs, frame.targets, self.code_weights, self.match_costs)
        if self.denoising is not None and outputs.denoising is None:
            losses |= {name.replace("loss", "dn_loss"): value.detach() for name, value in losses.items()}
        return losses

    def query_tokens(self, points: Tensor, content: Tensor | None = None) -> QueryTokens:
        """The queries of a frame: new ones at reference points (B, Q, 3), then those that memory carries on.

        Args:
            points: in shares of the detection range.
            content: (B, Q, C) of the new queries; None for zeros.
        """
        position = self._encoded_points(points)
        content = torch.zeros_like(position) if content is None else content
        if self.memory is None:
            return QueryTokens(content, position, points)

        standing = _motion(points.new_zeros(2), points.new_zeros(()), torch.eye(4, device=points.device))
        content = self.ego_pose_memory(content, standing)
        position = self.ego_pose_pe(position, standing) + self._encoded_age(points.new_zeros(()))

        rows, ages_s = self.memory.read(), self.memory.ages_s()
        row_points = to_shares(rows.reference_points_m, self.pc_range)
        motion = _motion(rows.velocities_mps, ages_s, rows.poses)
        row_content = self.ego_pose_memory(rows.embeddings, motion)
        row_position = self.ego_pose_pe(self._encoded_points(row_points), motion) + self._encoded_age(ages_s)
        carried = self.memory.num_propagated
        return QueryTokens(
            content=torch.cat((content, row_content[:, :carried]), dim=1),
            position=torch.cat((position, row_position[:, :carried]), dim=1),
            reference_points=torch.cat((points, row_points[:, :carried]), dim=1),
            remembered=Remembered(row_content[:, carried:], row_position[:, carried:]),
        )

    def predictions(self, decoded: Tensor, reference_points: Tensor) -> Predictions:
        """Class logits and box codes of decoded queries (layers, B, Q, C) with reference points (B, Q, 3)."""
        with full_precision(decoded):
            decoded = decoded.float()
            logits = self.cls_branches[0](decoded)
            codes = self.reg_branches[0](decoded)
            shares = (codes[..., :3] + inverse_sigmoid(reference_points)).sigmoid()
            return Predictions(logits, torch.cat((to_metres(shares, self.pc_range), codes[..., 3:]), dim=-1))

    def _new_queries(self, streams: int, proposals: Proposals | None) -> tuple[Tensor, Tensor | None]:
        """Reference points (B, Q, 3) of the learned queries and the proposals, and content (B, Q, C) if there is any.

        Raises:
            ValueError: proposals are missing, or other than the head is made for.
        """
        points = self.reference_points.weight.expand(streams, -1, -1)
        given = 0 if proposals is None else proposals.boxes.shape[1]
        if given != self.num_proposals:
            raise ValueError(f"the head takes {self.num_proposals} proposals, it was given {given}")
        if self.proposed is None or proposals is None:
            return points, None
        with full_precision(points):
            proposed = to_shares(proposals.boxes[..., :3], self.pc_range).clamp(0, 1)
        content = functional.pad(self.proposed.embedding(proposals.features), (0, 0, self.num_query, 0))
        return torch.cat((points, proposed), dim=1), content

    def _encoded_points(self, points: Tensor) -> Tensor:
        """Position features (..., C) of points (..., 3) in shares of the detection range."""
        encoded: Tensor = self.query_embedding(sine_encoding_3d(points, self.embed_dims // 2))
        return encoded

    def _encoded_age(self, ages_s: Tensor) -> Tensor:
        """Features (..., C) of ages (...) in seconds."""
        encoded: Tensor = self.time_embedding(sine_encoding(ages_s, self.embed_dims).float())
        return encoded

    def _attention_mask(self, denoising: DenoisingQueries, queries: QueryTokens) -> Tensor:
        """Who must not look at whom in self-attention."""
        num_ordinary = queries.content.shape[1] - denoising.reference_points.shape[1]
        num_remembered = 0 if queries.remembered is None else queries.remembered.content.shape[1]
        return denoising.attention_mask(num_ordinary, num_ordinary + num_remembered)

    def _remember(self, decoded: Tensor, predictions: Predictions) -> tuple[Tensor | None, Tensor | None]:
        """Names the ordinary queries and pushes the best of them, decoded to (B, Q, C).

        Returns:
            names (B, Q) and indices (B, topk) of those pushed; None without memory.
        """
        if self.memory is None:
            return None, None
        carried = self.memory.read().query_ids[:, : self.memory.num_propagated]
        query_ids = torch.cat((self.memory.name_queries(self.num_new), carried), dim=1)
        codes = predictions.codes[-1]
        scores = predictions.logits[-1].amax(dim=-1).sigmoid()
        return query_ids, self.memory.push(scores, decoded, codes[..., :3], codes[..., -2:], query_ids)


def predict_from_every_layer(head: QueryHead) -> RemovableHandle:
    """Let a head predict boxes from every decoder layer, whatever it is asked for, until the handle is removed."""

    def ask(
        _: nn.Module, arguments: tuple[Any, ...], settings: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return arguments, {**settings, "every_layer": True}

    return head.register_forward_pre_hook(ask, with_kwargs=True)


def _motion(velocities_mps: Tensor, ages_s: Tensor, poses: Tensor) -> Tensor:
    """Features of how rows move against the present frame: velocities (..., 2), ages (...), poses (..., 4, 4)."""
    upper_rows = poses[..., :3, :].flatten(-2)
    motion = torch.cat((velocities_mps, ages_s.to(velocities_mps).unsqueeze(-1), upper_rows), dim=-1)
    return frequency_encoding(motion, _MOTION_FREQUENCIES)


def _uniform_points(count: int) -> nn.Embedding:
    """Points spread evenly over the detection range, in shares of it."""
    points = nn.Embedding(count, 3)
    nn.init.uniform_(points.weight, 0, 1)
    return points
