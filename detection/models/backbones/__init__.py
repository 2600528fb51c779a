"""Image backbones: images to feature maps."""
