"""Folders, bags and cameras: the images, times, poses and calibrations that were recorded come out, and go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from detection import Detector
from detection.data.image_reading import read_image
from detection.data.sample import FrameSample
from scenes import InputError, Scene
from streaming.assembly import Assembler
from streaming.events import Shot, Source, Start
from streaming.journal import Journal
from streaming.pipeline import Pipeline, PipelineOptions
from streaming.sources.bag import BagSource
from streaming.sources.cameras import CameraSource
from streaming.sources.choice import open_source
from streaming.sources.recording import RecordingSource
from tracking import Tracker

from .conftest import Collected

SIZE_PX = (64, 36)
COLORS = {"front": (200, 40, 40), "rear": (40, 200, 40)}


def events(source: Source) -> list[Any]:
    return list(source.events(threading.Event()))


def calibration(images: dict[str, str]) -> str:
    pinhole = {"fx": 50.0, "fy": 50.0, "cx": 32.0, "cy": 18.0}
    mounted = {"intrinsic": pinhole, "translation": [1.0, 0.0, 1.5], "size": [*SIZE_PX]}
    cameras = {
        name: {"images": at, "yaw_deg": yaw, **mounted}
        for (name, at), yaw in zip(images.items(), (0.0, 180.0), strict=False)
    }
    return yaml.safe_dump({"cameras": cameras})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording: ten images a second of a camera, five in a video of another."""
    root = tmp_path / "drive"
    (root / "front").mkdir(parents=True)
    for index in range(10):
        image = np.full((SIZE_PX[1], SIZE_PX[0], 3), COLORS["front"], dtype=np.uint8)
        cv2.imwrite(str(root / "front" / f"{1_700_000_000_000_000 + 100_000 * index}.png"), image[..., ::-1])
    (root / "calibration.yaml").write_text(calibration({"front": "front"}))
    return root


def test_a_folder_plays_its_images(folder: Path) -> None:
    source = open_source(folder, Journal())
    assert isinstance(source, RecordingSource)
    start, *shots = events(source)
    assert isinstance(start, Start) and [camera.name for camera in start.cameras] == ["front"]
    assert [shot.camera.timestamp_us for shot in shots] == [1_700_000_000_000_000 + 100_000 * n for n in range(10)]
    assert shots[3].read()[5, 5].tolist() == list(COLORS["front"])
    assert shots[0].camera.intrinsic[0, 0] == 50.0 and shots[0].camera.size_px == SIZE_PX


def test_a_video_plays_too(folder: Path) -> None:
    writer = cv2.VideoWriter(str(folder / "rear.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, SIZE_PX)
    for _ in range(10):
        writer.write(np.full((SIZE_PX[1], SIZE_PX[0], 3), COLORS["rear"][::-1], dtype=np.uint8))
    writer.release()
    (folder / "calibration.yaml").write_text(calibration({"rear": "rear.avi"}))
    shots = events(open_source(folder, Journal()))[1:]
    assert len(shots) == 10
    assert np.abs(shots[7].read()[5, 5].astype(int) - COLORS["rear"]).max() < 12


def test_a_folder_of_several_recordings_is_refused(folder: Path) -> None:
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "calibration.yaml").write_text(calibration({"front": "front"}))
    with pytest.raises(InputError, match="holds 2 recordings"):
        open_source(folder.parent, Journal())


class Capture:
    """A stand-in of OpenCV's capture: gives its images, then fails, and can be opened again."""

    opened: ClassVar[dict[str, int]]
    lives: ClassVar[dict[str, list[int]]]

    def __init__(self, address: str) -> None:
        number = self.opened.get(address, 0)
        self.opened[address] = number + 1
        lives = self.lives[address]
        self._left = lives[min(number, len(lives) - 1)]
        self._color = COLORS[address]

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self._left > 0

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.01)
        self._left -= 1
        image = np.full((SIZE_PX[1], SIZE_PX[0], 3), self._color[::-1], dtype=np.uint8)
        return (self._left >= 0, image)

    def release(self) -> None:
        pass


@pytest.fixture
def capture() -> type[Capture]:
    """One camera that always lives, and one that dies after 10 images, is dead once more, and comes back."""

    class Own(Capture):
        opened: ClassVar[dict[str, int]] = {}
        lives: ClassVar[dict[str, list[int]]] = {"front": [10**6], "rear": [10, 0, 10**6]}

    return Own


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(calibration({"front": "front", "rear": "rear"}))
    return path


def test_a_camera_dies_and_comes_back(rig: Path, capture: type[Capture], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.sources.cameras._RETRY_S", 0.1)
    journal, stopped = Journal(), threading.Event()
    source = CameraSource.open(rig, journal, capture)
    assembler = Assembler(journal)
    steps, seen = [], False
    for event in source.events(stopped):
        steps += assembler.add(event)
        seen = seen or journal.counts["camera back"] > 0
        if (seen and not steps[-1].missing) or len(steps) > 2000:
            stopped.set()
    assert journal.counts["camera dead"] == journal.counts["camera lost"] == journal.counts["camera back"] == 1
    said = "\n".join(journal.lines)
    assert "rear: rear gives no image; it is opened again" in said and "rear: delivers again" in said
    assert any(step.missing == ("rear",) for step in steps)
    times = [step.frame.timestamp_us for step in steps]
    assert times == sorted(set(times)) and abs(times[0] * 1e-6 - time.time()) < 60
    assert steps[0].shots["front"].read()[3, 3].tolist() == list(COLORS["front"])


class Raising(Capture):
    """Of the front camera the first and the third cannot be opened, the second breaks after an image."""

    opened: ClassVar[dict[str, int]]
    lives: ClassVar[dict[str, list[int]]] = {"front": [10**6], "rear": [10**6]}
    released: ClassVar[list[int]]

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._number = self.opened[address] if address == "front" else 0
        if self._number in (1, 3):
            raise cv2.error("no such device")

    def read(self) -> tuple[bool, Any]:
        if self._number == 2 and self._left < 10**6:
            raise cv2.error("broken\nstream")
        return super().read()

    def release(self) -> None:
        self.released.append(self._number)
        if self._number == 2:
            raise cv2.error("nothing to release")


def test_a_camera_whose_capture_raises_is_opened_again(rig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streaming.sources.cameras._RETRY_S", 0.01)
    Raising.opened, Raising.released = {}, []
    journal, stopped = Journal(), threading.Event()
    source, shots = CameraSource.open(rig, journal, Raising), 0
    for event in source.events(stopped):
        shots += isinstance(event, Shot)
        if "front: delivers again" in journal.lines or shots > 2000:
            stopped.set()
    assert list(journal.lines) == [
        "front: front gives no image (broken stream); it is opened again every 0.01 s",
        "front: delivers again",
    ]
    assert journal.counts == {"camera dead": 1} and Raising.released[:2] == [0, 2]


def test_cameras_that_are_dead_from_the_start(rig: Path, capture: type[Capture]) -> None:
    capture.lives = {"front": [0], "rear": [0]}
    with pytest.raises(InputError, match=r"rig.yaml: no camera gives an image: front \(front\), rear \(rear\)"):
        CameraSource.open(rig, Journal(), capture)


def test_images_of_another_size_than_the_calibration(rig: Path, capture: type[Capture]) -> None:
    rig.write_text(calibration({"front": "front"}).replace("- 64", "- 60"))
    source, stopped = CameraSource.open(rig, Journal(), capture), threading.Event()
    for event in source.events(stopped):
        if isinstance(event, Shot):
            with pytest.raises(InputError, match="64x36 pixels, where the calibration is of 60x36"):
                event.read()
            stopped.set()


# Bags of the small city, written with the package `rosbags`.


class BagWriter:
    """Writes an MCAP file of ROS 2."""

    def __init__(self, path: Path) -> None:
        rosbag2, typesys = pytest.importorskip("rosbags.rosbag2"), pytest.importorskip("rosbags.typesys")
        self.store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
        self.writer = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP)
        self._connections: dict[str, Any] = {}

    def new(self, kind: str, *values: Any, **named: Any) -> Any:
        package, name = kind.split("/")
        return self.store.types[f"{package}/msg/{name}"](*values, **named)

    def header(self, time_us: int, frame: str) -> Any:
        stamp = self.new("builtin_interfaces/Time", time_us // 1_000_000, time_us % 1_000_000 * 1000)
        return self.new("std_msgs/Header", stamp, frame)

    def write(self, topic: str, time_us: int, message: Any) -> None:
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        self.writer.write(self._connections[topic], 1000 * time_us, self.store.serialize_cdr(message, kind))

    def pose(self, time_us: int, parent: str, child: str, matrix: np.ndarray) -> None:
        place = self.new("geometry_msgs/Vector3", *matrix[:3, 3].tolist())
        turn = self.new("geometry_msgs/Quaternion", *Rotation.from_matrix(matrix[:3, :3]).as_quat().tolist())
        transform = self.new("geometry_msgs/Transform", place, turn)
        stamped = self.new("geometry_msgs/TransformStamped", self.header(time_us, parent), child, transform)
        topic = "/tf" if parent == "map" else "/tf_static"
        self.write(topic, time_us, self.new("tf2_msgs/TFMessage", [stamped]))

    def info(self, name: str, time_us: int, intrinsic: np.ndarray, size_px: tuple[int, int]) -> None:
        region = self.new("sensor_msgs/RegionOfInterest", 0, 0, 0, 0, False)
        message = self.new(
            "sensor_msgs/CameraInfo",
            header=self.header(time_us, name),
            height=size_px[1],
            width=size_px[0],
            distortion_model="plumb_bob",
            d=np.zeros(0),
            k=intrinsic.ravel(),
            r=np.eye(3).ravel(),
            p=np.zeros(12),
            binning_x=0,
            binning_y=0,
            roi=region,
        )
        self.write(f"/{name}/camera_info", time_us, message)

    def image(self, name: str, time_us: int, pixels: np.ndarray, encoding: str, late_us: int = 0) -> None:
        height, width = pixels.shape[:2]
        content = np.ascontiguousarray(pixels).ravel()
        message = self.new(
            "sensor_msgs/Image", self.header(time_us, name), height, width, encoding, 0, 3 * width, content
        )
        self.write(f"/{name}/image_raw", time_us + 5_000 + late_us, message)


@pytest.fixture
def write_bag(scenes: list[Scene], tmp_path: Path) -> Callable[..., Path]:
    """Writes the first scene of the small city as an MCAP file."""

    def write(encoding: str = "rgb8", calibrated: bool = True) -> Path:
        bag = BagWriter(tmp_path / "drive")
        frames = scenes[0].frames
        with bag.writer:
            for camera in frames[0].cameras:
                bag.pose(frames[0].timestamp_us, "base_link", camera.name, camera.ego_from_camera)
                if calibrated:
                    bag.info(camera.name, frames[0].timestamp_us, camera.intrinsic, camera.size_px)
            for frame in frames:
                for camera in sorted(frame.cameras, key=lambda camera: camera.timestamp_us):
                    bag.pose(camera.timestamp_us, "map", "base_link", camera.global_from_ego)
                    bag.image(camera.name, camera.timestamp_us, read_image(camera.image_path), encoding)
        (path,) = (tmp_path / "drive").glob("*.mcap")
        return path

    return write


def test_a_bag_is_tracked_as_its_images_are(
    write_bag: Callable[..., Path], scenes: list[Scene], detector: Detector, collected: Collected
) -> None:
    """Against the detector and the tracker by hand, at the time and pose of the middle camera."""
    path = write_bag()
    journal = Journal()
    source = open_source(path, journal)
    assert isinstance(source, BagSource)
    options = PipelineOptions(every_step=True)
    Pipeline(source, Assembler(journal), detector, journal, options=options).run([collected])
    assert not journal.counts
    tracker = Tracker()
    detector.reset()
    for step, frame in zip(collected.steps, scenes[0].frames, strict=True):
        middle = sorted(frame.cameras, key=lambda camera: camera.timestamp_us)[(len(frame.cameras) - 1) // 2]
        assert step.frame.timestamp_us == middle.timestamp_us
        by_hand = SimpleNamespace(
            token="",
            timestamp_us=middle.timestamp_us,
            global_from_ego=middle.global_from_ego,
            ego_from_lidar=None,
            cameras=frame.cameras,
        )
        (boxes,) = detector.step(detector.prepare([FrameSample.from_frame(by_hand, "drive")], [True]))  # type: ignore[arg-type]
        expected = tracker.step(boxes, middle.timestamp_us, middle.global_from_ego)
        assert step.boxes.track_id.tolist() == expected.track_id.tolist()
        assert step.boxes.center_m == pytest.approx(expected.center_m, abs=1e-3)  # poses went through quaternions
    assert sum(len(step.boxes) for step in collected.steps) > 20


def test_a_bag_without_calibration(write_bag: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"drive.*mcap: no images with a camera_info"):
        open_source(write_bag(calibrated=False), Journal())


def test_a_bag_of_an_unknown_encoding(write_bag: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"image_raw, message 0: encoding 'yuv9000' is none of bgr8"):
        open_source(write_bag("yuv9000"), Journal())


def test_a_bag_that_is_cut_off(write_bag: Callable[..., Path]) -> None:
    path = write_bag()
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="cannot be read as a bag"):
        open_source(path, Journal())


def test_an_image_where_the_car_is_nowhere(write_bag: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out, and said so; the others go on."""
    journal = Journal()
    source = open_source(write_bag(), journal)
    assert isinstance(source, BagSource)
    known = source.reader.global_from_ego

    def lost_at_first(time_us: int, what: str) -> Any:
        if not journal.counts:
            raise InputError("drive.mcap: no pose near")
        return known(time_us, what)

    monkeypatch.setattr(source.reader, "global_from_ego", lost_at_first)
    found = events(source)
    assert journal.counts == {"no pose": 1}
    assert len(found) == 1 + 3 * 6 - 1


def test_what_is_no_source(tmp_path: Path, city: Path) -> None:
    nothing = tmp_path / "empty"
    nothing.mkdir()
    with pytest.raises(InputError, match="no such file or folder"):
        open_source(nothing / "missing", Journal())
    with pytest.raises(InputError, match=r"neither a data root, a folder with calibration\.yaml, a bag"):
        open_source(nothing, Journal())
    with pytest.raises(InputError, match="a data root; say its --version and --split"):
        open_source(city, Journal())
