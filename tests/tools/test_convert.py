"""`convert_data` and `convert_results` as their users call them; bad input is one line, exit code 2, and no file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from scenes import Results, read_detections, read_scenes, read_tracks, write_detections

Run = Callable[..., tuple[int, str, str]]

CALIBRATION = """\
P0: 700 0 600 0 0 700 180 0 0 0 1 0
P1: 700 0 600 0 0 700 180 0 0 0 1 0
P2: 721.5377 0 600 40 0 721.5377 180 0.2 0 0 1 0.003
P3: 700 0 600 0 0 700 180 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27
Tr_imu_to_velo: 1 0 0 -0.81 0 1 0 0.32 0 0 1 -0.8
"""


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    """A sequence of six frames without images: the car drives on, another stands 20 m ahead and comes nearer."""
    source = tmp_path / "kitti"
    labels, oxts = [], []
    for frame in range(6):
        oxts.append(f"49.0 {8 + 1e-5 * frame} 110 0 0 0 " + "0 " * 24)
        box = f"500 150 600 220 1.5 1.8 4.2 1.0 1.6 {20 - 0.73 * frame:.2f} 1.57"
        labels.append(f"{frame} 0 Car 0 0 1.5 {box}")
        labels.append(f"{frame} -1 DontCare -1 -1 -10 0 0 10 10 " + "-1000 " * 7)
    for name, content in (("calib", CALIBRATION), ("oxts", "\n".join(oxts)), ("label_02", "\n".join(labels))):
        (source / name).mkdir(parents=True)
        (source / name / "0001.txt").write_text(content)
    return source


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    folder = tmp_path / "found"
    folder.mkdir()
    lines = [
        f"{frame},2,500,150,600,220,3.0,1.5,1.8,4.2,1.0,1.6,{20 - 0.73 * frame:.2f},1.57,1.5" for frame in range(6)
    ]
    (folder / "0001.txt").write_text("\n".join(lines))
    return folder


def _root(tmp_path: Path, split: str = "all") -> list[object]:
    return ["--dataroot", tmp_path / "root", "--version", "v1.0-kitti", "--split", split]


def test_kitti_from_labels_to_metrics(run: Run, kitti: Path, detections: Path, tmp_path: Path) -> None:
    code, said, complaint = run("convert_data.py", "kitti", kitti, tmp_path / "root")
    assert (code, complaint) == (0, "")
    assert said.splitlines() == [
        f"1 drives, 6 key frames, 6 boxes of 1 objects, 0 files of 12 recordings -> {tmp_path / 'root'}",
        "version v1.0-kitti, split all",
    ]
    (tmp_path / "split.txt").write_text("0001\n")
    root = _root(tmp_path, str(tmp_path / "split.txt"))
    code, said, _ = run("convert_results.py", "kitti", detections, *root, "--out", tmp_path / "dets.json")
    assert (code, said) == (0, f"1 scenes, 6 frames: 6 boxes -> {tmp_path / 'dets.json'}\n")
    boxes = read_detections(tmp_path / "dets.json").boxes
    (scene,) = read_scenes(tmp_path / "root", "v1.0-kitti", "all")
    for frame in scene.frames:
        assert np.abs(boxes[frame.token].corners() - frame.annotations.boxes.corners()).max() < 1e-6
        assert boxes[frame.token].score[0] == pytest.approx(1 / (1 + math.exp(-3.0)))
    assert run("track.py", tmp_path / "dets.json", *root, "--workers", 1, "--out", tmp_path / "tracks.json")[0] == 0
    assert run("evaluate.py", "tracking", tmp_path / "tracks.json", *root, "--out", tmp_path / "metrics")[0] == 0
    summary = json.loads((tmp_path / "metrics" / "metrics_summary.json").read_text())
    assert summary["label_metrics"]["amota"]["car"] > 0.9
    code, said, _ = run("convert_results.py", "to-kitti", tmp_path / "tracks.json", *root, "--out", tmp_path / "lines")
    lines = [line.split() for line in (tmp_path / "lines" / "0001.txt").read_text().splitlines()]
    assert code == 0 and len(lines) == len(read_tracks(tmp_path / "tracks.json").boxes) == 6
    for frame, line in enumerate(lines):
        assert line[:3] == [str(frame), "0", "Car"]
        expected = [1.5, 1.8, 4.2, 1.0, 1.6, 20 - 0.73 * frame]
        assert np.allclose([float(value) for value in line[10:16]], expected, atol=0.05)


def test_splits_and_sweeps(run: Run, kitti: Path, tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("0001\n")
    options = ["--key-frames", 5, "--split", f"my_val={tmp_path / 'val.txt'}", "--images", "copy", "--workers", 2]
    code, said, _ = run("convert_data.py", "kitti", kitti, tmp_path / "root", *options)
    assert code == 0 and said.endswith("version v1.0-kitti, split all, my_val\n")
    (scene,) = read_scenes(tmp_path / "root", "v1.0-kitti", "my_val")
    assert len(scene.frames) == 3


def test_a_recording_is_described(run: Run, tmp_path: Path) -> None:
    (tmp_path / "drive" / "front").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "drive" / "front" / "1.png"), np.zeros((90, 160, 3), dtype=np.uint8))
    code, said, _ = run("convert_data.py", "folder", tmp_path / "drive", "--init")
    path = tmp_path / "drive" / "calibration.yaml"
    assert (code, said) == (0, f"{path}: cameras front; now fill in their calibration\n")
    before = path.read_bytes()
    code, _, complaint = run("convert_data.py", "folder", tmp_path / "drive", "--init")
    assert (code, complaint) == (2, f"error: {path}: is there already\n") and path.read_bytes() == before


DATA = "convert_data.py kitti {kitti} {new}"
READ = "convert_results.py kitti {found} {root} --out {new}"
MMDET3D = "convert_results.py mmdet3d {file} {root} --out {new}"
OUT = "convert_results.py to-kitti {dets} {root} --kind detections --out {new}"
CASES = [
    ("convert_data.py kitti {nowhere} {new}", "", "nowhere: no such folder"),
    ("convert_data.py kitti {kitti} {kitti}/inside", "", "lies in the source"),
    ("convert_data.py kitti {kitti} {kitti}", "", "exists and is not an empty folder"),
    ("convert_data.py kitti {kitti} {new} --init", "", "--init: is for the format folder, not for kitti"),
    (f"{DATA} --key-frames 0", "", "--key-frames 0.0: expected 0.1 to 100"),
    (f"{DATA} --split val", "", "--split val: expected NAME=FILE"),
    (f"{DATA} --split val={{nowhere}}", "", "nowhere: No such file"),
    (f"{DATA} --split mine={{file}}", "0009", "split 'mine': "),
    (f"{DATA} --split all={{file}}", "0001", "split 'all': lists every drive; take another name"),
    (f"{DATA} --split mine={{file}}", "", "split 'mine': names no drive"),
    (f"{DATA} --split mine={{file}} --split mine={{file}}", "0001", "--split mine: is given twice"),
    ("convert_data.py folder {new} --init", "", "new: no such folder"),
    ("convert_data.py folder {kitti} --init", "", "kitti: no video and no folder of images in it"),
    (f"{DATA} --split val={{file}}", "0001", "split 'val': is a name of nuScenes' own"),
    ("convert_data.py argoverse2 {kitti} {new}", "", "missing; expected a folder of Argoverse 2 logs"),
    ("convert_data.py ddad {kitti} {new}", "", "no folder with a scene_*.json in it"),
    ("convert_data.py pandaset {kitti} {new}", "", "no sequence in it"),
    ("convert_data.py nuscenes-schema {kitti} {new}", "", "no scene.json in it"),
    ("convert_data.py folder {kitti} {new}", "", "--init` writes one to fill in"),
    (READ.replace("{found}", "{nowhere}"), "", "nowhere: no such folder"),
    (READ.replace("{found}", "{kitti}"), "", "0001.txt: missing; no folder has detections of scene '0001'"),
    (READ, "1,2,3", "0001.txt:1: 3 fields, expected 15 or 17"),
    (READ, "x,2,0,0,9,9,1,1,1,1,0,0,9,0,0", "0001.txt:1, frame: 'x' is no number"),
    (READ, "0.5,2,0,0,9,9,1,1,1,1,0,0,9,0,0", "0001.txt:1, frame: '0.5' is no integer"),
    (READ, "-1,2,0,0,9,9,1,1,1,1,0,0,9,0,0", "0001.txt:1, frame: -1 is none"),
    (READ, "0,7,0,0,9,9,1,1,1,1,0,0,9,0,0", "0001.txt:1, type: '7' is none of the known ones"),
    (READ, "0,2,0,0,9,9,1,0,1,1,0,0,9,0,0", "0001.txt:1: a box of height, width, length 0.0"),
    (READ, "0,2,0,0,9,9,nan,1,1,1,0,0,9,0,0", "0001.txt:1, score: nan is not finite"),
    (
        f"{READ} --scores probability",
        "0,2,0,0,9,9,7,1,1,1,0,0,9,0,0",
        "score: 7.0 is no probability; are these logits?",
    ),
    ("convert_results.py argoverse2 {file} {root} --out {new}", "no", "no feather file, or cut off"),
    (MMDET3D, "no pickle", "file.txt: no pickle that can be used"),
    (MMDET3D, "\x80\x04]\x94.", "file.txt: 0 results, the split has 6 samples"),
    ("convert_results.py omni3d {file} {file} {root} --out {new}", "[", "file.txt: expected an object with"),
    ("convert_results.py to-kitti {nowhere} {root} --out {new}", "", "nowhere: No such file"),
    (OUT.replace("{root}", "{root} --split none"), "", "splits.json: no split 'none' (it has all)"),
    (OUT.replace(" --kind detections", ""), "", "key tracking_name: missing"),
    (OUT.replace("to-kitti", "to-mot"), "", "this format holds tracks"),
    (OUT + " --min-track-score 0.5", "", "--min-track-score: detections are no tracks"),
]


@pytest.mark.parametrize(("command", "content", "said"), CASES)
def test_bad_input(
    run: Run, kitti: Path, detections: Path, tmp_path: Path, command: str, content: str, said: str
) -> None:
    if "{root}" in command:
        assert run("convert_data.py", "kitti", kitti, tmp_path / "root")[0] == 0
        made = ["convert_results.py", "kitti", detections, *_root(tmp_path), "--out", tmp_path / "dets.json"]
        assert run(*made)[0] == 0
    (tmp_path / "file.txt").write_bytes(
        b"\x80\x04" + content.encode("latin1") if "\x94" in content else content.encode()
    )
    if "{found}" in command and content:
        (detections / "0001.txt").write_text(content)
    names = {"kitti": kitti, "new": tmp_path / "new", "nowhere": tmp_path / "nowhere", "found": detections}
    names |= {"file": tmp_path / "file.txt", "dets": tmp_path / "dets.json"}
    root = " ".join(map(str, _root(tmp_path)))
    code, _, complaint = run(*command.format(root=root, **names).split())
    assert code == 2
    assert complaint.startswith("error: ") and complaint.count("\n") == 1 and said in complaint
    assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".*"))


def test_a_root_that_knows_no_source_is_refused(run: Run, kitti: Path, detections: Path, tmp_path: Path) -> None:
    run("convert_data.py", "kitti", kitti, tmp_path / "root")
    path = tmp_path / "root" / "v1.0-kitti" / "sample.json"
    rows = [{key: value for key, value in row.items() if key != "source_frame"} for row in json.loads(path.read_text())]
    path.write_text(json.dumps(rows))
    code, _, complaint = run("convert_results.py", "kitti", detections, *_root(tmp_path), "--out", tmp_path / "new")
    assert code == 2 and "scene '0001' has no source_frame; only data roots that convert_data wrote" in complaint
    (tmp_path / "root" / "v1.0-kitti" / "label_frame.json").unlink()


@pytest.fixture
def roadside(tmp_path: Path) -> Path:
    """A camera on a post: 20 Hz, no lidar, no ego poses; a car drives from 90 to 150 m, a pedestrian stands."""
    source = tmp_path / "roadside"
    (source / "post").mkdir(parents=True)
    boxes = ["time,object,class,x,y,z,width,length,height,yaw_rad"]
    for frame in range(41):
        time = f"{0.05 * frame:.2f}"
        cv2.imwrite(str(source / "post" / f"{time}.png"), np.full((90, 160, 3), 120, dtype=np.uint8))
        boxes.append(f"{time},car,car,{90 + 1.5 * frame},2,0.8,1.9,4.6,1.6,0")
        boxes.append(f"{time},someone,pedestrian,12,-3,0.9,0.6,0.7,1.8,1")
    (source / "boxes.csv").write_text("\n".join(boxes))
    lens = "{fx: 120, fy: 120, cx: 80, cy: 45}"
    camera = f"{{images: post, intrinsic: {lens}, translation: [0, 0, 4], pitch_deg: 5}}"
    (source / "calibration.yaml").write_text(f"cameras:\n  post: {camera}\n")
    return source


FAR = [{"name": "car", "range_m": 160}, {"name": "pedestrian", "range_m": 150}]


@pytest.mark.parametrize("classes", [None, FAR], ids=["nuscenes", "to 150 m"])
def test_one_camera_at_20_hz_without_lidar_and_ego(
    run: Run, roadside: Path, tmp_path: Path, classes: list[dict[str, object]] | None
) -> None:
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    options = ["--classes", tmp_path / "classes.json"] if classes else []
    code, said, complaint = run("convert_data.py", "folder", roadside, tmp_path / "root", *options)
    assert (code, complaint) == (0, "") and said.startswith("1 drives, 41 key frames, 82 boxes of 2 objects, 41 files")
    root = ["--dataroot", tmp_path / "root", "--version", "v1.0-folder", "--split", "all"]
    (scene,) = read_scenes(tmp_path / "root", "v1.0-folder", "all")
    speed = scene.frames[20].annotations.boxes.velocity_mps
    assert np.allclose(speed, [[30.0, 0.0], [0.0, 0.0]], atol=1e-6)
    found = {frame.token: frame.annotations.boxes.replace(track_id=None) for frame in scene.frames}
    write_detections(tmp_path / "dets.json", Results(found, taxonomy=scene.taxonomy))
    for command in (
        ["track.py", tmp_path / "dets.json", *root, "--workers", 1, "--out", tmp_path / "tracks.json"],
        ["evaluate.py", "tracking", tmp_path / "tracks.json", *root, "--out", tmp_path / "metrics"],
        ["evaluate.py", "detection", tmp_path / "dets.json", *root, "--out", tmp_path / "detection"],
        ["visualize.py", tmp_path / "tracks.json", *root, "--format", "html", "--out", tmp_path / "pages"],
        ["convert_results.py", "to-mot", tmp_path / "tracks.json", *root, "--out", tmp_path / "mot"],
    ):
        code, _, complaint = run(*command)
        assert code == 0, complaint
    tracks = read_tracks(tmp_path / "tracks.json", scene.taxonomy).boxes
    cars = [boxes.select(boxes.label == 0) for boxes in tracks.values()]
    assert {identity for boxes in cars for identity in boxes.track_id.tolist()} == {cars[-1].track_id[0]}
    assert cars[-1].center_m[0, 0] == pytest.approx(150.0, abs=1.0)
    summary = json.loads((tmp_path / "metrics" / "metrics_summary.json").read_text())
    assert summary["label_metrics"]["amota"]["pedestrian"] > 0.9
    # Where nuScenes looks 50 m far nothing is to be found.
    judged = summary["label_metrics"]["gt"]["car"], summary["label_metrics"]["amota"]["car"]
    assert (judged[0] == 41 and judged[1] > 0.9) if classes else math.isnan(judged[0])
    assert (tmp_path / "pages" / "roadside.html").is_file()
    mot = np.loadtxt(tmp_path / "mot" / "roadside_post.txt", delimiter=",")
    assert set(mot[:, 1]) == {1, 2} and mot[:, 0].max() == 41
