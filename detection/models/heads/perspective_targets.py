"""What a `PerspectiveHead` should find in the images: which annotated boxes a camera sees, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from detection.frames import CameraTargets, FrameBatch, FrameTargets
from detection.models.heads.perspective_geometry import Cameras
from detection.models.layers.filled import filled
from detection.models.losses.gaussian_focal import gaussians
from detection.records import joined

_NEAREST_M = 0.5
_SAME_PX = 2.0  # a box and what a camera is said to see of it agree so far
_SAME_DEPTH = 0.02
_NEARLY = 0.999  # a peak that is neither right nor wrong: only exactly 1 is a centre, and beside it nothing is punished
_RADIUS_SHARE = 0.25  # of the smaller side of a box in the image
_NEAR_CELLS = 1.5


@dataclass(frozen=True, eq=False)
class PerspectiveTargets:
    """The K boxes that M images show, and the heat maps.

    Attributes:
        heat_map: (M, classes, rows, columns) in [0, 1].
        images: (K,) int64.
        cells: (K, 2) int64 column and row of the projected centres.
        boxes: (K, 9) in the lidar frame.
        labels: (K,) int64.
    """

    heat_map: Tensor
    images: Tensor
    cells: Tensor
    boxes: Tensor
    labels: Tensor

    def classes_near(self, images: Tensor, cells: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """What cells (P, 2) of images (P,) are: (P, classes) in {0, 1}, and (P,) bool whether that is known.

        A cell belongs to every box whose centre is less than two cells away. It is nothing where none is, unless
        something may be there that is not annotated as seen.
        """
        apart = (cells.unsqueeze(1) - self.cells).float().norm(dim=2)
        near = (apart <= _NEAR_CELLS) & (images.unsqueeze(1) == self.images)
        true = (near.float() @ one_hot(self.labels, num_classes).float()).clamp(max=1.0)
        doubtful = self.heat_map[images, :, cells[:, 1], cells[:, 0]].amax(dim=1) >= _NEARLY
        return true, true.any(dim=1) | ~doubtful


def perspective_targets(
    frame: FrameBatch, stride_px: int, cells: Sequence[int], num_classes: int
) -> PerspectiveTargets:
    """The targets of an annotated frame.

    A box counts where its centre lies in the image and a camera target says that it is seen; where only one of the two
    is the case, nothing is learned there.

    Args:
        frame: with targets.
        stride_px: of the heat map.
        cells: rows and columns of the heat map.
        num_classes: number of classes.
    """
    assert frame.targets is not None, "targets need annotated frames"
    rows, columns = cells
    images, boxes, labels = _in_every_camera(frame.targets)
    cameras = Cameras.of(frame).select(images)
    centers_px, depths_m = cameras.project(boxes[:, :3])
    size_px = filled(centers_px, columns, rows) * stride_px
    inside = (depths_m > _NEAREST_M) & (centers_px >= 0).all(dim=1) & (centers_px < size_px).all(dim=1)
    shown = inside.nonzero().squeeze(1)
    below, above = cameras.select(shown).ends_px(boxes[shown])
    placed = _Placed(images[shown], labels[shown], centers_px[shown], depths_m[shown], below + above)
    seen = placed.among([camera for targets in frame.targets for camera in targets.cameras])
    heat_map = placed.heat_map(seen, stride_px, (rows, columns), num_classes, frame.images.shape[:2].numel())
    rows_seen = seen.nonzero().squeeze(1)
    places = placed.cells(stride_px)[rows_seen]
    return PerspectiveTargets(
        heat_map, placed.images[rows_seen], places, boxes[shown[rows_seen]], placed.labels[rows_seen]
    )


def _in_every_camera(targets: Sequence[FrameTargets]) -> tuple[Tensor, Tensor, Tensor]:
    """Images (K,), boxes (K, 9) and labels (K,): each box once for each camera of its stream, image by image."""
    images, boxes, labels, first = [], [], [], 0
    for stream in targets:
        cameras = len(stream.cameras)
        numbers = torch.arange(first, first + cameras, device=stream.labels.device)
        images.append(numbers.repeat_interleave(len(stream.labels)))
        boxes.append(stream.boxes.repeat(cameras, 1))
        labels.append(stream.labels.repeat(cameras))
        first += cameras
    return torch.cat(images), torch.cat(boxes), torch.cat(labels)


@dataclass(frozen=True, eq=False)
class _Placed:
    """Boxes whose centres lie in an image: image, class, centre in pixels, depth in metres and height in pixels."""

    images: Tensor
    labels: Tensor
    centers_px: Tensor
    depths_m: Tensor
    heights_px: Tensor

    def cells(self, stride_px: int) -> Tensor:
        return (self.centers_px / stride_px).long()

    def among(self, cameras: Sequence[CameraTargets]) -> Tensor:
        """(n,) bool, which of the boxes the camera of their image is said to see."""
        targets = joined(cameras)
        images = torch.cat([torch.full_like(camera.labels, image) for image, camera in enumerate(cameras)])
        apart_px = (self.centers_px.unsqueeze(1) - targets.centers_px).abs().amax(dim=2)
        in_depth = (self.depths_m.unsqueeze(1) / targets.depths_m - 1).abs()
        # By their place alone: the classes of camera targets may be numbered in an order of their own.
        same_place = (apart_px < _SAME_PX) & (in_depth < _SAME_DEPTH)
        return (same_place & (self.images.unsqueeze(1) == images)).any(dim=1)

    def heat_map(
        self, seen: Tensor, stride_px: int, size: tuple[int, int], num_classes: int, num_images: int
    ) -> Tensor:
        """(images, classes, rows, columns): a Gaussian around each centre; of what is hidden, one that is no peak."""
        radii = (_RADIUS_SHARE * self.heights_px / stride_px).round().clamp(min=1)
        bells = gaussians(self.cells(stride_px), radii, size) * torch.where(seen, 1.0, _NEARLY)[:, None, None]
        maps = bells.new_zeros(num_images * num_classes, *size)
        places = (self.images * num_classes + self.labels)[:, None, None].expand_as(bells)
        return maps.scatter_reduce_(0, places, bells, "amax").view(num_images, num_classes, *size)
