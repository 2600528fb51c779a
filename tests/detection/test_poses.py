"""Inverses of poses."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from detection.poses import inverse_poses


def test_inverse_of_a_pose_that_scales() -> None:
    pose = torch.eye(4)
    pose[:3, :3] *= 1.05
    pose[:3, 3] = torch.tensor([1500.0, -900.0, 2.0])
    torch.testing.assert_close(inverse_poses(pose) @ pose, torch.eye(4), atol=2e-4, rtol=0)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2.0), st.floats(100, 3000), st.sampled_from([0.0, 50.0, 5e6]))
def test_as_exact_as_a_factorization(seed: int, scale: float, focal_px: float, far_m: float) -> None:
    """Of poses up to a northing of 5000 km, and of what projects into images."""
    random = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = scale * Rotation.random(random_state=random).as_matrix()
    pose[:3, 3] = random.uniform(-1, 1, 3) * far_m
    intrinsic = np.eye(4)
    intrinsic[:3, :3] = [[focal_px, 0.1, 800], [0, 0.9 * focal_px, 450], [0, 0, 1]]
    for matrix in (pose, intrinsic @ pose):
        found = inverse_poses(torch.from_numpy(matrix[None]))[0].numpy()
        expected = np.linalg.inv(matrix)
        bound = 1e-13 * np.linalg.cond(matrix[:3, :3])
        np.testing.assert_allclose(found[:3, :3], expected[:3, :3], rtol=0, atol=bound * np.abs(expected[:3, :3]).max())
        np.testing.assert_allclose(
            found[:, 3], expected[:, 3], rtol=0, atol=bound * np.abs(expected[:3, 3]).max() + 1e-15
        )
