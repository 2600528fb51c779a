"""Bad input to every tool ends in exit code 2 and one line that says what and where, and leaves old outputs alone.

A row of `CASES` is a command and what its line has to say. Names in braces are files, good ones of the fixture `world`
and bad ones of `BAD`, which are made when a command names them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import runpy
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from detection.config import read_config
from detection.data.create_infos import create_infos
from detection.registry import MODELS
from scenes import TRACKING_CLASSES, read_scenes, write_detections, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from tracking import track_results

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "detection" / "city_tiny.py"
YOLO = dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.03, num_classes=2, threshold=0.5)
YOLO_CONFIG = f"""
model = {YOLO}
val_dataloader = dict(
    dataset=dict(
        type="CocoDataset", dataroot="{{{{$IMAGES_ROOT:}}}}", ann_file="instances.json", image_dir="images",
        test_mode=True, pipeline=[dict(type="Letterbox", size=(64, 96))],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="CocoMetric", ann_file="{{{{$IMAGES_ROOT:}}}}/instances.json")
"""

Files = dict[str, Path]
Change = Callable[[list[dict[str, Any]]], object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """One good file of every kind: a city with images, its detections and tracks, configs and checkpoints."""
    folder = tmp_path_factory.mktemp("world")
    city, images = folder / "city", folder / "coco"
    make_city(city, train_scenes=1, val_scenes=1, frames=2, image_size=(176, 99), seed=3, workers=1)
    create_infos(city, VERSION)
    scenes = read_scenes(city, VERSION, VAL_SPLIT)
    detections = simulate_detections(scenes)
    write_detections(folder / "detections.json", detections)
    write_tracks(folder / "tracks.json", track_results(detections, scenes))
    (images / "images").mkdir(parents=True)
    cv2.imwrite(str(images / "images" / "a.png"), np.full((40, 60, 3), 90, dtype=np.uint8))
    row = dict(id=1, file_name="a.png", width=60, height=40)
    categories = [dict(id=1, name="car"), dict(id=2, name="cat")]
    content = dict(images=[row], categories=categories, annotations=[])
    (images / "instances.json").write_text(json.dumps(content))
    (folder / "yolo.py").write_text(YOLO_CONFIG)
    torch.manual_seed(0)
    torch.save(MODELS.build(YOLO).state_dict(), folder / "yolo.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_ROOT", str(city))
        torch.save(MODELS.build(read_config(TINY)["model"]).state_dict(), folder / "tiny.pth")
    named = {path.stem: path for path in folder.glob("*.json")}
    checkpoints = {"tiny_weights": folder / "tiny.pth", "yolo_weights": folder / "yolo.pth"}
    configs = {"tiny": TINY, "yolo": folder / "yolo.py"}
    return {"city": city, "coco": images, **named, **checkpoints, **configs}


def root_with(table: str, change: Change) -> Callable[[Files, Path], Path]:
    """A data root of which one table is changed."""

    def make(world: Files, folder: Path) -> Path:
        root = folder / "root"
        (root / VERSION).mkdir(parents=True)
        for path in world["city"].iterdir():
            if path.name != VERSION:
                (root / path.name).symlink_to(path)
        for path in (world["city"] / VERSION).iterdir():
            (root / VERSION / path.name).write_bytes(path.read_bytes())
        path = root / VERSION / f"{table}.json"
        rows = json.loads(path.read_text())
        change(rows)
        path.write_text(json.dumps(rows))
        return root

    return make


def splits(content: str) -> Callable[[Files, Path], Path]:
    """A data root with such a splits.json."""

    def make(world: Files, folder: Path) -> Path:
        root = root_with("sample", lambda rows: None)(world, folder)
        (root / VERSION / "splits.json").write_text(content)
        return root

    return make


def changed(row: int, **values: object) -> Change:
    return lambda rows: rows[row].update(values)


def camera_rows(**values: object) -> Change:
    """Of sample_data the rows of cameras."""
    return lambda rows: [row.update(values) for row in rows if row["height"]]


def text(content: str, name: str = "bad.json") -> Callable[[Files, Path], Path]:
    def make(world: Files, folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def edited(source: str, pattern: str, replacement: str) -> Callable[[Files, Path], Path]:
    """A file of the world with the first match of a pattern replaced."""

    def make(world: Files, folder: Path) -> Path:
        content, count = re.subn(pattern, replacement, world[source].read_text(), count=1)
        assert count == 1
        return text(content)(world, folder)

    return make


def repeated_sample(source: str) -> Callable[[Files, Path], Path]:
    def make(world: Files, folder: Path) -> Path:
        content = world[source].read_text()
        token = next(iter(json.loads(content)["results"]))
        return text(content.replace('"results": {', f'"results": {{"{token}": [], '))(world, folder)

    return make


def saved(content: Any) -> Callable[[Files, Path], Path]:
    def make(world: Files, folder: Path) -> Path:
        torch.save(content, folder / "bad.pth")
        return folder / "bad.pth"

    return make


def image_of(source: str, content: bytes | Callable[[bytes], bytes] | None) -> Callable[[Files, Path], Path]:
    """A copy of a data root in which every image of a camera has this content, or is changed so.

    None makes it the endless /dev/zero.
    """

    def make(world: Files, folder: Path) -> Path:
        root = folder / "root"
        root.mkdir()
        below = "samples" if source == "city" else "images"
        for path in world[source].rglob("*"):
            target = root / path.relative_to(world[source])
            if path.is_dir():
                target.mkdir()
            elif path.relative_to(world[source]).parts[0] != below:
                target.write_bytes(path.read_bytes())
            elif content is None:
                target.symlink_to("/dev/zero")
            else:
                target.write_bytes(content(path.read_bytes()) if callable(content) else content)
        return root

    return make


def infos_naming(data_path: str) -> Callable[[Files, Path], Path]:
    def make(world: Files, folder: Path) -> Path:
        from detection.data import read_infos, write_infos

        for split in ("train", "val"):
            infos, metadata = read_infos(world["city"] / f"nuscenes2d_temporal_infos_city_{split}.pkl")
            infos[0]["cams"]["CAM_FRONT"]["data_path"] = data_path
            write_infos(folder / f"nuscenes2d_temporal_infos_city_{split}.pkl", infos, metadata)
        return folder

    return make


def journal(content: str) -> Callable[[Files, Path], Path]:
    """A folder with the journal of an earlier search."""

    def make(world: Files, folder: Path) -> Path:
        (folder / "trials.journal").write_text(content)
        return folder

    return make


def coco_naming(file_name: str) -> Callable[[Files, Path], Path]:
    """A COCO data set whose image is another file."""

    def make(world: Files, folder: Path) -> Path:
        shutil.copytree(world["coco"], folder / "coco")
        content = json.loads((world["coco"] / "instances.json").read_text())
        content["images"][0]["file_name"] = file_name
        (folder / "coco" / "instances.json").write_text(json.dumps(content))
        return folder / "coco"

    return make


def empty_folder(world: Files, folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def pipe(world: Files, folder: Path) -> Path:
    os.mkfifo(folder / "pipe.png")
    return folder / "pipe.png"


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def first_image_cut(world: Files, folder: Path) -> Path:
    (folder / "cut.png").write_bytes(half((world["coco"] / "images" / "a.png").read_bytes()))
    return folder / "cut.png"


DEEP = "[" * 200_000
LONG_NUMBER = "1" + "0" * 5000
SPARSE = torch.ones(3, 3).to_sparse(1)

BAD: dict[str, Callable[[Files, Path], Path]] = {
    "deep": text(DEEP),
    "deep_log": text(f'{{"step": 1, "lr": 1, "time": 1}}\n{DEEP}\n{{"step": 2, "lr": 1, "time": 1}}\n'),
    "bracket": text("[{"),
    "empty_file": text(""),
    "no_results": text('{"meta": {}, "results": []}'),
    "long_score": edited("detections", r'"detection_score":[ 0-9.e-]+', f'"detection_score": {LONG_NUMBER}'),
    "long_track_score": edited("tracks", r'"tracking_score":[ 0-9.e-]+', f'"tracking_score": {LONG_NUMBER}'),
    "sample_twice": repeated_sample("detections"),
    "track_sample_twice": repeated_sample("tracks"),
    "results_twice": edited("detections", '"results": {', '"results": {}, "results": {'),
    "details_without_curves": text(json.dumps({name: {} for name in TRACKING_CLASSES})),
    "exits": text("import sys\nsys.exit(0)\n", "exits.py"),
    "raises": text("tracker = 1 / 0\n", "raises.py"),
    "late": root_with("sample", changed(0, timestamp=10**40)),
    "negative": root_with("sample", changed(-1, timestamp=-1)),
    "word_for_time": root_with("sample", changed(-1, timestamp="noon")),
    "twice": root_with("sample", lambda rows: rows.append(rows[-1])),
    "circle": root_with("sample", lambda rows: rows[-1].update(next=rows[-1]["token"])),
    "nameless": root_with("scene", changed(0, name="")),
    "flat": root_with("sample_annotation", lambda rows: rows[-1].update(size=[0, 1, 1])),
    "own_neighbour": root_with("sample_annotation", lambda rows: rows[-1].update(next=rows[-1]["token"])),
    "dangling": root_with("sample_annotation", changed(-1, instance_token="gone")),
    "device": root_with("sample_data", camera_rows(filename="/dev/zero", height=0, width=0)),
    "outside": root_with("sample_data", camera_rows(filename="samples/../../secret.jpg")),
    "splits_twice": splits('{"city_val": [], "city_val": ["city-0002"]}'),
    "splits_of_numbers": splits('{"city_val": [1]}'),
    "sparse": saved({"a": SPARSE}),
    "two_names": saved({1: torch.ones(1), "1": torch.ones(1)}),
    "no_weights": saved([1, 2]),
    "no_checkpoint": text("no checkpoint", "bad.pth"),
    "no_safetensors": text("no checkpoint", "bad.safetensors"),
    "city_of_zeros": image_of("city", None),
    "city_of_empty_images": image_of("city", b""),
    "city_of_cut_images": image_of("city", half),
    "city_of_text": image_of("city", b"\xff\xd8 no image"),
    "coco_of_zeros": image_of("coco", None),
    "coco_of_empty_images": image_of("coco", b""),
    "coco_of_cut_images": image_of("coco", half),
    "coco_outside": coco_naming("../instances.json"),
    "coco_absolute": coco_naming("/dev/zero"),
    "infos_outside": infos_naming("/etc/hostname"),
    "empty_folder": empty_folder,
    "bad_journal": journal('{"op_code": 0}\nno trial\n{"op'),
    "pipe": pipe,
    "cut_image": first_image_cut,
    "text_for_video": text("no video", "drive.mp4"),
    "empty_video": text("", "drive.mp4"),
}

_CITY = f"--dataroot {{city}} --version {VERSION} --split {VAL_SPLIT}"
TRACK = f"track.py {{detections}} {_CITY} --out {{out}}/result.json"
CALIBRATE = f"calibrate.py {{detections}} {_CITY} --out {{out}}/detector.json"
CONSISTENCY = f"consistency.py {{detections}} {_CITY}"
TUNE = f"tune_tracker.py {{detections}} {_CITY} --out {{out}} --trials 1 --held-out 0 --workers 1"
SENSITIVITY = f"tracker_sensitivity.py {{detections}} {_CITY} --workers 1"
METHODS = f"compare_methods.py plain={{detections}} {_CITY} --workers 1"
EVIDENCE = f"camera_evidence.py --dataroot {{city}} --version {VERSION} --split {VAL_SPLIT} --workers 1"
DETECTION = f"evaluate.py detection {{detections}} {_CITY} --out {{out}}"
TRACKING = f"evaluate.py tracking {{tracks}} {_CITY} --out {{out}}"
COMPARE = f"evaluate.py compare {{tracks}} {{tracks}} {_CITY}"
VISUALIZE = f"visualize.py {{tracks}} {_CITY} --workers 1 --out {{out}} --format "
CREATE = f"create_data.py {{city}} --version {VERSION} --out-dir {{out}} --tag result"
MAKE = "make_city.py {out}/city --train-scenes 0 --val-scenes 1 --frames 1 --no-images --workers 1"
CONVERT = "convert_checkpoint.py {tiny_weights} {out}/result.pth"
STUDENT = "distill_convert.py {tiny_weights} {out}/result.pth"
TEST = "test.py {tiny} {tiny_weights} --out {out}/result.json"
TEST_2D = "test.py {yolo} {yolo_weights} --out {out}/result.json"
TRAIN = "train.py {tiny} --work-dir {out}/work"
THRESHOLDS = "dynamic_thresholds.py {yolo} {yolo_weights}"
DETECT = "detect.py {yolo} {yolo_weights} --source {coco}/images --out {out}/found --dynamic-threshold 0"
LONG_SPLIT = "s" * 5000
FORMATS = ("video", "html", "png", "svg", "pdf", "heat", "rerun")

CASES = [
    # Result files.
    *(
        (TRACK.replace("{detections}", f"{{{bad}}}"), message)
        for bad, message in (
            ("deep", "bad.json: not JSON that can be read: nested too deeply"),
            ("bracket", "bad.json: not JSON"),
            ("empty_file", "bad.json: not JSON"),
            ("long_score", "bad.json: not JSON that can be read: a whole number has thousands of digits"),
            ("sample_twice", "is there twice in one object"),
            ("results_twice", "key 'results' is there twice in one object"),
            ("city", "city: a folder without manifest.json: not one of shards"),
            ("nothing", "nothing: No such file"),
        )
    ),
    (TUNE.replace("{detections}", "{sample_twice}"), "is there twice in one object"),
    (SENSITIVITY.replace("{detections}", "{no_results}"), "key 'results': expected an object"),
    (METHODS.replace("{detections}", "{deep}"), "nested too deeply"),
    (METHODS.replace("plain={detections}", "plain"), "plain: expected NAME=FILE,FILE,..."),
    (DETECTION.replace("{detections}", "{long_score}"), "a whole number has thousands of digits"),
    (TRACKING.replace("{tracks}", "{long_track_score}"), "a whole number has thousands of digits"),
    (TRACKING.replace("{tracks}", "{detections}"), "key tracking_name: missing"),
    (COMPARE.replace("{tracks}", "{track_sample_twice}"), "is there twice in one object"),
    *((VISUALIZE.replace("{tracks}", "{track_sample_twice}") + kind, "is there twice in one") for kind in FORMATS),
    # Tables.
    *(
        (command.replace("{city}", f"{{{bad}}}"), message)
        for command in (TRACK, CALIBRATE, CONSISTENCY, CREATE, TRACKING)
        for bad, message in (
            ("late", "key timestamp: Expected `int` <= 9007199254740992"),
            ("negative", "key timestamp: Expected `int` >= 0"),
            ("word_for_time", "sample.json: row '"),
            ("twice", "' is there twice"),
            ("circle", "came before it in its scene"),
            ("nameless", "key name: Expected `str` of length >= 1"),
        )
    ),
    *(
        (command.replace("{city}", f"{{{bad}}}"), message)
        for command in (CREATE, TUNE, SENSITIVITY, METHODS, EVIDENCE, DETECTION, TRACKING, VISUALIZE + "html")
        for bad, message in (
            ("flat", "key size[0]: Expected `float` > 0"),
            ("own_neighbour", "key next: points to the row itself"),
            ("dangling", "instance.json: no row 'gone', to which sample_annotation '"),
        )
    ),
    *(
        (command.replace("{city}", f"{{{bad}}}"), "is no path below the data root")
        for command in (TRACK, CREATE, VISUALIZE + "video", VISUALIZE + "png")
        for bad in ("device", "outside")
    ),
    (TRACK.replace("{city}", "{splits_twice}"), "splits.json: key 'city_val' is there twice in one object"),
    (CREATE.replace("{city}", "{flat}") + " --coco", "key size[0]: Expected `float` > 0"),
    (CREATE.replace("{city}", "{splits_of_numbers}"), "splits.json: not a dictionary from split to scene names"),
    # Arguments.
    (TRACK.replace(VAL_SPLIT, LONG_SPLIT), "splits.json: no split 'sss"),
    (TRACKING.replace(VAL_SPLIT, LONG_SPLIT), "splits.json: no split 'sss"),
    (TRACK.replace(VERSION, "v9"), "v9: no such folder of tables"),
    (TRACK.replace("{city}", "{nothing}"), "nothing: no such data root"),
    *(
        (f"{command} --workers {count}", f"--workers {count}: expected at least 1")
        for command in (TRACK, TUNE, SENSITIVITY, METHODS, EVIDENCE, MAKE, VISUALIZE + "video")
        for count in (0, -5)
    ),
    (TRACK + " --config {exits}", "exits.py: not a config: SystemExit: 0"),
    (TRACK + " --config {raises}", "raises.py: not a config: ZeroDivisionError"),
    (TUNE + " --config {exits}", "exits.py: not a config: SystemExit: 0"),
    (TRACK + " --camera-evidence {deep} {coco}/instances.json", "bad.json: "),
    (TRACK + " --camera-evidence {bracket} {coco}/instances.json", "bad.json: not JSON"),
    *((command.replace("{out}", "{detections}"), "detections.json") for command in (TRACK, CREATE, MAKE, CONVERT)),
    (TRACK.replace("{out}/result.json", "{out}"), "out: Is a directory"),
    (CONVERT.replace("result.pth", "result.txt"), "expected a name that ends in .safetensors or .pth"),
    (MAKE.replace("{out}/city", "{out}"), "out: exists and is not an empty folder"),
    (MAKE + " --image-size wide", "--image-size wide: expected WIDTHxHEIGHT"),
    (VISUALIZE + "png --frames 99", "99"),
    (VISUALIZE + "html --scene nowhere", "nowhere"),
    (VISUALIZE + "video --compare {deep}", "nested too deeply"),
    (VISUALIZE + "html --metrics {deep}", "bad.json: not JSON that can be read: nested too deeply"),
    (VISUALIZE + "html --metrics {no_results}", "key 'amota' is missing"),
    (VISUALIZE + "html --analysis {deep}", "bad.json: not JSON that can be read: nested too deeply"),
    (VISUALIZE + "html --analysis {no_results}", "no analysis of the tracking evaluation"),
    (VISUALIZE + "html --detections {sample_twice}", "is there twice in one object"),
    (VISUALIZE + "rerun --detections {long_score}", "a whole number has thousands of digits"),
    ("analyze_logs.py tracking {deep} --out {out}/curves.png", "nested too deeply"),
    ("analyze_logs.py detection {deep} --out {out}/curves.png", "nested too deeply"),
    ("analyze_logs.py detection {no_results} --out {out}/curves.png", "'meta': no curves of the detection evaluation"),
    (
        "analyze_logs.py tracking {details_without_curves} --out {out}/curves.png",
        "no curve 'recall_hypo' of",
    ),
    ("analyze_logs.py plot_curve {deep_log} --out {out}/curves.png", "line 2 is no JSON object with a step"),
    ("analyze_logs.py plot_curve {empty_folder}", "is this a work directory?"),
    (TUNE.replace("{out}", "{bad_journal}"), "trials.journal: line 2 is none of a journal of trials"),
    (TUNE.replace("{out}", "{detections}"), "detections.json: File exists"),
    (TUNE.replace("--trials 1", "--trials 0"), "--trials 0: expected at least 1"),
    (TUNE.replace("--held-out 0", "--held-out 9"), "--held-out 9: the split has 1 scenes"),
    (TUNE + " --seed -1", "--seed -1: expected 0 to 4.29497e+09"),
    (SENSITIVITY + " --factors nan", "--factors nan: expected 0 to 1e+06"),
    (EVIDENCE + " --seeds 1 -1", "--seeds -1: expected at least 0"),
    (MAKE + " --seed -1", "seed -1: must not be negative"),
    ("benchmark.py tracker --boxes -1", "--boxes -1: expected at least 0"),
    ("benchmark.py evaluation --scenes 0", "--scenes 0: expected at least 1"),
    ("benchmark.py detector --config {tiny} --frames 0", "--frames 0: expected at least 1"),
    ("benchmark.py detector --config {nothing}", "nothing: no such config file"),
    (VISUALIZE + "png --frames 0", "none with number 0"),
    # Configs and checkpoints.
    *(
        (command + " --cfg-options garbage", "--cfg-options 'garbage': expected KEY=VALUE")
        for command in (TEST, TRAIN, THRESHOLDS, DETECT, "benchmark.py dynamic --config {yolo}")
    ),
    (TEST + " --cfg-options a=[(1,2]", "--cfg-options 'a=[(1,2]': the value cannot be read"),
    (TEST + " --cfg-options a=1", "there is no 'a'"),
    (TEST + " --cfg-options model.type.a=1", "an override does not fit"),
    *(
        (command.replace("{tiny}", "{exits}").replace("{yolo}", "{exits}"), "exits.py: not a config: SystemExit: 0")
        for command in (TEST, TRAIN, THRESHOLDS, DETECT)
    ),
    *(
        (command.replace("{tiny_weights}", f"{{{bad}}}").replace("{yolo_weights}", f"{{{bad}}}"), message)
        for command in (CONVERT, TEST, TEST_2D, DETECT)
        for bad, message in (
            ("sparse", "'a' is a sparse, nested, quantized or empty tensor"),
            ("two_names", "bad.pth: holds a tensor under 1; expected names"),
            ("no_weights", "bad.pth: holds no weights"),
            ("no_checkpoint", "bad.pth: is no PyTorch file"),
            ("no_safetensors", "bad.safetensors: is no safetensors file"),
            ("nothing", "nothing: cannot be read: No such file or directory"),
            ("city", "city: cannot be read: Is a directory"),
        )
    ),
    (STUDENT.replace("{tiny_weights}", "{sparse}"), "bad.pth: "),
    (TRAIN + " --resume {no_checkpoint}", "bad.pth: is no PyTorch file"),
    # Images.
    ("CITY_ROOT={city_of_zeros} " + TEST, "cannot be read (not a regular file)"),
    ("CITY_ROOT={city_of_empty_images} " + TEST, "cannot be read (not an image)"),
    ("CITY_ROOT={city_of_cut_images} " + TEST, "cannot be read ("),
    ("CITY_ROOT={city_of_cut_images} " + TRAIN, "cannot be read ("),
    ("IMAGES_ROOT={coco_of_cut_images} " + TEST_2D, "a.png: cannot be read ("),
    ("IMAGES_ROOT={coco_of_cut_images} " + THRESHOLDS, "a.png: cannot be read ("),
    ("CITY_ROOT={city_of_text} " + TEST, "cannot be read ("),
    ("CITY_ROOT={city_of_text} " + TRAIN, "cannot be read ("),
    ("IMAGES_ROOT={coco_outside} " + TEST_2D, "file_name '../instances.json' leaves the folder of images"),
    ("IMAGES_ROOT={coco_absolute} " + TEST_2D, "file_name '/dev/zero' leaves the folder of images"),
    ("IMAGES_ROOT={coco_of_zeros} " + TEST_2D, "a.png: cannot be read (not a regular file)"),
    ("IMAGES_ROOT={coco_of_empty_images} " + TEST_2D, "a.png: cannot be read (not an image)"),
    ("IMAGES_ROOT={coco_of_empty_images} " + THRESHOLDS, "a.png: cannot be read (not an image)"),
    ("CITY_ROOT={infos_outside} " + TEST, "'/etc/hostname' does not lie below the data root"),
    *(
        (DETECT.replace("{coco}/images", f"{{{bad}}}"), message)
        for bad, message in (
            ("nothing", "no such image, folder or video"),
            ("empty_folder", "holds no image (0 other files"),
            ("pipe", "neither a file nor a folder"),
            ("text_for_video", "neither a video that can be decoded"),
            ("empty_video", "neither a video that can be decoded"),
            ("cut_image", "no image can be read, such as"),
        )
    ),
    (DETECT.replace("{coco}/images", "/dev/zero"), "/dev/zero: neither a file nor a folder"),
    # The rest.
    ("demo.py --scenes 0 --out {out}/demo", "a city needs a scene"),
    ("demo.py --frames 0 --out {out}/demo", "a scene needs a key frame"),
]


def _named(command: str) -> str:
    return re.sub(r"s{5000}", "LONG", command)


@pytest.mark.parametrize(("command", "message"), CASES, ids=[_named(command) for command, _ in CASES])
def test_ends_in_one_line(
    command: str, message: str, world: Files, tmp_path: Path, monkeypatch: Any, capfd: Any, request: Any
) -> None:
    made = tmp_path / "made"
    out = tmp_path / "out"
    made.mkdir()
    out.mkdir()
    names = ("result.json", "result.pth", "result_temporal_infos_city_val.pkl", "coco_city_val.json")
    old = {out / name: name.encode() for name in names}
    for path, content in old.items():
        path.write_bytes(content)
    files = {**world, "out": out, "nothing": tmp_path / "nothing"}
    for name in re.findall(r"{(\w+)}", command):
        if name not in files:
            files[name] = BAD[name](world, made)
    monkeypatch.setenv("CITY_ROOT", str(world["city"]))
    monkeypatch.setenv("IMAGES_ROOT", str(world["coco"]))
    words = [word.format(**files) for word in command.split()]
    while "=" in words[0]:
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    monkeypatch.setattr(sys, "argv", words)
    # A logger of an earlier command still writes to the stderr of its test.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with pytest.raises(SystemExit) as ended, warnings.catch_warnings(record=True) as warned:
        runpy.run_path(str(ROOT / "tools" / words[0]), run_name="__main__")
    error = capfd.readouterr().err
    assert ended.value.code == 2, error
    assert [line for line in error.splitlines() if line.strip()] == [error.strip()], error
    assert error.startswith("error: ") and message in error and len(error) < 2500
    assert [str(one.message) for one in warned if not issubclass(one.category, DeprecationWarning)] == []
    left = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and "work" not in path.parts}
    assert left == old
