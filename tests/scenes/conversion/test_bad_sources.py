"""What is missing, cut off or contradictory in a source ends in one line that names it, and nothing half written.

A row of `CASES` is a format, what is done to the made-up source, and what the line has to say.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scenes import InputError
from scenes.conversion.data_root import convert
from scenes.conversion.formats import open_source
from scenes.stamps import stamp_of

Change = Callable[[Path], object]


def removed(name: str) -> Change:
    def change(root: Path) -> None:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def cut(name: str, kept: float = 0.6) -> Change:
    """The file loses its end."""

    def change(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(kept * len(content))])

    return change


def text(name: str, pattern: str, replacement: str, count: int = 1) -> Change:
    def change(root: Path) -> None:
        content, found = re.subn(pattern, replacement, (root / name).read_text(), count=count, flags=re.M)
        assert found
        (root / name).write_text(content)

    return change


def written(name: str, content: str | bytes) -> Change:
    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def copied(source: str, name: str) -> Change:
    return lambda root: shutil.copy(root / source, root / name)


def appended(name: str, line: str) -> Change:
    return lambda root: (root / name).write_text((root / name).read_text() + line + "\n")


def changed_json(name: str, change: Callable[[Any], object]) -> Change:
    def apply(root: Path) -> None:
        content = json.loads((root / name).read_text())
        change(content)
        (root / name).write_text(json.dumps(content))

    return apply


def changed_feather(name: str, column: str, change: Callable[[list], list] | None) -> Change:
    """A column is changed, or taken out."""

    def apply(root: Path) -> None:
        from pyarrow import feather

        from scenes.conversion.feather import write_feather

        columns = feather.read_table(root / name).to_pydict()
        if change is None:
            del columns[column]
        else:
            columns[column] = change(columns[column])
        write_feather(root / name, columns)

    return apply


def first(value: object) -> Callable[[list], list]:
    return lambda values: [value, *values[1:]]


def emptied(name: str) -> Change:
    return lambda root: [path.unlink() for path in (root / name).iterdir()]


def emptied_feather(name: str) -> Change:
    """The columns stay, without rows."""

    def apply(root: Path) -> None:
        from pyarrow import feather

        feather.write_feather(feather.read_table(root / name).slice(0, 0), str(root / name))

    return apply


def bare_log(root: Path) -> None:
    """Nothing is left that a frame could be made of."""
    removed(f"{LOG}/annotations.feather")(root)
    removed(f"{LOG}/sensors/lidar")(root)


def with_sensor(name: str) -> Change:
    """The camera has another name, which its calibration and the folder of its images share."""

    def apply(root: Path) -> None:
        for table in ("intrinsics", "egovehicle_SE3_sensor"):
            changed_feather(f"{LOG}/calibration/{table}.feather", "sensor_name", first(name))(root)
        cameras = root / LOG / "sensors" / "cameras"
        (cameras / "ring_front_center").rename(cameras / name)

    return apply


def without_frames(root: Path) -> None:
    for name in ("timestamps", "poses"):
        written(f"001/lidar/{name}.json", "[]")(root)


class _Harm:
    def __reduce__(self):
        return (print, ("harm",))


def camera(**settings: object) -> Change:
    """The camera of a recording has other settings; its poses, which have other times, are gone."""

    def apply(root: Path) -> None:
        (root / "ego.csv").unlink()
        changed_json("calibration.yaml", lambda content: content["cameras"]["front"].update(settings))(root)

    return apply


MATRIX = [[500, 0, 320], [0, 502, 180], [0, 0, 1]]
BOX = """\
time,object,class,x,y,z,width,length,height,yaw_rad,points
1600000000.0,one,car,9,0,1,2,4,2,0,"""
LOG = "log-1"
CASES: list[tuple[str, Change, str]] = [
    ("kitti", removed("calib"), r"calib: no such folder; expected label_02, calib and oxts"),
    ("kitti", removed("calib/0001.txt"), r"calib/0001\.txt: missing, while other files of sequence 0001 are there"),
    ("kitti", removed("label_02/0001.txt"), r"label_02/0001\.txt: missing"),
    ("kitti", text("calib/0001.txt", "^P2:.*$", ""), r"calib/0001\.txt: no P2"),
    ("kitti", cut("calib/0001.txt", 0.95), r"calib/0001\.txt:7: \d+ fields, expected 13"),
    ("kitti", text("calib/0001.txt", "^R_rect .*$", "R_rect 2 0 0 0 2 0 0 0 2"), r"R0_rect holds no rotation"),
    ("kitti", text("calib/0001.txt", "^P2: .*$", "P2: " + "0 " * 12), r"P2 is no projection"),
    ("kitti", cut("oxts/0001.txt", 0.65), r"oxts/0001\.txt:\d: \d+ fields, expected 30"),
    ("kitti", written("oxts/0001.txt", ""), r"oxts/0001\.txt: no frames"),
    ("kitti", text("oxts/0001.txt", r"^\S+ ", "nowhere "), r"oxts/0001\.txt:1, lat: 'nowhere' is no number"),
    ("kitti", text("oxts/0001.txt", r"^\S+ ", "490000 "), r"no degrees north"),
    ("kitti", cut("label_02/0001.txt", 0.63), r"label_02/0001\.txt:\d+: \d+ fields, expected 17"),
    ("kitti", text("label_02/0001.txt", "Van", "car"), r"label_02/0001\.txt:1, type: 'car' is none .*\(nearest: Car"),
    ("kitti", text("label_02/0001.txt", "^4 3 Van", "9 3 Van"), r":13, frame: 9 is none of the 5 frames of oxts"),
    ("kitti", text("label_02/0001.txt", "^4 3 Van", "-1 3 Van"), r":13, frame: -1 is none"),
    ("kitti", text("label_02/0001.txt", "^0 4 Ped", "0 3 Ped"), r":2, track: 3 is in frame 0 already, in line 1"),
    ("kitti", text("label_02/0001.txt", r" 1\.6\d* 1\.8\d* ", " 0 1.8 "), r"label_02/0001\.txt:1: a box of height"),
    ("kitti", text("label_02/0001.txt", r"^0 3 Van 0", "0 3 Van nan"), r":1, truncated: nan is not finite"),
    ("kitti", written("label_02/0001.txt", b"\xff\xfe\x00"), r"label_02/0001\.txt: no text at byte 0"),
    ("kitti", removed("image_02/0001/000003.png"), r"image_02/0001/000003\.png: missing; oxts has 5 frames, images 4"),
    ("kitti", removed("image_02/0001"), r"image_02/0001: no images"),
    ("kitti", cut("image_02/0001/000002.png"), r"000002\.png: (the image is cut off|not an image)"),
    ("kitti", written("image_02/0001/000005.png", "more"), r"000005\.png: an image of no frame"),
    ("kitti", removed("velodyne/0001"), r"velodyne/0001: no sweeps"),
    ("kitti", cut("velodyne/0001/000001.bin", 0.55), r"000001\.bin: \d+ bytes are no points of 16"),
    ("kitti", removed("oxts/0001.txt"), r"oxts/0001\.txt: missing, while other files of sequence 0001 are there"),
    ("argoverse2", removed(LOG), r"no folder of a log in it"),
    ("argoverse2", removed(f"{LOG}/city_SE3_egovehicle.feather"), r"city_SE3_egovehicle\.feather: missing"),
    ("argoverse2", bare_log, r"log-1: no frames: neither annotations\.feather nor sensors/lidar holds any"),
    ("argoverse2", emptied_feather(f"{LOG}/annotations.feather"), r"annotations\.feather: no cuboids"),
    ("argoverse2", emptied_feather(f"{LOG}/city_SE3_egovehicle.feather"), r"city_SE3_egovehicle\.feather: no poses"),
    ("argoverse2", emptied(f"{LOG}/sensors/cameras/ring_front_center"), r"ring_front_center: no images"),
    ("argoverse2", with_sensor("../../up"), r"the channel '\.\./\.\./up' cannot be a file's name"),
    (
        "argoverse2",
        changed_feather(f"{LOG}/annotations.feather", "timestamp_ns", lambda values: [v // 1000 for v in values]),
        r"city_SE3_egovehicle\.feather: no pose near 1600000000000000 ns, the time of cuboids",
    ),
    ("argoverse2", cut(f"{LOG}/annotations.feather"), r"annotations\.feather: no feather file, or cut off"),
    ("argoverse2", changed_feather(f"{LOG}/annotations.feather", "qw", None), r"annotations\.feather: no column qw"),
    (
        "argoverse2",
        changed_feather(f"{LOG}/annotations.feather", "tx_m", first(float("nan"))),
        r"annotations\.feather, column tx_m, row 0: no finite number",
    ),
    (
        "argoverse2",
        changed_feather(f"{LOG}/annotations.feather", "timestamp_ns", first(17)),
        r"city_SE3_egovehicle\.feather: no pose near 17 ns, the time of cuboids",
    ),
    (
        "argoverse2",
        changed_feather(f"{LOG}/annotations.feather", "length_m", first(-1.0)),
        r"annotations\.feather, row 0: a cuboid of length",
    ),
    (
        "argoverse2",
        changed_feather(f"{LOG}/annotations.feather", "track_uuid", lambda values: ["same"] * len(values)),
        r"frame 1600000000000000000: object 'same' is there twice",
    ),
    (
        "argoverse2",
        changed_feather(f"{LOG}/city_SE3_egovehicle.feather", "qw", first(9.0)),
        r"city_SE3_egovehicle\.feather, row 0: no unit quaternion",
    ),
    (
        "argoverse2",
        changed_feather(
            f"{LOG}/city_SE3_egovehicle.feather", "timestamp_ns", lambda values: [v // 1000 for v in values]
        ),
        r"city_SE3_egovehicle\.feather",
    ),
    (
        "argoverse2",
        changed_feather(f"{LOG}/calibration/egovehicle_SE3_sensor.feather", "sensor_name", first("other")),
        r"egovehicle_SE3_sensor\.feather: no sensor ring_front_center",
    ),
    (
        "argoverse2",
        changed_feather(f"{LOG}/calibration/intrinsics.feather", "width_px", first(99)),
        r"ring_front_center: images of 640x360 pixels",
    ),
    (
        "argoverse2",
        written(f"{LOG}/sensors/cameras/ring_front_center/first.jpg", ""),
        r"first\.jpg: is not named by a time",
    ),
    ("argoverse2", removed(f"{LOG}/calibration/intrinsics.feather"), r"intrinsics\.feather: no such file"),
    ("folder", removed("calibration.yaml"), r"calibration\.yaml: missing; .*--init"),
    ("folder", written("calibration.yaml", "cameras: ["), r"calibration\.yaml: not YAML"),
    ("folder", written("calibration.yaml", "cameras: {}"), r"calibration\.yaml: no cameras"),
    ("folder", changed_json("calibration.yaml", lambda c: c["cameras"]["front"].pop("intrinsic")), r"intrinsic"),
    ("folder", changed_json("calibration.yaml", lambda c: c["cameras"]["front"].update(yawdeg=1)), r"yawdeg"),
    (
        "folder",
        changed_json("calibration.yaml", lambda c: c["cameras"]["front"].update(images="../front")),
        r"camera front: '\.\./front' is no path below",
    ),
    (
        "folder",
        changed_json("calibration.yaml", lambda c: c["cameras"]["front"].update(size=[10, 10])),
        r"camera front: images of \(640, 360\) pixels",
    ),
    (
        "folder",
        changed_json("calibration.yaml", lambda c: c["cameras"].update({"../x": c["cameras"]["front"]})),
        r"calibration\.yaml: the camera '\.\./x' cannot be a file's name",
    ),
    (
        "folder",
        changed_json("calibration.yaml", lambda c: c.update(time_unit="ms")),
        r"ego\.csv: the times lie 0\.0001 s apart; are they in other units\?",
    ),
    ("folder", removed("front"), r"camera front: .*front is no folder"),
    ("folder", cut("front/image_1600000000.200000.png"), r"200000\.png: (the image is cut off|not an image)"),
    ("folder", cut("lidar/1600000000.200000.npy"), r"200000\.npy: no points"),
    ("folder", written("boxes.csv", ""), r"boxes\.csv: "),
    ("folder", lambda root: [path.unlink() for path in (root / "front").iterdir()], r"camera front: no files \.jpg"),
    ("folder", cut("ego.csv"), r"ego\.csv:\d: "),
    ("folder", written("ego.csv", "time,x,y\n"), r"ego\.csv:1: no column z"),
    (
        "folder",
        text("ego.csv", r"^1600000000\.\d+", "1500000000.0", 5),
        r"ego\.csv: time 1500000000000000 us is there twice",
    ),
    (
        "folder",
        appended("boxes.csv", "1700000000.0,late,car,1,1,1,1,1,1,0,"),
        r"boxes\.csv:12, time: no frame at 1700000000",
    ),
    ("folder", text("boxes.csv", ",car,", ",cra,"), r"boxes\.csv:2, class: 'cra' is none .*\(nearest: car"),
    ("folder", text("boxes.csv", "vehicle.moving", "vehicle.flying"), r"boxes\.csv:2, attribute: 'vehicle.flying'"),
    ("folder", text("boxes.csv", "^time", "times"), r"boxes\.csv:1: no column time"),
    (
        "folder",
        text("boxes.csv", "object-1", "object-0"),
        r"source/boxes\.csv:3, object: 'object-0' is in this frame already, in line 2",
    ),
    ("folder", text("boxes.csv", r",car,[^,]*", ",car,1e9"), r"source/boxes\.csv:2: the box holds .* too large"),
    ("folder", written("boxes.csv", BOX + "-1\n"), r"source/boxes\.csv:2, points: -1 are no number of points"),
    ("folder", camera(intrinsic=5), r"calibration\.yaml: camera front: .*`\$\.intrinsic`"),
    ("folder", camera(intrinsic={"fx": "wide"}), r"calibration\.yaml: camera front: Expected `float`.*fx"),
    ("folder", camera(intrinsic=MATRIX[:2]), r"calibration\.yaml: camera front: Expected `array` of length 3"),
    ("folder", camera(intrinsic=[*MATRIX[:2], [0, 0, 2]]), r"camera front: intrinsic is no matrix \[\[fx, 0, cx\]"),
    ("folder", camera(intrinsic=[[500, 3, 320], *MATRIX[1:]]), r"camera front: intrinsic has the skew 3"),
    ("folder", camera(translation=[1e9, 0, 0]), r"calibration\.yaml: camera front: translation holds .* too large"),
    ("folder", camera(rate=1e-300), r"calibration\.yaml: camera front: Expected `float` >= 0\.01 - at `\$\.rate`"),
    ("folder", camera(start=1e300), r"calibration\.yaml: camera front: Expected `float` <= .*`\$\.start`"),
    (
        "folder",
        camera(rate=10, start=100),
        r"calibration\.yaml: camera front: its times, 100\.000 to 100\.400 s, meet none of lidar LIDAR_TOP, "
        r"1600000000\.000 to 1600000000\.400 s; is a `start` wrong",
    ),
    (
        "folder",
        text("calibration.yaml", '"front":', "0:"),
        r"calibration\.yaml: cameras: the name 0 is no text; .*quotes",
    ),
    ("folder", text("calibration.yaml", '"fx": 500', '"fx": .inf'), r"calibration\.yaml:1: \.inf is not finite"),
    (
        "folder",
        text("calibration.yaml", '"fx": 500', '"fx": 2024-99-99'),
        r"calibration\.yaml: not YAML: month must be",
    ),
    (
        "folder",
        written("calibration.yaml", "cameras:\n  front: {images: a}\n  left: {images: b}\n  'front': {images: c}\n"),
        r"source/calibration\.yaml:4: the key 'front' is in line 2 already",
    ),
    ("folder", copied("front/image_1600000000.400000.png", "front/holiday.png"), r"holiday\.png: no time in the name"),
    ("folder", written("lidar/1600000000.400000.npy", b"no array"), r"npy: no points"),
    ("folder", written("front/image_1600000000.400000.jpg", ""), r"is that of another image too"),
    ("ddad", removed("000001/scene_1.json"), r"no folder with a scene_\*\.json"),
    ("ddad", cut("000001/scene_1.json"), r"scene_1\.json: not JSON"),
    ("ddad", changed_json("000001/scene_1.json", lambda c: c["samples"].clear()), r"scene_1\.json: no samples"),
    (
        "ddad",
        changed_json("000001/scene_1.json", lambda c: c["samples"][2]["datum_keys"].append("gone")),
        r"sample 2: no datum 'gone'",
    ),
    (
        "ddad",
        changed_json(
            "000001/scene_1.json",
            lambda c: c["data"][0]["datum"]["point_cloud"].update(filename="../../../etc/passwd"),
        ),
        r"datum l0: '\.\./\.\./\.\./etc/passwd' is no path below",
    ),
    (
        "ddad",
        changed_json("000001/scene_1.json", lambda c: c["data"][0]["id"].update(timestamp="1600000000.5")),
        r"sample 0: '1600000000\.5' is no time",
    ),
    (
        "ddad",
        changed_json("000001/scene_1.json", lambda c: c["data"][0]["id"].update(timestamp="1960-01-01T00:00:00Z")),
        r"are no times; are they in other units\?",
    ),
    (
        "ddad",
        changed_json("000001/scene_1.json", lambda c: c["data"][1]["datum"]["image"].pop("pose")),
        r"scene_1\.json: Object missing required field `pose`",
    ),
    (
        "ddad",
        changed_json("000001/scene_1.json", lambda c: c["data"][1]["datum"].pop("image")),
        r"datum c0: holds nothing of a camera",
    ),
    (
        "ddad",
        changed_json("000001/scene_1.json", lambda c: c["data"][1]["datum"]["image"].update(width=64)),
        r"images of CAMERA_01 have several sizes",
    ),
    ("ddad", removed("000001/bounding_box_3d/1.json"), r"bounding_box_3d/1\.json: No such file"),
    ("ddad", removed("000001/rgb/3.jpg"), r"rgb/3\.jpg: no such file"),
    ("ddad", cut("000001/rgb/3.jpg"), r"rgb/3\.jpg: the image is cut off"),
    ("ddad", cut("000001/point_cloud/2.npz"), r"2\.npz: no \.npz file"),
    (
        "ddad",
        changed_json("000001/bounding_box_3d/1.json", lambda c: c["annotations"][0].update(class_id=77)),
        r"1\.json: annotation 0: class_id 77 is not in the ontology",
    ),
    (
        "ddad",
        changed_json("000001/calibration/cal.json", lambda c: c["names"].pop()),
        r"cal\.json: 1 names, 2 intrinsics, 2 extrinsics",
    ),
    ("pandaset", removed("001/lidar"), r"no sequence in it"),
    ("pandaset", removed("001/lidar/02.pkl.gz"), r"lidar/02\.pkl\.gz: missing"),
    ("pandaset", cut("001/lidar/02.pkl.gz"), r"lidar/02\.pkl\.gz: cut off"),
    (
        "pandaset",
        written("001/annotations/cuboids/00.pkl.gz", gzip.compress(pickle.dumps(_Harm()))),
        r"00\.pkl\.gz: no pickle that can be used: it holds .*print, which is no array and no table",
    ),
    ("pandaset", written("001/annotations/cuboids/00.pkl.gz", pickle.dumps([1])), r"holds no table of pandas"),
    ("pandaset", changed_json("001/lidar/timestamps.json", lambda c: c.pop()), r"4 times .*, 5 poses"),
    ("pandaset", written("001/lidar/timestamps.json", "[1e18, 2e18, 3e18, 4e18, 5e18]"), r"are no seconds since 1970"),
    ("pandaset", removed("001/camera/front_camera/intrinsics.json"), r"intrinsics\.json: No such file"),
    ("pandaset", written("001/lidar/timestamps.json", "[]"), r"0 times in timestamps\.json, 5 poses"),
    ("pandaset", without_frames, r"lidar/timestamps\.json: no frames"),
    ("pandaset", removed("001/camera/front_camera/02.jpg"), r"front_camera/02\.jpg: missing, one of the frames"),
    (
        "pandaset",
        copied("001/annotations/cuboids/00.pkl.gz", "001/annotations/cuboids/05.pkl.gz"),
        r"cuboids/05\.pkl\.gz: of no frame; timestamps\.json has 5",
    ),
    ("pandaset", copied("001/lidar/00.pkl.gz", "001/lidar/80.pkl.gz"), r"lidar/80\.pkl\.gz: of no frame"),
    (
        "pandaset",
        copied("001/lidar/00.pkl.gz", "001/annotations/cuboids/00.pkl.gz"),
        r"cuboids/00\.pkl\.gz: no column uuid",
    ),
    (
        "pandaset",
        changed_json("001/camera/front_camera/poses.json", lambda c: c[1].pop("heading")),
        r"poses\.json: .*heading",
    ),
    ("nuscenes-schema", removed("annotation/scene.json"), r"no scene\.json in it"),
    ("nuscenes-schema", removed("annotation/ego_pose.json"), r"ego_pose\.json: No such file"),
    ("nuscenes-schema", cut("data/cam/2.jpg"), r"cam/2\.jpg: the image is cut off"),
    ("nuscenes-schema", written("data/cam/2.jpg", ""), r"cam/2\.jpg: not an image"),
    (
        "nuscenes-schema",
        changed_json("annotation/sample_data.json", lambda c: c[1].update(width=64)),
        r"cam/0\.jpg: 640x360 pixels, where the camera has 64x360",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sample_annotation.json", lambda c: c[0].update(sample_token="gone")),
        r"sample\.json: no row 'gone', to which sample_annotation 'n00' points",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sample.json", lambda c: [row.pop("timestamp") for row in c]),
        r"sample\.json: Object missing required field `timestamp`",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sample_data.json", lambda c: c.clear()),
        r"frame f0: no camera or lidar recorded anything near it",
    ),
    ("nuscenes-schema", cut("annotation/sample_data.json"), r"sample_data\.json: "),
    ("nuscenes-schema", written("annotation/scene.json", "[]"), r"scene\.json: no scenes"),
    ("nuscenes-schema", written("annotation/sample.json", "[]"), r"sample\.json: scene 'drive-1' has no samples"),
    (
        "nuscenes-schema",
        changed_json("annotation/scene.json", lambda c: c[0].update(name="../../out")),
        r"the drive's name '\.\./\.\./out' cannot be a file's name",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sensor.json", lambda c: c[0].update(channel="a/b")),
        r"the channel 'a/b' cannot be",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sample_data.json", lambda c: c[0].update(filename="/etc/passwd")),
        r"sample_data\.json: row '\w+': '/etc/passwd' is no path below",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sample.json", lambda c: [row.update(timestamp=row["timestamp"] * 1e3) for row in c]),
        r"sample\.json: row 'f0': 1\.6e\+18 are no microseconds",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/instance.json", lambda c: c.pop()),
        r"instance\.json: no row 'i1', to which sample_annotation",
    ),
    (
        "nuscenes-schema",
        changed_json("annotation/sample_annotation.json", lambda c: c[0].update(size=[1, 0, 1])),
        r"frame f0, object 'i0': no box",
    ),
]


@pytest.mark.parametrize(("format_", "change", "said"), CASES)
def test_bad_source_is_named(
    format_: str, change: Change, said: str, write_source: Callable[[str], Path], tmp_path: Path
) -> None:
    source = write_source(format_)
    change(source)
    with pytest.raises(InputError, match=said) as raised:
        convert(open_source(format_, source), tmp_path / "root")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_gap_in_the_ego_poses_is_bridged(write_source, tmp_path: Path) -> None:
    source = write_source("folder")
    text("ego.csv", "^1600000000.200000.*\n", "")(source)
    assert convert(open_source("folder", source), tmp_path / "root").frames == 5


def test_an_object_has_the_type_that_it_has_most_often(write_source, tmp_path: Path) -> None:
    source = write_source("kitti")
    text("label_02/0001.txt", "^2 3 Van", "2 3 Truck")(source)
    assert convert(open_source("kitti", source), tmp_path / "root").changing == 1
    instances = json.loads((tmp_path / "root" / "v1.0-kitti" / "instance.json").read_text())
    assert [row["source_type"] for row in instances] == ["Van", "Pedestrian"]
    labels = json.loads((tmp_path / "root" / "v1.0-kitti" / "source_label.json").read_text())
    assert sum(row["type"] == "Truck" for row in labels) == 1


@pytest.mark.parametrize("format_", ["argoverse2", "ddad", "folder", "kitti", "nuscenes-schema", "pandaset"])
def test_one_frame_is_enough(format_: str, write_source, tmp_path: Path) -> None:
    converted = convert(open_source(format_, write_source(format_, 1)), tmp_path / "root", key_frames_hz=2.0)
    assert (converted.frames, converted.boxes, converted.recordings, converted.files) == (1, 2, 2, 2)


def test_a_standing_rig_has_no_ego(write_source, tmp_path: Path) -> None:
    from scenes import read_scenes

    source = write_source("folder")
    (source / "ego.csv").unlink()
    convert(open_source("folder", source), tmp_path / "root")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-folder", "all")
    assert all(np.array_equal(frame.global_from_ego, np.eye(4)) for frame in scene.frames)


def _two_sequences(source: Path) -> None:
    for folder in ("calib", "oxts", "label_02"):
        shutil.copy(source / folder / "0001.txt", source / folder / "0002.txt")
    for folder in ("image_02", "velodyne"):
        shutil.copytree(source / folder / "0001", source / folder / "0002")


def test_a_run_that_ended_goes_on(write_source, tmp_path: Path, monkeypatch) -> None:
    source = write_source("kitti")
    _two_sequences(source)
    label = source / "label_02" / "0002.txt"
    good = label.read_text()
    label.write_text(good + "broken\n")
    with pytest.raises(
        InputError, match=r"0002\.txt:16: 1 fields.*\(1 of 2 drives are done; the same command goes on\)"
    ):
        convert(open_source("kitti", source), tmp_path / "root")
    assert not (tmp_path / "root").exists()
    label.write_text(good)
    read: list[str] = []
    kitti = type(open_source("kitti", source))
    once = kitti.read
    monkeypatch.setattr(kitti, "read", lambda self, name: read.append(name) or once(self, name))
    assert convert(open_source("kitti", source), tmp_path / "root").drives == 2
    assert read == ["0002"]
    convert(open_source("kitti", source), tmp_path / "again")
    for path in sorted((tmp_path / "again").rglob("*.json")):
        assert path.read_bytes() == (tmp_path / "root" / path.relative_to(tmp_path / "again")).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"source", "root", "again"}


def _files_below(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_drive_that_has_changed_is_read_again(write_source, tmp_path: Path, monkeypatch) -> None:
    recording, source = write_source("folder"), tmp_path / "recordings"
    for name in ("a", "b", "c"):
        shutil.copytree(recording, source / name)
    images = {name: sorted((source / name / "front").iterdir()) for name in ("b", "c")}
    good = images["c"][2].read_bytes()
    images["c"][2].write_bytes(good[:-20])
    with pytest.raises(InputError, match=r"cut off \(2 of 3 drives are done"):
        convert(open_source("folder", source), tmp_path / "root", link=False)
    images["c"][2].write_bytes(good)
    for name in ("b", "c"):  # c ended behind this one
        images[name][0].unlink()
    text("b/calibration.yaml", '"fx": 500', '"fx": 600')(source)
    read: list[str] = []
    folder = type(open_source("folder", source))
    once = folder.read
    monkeypatch.setattr(folder, "read", lambda self, name: read.append(name) or once(self, name))
    convert(open_source("folder", source), tmp_path / "root", link=False)
    assert read == ["b", "c"]
    convert(open_source("folder", source), tmp_path / "again", link=False)
    assert _files_below(tmp_path / "root") == _files_below(tmp_path / "again")


def test_of_a_drive_that_is_gone_nothing_stays(write_source, tmp_path: Path) -> None:
    recording, source = write_source("folder"), tmp_path / "recordings"
    for name in ("a", "b"):
        shutil.copytree(recording, source / name)
    (source / "b" / "boxes.csv").write_text("broken")
    with pytest.raises(InputError, match="1 of 2 drives are done"):
        convert(open_source("folder", source), tmp_path / "root")
    shutil.rmtree(source / "b")
    (source / "a").rename(source / "c")
    convert(open_source("folder", source), tmp_path / "root")
    convert(open_source("folder", source), tmp_path / "again")
    assert _files_below(tmp_path / "root") == _files_below(tmp_path / "again")


@pytest.mark.parametrize("format_", ["argoverse2", "ddad", "folder", "kitti", "nuscenes-schema", "pandaset"])
def test_every_file_of_a_drive_counts(format_: str, write_source, tmp_path: Path) -> None:
    source = open_source(format_, write_source(format_))
    (name,) = source.drives()
    stamp = stamp_of(source.files(name))
    convert(source, tmp_path / "root")
    assert stamp_of(source.files(name)) == stamp
    for path in sorted(path for path in source.path.rglob("*") if path.is_file()):
        if format_ == "nuscenes-schema" and path.suffix != ".json":
            continue  # only the tables could tell whose it is
        os.utime(path, ns=(0, 0))
        before, stamp = stamp, stamp_of(source.files(name))
        assert stamp != before, path


def test_files_of_another_drive_do_not_count(write_source) -> None:
    source = open_source("kitti", write_source("kitti"))
    stamp = stamp_of(source.files("0001"))
    _two_sequences(source.path)
    assert stamp_of(source.files("0001")) == stamp


def test_tables_that_have_changed_are_read_again(write_source, tmp_path: Path) -> None:
    source = write_source("nuscenes-schema")
    convert(open_source("nuscenes-schema", source), tmp_path / "first")
    changed_json("annotation/log.json", lambda rows: rows[0].update(location="osaka"))(source)
    changed_json("annotation/instance.json", lambda rows: rows[1].update(category_token="c0"))(source)
    assert convert(open_source("nuscenes-schema", source), tmp_path / "second").boxes == 10
    categories, instances = (
        json.loads((tmp_path / "second" / "v1.0-converted" / f"{name}.json").read_text())
        for name in ("category", "instance")
    )
    names = {row["token"]: row["name"] for row in categories}
    assert [names[row["category_token"]] for row in instances] == ["vehicle.car"] * 2


def test_a_run_with_other_options_begins_anew(write_source, tmp_path: Path) -> None:
    source = write_source("kitti")
    _two_sequences(source)
    (source / "label_02" / "0002.txt").write_text("broken\n")
    for hz in (None, 5.0):
        with pytest.raises(InputError, match="1 of 2 drives are done"):
            convert(open_source("kitti", source), tmp_path / "root", key_frames_hz=hz)
    (source / "label_02" / "0002.txt").write_text("")
    assert convert(open_source("kitti", source), tmp_path / "root", key_frames_hz=5.0).frames == 6


def test_drives_are_the_same_with_workers(write_source, tmp_path: Path) -> None:
    source = write_source("kitti")
    _two_sequences(source)
    for name, workers in (("one", 1), ("two", 2)):
        convert(open_source("kitti", source), tmp_path / name, workers=workers)
    for path in sorted((tmp_path / "one" / "v1.0-kitti").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / "v1.0-kitti" / path.name).read_bytes()


def test_splits_name_drives(write_source, tmp_path: Path) -> None:
    source = write_source("kitti")
    with pytest.raises(InputError, match=r"split 'mine': .* has no drive '0009'"):
        convert(open_source("kitti", source), tmp_path / "root", splits={"mine": ["0009"]})
    convert(open_source("kitti", source), tmp_path / "root", splits={"mine": ["0001"]})
    splits = json.loads((tmp_path / "root" / "v1.0-kitti" / "splits.json").read_text())
    assert splits == {"all": ["0001"], "mine": ["0001"]}
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        convert(open_source("kitti", source), tmp_path / "root")
    with pytest.raises(InputError, match="lies in the source"):
        convert(open_source("kitti", source), source / "root")
    with pytest.raises(InputError, match="no such folder"):
        open_source("kitti", tmp_path / "nowhere")
    with pytest.raises(InputError, match="split 'all': lists every drive; take another name"):
        convert(open_source("kitti", source), tmp_path / "new", splits={"all": ["0001"]})
    with pytest.raises(InputError, match="split 'mine': names no drive"):
        convert(open_source("kitti", source), tmp_path / "new", splits={"mine": []})


def test_a_message_names_a_drive_once(write_source, tmp_path: Path) -> None:
    source = write_source("folder")
    changed_json("calibration.yaml", lambda c: c["cameras"].update(LIDAR_TOP=c["cameras"]["front"]))(source)
    with pytest.raises(InputError) as raised:
        convert(open_source("folder", source), tmp_path / "root")
    assert str(raised.value) == f"{source}: LIDAR_TOP is the channel of two sensors"
