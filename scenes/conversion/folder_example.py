"""Writes a `calibration.yaml` to fill in, for the cameras that a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scenes.conversion.folder import CALIBRATION, IMAGE_SUFFIXES
from scenes.conversion.video_frames import SUFFIXES as VIDEO_SUFFIXES
from scenes.conversion.video_frames import VideoFrames
from scenes.errors import InputError
from scenes.files import write_atomically
from scenes.image_size import image_size_px

_FOCAL_LENGTH_PER_WIDTH: Final = 0.7
"""Of a lens that sees 71 degrees."""

_HEAD: Final = """\
# Your recording. Lengths are metres, in the ego frame: x ahead, y to the left, z up, from a point of your choice, such
# as the ground under the middle of the rear axle.
#
# Beside this file may lie
#   ego.csv    time,x,y,z,qw,qx,qy,qz: where the vehicle is, global from ego. Without it the rig stands still.
#   boxes.csv  time,object,class,x,y,z,width,length,height,yaw_rad: what you have labelled; see `boxes` below.
#
# time_unit: s        # s, ms, us or ns, of csv files and of images named by their time; by default told from their size
# boxes: ego          # the frame of boxes.csv: ego (at the time of the box) or global
# lidar:              # point clouds .bin, .npy or .pcd, named by their time
#   points: lidar
#   fields: 4         # values a point in .bin
#   translation: [0.0, 0.0, 1.8]
#   yaw_deg: 0.0
cameras:
"""

_CAMERA: Final = """\
  {name}:
    images: {images}  # {kind}
    size: [{width}, {height}]
    intrinsic: {{fx: {focal:.1f}, fy: {focal:.1f}, cx: {cx:.1f}, cy: {cy:.1f}}}  # a guess: of your calibration, pixels
    # distortion: {{model: pinhole, coefficients: [k1, k2, p1, p2, k3]}}  # or fisheye with four; images are undistorted
    translation: [0.0, 0.0, 1.5]  # of the lens, from the ego frame's origin
    yaw_deg: 0.0  # where it looks: 0 ahead, 90 to the left, -90 to the right, 180 back
    pitch_deg: 0.0  # downwards
    roll_deg: 0.0  # tilted to the right
{timing}"""

_COUNTED: Final = "    rate: 10.0  # images a second; leave it out where files are named by their time\n"
_VIDEO: Final = "    start: 0.0  # seconds: when the video begins, on the clock that all share\n"


def write_example(folder: Path) -> list[str]:
    """Write `calibration.yaml` with an entry for each folder of images and each video in `folder`.

    Args:
        folder: is made if it is not there.

    Returns:
        the names of the cameras; "front" alone in an empty folder.

    Raises:
        InputError: there is a calibration already, or a video cannot be read.
    """
    path = folder / CALIBRATION
    if path.exists():
        raise InputError(f"{path}: is there already")
    found = [entry for entry in sorted(folder.glob("*")) if entry.name[0] != "."] if folder.is_dir() else []
    cameras = [camera for entry in found if (camera := _camera(entry))]
    if not cameras:
        cameras = [("front", _entry("front", "front", "folder of images", (1920, 1080), _COUNTED))]
    write_atomically(path, (_HEAD + "".join(text for _, text in cameras)).encode())
    return [name for name, _ in cameras]


def _camera(path: Path) -> tuple[str, str] | None:
    """The name and the entry of what may be a camera."""
    name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in path.stem)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        video = VideoFrames(path)
        return name, _entry(name, path.name, f"video, {video.count} frames", video.size_px, _VIDEO)
    images = _images(path)
    if not images:
        return None
    counted = _COUNTED if images[0].stem.isdecimal() and int(images[0].stem) < 10**8 else ""
    return name, _entry(name, path.name, f"{len(images)} images", image_size_px(images[0]), counted)


def _images(folder: Path) -> Sequence[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _entry(name: str, images: str, kind: str, size_px: tuple[int, int], timing: str) -> str:
    width, height = size_px
    return _CAMERA.format(
        name=name,
        images=f'"{images}"',
        kind=kind,
        width=width,
        height=height,
        focal=_FOCAL_LENGTH_PER_WIDTH * width,
        cx=width / 2,
        cy=height / 2,
        timing=timing,
    )
