"""From images as cameras give them to what an exported network takes: scaled, cropped, normalised, channels first.

The scale is the smallest at which the image fills the network's; rows are cut off above, columns on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detection.data.cropping import scaled_and_cropped
from detection.data.sample import CameraView, FrameSample
from detection.deployment.contract import Description
from scenes import InputError
from scenes.geometry import FloatArray, invert_pose

Float32Array = NDArray[np.float32]

NODE_MEAN: Final = (123.675, 116.28, 103.53)
NODE_STD: Final = (58.395, 57.12, 57.375)
"""Of red, green and blue; the node takes the same for blue, green and red, in that order."""

FILTERS: Final = {"bicubic": Image.Resampling.BICUBIC, "triangle": Image.Resampling.BILINEAR}
"""`bicubic` as the networks were trained, `triangle` as the node does it; both widen as the image shrinks."""


@dataclass(frozen=True, eq=False)
class StreamImages:
    """What the cameras of one stream show, as an exported network takes it.

    Attributes:
        images: (N, 3, H, W) float32.
        intrinsics: (N, 4, 4) float32, points of the camera to homogeneous points of `images`.
        base_from_image: (N, 4, 4) float32, the inverse of (intrinsics @ camera from base).
    """

    images: Float32Array
    intrinsics: Float32Array
    base_from_image: Float32Array


def stream_images(sample: FrameSample, description: Description, filter_: str) -> StreamImages:
    """A frame's images, as the node prepares them.

    Args:
        sample: with images (H, W, 3) uint8 RGB.
        description: of the export.
        filter_: one of `FILTERS`.

    Raises:
        InputError: other cameras than the network has.
    """
    base_from_lidar = np.array(description.base_link_from_lidar, dtype=np.float64)
    images, intrinsics, base_from_image = [], [], []
    for view in _views(sample, description):
        assert view.image is not None
        image, image_from_camera = network_image(view.image, view.image_from_camera, description.image_size_px, filter_)
        camera_from_base = view.camera_from_lidar @ invert_pose(base_from_lidar)
        images.append(normalized(image, description.channels))
        intrinsics.append(image_from_camera.astype(np.float32))
        base_from_image.append(np.linalg.inv(image_from_camera @ camera_from_base).astype(np.float32))
    return StreamImages(np.stack(images), np.stack(intrinsics), np.stack(base_from_image))


def _views(sample: FrameSample, description: Description) -> list[CameraView]:
    """The cameras that the network sees, in its order: by their names, or all where none has such a name."""
    by_name = {view.name: view for view in sample.views}
    if by_name.keys() >= set(description.cameras):
        return [by_name[name] for name in description.cameras]
    if len(sample.views) != len(description.cameras) or by_name.keys() & set(description.cameras):
        raise InputError(
            f"sample '{sample.sample_token}' has the cameras {', '.join(by_name)}, the network "
            f"{', '.join(description.cameras)}"
        )
    return list(sample.views)


def network_image(
    image: NDArray[np.uint8], image_from_camera: FloatArray, size_px: tuple[int, int], filter_: str
) -> tuple[NDArray[np.uint8], FloatArray]:
    """An image of the network's size, and the calibration that goes with it.

    Args:
        image: (H, W, 3) uint8.
        image_from_camera: (4, 4) intrinsics.
        size_px: height and width of the network's image.
        filter_: one of `FILTERS`.
    """
    height, width = image.shape[:2]
    scale = max(size_px[0] / height, size_px[1] / width)
    left = int(0.5 * max(0.0, scale * width - size_px[1]))
    top = int(scale * height) - size_px[0]
    scaled = np.array([[scale, 0.0, -left, 0.0], [0.0, scale, -top, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    return scaled_and_cropped(image, scale, left, top, size_px, FILTERS[filter_]), scaled @ image_from_camera


def normalized(image: NDArray[np.uint8], channels: str) -> NDArray[np.float32]:
    """(3, H, W) of (H, W, 3) RGB, in the order of the channels that the node has."""
    order = slice(None) if channels == "rgb" else slice(None, None, -1)
    mean, scale = (np.array(values, dtype=np.float32)[order] for values in (NODE_MEAN, 1 / np.array(NODE_STD)))
    pixels = (image[..., order].astype(np.float32) - mean) * scale
    return np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
