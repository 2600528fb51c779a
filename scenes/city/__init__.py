"""The synthetic city: simulated traffic, rendered cameras, ray-cast lidar, written as a nuScenes-format data root."""

from scenes.city.dataset import TRAIN_SPLIT, VAL_SPLIT, VERSION, make_city

__all__ = ["TRAIN_SPLIT", "VAL_SPLIT", "VERSION", "make_city"]
