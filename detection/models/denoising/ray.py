"""Ray denoising: queries at wrong depths along a camera's ray, which training teaches to be background.

A camera sees an object's direction well and its depth badly, so that detectors predict duplicates behind and before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.models.denoising.queries import (
    Annotations,
    Copies,
    DenoisingQueries,
    arranged_in_slots,
    batched_annotations,
)
from detection.models.denoising.standard import StandardDenoising
from detection.models.layers.filled import filled
from detection.poses import inverse_poses
from detection.registry import MODELS


@MODELS.register_module()
class RayDenoising:
    """The queries of `StandardDenoising`, and groups of queries along the ray through each annotated centre.

    Of the queries on one ray the one nearest to the centre keeps the class; it is drawn anew where it would lie too
    far. All others are background. The queries of a group see each other, those of other objects too.

    Source: Liu et al., Ray Denoising, 2024.
    """

    def __init__(
        self,
        groups: int = 10,
        noise_scale: float = 1.0,
        split: float = 0.75,
        ray_groups: int = 1,
        ray_queries: int = 5,
        ray_radius: float = 3.0,
        alpha: float = 8.0,
        beta: float = 2.0,
        published: bool = False,
    ) -> None:
        """A strategy.

        Args:
            groups, noise_scale, split: of the `StandardDenoising`; `split` also bounds the step of the nearest query.
            ray_groups: groups of ray queries.
            ray_queries: queries on a ray.
            ray_radius: greatest step along the ray, in half the mean of length, width and height.
            alpha, beta: of the Beta distribution of the steps; at 8 and 2 most lie behind the object.
            published: as the published code does, keep the ray queries of an annotation that no camera sees (they lie
                on its very centre and are background all the same, but for one), and let the nearest query step away
                from the camera where it was drawn before the object. Else an annotation that no camera sees has no ray
                queries, and the nearest query stays where it was drawn.

        Raises:
            ValueError: `alpha` or `beta` is not above 0.
        """
        if not min(alpha, beta) > 0:
            raise ValueError(f"alpha is {alpha}, beta {beta}, expected numbers above 0")
        self._standard = StandardDenoising(groups, noise_scale, split)
        self._split = split
        self._ray_groups = ray_groups
        self._ray_queries = ray_queries
        self._ray_radius = ray_radius
        self._alpha = alpha
        self._beta = beta
        self._published = published

    def __call__(self, frame: FrameBatch, detection_range: Tensor, num_classes: int) -> DenoisingQueries | None:
        """See `DenoisingStrategy`."""
        assert frame.targets is not None, "denoising needs annotated frames"
        annotations = batched_annotations(frame.targets)
        if not len(annotations.labels):
            return None
        standard = self._standard.copies(annotations, num_classes)
        first_group = len(standard.groups)
        rays = [
            self._ray_copies(annotations, frame, num_classes, first_group + group) for group in range(self._ray_groups)
        ]
        copies = Copies(*(torch.cat(parts) for parts in zip(standard, *rays, strict=True)))
        return arranged_in_slots(copies, annotations, frame, detection_range, self._standard.positive_share)

    def _ray_copies(self, annotations: Annotations, frame: FrameBatch, num_classes: int, group: int) -> Copies:
        """One group of ray queries."""
        steps, nearest = self._steps(annotations)
        centers_m = annotations.boxes[:, :3]
        cameras, seen = last_camera_that_sees(centers_m, annotations.streams, frame)
        matrices = frame.image_from_lidar[annotations.streams, cameras]
        shifts_m = torch.where(seen, steps * annotations.boxes[:, 3:6].mean(dim=1) / 2, 0)
        return Copies(
            centers_m=shifted_in_depth(centers_m, shifts_m, matrices),
            labels=torch.where(nearest, annotations.labels, num_classes),
            groups=torch.full((self._ray_queries,), group, device=steps.device),
            used=(seen | self._published).expand(self._ray_queries, -1),
        )

    def _steps(self, annotations: Annotations) -> tuple[Tensor, Tensor]:
        """Steps (R, n) of R queries along the rays of n annotations, and which of them is the nearest to each."""
        alpha, beta = filled(annotations.boxes, self._alpha, self._beta)
        # The settings have been checked; checking them on the device would wait for it.
        drawn = torch.distributions.Beta(alpha, beta, validate_args=False).sample(
            (self._ray_queries * len(annotations.labels),)
        )
        steps = (drawn.view(self._ray_queries, -1) * 2 - 1) * self._ray_radius
        least = steps.abs().min(dim=0)
        queries = torch.arange(self._ray_queries, device=steps.device)
        nearest = queries.unsqueeze(1) == least.indices
        if self._published:
            steps = torch.where(nearest, steps.abs(), steps)
        too_far = nearest & (least.values > self._split)
        # By columns: one number for each annotation whose nearest query lies too far, in their order.
        redrawn = torch.rand(int(too_far.sum()), device=steps.device)
        steps.T[too_far.T] = (redrawn * 2 - 1) * self._split
        return steps, nearest


def last_camera_that_sees(points_m: Tensor, streams: Tensor, frame: FrameBatch) -> tuple[Tensor, Tensor]:
    """Where points lie in the images.

    Args:
        points_m: (n, 3) in the lidar frame.
        streams: (n,) stream of each.
        frame: the cameras.

    Returns:
        camera (n,) int64, the last in order of those that see the point, 0 where none does; whether any does (n,).
    """
    height_px, width_px = frame.image_size_px
    matrices = frame.image_from_lidar[streams]
    scaled = (matrices[..., :3, :3] @ points_m[:, None, :, None]).squeeze(-1) + matrices[..., :3, 3]
    depth = scaled[..., 2]
    u, v = (scaled[..., :2] / depth.unsqueeze(-1)).unbind(-1)
    sees = (depth > 0) & (u >= 0) & (u < width_px) & (v >= 0) & (v < height_px)
    order = torch.arange(1, sees.shape[1] + 1, device=sees.device)
    last = (sees * order).amax(dim=1)
    return (last - 1).clamp(min=0), last > 0


def shifted_in_depth(points_m: Tensor, shifts_m: Tensor, image_from_lidar: Tensor) -> Tensor:
    """Points moved along the ray from the camera, so that their depths change and their pixels stay.

    Args:
        points_m: (n, 3) in the lidar frame.
        shifts_m: (R, n) change of depth along the optical axis.
        image_from_lidar: (n, 4, 4) of the camera of each.

    Returns:
        (R, n, 3) in the lidar frame.
    """
    camera_centers = inverse_poses(image_from_lidar)[:, :3, 3]
    depths = (image_from_lidar[:, 2, :3] * points_m).sum(dim=1) + image_from_lidar[:, 2, 3]
    stretch = torch.where(shifts_m == 0, 0, shifts_m / depths)
    return points_m + stretch.unsqueeze(-1) * (points_m - camera_centers)
