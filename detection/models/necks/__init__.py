"""Necks: the feature maps of a backbone to maps of one width."""
