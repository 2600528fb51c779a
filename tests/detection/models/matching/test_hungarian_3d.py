"""The matcher of queries and boxes: costs by the formula, the best assignment by trying all."""

from itertools import permutations

import torch

from detection.frames import FrameTargets
from detection.models.box_coder import encode_boxes
from detection.models.matching.hungarian_3d import HungarianMatcher3D

WEIGHTS = torch.tensor([2.0, 2, 1, 1, 1, 1, 1, 1, 1, 1])
LAYERS, STREAMS, QUERIES = 2, 3, 5


def _targets(count: int, seed: int) -> FrameTargets:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 9, generator=generator) + 0.5
    return FrameTargets(boxes, torch.randint(0, 4, (count,), generator=generator), ())


def _predictions() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(9)
    logits = torch.randn(LAYERS, STREAMS, QUERIES, 4, generator=generator)
    return logits, torch.randn(LAYERS, STREAMS, QUERIES, 10, generator=generator)


def test_matching_costs_least_in_each_layer_and_stream() -> None:
    targets = tuple(_targets(count, seed=count) for count in (3, 0, 2))
    logits, codes = _predictions()
    matcher = HungarianMatcher3D()
    matches = matcher.match(logits, codes, targets, WEIGHTS)
    assert len(matches.queries) == LAYERS * 5
    first_box = (0, 3, 3)
    for layer in range(LAYERS):
        for stream, target in enumerate(targets):
            here = (matches.layers == layer) & (matches.streams == stream)
            boxes = matches.boxes[here] - first_box[stream]
            assert sorted(boxes.tolist()) == list(range(len(target.labels)))
            cost = matcher.cost(logits[layer, stream], codes[layer, stream], target, WEIGHTS)
            chosen = cost[matches.queries[here], boxes].sum()
            count = range(len(target.labels))
            least = min(
                sum(cost[q, b] for q, b in zip(order, count, strict=False))
                for order in permutations(range(QUERIES), len(count))
            )
            torch.testing.assert_close(chosen, torch.as_tensor(least, dtype=torch.float32))


def test_more_boxes_than_queries() -> None:
    logits, codes = _predictions()
    matches = HungarianMatcher3D().match(logits[:, :1], codes[:, :1], (_targets(8, 0),), WEIGHTS)
    assert len(matches.queries) == LAYERS * QUERIES
    assert len(set(matches.boxes[matches.layers == 0].tolist())) == QUERIES


def test_cost_is_focal_plus_l1_without_velocity() -> None:
    target = _targets(1, 3)
    logits, codes = _predictions()
    cost = HungarianMatcher3D(class_weight=2.0, box_weight=0.25).cost(logits[0, 0], codes[0, 0], target, WEIGHTS)
    p = logits[0, 0, :, target.labels[0]].sigmoid()
    focal = -0.25 * (1 - p) ** 2 * p.log() + 0.75 * p**2 * (1 - p).log()
    distance = ((codes[0, 0] - encode_boxes(target.boxes[0])).abs() * WEIGHTS)[:, :8].sum(dim=1)
    torch.testing.assert_close(cost[:, 0], 2 * focal + 0.25 * distance, atol=1e-5, rtol=1e-5)


def test_velocity_that_is_not_known_and_predictions_that_are_no_numbers_are_matched() -> None:
    target = _targets(2, 3)
    target.boxes[:, 7:] = torch.nan
    logits, codes = _predictions()
    codes[0, 0, 0] = torch.nan
    matches = HungarianMatcher3D().match(logits[:1, :1], codes[:1, :1], (target,), WEIGHTS)
    assert len(matches.queries) == 2
    assert 0 not in matches.queries.tolist()
