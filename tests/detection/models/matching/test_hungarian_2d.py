"""2D matching: the cheapest of all matchings, found by trying them all."""

from itertools import permutations

import pytest
import torch

from detection.frames import CameraTargets
from detection.models.matching.hungarian_2d import HungarianMatcher2D, Predictions2D

SIZE_PX = (64, 176)


def _image(tokens: int, boxes: int, seed: int) -> tuple[Predictions2D, CameraTargets]:
    torch.manual_seed(seed)
    predictions = Predictions2D(
        torch.randn(tokens, 3), torch.rand(tokens, 4) * 0.5, torch.rand(tokens, 2), torch.randn(tokens)
    )
    low = torch.rand(boxes, 2) * 50
    corners = torch.cat([low, low + 1 + torch.rand(boxes, 2) * 50], dim=1)
    return predictions, CameraTargets(
        corners, torch.randint(3, (boxes,)), low + 2 * torch.rand(boxes, 2), torch.ones(boxes)
    )


@pytest.mark.parametrize("seed", range(5))
def test_matching_is_the_cheapest(seed: int) -> None:
    matcher = HungarianMatcher2D()
    predictions, targets = _image(tokens=6, boxes=3, seed=seed)
    cost = matcher.cost(predictions, targets, SIZE_PX)
    cheapest = min(permutations(range(6), 3), key=lambda rows: sum(cost[row, box] for box, row in enumerate(rows)))
    ((predicted, true),) = matcher.match([predictions], [targets], SIZE_PX)
    assert sorted(zip(true.tolist(), predicted.tolist(), strict=True)) == list(enumerate(cheapest))


def test_cost_by_hand() -> None:
    predictions = Predictions2D(
        torch.zeros(1, 2), torch.tensor([[0.5, 0.5, 0.5, 0.5]]), torch.tensor([[0.5, 0.25]]), torch.zeros(1)
    )
    targets = CameraTargets(
        torch.tensor([[0.0, 0.0, 176.0, 64.0]]), torch.tensor([1]), torch.tensor([[88.0, 32.0]]), torch.ones(1)
    )
    focal = 0.25 * torch.log(torch.tensor(2.0)) * (0.25 - 0.75)
    expected = 2 * focal + 5 * 1.0 - 2 * 0.25 + 10 * 0.25
    torch.testing.assert_close(HungarianMatcher2D().cost(predictions, targets, SIZE_PX), expected.reshape(1, 1))


def test_image_without_boxes_matches_nothing() -> None:
    predictions, targets = _image(tokens=4, boxes=0, seed=0)
    ((predicted, true),) = HungarianMatcher2D().match([predictions], [targets], SIZE_PX)
    assert not len(predicted) and not len(true)


def test_predictions_that_are_no_numbers_do_not_stop_the_matching() -> None:
    predictions, targets = _image(tokens=4, boxes=2, seed=0)
    predictions.class_logits.fill_(float("nan"))
    ((predicted, _),) = HungarianMatcher2D().match([predictions], [targets], SIZE_PX)
    assert len(predicted) == 2


def test_images_side_by_side_are_matched_as_alone() -> None:
    matcher = HungarianMatcher2D()
    images = [_image(tokens=6, boxes=boxes, seed=boxes) for boxes in (3, 0, 8)]
    together = matcher.match(*map(list, zip(*images, strict=True)), SIZE_PX)
    for (predictions, targets), found in zip(images, together, strict=True):
        (alone,) = matcher.match([predictions], [targets], SIZE_PX)
        assert [part.tolist() for part in found] == [part.tolist() for part in alone]
