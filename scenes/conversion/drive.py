"""`Drive`: what every reader of a recording hands to the one writer of tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scenes.boxes import Boxes3D
from scenes.classes import NO_CLASS
from scenes.conversion.contents import Content
from scenes.errors import InputError, shown
from scenes.geometry import FloatArray
from scenes.taxonomy import Taxonomy

LIDAR_CHANNEL = "LIDAR_TOP"
"""Channel of the lidar that gives a frame its pose and its points, whatever the source calls it."""

_UNIT_TOLERANCE = 0.01
"""How far a quaternion's norm may lie from 1."""

FARTHEST_M: Final = 1e9
"""What is as far is no place."""

MOST_POINTS: Final = 2**31 - 1
"""In a box: what a table can hold."""

_LONGEST_NAME: Final = 100


@dataclass(frozen=True, eq=False)
class Recording:
    """One image or sweep.

    Attributes:
        timestamp_us: time of exposure, microseconds.
        global_from_ego: (4, 4) ego pose at that time.
        content: what the file holds.
    """

    timestamp_us: int
    global_from_ego: FloatArray
    content: Content


@dataclass(frozen=True, eq=False)
class Sensor:
    """A camera, lidar or radar with all that it recorded in a drive.

    Attributes:
        channel: the source's name of it, a plain file name; the lidar of the frames is `LIDAR_CHANNEL`.
        modality: camera, lidar or radar.
        ego_from_sensor: (4, 4) mounting; camera axes are x right, y down, z forward.
        recordings: in the order of time.
        intrinsic: (3, 3) pinhole matrix of a camera, pixels.
        size_px: width and height of a camera's images; None where they are not known.
    """

    channel: str
    modality: Literal["camera", "lidar", "radar"]
    ego_from_sensor: FloatArray
    recordings: Sequence[Recording]
    intrinsic: FloatArray | None = None
    size_px: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """What the source has labelled in one frame.

    Attributes:
        boxes: N boxes in global coordinates; `track_id` is the source's identity, `attribute` nuScenes' or "". Labels
            and scores mean nothing here.
        source_type: (N) the source's own name of each box's type.
        visibility: (N) nuScenes' level 1 to 4, 0 where it is not known; None where it is not known of any.
        num_lidar_pts: (N) points in each box as the source states them; None to count them in the point cloud.
        details: (N) further values that the source states of each box, for the table `source_label`; None for none.
        regions: labels without a 3D box, such as KITTI's DontCare, with the same kind of values.
    """

    boxes: Boxes3D
    source_type: Sequence[str]
    visibility: Sequence[int] | None = None
    num_lidar_pts: Sequence[int] | None = None
    details: Sequence[Mapping[str, Any]] | None = None
    regions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, eq=False)
class DriveFrame:
    """A moment that can become a key frame.

    Attributes:
        timestamp_us: microseconds.
        name: the source's name of it (a number, a time in nanoseconds): results in the source's format are told apart
            by it.
        labels: what is labelled in it.
        token: the sample's token, where the source has tokens itself; "" to make one up.
    """

    timestamp_us: int
    name: str
    labels: Labels | None = None
    token: str = ""


@dataclass(frozen=True, eq=False)
class Drive:
    """One drive.

    Attributes:
        name: of the scene.
        sensors: with their recordings; at least one.
        frames: moments in the order of time; at least one.
        description, location, vehicle: as in the tables.
        ego_from_labels: (4, 4) pose of the frame in which the source gives boxes and takes results, where it moves
            with the ego vehicle.
    """

    name: str
    sensors: Sequence[Sensor]
    frames: Sequence[DriveFrame]
    description: str = ""
    location: str = ""
    vehicle: str = ""
    ego_from_labels: FloatArray | None = None


class Source(Protocol):
    """A folder in some format.

    Attributes:
        path: the folder.
        format: its name, for categories that nuScenes does not have.
        version: the folder of tables that is written.
        taxonomy: the classes that the data root will have.
        categories: the nuScenes category of each of the source's types; of a type that has none it is left out.
    """

    @property
    def path(self) -> Path: ...
    @property
    def format(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def taxonomy(self) -> Taxonomy: ...
    @property
    def categories(self) -> Mapping[str, str]: ...

    def drives(self) -> list[str]:
        """The names of the drives, in order; at least one.

        Raises:
            InputError: there is none, or the folder is not of the format.
        """

    def files(self, name: str) -> list[Path]:
        """The files that a drive is read from, and folders of which every file counts; some may be missing.

        A conversion that goes on takes over a drive as it is as long as the sizes and times of these stay.
        """

    def read(self, name: str) -> Drive:
        """A drive.

        Raises:
            InputError: a file of it is missing or cannot be used; the message names file and record.
        """


def category_of_type(source_type: str, format_: str, categories: Mapping[str, str], taxonomy: Taxonomy) -> str:
    """The annotation category of a source's type.

    It is the type's own, such as `kitti.Van`, where some class lists that; else nuScenes', where there is one.

    Args:
        source_type: the source's own name.
        format_, categories, taxonomy: see `Source`.
    """
    own = f"{format_}.{source_type}"
    return own if taxonomy.label_of_category(own) >= 0 else categories.get(source_type) or own


@dataclass
class BoxColumns:
    """Boxes of a frame while they are read one by one, in the frame of the labels."""

    center_m: list[Sequence[float]] = field(default_factory=list)
    size_wlh_m: list[Sequence[float]] = field(default_factory=list)
    rotation: list[ArrayLike] = field(default_factory=list)
    track_id: list[str] = field(default_factory=list)
    attribute: list[str] = field(default_factory=list)

    def add(
        self,
        center_m: Sequence[float],
        size_wlh_m: Sequence[float],
        rotation_wxyz: ArrayLike,
        track_id: str,
        attribute: str = "",
    ) -> None:
        self.center_m.append(center_m)
        self.size_wlh_m.append(size_wlh_m)
        self.rotation.append(rotation_wxyz)
        self.track_id.append(track_id)
        self.attribute.append(attribute)

    def boxes(self, global_from_labels: FloatArray) -> Boxes3D:
        """The boxes in global coordinates."""
        return label_boxes(
            self.center_m, self.size_wlh_m, self.rotation, self.track_id, self.attribute, global_from_labels
        )


def label_boxes(
    center_m: ArrayLike,
    size_wlh_m: ArrayLike,
    rotation_wxyz: ArrayLike | Sequence[ArrayLike],
    track_id: Sequence[str],
    attribute: Sequence[str] | None,
    global_from_labels: FloatArray,
) -> Boxes3D:
    """Labelled boxes of a frame in global coordinates.

    Args:
        center_m, size_wlh_m, rotation_wxyz: (N, 3), (N, 3), (N, 4) in the frame of the labels.
        track_id: (N) the source's identities.
        attribute: (N) nuScenes attributes or ""; None for none.
        global_from_labels: (4, 4).
    """
    count = len(track_id)
    boxes = Boxes3D(
        center_m=np.asarray(center_m, dtype=np.float64).reshape(count, 3),
        size_wlh_m=np.asarray(size_wlh_m, dtype=np.float64).reshape(count, 3),
        rotation=np.asarray(rotation_wxyz, dtype=np.float64).reshape(count, 4),
        velocity_mps=np.full((count, 2), np.nan),
        label=np.full(count, NO_CLASS),
        score=np.ones(count),
        track_id=np.array(track_id, dtype=np.str_),
        attribute=np.array([""] * count if attribute is None else attribute, dtype=np.str_),
    )
    # Boxes without an orientation are none: they cannot be turned, and whoever writes them refuses them by name.
    return boxes.transform(global_from_labels) if are_orientations(boxes.rotation).all() else boxes


def is_orientation(rotation_wxyz: Sequence[float]) -> bool:
    """Whether a quaternion is of unit length, but for what written digits leave out."""
    return bool(are_orientations(np.array([rotation_wxyz], dtype=np.float64))[0])


def are_orientations(rotation_wxyz: FloatArray) -> NDArray[np.bool_]:
    """(N,) whether (N, 4) quaternions are of unit length, but for what written digits leave out."""
    norms = np.linalg.norm(rotation_wxyz, axis=1)
    unit: NDArray[np.bool_] = np.abs(norms - 1) < _UNIT_TOLERANCE
    return unit


def check_name(name: str, what: str) -> None:
    """Refuse what cannot be part of a path: of a folder that was passed on, names must not lead anywhere else.

    Raises:
        InputError: naming `what` it is the name of.
    """
    if not re.fullmatch(r"[\w][\w.+@=-]*", name, re.ASCII) or len(name) > _LONGEST_NAME:
        raise InputError(f"{what} {shown(name)} cannot be a file's name (letters, digits and . _ + @ = - are taken)")


def check_numbers(matrix: FloatArray, what: str) -> None:
    """Refuse a matrix that holds something that tables cannot hold.

    Raises:
        InputError: naming `what` the matrix is.
    """
    if not (np.abs(matrix) < FARTHEST_M).all():
        raise InputError(f"{what} holds what is no number, or is too large: {matrix.tolist()}")
