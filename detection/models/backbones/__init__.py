"""Image backbones: images to feature maps."""

from detection.models.backbones.resnet import ResNet

__all__ = ["ResNet"]
