"""Inverses of poses."""

import torch

from detection.models.layers.poses import inverse_poses


def test_inverse_of_a_pose_that_scales() -> None:
    pose = torch.eye(4)
    pose[:3, :3] *= 1.05
    pose[:3, 3] = torch.tensor([1500.0, -900.0, 2.0])
    torch.testing.assert_close(inverse_poses(pose) @ pose, torch.eye(4), atol=2e-4, rtol=0)
