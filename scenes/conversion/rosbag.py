"""Reads ROS bags, of ROS 1 and ROS 2, in MCAP too: images with their camera_info, point clouds, tf, odometry.

What is there is found by the messages' types. The ego frame is `base_link`, or what takes its place; its poses come
from tf, or else from one topic of odometry; without both the rig stands still. Needs the extra `rosbag` (rosbags).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scenes.conversion.bag_topics import TopicMessages, cloud_points, header_of, image_pixels, open_bag
from scenes.conversion.contents import DecodedImage, PointArray, PointCloud
from scenes.conversion.drive import LIDAR_CHANNEL, Drive, DriveFrame, Recording, Sensor, is_orientation
from scenes.conversion.lens import COEFFICIENTS, DistortionModel, Lens
from scenes.conversion.transform_tree import TransformTree
from scenes.errors import InputError
from scenes.geometry import FloatArray, pose_matrix
from scenes.taxonomy import NUSCENES, Taxonomy

_IMAGES: Final = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
_CAMERA_INFO: Final = "sensor_msgs/msg/CameraInfo"
_CLOUD: Final = "sensor_msgs/msg/PointCloud2"
_TF: Final = "tf2_msgs/msg/TFMessage"
_TF_1: Final = "tf/msg/tfMessage"
_ODOMETRY: Final = "nav_msgs/msg/Odometry"
_EGO_FRAMES: Final = ("base_link", "base_footprint", "ego_vehicle", "vehicle")
_ODOMETRY_ROOT: Final = "odometry of the ego frame"
_NEARLY_AS_MANY: Final = 0.9
"""Topics of one rate do not begin and end with the bag at the same message."""
_RECTIFIED: Final = ("rect", "rectified")
_MODELS: Final[Mapping[str, DistortionModel]] = {
    "": "pinhole",
    "plumb_bob": "pinhole",
    "rational_polynomial": "pinhole",
    "equidistant": "fisheye",
    "fisheye": "fisheye",
}


@dataclass(frozen=True)
class RosbagSource:
    """A bag, or a folder of bags."""

    path: Path
    format: str = "rosbag"
    version: str = "v1.0-rosbag"
    taxonomy: Taxonomy = NUSCENES

    @property
    def categories(self) -> Mapping[str, str]:
        return {}

    def drives(self) -> list[str]:
        names = sorted(self._bags)
        if not names:
            raise InputError(f"{self.path}: no bag: neither .bag, .mcap, .db3 nor a folder with metadata.yaml")
        return names

    @property
    def _bags(self) -> dict[str, Path]:
        """Bags by the names of their drives."""
        if self.path.is_file() or (self.path / "metadata.yaml").is_file():
            return {self.path.resolve().stem: self.path}
        inside = [path for path in sorted(self.path.glob("*")) if path.suffix in (".bag", ".mcap", ".db3")]
        inside += [path.parent for path in sorted(self.path.glob("*/metadata.yaml"))]
        return {path.stem: path for path in inside}

    def files(self, name: str) -> list[Path]:
        return [self._bags[name]]

    def read(self, name: str) -> Drive:
        return BagReader(self._bags[name], name).drive()


@dataclass(frozen=True)
class _CameraInfo:
    frame: str
    lens: Lens
    rectified: FloatArray


@dataclass(frozen=True, eq=False)
class BagCamera:
    """A camera of a bag, calibrated.

    Attributes:
        topic: of its images.
        channel: its name.
        ego_from_camera: (4, 4) mounting.
        intrinsic: (3, 3) of its images after `undistort`.
        size_px: width and height.
        undistort: the lens by which its images have to be undistorted; None where they are as a pinhole sees.
    """

    topic: str
    channel: str
    ego_from_camera: FloatArray
    intrinsic: FloatArray
    size_px: tuple[int, int]
    undistort: Lens | None


class BagReader:
    """All of a bag but its pixels and points, which is read at once.

    Args:
        path: the bag. name: of its drive.

    Raises:
        InputError: it cannot be read, a camera is not calibrated, or nothing says where the sensors are mounted.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._tree = TransformTree(path)
        self._infos: dict[str, _CameraInfo] = {}
        self._odometry: defaultdict[str, list[tuple[int, str, Any]]] = defaultdict(list)
        self._recorded: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        self._type_of_topic: dict[str, str] = {}
        self._read()
        self._ego_frame = self._find_ego_frame()
        self._poses_of = self._add_odometry() if self._odometry and not self._tree.moves(self._ego_frame) else ""
        self._root = self._tree.root(self._ego_frame) if self._tree.moves(self._ego_frame) else self._ego_frame

    def drive(self) -> Drive:
        """The drive, for the writer of tables."""
        sensors = [self._lidar(topic, index) for index, topic in enumerate(self._cloud_topics())]
        sensors += [self._camera(camera) for camera in self.cameras()]
        if not sensors:
            raise InputError(f"{self._path}: no images with a camera_info, and no point clouds")
        times_us = [recording.timestamp_us for recording in sensors[0].recordings]
        chosen = f", poses of {self._poses_of}" if self._poses_of and len(self._odometry) > 1 else ""
        return Drive(self._name, sensors, [DriveFrame(time, str(time)) for time in times_us], f"ROS bag{chosen}")

    def cameras(self) -> list[BagCamera]:
        """The cameras that have images."""
        return [self._bag_camera(topic, self._infos[info]) for info, topic in self._image_topics().items()]

    @property
    def ego_from_lidar(self) -> FloatArray | None:
        """(4, 4) mounting of the lidar that gives a drive its frames; None without one."""
        topics = self._cloud_topics()
        return self._mounting(topics[0]) if topics else None

    def global_from_ego(self, time_us: int, what: str) -> FloatArray:
        """(4, 4) pose of the ego frame.

        Raises:
            InputError: none is near the time, of `what`.
        """
        return self._tree.pose(self._root, self._ego_frame, time_us, what)

    def _cloud_topics(self) -> list[str]:
        kinds = self._type_of_topic.items()
        return sorted(topic for topic, kind in kinds if kind == _CLOUD and self._recorded[topic])

    def _mounting(self, topic: str, frame: str = "") -> FloatArray:
        """The (4, 4) pose `ego_from_sensor` of a topic; `frame` where its messages name none."""
        return self._tree.pose(self._ego_frame, self._recorded[topic][0][1] or frame, None, topic)

    def _read(self) -> None:
        """Take in all but the pixels and points."""
        with open_bag(self._path) as reader:
            self._type_of_topic = {connection.topic: connection.msgtype for connection in reader.connections}
            for connection, _, raw in reader.messages():
                topic, kind = connection.topic, connection.msgtype
                if kind in (*_IMAGES, _CLOUD):
                    try:
                        self._recorded[topic].append(header_of(raw, reader.is2))
                    except (struct.error, IndexError):
                        raise InputError(f"{self._path}: {topic}: a message without a header") from None
                elif kind == _CAMERA_INFO and topic not in self._infos:
                    self._infos[topic] = self._camera_info(reader.deserialize(raw, kind), topic)
                elif kind in (_TF, _TF_1):
                    static = topic.rstrip("/").endswith("tf_static")
                    for transform in reader.deserialize(raw, kind).transforms:
                        self._add(transform, static)
                elif kind == _ODOMETRY:
                    message = reader.deserialize(raw, kind)
                    recorded = (_time_us(message.header), _frame(message.child_frame_id), message.pose.pose)
                    self._odometry[topic].append(recorded)

    def _add(self, transform: Any, static: bool) -> None:
        place, turn = transform.transform.translation, transform.transform.rotation
        time_us = None if static else _time_us(transform.header)
        self._tree.add(
            _frame(transform.header.frame_id),
            _frame(transform.child_frame_id),
            time_us,
            self._pose(place, turn, f"tf of {transform.child_frame_id}"),
        )

    def _add_odometry(self) -> str:
        """Give the ego frame the poses of one topic of odometry, and return its name."""
        top = self._tree.root(self._ego_frame)
        topic = self._odometry_topic(top)
        for time_us, frame, pose in self._odometry[topic]:
            root_from_frame = self._pose(pose.position, pose.orientation, topic)
            frame_from_top = self._tree.pose(frame or self._ego_frame, top, None, topic)
            self._tree.add(_ODOMETRY_ROOT, top, time_us, root_from_frame @ frame_from_top)
        return topic

    def _odometry_topic(self, top: str) -> str:
        """The topic of odometry that says where the ego frame is; each topic's poses are in a frame of its own.

        It is the one with the most messages, the first by name of those with nearly as many: fixes of a GPS, as
        robot_localization writes them beside its own poses, come more seldom and have no heading.

        Args:
            top: the end of the ego frame's way upwards; topics of frames that do not hang there come last.
        """
        hanging = {
            topic: len(poses)
            for topic, poses in self._odometry.items()
            if self._tree.root(poses[0][1] or self._ego_frame) == top
        }
        counts = hanging or {topic: len(poses) for topic, poses in self._odometry.items()}
        most = max(counts.values())
        return min(topic for topic, count in counts.items() if count >= _NEARLY_AS_MANY * most)

    def _pose(self, place: Any, turn: Any, what: str) -> FloatArray:
        quaternion = (turn.w, turn.x, turn.y, turn.z)
        if not is_orientation(quaternion):
            raise InputError(f"{self._path}: {what}: no unit quaternion: {quaternion}")
        return pose_matrix((place.x, place.y, place.z), quaternion)

    def _camera_info(self, message: Any, topic: str) -> _CameraInfo:
        # ROS 1 has capital letters.
        matrix, projection, coefficients = (
            np.array(getattr(message, name, getattr(message, name.upper(), ())), dtype=np.float64) for name in "kpd"
        )
        where = f"{self._path}: {topic}"
        if matrix.size != 9 or matrix[0] <= 0 or matrix[4] <= 0:
            raise InputError(f"{where}: a camera that is not calibrated")
        model = _MODELS.get(message.distortion_model)
        if not coefficients.any():
            coefficients, model = np.zeros(0), "pinhole"
        if model is None or (len(coefficients) and len(coefficients) not in COEFFICIENTS[model]):
            raise InputError(
                f"{where}: distortion model {message.distortion_model!r} of {len(coefficients)} coefficients"
            )
        lens = Lens(matrix.reshape(3, 3), (int(message.width), int(message.height)), model, coefficients.tolist())
        rectified = projection.reshape(3, 4)[:, :3] if projection.size == 12 and projection[0] > 0 else lens.intrinsic
        return _CameraInfo(_frame(message.header.frame_id), lens, rectified)

    def _find_ego_frame(self) -> str:
        found = next((frame for frame in _EGO_FRAMES if frame in self._tree), None)
        if found is None:
            frames = [info.frame for info in self._infos.values()] + [
                frame for recorded in self._recorded.values() for _, frame in recorded[:1]
            ]
            if not frames:
                raise InputError(f"{self._path}: no images with a camera_info, and no point clouds")
            found = self._tree.root(frames[0])
            if found == frames[0]:
                raise InputError(f"{self._path}: tf: nothing says where {found!r} is mounted")
        return found

    def _image_topics(self) -> dict[str, str]:
        """The topic of images of each camera_info: the one with the most of its name, compressed before raw."""
        topics: dict[str, str] = {}
        for info in sorted(self._infos):
            camera = info.rsplit("/", 1)[0]
            images = [
                topic
                for topic, kind in self._type_of_topic.items()
                if kind in _IMAGES and topic.startswith(f"{camera}/") and self._recorded[topic]
            ]
            if not images:
                raise InputError(f"{self._path}: {info}: a camera without images in {camera}/")
            topics[info] = min(images, key=lambda topic: (_IMAGES.index(self._type_of_topic[topic]), len(topic), topic))
        return topics

    def _recordings(self, topic: str, contents: Sequence[Any]) -> list[Recording]:
        order = sorted(range(len(contents)), key=lambda index: self._recorded[topic][index][0])
        recordings = []
        for index in order:
            time_us = self._recorded[topic][index][0]
            global_from_ego = self.global_from_ego(time_us, f"a message of {topic}")
            recordings.append(Recording(time_us, global_from_ego, contents[index]))
        return recordings

    def _bag_camera(self, topic: str, info: _CameraInfo) -> BagCamera:
        is_rectified = _is_rectified(topic)
        lens = info.lens
        return BagCamera(
            topic,
            _channel(topic),
            self._mounting(topic, info.frame),
            info.rectified if is_rectified else lens.intrinsic,
            lens.size_px,
            None if is_rectified or not lens.coefficients else lens,
        )

    def _camera(self, camera: BagCamera) -> Sensor:
        topic = camera.topic
        messages = TopicMessages(self._path, topic)
        contents = [
            DecodedImage(
                partial(_pixels, messages, index, camera.undistort),
                camera.size_px,
                f"{messages.where}, message {index}",
            )
            for index in range(len(self._recorded[topic]))
        ]
        recordings = self._recordings(topic, contents)
        return Sensor(camera.channel, "camera", camera.ego_from_camera, recordings, camera.intrinsic, camera.size_px)

    def _lidar(self, topic: str, index: int) -> Sensor:
        messages = TopicMessages(self._path, topic)
        contents = [CloudMessage(messages, number) for number in range(len(self._recorded[topic]))]
        channel = _channel(topic) if index else LIDAR_CHANNEL
        return Sensor(channel, "lidar", self._mounting(topic), self._recordings(topic, contents))


@dataclass(frozen=True)
class CloudMessage(PointCloud):
    """A point cloud of a bag."""

    messages: TopicMessages
    index: int

    def points(self) -> PointArray:
        return cloud_points(self.messages.message(self.index), f"{self.messages.where}, message {self.index}")


def _pixels(messages: TopicMessages, index: int, lens: Lens | None) -> NDArray[np.uint8]:
    image = image_pixels(messages.message(index), f"{messages.where}, message {index}")
    return image if lens is None else lens.undistort(image)


def _time_us(header: Any) -> int:
    return int(header.stamp.sec) * 1_000_000 + int(header.stamp.nanosec) // 1000


def _frame(name: str) -> str:
    """ROS 1 may begin names of frames with a slash."""
    return name.lstrip("/")


def _is_rectified(topic: str) -> bool:
    """Whether a topic's name says so: `image_rect`, `image_rect_color/compressed`, `rectified/image`."""
    words = {word for part in topic.split("/")[-2:] for word in part.split("_")}
    return not words.isdisjoint(_RECTIFIED)


def _channel(topic: str) -> str:
    """The name of a topic's camera or lidar: all but the last of its parts that say what kind of message it has."""
    parts = [part for part in topic.split("/") if part]
    kinds = ("image", "compressed", "points", "point_cloud", "pointcloud")
    while len(parts) > 1 and parts[-1].lower().startswith(kinds):
        parts.pop()
    return "_".join(parts)
