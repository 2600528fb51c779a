"""Perspective head: a heat map of classes in the image, and a box in space at each of its peaks.

The heat map is dense, at the finest level. All else is told by two small networks that look at single cells, in
training the annotated ones and the most mistaken, in inference the peaks: at the features of every level there, and at
the line of sight. The depth is told three times (directly, by the height in pixels, by where the feet touch the ground)
and fused by weights that are learned for each box.

Sources: Zhou et al., Objects as Points, 2019 (heat map, peaks); Zhang et al., Objects are Different: Flexible Monocular
3D Object Detection (MonoFlex), CVPR 2021 (several depths with uncertainties, fused); Brazil et al., Omni3D, CVPR 2023
(direct depth relative to the focal length); Mousavian et al., 3D Bounding Box Estimation Using Deep Learning and
Geometry, CVPR 2017 (yaw relative to the line of sight, in bins).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.frames import FrameBatch
from detection.models.box_coder import Candidates
from detection.models.heads.perspective_geometry import Cameras
from detection.models.heads.perspective_targets import PerspectiveTargets, perspective_targets
from detection.models.layers.filled import filled
from detection.models.layers.precision import full_precision
from detection.models.losses.gaussian_focal import gaussian_focal_loss
from detection.models.losses.positives import mean_positives
from detection.models.proposals import Proposals
from detection.models.suppression_3d import ranked_without_neighbours
from detection.registry import MODELS

_PRIOR_SCORE = 0.01  # of an untrained class score
_FOCAL_PX = 500.0  # a focal length at which direct depth is about what the network says
_TYPICAL_DEPTH_M = 20.0
_TYPICAL_END_PX = 10.0  # rows from a centre to head or foot
_DEPTHS_M = (0.5, 150.0)  # what the fused depths may be
_DEPTH_CUES = 3  # direct, by height, by ground
_LARGEST_LOG = 4.0  # of any ratio that the network states


@dataclass(frozen=True, eq=False)
class Peaks:
    """K cells of the finest level, in B * N images.

    Attributes:
        images: (K,) int64.
        cells: (K, 2) int64, column and row.
        labels: (K,) int64 classes.
    """

    images: Tensor
    cells: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class PeakBoxes:
    """What the head says of K cells.

    Attributes:
        centers_px: (K, 2) projected centres.
        below_px, above_px: (K,) rows from there to foot and head.
        sizes_m: (K, 3) length, width, height.
        log_depths: (K, 3) the logarithms of the three depths in metres.
        log_depth: (K,) their fusion.
        log_deviations: (K, 4) logarithms of the mean errors of the three and of the fusion.
        yaw_logits, yaw_offsets_rad: (K, bins) of yaw relative to the line of sight, and the rest within each bin.
        velocities_mps: (K, 2) away along the line of sight, and across it to the left.
    """

    centers_px: Tensor
    below_px: Tensor
    above_px: Tensor
    sizes_m: Tensor
    log_depths: Tensor
    log_depth: Tensor
    log_deviations: Tensor
    yaw_logits: Tensor
    yaw_offsets_rad: Tensor
    velocities_mps: Tensor


@dataclass(frozen=True, eq=False)
class LiftedPeaks:
    """Candidates of one frame, the same number K of each of B streams.

    Attributes:
        peaks: where they are, stream after stream.
        boxes: (B * K, 9) in the lidar frame, as in `FrameTargets.boxes`.
        scores: (B * K,) in [0, 1].
        log_deviations: (B * K,) logarithm of the mean relative error that the depth is expected to have.
    """

    peaks: Peaks
    boxes: Tensor
    scores: Tensor
    log_deviations: Tensor


@MODELS.register_module()
class PerspectiveHead(nn.Module):
    """Boxes of every camera on its own, found in its image; a detector by itself, and an auxiliary task of training.

    Args:
        num_classes: number of classes.
        mean_sizes_m: length, width and height of each class, to which predicted sizes relate.
        in_channels: of every feature map.
        strides_px: of the feature maps, the finest first.
        ground_m: height of the road in the lidar frame.
        hidden_channels: of the networks that look at single cells.
        yaw_bins: over the whole circle.
        peaks_per_camera: candidates of an image in inference.
        depth_penalty: scores are multiplied by exp(-penalty * expected relative error of the depth in percent / 10).
        merge_radii_m: for each class the distance, seen from above, within which the better of two boxes is kept.
        max_num: boxes of a frame.
        weights: of the losses, by name; those left out weigh as in `_LOSS_WEIGHTS`.
    """

    full_precision_parts = ("class_branch", "box_branch")
    mean_sizes: Tensor
    merge_radii: Tensor

    def __init__(
        self,
        num_classes: int,
        mean_sizes_m: Sequence[Sequence[float]],
        merge_radii_m: Sequence[float],
        in_channels: int = 64,
        strides_px: Sequence[int] = (4, 8, 16, 32),
        ground_m: float = -1.84,
        hidden_channels: int = 256,
        yaw_bins: int = 12,
        peaks_per_camera: int = 40,
        depth_penalty: float = 1.0,
        max_num: int = 300,
        weights: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        if len(mean_sizes_m) != num_classes or len(merge_radii_m) != num_classes:
            raise ValueError(f"PerspectiveHead: needs {num_classes} rows of mean_sizes_m and merge_radii_m")
        if unknown := set(weights or {}) - _LOSS_WEIGHTS.keys():
            raise ValueError(f"PerspectiveHead: there is no loss '{min(unknown)}'")
        self.num_classes = num_classes
        self.strides_px = tuple(strides_px)
        self.ground_m = ground_m
        self.yaw_bins = yaw_bins
        self.peaks_per_camera = peaks_per_camera
        self.depth_penalty = depth_penalty
        self.max_num = max_num
        self.loss_weights = {**_LOSS_WEIGHTS, **(weights or {})}
        self.register_buffer("mean_sizes", torch.tensor(mean_sizes_m, dtype=torch.float32), persistent=False)
        self.register_buffer("merge_radii", torch.tensor(tuple(merge_radii_m), dtype=torch.float32), persistent=False)
        self.feature_channels = len(self.strides_px) * in_channels
        self.heat_map = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, num_classes, 1),
        )
        self.class_branch = _cell_network(self.feature_channels, hidden_channels, num_classes)
        told = self.feature_channels + num_classes + _SIGHT_CHANNELS
        self.box_branch = _cell_network(told, hidden_channels, sum(self._splits()))
        self.init_weights()

    def init_weights(self) -> None:
        """Let untrained scores start at 0.01, and untrained boxes at typical ones."""
        prior = -math.log((1 - _PRIOR_SCORE) / _PRIOR_SCORE)
        for network in (self.heat_map, self.class_branch):
            nn.init.constant_(network[-1].bias, prior)  # type: ignore[arg-type]
        nn.init.normal_(self.box_branch[-1].weight, std=0.01)  # type: ignore[arg-type]
        nn.init.zeros_(self.box_branch[-1].bias)  # type: ignore[arg-type]

    def heat_map_logits(self, features: Sequence[Tensor]) -> Tensor:
        """(B * N, classes, rows, columns) at the finest level, of feature maps (B, N, C, h, w)."""
        logits: Tensor = self.heat_map(features[0].flatten(0, 1))
        return logits.float()

    def cell_features(self, features: Sequence[Tensor], peaks: Peaks) -> Tensor:
        """(K, levels * C) float32, each level sampled at the middle of the cells."""
        points_px = (peaks.cells + 0.5) * self.strides_px[0]
        sampled = [
            _sampled(maps.flatten(0, 1), peaks.images, points_px / stride)
            for maps, stride in zip(features, self.strides_px, strict=True)
        ]
        return torch.cat(sampled, dim=1)

    def class_logits(self, cell_features: Tensor) -> Tensor:
        """(K, classes) a second opinion on cells, of their features (K, F)."""
        with full_precision(cell_features):
            logits: Tensor = self.class_branch(cell_features)
        return logits

    def boxes_at(self, cell_features: Tensor, peaks: Peaks, cameras: Cameras) -> PeakBoxes:
        """The boxes of cells, of their features (K, F) and the calibration of each."""
        with full_precision(cell_features):
            points_px = (peaks.cells + 0.5) * self.strides_px[0]
            classes = functional.one_hot(peaks.labels, self.num_classes).float()
            told = torch.cat((cell_features, classes, _line_of_sight(cameras, points_px, self.ground_m)), dim=1)
            return self._boxes_from(self.box_branch(told), points_px, peaks.labels, cameras)

    def _boxes_from(self, said: Tensor, points_px: Tensor, labels: Tensor, cameras: Cameras) -> PeakBoxes:
        offset, ends, sizes, depth, weights, deviations, yaw, yaw_offsets, velocities = torch.split(
            said, self._splits(), dim=1
        )
        centers_px = points_px + offset * self.strides_px[0]
        below_px, above_px = (_TYPICAL_END_PX * ends.clamp(-_LARGEST_LOG, _LARGEST_LOG).exp()).unbind(1)
        sizes_m = self.mean_sizes[labels] * sizes.clamp(-_LARGEST_LOG, _LARGEST_LOG).exp()
        heights_m = sizes_m[:, 2]
        direct = depth[:, 0] + (cameras.focal_px / _FOCAL_PX * _TYPICAL_DEPTH_M).log()
        by_height = cameras.depth_from_height(centers_px, below_px, above_px, heights_m)
        by_ground = cameras.depth_from_ground(centers_px, below_px, heights_m, self.ground_m)
        measured = torch.stack((by_height, by_ground), dim=1).clamp(*_DEPTHS_M).log()
        log_depths = torch.cat((direct.unsqueeze(1), measured), dim=1)
        # A cue that is expected to err counts less; the weights may learn what the deviations do not tell.
        shares = (weights - deviations[:, :_DEPTH_CUES].detach()).softmax(dim=1)
        return PeakBoxes(
            centers_px=centers_px,
            below_px=below_px,
            above_px=above_px,
            sizes_m=sizes_m,
            log_depths=log_depths,
            log_depth=(shares * log_depths).sum(dim=1),
            log_deviations=deviations.clamp(-6, 3),
            yaw_logits=yaw,
            yaw_offsets_rad=yaw_offsets,
            velocities_mps=velocities * _TYPICAL_SPEED_MPS,
        )

    def _splits(self) -> list[int]:
        """Numbers that the box branch states: offset, ends, size, depth, weights, deviations, yaw twice, velocity."""
        return [2, 2, 3, 1, _DEPTH_CUES, _DEPTH_CUES + 1, self.yaw_bins, self.yaw_bins, 2]

    def yaws(self, found: PeakBoxes) -> Tensor:
        """(K,) yaw relative to the line of sight."""
        best = found.yaw_logits.argmax(dim=1, keepdim=True)
        width = 2 * math.pi / self.yaw_bins
        return best.squeeze(1) * width + found.yaw_offsets_rad.gather(1, best).squeeze(1)

    def lidar_boxes(self, found: PeakBoxes, cameras: Cameras) -> Tensor:
        """(K, 9) boxes in the lidar frame."""
        centers_m = cameras.lift(found.centers_px, found.log_depth.clamp(max=math.log(_DEPTHS_M[1])).exp())
        azimuths = cameras.azimuths(centers_m)
        yaws = azimuths + self.yaws(found)
        away, across = found.velocities_mps.unbind(1)
        cos, sin = azimuths.cos(), azimuths.sin()
        velocities = torch.stack((away * cos - across * sin, away * sin + across * cos), dim=1)
        wrapped = torch.atan2(yaws.sin(), yaws.cos())
        return torch.cat((centers_m, found.sizes_m, wrapped.unsqueeze(1), velocities), dim=1)

    def candidates(self, features: Sequence[Tensor], frame: FrameBatch) -> LiftedPeaks:
        """The best peaks of every image, as boxes in the lidar frame."""
        heat_scores, peaks = highest_peaks(self.heat_map_logits(features).sigmoid(), self.peaks_per_camera)
        with full_precision(heat_scores):
            cell_features = self.cell_features(features, peaks)
            cameras = Cameras.of(frame).select(peaks.images)
            found = self.boxes_at(cell_features, peaks, cameras)
            agreed = self.class_logits(cell_features).sigmoid().gather(1, peaks.labels.unsqueeze(1)).squeeze(1)
            certainty = torch.exp(-10 * self.depth_penalty * found.log_deviations[:, -1].exp())
            return LiftedPeaks(
                peaks=peaks,
                boxes=self.lidar_boxes(found, cameras),
                scores=(heat_scores * agreed).sqrt() * certainty,
                log_deviations=found.log_deviations[:, -1],
            )

    def detect(self, features: Sequence[Tensor], frame: FrameBatch) -> Candidates:
        """The boxes of B streams, best first, of which those count that several cameras see once."""
        found = self.candidates(features, frame)
        ranked, kept = (values[:, : self.max_num] for values in self._ranked(found, len(frame.images)))
        return Candidates(
            boxes=found.boxes[ranked],
            scores=found.scores[ranked],
            labels=found.peaks.labels[ranked],
            query_ids=None,
            valid=kept,
        )

    @property
    def proposal_channels(self) -> int:
        """Features of a proposal: those of the levels at its peak, its class as a share of its score, size, yaw, motion
        and how far off it may be."""
        return self.feature_channels + self.num_classes + _BOX_FEATURES

    def propose(self, features: Sequence[Tensor], frame: FrameBatch, count: int) -> Proposals:
        """The `count` best boxes of B streams, those that several cameras see once.

        Gradients pass to the feature maps, not to this head: it learns by its own losses alone. Where there are fewer
        boxes, those that were taken for others' neighbours follow, then all of them again.
        """
        with torch.no_grad(), _at_rest(self):
            found = self.candidates(features, frame)
        with full_precision(found.scores):
            told = torch.cat((self.cell_features(features, found.peaks), self._told_of_boxes(found)), dim=1)
        ranked, kept = self._ranked(found, len(frame.images))
        places = torch.arange(count, device=ranked.device)
        chosen = ranked[:, places % ranked.shape[1]]
        first = functional.pad(kept, (0, max(0, count - kept.shape[1])))[:, :count]
        return Proposals(
            boxes=found.boxes[chosen],
            scores=found.scores[chosen] * first,
            labels=found.peaks.labels[chosen],
            features=told[chosen],
        )

    def _ranked(self, found: LiftedPeaks, num_streams: int) -> tuple[Tensor, Tensor]:
        """(B, K) indices of the candidates of each stream, those that stay first, and which of them these are; see
        `ranked_without_neighbours`."""
        centers_m, scores, labels = (
            values.reshape(num_streams, -1, *values.shape[1:])
            for values in (found.boxes[:, :2], found.scores, found.peaks.labels)
        )
        ranked, kept = ranked_without_neighbours(centers_m, scores, labels, self.merge_radii)
        first = torch.arange(num_streams, device=ranked.device).unsqueeze(1) * ranked.shape[1]
        return first + ranked, kept

    def _told_of_boxes(self, found: LiftedPeaks) -> Tensor:
        """(K, classes + 8) what is known of candidates beside the features at their peaks."""
        classes = functional.one_hot(found.peaks.labels, self.num_classes) * found.scores.unsqueeze(1)
        yaws = found.boxes[:, 6:7]
        return torch.cat(
            (
                classes,
                (found.boxes[:, 3:6] / self.mean_sizes[found.peaks.labels]).log(),
                yaws.sin(),
                yaws.cos(),
                found.boxes[:, 7:9] / _TYPICAL_SPEED_MPS,
                found.log_deviations.unsqueeze(1),
            ),
            dim=1,
        )

    def select_tokens(self, features: Sequence[Tensor], frame: FrameBatch) -> None:
        """The 3D head sees all of the image."""

    def loss(self, features: Sequence[Tensor], frame: FrameBatch) -> tuple[dict[str, Tensor], None]:
        """The losses of an annotated frame; this head does not choose tokens for the 3D head."""
        logits = self.heat_map_logits(features)
        with full_precision(logits):
            targets = perspective_targets(frame, self.strides_px[0], logits.shape[-2:], self.num_classes)
            losses = {
                "heat_map": gaussian_focal_loss(logits, targets.heat_map),
                **self._class_losses(features, logits, targets),
                **self._box_losses(features, frame, targets),
            }
            count = mean_positives(len(targets.labels), logits.device)
            return {f"loss_{name}": self.loss_weights[name] * value / count for name, value in losses.items()}, None

    def _class_losses(
        self, features: Sequence[Tensor], logits: Tensor, targets: PerspectiveTargets
    ) -> dict[str, Tensor]:
        """At the annotated cells, and at the highest peaks of the heat map, most of which are mistakes."""
        _, mistaken = highest_peaks(logits.detach().sigmoid(), _MISTAKES_PER_IMAGE)
        peaks = Peaks(
            torch.cat((targets.images, mistaken.images)),
            torch.cat((targets.cells, mistaken.cells)),
            torch.cat((targets.labels, mistaken.labels)),
        )
        logits = self.class_logits(self.cell_features(features, peaks))
        true, known = targets.classes_near(peaks.images, peaks.cells, self.num_classes)
        return {"peak_class": (_focal_loss(logits, true) * known).sum()}

    def _box_losses(
        self, features: Sequence[Tensor], frame: FrameBatch, targets: PerspectiveTargets
    ) -> dict[str, Tensor]:
        """At the annotated cells and at cells beside them, since a peak may lie one cell off."""
        rows, columns = features[0].shape[-2:]
        copies = torch.arange(len(targets.labels), device=targets.labels.device).repeat(1 + _SHIFTED_COPIES)
        shifts = torch.randint(-1, 2, (len(copies), 2), device=copies.device)
        shifts[: len(targets.labels)] = 0
        limit = filled(copies, columns - 1, rows - 1)
        cells = torch.minimum((targets.cells[copies] + shifts).clamp(min=0), limit)
        peaks = Peaks(targets.images[copies], cells, targets.labels[copies])
        cameras = Cameras.of(frame).select(peaks.images)
        found = self.boxes_at(self.cell_features(features, peaks), peaks, cameras)
        losses = _box_losses(found, targets.boxes[copies], cameras, self.strides_px[0], self.yaw_bins)
        return {name: value / (1 + _SHIFTED_COPIES) for name, value in losses.items()}


_LOSS_WEIGHTS = {
    "heat_map": 1.0,
    "peak_class": 0.5,
    "offset": 0.5,
    "ends": 1.0,
    "size": 1.0,
    "depths": 0.3,
    "depth": 1.0,
    "yaw_bin": 0.5,
    "yaw_offset": 1.0,
    "velocity": 0.2,
}
_MISTAKES_PER_IMAGE = 16
_SHIFTED_COPIES = 1
_SIGHT_CHANNELS = 5
_TYPICAL_SPEED_MPS = 5.0
_BOX_FEATURES = 3 + 2 + 2 + 1  # size, yaw, velocity, expected error


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """A module in evaluation, whose running means nothing moves."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


def highest_peaks(scores: Tensor, count: int) -> tuple[Tensor, Peaks]:
    """The `count` highest local maxima of each of M heat maps (M, classes, rows, columns), in the order of the images.

    Returns:
        their scores (M * count,) and places.
    """
    images, num_classes, rows, columns = scores.shape
    count = min(count, num_classes * rows * columns)
    is_peak = scores == functional.max_pool2d(scores, 3, stride=1, padding=1)
    best, flat = (scores * is_peak).flatten(1).topk(count, dim=1)
    image = torch.arange(images, device=scores.device).repeat_interleave(count)
    flat = flat.flatten()
    cell = flat % (rows * columns)
    cells = torch.stack((cell % columns, cell // columns), dim=1)
    return best.flatten(), Peaks(image, cells, flat // (rows * columns))


def _box_losses(found: PeakBoxes, boxes: Tensor, cameras: Cameras, stride_px: int, yaw_bins: int) -> dict[str, Tensor]:
    """Sums over K cells whose annotated boxes are (K, 9) in the lidar frame."""
    centers_px, depths_m = cameras.project(boxes[:, :3])
    below_px, above_px = (end.clamp(min=0.5) for end in cameras.ends_px(boxes))
    log_depth = depths_m.log()
    errors = (torch.cat((found.log_depths, found.log_depth.unsqueeze(1)), dim=1) - log_depth.unsqueeze(1)).abs()
    # The negative logarithm of a Laplace distribution whose mean error is told (Kendall and Gal, 2017).
    surprise = errors * torch.exp(-found.log_deviations) + found.log_deviations
    azimuths = cameras.azimuths(boxes[:, :3])
    turned = torch.remainder(boxes[:, 6] - azimuths, 2 * math.pi)
    width = 2 * math.pi / yaw_bins
    bins = (turned / width).round().long() % yaw_bins
    rest = torch.remainder(turned - bins * width + math.pi, 2 * math.pi) - math.pi
    away = boxes[:, 7] * azimuths.cos() + boxes[:, 8] * azimuths.sin()
    across = boxes[:, 8] * azimuths.cos() - boxes[:, 7] * azimuths.sin()
    velocity_errors = (found.velocities_mps - torch.stack((away, across), dim=1)).abs() / _TYPICAL_SPEED_MPS
    return {
        "offset": ((found.centers_px - centers_px) / stride_px).abs().sum(),
        "ends": (found.below_px.log() - below_px.log()).abs().sum()
        + (found.above_px.log() - above_px.log()).abs().sum(),
        "size": (found.sizes_m.log() - boxes[:, 3:6].log()).abs().sum(),
        "depths": surprise[:, :_DEPTH_CUES].sum(),
        "depth": surprise[:, _DEPTH_CUES].sum(),
        "yaw_bin": functional.cross_entropy(found.yaw_logits, bins, reduction="sum"),
        "yaw_offset": (found.yaw_offsets_rad.gather(1, bins.unsqueeze(1)).squeeze(1) - rest).abs().sum(),
        "velocity": torch.nan_to_num(velocity_errors).sum(),
    }


def _focal_loss(logits: Tensor, true: Tensor, gamma: float = 2.0) -> Tensor:
    """(K,) focal loss of class logits (K, classes) against `true` (K, classes) in {0, 1}, summed over the classes."""
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, true, reduction="none")
    missed = 1 - torch.exp(-cross_entropy)  # 1 - the probability of what is true
    return (missed**gamma * cross_entropy).sum(dim=1)


def _line_of_sight(cameras: Cameras, points_px: Tensor, ground_m: float) -> Tensor:
    """(K, 5) what the features do not tell of points (K, 2): the ray, focal length, height and fall of the line."""
    rays = cameras.rays(points_px)
    above_ground = (cameras.origins_m[:, 2] - ground_m).unsqueeze(1)
    focal = (cameras.focal_px / _FOCAL_PX).log().unsqueeze(1)
    falls = -(rays * cameras.up).sum(dim=1, keepdim=True)
    return torch.cat((rays[:, :2], focal, above_ground, 10 * falls), dim=1)


def _sampled(maps: Tensor, images: Tensor, points: Tensor) -> Tensor:
    """(K, C) float32, maps (M, C, rows, columns) of images (K,) between the four nearest cells of points (K, 2).

    Points are column and row in cells; the middle of the first is 0.5. Outside the middles the edge goes on.
    """
    rows, columns = maps.shape[-2:]
    channels_last = maps.permute(0, 2, 3, 1)
    column = (points[:, 0] - 0.5).clamp(0, columns - 1)
    row = (points[:, 1] - 0.5).clamp(0, rows - 1)
    left, top = column.floor().long(), row.floor().long()
    right, bottom = (left + 1).clamp(max=columns - 1), (top + 1).clamp(max=rows - 1)
    across, down = (column - left).unsqueeze(1), (row - top).unsqueeze(1)
    upper = channels_last[images, top, left].float() * (1 - across) + channels_last[images, top, right].float() * across
    lower = channels_last[images, bottom, left].float() * (1 - across)
    lower = lower + channels_last[images, bottom, right].float() * across
    return upper * (1 - down) + lower * down


def _cell_network(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.LayerNorm(hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, hidden_channels),
        nn.LayerNorm(hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )
