"""The commands for 2D detectors, as a user runs them, with a network that was never trained on a tiny data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from detection.registry import MODELS

Run = Callable[..., tuple[int, str, str]]

CATEGORIES = [{"id": 90, "name": "zebra"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}]
MODEL = dict(type="DynamicYoloDetector", variant="dy-yolov7", width=0.0625, num_classes=3, threshold=0.5)
CONFIG = """
model = {model}
val_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type="CocoDataset", dataroot={root!r}, ann_file="instances.json", image_dir="images", test_mode=True,
        pipeline=[dict(type="Letterbox", size=(64, 96))],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="CocoMetric", ann_file={root!r} + "/instances.json")
"""
IMAGES = 5


def _picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 40 * (index + 1), (40, 61, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images, a box in each."""
    root = tmp_path_factory.mktemp("coco")
    (root / "images").mkdir()
    for index in range(IMAGES):
        cv2.imwrite(str(root / "images" / f"{index}.png"), _picture(index))
    images = [dict(id=10 * index, file_name=f"{index}.png", width=61, height=40) for index in range(IMAGES)]
    boxes = [
        dict(id=index, image_id=10 * index, category_id=CATEGORIES[index % 3]["id"], bbox=[5, 5, 30, 20], area=600)
        for index in range(IMAGES)
    ]
    content = {"images": images, "categories": CATEGORIES, "annotations": [{**box, "iscrowd": 0} for box in boxes]}
    (root / "instances.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def config(data_root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "config.py"
    path.write_text(CONFIG.format(model=MODEL, root=str(data_root)))
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Chance weights, of the router too, so that its scores tell the images apart."""
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    torch.nn.init.normal_(model.router.layer1.weight, std=10)
    torch.nn.init.normal_(model.router.layer2.weight)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def router_untrained(checkpoint: Path) -> Path:
    weights = torch.load(checkpoint, weights_only=True)
    weights["router.layer2.weight"].zero_()
    torch.save(weights, checkpoint)
    return checkpoint


def _video(path: Path, frames: int = 6) -> bytes:
    writer = imageio_ffmpeg.write_frames(str(path), (61, 40), fps=5, macro_block_size=1, pix_fmt_out="yuv444p")
    writer.send(None)
    for index in range(frames):
        writer.send(np.ascontiguousarray(_picture(index % 6)))
    writer.close()
    return path.read_bytes()


def test_from_thresholds_to_average_precision(
    run: Run, config: Path, checkpoint: Path, data_root: Path, tmp_path: Path
) -> None:
    code, printed, error = run("dynamic_thresholds.py", config, checkpoint)
    assert code == 0, error
    assert "  0% hard: 0.0000" in printed and f"{IMAGES} images -> {tmp_path / 'weights.thresholds.json'}" in printed
    assert len(set(json.loads((tmp_path / "weights.thresholds.json").read_text())["thresholds"])) > 5
    for speed in (("--hard-fraction", 0.4), ("--dynamic-threshold", 0)):
        out = tmp_path / "out" / f"{speed[0]}.json"
        code, printed, error = run("test.py", config, checkpoint, "--out", out, "--eval", *speed)
        assert code == 0, error
        rows = json.loads(out.read_text())
        assert f"{IMAGES} images: {len(rows)} boxes -> {out}" in printed and "AP50" in printed
        assert {row["category_id"] for row in rows} <= {90, 3, 17} and len(rows) > 0
        COCO(str(data_root / "instances.json")).loadRes(str(out))  # COCO's own program takes them


def test_benchmark(run: Run, config: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert run("dynamic_thresholds.py", config, checkpoint)[0] == 0
    command = ("benchmark.py", "dynamic", "--config", config)
    out = tmp_path / "bench"
    measured = ("--checkpoint", checkpoint, "--shares", 0, 0.4, 1, "--random-seeds", 1, "--out", out)
    code, printed, error = run(*command, *measured)
    assert code == 0, error
    assert "AP75" in printed
    content = json.loads((out / "dynamic.json").read_text())
    easy, routed, by_chance, hard = content["runs"]
    assert [one["routing"] for one in content["runs"]] == ["router", "router", "random 0", "router"]
    assert (easy["hard_share"], routed["hard_share"], hard["hard_share"]) == (0, 0.4, 1)
    cost = content["arithmetic"]
    assert by_chance["gflops"] == pytest.approx(
        cost["easy"] + by_chance["hard_share"] * (cost["hard"] - cost["easy"]) + cost["router"]
    )
    assert easy["gflops"] == cost["easy"] < cost["hard"] == hard["gflops"]
    assert 0 <= hard["AP"] <= hard["AP50"] <= 1
    assert (out / "dynamic.png").stat().st_size > 10_000

    code, printed, error = run(*command, "--arithmetic-only", "--shares", 0, 1)
    assert code == 0, error
    assert f"easy {cost['easy']:.4g}, hard {cost['hard']:.4g}, router {cost['router']:.4g}" in printed
    code, _, error = run(*command)
    assert code == 2 and "--checkpoint: needed" in error


def test_annotated_folder(run: Run, config: Path, checkpoint: Path, data_root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, picture in (("grey.png", _picture(4)[:, :, 0]), ("b.JPG", _picture(3)), ("c.tif", _picture(2)[:30])):
        (source / name).write_bytes(cv2.imencode(Path(name).suffix.lower(), picture)[1].tobytes())
    (source / "broken.png").write_bytes(b"no image")
    (source / "notes.txt").write_text("text")
    out = tmp_path / "out"
    command = ("detect.py", config, checkpoint, "--source", source, "--out", out, "--score", 0.001)
    code, printed, error = run(*command, "--dynamic-threshold", 1, "--batch-size", 2)
    assert code == 0, error
    assert f"warning: {source / 'broken.png'}: cannot be read" in error
    assert f"warning: {source / 'notes.txt'}: left out" in error
    content = json.loads((out / "detections.json").read_text())
    assert [(image["file_name"], image["height"], image["hard"]) for image in content["images"]] == [
        ("b.JPG", 40, True),
        ("c.tif", 30, True),
        ("grey.png", 40, True),
    ]
    boxes = content["annotations"]
    assert f"3 images, 3 of them hard: {len(boxes)} boxes -> {out}" in printed and boxes
    for box in boxes:
        left, top, width, height = box["bbox"]
        assert left >= 0 and top >= 0 and left + width <= 61.01 and top + height <= 40.01
        assert box["score"] >= 0.001 and box["category"] == ("car", "cat", "zebra")[box["category_id"] - 1]
    assert sorted(path.name for path in out.iterdir()) == ["b.JPG", "c.tif.jpg", "detections.json", "grey.png"]
    drawn = cv2.imread(str(out / "grey.png"))
    assert drawn.shape == (40, 61, 3) and (drawn[:, :, 0] != drawn[:, :, 2]).any()


def test_annotated_video(run: Run, config: Path, checkpoint: Path, tmp_path: Path) -> None:
    content = _video(tmp_path / "drive.mp4")
    out = tmp_path / "out"
    command = ("detect.py", config, checkpoint, "--out", out, "--score", 0.001, "--dynamic-threshold", 0)
    code, printed, error = run(*command, "--source", tmp_path / "drive.mp4")
    assert code == 0, error
    assert "6 frames, 0 of them hard" in printed
    found = json.loads((out / "detections.json").read_text())["images"]
    assert [(image["file_name"], image["frame"]) for image in found] == [("drive.mp4", index) for index in range(6)]
    assert imageio_ffmpeg.count_frames_and_secs(str(out / "drive.mp4")) == (6, 1.2)

    (tmp_path / "text.mp4").write_bytes(content[:300])
    code, _, error = run(*command, "--source", tmp_path / "text.mp4")
    assert code == 2 and "text.mp4: neither a video that can be decoded" in error and error.count("\n") == 1
    assert not (out / "text.mp4").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--score", 1.5), "--score 1.5: expected 0 to 1"),
        (("--batch-size", 0), "batch size 0: expected at least 1"),
        (("--hard-fraction", 0.5), "weights.thresholds.json: no such file; `streamtrack dynamic_thresholds"),
        (("--source", "nowhere.png"), "nowhere.png: no such image, folder or video"),
        (("--out", "."), "is the folder of the source; its files would be overwritten"),
        (("--cfg-options", "model.num_classes=4"), "of another shape"),
        (("--cfg-options", "val_dataloader.dataset.ann_file=none.json"), "none.json: no such file, and val_dataloader"),
        (("--cfg-options", "val_dataloader.dataset.pipeline.0.size=(60,96)"), "multiples of 32"),
    ],
)
def test_bad_input_ends_in_one_line(
    run: Run, config: Path, checkpoint: Path, tmp_path: Path, options: tuple[str, object], message: str
) -> None:
    cv2.imwrite(str(tmp_path / "image.png"), _picture(0))
    given = {"--source": tmp_path / "image.png", "--out": tmp_path / "out", "--dynamic-threshold": 0}
    if options[0] == "--hard-fraction":
        del given["--dynamic-threshold"]
    given[options[0]] = tmp_path if options == ("--out", ".") else options[1]
    code, _, error = run("detect.py", config, checkpoint, *(word for pair in given.items() for word in pair))
    lines = [line for line in error.splitlines() if line.startswith("error:")]
    assert code == 2 and len(lines) == 1 and message in lines[0], error
    assert not (tmp_path / "out").exists()


def test_router_never_trained(run: Run, config: Path, router_untrained: Path) -> None:
    for tool in ("dynamic_thresholds.py", "test.py"):
        extra = ("--eval",) if tool == "test.py" else ()
        code, _, error = run(tool, config, router_untrained, *extra)
        assert code == 2 and "the router of these weights has never been trained" in error


def test_detector_of_scenes_takes_no_images(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "image.png"), _picture(0))
    scenes = Path(__file__).resolve().parents[1] / "detection" / "city_tiny.py"
    command = ("detect.py", scenes, checkpoint, "--source", tmp_path / "image.png", "--out", tmp_path / "out")
    code, _, error = run(*command)
    assert code == 2 and "model is a MultiViewDetector; expected a DynamicYoloDetector" in error
