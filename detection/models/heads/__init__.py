"""Heads: feature maps to 3D boxes (and, in training, to 2D boxes)."""
