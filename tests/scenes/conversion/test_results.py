"""Detections of other formats come in where they were, results go out and come back the same."""

from __future__ import annotations

import csv
import json
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenes import Boxes3D, InputError, Results, read_detections
from scenes.conversion.argoverse2_results import read_argoverse2_detections, write_argoverse2_results
from scenes.conversion.data_root import convert
from scenes.conversion.exports import COLUMNS, write_csv, write_deepen, write_mot, write_parquet_table
from scenes.conversion.formats import open_source
from scenes.conversion.found_boxes import probability_of_logit
from scenes.conversion.kitti import rotation_from_ry
from scenes.conversion.kitti_lines import read_kitti_lines, write_kitti_lines
from scenes.conversion.mmdet3d_results import read_mmdet3d_results
from scenes.conversion.omni3d_results import read_omni3d_results
from scenes.conversion.source_frames import SourceFrames, read_source_frames
from scenes.geometry import invert_pose, wrap_angle
from scenes.results import write_detections

Write = Callable[[str], Path]


@pytest.fixture
def converted(write_source: Write, tmp_path: Path) -> Callable[[str], SourceFrames]:
    """Converts the made-up drive from a format; returns its frames."""

    def frames_of(format_: str) -> SourceFrames:
        source = open_source(format_, write_source(format_))
        convert(source, tmp_path / "root")
        return read_source_frames(tmp_path / "root", source.version, "all")

    return frames_of


def _truth(frames: SourceFrames, world, scores: tuple[float, float] = (0.8, 0.3)) -> Results:
    """The boxes of the made-up drive as tracks, in the global frame of a data root."""
    found = {}
    for index, (_, frame) in enumerate(frames.frames()):
        here = frame.global_from_ego @ invert_pose(world.ego(index))
        boxes = world.boxes(index).transform(here)
        found[frame.token] = boxes.replace(
            score=np.array(scores), track_id=np.array(["a", "b"]), velocity_mps=np.ones((2, 2))
        )
    return Results(found)


def _same(found: Results, expected: Results, tolerance: float = 1e-5) -> None:
    assert list(found.boxes) == list(expected.boxes)
    for token, boxes in expected.boxes.items():
        if not len(boxes) and not len(found.boxes[token]):
            continue
        back = found.boxes[token]
        assert back.label.tolist() == boxes.label.tolist()
        assert np.abs(back.corners() - boxes.corners()).max() < tolerance
        assert np.allclose(back.score, boxes.score, atol=1e-5)


@pytest.mark.parametrize("scores", ["logit", "probability"])
def test_kitti_lines_come_back(converted, world, tmp_path: Path, scores: str) -> None:
    frames = converted("kitti")
    truth = _truth(frames, world)
    detections = Results({token: boxes.replace(track_id=None) for token, boxes in truth.boxes.items()})
    assert write_kitti_lines(detections, frames, tmp_path / "lines", scores) == ()
    found = read_kitti_lines([tmp_path / "lines"], frames, scores)
    assert found.notes == ()
    _same(found.results, truth)
    write_detections(tmp_path / "found.json", found.results)
    _same(read_detections(tmp_path / "found.json"), truth)


def test_tracks_are_lines_of_the_tracking_benchmark(converted, world, tmp_path: Path) -> None:
    frames = converted("kitti")
    write_kitti_lines(_truth(frames, world), frames, tmp_path / "lines", "probability")
    lines = [line.split() for line in (tmp_path / "lines" / "0001.txt").read_text().splitlines()]
    labels = [line.split() for line in (tmp_path / "source" / "label_02" / "0001.txt").read_text().splitlines()]
    labels = [line for line in labels if line[2] != "DontCare"]
    assert len(lines) == len(labels) == 10 and {len(line) for line in lines} == {18}
    for line, label in zip(lines, labels, strict=True):
        assert line[:3] == [label[0], str(int(label[1]) - 3), "Car" if label[2] == "Van" else label[2]]
        assert np.allclose(np.array(line[6:17], dtype=float), np.array(label[6:17], dtype=float), atol=1e-3)
        x, z, ry = (float(line[column]) for column in (13, 15, 16))
        assert wrap_angle(float(line[5]) - (ry - np.arctan2(x, z))) == pytest.approx(0, abs=1e-5)
    assert {line[17] for line in lines} == {"0.800000", "0.300000"}


def test_both_formats_of_detections_are_read(converted, tmp_path: Path) -> None:
    frames = converted("kitti")
    for name, line in (
        ("commas", "1,2,10,20,30,40,1.5,1.6,1.8,4.4,2.0,1.5,20.0,-1.2,0.1"),
        ("spaces", "1 Car -1 -1 0.1 10 20 30 40 1.6 1.8 4.4 2.0 1.5 20.0 -1.2 1.5"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0001.txt").write_text(line + "\n")
    commas, spaces, both = (
        read_kitti_lines([tmp_path / name for name in names], frames, "logit").results
        for names in (["commas"], ["spaces"], ["commas", "spaces"])
    )
    _same(commas, spaces, 1e-12)
    assert [len(boxes) for boxes in both.boxes.values()] == [0, 2, 0, 0, 0]
    box = next(boxes for boxes in commas.boxes.values() if len(boxes))
    assert box.score[0] == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert box.size_wlh_m[0].tolist() == [1.8, 4.4, 1.6]


def test_regions_without_a_box_are_left_out(converted, tmp_path: Path) -> None:
    frames = converted("kitti")
    lines = (
        "1,DontCare,10,20,30,40,-1,-1,-1,-1,-1000,-1000,-1000,-10,-10",
        "1 DontCare -1 -1 -10 10 20 30 40 -1 -1 -1 -1000 -1000 -1000 -10 -1",
    )
    (tmp_path / "0001.txt").write_text("\n".join(lines))
    found = read_kitti_lines([tmp_path], frames, "probability")
    assert found.notes == ("2 boxes of type DontCare left out",)
    assert not any(len(boxes) for boxes in found.results.boxes.values())
    (tmp_path / "0001.txt").write_text(lines[1].replace("DontCare", "Tram"))
    with pytest.raises(InputError, match=r"0001\.txt:1: a box of height, width, length -1"):
        read_kitti_lines([tmp_path], frames, "probability")


@given(st.floats(-20, 20))
def test_ry_turns_about_the_camera_s_y(ry: float) -> None:
    w, x, y, z = rotation_from_ry(ry)
    ahead = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)])
    up = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    assert np.allclose(ahead, [np.cos(ry), 0, -np.sin(ry)], atol=1e-12) and np.allclose(up, [0, -1, 0], atol=1e-12)


@given(st.floats(-800, 800))
def test_logits_become_probabilities(logit: float) -> None:
    probability = float(probability_of_logit(logit))
    assert 0 <= probability <= 1
    if abs(logit) < 30:
        assert probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-12)


def test_argoverse2_submissions_come_back(converted, world, tmp_path: Path) -> None:
    frames = converted("argoverse2")
    truth = _truth(frames, world)
    assert write_argoverse2_results(truth, frames, tmp_path / "tracks.feather") == ()
    found = read_argoverse2_detections([tmp_path / "tracks.feather"], frames)
    assert found.notes == ()
    _same(found.results, truth, 1e-9)
    from pyarrow import feather

    written = feather.read_table(tmp_path / "tracks.feather").to_pandas()
    original = feather.read_table(tmp_path / "source/log-1/annotations.feather").to_pandas()
    assert sorted(set(written["timestamp_ns"])) == sorted(set(original["timestamp_ns"]))
    assert np.allclose(written[["tx_m", "ty_m", "tz_m", "length_m"]], original[["tx_m", "ty_m", "tz_m", "length_m"]])
    assert set(written["track_uuid"]) == {"a", "b"} and set(written["log_id"]) == {"log-1"}


def _lidar_boxes(tensor: object) -> object:
    """An object as mmdet3d pickles it."""
    boxes = sys.modules["mmdet3d.structures.bbox_3d.lidar_box3d"].LiDARInstance3DBoxes()
    boxes.__dict__.update(tensor=tensor, box_dim=9, with_yaw=True)
    return boxes


@pytest.mark.parametrize("layout", ["pts_bbox", "pred_instances_3d", "arrays"])
def test_mmdet3d_pickles_are_read(converted, world, tmp_path: Path, layout: str, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    frames = converted("folder")
    truth = _truth(frames, world)
    module = types.ModuleType("mmdet3d.structures.bbox_3d.lidar_box3d")
    module.LiDARInstance3DBoxes = type("LiDARInstance3DBoxes", (), {"__module__": module.__name__})
    for name in ("mmdet3d", "mmdet3d.structures", "mmdet3d.structures.bbox_3d", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    results = []
    for _, frame in frames.frames():
        boxes = truth.boxes[frame.token].transform(invert_pose(frame.global_from_ego @ frame.ego_from_lidar))
        bottom = boxes.center_m - [0, 0, 0.5] * boxes.size_wlh_m[:, 2:]
        rows = np.column_stack([bottom, boxes.size_wlh_m[:, [1, 0, 2]], boxes.yaw_rad, boxes.velocity_mps])
        if layout == "arrays":
            results.append({"boxes_3d": rows, "scores_3d": boxes.score, "labels_3d": boxes.label})
            continue
        key = "boxes_3d" if layout == "pts_bbox" else "bboxes_3d"
        tensors = {"scores_3d": torch.tensor(boxes.score), "labels_3d": torch.tensor(boxes.label)}
        results.append({layout: {key: _lidar_boxes(torch.tensor(rows)[:, :]), **tensors}})
    path = tmp_path / "results.pkl"
    path.write_bytes(pickle.dumps(results))
    monkeypatch.undo()
    found = read_mmdet3d_results(path, frames, None)
    _same(found.results, truth)
    assert np.allclose(found.results.boxes[next(iter(truth.boxes))].velocity_mps, 1.0)
    if layout == "arrays":
        (tmp_path / "samples.txt").write_text("\n".join(reversed(truth.boxes)))
        path.write_bytes(pickle.dumps(results[::-1]))
        _same(read_mmdet3d_results(path, frames, tmp_path / "samples.txt").results, truth)


class _Harm:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def test_a_pickle_runs_nothing(converted, tmp_path: Path, monkeypatch) -> None:
    frames = converted("folder")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results.pkl").write_bytes(pickle.dumps([_Harm()]))
    with pytest.raises(InputError, match="which is no array and no table"):
        read_mmdet3d_results(tmp_path / "results.pkl", frames, None)
    assert not Path("harm").exists()


def test_boxes_in_camera_coordinates_are_read(converted, world, tmp_path: Path) -> None:
    frames = converted("folder")
    truth = _truth(frames, world)
    rows, images = [], []
    for number, (_, frame) in enumerate(frames.frames()):
        camera = frame.cameras[0]
        images.append({"id": number, "file_name": camera.image_path.name, "width": 640, "height": 360})
        boxes = truth.boxes[frame.token].transform(camera.camera_from_global)
        corners = boxes.corners()
        for index in range(2):
            # Length along x, height along y, width along z.
            width, length, height = boxes.size_wlh_m[index]
            ahead = (corners[index, 0] - corners[index, 4]) / length
            down = (corners[index, 3] - corners[index, 0]) / height
            pose = np.column_stack([ahead, down, np.cross(ahead, down)])
            row = {"image_id": number, "category_id": index, "score": float(boxes.score[index])}
            row |= {"center_cam": boxes.center_m[index].tolist(), "dimensions": [width, height, length]}
            rows.append(row | {"pose": pose.tolist(), "bbox": [0, 0, 1, 1]})
    (tmp_path / "results.json").write_text(json.dumps(rows))
    categories = [{"id": 0, "name": "car"}, {"id": 1, "name": "person"}]
    (tmp_path / "set.json").write_text(json.dumps({"images": images, "categories": categories}))
    found = read_omni3d_results(tmp_path / "results.json", tmp_path / "set.json", frames)
    _same(found.results, truth)


def test_tables_hold_every_box(converted, world, tmp_path: Path) -> None:
    frames = converted("kitti")
    truth = _truth(frames, world)
    write_csv(truth, frames, tmp_path / "tracks.csv")
    with (tmp_path / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    boxes = Boxes3D.concatenate(list(truth.boxes.values()))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 10
    assert np.array_equal([[float(row[axis]) for axis in "xyz"] for row in rows], boxes.center_m)
    assert [row["source_frame"] for row in rows] == [str(frame) for frame in range(5) for _ in range(2)]
    assert [row["track_id"] for row in rows] == ["a", "b"] * 5
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    write_parquet_table(truth, frames, tmp_path / "tracks.parquet")
    table = parquet.read_table(tmp_path / "tracks.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert np.array_equal(table["yaw_rad"].to_numpy(), boxes.yaw_rad)


def test_mot_lines_are_where_the_camera_sees_the_boxes(converted, world, tmp_path: Path) -> None:
    frames = converted("folder")
    write_mot(_truth(frames, world), frames, tmp_path / "mot")
    (path,) = (tmp_path / "mot").iterdir()
    assert path.name == "source_front.txt"
    rows = np.loadtxt(path, delimiter=",")
    assert rows[:, 0].tolist() == sorted([*range(1, 6)] * 2) and set(rows[:, 1]) == {1, 2}
    for row in rows:
        corners = world.corners_px(int(row[0]) - 1)[int(row[1]) - 1]
        low, high = corners.min(axis=0).clip(0, [640, 360]), corners.max(axis=0).clip(0, [640, 360])
        assert np.allclose(row[2:6], [*low, *(high - low)], atol=1e-3)


def test_deepen_labels_are_in_the_ego_frame(converted, world, tmp_path: Path) -> None:
    frames = converted("ddad")
    write_deepen(_truth(frames, world), frames, tmp_path / "labels")
    labels = json.loads((tmp_path / "labels" / "000001.json").read_text())["labels"]
    assert [label["file_id"] for label in labels[::2]] == [f"{index}.pcd" for index in range(5)]
    assert {label["label_id"] for label in labels} == {"car:1", "pedestrian:2"}
    box = labels[2]["three_d_bbox"]
    expected = world.boxes(1).transform(invert_pose(world.ego(1)))
    assert np.allclose([box[f"c{axis}"] for axis in "xyz"], expected.center_m[0])
    assert [box[name] for name in "wlh"] == list(world.sizes_wlh[0])
    detections = Results({token: boxes.replace(track_id=None) for token, boxes in _truth(frames, world).boxes.items()})
    with pytest.raises(InputError, match="holds tracks"):
        write_deepen(detections, frames, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_real_kitti_detections_come_back(shared: Path, tmp_path: Path) -> None:
    """Every number of a line within 1e-3, the box in the image aside, which is projected anew."""
    source = shared / "kitti_tracking"
    for name in ("calib", "oxts", "label_02"):
        (tmp_path / "kitti" / name).mkdir(parents=True)
        for sequence in ("0000", "0017"):
            (tmp_path / "kitti" / name / f"{sequence}.txt").write_bytes(
                (source / name / f"{sequence}.txt").read_bytes()
            )
    convert(open_source("kitti", tmp_path / "kitti"), tmp_path / "root")
    frames = read_source_frames(tmp_path / "root", "v1.0-kitti", "all")
    for folder in ("robmot_second_iou", "pointrcnn_Pedestrian"):
        found = read_kitti_lines([source / "detections" / folder], frames, "logit")
        write_kitti_lines(found.results, frames, tmp_path / folder, "logit")
        for sequence in ("0000", "0017"):
            text = (source / "detections" / folder / f"{sequence}.txt").read_text()
            lines = [line.split(",") if "," in line else line.split() for line in text.splitlines()]
            # frame, h, w, l, x, y, z, ry, score of either format
            places = [0, 7, 8, 9, 10, 11, 12, 13, 6] if "," in text else [0, 9, 10, 11, 12, 13, 14, 15, 16]
            rows = np.array([[float(line[place]) for place in places] for line in lines])
            back = np.loadtxt(tmp_path / folder / f"{sequence}.txt", usecols=[0, *range(9, 17)], ndmin=2)
            assert 0.99 * len(rows) <= len(back) <= len(rows)
            for row in back:
                same = rows[(rows[:, 0] == row[0]) & (np.abs(rows[:, 4:7] - row[4:7]).max(axis=1) < 1e-3)]
                assert len(same) >= 1
                errors = np.abs(same - row)
                errors[:, 7] = np.abs(wrap_angle(same[:, 7] - row[7]))
                assert errors.max(axis=1).min() < 1e-3
