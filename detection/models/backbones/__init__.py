"""Image backbones: images to feature maps."""

from detection.models.backbones.eva02 import EVA02
from detection.models.backbones.resnet import ResNet
from detection.models.backbones.vovnet import VoVNet

__all__ = ["EVA02", "ResNet", "VoVNet"]
