"""The router: what it reads, and who takes which path."""

import pytest
import torch

from detection.models.routing.adaptive_offset import AdaptiveOffset, routing_losses
from detection.models.routing.router import Router, pooled, takes_easy_path


def test_cameras_and_pixels_weigh_alike() -> None:
    maps = torch.randn(2, 6, 5, 3, 4)
    side_by_side = maps.permute(0, 2, 3, 1, 4).flatten(3)
    torch.testing.assert_close(pooled([maps]), pooled([side_by_side]))


def test_summary_matters_and_has_to_fit() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(3, 8, 4, 4)]
    router = Router([8], num_summary=2)
    torch.nn.init.normal_(router.layer2.weight)
    assert not torch.equal(router(maps, torch.zeros(3, 2)), router(maps, torch.ones(3, 2)))
    with pytest.raises(ValueError, match="summary of 2 numbers"):
        router(maps)
    with pytest.raises(ValueError, match="summary of 0 numbers"):
        Router([8])(maps, torch.zeros(3, 2))


def test_known_as_trained_by_its_weights_alone() -> None:
    router = Router([8])
    assert not router.is_trained and router([torch.randn(3, 8, 4, 4)]).tolist() == [0.5] * 3
    router([torch.randn(3, 8, 4, 4)]).sum().backward()
    torch.optim.SGD(router.parameters(), lr=0.1).step()
    assert router.is_trained


def test_scores_are_shares_in_full_precision_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        router = Router([8])
        torch.nn.init.normal_(router.layer2.weight)
        scores = router([100 * torch.randn(3, 2, 8, 4, 4)])
    assert scores.dtype == torch.float32 and ((scores >= 0) & (scores <= 1)).all()


def test_threshold_itself_is_easy_and_one_is_hard_for_all() -> None:
    scores = torch.tensor([0.0, 0.4, 0.5, 1.0])
    assert takes_easy_path(scores, 0.5).tolist() == [False, False, True, True]
    assert takes_easy_path(scores, 0.0).all()
    assert not takes_easy_path(scores, 1.0).any()
    assert takes_easy_path(scores, torch.tensor([0.1, 0.1, 0.9, 0.9])).tolist() == [False, True, False, True]


def test_router_learns_which_inputs_gain() -> None:
    """Half of the inputs gain more than the others; the offset makes that half hard, though the second always wins."""
    torch.manual_seed(0)
    router, offset = Router([8]), AdaptiveOffset()
    optimizer = torch.optim.Adam(router.parameters(), lr=1e-2)
    gains = torch.tensor([0.5, 1.5]).repeat(4)
    maps = torch.randn(8, 8, 4, 4)
    maps[:, 0] += 2 * gains[:, None, None]
    for _ in range(300):
        loss = routing_losses(router([maps]), 1 + gains, torch.ones(8), offset.update(gains)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = router([maps])
    assert (scores[gains < 1] > 0.9).all() and (scores[gains > 1] < 0.1).all()
