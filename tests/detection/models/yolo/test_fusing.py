"""A fused detector finds the same boxes with fewer layers."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from detection.models.fusing import FusedReparameterization, fused
from detection.models.yolo import VARIANTS, DynamicYolo
from detection.models.yolo.layers import AnchorPrediction, ConvolutionBlock, ReparameterizedConvolution


def with_statistics(module: nn.Module) -> nn.Module:
    """As if it had been trained: every statistic and every learned number is another one."""
    torch.manual_seed(0)
    for norm in (layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)):
        for values, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.5, 2.0)):
            nn.init.uniform_(values, low, high)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return module.eval()


@pytest.mark.parametrize("layer", [ConvolutionBlock(3, 6, 3, 2), ReparameterizedConvolution(3, 6)])
def test_layers_give_the_same(layer: nn.Module) -> None:
    with_statistics(layer)
    maps = torch.randn(2, 3, 8, 6)
    other = FusedReparameterization(layer) if isinstance(layer, ReparameterizedConvolution) else fused(layer)
    torch.testing.assert_close(other(maps), layer(maps), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in other.modules())


def test_predictions_are_the_same() -> None:
    prediction = AnchorPrediction((4, 6), (((8, 8),), ((9, 9),)), (8, 16), num_classes=2)
    maps = [torch.randn(2, 4, 4, 6), torch.randn(2, 6, 2, 3)]
    other = fused(prediction)
    for mine, theirs in zip(other(*maps), prediction(*maps), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert {name.split(".")[0] for name, _ in other.named_parameters()} == {"m"}


@pytest.mark.parametrize("name", list(VARIANTS))
def test_whole_detectors_find_the_same_boxes(name: str, small_variant) -> None:
    model = with_statistics(DynamicYolo(small_variant(name), num_classes=3))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other = fused(model)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        for threshold in (0.0, 1.0):
            torch.testing.assert_close(
                model(images, threshold).boxes, other(images, threshold).boxes, rtol=1e-3, atol=1e-3
            )
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(isinstance(module, nn.BatchNorm2d | ReparameterizedConvolution) for module in other.modules())


def test_fused_arithmetic_is_the_published_one() -> None:
    """181.7 G at 640 pixels when all images are hard."""
    with torch.device("meta"):
        model, image = fused(DynamicYolo(VARIANTS["dy-yolov7"])), torch.zeros(1, 3, 640, 640)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.hard_logits(image, model.first_maps(image))
    assert counter.get_total_flops() * 1e-9 == pytest.approx(181.7, rel=0.005)
