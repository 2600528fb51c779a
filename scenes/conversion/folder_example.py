"""Writes a `calibration.yaml` to fill in, for the cameras that a folder holds."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from scenes.conversion.file_order import files_in
from scenes.conversion.folder import CALIBRATION, IMAGE_SUFFIXES
from scenes.conversion.video_frames import SUFFIXES as VIDEO_SUFFIXES
from scenes.conversion.video_frames import VideoFrames
from scenes.conversion.yaml_text import quoted
from scenes.errors import InputError
from scenes.files import write_atomically
from scenes.image_size import image_size_px

_LONGEST_NAME: Final = 60
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

    Returns:
        the names of the cameras: those of the videos and folders, in letters and digits, numbered where two are alike.

    Raises:
        InputError: there is a calibration already, nothing in the folder may be a camera, or a video cannot be read.
    """
    path = folder / CALIBRATION
    if path.exists():
        raise InputError(f"{path}: is there already")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    entries: dict[str, str] = {}
    for found in sorted(folder.glob("*")):
        if found.name[0] != "." and (entry := _entry_of(found)):
            name = _camera_name(found, entries)
            entries[name] = f"  {quoted(name)}:\n{entry}"
    if not entries:
        raise InputError(f"{folder}: no video and no folder of images in it")
    write_atomically(path, (_HEAD + "".join(entries.values())).encode())
    return list(entries)


def _camera_name(path: Path, taken: Collection[str]) -> str:
    """What a camera may be called: letters and digits, and no name that another has."""
    own = path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name
    plain = re.sub("[^A-Za-z0-9]", "_", own)[:_LONGEST_NAME]
    name = first = plain if plain.strip("_") else "camera"
    number = 1
    while name in taken:
        number += 1
        name = f"{first}_{number}"
    return name


def _entry_of(path: Path) -> str:
    """The entry of what may be a camera, without its name; "" where it is none."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        video = VideoFrames(path)
        return _entry(path.name, f"video, {video.count} frames", video.size_px, _VIDEO)
    images = files_in(path, IMAGE_SUFFIXES) if path.is_dir() else []
    if not images:
        return ""
    counted = _COUNTED if images[0].stem.isdecimal() and int(images[0].stem) < 10**8 else ""
    return _entry(path.name, f"{len(images)} images", image_size_px(images[0]), counted)


def _entry(images: str, kind: str, size_px: tuple[int, int], timing: str) -> str:
    width, height = size_px
    return _CAMERA.format(
        images=quoted(images),
        kind=kind,
        width=width,
        height=height,
        focal=_FOCAL_LENGTH_PER_WIDTH * width,
        cx=width / 2,
        cy=height / 2,
        timing=timing,
    )
