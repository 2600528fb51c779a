"""The image files of key frames: there, whole, of the stated size, upright, and each there once.

Of each file the header and three pieces are read, not the pixels: a data root of two hundred thousand images is looked
through in minutes. Some images are decoded as well.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from scenes.doctor.data_root import DataRoot
from scenes.doctor.findings import Example, Finding, Severity
from scenes.doctor.splits import excludes, read_splits
from scenes.errors import InputError
from scenes.image_files import is_cut_off, open_image_file, read_image_file
from scenes.image_size import ImageHeader, read_image_header

_PIECE_BYTES: Final = 4096
_DECODED: Final = 120
_BLANK_LEVELS: Final = 1.0
"""Standard deviation below which an image shows nothing: even a dark one has more noise."""
_UPRIGHT: Final = 1
_MOVED_M: Final = 0.05
"""A step by which what is near moves by a pixel."""


class _File(NamedTuple):
    """An image file that could be opened: its recording, path, header, and a digest of its size and three pieces."""

    row: int
    path: Path
    header: ImageHeader
    digest: bytes


def check_images(root: DataRoot) -> Iterator[Finding]:
    """Everything that files tell."""
    present, missing = _present(root)
    files: list[_File] = []
    broken: list[tuple[int, str]] = []
    for row, path in present:
        looked = _look(row, path)
        if isinstance(looked, str):
            broken.append((row, looked))
        else:
            files.append(looked)
    yield from _missing_files(root, missing, len(present))
    blank: list[int] = []
    for at in np.unique(np.linspace(0, len(files) - 1, _DECODED).astype(int)).tolist() if files else []:
        deviation = _deviation(files[at].path)
        if deviation is None:
            broken.append((files[at].row, f"{files[at].path}: cannot be decoded"))
        elif deviation < _BLANK_LEVELS:
            blank.append(files[at].row)
    if broken:
        yield Finding(
            "image-unreadable",
            Severity.ERROR,
            len(broken),
            len(present),
            "images are cut off, empty, or no images",
            _example(root, broken[0][0], broken[0][1]),
            "Copy or extract these files again.",
        )
    if blank:
        yield Finding(
            "image-blank",
            Severity.WARNING,
            len(blank),
            min(len(files), _DECODED),
            "images show nothing: all pixels are alike (some images all over the data root are looked at)",
            _example(root, blank[0], root.recordings.filenames[blank[0]]),
            "Look for a covered lens, a failed exposure, or an extraction that wrote empty frames.",
        )
    yield from _sizes(root, files)
    yield from _duplicates(root, files)


def _present(root: DataRoot) -> tuple[list[tuple[int, Path]], list[int]]:
    """The recordings of cameras whose files are there, with their paths, and those whose files are not."""
    present: list[tuple[int, Path]] = []
    missing: list[int] = []
    for row in root.recordings.cameras.tolist():
        path = root.image_path(row)
        if path is not None:
            if os.path.lexists(path):
                present.append((row, path))
            else:
                missing.append(row)
    return present, missing


def _look(row: int, path: Path) -> _File | str:
    """An image file, or why it is none."""
    try:
        return _opened(row, path)
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror}"


def _opened(row: int, path: Path) -> _File:
    with open_image_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        pieces = []
        for start in (0, max(0, size // 2 - _PIECE_BYTES), max(0, size - _PIECE_BYTES)):
            file.seek(start)
            pieces.append(file.read(_PIECE_BYTES))
    if not size:
        raise InputError(f"{path}: empty")
    header = read_image_header(path)
    if is_cut_off(pieces[0] + pieces[2]):
        raise InputError(f"{path}: cut off")
    return _File(row, path, header, blake2b(b"".join([size.to_bytes(8, "big"), *pieces]), digest_size=16).digest())


def _deviation(path: Path) -> float | None:
    """The standard deviation of an image's grey levels, at an eighth of its size; None where it cannot be decoded."""
    # OpenCV is imported where it is used: most commands that read scenes need no images.
    import cv2

    try:
        content = np.frombuffer(read_image_file(path), dtype=np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except (OSError, cv2.error):
        return None
    return None if image is None else float(np.std(image))


def _missing_files(root: DataRoot, missing: list[int], present: int) -> Iterator[Finding]:
    """Frames without any image were not copied, which is for information; single images among others were lost."""
    recordings = root.recordings
    frames = len(root.samples.tokens)
    cameras = np.bincount(recordings.sample[recordings.cameras], minlength=frames)
    rows = np.array(missing, dtype=np.int64)
    scene = root.samples.scene
    whole = np.bincount(recordings.sample[rows], minlength=frames) == cameras
    # In a scene of which most frames have images, a frame without any is a loss as well.
    pictured = np.bincount(scene[~whole & (cameras > 0)], minlength=len(root.scene_tokens))
    bare = np.bincount(scene[whole & (cameras > 0)], minlength=len(root.scene_tokens))
    is_loss = (~whole | (pictured > bare)[scene])[recordings.sample[rows]]
    lost, uncopied = rows[is_loss].tolist(), rows[~is_loss].tolist()
    if lost:
        yield Finding(
            "image-missing",
            Severity.ERROR,
            len(lost),
            len(missing) + present,
            "images are missing beside others of their frame or scene",
            _example(root, lost[0], recordings.filenames[lost[0]]),
            "Copy the files again, or take their frames out of the tables.",
        )
    if uncopied:
        yield Finding(
            "images-absent",
            Severity.NOTE,
            len(uncopied),
            len(missing) + present,
            "whole frames have no image on disk: tables alone serve tracking and scoring, not detection",
            _example(root, uncopied[0], recordings.filenames[uncopied[0]]),
            "Copy the images below the data root before a detector is run or trained.",
        )


def _sizes(root: DataRoot, files: list[_File]) -> Iterator[Finding]:
    """Images of another size than is stated, or than the first of their camera where nothing is."""
    other: list[tuple[int, str]] = []
    lying: list[tuple[int, str]] = []
    turned: list[tuple[int, str]] = []
    first_of: dict[int, tuple[int, int]] = {}
    for file in files:
        size = file.header.upright_size_px
        width, height = root.recordings.size_px[file.row].tolist()
        calibration = int(root.recordings.calibration[file.row])
        expected = (width, height) if min(width, height) > 0 else first_of.setdefault(calibration, size)
        text = f"{size[0]}x{size[1]}, expected {expected[0]}x{expected[1]}"
        if size == expected[::-1] and size != expected:
            lying.append((file.row, text))
        elif size != expected:
            other.append((file.row, text))
        elif file.header.orientation != _UPRIGHT:
            turned.append((file.row, f"EXIF orientation {file.header.orientation}"))
    for name, severity, cases, what, advice in (
        (
            "image-rotated",
            Severity.ERROR,
            lying,
            "images lie on their side: width and height are exchanged",
            "Turn the pixels upright, or exchange width and height and turn intrinsics and extrinsics with them.",
        ),
        (
            "image-other-size",
            Severity.ERROR,
            other,
            "images have another size than the tables or the camera's first image",
            "Write width and height of the files, and scale the intrinsics with every resize.",
        ),
        (
            "image-turned-by-exif",
            Severity.WARNING,
            turned,
            "images are turned by an EXIF mark, which some programs heed and some do not",
            "Turn the pixels and drop the mark.",
        ),
    ):
        if cases:
            row, text = cases[0]
            yield Finding(name, severity, len(cases), len(files), what, _example(root, row, text), advice)


def _duplicates(root: DataRoot, files: list[_File]) -> Iterator[Finding]:
    """One picture in several places: between splits, scenes, cameras, or frames of one camera."""
    splits = read_splits(root)
    of_scene = {
        row.name: [split for split, scenes in splits.items() if row.name in scenes] for row in root.scenes.values()
    }
    alike: defaultdict[bytes, list[_File]] = defaultdict(list)
    for file in files:
        alike[file.digest].append(file)
    cases: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for group in alike.values():
        for file in group[1:]:
            if _same_content(group[0].path, file.path):
                first, second = (_scene_name(root, one.row) for one in (group[0], file))
                exclude = any(excludes(a, b, splits) for a in of_scene[first] for b in of_scene[second] if a != b)
                cases[_place(root, group[0].row, file.row, exclude)].append((group[0].row, file.row))
    for name, severity, what, advice in (
        (
            "image-in-two-splits",
            Severity.ERROR,
            "one image stands in scenes of two splits: what was learned is judged",
            "Keep a drive in one split, and each image in one scene.",
        ),
        (
            "image-in-two-scenes",
            Severity.WARNING,
            "one image stands in two scenes",
            "See whether a drive was converted twice.",
        ),
        (
            "image-of-two-cameras",
            Severity.ERROR,
            "two cameras of a frame have the same image",
            "See which file belongs to which camera; one was copied over the other.",
        ),
        (
            "image-repeated",
            Severity.WARNING,
            "a camera gives the same image in several frames, to the last bit, while the vehicle moves",
            "The camera or its recorder hung; drop these frames.",
        ),
        (
            "image-repeated-at-rest",
            Severity.NOTE,
            "a camera gives the same image in several frames while the vehicle stands, as a simulated one may",
            "If the camera is real, it hung: no two exposures have the same noise.",
        ),
    ):
        if cases[name]:
            row, again = cases[name][0]
            text = f"{root.recordings.filenames[again]} is the same as {root.recordings.filenames[row]}"
            yield Finding(name, severity, len(cases[name]), len(files), what, _example(root, again, text), advice)


def _place(root: DataRoot, first: int, second: int, exclude: bool) -> str:
    """What a picture in two places is, see `_duplicates`."""
    recordings = root.recordings
    if root.samples.scene[recordings.sample[first]] != root.samples.scene[recordings.sample[second]]:
        return "image-in-two-splits" if exclude else "image-in-two-scenes"
    if recordings.channel[first] != recordings.channel[second]:
        return "image-of-two-cameras"
    poses = recordings.pose[[first, second]]
    place = root.poses.translation_m[poses] if poses.min() >= 0 else np.full((2, 3), np.nan)
    return "image-repeated-at-rest" if np.linalg.norm(place[1] - place[0]) < _MOVED_M else "image-repeated"


def _same_content(first: Path, second: Path) -> bool:
    try:
        return first == second or read_image_file(first) == read_image_file(second)
    except OSError:
        return False


def _scene_name(root: DataRoot, row: int) -> str:
    return root.scenes[root.scene_tokens[root.samples.scene[root.recordings.sample[row]]]].name


def _example(root: DataRoot, row: int, text: str) -> Example:
    recordings = root.recordings
    channel = str(recordings.channel[row])
    return Example(recordings.tokens[row], "sample_data", text, root.samples.tokens[recordings.sample[row]], channel)
