"""Boxes that stay beside better neighbours, against choosing them one by one."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from detection.models.suppression_3d import ranked_without_neighbours

RADII = torch.tensor([1.0, 3.0])


def _one_by_one(centers: Tensor, scores: Tensor, labels: Tensor) -> list[int]:
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        rivals = [one for one in kept if labels[one] == labels[index]]
        if all(math.dist(centers[one].tolist(), centers[index].tolist()) >= RADII[labels[index]] for one in rivals):
            kept.append(index)
    return kept


@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), side_m=st.sampled_from([4.0, 10.0, 30.0]))
def test_streams_keep_what_they_keep_one_by_one(seed: int, count: int, side_m: float) -> None:
    """Few places for many boxes, scores that may be equal, two streams at once."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(2, count, 2, generator=generator) * side_m
    scores = torch.randint(0, 3 * count, (2, count), generator=generator) / 100
    labels = torch.randint(0, 2, (2, count), generator=generator)
    ranked, kept = ranked_without_neighbours(centers, scores, labels, RADII)
    for stream in range(2):
        expected = _one_by_one(centers[stream], scores[stream], labels[stream])
        assert ranked[stream][kept[stream]].tolist() == expected
        assert kept[stream].tolist() == sorted(kept[stream].tolist(), reverse=True)
        rest = [int(index) for index in scores[stream].argsort(descending=True, stable=True) if index not in expected]
        assert ranked[stream][~kept[stream]].tolist() == rest


def test_a_chain_longer_than_the_rounds_loses_nothing_that_should_stay() -> None:
    """A hundred boxes in a row, each beside the one before and worse than it: of the first 32 every other one stays."""
    count = 100
    centers = torch.stack((0.9 * torch.arange(count), torch.zeros(count)), dim=1)[None]
    scores = torch.linspace(1, 0, count)[None]
    ranked, kept = ranked_without_neighbours(centers, scores, torch.zeros(1, count, dtype=torch.int64), RADII)
    found = set(ranked[kept].tolist())
    assert set(range(0, count, 2)) <= found
    assert not found & set(range(1, 32, 2))
