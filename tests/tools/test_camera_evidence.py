"""2D boxes given to `tools/track.py` as a user gives them, and what `tools/camera_evidence.py` prints of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from scenes import DETECTION_CLASSES, Scene, read_scenes, read_tracks, write_detections
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_camera_detector import simulate_camera_boxes
from scenes.city.simulated_detector import simulate_detections
from tracking import track_results


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root without images: one validation scene of six seconds."""
    out = tmp_path_factory.mktemp("city") / "city"
    make_city(out, train_scenes=0, val_scenes=1, frames=12, seed=4, images=False, workers=1)
    return out


@pytest.fixture(scope="module")
def scenes(root: Path) -> list[Scene]:
    return read_scenes(root, VERSION, VAL_SPLIT)


def write_coco(folder: Path, root: Path, scenes: list[Scene]) -> tuple[Path, Path]:
    """The simulated 2D boxes as a detector writes them: ids with gaps, sides instead of edges."""
    boxes = simulate_camera_boxes(scenes)
    images, rows = [], []
    for frame in (frame for scene in scenes for frame in scene.frames):
        for camera in frame.cameras:
            name = str(camera.image_path.relative_to(root))
            image_id = 1000 - 3 * len(images)
            images.append({"id": image_id, "file_name": name, "width": camera.width_px, "height": camera.height_px})
            given = boxes[frame.token][camera.name]
            for edges, label, score in zip(given.edges_px, given.label.tolist(), given.score.tolist(), strict=True):
                bbox = [*edges[:2].tolist(), *(edges[2:] - edges[:2]).tolist()]
                rows.append({"image_id": image_id, "category_id": 7 * label + 1, "bbox": bbox, "score": score})
    categories = [{"id": 7 * label + 1, "name": name} for label, name in enumerate(DETECTION_CLASSES)]
    results, data_set = folder / "boxes.json", folder / "instances.json"
    results.write_text(json.dumps(rows))
    data_set.write_text(json.dumps({"images": images, "categories": categories}))
    return results, data_set


@pytest.fixture
def arguments(root: Path, scenes: list[Scene], tmp_path: Path) -> list[object]:
    """Of `tools/track.py`, without the evidence."""
    detections = tmp_path / "detections.json"
    write_detections(detections, simulate_detections(scenes))
    split = ("--dataroot", root, "--version", VERSION, "--split", VAL_SPLIT)
    return [detections, *split, "--workers", 1, "--out", tmp_path / "out" / "tracks.json"]


def test_the_files_give_what_the_boxes_give(root, scenes, tmp_path, arguments, run) -> None:
    code, out, _ = run("track.py", *arguments, "--camera-evidence", *write_coco(tmp_path, root, scenes))
    assert code == 0 and "boxes in 72 of 72 camera images" in out
    written = read_tracks(tmp_path / "out" / "tracks.json")
    detections, camera_boxes = simulate_detections(scenes), simulate_camera_boxes(scenes)
    plain, expected = (track_results(detections, scenes, camera_evidence=given) for given in (None, camera_boxes))
    for token, boxes in expected.boxes.items():
        assert written.boxes[token].track_id.tolist() == boxes.track_id.tolist()
        np.testing.assert_allclose(written.boxes[token].score, boxes.score)
    assert any(len(boxes) != len(plain.boxes[token]) for token, boxes in expected.boxes.items())


def test_what_was_left_out_is_told(root, scenes, tmp_path, arguments, run) -> None:
    results, data_set = write_coco(tmp_path, root, scenes)
    rows = json.loads(results.read_text())
    rows[0]["bbox"] = [-5000.0, 0.0, 10.0, 10.0]
    results.write_text(json.dumps(rows))
    code, out, _ = run("track.py", *arguments, "--camera-evidence", results, data_set)
    assert code == 0 and f"{results}: 1 boxes outside the image or without area left out" in out


def test_images_of_unknown_size_are_refused_and_not_passed_over(root, scenes, tmp_path, arguments, run) -> None:
    """There is no image to measure either: without a size no track could be compared with any 2D box."""
    coco = write_coco(tmp_path, root, scenes)
    bare = tmp_path / "bare"
    shutil.copytree(root / VERSION, bare / VERSION)
    table = bare / VERSION / "sample_data.json"
    table.write_text(json.dumps([{**row, "width": None, "height": None} for row in json.loads(table.read_text())]))
    arguments[arguments.index(root)] = bare
    code, _, error = run("track.py", *arguments, "--camera-evidence", *coco)
    assert code == 2 and error.count("\n") == 1
    assert "no such file; the tables do not state the image's size either" in error
    assert not (tmp_path / "out" / "tracks.json").exists()


LOST = '[{"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]'


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not JSON"), ("[]", "no boxes in it"), (LOST, "box 0, key image_id: 5 is none of the images")],
)
def test_bad_files_end_in_one_line(text: str, message: str, root, scenes, tmp_path, arguments, run) -> None:
    results, data_set = write_coco(tmp_path, root, scenes)
    results.write_text(text)
    code, out, err = run("track.py", *arguments, "--camera-evidence", results, data_set)
    assert code == 2 and out == "" and err.count("\n") == 1 and str(results) in err and message in err
    assert not (tmp_path / "out").exists()


def test_the_evidence_is_not_overwritten(root, scenes, tmp_path, arguments, run) -> None:
    results, data_set = write_coco(tmp_path, root, scenes)
    arguments[-1] = data_set
    code, _, err = run("track.py", *arguments, "--camera-evidence", results, data_set)
    assert code == 2 and f"{data_set}: would overwrite the COCO data set" in err


def test_the_table_has_a_row_with_and_one_without(root, run) -> None:
    code, out, _ = run("camera_evidence.py", "--dataroot", root, "--seeds", 3, 4, "--workers", 1)
    rows = {cells[1].strip(): cells[2:-1] for cells in (line.split("|") for line in out.splitlines())}
    without, with_boxes, change = (
        np.array(rows[name], dtype=np.float64) for name in ("3D boxes alone", "with 2D boxes", "change")
    )
    assert code == 0 and "1 scenes, mean of 2 seeds" in out
    np.testing.assert_allclose(with_boxes - without, change, atol=0.11)
    assert (change != 0.0).any()
