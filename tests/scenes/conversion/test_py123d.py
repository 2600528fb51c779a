"""Logs that py123d itself writes, of the made-up drive and of real frames: the drive comes out. `make test-numpy2`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scenes import InputError, read_scenes
from scenes.conversion.data_root import convert
from scenes.conversion.formats import open_source
from scenes.geometry import FloatArray

pytest.importorskip("py123d")
import pyarrow
from py123d.api.scene.arrow.arrow_log_writer import ArrowLogWriter, SyncConfig
from py123d.api.scene.arrow.utils.log_writer_config import LogWriterConfig
from py123d.common.runtime import dataset_paths
from py123d.datatypes import (
    BoxDetectionAttributes,
    BoxDetectionSE3,
    BoxDetectionsSE3,
    BoxDetectionsSE3Metadata,
    CameraID,
    EgoStateSE3,
    EgoStateSE3Metadata,
    Lidar,
    LidarID,
    LidarMetadata,
    LogMetadata,
    PinholeCameraMetadata,
    PinholeDistortion,
    PinholeIntrinsics,
    Timestamp,
)
from py123d.datatypes.sensors.lidar import LidarMergedMetadata
from py123d.geometry import BoundingBoxSE3, PoseSE3
from py123d.parser.av2.av2_sensor_parser import Av2SensorParser
from py123d.parser.base_dataset_parser import ModalitiesSync, ParsedCamera
from py123d.parser.registry import NuPlanBoxDetectionLabel

INTRINSIC = np.array([[500.0, 0.0, 320.0], [0.0, 502.0, 180.0], [0.0, 0.0, 1.0]])
LABELS = (NuPlanBoxDetectionLabel.VEHICLE, NuPlanBoxDetectionLabel.PEDESTRIAN)
LOG = Path("logs", "nuplan_test", "log-1")


def _se3(pose: FloatArray) -> PoseSE3:
    turn = Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True)
    return PoseSE3(*pose[:3, 3].tolist(), *turn.tolist())


def _boxes(world, frame: int) -> BoxDetectionsSE3:
    found, boxes = [], world.boxes(frame)
    for index, label in enumerate(LABELS):
        width, length, height = boxes.size_wlh_m[index].tolist()
        center = PoseSE3(*boxes.center_m[index].tolist(), *boxes.rotation[index].tolist())
        attributes = BoxDetectionAttributes(label, f"object-{index}")
        found.append(BoxDetectionSE3(attributes, BoundingBoxSE3(center, length, width, height)))
    time = Timestamp.from_us(world.times_us()[frame])
    return BoxDetectionsSE3(found, time, BoxDetectionsSE3Metadata(NuPlanBoxDetectionLabel))


def _ego(world, frame: int) -> EgoStateSE3:
    nowhere = PoseSE3.identity()
    vehicle = EgoStateSE3Metadata(
        "pacifica", 2.3, 5.2, 1.8, 3.1, center_to_imu_se3=nowhere, rear_axle_to_imu_se3=nowhere
    )
    return EgoStateSE3.from_imu(_se3(world.ego(frame)), vehicle, Timestamp.from_us(world.times_us()[frame]))


def _lidar(world, frame: int) -> Lidar:
    points = world.points(frame).astype(np.float32)
    metadata = LidarMergedMetadata({LidarID.LIDAR_TOP: LidarMetadata("top", LidarID.LIDAR_TOP)})
    ids = np.full(len(points), int(LidarID.LIDAR_TOP), dtype=np.uint8)
    features = {"ids": ids, "intensity": np.full(len(points), 9, dtype=np.uint8)}
    time = Timestamp.from_us(world.times_us()[frame])
    return Lidar(time, time, metadata, points, features)


def _camera(world, frame: int, root: Path, distortion: list[float], *, posed: bool = True) -> ParsedCamera:
    """An image of 30 ms after the frame, in a file."""
    metadata = PinholeCameraMetadata(
        "CAM_FRONT",
        CameraID.PCAM_F0,
        PinholeIntrinsics.from_camera_matrix(INTRINSIC),
        PinholeDistortion(*distortion),
        640,
        360,
        _se3(world.ego_from_camera),
    )
    path = root / "images" / f"{frame}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), world.image(frame))
    return ParsedCamera(
        metadata,
        Timestamp.from_us(world.times_us()[frame] + 30_000),
        _se3(world.ego(frame + 0.3) @ world.ego_from_camera) if posed else None,
        dataset_root=root,
        relative_path=f"images/{frame}.jpg",
    )


def _write(
    world,
    root: Path,
    *,
    images: str = "jpeg_binary",
    points: str = "ipc_zstd",
    distortion: tuple[float, ...] = (0.0,) * 5,
    posed: bool = True,
    name: str = "log-1",
) -> Path:
    """The made-up drive as a log of py123d, in its data root."""
    config = LogWriterConfig(camera_store_option=images, lidar_store_option="binary", lidar_codec=points)
    writer = ArrowLogWriter(config, root / "logs", root / "sensors")
    writer.reset(LogMetadata(dataset="pandaset", split="nuplan_test", log_name=name, location="boston"))
    for frame in range(world.frames):
        camera = _camera(world, frame, root, list(distortion), posed=posed)
        modalities = [_ego(world, frame), _boxes(world, frame), _lidar(world, frame), camera]
        writer.write_sync(ModalitiesSync(Timestamp.from_us(world.times_us()[frame]), modalities))
    writer.close()
    return root


@pytest.fixture
def images_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Tells py123d where the images of its logs lie."""

    def tell(root: Path) -> None:
        paths = dataset_paths.DatasetPaths(pandaset_data_root=root)
        monkeypatch.setattr(dataset_paths, "_global_dataset_paths", paths)

    return tell


@pytest.mark.parametrize(
    ("images", "points", "loss"),
    [("jpeg_binary", "ipc_zstd", 1), ("png_binary", "laz", 1), ("mp4", "draco", 5), ("path", "ipc", 1)],
)
def test_a_log_is_the_drive(images: str, points: str, loss: int, world, tmp_path: Path, images_in) -> None:
    source = _write(world, tmp_path / "source", images=images, points=points)
    images_in(source)
    converted = convert(open_source("py123d", source), tmp_path / "root")
    assert (converted.frames, converted.boxes, converted.objects) == (5, 10, 2)
    assert (converted.recordings, converted.files, converted.without_class) == (10, 10, {})
    (scene,) = read_scenes(tmp_path / "root", "v1.0-py123d", "all")
    assert (scene.name, scene.location) == ("log-1", "boston")
    for index, frame in enumerate(scene.frames):
        assert frame.timestamp_us == world.times_us()[index]
        assert np.allclose(frame.global_from_ego, world.ego(index), atol=1e-9)
        boxes, truth = frame.annotations.boxes, world.boxes(index)
        assert boxes.label.tolist() == truth.label.tolist()
        assert np.abs(boxes.corners() - truth.corners()).max() < 1e-9
        assert boxes.track_id.tolist() == scene.frames[0].annotations.boxes.track_id.tolist()
        assert frame.annotations.num_lidar_pts.tolist() == [world.points_in_car, 0]
        (camera,) = frame.cameras
        assert camera.name == "CAM_FRONT" and camera.timestamp_us == frame.timestamp_us + 30_000
        assert np.allclose(camera.ego_from_camera, world.ego_from_camera, atol=1e-9)
        assert np.allclose(camera.global_from_ego, world.ego(index + 0.3), atol=1e-9)
        assert np.allclose(camera.intrinsic, INTRINSIC) and camera.size_px == (640, 360)
        assert abs(cv2.imread(str(camera.image_path)).mean() - world.image(index).mean()) < loss
        assert camera.image_path.is_symlink() is (images == "path")


def test_the_devkit_opens_it(world, tmp_path: Path) -> None:
    nuscenes = pytest.importorskip("nuscenes")
    convert(open_source("py123d", _write(world, tmp_path / "source")), tmp_path / "root")
    kit = nuscenes.NuScenes("v1.0-py123d", str(tmp_path / "root"), verbose=False)
    assert len(kit.sample) == world.frames and len(kit.sample_annotation) == 2 * world.frames


def test_any_folder_above_a_log_will_do(world, tmp_path: Path) -> None:
    source = _write(world, tmp_path / "source")
    for folder in (source, source / "logs", (source / LOG).parent, source / LOG):
        assert open_source("py123d", folder).drives() == ["log-1"]


def test_a_camera_without_poses_rides_on_the_vehicle(world, tmp_path: Path) -> None:
    convert(open_source("py123d", _write(world, tmp_path / "source", posed=False)), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-py123d", "all")
    camera = scene.frames[1].cameras[0]
    assert np.allclose(camera.global_from_ego[:3, 3], world.ego(1.3)[:3, 3], atol=1e-6)


def test_images_are_undistorted(world, tmp_path: Path) -> None:
    distortion = (-0.4, 0.1, 0.0, 0.0, 0.0)
    convert(open_source("py123d", _write(world, tmp_path / "source", distortion=distortion)), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-py123d", "all")
    image = cv2.imread(str(scene.frames[4].cameras[0].image_path)).astype(int)
    corrected = cv2.undistort(world.image(4), INTRINSIC, np.array(distortion))
    assert np.abs(image - corrected).mean() < 1 and image[180, 320].min() > 150


def _cut(name: str) -> Callable[[Path], object]:
    def change(log: Path) -> None:
        content = (log / name).read_bytes()
        (log / name).write_bytes(content[: len(content) // 2])

    return change


def _changed(name: str, column: str, change: Callable[[list], list]) -> Callable[[Path], object]:
    """A column of a table is another."""

    def apply(log: Path) -> None:
        path = log / f"{name}.arrow"
        table = pyarrow.ipc.open_file(path.read_bytes()).read_all()
        index = table.column_names.index(column)
        values = pyarrow.array(change(table[column].to_pylist()), table.schema.field(column).type)
        _write_table(path, table.set_column(index, table.schema.field(column), values))

    return apply


def _write_table(path: Path, table: Any) -> None:
    with pyarrow.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def _with_label_class(name: str) -> Callable[[Path], object]:
    def change(log: Path) -> None:
        import msgspec

        path = log / "box_detections_se3.arrow"
        table = pyarrow.ipc.open_file(path.read_bytes()).read_all()
        metadata = {b"metadata": msgspec.msgpack.encode({"box_detection_label_class": name})}
        _write_table(path, table.replace_schema_metadata(metadata))

    return change


def _first(value: object) -> Callable[[list], list]:
    return lambda values: [value, *values[1:]]


BOXES = "box_detections_se3"
CAMERA = "camera.pcam_f0"
BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda log: (log / "sync.arrow").unlink(), r"no folder with sync\.arrow in it"),
    (lambda log: (log / "ego_state_se3.arrow").unlink(), r"ego_state_se3\.arrow: missing"),
    (
        lambda log: (log / "box_detections_se3.arrow").unlink(),
        r"box_detections_se3\.arrow: 0 rows, fewer than sync\.arrow",
    ),
    (_changed("sync", "sync.timestamp_us", _first(None)), r"sync\.arrow, row 0: no time"),
    (
        _changed("sync", "box_detections_se3", _first(99)),
        r"box_detections_se3\.arrow: 5 rows, fewer than sync\.arrow has",
    ),
    (_cut("sync.arrow"), r"sync\.arrow: cannot be read \(is it cut off\?\)"),
    (_cut(f"{BOXES}.arrow"), r"box_detections_se3\.arrow: cannot be read \(is it cut off\?\)"),
    (_cut("lidar.lidar_merged.arrow"), r"lidar\.lidar_merged\.arrow: cannot be read"),
    (_with_label_class("antigravity.Label"), r"the class of labels 'antigravity\.Label' is none of py123d's"),
    (_with_label_class("py123d.parser.registry.NoLabel"), r"box_detections_se3\.arrow: cannot be read by this version"),
    (_changed("ego_state_se3", "ego_state_se3.imu_se3", _first([1.0] * 7)), r"ego_state_se3\.arrow, row 0: no pose"),
    (_changed(BOXES, f"{BOXES}.label", _first([77, 77])), r"box_detections_se3\.arrow.*77"),
    (_changed(BOXES, f"{BOXES}.track_token", _first(["one"] * 2)), r"object 'one' is there twice"),
    (_changed("sync", "sync.timestamp_us", lambda times: times[::-1]), r"frames: time \d+ us comes after"),
    (_changed("sync", "sync.timestamp_us", lambda times: [time // 1000 for time in times]), r"in other units\?"),
    (_changed("ego_state_se3", "ego_state_se3.timestamp_us", lambda times: [t // 9 for t in times]), r"no pose near"),
    (
        _changed(CAMERA, f"{CAMERA}.data", _first(b"\xff\xd8 no image \xff\xd9")),
        r"pcam_f0\.arrow, row 0: cannot be read",
    ),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_bad_logs_are_named(change: Callable[[Path], object], said: str, world, tmp_path: Path) -> None:
    source = _write(world, tmp_path / "source")
    change(source / LOG)
    with pytest.raises(InputError, match=said) as raised:
        convert(open_source("py123d", source), tmp_path / "root")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_images_stay_below_their_folder(world, tmp_path: Path, images_in) -> None:
    source = _write(world, tmp_path / "source", images="path")
    with pytest.raises(InputError, match="set the variable that py123d takes it from"):
        convert(open_source("py123d", source), tmp_path / "root")
    images_in(source)
    (source / "images" / "3.jpg").unlink()
    with pytest.raises(InputError, match=r"images/3\.jpg: no such file|3\.jpg: No such file"):
        convert(open_source("py123d", source), tmp_path / "root")
    _changed(CAMERA, f"{CAMERA}.data", _first("../../secret.jpg"))(source / LOG)
    with pytest.raises(InputError, match=r"pcam_f0\.arrow, row 0: '\.\./\.\./secret\.jpg' is no path below"):
        convert(open_source("py123d", source), tmp_path / "root")


def test_a_log_s_name_is_there_once(world, tmp_path: Path) -> None:
    source = _write(world, tmp_path / "source")
    shutil.copytree(source / LOG, source / "logs" / "nuplan_val" / "log-1")
    with pytest.raises(InputError, match="convert one split at a time"):
        open_source("py123d", source).drives()


def test_real_frames_come_as_our_own_reader_has_them(shared: Path, tmp_path: Path) -> None:
    """A log of Argoverse 2 by py123d's parser and then by this reader: the boxes of the reader of Argoverse 2."""
    parsers = Av2SensorParser(["av2-sensor_val"], shared / "argoverse2").get_log_parsers()
    (log,) = (one for one in parsers if one.get_log_metadata().log_name.startswith("7fab2350"))  # with calibration
    config = LogWriterConfig(lidar_store_option="binary", lidar_codec="ipc_zstd")
    sync = SyncConfig("box_detections_se3.timestamp_us")
    writer = ArrowLogWriter(config, tmp_path / "logs", tmp_path / "sensors", sync_config=sync)
    writer.reset(log.get_log_metadata())
    for modality in log.iter_modalities_async():
        writer.write_async(modality)
    writer.close()
    (tmp_path / "av2").mkdir()
    (tmp_path / "av2" / log.get_log_metadata().log_name).symlink_to(log._source_log_path)
    read, converted = [], []
    for format_, source in (("py123d", tmp_path / "logs"), ("argoverse2", tmp_path / "av2")):
        opened = open_source(format_, source)
        converted.append(convert(opened, tmp_path / format_))
        read.append(read_scenes(tmp_path / format_, opened.version, "all")[0])
    ours, direct = read
    assert ours.name == direct.name and len(ours.frames) == len(direct.frames) == 156
    for first, second in zip(ours.frames, direct.frames, strict=True):
        assert first.timestamp_us == second.timestamp_us
        assert first.annotations.boxes.label.tolist() == second.annotations.boxes.label.tolist()
        assert np.abs(first.annotations.boxes.corners() - second.annotations.boxes.corners()).max() < 1e-6
        # py123d counts microseconds, the poses nanoseconds: in one of them the vehicle drives 2e-5 m.
        assert np.abs(first.global_from_ego - second.global_from_ego).max() < 2e-5
    assert converted[0].boxes == converted[1].boxes == 11_364
    assert converted[0].without_class == converted[1].without_class
