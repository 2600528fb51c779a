"""Faults to put into a good data root, and what the doctor has to find: the table behind docs/doctor.md.

A fault changes the tables, the files of the data root, or a result file. The good root is a small city.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.city import TRAIN_SPLIT, VAL_SPLIT, VERSION
from scenes.geometry import invert_pose, pose_matrix, transform_points

Row = dict[str, Any]
Tables = dict[str, list[Row]]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what somebody did.
        finds: the check that has to find it.
        also: checks that find what comes of it; no others may.
        tables: changes the rows, before they are written; may be left out.
        files: changes files of the data root after that; may be left out.
        results: gives a result file from the tables; may be left out.
    """

    name: str
    finds: str
    also: tuple[str, ...] = ()
    tables: Callable[[Tables], object] | None = None
    files: Callable[[Path, Tables], object] | None = None
    results: Callable[[Tables], Any] | None = None


# --- looking things up -----------------------------------------------------------------------------------------------


def by_token(rows: list[Row]) -> dict[str, Row]:
    return {row["token"]: row for row in rows}


def scene_samples(tables: Tables, scene: int = 0) -> list[Row]:
    """The key frames of a scene in the order of time."""
    token = tables["scene"][scene]["token"]
    return sorted((row for row in tables["sample"] if row["scene_token"] == token), key=lambda row: row["timestamp"])


def channel_of(tables: Tables, data: Row) -> str:
    calibration = by_token(tables["calibrated_sensor"])[data["calibrated_sensor_token"]]
    return str(by_token(tables["sensor"])[calibration["sensor_token"]]["channel"])


def recordings(tables: Tables, channel: str, scene: int = 0) -> list[Row]:
    """The rows of sample_data of a sensor in a scene, in the order of time."""
    samples = {row["token"] for row in scene_samples(tables, scene)}
    calibrations = {row["token"] for row in calibrations_of(tables, channel)}
    rows = tables["sample_data"]
    chosen = [row for row in rows if row["sample_token"] in samples and row["calibrated_sensor_token"] in calibrations]
    return sorted(chosen, key=lambda row: row["timestamp"])


def calibrations_of(tables: Tables, channel: str) -> list[Row]:
    sensors = {row["token"] for row in tables["sensor"] if row["channel"] == channel}
    return [row for row in tables["calibrated_sensor"] if row["sensor_token"] in sensors]


def cameras(tables: Tables) -> list[Row]:
    """The calibrations of cameras."""
    return [row for row in tables["calibrated_sensor"] if row["camera_intrinsic"]]


def annotations(tables: Tables, category: str = "") -> list[Row]:
    names = {row["token"]: row["name"] for row in tables["category"]}
    instances = {row["token"]: names[row["category_token"]] for row in tables["instance"]}
    rows = tables["sample_annotation"]
    return [row for row in rows if instances[row["instance_token"]].startswith(category)]


def longest(tables: Tables, category: str = "", count: int = 1) -> list[list[Row]]:
    """The boxes of the instances with most of them, in the order of time."""
    times = {row["token"]: row["timestamp"] for row in tables["sample"]}
    chains: dict[str, list[Row]] = {}
    for row in annotations(tables, category):
        chains.setdefault(row["instance_token"], []).append(row)
    ordered = sorted(chains.values(), key=len, reverse=True)[:count]
    return [sorted(chain, key=lambda row: times[row["sample_token"]]) for chain in ordered]


def ego_poses(tables: Tables) -> dict[str, np.ndarray]:
    """For each key frame the pose of its lidar."""
    poses = by_token(tables["ego_pose"])
    rows = [row for scene in range(len(tables["scene"])) for row in recordings(tables, "LIDAR_TOP", scene)]
    return {row["sample_token"]: pose_of(poses[row["ego_pose_token"]]) for row in rows}


def pose_of(row: Row) -> np.ndarray:
    return pose_matrix(row["translation"], row["rotation"])


def put_pose(row: Row, pose: np.ndarray) -> None:
    row["translation"] = pose[:3, 3].tolist()
    row["rotation"] = Rotation.from_matrix(pose[:3, :3]).as_quat(scalar_first=True).tolist()


def drop_annotations(tables: Tables, samples: set[str]) -> None:
    """Take the annotations of some frames out, as a careful converter would: chains and counts go on."""
    rows = [row for row in tables["sample_annotation"] if row["sample_token"] not in samples]
    tables["sample_annotation"] = rows
    relink(tables)


def relink(tables: Tables) -> None:
    """Chains, counts and instances as the annotations ask for."""
    times = {row["token"]: row["timestamp"] for row in tables["sample"]}
    chains: dict[str, list[Row]] = {}
    for row in tables["sample_annotation"]:
        chains.setdefault(row["instance_token"], []).append(row)
    for chain in chains.values():
        chain.sort(key=lambda row: times[row["sample_token"]])
        for row, before, after in zip(chain, [None, *chain], [*chain[1:], None], strict=False):
            row["prev"] = before["token"] if before else ""
            row["next"] = after["token"] if after else ""
    tables["instance"] = [row for row in tables["instance"] if row["token"] in chains]
    for row in tables["instance"]:
        row["nbr_annotations"] = len(chains[row["token"]])


# --- changes of tables -----------------------------------------------------------------------------------------------


def each(rows: list[Row], change: Callable[[Row], object]) -> None:
    for row in rows:
        change(row)


def xyzw(row: Row) -> None:
    row["rotation"] = [*row["rotation"][1:], row["rotation"][0]]


def shift(rows: list[Row], *offset: float) -> None:
    for row in rows:
        row["translation"] = [value + add for value, add in zip(row["translation"], offset, strict=True)]


def scale_times(tables: Tables, factor: float, whole: bool = True) -> None:
    for name in ("sample", "sample_data", "ego_pose"):
        for row in tables[name]:
            row["timestamp"] = round(row["timestamp"] * factor) if whole else row["timestamp"] * factor


def retime(tables: Tables, scene: int, seconds: Callable[[int, float], float]) -> None:
    """Move the frames of a scene, with all that was recorded, to a time made of their number and old time."""
    samples = scene_samples(tables, scene)
    start = samples[0]["timestamp"]
    shifts = {
        row["token"]: round(1e6 * seconds(index, 1e-6 * (row["timestamp"] - start))) - (row["timestamp"] - start)
        for index, row in enumerate(samples)
    }
    poses = by_token(tables["ego_pose"])
    for row in samples:
        row["timestamp"] += shifts[row["token"]]
    for row in tables["sample_data"]:
        if row["sample_token"] in shifts:
            row["timestamp"] += shifts[row["sample_token"]]
            poses[row["ego_pose_token"]]["timestamp"] = row["timestamp"]


def delay(tables: Tables, channel: str, seconds: float) -> None:
    poses = by_token(tables["ego_pose"])
    for scene in range(len(tables["scene"])):
        for row in recordings(tables, channel, scene):
            row["timestamp"] += round(1e6 * seconds)
            poses[row["ego_pose_token"]]["timestamp"] = row["timestamp"]


def invert(row: Row) -> None:
    put_pose(row, invert_pose(pose_of(row)))


def exchange_mountings(tables: Tables, pairs: list[tuple[str, str]]) -> None:
    for first, second in pairs:
        for one, other in zip(calibrations_of(tables, first), calibrations_of(tables, second), strict=True):
            for key in ("translation", "rotation"):
                one[key], other[key] = other[key], one[key]


def boxes_to_ego(tables: Tables) -> None:
    """Boxes in the ego vehicle's coordinates, as many label tools give them."""
    poses = ego_poses(tables)
    for row in tables["sample_annotation"]:
        put_pose(row, invert_pose(poses[row["sample_token"]]) @ pose_of(row))


def stand_still(tables: Tables) -> None:
    boxes_to_ego(tables)
    for row in tables["ego_pose"]:
        put_pose(row, np.eye(4))


def turn_vehicle(tables: Tables) -> None:
    """The ego's x axis points backwards, and sensors are mounted accordingly."""
    back = pose_matrix([0, 0, 0], [0, 0, 0, 1])
    each(tables["ego_pose"], lambda row: put_pose(row, pose_of(row) @ back))
    each(tables["calibrated_sensor"], lambda row: put_pose(row, back @ pose_of(row)))


def mirror_yaw(row: Row) -> None:
    row["rotation"][3] = -row["rotation"][3]


def exchange_identities(tables: Tables) -> None:
    """Two cars far apart change their instances in the middle."""
    first = longest(tables, "vehicle.car")[0]
    samples = {row["sample_token"]: row for row in first}
    for other in longest(tables, "vehicle.car", 20)[1:]:
        common = [(samples[row["sample_token"]], row) for row in other if row["sample_token"] in samples]
        apart = [float(np.linalg.norm(np.subtract(a["translation"], b["translation"]))) for a, b in common]
        if len(common) >= 4 and min(apart) > 15:
            for one, two in common[len(common) // 2 :]:
                one["instance_token"], two["instance_token"] = two["instance_token"], one["instance_token"]
            relink(tables)
            return
    raise AssertionError("no two such cars")


def new_identities(tables: Tables) -> None:
    """Each box gets an instance of its own, the number of its row."""
    instances = by_token(tables["instance"])
    rows = tables["sample_annotation"]
    tables["instance"] = [
        {**instances[row["instance_token"]], "token": f"box-{number}"} for number, row in enumerate(rows)
    ]
    for number, row in enumerate(rows):
        row["instance_token"] = f"box-{number}"
    relink(tables)


def repeat_boxes(tables: Tables) -> None:
    """One car is annotated a second time, under a new instance."""
    chain = longest(tables, "vehicle.car")[0]
    instance = by_token(tables["instance"])[chain[0]["instance_token"]]
    tables["instance"].append({**instance, "token": "again"})
    tables["sample_annotation"] += [
        {**row, "token": f"again-{row['token']}", "instance_token": "again"} for row in chain
    ]
    relink(tables)


def identity_twice(tables: Tables) -> None:
    chain = longest(tables, "vehicle.car")[0]
    other = next(row for row in annotations(tables) if row["instance_token"] != chain[0]["instance_token"])
    same = next(row for row in chain if row["sample_token"] == other["sample_token"])
    other["instance_token"] = same["instance_token"]


def identity_in_scenes(tables: Tables) -> None:
    scenes = [{row["token"] for row in scene_samples(tables, scene)} for scene in (0, 1)]
    chains = longest(tables, "vehicle.car", 100)
    first, second = (next(chain for chain in chains if chain[0]["sample_token"] in scene) for scene in scenes)
    for row in second:
        row["instance_token"] = first[0]["instance_token"]
    relink(tables)


def wider_cars(tables: Tables) -> None:
    for chain in longest(tables, "vehicle.car", 3):
        for row in chain:
            width, length, height = row["size"]
            row["size"] = [length, width, height]


def look_up(row: Row) -> None:
    """A camera is pitched up by half a right angle."""
    turn = Rotation.from_quat(row["rotation"], scalar_first=True) * Rotation.from_euler("x", 45, degrees=True)
    row["rotation"] = turn.as_quat(scalar_first=True).tolist()


def nameless_static(tables: Tables) -> None:
    """Nothing tells what stands still: no barriers, cones and racks, and no attributes."""
    each(tables["category"], lambda row: row.update(name=row["name"] if "vehicle" in row["name"] else "animal"))
    each(tables["sample_annotation"], lambda row: row.update(attribute_tokens=[]))


def share_mounting(tables: Tables) -> None:
    for one, other in zip(
        calibrations_of(tables, "CAM_FRONT_LEFT"), calibrations_of(tables, "CAM_FRONT_RIGHT"), strict=True
    ):
        other["translation"], other["rotation"] = one["translation"], one["rotation"]


def one_drive_twice(tables: Tables) -> None:
    """The second scene was cut out of the first one's drive, at the same time."""
    tables["scene"][1]["log_token"] = tables["scene"][0]["log_token"]
    start = scene_samples(tables, 0)[0]["timestamp"] - scene_samples(tables, 1)[0]["timestamp"]
    retime(tables, 1, lambda index, seconds: seconds + 1e-6 * start + 0.05)


def hang(tables: Tables) -> None:
    """A camera gives its last image again."""
    rows = recordings(tables, "CAM_BACK")
    rows[3]["timestamp"] = rows[2]["timestamp"]
    rows[3]["ego_pose_token"] = rows[2]["ego_pose_token"]


def drop_camera(tables: Tables) -> None:
    gone = recordings(tables, "CAM_BACK")[2]
    tables["sample_data"] = [row for row in tables["sample_data"] if row is not gone]


def drop_frame(tables: Tables) -> None:
    token = scene_samples(tables)[2]["token"]
    tables["sample_data"] = [row for row in tables["sample_data"] if row["sample_token"] != token]


def recording_twice(tables: Tables) -> None:
    row = recordings(tables, "CAM_BACK")[1]
    tables["sample_data"].append({**row, "token": "again", "timestamp": row["timestamp"] + 20_000})


def cut_frame(tables: Tables) -> None:
    """A frame is lost with all that belongs to it, and chains are mended."""
    first, gone, last = scene_samples(tables)[1:4]
    tables["sample"] = [row for row in tables["sample"] if row is not gone]
    tables["sample_data"] = [row for row in tables["sample_data"] if row["sample_token"] != gone["token"]]
    first["next"], last["prev"] = last["token"], first["token"]
    tables["scene"][0]["nbr_samples"] -= 1
    drop_annotations(tables, {gone["token"]})


def one_frame_late(tables: Tables) -> None:
    rows = recordings(tables, "CAM_FRONT")
    samples = [row["sample_token"] for row in rows]
    for row, sample in zip(rows, [samples[-1], *samples[:-1]], strict=True):
        row["sample_token"] = sample


def late_poses(tables: Tables) -> None:
    """A camera takes the poses of the frames before."""
    rows = recordings(tables, "CAM_BACK_RIGHT")
    tokens = [row["ego_pose_token"] for row in rows]
    for row, token in zip(rows[1:], tokens, strict=False):
        row["ego_pose_token"] = token


def exchange_times(tables: Tables) -> None:
    first, second = scene_samples(tables)[2:4]
    first["timestamp"], second["timestamp"] = second["timestamp"], first["timestamp"]


def skip_sample(tables: Tables) -> None:
    first, _, last = scene_samples(tables)[1:4]
    first["next"] = last["token"]


def raise_frame(tables: Tables) -> None:
    token = scene_samples(tables)[2]["token"]
    shift([row for row in tables["sample_annotation"] if row["sample_token"] == token], 0, 0, 20)


def far_origin(tables: Tables) -> None:
    """Annotations count from another origin than ego poses, as after a change of the map."""
    shift(tables["sample_annotation"], 40_000.0, 0.0, 0.0)


# --- changes of files ------------------------------------------------------------------------------------------------


def image(root: Path, tables: Tables, channel: str = "CAM_FRONT", frame: int = 0, scene: int = 0) -> Path:
    """An image file of the data root."""
    return root / str(recordings(tables, channel, scene)[frame]["filename"])


def redrawn(path: Path, change: Callable[[Image.Image], Image.Image], exif: int | None = None) -> None:
    changed = change(Image.open(path))
    file = io.BytesIO()
    mark = Image.Exif()
    if exif is not None:
        mark[0x0112] = exif
    changed.save(file, "jpeg", exif=mark)
    path.write_bytes(file.getvalue())


def edit_table(name: str, change: Callable[[str], str]) -> Callable[[Path, Tables], object]:
    def edit(root: Path, tables: Tables) -> None:
        path = root / VERSION / f"{name}.json"
        path.write_text(change(path.read_text()))

    return edit


def written_splits(content: Any) -> Callable[[Path, Tables], object]:
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda root, tables: (root / VERSION / "splits.json").write_text(text)


# --- result files ----------------------------------------------------------------------------------------------------


def results(
    tables: Tables, change: Callable[[Row], object] = lambda box: None, task: str = "detection"
) -> dict[str, Any]:
    """A good result file made of the annotations, each box changed."""
    samples: dict[str, list[Row]] = {row["token"]: [] for row in tables["sample"]}
    names = {"vehicle.car": "car", "human.pedestrian.adult": "pedestrian", "vehicle.truck": "truck"}
    for category, name in names.items():
        for number, row in enumerate(annotations(tables, category)):
            box = {key: row[key] for key in ("sample_token", "translation", "size", "rotation")}
            box |= {"velocity": [0.0, 0.0], f"{task}_name": name, f"{task}_score": 0.3 + 0.001 * (number % 500)}
            box |= {"attribute_name": ""} if task == "detection" else {"tracking_id": row["instance_token"]}
            change(box)
            samples[row["sample_token"]].append(box)
    return {"meta": {}, "results": samples}


def results_in_frame(tables: Tables, of_lidar: bool) -> dict[str, Any]:
    """Boxes in the ego or lidar frame, where global ones belong."""
    poses = ego_poses(tables)
    mounting = pose_of(calibrations_of(tables, "LIDAR_TOP")[0])

    def change(box: Row) -> None:
        frame = poses[box["sample_token"]] @ mounting if of_lidar else poses[box["sample_token"]]
        box["translation"] = transform_points(invert_pose(frame), np.array([box["translation"]]))[0].tolist()

    return results(tables, change)


def without(content: dict[str, Any], *indices: int) -> dict[str, Any]:
    tokens = list(content["results"])
    for index in indices:
        del content["results"][tokens[index]]
    return content


def foreign(content: dict[str, Any]) -> dict[str, Any]:
    content["results"]["another"] = []
    return content


def same_track(tables: Tables) -> dict[str, Any]:
    return results(tables, lambda box: box.update(tracking_id="1"), "tracking")


FAULTS: list[Fault] = [
    # Tables.
    Fault(
        "a table is not there",
        "table-missing",
        also=(
            "no-known-category",
            "token-leads-nowhere",
        ),
        files=lambda root, _: (root / VERSION / "instance.json").unlink(),
    ),
    Fault(
        "a table is cut off",
        "table-broken",
        also=(
            "count-wrong",
            "token-leads-nowhere",
        ),
        files=edit_table("sample", lambda text: text[: len(text) // 2]),
    ),
    Fault(
        "a table is an object",
        "table-broken",
        also=(
            "count-wrong",
            "token-leads-nowhere",
        ),
        files=edit_table("sample", lambda text: '{"rows": []}'),
    ),
    Fault(
        "NaN in a pose", "not-a-number", tables=lambda t: t["ego_pose"][5].update(translation=[float("nan"), 0.0, 0.0])
    ),
    Fault(
        "a word for a time",
        "row-refused",
        also=(
            "chain-broken",
            "count-wrong",
            "token-leads-nowhere",
        ),
        tables=lambda t: t["sample"][1].update(timestamp="noon"),
    ),
    Fault(
        "a column left out",
        "row-refused",
        tables=lambda t: each(t["sample_annotation"], lambda r: r.pop("num_lidar_pts")),
    ),
    Fault("a size of zero", "row-refused", tables=lambda t: t["sample_annotation"][3].update(size=[0, 1, 1])),
    Fault(
        "a row is there twice", "token-twice", tables=lambda t: t["sample_annotation"].append(t["sample_annotation"][0])
    ),
    Fault("an instance left out", "token-leads-nowhere", tables=lambda t: t["instance"].pop(0)),
    Fault("poses left out", "token-leads-nowhere", tables=lambda t: t["ego_pose"].__delitem__(slice(0, 5))),
    Fault("next skips a frame", "chain-broken", tables=skip_sample),
    Fault(
        "an annotation is its own next",
        "chain-broken",
        tables=lambda t: t["sample_annotation"][4].update(next=t["sample_annotation"][4]["token"]),
    ),
    Fault("counts of an older version", "count-wrong", tables=lambda t: t["instance"][0].update(nbr_annotations=77)),
    Fault(
        "two attributes",
        "several-attributes",
        tables=lambda t: t["sample_annotation"][0].update(
            attribute_tokens=[row["token"] for row in t["attribute"][:2]]
        ),
    ),
    Fault(
        "scenes of one name",
        "scene-name-twice",
        also=("split-scene-unknown",),
        tables=lambda t: each(t["scene"], lambda r: r.update(name="drive")),
    ),
    Fault(
        "absolute paths",
        "file-outside",
        tables=lambda t: each(t["sample_data"], lambda r: r.update(filename="/data/" + r["filename"])),
    ),
    Fault("a frame without recordings", "frame-without-recording", also=("camera-lacks-frames",), tables=drop_frame),
    Fault("two images of a camera in a frame", "sensor-twice", tables=recording_twice),
    Fault("a camera dropped a frame", "camera-lacks-frames", tables=drop_camera),
    # Rotations.
    Fault(
        "rotations of twice the length",
        "quaternion-norm",
        tables=lambda t: each(t["ego_pose"], lambda r: r.update(rotation=[2 * value for value in r["rotation"]])),
    ),
    Fault(
        "ego poses as x y z w",
        "quaternion-order",
        also=(
            "camera-sees-no-box",
            "ego-heading",
        ),
        tables=lambda t: each(t["ego_pose"], xyzw),
    ),
    Fault(
        "boxes as x y z w",
        "quaternion-order",
        also=("box-heading",),
        tables=lambda t: each(t["sample_annotation"], xyzw),
    ),
    Fault(
        "cameras as x y z w",
        "quaternion-order",
        also=(
            "camera-not-upright",
            "camera-sees-no-box",
        ),
        tables=lambda t: each(t["calibrated_sensor"], xyzw),
    ),
    Fault(
        "a box on its roof",
        "body-leans",
        tables=lambda t: t["sample_annotation"][0].update(rotation=[0.0, 1.0, 0.0, 0.0]),
    ),
    # Cameras.
    Fault(
        "intrinsics transposed",
        "intrinsic-invalid",
        tables=lambda t: each(
            cameras(t), lambda r: r.update(camera_intrinsic=np.transpose(r["camera_intrinsic"]).tolist())
        ),
    ),
    Fault(
        "intrinsics of the full size",
        "intrinsic-other-size",
        also=("camera-sees-no-box",),
        tables=lambda t: each(
            cameras(t),
            lambda r: r.update(
                camera_intrinsic=[
                    [9.09 * v for v in r["camera_intrinsic"][0]],
                    [9.09 * v for v in r["camera_intrinsic"][1]],
                    [0.0, 0.0, 1.0],
                ]
            ),
        ),
    ),
    Fault(
        "intrinsics of two thirds",
        "intrinsic-other-size",
        tables=lambda t: each(
            cameras(t),
            lambda r: r.update(
                camera_intrinsic=[
                    [0.67 * v for v in r["camera_intrinsic"][0]],
                    [0.67 * v for v in r["camera_intrinsic"][1]],
                    [0.0, 0.0, 1.0],
                ]
            ),
        ),
    ),
    Fault(
        "focal length in another unit",
        "angle-of-view",
        tables=lambda t: each(
            cameras(t),
            lambda r: (r["camera_intrinsic"][0].__setitem__(0, 4.0), r["camera_intrinsic"][1].__setitem__(1, 4.0)),
        ),
    ),
    Fault("extrinsics inverted", "camera-not-upright", tables=lambda t: each(cameras(t), invert)),
    Fault(
        "front and back exchanged",
        "camera-direction",
        tables=lambda t: exchange_mountings(t, [("CAM_FRONT", "CAM_BACK")]),
    ),
    Fault(
        "a left-handed rig",
        "left-handed",
        tables=lambda t: exchange_mountings(
            t, [("CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"), ("CAM_BACK_LEFT", "CAM_BACK_RIGHT")]
        ),
    ),
    Fault(
        "mountings in millimetres",
        "mounting-units",
        also=("no-box-in-images",),
        tables=lambda t: each(
            t["calibrated_sensor"], lambda r: r.update(translation=[1000 * v for v in r["translation"]])
        ),
    ),
    Fault("a mounting copied", "mounting-shared", also=("camera-direction",), tables=share_mounting),
    # Times.
    Fault("times in nanoseconds", "time-unit", also=("row-refused",), tables=lambda t: scale_times(t, 1000.0)),
    Fault("times in milliseconds", "time-unit", tables=lambda t: scale_times(t, 1e-3)),
    Fault("times in seconds", "time-unit", also=("row-refused",), tables=lambda t: scale_times(t, 1e-6, whole=False)),
    Fault(
        "two frames exchanged",
        "time-order",
        also=(
            "identity-jumps",
            "sensor-out-of-step",
        ),
        tables=exchange_times,
    ),
    Fault("two frames lost", "time-gap", tables=lambda t: retime(t, 0, lambda i, s: s + (1.0 if i > 2 else 0.0))),
    Fault("times of arrival", "time-jitter", tables=lambda t: retime(t, 0, lambda i, s: s + 0.2 * (i % 2))),
    Fault("a scene at another rate", "frame-rate-differs", tables=lambda t: retime(t, 0, lambda i, s: 0.4 * s)),
    Fault("too few key frames", "frame-rate-low", tables=lambda t: [retime(t, n, lambda i, s: 4 * s) for n in (0, 1)]),
    Fault("a camera one frame late", "sensor-out-of-step", tables=one_frame_late),
    Fault("a camera 0.2 s late", "camera-late", also=("ego-jump",), tables=lambda t: delay(t, "CAM_BACK", 0.2)),
    Fault("a camera hung", "time-repeated", also=("sensor-out-of-step",), tables=hang),
    Fault(
        "poses of the frame before",
        "pose-of-other-time",
        also=(
            "ego-heading",
            "ego-jump",
        ),
        tables=late_poses,
    ),
    # Ego motion.
    Fault("a lost fix", "ego-jump", also=("ego-heading",), tables=lambda t: shift([t["ego_pose"][3]], 25.0, 0.0, 0.0)),
    Fault(
        "a heading that wraps",
        "ego-turn",
        tables=lambda t: t["ego_pose"][3].update(
            rotation=(
                Rotation.from_quat(t["ego_pose"][3]["rotation"], scalar_first=True)
                * Rotation.from_euler("z", 180, degrees=True)
            )
            .as_quat(scalar_first=True)
            .tolist()
        ),
    ),
    Fault(
        "the vehicle's x axis points back",
        "ego-heading",
        also=(
            "camera-direction",
            "left-handed",
        ),
        tables=turn_vehicle,
    ),
    Fault(
        "ego poses inverted",
        "ego-heading",
        also=(
            "boxes-far",
            "ego-jump",
            "no-box-in-images",
        ),
        tables=lambda t: each(t["ego_pose"], invert),
    ),
    Fault(
        "no odometry",
        "ego-stands",
        also=(
            "box-heading",
            "identity-jumps",
        ),
        tables=stand_still,
    ),
    Fault(
        "boxes left in ego coordinates",
        "static-world-moves",
        also=(
            "box-heading",
            "boxes-far",
            "identity-jumps",
            "no-box-in-images",
        ),
        tables=boxes_to_ego,
    ),
    Fault(
        "boxes left in ego coordinates, nothing known to stand",
        "static-world-moves",
        also=(
            "box-heading",
            "boxes-far",
            "no-box-in-images",
        ),
        tables=lambda t: (nameless_static(t), boxes_to_ego(t)),
    ),
    Fault(
        "no odometry, nothing known to stand",
        "ego-stands",
        also=("box-heading",),
        tables=lambda t: (nameless_static(t), stand_still(t)),
    ),
    Fault("annotations of another origin", "boxes-far", also=("no-box-in-images",), tables=far_origin),
    # Boxes.
    Fault(
        "categories of another data set",
        "no-known-category",
        tables=lambda t: each(t["category"], lambda r: r.update(name=r["name"].upper())),
    ),
    Fault(
        "sizes as length width height",
        "size-order",
        tables=lambda t: each(
            t["sample_annotation"], lambda r: r.update(size=[r["size"][1], r["size"][0], r["size"][2]])
        ),
    ),
    Fault(
        "sizes as height width length",
        "size-order",
        tables=lambda t: each(
            t["sample_annotation"], lambda r: r.update(size=[r["size"][2], r["size"][0], r["size"][1]])
        ),
    ),
    Fault(
        "sizes in centimetres",
        "size-units",
        tables=lambda t: each(t["sample_annotation"], lambda r: r.update(size=[100 * v for v in r["size"]])),
    ),
    Fault(
        "half sizes",
        "size-units",
        tables=lambda t: each(t["sample_annotation"], lambda r: r.update(size=[0.5 * v for v in r["size"]])),
    ),
    Fault(
        "a car of thirty metres",
        "size-out-of-class",
        also=("size-changes",),
        tables=lambda t: annotations(t, "vehicle.car")[0].update(size=[1.9, 30.0, 1.6]),
    ),
    Fault("some cars wider than long", "wider-than-long", tables=wider_cars),
    Fault(
        "centres at the bottom",
        "center-not-middle",
        tables=lambda t: each(t["sample_annotation"], lambda r: shift([r], 0, 0, -0.5 * r["size"][2])),
    ),
    Fault("a box in the air", "box-floats", tables=lambda t: shift(longest(t, "vehicle.car")[0], 0, 0, 8)),
    Fault("a box in the ground", "box-under-ground", tables=lambda t: shift(longest(t, "vehicle.car")[0], 0, 0, -8)),
    Fault("a frame in the air", "ground-elsewhere", also=("identity-jumps",), tables=raise_frame),
    Fault("a car annotated twice", "annotated-twice", tables=repeat_boxes),
    Fault("yaw the other way", "box-heading", tables=lambda t: each(t["sample_annotation"], mirror_yaw)),
    Fault(
        "a frame not annotated",
        "frame-without-boxes",
        tables=lambda t: drop_annotations(t, {scene_samples(t)[2]["token"]}),
    ),
    Fault(
        "a scene not annotated",
        "scene-without-boxes",
        tables=lambda t: drop_annotations(t, {row["token"] for row in scene_samples(t)}),
    ),
    Fault(
        "no points counted",
        "no-points",
        tables=lambda t: each(t["sample_annotation"], lambda r: r.update(num_lidar_pts=0, num_radar_pts=0)),
    ),
    Fault(
        "cameras half a kilometre up",
        "no-box-in-images",
        also=("mounting-units",),
        tables=lambda t: shift(cameras(t), 0, 0, 500),
    ),
    Fault(
        "a camera looks into the sky",
        "camera-sees-no-box",
        tables=lambda t: each(calibrations_of(t, "CAM_FRONT"), look_up),
    ),
    # Identities.
    Fault(
        "an identity twice in a frame",
        "identity-twice",
        also=(
            "chain-broken",
            "count-wrong",
        ),
        tables=identity_twice,
    ),
    Fault("identities begin again in each drive", "identity-in-scenes", tables=identity_in_scenes),
    Fault("two identities exchanged", "identity-jumps", tables=exchange_identities),
    Fault(
        "a box put elsewhere", "identity-jumps", tables=lambda t: shift([longest(t, "vehicle.car")[0][2]], 14, 14, 0)
    ),
    Fault(
        "a size typed in anew",
        "size-changes",
        tables=lambda t: longest(t, "vehicle.car")[0][2].update(size=[3.0, 8.0, 2.9]),
    ),
    Fault("identities new in each frame", "identity-once", tables=new_identities),
    # Images.
    Fault("an image lost", "image-missing", files=lambda root, t: image(root, t).unlink()),
    Fault(
        "images of a frame lost",
        "image-missing",
        files=lambda root, t: [
            image(root, t, row["channel"], 2).unlink() for row in t["sensor"] if row["modality"] == "camera"
        ],
    ),
    Fault(
        "an image cut off",
        "image-unreadable",
        files=lambda root, t: image(root, t).write_bytes(image(root, t).read_bytes()[:2000]),
    ),
    Fault("an empty image", "image-unreadable", files=lambda root, t: image(root, t).write_bytes(b"")),
    Fault(
        "a folder for an image",
        "image-unreadable",
        files=lambda root, t: (image(root, t).unlink(), image(root, t).mkdir()),
    ),
    Fault(
        "an image on its side",
        "image-rotated",
        files=lambda root, t: redrawn(image(root, t), lambda one: one.transpose(Image.Transpose.ROTATE_90)),
    ),
    Fault(
        "an image of another size",
        "image-other-size",
        files=lambda root, t: redrawn(image(root, t), lambda one: one.resize((96, 54))),
    ),
    Fault("an EXIF mark", "image-turned-by-exif", files=lambda root, t: redrawn(image(root, t), lambda one: one, 3)),
    Fault(
        "a black image",
        "image-blank",
        files=lambda root, t: redrawn(image(root, t), lambda one: Image.new("RGB", one.size)),
    ),
    Fault(
        "one image for two cameras",
        "image-of-two-cameras",
        files=lambda root, t: shutil.copy(image(root, t), image(root, t, "CAM_BACK")),
    ),
    Fault(
        "a frozen image", "image-repeated", files=lambda root, t: shutil.copy(image(root, t), image(root, t, frame=1))
    ),
    Fault(
        "an image in two splits",
        "image-in-two-splits",
        files=lambda root, t: shutil.copy(image(root, t), image(root, t, scene=1)),
    ),
    Fault(
        "an image in two scenes of no split",
        "image-in-two-scenes",
        files=lambda root, t: (written_splits({})(root, t), shutil.copy(image(root, t), image(root, t, scene=1))),
    ),
    # Splits.
    Fault("splits as a list", "splits-broken", files=written_splits('["city-0001"]')),
    Fault(
        "a split names no scene", "split-scene-unknown", files=written_splits({TRAIN_SPLIT: ["city-0001", "drive-7"]})
    ),
    Fault(
        "a scene in two splits",
        "split-overlap",
        files=written_splits({TRAIN_SPLIT: ["city-0001", "city-0002"], VAL_SPLIT: ["city-0002"]}),
    ),
    Fault("a drive in two splits", "split-shares-drive", tables=one_drive_twice),
    # Result files.
    Fault("a score left out", "results-refused", results=lambda t: results(t, lambda box: box.pop("detection_score"))),
    Fault("a sample of another set", "results-unknown-sample", results=lambda t: foreign(results(t))),
    Fault("frames left out", "results-lack-frames", results=lambda t: without(results(t), 1, 2)),
    Fault(
        "logits for scores",
        "score-outside",
        results=lambda t: results(t, lambda box: box.update(detection_score=10 * box["detection_score"] - 5)),
    ),
    Fault("no scores", "score-constant", results=lambda t: results(t, lambda box: box.update(detection_score=1.0))),
    Fault("results in ego coordinates", "results-other-frame", results=lambda t: results_in_frame(t, of_lidar=False)),
    Fault("results in lidar coordinates", "results-other-frame", results=lambda t: results_in_frame(t, of_lidar=True)),
    Fault(
        "results with sizes in another order",
        "size-order",
        results=lambda t: results(t, lambda box: box.update(size=[box["size"][1], box["size"][0], box["size"][2]])),
    ),
    Fault("one identity for all tracks", "results-identity-twice", results=same_track),
]
