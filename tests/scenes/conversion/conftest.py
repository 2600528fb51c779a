"""One made-up drive, written in every format that can be converted.

What each converter must give is known: the drive itself. A test writes it, converts it and compares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes.boxes import Boxes3D
from scenes.conversion.folder import CAMERA_AXES
from scenes.geometry import FloatArray, invert_pose, pose_matrix, rotation_from_yaw, transform_points

START_US = 1_600_000_000_000_000
SIZE_PX = (640, 360)
INTRINSIC = np.array([[500.0, 0.0, 320.0], [0.0, 502.0, 180.0], [0.0, 0.0, 1.0]])


def _planar(x: float, y: float, z: float, yaw: float) -> FloatArray:
    return pose_matrix((x, y, z), rotation_from_yaw(yaw)[0].tolist())


def _mounting() -> FloatArray:
    mounting = _planar(1.5, 0.1, 1.4, np.radians(3.0))
    mounting[:3, :3] = mounting[:3, :3] @ CAMERA_AXES
    return mounting


@dataclass(frozen=True, eq=False)
class World:
    """A drive of five frames at 10 Hz with a car and a pedestrian, one camera and a lidar in the ego frame."""

    frames: int = 5
    ego_from_camera: FloatArray = field(default_factory=_mounting)
    names: tuple[str, ...] = ("car", "pedestrian")
    sizes_wlh: tuple[tuple[float, float, float], ...] = ((1.8, 4.4, 1.6), (0.6, 0.7, 1.8))
    yaws: tuple[float, ...] = (0.3, 1.0)
    interval_us: int = 100_000
    points_in_car: int = 7

    def times_us(self) -> list[int]:
        return [START_US + self.interval_us * frame for frame in range(self.frames)]

    def ego(self, frame: float) -> FloatArray:
        """(4, 4) global from ego."""
        return _planar(1.1 * frame, 0.2 * frame, 0.0, 0.02 * frame)

    def centers(self, frame: int) -> list[tuple[float, float, float]]:
        """Of the car and the pedestrian in global coordinates."""
        return [(15.0 + 0.5 * frame, 2.0, 0.8), (16.0, -1.5 + 0.1 * frame, 0.9)]

    def boxes(self, frame: int) -> Boxes3D:
        """In global coordinates."""
        return Boxes3D(
            center_m=np.array(self.centers(frame)),
            size_wlh_m=np.array(self.sizes_wlh),
            rotation=rotation_from_yaw(self.yaws),
            velocity_mps=np.zeros((2, 2)),
            label=np.array([0, 8]),
            score=np.ones(2),
        )

    def corners_px(self, frame: int) -> FloatArray:
        """(2, 8, 2) where the camera sees the corners of the boxes."""
        camera_from_global = invert_pose(self.ego(frame) @ self.ego_from_camera)
        seen = transform_points(camera_from_global, self.boxes(frame).corners().reshape(-1, 3)) @ INTRINSIC.T
        return (seen[:, :2] / seen[:, 2:]).reshape(2, 8, 2)

    def points(self, frame: int) -> FloatArray:
        """(P, 3) of a sweep in the ego frame: some in the car, the rest on the ground."""
        rng = np.random.default_rng(frame)
        ground = np.column_stack([rng.uniform(-30, 30, (50, 2)), np.full(50, -0.3)])
        inside = rng.uniform(-0.45, 0.45, (self.points_in_car, 3)) * [4.4, 1.8, 1.6]
        car = _planar(*self.centers(frame)[0], self.yaws[0])
        return np.concatenate([ground, transform_points(invert_pose(self.ego(frame)) @ car, inside)])

    def image(self, frame: int) -> np.ndarray:
        return np.full((SIZE_PX[1], SIZE_PX[0], 3), 40 * frame, dtype=np.uint8)


WORLD = World()


def write_image(path: Path, frame: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), WORLD.image(frame))


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _text(values: Sequence[float]) -> str:
    return " ".join(f"{value:.15e}" for value in values)


def write_kitti(root: Path, world: World = WORLD) -> Path:
    """One sequence with images and sweeps; P2's fourth column sets the camera apart from rectified coordinates."""
    for name in ("calib", "oxts", "label_02"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shift = np.eye(4)
    shift[:3, 3] = (0.06, 0.0, 0.003)  # camera from rectified
    ego_from_rectified = world.ego_from_camera @ shift
    velodyne_from_ego = _planar(0.0, 0.0, -1.7, 0.0)
    rectified_from_velodyne = invert_pose(ego_from_rectified) @ invert_pose(velodyne_from_ego)
    projection = np.column_stack([INTRINSIC, INTRINSIC @ shift[:3, 3]])
    lines = [f"P{number}: {_text(projection.ravel())}" for number in range(4)]
    lines += [
        f"R_rect {_text(np.eye(3).ravel())}",
        f"Tr_velo_cam {_text(rectified_from_velodyne[:3].ravel())}",
        f"Tr_imu_velo {_text(velodyne_from_ego[:3].ravel())}",
    ]
    (root / "calib" / "0001.txt").write_text("\n".join(lines) + "\n")
    oxts, labels = [], []
    radius, latitude = 6378137.0, 49.0
    scale = np.cos(np.radians(latitude))
    north = scale * radius * np.log(np.tan(np.radians(90 + latitude) / 2))
    for frame in range(world.frames):
        ego = world.ego(frame)
        x, y = ego[:2, 3]
        lat = np.degrees(2 * np.arctan(np.exp((y + north) / (scale * radius)))) - 90
        lon = 8.0 + np.degrees(x / (scale * radius))
        yaw = np.arctan2(ego[1, 0], ego[0, 0])
        oxts.append(f"{lat:.15f} {lon:.15f} 110.0 0 0 {yaw:.15f} {' '.join(['0'] * 24)}")
        boxes = world.boxes(frame).transform(invert_pose(ego @ ego_from_rectified))
        for index, kind in enumerate(("Van", "Pedestrian")):
            width, length, height = world.sizes_wlh[index]
            x, y, z = boxes.center_m[index]
            forward = boxes.corners()[index][0] - boxes.corners()[index][4]
            ry = np.arctan2(-forward[2], forward[0])
            corners = world.corners_px(frame)[index]
            edges = [*corners.min(axis=0), *corners.max(axis=0)]
            numbers = [*edges, height, width, length, x, y + height / 2, z, ry]
            labels.append(f"{frame} {index + 3} {kind} 0 {index} -1.5 {' '.join(f'{value:.12f}' for value in numbers)}")
        labels.append(f"{frame} -1 DontCare -1 -1 -10 10 20 30 40 {' '.join(['-1000'] * 7)}")
        write_image(root / "image_02" / "0001" / f"{frame:06d}.png", frame)
        sweep = root / "velodyne" / "0001" / f"{frame:06d}.bin"
        sweep.parent.mkdir(parents=True, exist_ok=True)
        points = transform_points(velodyne_from_ego, world.points(frame))
        sweep.write_bytes(np.column_stack([points, np.full(len(points), 0.5)]).astype("<f4").tobytes())
    (root / "oxts" / "0001.txt").write_text("\n".join(oxts) + "\n")
    (root / "label_02" / "0001.txt").write_text("\n".join(labels) + "\n")
    return root


def _quaternion_columns(poses: Sequence[FloatArray]) -> dict[str, list[float]]:
    from scipy.spatial.transform import Rotation

    quaternions = Rotation.from_matrix(np.stack([pose[:3, :3] for pose in poses])).as_quat(scalar_first=True)
    columns = {name: quaternions[:, column].tolist() for column, name in enumerate(("qw", "qx", "qy", "qz"))}
    return columns | {f"t{axis}_m": [pose[row, 3] for pose in poses] for row, axis in enumerate("xyz")}


def write_argoverse2(root: Path, world: World = WORLD) -> Path:
    """One log, with images at the frames' times and between them."""
    pytest.importorskip("pyarrow")
    from scenes.conversion.feather import write_feather

    log = root / "log-1"
    (log / "sensors" / "lidar").mkdir(parents=True)
    (log / "calibration").mkdir()
    halves = [0.5 * half for half in range(2 * world.frames - 1)]
    times_ns = [1000 * (START_US + round(world.interval_us * frame)) for frame in halves]
    poses = {"timestamp_ns": times_ns, **_quaternion_columns([world.ego(frame) for frame in halves])}
    write_feather(log / "city_SE3_egovehicle.feather", poses)
    rows: dict[str, list[object]] = {}
    for frame, time_us in enumerate(world.times_us()):
        boxes = world.boxes(frame).transform(invert_pose(world.ego(frame)))
        values = {
            "timestamp_ns": [1000 * time_us] * 2,
            "track_uuid": ["track-a", "track-b"],
            "category": ["REGULAR_VEHICLE", "PEDESTRIAN"],
            **{f"{name}_m": [size[axis] for size in world.sizes_wlh]
               for name, axis in (("length", 1), ("width", 0), ("height", 2))},
            **{name: boxes.rotation[:, column].tolist() for column, name in enumerate(("qw", "qx", "qy", "qz"))},
            **{f"t{axis}_m": boxes.center_m[:, column].tolist() for column, axis in enumerate("xyz")},
            "num_interior_pts": [world.points_in_car, 0],
        }  # fmt: skip
        for name, column in values.items():
            rows.setdefault(name, []).extend(column)
        points = world.points(frame).astype(np.float32)
        sweep = {name: points[:, column] for column, name in enumerate("xyz")}
        ones = np.ones(len(points), dtype=np.uint8)
        path = log / "sensors" / "lidar" / f"{1000 * time_us}.feather"
        write_feather(path, sweep | {"intensity": ones, "laser_number": ones, "offset_ns": ones.astype(np.int32)})
    write_feather(log / "annotations.feather", rows)
    lens = {"sensor_name": ["ring_front_center"], "fx_px": [500.0], "fy_px": [502.0], "cx_px": [320.0],
            "cy_px": [180.0], "width_px": [640], "height_px": [360]}  # fmt: skip
    write_feather(log / "calibration" / "intrinsics.feather", lens)
    mounts = {"sensor_name": ["ring_front_center"], **_quaternion_columns([world.ego_from_camera])}
    write_feather(log / "calibration" / "egovehicle_SE3_sensor.feather", mounts)
    for time_ns, frame in zip(times_ns, halves, strict=True):
        write_image(log / "sensors" / "cameras" / "ring_front_center" / f"{time_ns}.jpg", int(frame))
    return root


def write_folder(root: Path, world: World = WORLD) -> Path:
    """A folder of images named by their times, ego poses, boxes and point clouds."""
    root.mkdir(parents=True, exist_ok=True)
    calibration = {
        "cameras": {
            "front": {
                "images": "front",
                "intrinsic": {"fx": 500, "fy": 502.0, "cx": 320.0, "cy": 180.0},
                "translation": [1.5, 0.1, 1.4],
                "yaw_deg": 3.0,
            }
        },
        "lidar": {"points": "lidar", "translation": [0, 0, 0]},
    }
    write_json(root / "calibration.yaml", calibration)  # JSON is YAML
    ego, boxes = ["time,x,y,z,qw,qx,qy,qz"], ["time,object,class,x,y,z,width,length,height,yaw_rad,attribute"]
    for frame, time_us in enumerate(world.times_us()):
        time = f"{time_us / 1e6:.6f}"
        pose = world.ego(frame)
        yaw = np.arctan2(pose[1, 0], pose[0, 0])
        numbers = [*pose[:3, 3], np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
        ego.append(",".join([time, *map(repr, map(float, numbers))]))
        in_ego = world.boxes(frame).transform(invert_pose(pose))
        for index, name in enumerate(world.names):
            numbers = [*in_ego.center_m[index], *world.sizes_wlh[index], in_ego.yaw_rad[index]]
            attribute = ("vehicle.moving", "")[index]
            boxes.append(",".join([time, f"object-{index}", name, *map(repr, map(float, numbers)), attribute]))
        write_image(root / "front" / f"image_{time}.png", frame)
        (root / "lidar").mkdir(exist_ok=True)
        np.save(root / "lidar" / f"{time}.npy", world.points(frame))
    (root / "ego.csv").write_text("\n".join(ego) + "\n")
    (root / "boxes.csv").write_text("\n".join(boxes) + "\n")
    return root


def _dgp_pose(pose: FloatArray) -> dict[str, object]:
    columns = _quaternion_columns([pose])
    return {
        "translation": {axis: columns[f"t{axis}_m"][0] for axis in "xyz"},
        "rotation": {name: columns[name][0] for name in ("qw", "qx", "qy", "qz")},
    }


def write_ddad(root: Path, world: World = WORLD) -> Path:
    """One scene with its times as DDAD has them, ten times too large."""
    scene = root / "000001"
    data, samples = [], []
    (scene / "point_cloud").mkdir(parents=True)
    for frame, time_us in enumerate(world.times_us()):
        stamp = str(np.datetime64(10 * time_us, "us")) + "Z"
        ego = world.ego(frame)
        np.savez(scene / "point_cloud" / f"{frame}.npz", data=np.column_stack([world.points(frame), np.ones(57)]))
        write_image(scene / "rgb" / f"{frame}.jpg", frame)
        boxes = world.boxes(frame).transform(invert_pose(ego))
        annotations = [
            {
                "class_id": index + 1,
                "instance_id": 70 + index,
                "num_points": world.points_in_car if index == 0 else 0,
                "box": {
                    "pose": _dgp_pose(pose_matrix(boxes.center_m[index], boxes.rotation[index])),
                    **dict(zip(("width", "length", "height"), world.sizes_wlh[index], strict=True)),
                },
            }
            for index in range(2)
        ]
        write_json(scene / "bounding_box_3d" / f"{frame}.json", {"annotations": annotations})
        cloud = {"filename": f"point_cloud/{frame}.npz", "pose": _dgp_pose(ego)}
        cloud["annotations"] = {"1": f"bounding_box_3d/{frame}.json"}
        image = {"filename": f"rgb/{frame}.jpg", "pose": _dgp_pose(ego @ world.ego_from_camera)}
        image |= {"width": 640, "height": 360}
        stamped = {"timestamp": stamp, "log": "somewhere"}
        data.append({"id": {"name": "LIDAR", **stamped}, "key": f"l{frame}", "datum": {"point_cloud": cloud}})
        data.append({"id": {"name": "CAMERA_01", **stamped}, "key": f"c{frame}", "datum": {"image": image}})
        keys = [f"c{frame}", f"l{frame}"]
        samples.append({"id": {"name": "", **stamped}, "datum_keys": keys, "calibration_key": "cal"})
    content = {"data": data, "samples": samples, "ontologies": {"1": "classes"}, "description": "made up"}
    write_json(scene / "scene_1.json", content)
    classes = [{"id": 1, "name": "Car"}, {"id": 2, "name": "Person"}]
    write_json(scene / "ontology" / "classes.json", {"items": classes})
    lens = {"fx": 500.0, "fy": 502.0, "cx": 320.0, "cy": 180.0, "skew": 0.0}
    calibration = {
        "names": ["LIDAR", "CAMERA_01"],
        "intrinsics": [dict.fromkeys(lens, 0.0), lens],
        "extrinsics": [_dgp_pose(np.eye(4)), _dgp_pose(world.ego_from_camera)],
    }
    write_json(scene / "calibration" / "cal.json", calibration)
    return root


def write_pandaset(root: Path, world: World = WORLD) -> Path:
    """One sequence; tables are pickled by the pandas that is here."""
    pandas = pytest.importorskip("pandas")
    sequence = root / "001"
    camera = sequence / "camera" / "front_camera"
    for folder in (sequence / "lidar", camera, sequence / "annotations" / "cuboids"):
        folder.mkdir(parents=True)
    lidar_from_ego = _planar(0.0, 0.0, 0.0, np.pi / 2)  # theirs has y ahead
    for frame in range(world.frames):
        boxes = world.boxes(frame)
        cuboids = {
            "uuid": ["u-car", "u-person", "u-car-again"],
            "label": ["Car", "Pedestrian", "Car"],
            "yaw": [*(np.array(world.yaws) - np.pi / 2), 0.0],
            **{f"position.{axis}": [*boxes.center_m[:, column], 0.0] for column, axis in enumerate("xyz")},
            **{f"dimensions.{axis}": [*boxes.size_wlh_m[:, column], 1.0] for column, axis in enumerate("xyz")},
            "attributes.object_motion": ["Moving", np.nan, "Moving"],
            "attributes.pedestrian_behavior": [np.nan, "Walking", np.nan],
            "cuboids.sensor_id": [0, -1, 1],
            "cuboids.sibling_id": ["u-car-again", "-", "u-car"],
        }
        texts = ("uuid", "label", "attributes.object_motion", "attributes.pedestrian_behavior", "cuboids.sibling_id")
        columns = {
            name: pandas.Series(values, dtype=object if name in texts else None) for name, values in cuboids.items()
        }
        table = pandas.DataFrame(columns)
        table.columns = pandas.Index(list(cuboids), dtype=object)
        table.to_pickle(sequence / "annotations" / "cuboids" / f"{frame:02d}.pkl.gz")
        points = transform_points(world.ego(frame), world.points(frame))
        sweep = pandas.DataFrame({**dict(zip("xyz", points.T, strict=True)), "i": 9.0, "t": 0.0, "d": 0})
        sweep.columns = pandas.Index(list("xyzitd"), dtype=object)
        sweep.to_pickle(sequence / "lidar" / f"{frame:02d}.pkl.gz")
        write_image(camera / f"{frame:02d}.jpg", frame)
    egos = [world.ego(frame) for frame in range(world.frames)]
    for folder, poses in (
        (sequence / "lidar", [ego @ invert_pose(lidar_from_ego) for ego in egos]),
        (camera, [ego @ world.ego_from_camera for ego in egos]),
    ):
        listed = [
            {
                "position": {axis: pose[row, 3] for row, axis in enumerate("xyz")},
                "heading": {name[1]: _quaternion_columns([pose])[name][0] for name in ("qw", "qx", "qy", "qz")},
            }
            for pose in poses
        ]
        write_json(folder / "poses.json", listed)
        write_json(folder / "timestamps.json", [time_us / 1e6 for time_us in world.times_us()])
    write_json(camera / "intrinsics.json", {"fx": 500.0, "fy": 502.0, "cx": 320.0, "cy": 180.0})
    return root


@dataclass(frozen=True)
class Dialect:
    """How a data set departs from nuScenes' tables."""

    tables: str
    lidar: str
    names: tuple[str, str]
    attributes: tuple[str, ...]
    levels: tuple[str, ...]
    clock: Callable[[int], float] = float
    counts: tuple[int | None, int | None] = (7, 0)


LYFT = Dialect("train_data", "LIDAR_TOP", ("car", "pedestrian"), ("is_stationary", "object_action_parked"),
               ("",), lambda time: time + 0.25, (-1, -1))  # fmt: skip
T4 = Dialect("annotation", "LIDAR_CONCAT", ("car", "pedestrian"), ("occlusion_state.none", "vehicle_state.parked"),
             ("full",), int)  # fmt: skip
TRUCKSCENES = Dialect("v1.0-mini", "LIDAR_LEFT", ("vehicle.car", "human.pedestrian.adult"),
                      ("vehicle.parked",), ("v80-100",), int)  # fmt: skip


def write_schema(root: Path, world: World = WORLD, dialect: Dialect = T4) -> Path:
    """One scene in nuScenes' tables, with the columns and names of another data set."""
    tables: dict[str, list[dict[str, object]]] = {name: [] for name in ("sample", "sample_data", "sample_annotation")}
    tables |= {"ego_pose": [], "instance": []}
    tables["scene"] = [
        {"token": "s", "name": "drive-1", "first_sample_token": "f0", "log_token": "g", "nbr_samples": 5}
    ]
    tables["log"] = [{"token": "g", "location": "tokyo", "vehicle": "truck"}]
    tables["category"] = [{"token": f"c{index}", "name": name} for index, name in enumerate(dialect.names)]
    tables["attribute"] = [{"token": f"a{index}", "name": name} for index, name in enumerate(dialect.attributes)]
    tables["visibility"] = [{"token": f"v{index}", "level": level} for index, level in enumerate(dialect.levels)]
    tables["sensor"] = [
        {"token": "cam", "channel": "CAM_FRONT", "modality": "camera"},
        {"token": "lid", "channel": dialect.lidar, "modality": "lidar"},
    ]
    columns = _quaternion_columns([np.eye(4), world.ego_from_camera])
    tables["calibrated_sensor"] = [
        {
            "token": f"{sensor}_cal",
            "sensor_token": sensor,
            "translation": [columns[f"t{axis}_m"][row] for axis in "xyz"],
            "rotation": [columns[name][row] for name in ("qw", "qx", "qy", "qz")],
            "camera_intrinsic": INTRINSIC.tolist() if sensor == "cam" else [],
        }
        for row, sensor in enumerate(("lid", "cam"))
    ]
    tables["instance"] = [{"token": f"i{index}", "category_token": f"c{index}"} for index in range(2)]
    for frame, time_us in enumerate(world.times_us()):
        time = dialect.clock(time_us)
        tables["sample"].append({"token": f"f{frame}", "timestamp": time, "scene_token": "s", "next": "", "prev": ""})
        ego = _quaternion_columns([world.ego(frame)])
        pose = {"token": f"p{frame}", "translation": [ego[f"t{axis}_m"][0] for axis in "xyz"], "timestamp": time}
        tables["ego_pose"].append(pose | {"rotation": [ego[name][0] for name in ("qw", "qx", "qy", "qz")]})
        for sensor, name in (("lid", f"data/lidar/{frame}.pcd.bin"), ("cam", f"data/cam/{frame}.jpg")):
            row = {"token": f"{sensor}{frame}", "sample_token": f"f{frame}", "ego_pose_token": f"p{frame}"}
            row |= {"calibrated_sensor_token": f"{sensor}_cal", "timestamp": time, "filename": name}
            size = {"height": 360, "width": 640} if sensor == "cam" else {"height": 0, "width": 0}
            tables["sample_data"].append(row | size | {"is_key_frame": True, "fileformat": "jpg"})
        write_image(root / "data" / "cam" / f"{frame}.jpg", frame)
        sweep = root / "data" / "lidar" / f"{frame}.pcd.bin"
        sweep.parent.mkdir(parents=True, exist_ok=True)
        sweep.write_bytes(np.column_stack([world.points(frame), np.ones((57, 2))]).astype("<f4").tobytes())
        boxes = world.boxes(frame)
        for index in range(2):
            tables["sample_annotation"].append(
                {
                    "token": f"n{frame}{index}",
                    "sample_token": f"f{frame}",
                    "instance_token": f"i{index}",
                    "attribute_tokens": [f"a{number}" for number in range(len(dialect.attributes))],
                    "visibility_token": "v0",
                    "translation": boxes.center_m[index].tolist(),
                    "size": boxes.size_wlh_m[index].tolist(),
                    "rotation": boxes.rotation[index].tolist(),
                    "num_lidar_pts": dialect.counts[index],
                }
            )
    for name, rows in tables.items():
        write_json(root / dialect.tables / f"{name}.json", rows)
    return root


WRITERS: dict[str, Callable[[Path, World], Path]] = {
    "kitti": write_kitti,
    "argoverse2": write_argoverse2,
    "folder": write_folder,
    "ddad": write_ddad,
    "pandaset": write_pandaset,
    "nuscenes-schema": write_schema,
}


@pytest.fixture(scope="session")
def world() -> World:
    """What every made-up source holds."""
    return WORLD


@pytest.fixture
def write_source(tmp_path: Path) -> Callable[..., Path]:
    """Writes the made-up drive, or the begin of it, in a format; returns the folder."""
    return lambda format_, frames=WORLD.frames: WRITERS[format_](tmp_path / "source", replace(WORLD, frames=frames))


@pytest.fixture(scope="session")
def drive_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The made-up drive in a format, written once: to be copied, not changed."""
    written: dict[str, Path] = {}

    def folder_of(format_: str) -> Path:
        if format_ not in written:
            written[format_] = WRITERS[format_](tmp_path_factory.mktemp(format_) / "source", WORLD)
        return written[format_]

    return folder_of


@pytest.fixture(scope="session")
def write_dialect() -> Callable[[Path, str], Path]:
    """Writes the made-up drive in nuScenes' tables as Lyft, T4 or TruckScenes have them."""
    dialects = {"lyft": LYFT, "t4": T4, "truckscenes": TRUCKSCENES}
    return lambda folder, name: write_schema(folder, dialect=dialects[name])
