"""The steps of a pipeline of single images, registered in `TRANSFORMS`; each takes an `ImageSample` and gives one."""

from detection.images2d.transforms.affine import RandomAffine
from detection.images2d.transforms.color import RandomHSV
from detection.images2d.transforms.flip import RandomHorizontalFlip
from detection.images2d.transforms.letterbox import Letterbox
from detection.images2d.transforms.mixup import MixUp
from detection.images2d.transforms.mosaic import Mosaic

__all__ = ["Letterbox", "MixUp", "Mosaic", "RandomAffine", "RandomHSV", "RandomHorizontalFlip"]
