"""Queries that begin at proposals: their content, and what is found at last as a correction of what was proposed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.models.box_coder import encode_boxes
from detection.models.heads.branches import INITIAL_SCORE, box_branch, class_branch
from detection.models.layers.position import inverse_sigmoid, to_metres, to_shares
from detection.models.layers.precision import full_precision
from detection.models.predictions import Predictions
from detection.models.proposals import Proposals


class ProposalQueries(nn.Module):
    """What a head learns of its proposals beside what it learns of all queries.

    The branches that correct begin at nothing: an untrained decoder leaves proposals as they are.
    """

    full_precision_parts = ("cls_branch", "reg_branch")

    def __init__(self, count: int, in_channels: int, num_classes: int, embed_dims: int) -> None:
        """For `count` proposals a stream with `in_channels` features each.

        Raises:
            ValueError: no proposals.
        """
        super().__init__()
        if count < 1:
            raise ValueError(f"proposals.count is {count}, expected at least 1")
        self.count = count
        self.num_classes = num_classes
        self.embedding = nn.Linear(in_channels, embed_dims)
        self.cls_branch = _starting_at_nothing(class_branch(embed_dims, num_classes))
        self.reg_branch = _starting_at_nothing(box_branch(embed_dims))

    def corrected(
        self, said: Predictions, decoded: Tensor, proposals: Proposals, first: int, pc_range: Tensor
    ) -> Predictions:
        """Predictions in which those of the proposals are their own boxes and scores, corrected by the decoder.

        Args:
            said: of all queries.
            decoded: (layers, B, Q, C).
            proposals: of B streams.
            first: the number of the first of them among the queries.
            pc_range: (6,) least x, y, z and greatest x, y, z in metres of predicted centres.
        """
        last = first + self.count
        with full_precision(decoded):
            decoded = decoded[:, :, first:last].float()
            logits = self.cls_branch(decoded) + self._proposed_logits(proposals)
            known, change = encode_boxes(proposals.boxes), self.reg_branch(decoded)
            shares = (change[..., :3] + inverse_sigmoid(to_shares(known[..., :3], pc_range))).sigmoid()
            codes = torch.cat((to_metres(shares, pc_range), change[..., 3:] + known[..., 3:]), dim=-1)
        return Predictions(
            torch.cat((said.logits[:, :, :first], logits, said.logits[:, :, last:]), dim=2),
            torch.cat((said.codes[:, :, :first], codes, said.codes[:, :, last:]), dim=2),
        )

    def _proposed_logits(self, proposals: Proposals) -> Tensor:
        """(B, P, classes): the score of the class proposed, of all others that of an untrained detector."""
        proposed = functional.one_hot(proposals.labels, self.num_classes).bool()
        least = torch.full_like(proposals.scores, INITIAL_SCORE)
        scores = torch.where(proposed, torch.maximum(proposals.scores, least).unsqueeze(-1), least.unsqueeze(-1))
        return inverse_sigmoid(scores)


def _starting_at_nothing(branch: nn.Sequential) -> nn.Sequential:
    """A branch whose last layer says 0 whatever it is given, until it learns."""
    for parameter in branch[-1].parameters():
        nn.init.zeros_(parameter)
    return branch
