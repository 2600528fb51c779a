"""What sinks write is read back by other programs: JSON, the mcap package, Rerun, stand-ins of ROS 2."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scenes import NUSCENES, Boxes3D, Camera, Frame, InputError
from scenes.geometry import pose_matrix, rotation_from_yaw
from streaming.journal import Journal
from streaming.output import TrackedStep
from streaming.sinks.choice import SinkOptions, open_sinks
from streaming.sinks.json_lines import JsonLinesSink
from streaming.sinks.mcap import McapSink
from streaming.sinks.rerun import RerunSink
from streaming.sinks.ros2 import Ros2Sink

START_US = 1_700_000_000_000_000
YAW = 0.5


def tracked(identities: list[str], index: int = 0, speed_mps: float = 4.0) -> TrackedStep:
    """Cars that drive as they face, one after the other, and a camera that sees them."""
    count = len(identities)
    ego = pose_matrix((1200.0 + index, -300.0, 0.0), rotation_from_yaw(0.2)[0].tolist())
    boxes = Boxes3D(
        center_m=np.column_stack([1210.0 + 10.0 * np.arange(count), np.full(count, -295.0), np.full(count, 0.8)]),
        size_wlh_m=np.tile([1.9, 4.6, 1.6], (count, 1)),
        rotation=np.tile(rotation_from_yaw(YAW)[0], (count, 1)),
        velocity_mps=np.tile([speed_mps * np.cos(YAW), speed_mps * np.sin(YAW)], (count, 1)),
        label=np.zeros(count, dtype=np.int64),
        score=np.full(count, 0.75),
        track_id=np.array(identities, dtype=np.str_),
    )
    time_us = START_US + 100_000 * index
    camera = Camera("CAM_FRONT", time_us, Path("CAM_FRONT"), (64, 36), np.diag([50.0, 50.0, 1.0]), np.eye(4), ego)
    images = {"CAM_FRONT": np.full((36, 64, 3), 90, dtype=np.uint8)}
    frame = Frame(str(time_us), time_us, ego, None, (camera,), None)
    moved = boxes.replace(center_m=boxes.center_m + np.array([0.03 * speed_mps, 0.0, 0.0]))
    return TrackedStep("drive", frame, images, boxes, moved, time_us + 30_000, 0.03)


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "tracks.jsonl"
    sink = JsonLinesSink(path, NUSCENES)
    assert not path.exists()  # it begins with the first step
    unknown = tracked(["1"])
    nan = np.full((1, 2), np.nan)
    sink.publish(tracked(["1", "2"]))
    sink.publish(replace(unknown, boxes=unknown.boxes.replace(velocity_mps=nan)))
    sink.close()
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["timestamp_us"] == START_US and first["at_us"] == START_US + 30_000
    assert [found["tracking_id"] for found in first["objects"]] == ["1", "2"]
    assert first["objects"][1]["translation"] == [1220.12, -295.0, 0.8]
    assert first["objects"][0]["tracking_name"] == "car" and first["cameras"] == ["CAM_FRONT"]
    assert second["objects"][0]["velocity"] == [None, None]
    again = JsonLinesSink(path, NUSCENES, append=True)
    again.publish(tracked(["3"]))
    again.close()
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("half", [b"", b'{"scene_token":"drive","sam', b"x" * 10_000])
@pytest.mark.parametrize("lines", [0, 2])
def test_json_lines_go_on_behind_the_last_whole_one(tmp_path: Path, lines: int, half: bytes) -> None:
    path = tmp_path / "tracks.jsonl"
    whole = b'{"scene_token":"earlier"}\n' * lines
    path.write_bytes(whole + half)
    sink = JsonLinesSink(path, NUSCENES, append=True)
    assert path.read_bytes() == whole + half  # nothing is touched before the first step
    for index in range(2):
        sink.publish(tracked(["1"], index))
    sink.close()
    scenes = [json.loads(line)["scene_token"] for line in path.read_text().splitlines()]
    assert scenes == ["earlier"] * lines + ["drive"] * 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_json_lines_go_on_in_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonLinesSink(tmp_path / "pipe", NUSCENES, append=True)
    sink.publish(tracked(["1"]))
    sink.close()
    content = os.read(reader, 10_000)
    os.close(reader)
    assert json.loads(content)["scene_token"] == "drive"


def test_an_mcap_file_that_foxglove_knows(tmp_path: Path) -> None:
    """Schemas by their names, in the file; every message fits its schema; what is gone is deleted."""
    reader_of = pytest.importorskip("mcap.reader")
    path = tmp_path / "tracks.mcap"
    sink = McapSink(path, NUSCENES)
    for index, identities in enumerate((["1", "2"], ["2", "3"], [])):
        sink.publish(tracked(identities, index))
    assert not path.exists()
    sink.close()
    read: dict[str, list[tuple[Any, Any]]] = {}
    with path.open("rb") as file:
        for schema, channel, message in reader_of.make_reader(file).iter_messages():
            assert channel.message_encoding == "json" and schema.encoding == "jsonschema"
            content = json.loads(message.data)
            assert_fits(content, json.loads(schema.data), schema.name)
            read.setdefault(f"{channel.topic} {schema.name}", []).append((message, content))
    assert {topic: len(messages) for topic, messages in read.items()} == {
        "/tf foxglove.FrameTransform": 3,
        "/tracks foxglove.SceneUpdate": 3,
    }
    message, first = read["/tracks foxglove.SceneUpdate"][0]
    assert message.log_time == 1000 * (START_US + 30_000)
    entity = first["entities"][1]
    assert entity["id"] == "2" and entity["frame_id"] == "map"
    assert entity["timestamp"] == {"sec": START_US // 1_000_000, "nsec": 30_000_000}
    (cube,) = entity["cubes"]
    assert cube["pose"]["position"] == {"x": 1220.12, "y": -295.0, "z": 0.8}
    assert cube["size"] == {"x": 4.6, "y": 1.9, "z": 1.6}  # along the heading first
    half = YAW / 2
    assert cube["pose"]["orientation"] == pytest.approx({"w": np.cos(half), "x": 0.0, "y": 0.0, "z": np.sin(half)})
    (arrow,) = entity["arrows"]
    assert arrow["shaft_length"] + arrow["head_length"] == pytest.approx(4.0)
    assert entity["texts"][0]["text"] == "2 car"
    updates = [content for _, content in read["/tracks foxglove.SceneUpdate"]]
    assert [[gone["id"] for gone in update["deletions"]] for update in updates] == [[], ["1"], ["2", "3"]]
    transform = read["/tf foxglove.FrameTransform"][2][1]
    assert transform["translation"] == {"x": 1202.0, "y": -300.0, "z": 0.0}
    assert transform["child_frame_id"] == "base_link"


def assert_fits(value: Any, schema: dict[str, Any], where: str) -> None:
    """Whether a value fits the few words of JSON Schema that the sink uses; no key is unknown to it."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    assert isinstance(value, kinds[schema["type"]]), where
    if schema["type"] == "object":
        assert set(value) <= set(schema["properties"]), where
        assert not schema["properties"] or set(value) == set(schema["properties"]), where
        for key, inner in value.items():
            assert_fits(inner, schema["properties"][key], f"{where}.{key}")
    if schema["type"] == "array":
        for inner in value:
            assert_fits(inner, schema["items"], f"{where}[]")


def test_a_rerun_recording(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    from rerun.dataframe import load_recording

    path = tmp_path / "live.rrd"
    sink = RerunSink(str(path), NUSCENES)
    for index in range(3):
        sink.publish(tracked(["1", "2"], index))
    sink.close()
    recording = load_recording(path)
    entities = {column.entity_path for column in recording.schema().component_columns()}
    assert {"/world/ego", "/world/tracks", "/world/tails", "/world/cameras/CAM_FRONT/image"} <= entities
    table = recording.view(index="time", contents="/world/tracks").select().read_all()
    assert table.num_rows == 3


class _Anything(SimpleNamespace):
    """A message of ROS: fields come to be when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = _Anything()
        setattr(self, name, value)
        return value


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stand-ins of rclpy and of the packages of messages; gives what is published."""
    published: list[Any] = []
    publisher = SimpleNamespace(publish=published.append)
    node = SimpleNamespace(create_publisher=lambda *_: publisher, destroy_node=lambda: None)
    modules = {
        "rclpy": dict(init=lambda: None, create_node=lambda name: node, shutdown=lambda: published.append("shut down")),
        "geometry_msgs.msg": dict(Point=_Anything),
        "visualization_msgs.msg": dict(Marker=_Anything, MarkerArray=_Anything),
        "autoware_perception_msgs.msg": dict(
            TrackedObjects=_Anything, TrackedObject=_Anything, ObjectClassification=_Anything
        ),
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            monkeypatch.setitem(sys.modules, name.partition(".")[0], ModuleType(name.partition(".")[0]))
    return published


def test_ros2_objects_have_identity_and_velocity(ros: list[Any]) -> None:
    sink = Ros2Sink("objects", NUSCENES)
    sink.publish(tracked(["7", "300"]))
    sink.close()
    message, end = ros
    assert end == "shut down"
    assert message.header.frame_id == "map" and message.header.stamp.nanosec == 30_000_000
    assert [int.from_bytes(bytes(found.object_id.uuid), "big") for found in message.objects] == [7, 300]
    first = message.objects[0]
    twist = first.kinematics.twist_with_covariance.twist.linear
    assert (twist.x, twist.y) == pytest.approx((4.0, 0.0))  # along the object's own axes
    assert not first.kinematics.is_stationary
    assert first.classification[0].label == 1
    assert (first.shape.dimensions.x, first.shape.dimensions.y) == (4.6, 1.9)
    assert first.kinematics.pose_with_covariance.pose.position.x == 1210.12


def test_ros2_markers(ros: list[Any]) -> None:
    sink = Ros2Sink("markers", NUSCENES)
    sink.publish(tracked(["7"]))
    clear, box, arrow = ros[0].markers
    assert clear.action == 3
    assert (box.type, box.id, box.scale.x) == (1, 7, 4.6)
    way = [getattr(arrow.points[1], axis) - getattr(arrow.points[0], axis) for axis in "xyz"]
    assert way == pytest.approx([4.0 * np.cos(YAW), 4.0 * np.sin(YAW), 0.0])


def test_ros2_where_there_is_none() -> None:
    with pytest.raises(InputError, match="--ros2 needs rclpy of a ROS 2 installation"):
        Ros2Sink("markers", NUSCENES)


@pytest.mark.parametrize("make", [JsonLinesSink, McapSink, lambda path, _: RerunSink(str(path), NUSCENES)])
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path, make: Callable[..., Any]) -> None:
    with pytest.raises(OSError, match="no such folder"):
        make(tmp_path / "missing" / "file", NUSCENES)
    with pytest.raises(OSError, match="Is a directory"):
        make(tmp_path, NUSCENES)


def test_sinks_are_closed_when_one_cannot_be_opened(tmp_path: Path) -> None:
    options = SinkOptions(mcap=tmp_path / "tracks.mcap", json_lines=tmp_path / "missing" / "tracks.jsonl")
    with pytest.raises(OSError, match="no such folder"), open_sinks(options, "", NUSCENES, Journal(), lambda: 0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_mcap_file_is_whole_when_the_run_fails(tmp_path: Path) -> None:
    reader_of = pytest.importorskip("mcap.reader")
    options = SinkOptions(mcap=tmp_path / "tracks.mcap")
    with pytest.raises(InputError), open_sinks(options, "", NUSCENES, Journal(), lambda: 0) as sinks:
        for sink in sinks:
            sink.publish(tracked(["1"]))
        raise InputError("drive.mcap: is cut off")
    with (tmp_path / "tracks.mcap").open("rb") as file:
        assert len(list(reader_of.make_reader(file).iter_messages())) == 2
