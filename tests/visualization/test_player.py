"""Pages as files: self-contained, escaped, whole or not at all."""

import doctest
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import visualization.player
from evaluation import evaluate_tracking
from evaluation.events import TrackEvents
from evaluation.tracking import tracking_metrics
from scenes import Boxes3D, InputError, Results, read_scenes, read_tracks, write_tracks
from scenes.city import VAL_SPLIT, VERSION, make_city
from scenes.city.simulated_detector import simulate_detections
from scenes.geometry import rotation_from_yaw, transform_points
from tracking import track_results
from visualization import (
    PageOptions,
    find_events,
    page_link,
    read_metrics,
    read_worst_tracks,
    write_index,
    write_pages,
    write_scene_page,
)

from .conftest import FRAMES, START, boxes_at

HOSTILE = "</script><script>document.title='broken'</script><b>&\"'"


def data_of(page) -> dict:
    text = page.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="\S+">(.*?)</script>', text, re.DOTALL).group(1))


def test_examples_in_the_docstrings():
    assert doctest.testmod(visualization.player).attempted > 0
    assert doctest.testmod(visualization.player).failed == 0


def test_a_page_holds_every_box_of_the_file(shared, mini_val, tmp_path):
    scene = read_scenes(mini_val, "v1.0-mini", "mini_val")[1]
    tracks = read_tracks(shared / "expected" / "cc3dt" / "tracks_polymot.json")
    report = write_scene_page(scene, tracks, tmp_path / "page.html")
    data = data_of(report.path)
    assert report.frames == len(data["frames"]) == 41
    assert report.tracks == len(data["tracks"])
    shown = np.zeros(41, dtype=int)
    for track in data["tracks"]:
        in_file = [frame for position, frame in enumerate(track["frames"]) if position not in track["gaps"]]
        np.add.at(shown, in_file, 1)
        assert len(track["boxes"]) == len(track["frames"]) == len(track["matches"])
    assert shown.tolist() == [len(tracks.boxes[token]) for token in scene.sample_tokens]


def test_boxes_keep_their_place(small_scene, small_tracks, tmp_path):
    """The page counts from where the ego starts, and boxes and cameras still meet there."""
    data = data_of(write_scene_page(small_scene, small_tracks, tmp_path / "page.html").path)
    origin_m = START[:3, 3]
    assert data["frames"][2]["ego"]["position"] == pytest.approx(2.0 * START[:3, 0], abs=1e-3)
    assert data["frames"][2]["ego"]["yaw"] == pytest.approx(2.1, abs=1e-5)
    first = data["tracks"][0]
    assert first["id"] == "1"
    place_m = transform_points(START, np.array([[15.0, 0.2, 0.8]]))[0]
    velocity_mps = START[:2, :2] @ [2.0, 0.0]
    row = [*(place_m - origin_m), 1.9, 4.6, 1.6, *rotation_from_yaw(2.1)[0], *velocity_mps, 0.8]
    assert first["boxes"][0] == pytest.approx(row, abs=1e-3)
    for camera, shown in zip(small_scene.frames[2].cameras, data["frames"][2]["cameras"], strict=True):
        camera_from_page = np.vstack([shown["pose"], [0.0, 0.0, 0.0, 1.0]])
        here = transform_points(camera_from_page, (place_m - origin_m)[None])
        assert here == pytest.approx(transform_points(camera.camera_from_global, place_m[None]), abs=1e-3)


def test_an_unknown_velocity_is_no_velocity_of_zero(small_scene, small_tracks, tmp_path):
    unknown = {
        token: boxes.replace(velocity_mps=np.full((len(boxes), 2), np.nan))
        for token, boxes in small_tracks.boxes.items()
    }
    data = data_of(write_scene_page(small_scene, Results(unknown), tmp_path / "page.html").path)
    assert all(row[10:12] == [None, None] for track in data["tracks"] for row in track["boxes"])


def test_a_page_asks_for_nothing_outside_of_itself(small_scene, small_tracks, tmp_path):
    text = write_scene_page(small_scene, small_tracks, tmp_path / "page.html").path.read_text()
    assert re.findall(r'(?:src|href)="(?!index\.html)[^"]+"', text) == []
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_names_with_html_stay_names(small_scene, tmp_path):
    scene = replace(small_scene, name=HOSTILE, description=HOSTILE, location=HOSTILE)
    tracks = Results({token: boxes_at([(15.0, 0.0)], [HOSTILE]) for token in scene.sample_tokens})
    (report,) = write_pages([scene], tracks, tmp_path)
    text = report.path.read_text()
    assert "<script>document" not in text
    assert f"<title>{html.escape(HOSTILE)}" in text
    data = data_of(report.path)
    assert data["scene"]["name"] == data["tracks"][0]["id"] == HOSTILE
    write_index(tmp_path / "index.html", [report], HOSTILE)
    assert "<script>document" not in (tmp_path / "index.html").read_text()


def test_images_beside_the_page(small_scene, small_tracks, tmp_path):
    report = write_scene_page(small_scene, small_tracks, tmp_path / "page.html", PageOptions(embed_images=False))
    images = [camera["image"] for frame in data_of(report.path)["frames"] for camera in frame["cameras"]]
    assert len(set(images)) == 6 * FRAMES
    assert all((tmp_path / image).is_file() for image in images)


def test_images_of_one_name_in_different_folders_stay_different(small_scene, small_tracks, tmp_path):
    """Cameras that number their images alike, each in a folder of its own."""

    def renamed(index, camera):
        path = tmp_path / "data" / camera.name / f"{index:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(
            str(path), np.full((450, 800, 3), 10 * len(list((tmp_path / "data").rglob("*.jpg"))), np.uint8)
        )
        return replace(camera, image_path=path)

    frames = tuple(
        replace(frame, cameras=tuple(renamed(index, camera) for camera in frame.cameras))
        for index, frame in enumerate(small_scene.frames)
    )
    scene = replace(small_scene, frames=frames)
    report = write_scene_page(scene, small_tracks, tmp_path / "page.html", PageOptions(embed_images=False))
    for frame, shown in zip(frames, data_of(report.path)["frames"], strict=True):
        for camera, entry in zip(frame.cameras, shown["cameras"], strict=True):
            original = cv2.imread(str(camera.image_path)).mean()
            assert cv2.imread(str(tmp_path / entry["image"])).mean() == pytest.approx(original, abs=2)


def test_missing_images_of_one_name_are_counted_each(small_scene, small_tracks, tmp_path):
    frame = small_scene.frames[0]
    cameras = tuple(replace(c, image_path=tmp_path / c.name / "000000.jpg") for c in frame.cameras)
    report = write_scene_page(
        replace(small_scene, frames=(replace(frame, cameras=cameras),)), small_tracks, tmp_path / "page.html"
    )
    assert len(set(report.unreadable_images)) == 6


def test_missing_and_broken_images_are_named(small_scene, small_tracks, tmp_path):
    missing, broken = (small_scene.frames[1].cameras[i].image_path for i in range(2))
    missing.unlink()
    broken.write_bytes(b"no JPEG")
    report = write_scene_page(small_scene, small_tracks, tmp_path / "page.html")
    assert sorted(report.unreadable_images) == sorted([str(missing), str(broken)])
    assert data_of(report.path)["frames"][1]["cameras"][0]["image"] is None


def test_forty_frames_of_six_real_images_stay_below_15_mb(shared, mini_val, tmp_path):
    scene = read_scenes(mini_val, "v1.0-mini", "mini_val")[0]
    with_images = replace(scene, frames=scene.frames[:2] * 20)
    tracks = read_tracks(shared / "expected" / "fastbev" / "tracks_polymot.json")
    # Time runs backwards here: the frames are judged as they follow each other in the scene itself.
    events = find_events([scene], tracks)
    report = write_scene_page(with_images, tracks, tmp_path / "page.html", events=events)
    assert report.unreadable_images == ()
    assert report.path.stat().st_size < 15e6


def test_a_page_that_cannot_be_written_leaves_nothing(small_scene, small_tracks, tmp_path):
    blocked = tmp_path / "page.html"
    blocked.mkdir()
    with pytest.raises(OSError, match="page"):
        write_scene_page(small_scene, small_tracks, blocked)
    assert list(tmp_path.glob(".*")) == []


def test_a_full_disk_leaves_no_half_page(small_scene, small_tracks, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    page = tmp_path / "out" / "page.html"
    with pytest.raises(OSError, match="No space left") as raised:
        write_scene_page(small_scene, small_tracks, page)
    assert raised.value.filename == str(page)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_scene_without_annotations_has_no_errors(small_scene, small_tracks, tmp_path):
    scene = replace(small_scene, frames=tuple(replace(frame, annotations=None) for frame in small_scene.frames))
    report = write_scene_page(scene, small_tracks, tmp_path / "page.html")
    assert report.switches is report.misses is report.false_positives is report.mota is report.amota is None


def errors_of(data: dict) -> dict[str, int]:
    """The events that a page marks, under the names of the metrics."""
    matches = sum(match is not None for track in data["tracks"] for match in track["matches"])
    switches = sum(len(track["switches"]) for track in data["tracks"])
    return {
        "tp": matches - switches,
        "ids": switches,
        "fp": sum(len(track["false_positives"]) for track in data["tracks"]),
        "fn": sum(len(annotation["misses"]) for annotation in data["annotations"]),
    }


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> tuple[Path, str, str, Path]:
    """Data root, version, split and a file of tracks: two scenes of a city without images."""
    root = tmp_path_factory.mktemp("city") / "city"
    make_city(root, train_scenes=0, val_scenes=2, frames=12, seed=4, images=False, workers=1)
    scenes = read_scenes(root, VERSION, VAL_SPLIT)
    tracks = root.parent / "tracks.json"
    write_tracks(tracks, track_results(simulate_detections(scenes), scenes))
    return root, VERSION, VAL_SPLIT, tracks


@pytest.fixture(params=["city", "fastbev/tracks_polymot", "fastbev/tracks_centerpoint", "cc3dt/tracks_polymot"])
def tracked(request) -> tuple[Path, str, str, Path]:
    if request.param == "city":
        return request.getfixturevalue("city")
    shared = request.getfixturevalue("shared")
    mini_val = request.getfixturevalue("mini_val")
    return mini_val, "v1.0-mini", "mini_val", shared / "expected" / f"{request.param}.json"


def test_the_pages_add_up_to_the_metrics(tracked, tmp_path):
    root, version, split, path = tracked
    evaluate_tracking(path, root, version, split).write(tmp_path)
    summary = json.loads((tmp_path / "metrics_summary.json").read_text())
    scenes, tracks = read_scenes(root, version, split), read_tracks(path)
    reports = list(write_pages(scenes, tracks, tmp_path, PageOptions(image_width_px=48)))
    of_pages = [errors_of(data_of(report.path)) for report in reports]
    names = {"tp": "matches", "ids": "switches", "fp": "false_positives", "fn": "misses"}
    assert summary["tp"] > 100 and summary["ids"] > 0 and summary["fp"] > 0 and summary["fn"] > 0
    for metric, name in names.items():
        assert sum(counts[metric] for counts in of_pages) == summary[metric]
        assert sum(getattr(report, name) for report in reports) == summary[metric]
    gaps = sum(len(path["gaps"]) for report in reports for path in data_of(report.path)["annotations"])
    assert gaps > 0


def test_the_list_shows_the_amota_and_mota_of_each_scene(tracked, tmp_path):
    root, version, split, path = tracked
    scenes, tracks = read_scenes(root, version, split), read_tracks(path)
    write_index(tmp_path / "index.html", list(write_pages(scenes, tracks, tmp_path)), "tracks.json")
    shown = [scene["amota"] for scene in data_of(tmp_path / "index.html")["scenes"]]
    assert shown == [tracking_metrics(tracks, [scene]).summary["amota"] for scene in scenes]
    alone = write_scene_page(scenes[1], tracks, tmp_path / "alone.html")
    assert alone.mota == pytest.approx(tracking_metrics(tracks, [scenes[1]]).summary["mota"])
    assert alone.amota == shown[1]


def test_a_scene_drawn_alone_is_judged_as_among_all(shared, mini_val, tmp_path):
    tracks = read_tracks(shared / "expected" / "fastbev" / "tracks_polymot.json")
    scenes = read_scenes(mini_val, "v1.0-mini", "mini_val")
    both = list(write_pages(scenes, tracks, tmp_path / "both"))
    events = find_events(scenes, tracks)
    (alone,) = write_pages(scenes[1:], tracks, tmp_path / "alone", events=events)
    assert errors_of(data_of(alone.path)) == errors_of(data_of(both[1].path))
    assert errors_of(data_of(write_scene_page(scenes[1], tracks, tmp_path / "p.html").path)) != errors_of(
        data_of(alone.path)
    )


def test_frames_that_the_file_lacks_are_missed(small_scene, small_tracks, tmp_path):
    boxes = {token: small_tracks.boxes[token] for token in small_scene.sample_tokens[:2]}
    report = write_scene_page(small_scene, Results(boxes), tmp_path / "page.html")
    assert (report.matches, report.misses) == (4, 4)


def test_what_cannot_be_judged_is_refused_unless_there_are_no_events(small_scene, small_tracks, tmp_path):
    standing = replace(small_scene, frames=tuple(replace(frame, timestamp_us=5) for frame in small_scene.frames))
    with pytest.raises(InputError, match="time does not increase"):
        write_scene_page(standing, small_tracks, tmp_path / "page.html")
    report = write_scene_page(standing, small_tracks, tmp_path / "page.html", events=TrackEvents({}, {}, {}))
    assert report.misses is None
    assert len(data_of(report.path)["tracks"]) == 2


def test_the_counts_of_a_report(small_scene, tmp_path):
    stray = boxes_at([(15.0, 0.0), (30.0, 10.0)], ["1", "3"])
    report = write_scene_page(
        small_scene, Results(dict.fromkeys(small_scene.sample_tokens, stray)), tmp_path / "p.html"
    )
    # One of two cars is followed; the other is missed, and a stray track runs beside them.
    assert (report.matches, report.switches, report.misses, report.false_positives) == (4, 0, 4, 4)
    assert report.mota == pytest.approx(1 - 8 / 8)


def test_a_gap_is_shown_as_the_evaluation_fills_it(small_scene, small_tracks, tmp_path):
    """Both cars are seen in the first and the last frame; the boxes between stand in no file, and count."""
    unseen = {token: Boxes3D.empty() for token in small_scene.sample_tokens[1:3]}
    report = write_scene_page(small_scene, Results({**small_tracks.boxes, **unseen}), tmp_path / "page.html")
    for track in data_of(report.path)["tracks"]:
        assert (track["frames"], track["gaps"]) == ([0, 1, 2, 3], [1, 2])
        assert track["boxes"][1] == track["boxes"][0]
        assert track["matches"] == [track["matches"][0]] * 4
    assert (report.matches, report.misses) == (8, 0)


def test_the_score_of_a_track_is_what_the_metrics_rank_it_by(small_scene, tmp_path):
    """The mean of its boxes in range: here of the first two."""
    places = [(15.0, 0.0), (15.0, 0.0), (90.0, 0.0), (90.0, 0.0)]
    boxes = [boxes_at([place], ["1"], score) for place, score in zip(places, (0.9, 0.7, 0.1, 0.1), strict=True)]
    tracks = Results(dict(zip(small_scene.sample_tokens, boxes, strict=True)))
    data = data_of(write_scene_page(small_scene, tracks, tmp_path / "page.html").path)
    assert data["tracks"][0]["score"] == data["operating_points"]["car"] == pytest.approx(0.8)
    assert data["tracks"][0]["judged"]


def test_links(small_scene):
    assert page_link("scene a", sample_token="s&1", track_id="a b").endswith(".html#sample=s%261&track=a+b")
    assert page_link("scene-1") == "scene-1.html"


def test_the_index_shows_the_scores(shared, small_scene, small_tracks, tmp_path):
    summary = shared / "expected" / "fastbev" / "tracks_polymot.metrics_summary.json"
    reports = list(write_pages([small_scene], small_tracks, tmp_path))
    write_index(tmp_path / "index.html", reports, "tracks.json", read_metrics(summary))
    data = data_of(tmp_path / "index.html")
    assert {"name": "AMOTA", "value": "0.535"} in data["metrics"]
    assert data["scenes"][0]["link"] == "scene-a.html"
    assert data["scenes"][0]["thumbnail"].startswith("data:image/jpeg")


@pytest.mark.parametrize(("content", "message"), [("{", "not JSON"), ("[]", "amota"), ('{"mota": 1}', "amota")])
def test_a_summary_that_is_none(tmp_path, content, message):
    path = tmp_path / "summary.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_metrics(path)
    with pytest.raises(InputError, match="No such file"):
        read_metrics(tmp_path / "none.json")


def test_an_analysis_without_worst_tracks(tmp_path):
    path = tmp_path / "analysis.json"
    path.write_text('{"worst_tracks": [{"scene": "scene-1"}]}')
    with pytest.raises(InputError, match=r"analysis\.json: no analysis of the tracking evaluation: .*class"):
        read_worst_tracks(path)
    with pytest.raises(InputError, match="No such file"):
        read_worst_tracks(tmp_path / "none.json")
