"""Closed forms between a box in space and what a camera shows of it: its centre, its feet, its height in pixels.

Camera coordinates: x right, y down, z along the optical axis; `depth` is z. A ray is the point of a line of sight at
depth 1, so a point of an image lies at depth * ray. `up` is the unit vector of the lidar frame's z axis.

    foot  F = P - up h/2, head  T = P + up h/2    of an upright box of height h with centre P = depth * ray
    slopes f = F_y / F_z, t = T_y / T_z           of the lines of sight to both

    height:   depth = h/2 (2 up_y - (t + f) up_z) / (t - f)
    ground:   the line of sight through F meets the plane z = ground of the lidar frame at depth F_z;
              depth = F_z + up_z h/2

Both are exact, for any tilt of the camera. The first knows the size of things, as in Lu et al., Geometry Uncertainty
Projection Network, ICCV 2021; the second the road, as in Yang et al., BEVHeight, CVPR 2023, and Qin and Li, MonoGround,
CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detection.frames import FrameBatch
from detection.poses import inverse_3x3, inverse_poses

_LEAST_SLOPE = 1e-4  # below it two lines of sight, or a line and the ground, do not meet at a depth worth having


@dataclass(frozen=True, eq=False)
class Cameras:
    """The calibrations of K points, one row a point.

    Attributes:
        image_from_camera: (K, 3, 3) intrinsics.
        camera_from_lidar: (K, 4, 4) rigid.
    """

    image_from_camera: Tensor
    camera_from_lidar: Tensor

    @classmethod
    def of(cls, frame: FrameBatch) -> Cameras:
        """Those of the B * N images of a frame."""
        return cls(frame.image_from_camera.flatten(0, 1)[:, :3, :3], frame.camera_from_lidar.flatten(0, 1))

    def select(self, images: Tensor) -> Cameras:
        """One row for each of the images (K,) int64."""
        return Cameras(self.image_from_camera[images], self.camera_from_lidar[images])

    @property
    def focal_px(self) -> Tensor:
        """(K,) vertical focal lengths."""
        return self.image_from_camera[:, 1, 1]

    @property
    def up(self) -> Tensor:
        """(K, 3) the lidar frame's z axis in camera coordinates."""
        return self.camera_from_lidar[:, :3, 2]

    @property
    def origins_m(self) -> Tensor:
        """(K, 3) where the cameras are, in the lidar frame."""
        return inverse_poses(self.camera_from_lidar)[:, :3, 3]

    def rays(self, points_px: Tensor) -> Tensor:
        """(K, 3) rays of points (K, 2) of the image."""
        homogeneous = torch.cat((points_px, torch.ones_like(points_px[:, :1])), dim=1)
        return (inverse_3x3(self.image_from_camera) @ homogeneous.unsqueeze(-1)).squeeze(-1)

    def project(self, points_m: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (K, 2) and depths (K,) of points (K, 3) of the lidar frame; pixels mean nothing behind the camera."""
        in_camera = (self.camera_from_lidar[:, :3, :3] @ points_m.unsqueeze(-1)).squeeze(-1)
        in_camera = in_camera + self.camera_from_lidar[:, :3, 3]
        depths = in_camera[:, 2]
        safe = torch.where(depths.abs() < _LEAST_SLOPE, torch.full_like(depths, _LEAST_SLOPE), depths)
        homogeneous = (self.image_from_camera @ (in_camera / safe.unsqueeze(-1)).unsqueeze(-1)).squeeze(-1)
        return homogeneous[:, :2], depths

    def lift(self, points_px: Tensor, depths_m: Tensor) -> Tensor:
        """Points (K, 3) of the lidar frame at depths (K,) behind points (K, 2) of the image; inverse of `project`."""
        in_camera = self.rays(points_px) * depths_m.unsqueeze(-1)
        lidar_from_camera = inverse_poses(self.camera_from_lidar)
        turned = (lidar_from_camera[:, :3, :3] @ in_camera.unsqueeze(-1)).squeeze(-1)
        return turned + lidar_from_camera[:, :3, 3]

    def azimuths(self, points_m: Tensor) -> Tensor:
        """(K,) direction from the camera to points (K, 3) of the lidar frame, about z, 0 along x."""
        seen = points_m - self.origins_m
        return torch.atan2(seen[:, 1], seen[:, 0])

    def ends_px(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (K,) below the projected centres of boxes (K, 9) where their feet are, and above them their heads."""
        half = torch.zeros_like(boxes[:, :3])
        half[:, 2] = boxes[:, 5] / 2
        center, _ = self.project(boxes[:, :3])
        foot, _ = self.project(boxes[:, :3] - half)
        head, _ = self.project(boxes[:, :3] + half)
        return foot[:, 1] - center[:, 1], center[:, 1] - head[:, 1]

    def depth_from_height(self, centers_px: Tensor, below_px: Tensor, above_px: Tensor, heights_m: Tensor) -> Tensor:
        """(K,) depths of centres from how high a thing is and how high it looks.

        Args:
            centers_px: (K, 2) projected centres.
            below_px, above_px: (K,) positive, rows from the centre down to the foot and up to the head.
            heights_m: (K,).
        """
        ray, up = self.rays(centers_px), self.up
        foot = ray[:, 1] + below_px / self.focal_px
        head = ray[:, 1] - above_px / self.focal_px
        return heights_m / 2 * (2 * up[:, 1] - (head + foot) * up[:, 2]) / (head - foot).clamp(max=-_LEAST_SLOPE)

    def depth_from_ground(self, centers_px: Tensor, below_px: Tensor, heights_m: Tensor, ground_m: float) -> Tensor:
        """(K,) depths of centres of things that stand on the plane z = `ground_m` of the lidar frame.

        Where the line of sight to the foot does not fall, the depth is very great: it tells nothing.
        """
        ray, up = self.rays(centers_px), self.up
        # The line from head to foot, seen from the side, leans as the camera does.
        leaning = (up[:, 0] - ray[:, 0] * up[:, 2]) / (up[:, 1] - ray[:, 1] * up[:, 2])
        down = below_px / self.focal_px
        to_foot = torch.stack((ray[:, 0] + leaning * down, ray[:, 1] + down, ray[:, 2]), dim=1)
        falls = (to_foot * up).sum(dim=1)
        foot_depth = (ground_m - self.origins_m[:, 2]) / falls.clamp(max=-_LEAST_SLOPE)
        return foot_depth + up[:, 2] * heights_m / 2
