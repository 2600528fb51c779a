"""Feature pyramids: sizes that do not double, additional maps, which map is smoothed."""

import pytest
import torch
from torch.nn import functional

from detection.models.necks import CPFPN, FPN
from detection.models.necks.fpn import merge_top_down


def test_coarse_maps_are_enlarged_to_the_very_size() -> None:
    fine, coarse = torch.zeros(1, 1, 1, 11), torch.arange(6.0).view(1, 1, 1, 6)
    merged = merge_top_down([fine, coarse])
    assert merged[0].flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert merged[1] is coarse


def test_every_level_gets_all_coarser_ones() -> None:
    merged = merge_top_down([torch.full((1, 1, 4 // 2**level, 4 // 2**level), 10.0**level) for level in range(3)])
    assert [one.unique().tolist() for one in merged] == [[111], [110], [100]]


@pytest.mark.parametrize("rectified", [False, True])
def test_additional_maps(rectified: bool) -> None:
    torch.manual_seed(0)
    neck = FPN([4], 8, num_outs=3, relu_before_extra_convs=rectified)
    outputs = neck((torch.randn(1, 4, 9, 9),))
    assert [tuple(one.shape[-2:]) for one in outputs] == [(9, 9), (5, 5), (3, 3)]
    torch.testing.assert_close(outputs[1], neck.fpn_convs[1](outputs[0]))  # never rectified
    read = functional.relu(outputs[1]) if rectified else outputs[1]
    torch.testing.assert_close(outputs[2], neck.fpn_convs[2](read))


def test_fewer_outputs_than_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="num_outs is 1, fewer than the 2 inputs"):
        FPN([4, 8], 8, num_outs=1)


def test_cpfpn_smooths_the_finest_map_alone() -> None:
    torch.manual_seed(0)
    neck = CPFPN([4, 8], 8)
    fine, coarse = torch.randn(1, 4, 4, 4), torch.randn(1, 8, 2, 2)
    outputs = neck((fine, coarse))
    lateral = neck.lateral_convs[1](coarse)
    torch.testing.assert_close(outputs[1], lateral)
    merged = neck.lateral_convs[0](fine) + functional.interpolate(lateral, scale_factor=2, mode="nearest")
    torch.testing.assert_close(outputs[0], neck.fpn_convs[0](merged))
