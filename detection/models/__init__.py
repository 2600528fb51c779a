"""The networks: backbones, necks, heads and the detectors made of them. Importing this package registers them all."""

from detection.models import backbones, box_coder, denoising, detectors, heads, losses, matching, necks, yolo

__all__ = ["backbones", "box_coder", "denoising", "detectors", "heads", "losses", "matching", "necks", "yolo"]
