"""Result files: what is read is what was written, and every fault is named with file, sample, box and key."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scenes import (
    DETECTION_CLASSES,
    NUSCENES,
    TRACKING_CLASSES,
    Boxes3D,
    InputError,
    ObjectClass,
    Results,
    Scene,
    Taxonomy,
    read_detections,
    read_tracks,
    select_samples,
    shared_taxonomy,
    write_detections,
    write_tracks,
)
from scenes.classes import ATTRIBUTES, LABEL_OF_CLASS
from scenes.jobs.executors import InProcess
from scenes.jobs.shards import Shards, begin_shards, run_shards
from scenes.json_text import LARGEST_NUMBER
from scenes.results import CAMERA_META, hold_tracks, sample_spans, shards_meta

_NUMBER = st.floats(-1e4, 1e4)
_COLUMNS = ("center_m", "size_wlh_m", "rotation", "velocity_mps", "label", "score")


@st.composite
def boxes(draw: st.DrawFn, tracks: bool) -> Boxes3D:
    """Boxes as a detector or a tracker may write them."""
    count = draw(st.integers(0, 4))

    def rows(element: st.SearchStrategy[Any], width: int) -> np.ndarray:
        return np.array([[draw(element) for _ in range(width)] for _ in range(count)]).reshape(count, width)

    yaw = rows(st.floats(-math.pi, math.pi), 1)[:, 0]
    zero = np.zeros(count)
    names = TRACKING_CLASSES if tracks else DETECTION_CLASSES
    label = [LABEL_OF_CLASS[draw(st.sampled_from(names))] for _ in range(count)]
    identity = np.array([draw(st.text(max_size=5)) for _ in range(count)], dtype=np.str_)
    attribute = np.array([draw(st.sampled_from(["", *ATTRIBUTES])) for _ in range(count)], dtype=np.str_)
    return Boxes3D(
        center_m=rows(_NUMBER, 3),
        size_wlh_m=rows(st.floats(0.01, 50), 3),
        rotation=np.column_stack([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)]),
        velocity_mps=rows(_NUMBER, 2),
        label=np.array(label, dtype=np.int64),
        score=rows(st.floats(0, 1), 1)[:, 0],
        query_id=draw(st.sampled_from([None, np.arange(count)])),
        track_id=identity if tracks else None,
        attribute=None if tracks else attribute,
    )


def assert_same(ours: Boxes3D, theirs: Boxes3D, names: tuple[str, ...]) -> None:
    for name in names:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    if len(theirs):
        np.testing.assert_array_equal(ours.query_id, theirs.query_id)


@given(frames=st.lists(boxes(tracks=False), max_size=3))
def test_detections_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, frames: list[Boxes3D]) -> None:
    path = tmp_path_factory.mktemp("results") / "detections.json"
    written = Results({f"sample{index}": frame for index, frame in enumerate(frames)}, {"use_lidar": True, "by": "a"})
    write_detections(path, written)
    read = read_detections(path)
    assert list(read.boxes) == list(written.boxes)
    assert read.meta == written.meta
    for token, frame in written.boxes.items():
        assert_same(read.boxes[token], frame, (*_COLUMNS, "attribute"))


@given(frame=boxes(tracks=True))
def test_tracks_are_read_as_written(tmp_path_factory: pytest.TempPathFactory, frame: Boxes3D) -> None:
    path = tmp_path_factory.mktemp("results") / "tracks.json"
    write_tracks(path, Results({"a": frame}))
    assert_same(read_tracks(path).boxes["a"], frame, (*_COLUMNS, "track_id"))


def one_box(**columns: object) -> Boxes3D:
    """A parked car."""
    given: dict[str, Any] = {
        "center_m": [[1.0, 2.0, 0.5]],
        "size_wlh_m": [[1.9, 4.6, 1.7]],
        "rotation": [[1.0, 0.0, 0.0, 0.0]],
        "velocity_mps": [[0.5, 0.0]],
        "label": [0],
        "score": [0.9],
    }
    return Boxes3D(**(given | columns))


def test_devkit_reads_what_is_written(tmp_path: Path) -> None:
    config, loaders, detection, tracking = (
        pytest.importorskip(f"nuscenes.eval.{name}")
        for name in ("common.config", "common.loaders", "detection.data_classes", "tracking.data_classes")
    )
    write_detections(tmp_path / "d.json", Results({"a": one_box(query_id=[7]), "b": Boxes3D.empty()}))
    write_tracks(tmp_path / "t.json", Results({"a": one_box(track_id=["x"])}))
    detections, meta = loaders.load_prediction(str(tmp_path / "d.json"), 500, detection.DetectionBox)
    assert meta["use_camera"] is True
    assert detections["a"][0].translation == (1.0, 2.0, 0.5)
    assert detections.boxes["b"] == []
    config.config_factory("tracking_nips_2019")  # the devkit knows no tracking classes before its configuration is made
    tracks, _ = loaders.load_prediction(str(tmp_path / "t.json"), 500, tracking.TrackingBox)
    assert tracks["a"][0].tracking_id == "x"


def test_unknown_velocity_is_written_as_zero(tmp_path: Path) -> None:
    write_detections(tmp_path / "d.json", Results({"a": one_box(velocity_mps=[[np.nan, np.nan]])}))
    assert read_detections(tmp_path / "d.json").boxes["a"].velocity_mps.tolist() == [[0.0, 0.0]]


def test_boxes_without_identity_are_no_tracks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sample 'a': boxes without track_id"):
        write_tracks(tmp_path / "t.json", Results({"a": one_box()}))
    assert list(tmp_path.iterdir()) == []


def test_a_sample_without_boxes_needs_no_identities(tmp_path: Path) -> None:
    write_tracks(tmp_path / "t.json", Results({"a": Boxes3D.empty()}))
    assert len(read_tracks(tmp_path / "t.json").boxes["a"]) == 0


def test_real_files_keep_every_box(shared: Path, tmp_path: Path) -> None:
    for name in ("fastbev", "cc_3dt"):
        path = shared / "detections" / f"{name}.json"
        raw = json.loads(path.read_text())["results"]
        results = read_detections(path)
        for token, rows in raw.items():
            assert results.boxes[token].center_m.tolist() == [row["translation"] for row in rows]
            assert results.boxes[token].score.tolist() == [row["detection_score"] for row in rows]


# --- faults ---------------------------------------------------------------------------------------------------------

NAN, INFINITE = float("nan"), float("inf")


def detection(**changes: Any) -> dict[str, Any]:
    """A box of sample `s`, changed; a value of `...` removes the key."""
    box: dict[str, Any] = {
        "sample_token": "s",
        "translation": [1.0, 2.0, 3.0],
        "size": [1.9, 4.6, 1.7],
        "rotation": [1, 0, 0, 0],
        "velocity": [0.0, 0.0],
        "detection_name": "car",
        "detection_score": 0.5,
        "attribute_name": "",
    }
    return {key: value for key, value in (box | changes).items() if value is not ...}


BOX_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"translation": [1.0, NAN, 0.0]}, "translation: expected 3 finite numbers, got [1.0, nan, 0.0]"),
    ({"translation": [1.0, INFINITE, 0.0]}, "translation: expected 3 finite numbers"),
    ({"translation": [1.0, 1e308, 0.0]}, "translation: expected 3 finite numbers"),
    ({"translation": [1.0, LARGEST_NUMBER, 0.0]}, "translation: expected 3 finite numbers"),
    ({"translation": [1.0, 10**400, 0.0]}, "translation: expected 3 finite numbers"),
    ({"translation": [1.0, 2.0]}, "translation: expected 3 finite numbers, got [1.0, 2.0]"),
    ({"translation": ["1", 2.0, 3.0]}, "translation: expected 3 finite numbers"),
    ({"translation": [True, 2.0, 3.0]}, "translation: expected 3 finite numbers"),
    ({"size": [1.0, 0.0, 1.0]}, "size: must be positive, got [1.0, 0.0, 1.0]"),
    ({"size": [1.0, -2.0, 1.0]}, "size: must be positive"),
    ({"rotation": [0, 0, 0, 0]}, "rotation: not a unit quaternion: [0, 0, 0, 0]"),
    ({"rotation": [2, 0, 0, 0]}, "rotation: not a unit quaternion"),
    ({"rotation": [NAN, 0, 0, 0]}, "rotation: expected 4 finite numbers"),
    ({"velocity": [NAN, 0]}, "velocity: expected 2 finite numbers"),
    ({"velocity": ...}, "velocity: missing"),
    ({"detection_name": "dragon"}, "detection_name: class 'dragon' is none of the known ones"),
    ({"detection_name": ...}, "detection_name: missing"),
    ({"detection_score": NAN}, "detection_score: expected a finite number, got nan"),
    ({"detection_score": "high"}, "detection_score: expected a finite number, got 'high'"),
    ({"attribute_name": "vehicle.flying"}, "attribute_name: unknown attribute 'vehicle.flying'"),
    ({"sample_token": "other"}, "sample_token: 'other' is not the sample under which the box stands"),
    ({"sample_token": 5}, "sample_token: expected a string, got 5"),
    ({"query_id": 1.5}, "query_id: expected an integer, got 1.5"),
    ({"query_id": 2**70}, "query_id: expected an integer"),
]


@pytest.mark.parametrize(("changes", "fault"), BOX_FAULTS)
def test_fault_of_a_box_is_named(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"meta": {}, "results": {"r": [], "s": [detection(), detection(**changes)]}}))
    with pytest.raises(InputError) as caught:
        read_detections(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: sample 's', box 1, key {fault}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON: Expecting value at line 1, column 1"),
        (b'{"meta": {}, "results": {"s": [', "(is the file truncated?)"),
        (b"\xff\xfe\x80", "not JSON"),
        (b'{"meta": {}, "results": {"\x80": []}}', "not JSON: not UTF-8 text at byte 26"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "expected an object with the keys 'meta' and 'results'"),
        (b'{"results": {}}', "key 'meta': missing"),
        (b'{"meta": {}}', "key 'results': missing"),
        (b'{"meta": {}, "results": []}', "key 'results': expected an object"),
        (b'{"meta": {}, "results": {"s": 3}}', "sample 's': expected a list of boxes, got 3"),
        (b'{"meta": {}, "results": {"s": [3]}}', "sample 's', box 0: expected an object, got 3"),
    ],
)
def test_file_of_another_kind_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "d.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_detections(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)


def test_more_than_500_boxes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"meta": {}, "results": {"s": [detection()] * 500}}))
    assert len(read_detections(path).boxes["s"]) == 500
    path.write_text(json.dumps({"meta": {}, "results": {"s": [detection()] * 501}}))
    with pytest.raises(InputError, match="sample 's': 501 boxes, more than the 500 that are allowed"):
        read_detections(path)


def test_class_that_is_not_tracked_is_refused_among_tracks(tmp_path: Path) -> None:
    box = detection(tracking_id="1", tracking_name="barrier", tracking_score=0.5)
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"meta": {}, "results": {"s": [box]}}))
    with pytest.raises(InputError, match="box 0, key tracking_name: class 'barrier' is none of the known ones"):
        read_tracks(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone.json: No such file"):
        read_detections(tmp_path / "gone.json")


@given(
    key=st.sampled_from(sorted(detection())),
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=5,
    ),
)
def test_any_value_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    path = tmp_path_factory.mktemp("results") / "d.json"
    path.write_text(json.dumps({"meta": {}, "results": {"s": [detection(**{key: value})]}}))
    try:
        boxes_read = read_detections(path).boxes["s"]
    except InputError as error:
        assert f"sample 's', box 0, key {key}: " in str(error)
        return
    assert np.isfinite(np.column_stack([boxes_read.center_m, boxes_read.size_wlh_m, boxes_read.rotation])).all()
    assert (boxes_read.size_wlh_m > 0).all()


@given(cut=st.integers(0, 10_000), garbage=st.binary(max_size=3))
@example(cut=2, garbage=b"\x80")
def test_damaged_file_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes) -> None:
    whole = json.dumps({"meta": {}, "results": {"s": [detection(), detection()]}}).encode()
    position = cut % len(whole)
    path = tmp_path_factory.mktemp("results") / "d.json"
    path.write_bytes(whole[:position] + garbage + whole[position + len(garbage) :])
    try:
        read_detections(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)


# --- samples --------------------------------------------------------------------------------------------------------


@pytest.fixture
def results() -> Results:
    return Results({"a": one_box(), "b": Boxes3D.empty()})


def test_samples_are_selected_in_the_order_wanted(results: Results) -> None:
    assert list(select_samples(results, ["b", "a"], (), "f").boxes) == ["b", "a"]
    assert list(select_samples(results, ["b"], ("a",), "f").boxes) == ["b"]


def test_selected_samples_keep_what_the_file_says_of_itself(results: Results) -> None:
    own = Results(results.boxes, {"use_lidar": True})
    assert select_samples(own, ["a"], ("b",), "f").meta == {"use_lidar": True}


@pytest.mark.parametrize(
    ("wanted", "known", "message"),
    [
        (
            ["a", "b", "c"],
            (),
            r"f: sample 'c' of the split is missing \(1 of 3 are\); a sample without boxes is written as an empty list",
        ),
        (["a"], (), r"f: sample 'b' does not belong to the split \(1 do not\)"),
        (["a"], ("c",), r"f: sample 'b' does not belong to the split"),
    ],
)
def test_missing_and_foreign_samples_are_named(
    results: Results, wanted: list[str], known: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        select_samples(results, wanted, known, "f")


def test_fault_found_slowly_is_the_one_that_stopped_the_fast_reader(tmp_path: Path) -> None:
    """The fast reader and the search for the fault must agree on what is a fault, also at the bounds."""
    path = tmp_path / "d.json"
    for norm, accepted in ((1.0009, True), (1.0011, False), (0.9991, True), (0.9989, False)):
        box = detection(rotation=[norm, 0, 0, 0])
        path.write_text(json.dumps({"meta": {}, "results": {"s": [box]}}))
        if accepted:
            read_detections(path)
        else:
            with pytest.raises(InputError, match="not a unit quaternion"):
                read_detections(path)


# --- folders of shards, parts of files ------------------------------------------------------------------------------


@pytest.fixture
def shards(tmp_path: Path) -> Callable[..., Shards]:
    """A folder of shards, each with the samples of one scene."""

    def make(kind: str, *scenes: dict[str, Boxes3D], meta: dict[str, Any] | None = None) -> Shards:
        names = [f"scene-{number}" for number in range(len(scenes))]
        made = begin_shards(tmp_path / "shards", kind, names, settings={}, inputs={}, resume=False)
        write = write_tracks if kind == "tracks" else write_detections
        results = [Results(boxes, meta or CAMERA_META) for boxes in scenes]
        run_shards(made, lambda of, path: write(path, of), list(zip(names, zip(results), strict=True)), InProcess())
        return made

    return make


def named(*identities: str) -> Boxes3D:
    boxes = Boxes3D.concatenate([one_box()] * len(identities))
    return boxes.replace(track_id=np.array(identities), attribute=None)


def test_identities_of_shards_are_unique_over_all(shards: Callable[..., Shards]) -> None:
    folder = shards("tracks", {"a": named("1", "3"), "b": named("2")}, {"c": Boxes3D.empty()}, {"d": named("2", "1")})
    read = read_tracks(folder.folder)
    assert {token: boxes.track_id.tolist() for token, boxes in read.boxes.items() if len(boxes)} == {
        "a": ["1", "3"],
        "b": ["2"],
        "d": ["5", "4"],
    }
    assert list(read.boxes) == ["a", "b", "c", "d"] and read.meta == CAMERA_META
    assert hold_tracks(folder.folder)
    with pytest.raises(InputError):
        read_detections(folder.folder)


def test_shards_of_detections_are_read_like_one_file(shards: Callable[..., Shards]) -> None:
    of_lidar = {"use_lidar": True}
    folder = shards("detections", {"a": one_box()}, {"b": one_box()}, meta=of_lidar)
    read = read_detections(folder.folder)
    assert list(read.boxes) == ["a", "b"] and read.meta == of_lidar and read.taxonomy == NUSCENES
    assert not hold_tracks(folder.folder)
    with pytest.raises(ValueError, match="shards: a folder of shards is read as a whole"):
        read_detections(folder.folder, part=(0, 2))


def test_shards_that_cannot_be_joined_are_named(shards: Callable[..., Shards]) -> None:
    folder = shards("tracks", {"a": named("1")}, {"a": named("1")})
    with pytest.raises(InputError, match=r"shards: sample 'a' stands in two shards$"):
        read_tracks(folder.folder)
    last = list(folder.paths())[1]
    write_tracks(last, Results({"b": named("car-7")}))
    with pytest.raises(InputError, match=rf"{last.name}: sample 'b': a tracking_id of a shard is no number$"):
        read_tracks(folder.folder)


def test_a_folder_without_shards_has_the_meta_of_cameras(shards: Callable[..., Shards]) -> None:
    assert shards_meta(shards("detections")) == CAMERA_META


def test_parts_of_a_file_are_all_of_it_once(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    write_detections(path, Results({name: one_box() for name in "abcde"}))
    parts = [list(read_detections(path, part=(number, 3)).boxes) for number in range(3)]
    assert parts == [["a"], ["b", "c"], ["d", "e"]]
    assert read_detections(path).taxonomy == NUSCENES


def test_where_the_boxes_of_a_sample_stand(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    write_detections(path, Results({"a": one_box(), "b": Boxes3D.empty()}, {"use_lidar": True}))
    content = path.read_bytes()
    meta, spans = sample_spans(content, path)
    rows = {token: json.loads(content[start : start + size]) for token, (start, size) in spans.items()}
    assert rows == json.loads(content)["results"] and meta == {"use_lidar": True}
    for broken in (b"[]", b'{"meta": {}, "results": {"a": [], "a": []}}'):
        with pytest.raises(InputError, match=r"d.json: \S"):
            sample_spans(broken, path)


def test_what_a_file_holds_is_told_by_its_names(tmp_path: Path) -> None:
    write_tracks(tmp_path / "t.json", Results({"a": named("1")}))
    write_detections(tmp_path / "d.json", Results({"a": one_box()}))
    assert hold_tracks(tmp_path / "t.json") and not hold_tracks(tmp_path / "d.json")
    with pytest.raises(InputError, match=r"no.json: No such file"):
        hold_tracks(tmp_path / "no.json")


def test_results_and_scenes_have_the_same_classes() -> None:
    own = Taxonomy((ObjectClass("tram", 50.0, ("vehicle.tram",)),))
    of_own, of_nuscenes = (Scene("t", "s", "", "", (), taxonomy=taxonomy) for taxonomy in (own, NUSCENES))
    assert shared_taxonomy(Results({}, taxonomy=own), [of_own]) is own
    assert shared_taxonomy(Results({}, taxonomy=own), []) is own
    with pytest.raises(InputError, match=r"^results with the classes of .*, for scenes with those of .*; give the sce"):
        shared_taxonomy(Results({}), [of_own])
    with pytest.raises(InputError):
        shared_taxonomy(Results({}, taxonomy=own), [of_nuscenes])
