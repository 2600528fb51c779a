"""Losses between a student's feature maps and a teacher's."""

from detection.distillation.losses.divergence import BalancedKL, ChannelWiseKL
from detection.distillation.losses.focal_global import FocalGlobalLoss
from detection.distillation.losses.imitation import FeatureL2, MaskedGenerativeLoss

__all__ = ["BalancedKL", "ChannelWiseKL", "FeatureL2", "FocalGlobalLoss", "MaskedGenerativeLoss"]
