"""Necks: the feature maps of a backbone to maps of one width."""

from detection.models.necks.cpfpn import CPFPN
from detection.models.necks.fpn import FPN

__all__ = ["CPFPN", "FPN"]
