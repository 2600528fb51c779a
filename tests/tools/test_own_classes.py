"""A data root with classes of its own through the commands: convert, track, evaluate, visualize, doctor, export."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scenes import Boxes3D, InputError, Results, Scene, read_scenes, read_taxonomy, read_tracks, write_detections
from scenes.city.simulated_camera_detector import simulate_camera_boxes
from scenes.city.simulated_detector import simulate_detections
from scenes.conversion.formats import open_source

Run = Callable[..., tuple[int, str, str]]

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "classes"
CLASSES = [
    {"name": "forklift", "range_m": 150, "max_speed_mps": 8, "size_wlh_m": [1.2, 2.6, 2.2], "color": "#123456"},
    {"name": "pallet", "range_m": 60, "tracked": False, "thin": True, "static": True, "size_wlh_m": [1.2, 0.8, 0.3]},
    {"name": "person", "range_m": 150, "max_speed_mps": 3, "gate_m": 2, "size_wlh_m": [0.6, 0.6, 1.75]},
    {"name": "reach_truck", "parent": "forklift"},
]
FRAMES = 8
START_S = 1_700_000_000.0


def objects(frame: int) -> Iterator[tuple[str, str, list[float], list[float]]]:
    """Class, identity, centre and size in the ego frame, which stands still."""
    yield "forklift", "f1", [118.0 + 1.5 * frame, 6.0, 1.1], [1.2, 2.6, 2.2]
    yield "reach_truck", "r1", [30.0 - 1.0 * frame, -4.0, 1.1], [1.25, 2.5, 2.3]
    yield "pallet", "p1", [20.0, 3.0, 0.15], [1.2, 0.8, 0.3]
    yield "person", "h1", [130.0, -8.0 + 0.6 * frame, 0.9], [0.6, 0.6, 1.75]
    yield "person", "h2", [14.0, -2.0 + 0.5 * frame, 0.9], [0.6, 0.65, 1.7]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A yard seen by a rig that stands still, at two images a second."""
    folder = tmp_path / "yard"
    (folder / "front").mkdir(parents=True)
    lens = {"fx": 900.0, "fy": 900.0, "cx": 320.0, "cy": 180.0}
    camera = {"images": "front", "intrinsic": lens, "translation": [0.0, 0.0, 1.6], "rate": 2.0, "start": START_S}
    (folder / "calibration.yaml").write_text(json.dumps({"cameras": {"front": camera}}))
    lines = ["time,object,class,x,y,z,width,length,height,yaw_rad"]
    for frame in range(FRAMES):
        cv2.imwrite(str(folder / "front" / f"{frame:03}.png"), np.full((360, 640, 3), 90, dtype=np.uint8))
        for name, identity, center, size in objects(frame):
            lines.append(f"{START_S + 0.5 * frame},{identity},{name},{','.join(map(str, center + size))},0.0")
    (folder / "boxes.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "yard_classes.json"
    path.write_text(json.dumps(CLASSES))
    return path


def noisy(scenes: list[Scene], spread_m: float = 0.05) -> Results:
    """The annotations as a good detector would find them."""
    rng = np.random.default_rng(0)
    found = {}
    for scene in scenes:
        for frame in scene.frames:
            boxes = frame.annotations.boxes
            found[frame.token] = boxes.replace(
                center_m=boxes.center_m + rng.normal(0.0, spread_m, (len(boxes), 3)) * [1.0, 1.0, 0.0],
                velocity_mps=np.nan_to_num(boxes.velocity_mps),
                score=rng.uniform(0.6, 0.9, len(boxes)),
                track_id=None,
            )
    return Results(found, taxonomy=scenes[0].taxonomy)


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics_summary.json").read_text())


def test_a_yard_from_a_recording_to_a_page(run: Run, recording: Path, classes: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    code, said, complaint = run("convert_data.py", "folder", recording, root, "--classes", classes)
    assert (code, complaint) == (0, "") and "without a class" not in said
    taxonomy = read_taxonomy(root)
    assert taxonomy.names == ("forklift", "pallet", "person") and str(taxonomy) == str(root / "classes.json")
    where = ["--dataroot", root, "--version", "v1.0-folder", "--split", "all"]
    scenes = read_scenes(root, "v1.0-folder", "all")
    assert scenes[0].taxonomy == taxonomy
    labels = [taxonomy.names[label] for label in scenes[0].frames[0].annotations.boxes.label]
    assert sorted(labels) == ["forklift", "forklift", "pallet", "person", "person"]

    detections, tracks = tmp_path / "boxes.json", tmp_path / "tracks.json"
    write_detections(detections, noisy(scenes))
    code, said, _ = run("track.py", detections, *where, "--workers", 1, "--out", tracks)
    assert code == 0 and "of 4 tracks" in said
    names = {box["tracking_name"] for boxes in json.loads(tracks.read_text())["results"].values() for box in boxes}
    assert names == {"forklift", "person"}

    assert run("evaluate.py", "tracking", tracks, *where, "--out", tmp_path / "of_tracks", "--report")[0] == 0
    of_tracks = summary_of(tmp_path / "of_tracks")
    assert of_tracks["cfg"]["class_range"] == {"forklift": 150, "person": 150}
    assert of_tracks["label_metrics"]["gt"] == {"forklift": 2 * FRAMES, "person": 2 * FRAMES}
    assert of_tracks["amota"] > 0.9 and of_tracks["label_metrics"]["ids"] == {"forklift": 0, "person": 0}
    code, said, _ = run("evaluate.py", "detection", detections, *where, "--out", tmp_path / "of_boxes")
    assert code == 0 and "pallet" in said
    of_boxes = summary_of(tmp_path / "of_boxes")
    assert set(of_boxes["mean_dist_aps"]) == {"forklift", "pallet", "person"} and of_boxes["mean_ap"] > 0.9

    pages = tmp_path / "pages"
    code, said, _ = run("visualize.py", tracks, *where, "--format", "html", "--out", pages, "--workers", 1)
    page = next(path for path in pages.glob("*.html") if path.name != "index.html").read_text()
    assert code == 0 and '"classes":["forklift","pallet","person"]' in page.replace(", ", ",").replace(": ", ":")
    assert "#123456" in page and '"view_range":120.0' in page.replace(": ", ":")
    arguments = [tracks, *where, "--format", "png", "--out", pages, "--classes", "person", "--color-by", "class"]
    assert run("visualize.py", *arguments, "--workers", 1)[0] == 0
    code, _, complaint = run("visualize.py", *arguments[:-3], "persn")
    assert (
        code == 2
        and complaint == f"error: {root / 'classes.json'}: class 'persn' is none of the known ones (nearest: person)\n"
    )

    code, said, _ = run("doctor.py", root, "--results", tracks)
    assert code == 0, said
    code, said, _ = run("convert_results.py", "to-csv", tracks, *where, "--out", tmp_path / "tracks.csv")
    with (tmp_path / "tracks.csv").open() as file:
        assert code == 0 and {row["class"] for row in csv.DictReader(file)} == {"forklift", "person"}


def test_the_doctor_knows_own_sizes_and_speeds(run: Run, recording: Path, classes: Path, tmp_path: Path) -> None:
    text = (recording / "boxes.csv").read_text()
    (recording / "boxes.csv").write_text(text.replace("0.6,0.6,1.75,0.0", "0.6,0.6,17.5,0.0"))
    assert run("convert_data.py", "folder", recording, tmp_path / "root", "--classes", classes)[0] == 0
    _, said, _ = run("doctor.py", tmp_path / "root")
    assert "size-out-of-class" in said and f"{FRAMES} of {5 * FRAMES}" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"name": "forklift"}]', "class 0 'forklift', key range_m: missing"),
        ('[{"name": "forklift", "range_m": 150}]', "class: 'reach_truck' is none of the known ones (forklift)"),
        ("[", "not JSON"),
    ],
)
def test_bad_classes_leave_nothing(run: Run, recording: Path, classes: Path, tmp_path: Path, text, message) -> None:
    classes.write_text(text)
    code, said, complaint = run("convert_data.py", "folder", recording, tmp_path / "root", "--classes", classes)
    assert (code, said) == (2, "") and message in complaint and complaint.count("\n") == 1
    assert not (tmp_path / "root").exists()


def test_a_city_of_one_s_own_classes(run: Run, tmp_path: Path) -> None:
    """The city, its two simulated detectors, tracking with both, evaluation and doctor; the devkit's engine refuses."""
    road = [f"vehicle.{name}" for name in ("car", "truck", "bus.rigid", "bus.bendy", "trailer", "construction")]
    people = ["human.pedestrian.adult", "human.pedestrian.child", "human.pedestrian.construction_worker"]
    entries = [
        {"name": "vehicle", "range_m": 50, "categories": road, "attributes": ["vehicle.moving", "vehicle.parked"]},
        {"name": "person", "range_m": 50, "categories": people, "max_speed_mps": 3},
        {"name": "unicorn", "range_m": 50},
    ]
    (tmp_path / "classes.json").write_text(json.dumps(entries))
    made = ["--train-scenes", 0, "--val-scenes", 1, "--frames", 8, "--mix", "balanced", "--no-images", "--workers", 1]
    code, _, complaint = run("make_city.py", tmp_path / "city", *made, "--classes", tmp_path / "none.json")
    assert code == 2 and "none.json" in complaint and not (tmp_path / "city").exists()
    assert run("make_city.py", tmp_path / "city", *made, "--classes", tmp_path / "classes.json")[0] == 0
    scenes = read_scenes(tmp_path / "city", "v1.0-city", "city_val")
    assert scenes[0].taxonomy.names == ("vehicle", "person", "unicorn")
    found = simulate_detections(scenes)
    assert found.taxonomy == scenes[0].taxonomy
    boxes = Boxes3D.concatenate(list(found.boxes.values()))
    assert set(boxes.label.tolist()) == {0, 1}
    assert set(boxes.attribute[boxes.label == 0].tolist()) == {"vehicle.moving", "vehicle.parked"}
    assert set(boxes.attribute[boxes.label == 1].tolist()) == {""}
    of_cameras = simulate_camera_boxes(scenes)
    seen = {label for cameras in of_cameras.values() for one in cameras.values() for label in one.label.tolist()}
    assert seen == {0, 1}
    write_detections(tmp_path / "boxes.json", found)
    where = ["--dataroot", tmp_path / "city", "--version", "v1.0-city", "--split", "city_val"]
    assert run("track.py", tmp_path / "boxes.json", *where, "--workers", 1, "--out", tmp_path / "tracks.json")[0] == 0
    assert run("evaluate.py", "tracking", tmp_path / "tracks.json", *where, "--out", tmp_path / "metrics")[0] == 0
    assert summary_of(tmp_path / "metrics")["label_metrics"]["recall"]["vehicle"] > 0.4
    assert run("doctor.py", tmp_path / "city", "--results", tmp_path / "tracks.json")[0] == 0
    engine = ["--engine", "devkit", "--out", tmp_path / "devkit"]
    code, _, complaint = run("evaluate.py", "detection", tmp_path / "boxes.json", *where, *engine)
    has_devkit = importlib.util.find_spec("nuscenes") is not None
    said = "the devkit knows nuScenes' ten classes only" if has_devkit else "this needs the package nuscenes"
    assert code == 2 and said in complaint


def test_the_same_root_converted_anew_keeps_its_classes(run: Run, recording: Path, classes: Path, tmp_path) -> None:
    root, again = tmp_path / "root", tmp_path / "again"
    assert run("convert_data.py", "folder", recording, root, "--classes", classes)[0] == 0
    assert run("convert_data.py", "nuscenes-schema", root, again)[0] == 0
    assert read_taxonomy(again) == read_taxonomy(root)
    first, second = (read_scenes(folder, f"v1.0-{name}") for folder, name in ((root, "folder"), (again, "converted")))
    for one, other in zip(first[0].frames, second[0].frames, strict=True):
        assert one.annotations.boxes.label.tolist() == other.annotations.boxes.label.tolist()


@pytest.mark.parametrize(
    ("format_", "source", "names"),
    [
        (
            "argoverse2",
            "argoverse2/val",
            {"REGULAR_VEHICLE", "PEDESTRIAN", "BOLLARD", "SIGN", "BUS", "CONSTRUCTION_CONE", "BOX_TRUCK", "TRUCK_CAB"},
        ),
        ("kitti", "kitti_tracking", {"car", "van", "pedestrian", "cyclist", "truck", "tram", "misc"}),
    ],
)
@pytest.mark.slow
def test_real_frames_with_all_their_classes(run: Run, shared: Path, tmp_path: Path, format_, source, names) -> None:
    root = tmp_path / "root"
    arguments = [format_, shared / source, root, "--classes", CONFIGS / f"{format_}.json"]
    code, said, _ = run("convert_data.py", *arguments)
    assert code == 0 and "without a class" not in said
    scenes = read_scenes(root, f"v1.0-{format_}", "all")
    taxonomy = read_taxonomy(root)
    boxes = [frame.annotations.boxes for scene in scenes for frame in scene.frames]
    found = {taxonomy.names[label] for of_frame in boxes for label in of_frame.label.tolist()}
    assert found >= names
    write_detections(tmp_path / "boxes.json", noisy(scenes))
    where = ["--dataroot", root, "--version", f"v1.0-{format_}", "--split", "all"]
    assert run("track.py", tmp_path / "boxes.json", *where, "--workers", 1, "--out", tmp_path / "tracks.json")[0] == 0
    assert run("evaluate.py", "tracking", tmp_path / "tracks.json", *where, "--out", tmp_path / "metrics")[0] == 0
    metrics = summary_of(tmp_path / "metrics")["label_metrics"]
    evaluated = {name for name, count in metrics["gt"].items() if count == count}
    assert evaluated == found and len(metrics["gt"]) == len(taxonomy.tracked_names)
    assert min(metrics["amota"][name] for name in names) > 0.5
    pages = ["--scene", scenes[0].name, "--workers", 1, "--out", tmp_path / "pages"]
    assert run("visualize.py", tmp_path / "tracks.json", *where, *pages, "--format", "html")[0] == 0
    assert run("visualize.py", tmp_path / "tracks.json", *where, *pages, "--format", "png", "--annotations")[0] == 0
    assert {path.suffix for path in (tmp_path / "pages").iterdir()} == {".html", ".png"}


def test_results_come_in_and_go_out_as_their_own_types(shared: Path, run: Run, tmp_path: Path) -> None:
    """A van that KITTI's own classes know stays a van, on the way in and on the way out."""
    taxonomy_file = CONFIGS / "kitti.json"
    source = tmp_path / "source"
    for name in ("calib", "oxts", "label_02"):
        (source / name).mkdir(parents=True)
        content = (shared / "kitti_tracking" / name / "0000.txt").read_text()
        (source / name / "0000.txt").write_text(content)
    root = tmp_path / "root"
    assert run("convert_data.py", "kitti", source, root, "--classes", taxonomy_file)[0] == 0
    scenes = read_scenes(root, "v1.0-kitti", "all")
    write_detections(tmp_path / "boxes.json", noisy(scenes, 0.0))
    where = ["--dataroot", root, "--version", "v1.0-kitti", "--split", "all"]
    out = ["--kind", "detections", "--scores", "logit", "--out", tmp_path / "lines"]
    assert run("convert_results.py", "to-kitti", tmp_path / "boxes.json", *where, *out)[0] == 0
    types = {line.split()[1] for line in (tmp_path / "lines" / "0000.txt").read_text().splitlines()}
    assert types >= {"Car", "Van", "Cyclist"}
    assert run("convert_results.py", "kitti", tmp_path / "lines", *where, "--out", tmp_path / "back.json")[0] == 0
    content = json.loads((tmp_path / "back.json").read_text())["results"]
    assert {"car", "van", "cyclist"} <= {box["detection_name"] for boxes in content.values() for box in boxes}


def test_tracks_of_own_classes_are_read_with_them(run: Run, recording: Path, classes: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run("convert_data.py", "folder", recording, root, "--classes", classes)
    scenes = read_scenes(root, "v1.0-folder", "all")
    path = tmp_path / "boxes.json"
    write_detections(path, noisy(scenes))
    with pytest.raises(InputError, match="key tracking_name"):
        read_tracks(path, read_taxonomy(root))
    content = json.loads(path.read_text())
    next(iter(content["results"].values()))[0]["detection_name"] = "forklit"
    path.write_text(json.dumps(content))
    where = ["--dataroot", root, "--version", "v1.0-folder", "--split", "all"]
    code, _, complaint = run("track.py", path, *where, "--out", tmp_path / "tracks.json")
    assert (
        code == 2
        and "box 0, key detection_name: class 'forklit' is none of the known ones (nearest: forklift)\n" in complaint
    )
    assert open_source("folder", recording).taxonomy.names[0] == "car"
