"""Bags that the tests write, of ROS 1 and 2: the made-up drive comes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scenes import InputError, read_scenes
from scenes.conversion.data_root import convert
from scenes.conversion.formats import open_source
from scenes.conversion.rosbag import BagReader
from scenes.conversion.transform_tree import TransformTree
from scenes.geometry import invert_pose, pose_matrix
from scenes.stamps import stamp_of

pytest.importorskip("rosbags")
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

INTRINSIC = [500.0, 0.0, 320.0, 0.0, 502.0, 180.0, 0.0, 0.0, 1.0]


class _Bag:
    """Makes messages of one ROS and writes them."""

    def __init__(self, path: Path, kind: str) -> None:
        self.is1 = kind == "bag"
        self.store = get_typestore(Stores.ROS1_NOETIC if self.is1 else Stores.ROS2_HUMBLE)
        if self.is1:
            transforms = "geometry_msgs/TransformStamped[] transforms"
            self.store.register(get_types_from_msg(transforms, "tf2_msgs/msg/TFMessage"))
        storage = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        self.writer = Writer1(path) if self.is1 else Writer2(path, version=9, storage_plugin=storage)
        self.connections: dict[str, Any] = {}

    def new(self, kind: str, *values: Any, **named: Any) -> Any:
        package, name = kind.split("/")
        return self.store.types[f"{package}/msg/{name}"](*values, **named)

    def header(self, time_us: int, frame: str) -> Any:
        stamp = self.new("builtin_interfaces/Time", time_us // 1_000_000, time_us % 1_000_000 * 1000)
        return self.new("std_msgs/Header", 7, stamp, frame) if self.is1 else self.new("std_msgs/Header", stamp, frame)

    def write(self, topic: str, time_us: int, message: Any) -> None:
        if topic not in self.connections:
            kind = message.__msgtype__
            self.connections[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        encode = self.store.serialize_ros1 if self.is1 else self.store.serialize_cdr
        self.writer.write(self.connections[topic], 1000 * time_us, encode(message, message.__msgtype__))

    def turn(self, pose: np.ndarray) -> Any:
        return self.new("geometry_msgs/Quaternion", *Rotation.from_matrix(pose[:3, :3]).as_quat().tolist())

    def transform(self, time_us: int, parent: str, child: str, pose: np.ndarray) -> Any:
        place = self.new("geometry_msgs/Vector3", *pose[:3, 3].tolist())
        inner = self.new("geometry_msgs/Transform", place, self.turn(pose))
        stamped = self.new("geometry_msgs/TransformStamped", self.header(time_us, parent), child, inner)
        return self.new("tf2_msgs/TFMessage", [stamped])


def _camera_info(bag: _Bag, time_us: int, distortion: list[float]) -> Any:
    values = {
        "header": bag.header(time_us, "camera_optical"),
        "height": 360,
        "width": 640,
        "distortion_model": "plumb_bob",
        "binning_x": 0,
        "binning_y": 0,
        "roi": bag.new("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False),
    }
    matrices = {"d": distortion, "k": INTRINSIC, "r": np.eye(3).ravel(), "p": np.zeros(12)}
    values |= {name.upper() if bag.is1 else name: np.array(value, dtype=np.float64) for name, value in matrices.items()}
    return bag.new("sensor_msgs/CameraInfo", **values)


def _image(bag: _Bag, time_us: int, pixels: np.ndarray, encoding: str) -> Any:
    header = bag.header(time_us, "camera_optical")
    if encoding == "jpeg":
        _, data = cv2.imencode(".jpg", pixels)
        return bag.new("sensor_msgs/CompressedImage", header, "jpeg", data.ravel())
    rows = np.zeros((360, 640 * 3 + 5), dtype=np.uint8)  # lines may be longer than they need to be
    rows[:, : 640 * 3] = (pixels[..., ::-1] if encoding == "rgb8" else pixels).reshape(360, -1)
    return bag.new("sensor_msgs/Image", header, 360, 640, encoding, 0, rows.shape[1], rows.ravel())


def _cloud(bag: _Bag, time_us: int, points: np.ndarray) -> Any:
    rows = np.zeros(
        len(points) + 1, dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("pad", "<f4"), ("intensity", "<f4")]
    )
    for column, name in enumerate("xyz"):
        rows[name][:-1] = points[:, column]
        rows[name][-1] = np.nan  # no return
    fields = [bag.new("sensor_msgs/PointField", name, 4 * place, 7, 1) for place, name in enumerate(("x", "y", "z"))]
    fields.append(bag.new("sensor_msgs/PointField", "intensity", 16, 7, 1))
    header = bag.header(time_us, "lidar")
    data = np.frombuffer(rows.tobytes(), dtype=np.uint8)
    return bag.new("sensor_msgs/PointCloud2", header, 1, len(rows), fields, False, 20, 20 * len(rows), data, False)


def _odometry(bag: _Bag, time_us: int, pose: np.ndarray, of: str = "base_link") -> Any:
    point = bag.new("geometry_msgs/Point", *pose[:3, 3].tolist())
    with_covariance = bag.new(
        "geometry_msgs/PoseWithCovariance", bag.new("geometry_msgs/Pose", point, bag.turn(pose)), np.zeros(36)
    )
    zero = bag.new("geometry_msgs/Vector3", 0.0, 0.0, 0.0)
    twist = bag.new("geometry_msgs/TwistWithCovariance", bag.new("geometry_msgs/Twist", zero, zero), np.zeros(36))
    return bag.new("nav_msgs/Odometry", bag.header(time_us, "odom"), of, with_covariance, twist)


def _write(
    world,
    path: Path,
    kind: str,
    *,
    encoding: str = "jpeg",
    by: str = "tf",
    distortion: tuple = (),
    odometry: str = "/odom",
    beside: Callable[[_Bag, int, int], object] = lambda *_: None,
) -> Path:
    """The made-up drive in a bag; the ego frame's pose is known by tf, by odometry, or not at all.

    `beside` is called with bag, frame and time, to write more.
    """
    bag = _Bag(path, kind)
    lidar = pose_matrix((0.9, 0.0, 1.8), (1.0, 0.0, 0.0, 0.0))
    camera = pose_matrix((1.0, 0.0, 1.2), (1.0, 0.0, 0.0, 0.0))
    with bag.writer:
        times = world.times_us()
        bag.write("/tf_static", times[0], bag.transform(times[0], "base_link", "lidar", lidar))
        bag.write("/tf_static", times[0], bag.transform(times[0], "base_link", "camera", camera))
        optical = invert_pose(camera) @ world.ego_from_camera
        bag.write("/tf_static", times[0], bag.transform(times[0], "camera", "camera_optical", optical))
        for frame in np.arange(-1, world.frames + 1):
            time_us = times[0] + 100_000 * int(frame)
            if by == "tf":
                bag.write("/tf", time_us, bag.transform(time_us, "map", "base_link", world.ego(float(frame))))
            elif by == "odometry":
                bag.write(odometry, time_us, _odometry(bag, time_us, world.ego(float(frame))))
            beside(bag, int(frame), time_us)
        name = "/sensing/front/image_raw" + ("/compressed" if encoding == "jpeg" else "")
        for frame, time_us in enumerate(times):
            bag.write("/sensing/front/camera_info", time_us, _camera_info(bag, time_us, list(distortion)))
            bag.write(name, time_us + 30_000, _image(bag, time_us + 30_000, world.image(frame), encoding))
            in_lidar = world.points(frame) - lidar[:3, 3]
            bag.write("/sensing/top/points", time_us, _cloud(bag, time_us, in_lidar))
    return path


@pytest.mark.parametrize(
    ("kind", "encoding", "by"),
    [("bag", "jpeg", "tf"), ("bag", "rgb8", "odometry"), ("db3", "bgr8", "tf"), ("mcap", "jpeg", "odometry")],
)
def test_a_bag_is_the_drive(kind: str, encoding: str, by: str, world, tmp_path: Path) -> None:
    path = _write(world, tmp_path / ("drive.bag" if kind == "bag" else "drive"), kind, encoding=encoding, by=by)
    converted = convert(open_source("rosbag", path), tmp_path / "root")
    assert (converted.frames, converted.recordings, converted.files) == (5, 10, 10)
    (scene,) = read_scenes(tmp_path / "root", "v1.0-rosbag", "all")
    assert scene.name == "drive"
    for index, frame in enumerate(scene.frames):
        assert frame.timestamp_us == world.times_us()[index]
        assert np.allclose(frame.global_from_ego, world.ego(index), atol=1e-9)
        (camera,) = frame.cameras
        assert camera.name == "sensing_front" and camera.timestamp_us == frame.timestamp_us + 30_000
        assert np.allclose(camera.ego_from_camera, world.ego_from_camera, atol=1e-9)
        assert np.allclose(camera.intrinsic, np.reshape(INTRINSIC, (3, 3))) and camera.size_px == (640, 360)
        # A turn and a straight way between two poses, the pose at the exposure among them.
        assert np.allclose(camera.global_from_ego, world.ego(index + 0.3), atol=1e-9)
        assert abs(cv2.imread(str(camera.image_path)).mean() - world.image(index).mean()) < 1
    points = np.fromfile(next((tmp_path / "root/samples/LIDAR_TOP").glob("*")), dtype="<f4").reshape(-1, 5)
    assert len(points) == 57


@pytest.mark.parametrize(
    ("topic", "other", "every", "of"),
    [
        ("/odometry/filtered", "/odometry/gps", 1, "base_link"),
        ("/odometry/local", "/odometry/gps", 3, "base_link"),
        ("/odometry/local", "/camera/odom", 1, "camera_of_another_tree"),
    ],
)
def test_poses_come_from_one_topic_of_odometry(
    topic: str, other: str, every: int, of: str, world, tmp_path: Path
) -> None:
    def fix(bag: _Bag, frame: int, time_us: int) -> None:
        if frame % every == 0:
            far = pose_matrix((500_000.0, 5_400_000.0, 0.0), (1.0, 0.0, 0.0, 0.0))
            message = _odometry(bag, time_us + 50_000, far, of)
            message.pose.pose.orientation.w = 0.0  # where the vehicle heads, a position does not tell
            bag.write(other, time_us + 50_000, message)

    path = _write(world, tmp_path / "drive", "db3", by="odometry", odometry=topic, beside=fix)
    convert(open_source("rosbag", path), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-rosbag", "all")
    for index, frame in enumerate(scene.frames):
        assert np.allclose(frame.global_from_ego, world.ego(index), atol=1e-9)
        assert np.allclose(frame.cameras[0].global_from_ego, world.ego(index + 0.3), atol=1e-9)
    (row,) = json.loads((tmp_path / "root" / "v1.0-rosbag" / "scene.json").read_text())
    assert row["description"] == f"ROS bag, poses of {topic}"


@pytest.mark.parametrize("kind", ["bag", "mcap"])
def test_the_devkit_opens_it(kind: str, world, tmp_path: Path) -> None:
    nuscenes = pytest.importorskip("nuscenes")
    path = _write(world, tmp_path / ("drive.bag" if kind == "bag" else "drive"), kind)
    convert(open_source("rosbag", path), tmp_path / "root")
    kit = nuscenes.NuScenes("v1.0-rosbag", str(tmp_path / "root"), verbose=False)
    assert len(kit.sample) == world.frames and kit.sample_annotation == []
    path, boxes, intrinsic = kit.get_sample_data(kit.sample[2]["data"]["sensing_front"])
    assert Path(path).is_file() and boxes == [] and np.allclose(intrinsic, np.reshape(INTRINSIC, (3, 3)))


def test_a_lone_mcap_file_is_a_bag(world, tmp_path: Path) -> None:
    folder = _write(world, tmp_path / "drive", "mcap")
    (path,) = folder.glob("*.mcap")
    assert convert(open_source("mcap", path), tmp_path / "root").frames == 5


def test_images_are_undistorted(world, tmp_path: Path) -> None:
    path = _write(world, tmp_path / "drive", "db3", distortion=(-0.4, 0.1, 0.0, 0.0, 0.0))
    convert(open_source("rosbag", path), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-rosbag", "all")
    image = cv2.imread(str(scene.frames[4].cameras[0].image_path))
    assert image[180, 320].min() > 150
    corrected = cv2.undistort(world.image(4), np.reshape(INTRINSIC, (3, 3)), np.array([-0.4, 0.1, 0, 0, 0]))
    assert np.abs(image.astype(int) - corrected).max() < 40 and np.abs(image.astype(int) - corrected).mean() < 1


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/cam/image_rect", True),
        ("/cam/image_rect_color/compressed", True),
        ("/cam/rect/image", True),
        ("/cam/rectified", True),
        ("/cam/image_rectified", True),
        ("/cam/image_raw", False),
        ("/cam_direct/image_raw", False),
        ("/cam/direct/compressed", False),
    ],
)
def test_names_tell_of_rectified_images(topic: str, rectified: bool, tmp_path: Path) -> None:
    time_us = 1_600_000_000_000_000
    bag = _Bag(tmp_path / "drive", "db3")
    with bag.writer:
        bag.write(f"/{topic.split('/')[1]}/camera_info", 0, _camera_info(bag, time_us, [-0.4, 0.1, 0.0, 0.0, 0.0]))
        bag.write("/tf_static", 0, bag.transform(time_us, "base_link", "camera_optical", np.eye(4)))
        bag.write(topic, 0, _image(bag, time_us, np.zeros((360, 640, 3), dtype=np.uint8), "jpeg"))
    (camera,) = BagReader(tmp_path / "drive", "drive").cameras()
    assert camera.topic == topic and (camera.undistort is None) is rectified


@pytest.mark.parametrize("kind", ["bag", "db3", "mcap"])
def test_a_bag_is_stamped(kind: str, world, tmp_path: Path) -> None:
    path = _write(world, tmp_path / ("drive.bag" if kind == "bag" else "drive"), kind)
    source = open_source("rosbag", path)
    stamp = stamp_of(source.files("drive"))
    convert(source, tmp_path / "root")
    assert stamp_of(source.files("drive")) == stamp
    for file in (path, *path.glob("*")):
        if file.is_file():
            file.write_bytes(file.read_bytes() + b" ")
            before, stamp = stamp, stamp_of(source.files("drive"))
            assert stamp != before


def test_a_rig_without_poses_stands(world, tmp_path: Path) -> None:
    convert(open_source("rosbag", _write(world, tmp_path / "drive", "db3", by="nothing")), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-rosbag", "all")
    assert all(np.array_equal(frame.global_from_ego, np.eye(4)) for frame in scene.frames)


def test_bad_bags_are_named(world, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no bag: neither"):
        open_source("rosbag", tmp_path).drives()
    path = _write(world, tmp_path / "drive.bag", "bag")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"drive\.bag: cannot be read as a bag \(is it cut off\?\)"):
        convert(open_source("rosbag", path), tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == ["drive.bag"]
    (tmp_path / "text.mcap").write_text("no bag")
    with pytest.raises(InputError, match=r"text\.mcap: cannot be read as a bag"):
        convert(open_source("mcap", tmp_path / "text.mcap"), tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("kind", ["bag", "mcap"])
def test_one_message_a_topic_is_enough(kind: str, world, tmp_path: Path) -> None:
    path = _write(replace(world, frames=1), tmp_path / ("drive.bag" if kind == "bag" else "drive"), kind)
    converted = convert(open_source(kind.replace("bag", "rosbag"), path), tmp_path / "root")
    assert (converted.frames, converted.recordings, converted.files) == (1, 2, 2)


def _nothing(bag: _Bag) -> None:
    pass


def _info_alone(bag: _Bag) -> None:
    bag.write("/front/camera_info", 0, _camera_info(bag, 1_600_000_000_000_000, []))
    bag.write("/tf_static", 0, bag.transform(0, "base_link", "camera_optical", np.eye(4)))


def _not_calibrated(bag: _Bag) -> None:
    info = _camera_info(bag, 1_600_000_000_000_000, [])
    info.k[:] = 0
    bag.write("/front/camera_info", 0, info)


def _unknown_lens(bag: _Bag) -> None:
    bag.write("/front/camera_info", 0, _camera_info(bag, 1_600_000_000_000_000, [0.1, 0.2, 0.3]))


def _images(bag: _Bag, times_us: list[int], shape: tuple[int, int, int] = (360, 640, 3)) -> None:
    bag.write("/front/camera_info", 0, _camera_info(bag, times_us[0], []))
    bag.write("/tf_static", 0, bag.transform(times_us[0], "base_link", "camera_optical", np.eye(4)))
    for time_us in times_us:
        image = _image(bag, time_us, np.zeros(shape, dtype=np.uint8), "jpeg")
        bag.write("/front/image/compressed", max(0, time_us), image)


def _one_time_for_all(bag: _Bag) -> None:
    _images(bag, [0, 0, 0])


def _microseconds_for_seconds(bag: _Bag) -> None:
    _images(bag, [1_600_000_000 + 100 * frame for frame in range(3)])


def _smaller_image(bag: _Bag) -> None:
    _images(bag, [1_600_000_000_000_000], (180, 320, 3))


def _unknown_encoding(bag: _Bag) -> None:
    _info_alone(bag)
    image = _image(bag, 1_600_000_000_000_000, np.zeros((360, 640, 3), dtype=np.uint8), "bgr8")
    image.encoding = "yuv9"
    bag.write("/front/image_raw", 0, image)


def _cut_image(bag: _Bag) -> None:
    _info_alone(bag)
    image = _image(bag, 1_600_000_000_000_000, np.zeros((360, 640, 3), dtype=np.uint8), "jpeg")
    image.data = image.data[:-100]
    bag.write("/front/image/compressed", 0, image)


def _points_beyond_their_bytes(bag: _Bag) -> None:
    cloud = _cloud(bag, 1_600_000_000_000_000, np.ones((4, 3)))
    cloud.fields[1].offset = 4000
    bag.write("/tf_static", 0, bag.transform(0, "base_link", "lidar", np.eye(4)))
    bag.write("/top/points", 0, cloud)


def _undecodable_points(bag: _Bag) -> None:
    cloud = _cloud(bag, 1_600_000_000_000_000, np.ones((4, 3)))
    bag.write("/tf_static", 0, bag.transform(0, "base_link", "lidar", np.eye(4)))
    encode = bag.store.serialize_cdr
    harmed = bytes(encode(cloud, cloud.__msgtype__)).replace(b"intensity", b"intens\xbe\xbey")
    bag.store = SimpleNamespace(serialize_cdr=lambda *_: harmed)
    bag.connections["/top/points"] = bag.writer.add_connection(
        "/top/points", cloud.__msgtype__, typestore=get_typestore(Stores.ROS2_HUMBLE)
    )
    bag.write("/top/points", 0, cloud)


def _fewer_points(bag: _Bag) -> None:
    cloud = _cloud(bag, 1_600_000_000_000_000, np.ones((4, 3)))
    cloud.data = cloud.data[:30]
    bag.write("/tf_static", 0, bag.transform(0, "base_link", "lidar", np.eye(4)))
    bag.write("/top/points", 0, cloud)


def _unmounted(bag: _Bag) -> None:
    bag.write("/front/camera_info", 0, _camera_info(bag, 1_600_000_000_000_000, []))
    image = _image(bag, 1_600_000_000_000_000, np.zeros((360, 640, 3), dtype=np.uint8), "jpeg")
    bag.write("/front/image/compressed", 0, image)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (_nothing, r"drive: no images with a camera_info, and no point clouds"),
        (_info_alone, r"/front/camera_info: a camera without images in /front/"),
        (_not_calibrated, r"/front/camera_info: a camera that is not calibrated"),
        (_unknown_lens, r"distortion model 'plumb_bob' of 3 coefficients"),
        (_one_time_for_all, r"time 0 us is there twice"),
        (_microseconds_for_seconds, r"the times lie 0\.0001 s apart; are they in other units\?"),
        (_smaller_image, r"compressed, message 0: 320x180 pixels, where the camera has 640x360"),
        (_unknown_encoding, r"encoding 'yuv9' is none of bgr8"),
        (_cut_image, r"compressed, message 0: the image is cut off"),
        (_points_beyond_their_bytes, r"/top/points, message 0: fields that no point of 20 bytes has"),
        (_undecodable_points, r"/top/points, message 0: cannot be decoded: .*utf-8"),
        (_fewer_points, r"/top/points, message 0: 30 bytes are no 1x5 points"),
        (_unmounted, r"tf: nothing says where 'camera_optical' is mounted"),
    ],
)
def test_contradictory_bags_are_named(write: Callable[[_Bag], None], said: str, tmp_path: Path) -> None:
    path = tmp_path / "drive"
    bag = _Bag(path, "db3")
    with bag.writer:
        write(bag)
    with pytest.raises(InputError, match=said) as raised:
        convert(open_source("rosbag", path), tmp_path / "root")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["drive"]


def test_a_tree_of_frames_is_a_tree() -> None:
    tree = TransformTree(Path("some.bag"))
    tree.add("map", "base", 0, pose_matrix((5.0, 0, 0), (1.0, 0, 0, 0)))
    tree.add("map", "base", 100_000, pose_matrix((6.0, 0, 0), (1.0, 0, 0, 0)))
    tree.add("base", "lidar", None, pose_matrix((0, 0, 2.0), (1.0, 0, 0, 0)))
    assert tree.pose("map", "lidar", 50_000, "it")[:3, 3].tolist() == [5.5, 0, 2]
    assert tree.pose("lidar", "base", None, "it")[:3, 3].tolist() == [0, 0, -2]
    assert tree.root("lidar") == "map" and tree.moves("lidar") and "base" in tree
    for expected, act in (
        ("no pose near 9000000 us", lambda: tree.pose("map", "base", 9_000_000, "it")),
        ("'base' moves; it must be mounted firmly", lambda: tree.pose("map", "lidar", None, "it")),
        ("no way from 'nowhere' to 'base'", lambda: tree.pose("base", "nowhere", None, "it")),
        ("'lidar' has two parents", lambda: tree.add("map", "lidar", None, np.eye(4))),
    ):
        with pytest.raises(InputError, match=expected):
            act()
    tree.add("lidar", "map", None, np.eye(4))
    with pytest.raises(InputError, match="is above itself"):
        tree.root("base")
