"""Where arithmetic is kept whole."""

import torch

from detection.models.layers.precision import full_precision


def test_whole_within_autocast() -> None:
    matrix = torch.eye(2)
    with torch.autocast("cpu", torch.bfloat16):
        assert (matrix @ matrix).dtype == torch.bfloat16
        with full_precision(matrix):
            assert (matrix @ matrix).dtype == torch.float32


def test_shapes_alone() -> None:
    with full_precision(torch.zeros(2, device="meta")):
        pass
