"""Losses as functions of tensors."""

from detection.models.losses.set_prediction import SetPredictionLoss

__all__ = ["SetPredictionLoss"]
