"""Dy-YOLOv7: published sizes, and the paths of images through a small one."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from detection.models.yolo import VARIANTS, DynamicYolo


@pytest.fixture(params=list(VARIANTS))
def model(request, small_variant) -> DynamicYolo:
    torch.manual_seed(0)
    return DynamicYolo(small_variant(request.param), num_classes=3).eval()


@pytest.mark.parametrize(
    ("name", "parameters", "of_router"),
    [
        ("dy-yolov7", 80_621_333, 2_075_041),
        ("dy-yolov7x", 151_093_149, 3_241_801),
        ("dy-yolov7-w6", 147_364_049, 1_894_753),
    ],
)
def test_sizes_are_the_published_ones(name: str, parameters: int, of_router: int) -> None:
    with torch.device("meta"):
        whole, without = DynamicYolo(VARIANTS[name]), DynamicYolo(VARIANTS[name], router=False)
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (whole, without)]
    assert counts == [parameters, parameters - of_router]


def test_arithmetic_is_the_published_one() -> None:
    """Published at 640 pixels: 181.7 G when all images are hard, 112.4 G when a tenth is; a multiplication and an
    addition count as two."""
    with torch.device("meta"):
        model, image = DynamicYolo(VARIANTS["dy-yolov7"]).eval(), torch.zeros(1, 3, 640, 640)
    giga = []
    for hard in (False, True):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            maps = model.first_maps(image)
            model.hard_logits(image, maps) if hard else model.easy_logits(maps)
        giga.append(counter.get_total_flops() * 1e-9)
    assert giga[1] == pytest.approx(181.7, rel=0.02)
    assert 0.9 * giga[0] + 0.1 * giga[1] == pytest.approx(112.4, rel=0.02)


def test_each_image_is_answered_by_the_detector_that_it_is_sent_to(model: DynamicYolo) -> None:
    images = torch.rand(3, 3, 64, 128) * torch.tensor([1.0, 10.0, 0.1])[:, None, None, None]
    assert model.router is not None
    with torch.no_grad():
        torch.nn.init.normal_(model.router.layer2.weight, std=30.0)  # so that the scores differ by more than rounding
        maps = model.first_maps(images)
        easy, hard = model.decode(model.easy_logits(maps)), model.decode(model.hard_logits(images, maps))
        scores = model(images, 0.0).scores
        threshold = scores.sort().values[1]
        output = model(images, threshold)
    assert output.easy.tolist() == (scores >= threshold).tolist() and output.easy.sum() == 2
    expected = torch.where(output.easy[:, None, None], easy, hard)
    torch.testing.assert_close(output.boxes, expected, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(easy, hard, rtol=1e-2)


@pytest.mark.parametrize(("threshold", "easy"), [(0.0, True), (1.0, False)])
def test_one_threshold_sends_all_images_one_way(threshold: float, easy: bool, model: DynamicYolo) -> None:
    with torch.no_grad():
        output = model(torch.rand(2, 3, 64, 64), threshold)
    assert output.easy.tolist() == [easy] * 2
    assert output.boxes.shape[0] == 2 and output.boxes.shape[2] == 8


def test_the_easy_path_spares_the_second_backbone(model: DynamicYolo) -> None:
    ran = []
    for part in ("model_b", "model_b2", "model_h", "model_h2"):
        getattr(model, part).register_forward_hook(lambda *_, part=part: ran.append(part))
    with torch.no_grad():
        model(torch.rand(1, 3, 64, 64), 0.0)
        assert ran == ["model_b", "model_h"]
        ran.clear()
        model(torch.rand(1, 3, 64, 64), 1.0)
    assert ran == ["model_b", "model_b2", "model_h2"]


def test_the_boxes_of_all_levels_are_there(model: DynamicYolo) -> None:
    with torch.no_grad():
        logits = model.easy_logits(model.first_maps(torch.rand(1, 3, 128, 64)))
    strides = model.model_h[-1].strides
    assert [of_level.shape[2:4] for of_level in logits] == [(128 // stride, 64 // stride) for stride in strides]
    assert model.decode(logits).shape == (1, sum(3 * (128 // stride) * (64 // stride) for stride in strides), 8)


def test_all_parameters_learn(model: DynamicYolo) -> None:
    model.train()
    images = torch.rand(2, 3, 128, 128)
    maps = model.first_maps(images)
    assert model.router is not None
    logits = [*model.easy_logits(maps), *model.hard_logits(images, maps)]
    loss = sum(of_level.square().mean() for of_level in logits) + model.router(model.routed_maps(maps)).sum()
    loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_without_a_router_nothing_routes(small_variant) -> None:
    model = DynamicYolo(small_variant("dy-yolov7"), router=False)
    with pytest.raises(ValueError, match="without a router"):
        model(torch.rand(1, 3, 64, 64), 0.5)
