"""An MCAP file with what Foxglove shows: objects as `foxglove.SceneUpdate`, the car as `foxglove.FrameTransform`.

Messages are JSON with their schemas in the file. Needs the extra `live` (mcap).
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from scipy.spatial.transform import Rotation

from scenes import Taxonomy
from scenes.files import atomic_path
from streaming.output import TrackedStep
from streaming.sinks.files import check_writable
from visualization.colors import identity_color, rgb

MAP_FRAME: Final = "map"
EGO_FRAME: Final = "base_link"

_NUMBER: Final = {"type": "number"}
_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}


def _record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _several(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_VECTOR: Final = _record(x=_NUMBER, y=_NUMBER, z=_NUMBER)
_QUATERNION: Final = _record(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER)
_COLOR: Final = _record(r=_NUMBER, g=_NUMBER, b=_NUMBER, a=_NUMBER)
_POSE: Final = _record(position=_VECTOR, orientation=_QUATERNION)
_UNUSED: Final = ("spheres", "cylinders", "lines", "triangles", "models")
"""Kinds of shapes that an entity may have, too; readers want them there."""
_ENTITY: Final = _record(
    **dict.fromkeys(_UNUSED, _several(_record())),
    timestamp=_TIME,
    frame_id=_TEXT,
    id=_TEXT,
    lifetime=_TIME,
    frame_locked={"type": "boolean"},
    metadata=_several(_record(key=_TEXT, value=_TEXT)),
    arrows=_several(
        _record(
            pose=_POSE,
            shaft_length=_NUMBER,
            shaft_diameter=_NUMBER,
            head_length=_NUMBER,
            head_diameter=_NUMBER,
            color=_COLOR,
        )
    ),
    cubes=_several(_record(pose=_POSE, size=_VECTOR, color=_COLOR)),
    texts=_several(
        _record(
            pose=_POSE,
            billboard={"type": "boolean"},
            font_size=_NUMBER,
            scale_invariant={"type": "boolean"},
            color=_COLOR,
            text=_TEXT,
        )
    ),
)
_SCHEMAS: Final = {
    "foxglove.SceneUpdate": _record(
        deletions=_several(_record(timestamp=_TIME, type={"type": "integer"}, id=_TEXT)), entities=_several(_ENTITY)
    ),
    "foxglove.FrameTransform": _record(
        timestamp=_TIME, parent_frame_id=_TEXT, child_frame_id=_TEXT, translation=_VECTOR, rotation=_QUATERNION
    ),
}
_TOPICS: Final = {"/tracks": "foxglove.SceneUpdate", "/tf": "foxglove.FrameTransform"}
_MATCHING_ID: Final = 0
"""The type of a deletion that names one entity."""
_SLOWEST_ARROW_MPS: Final = 0.5
_OPACITY: Final = 0.5


class McapSink:
    """Writes an MCAP file, which takes its place when the run ends, however it ends.

    Args:
        path: the file.
        taxonomy: the classes of the boxes.

    Raises:
        OSError: it cannot be written.
        ModuleNotFoundError: mcap is not installed.
    """

    def __init__(self, path: Path, taxonomy: Taxonomy) -> None:
        import mcap.writer  # noqa: F401 - a run that has no package says so before it starts

        check_writable(path)
        self._path = path
        self._taxonomy = taxonomy
        self._open = ExitStack()
        self._writer: Any = None
        self._channels: dict[str, int] = {}
        self._shown: set[str] = set()

    def publish(self, step: TrackedStep) -> None:
        if self._writer is None:
            self._begin()
        self._add("/tf", step.frame.timestamp_us, _transform(step))
        self._add("/tracks", step.at_us, self._scene_update(step))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.finish()
        self._open.close()

    def _begin(self) -> None:
        from mcap.writer import Writer

        temporary = self._open.enter_context(atomic_path(self._path))
        self._writer = Writer(self._open.enter_context(temporary.open("wb")))
        self._writer.start(profile="", library="streamtrack")
        self._channels = {topic: self._channel(topic, schema) for topic, schema in _TOPICS.items()}

    def _channel(self, topic: str, schema: str) -> int:
        schema_id = self._writer.register_schema(schema, "jsonschema", msgspec.json.encode(_SCHEMAS[schema]))
        return int(self._writer.register_channel(topic, "json", schema_id))

    def _add(self, topic: str, time_us: int, message: dict[str, Any]) -> None:
        time_ns = 1000 * time_us
        self._writer.add_message(self._channels[topic], time_ns, msgspec.json.encode(message), time_ns)

    def _scene_update(self, step: TrackedStep) -> dict[str, Any]:
        time = _time(step.at_us)
        assert step.boxes.track_id is not None  # the tracker names every box
        identities = step.boxes.track_id.tolist()
        gone = sorted(self._shown - set(identities))
        self._shown = set(identities)
        return {
            "deletions": [{"timestamp": time, "type": _MATCHING_ID, "id": identity} for identity in gone],
            "entities": [self._entity(step, index, time) for index in range(len(identities))],
        }

    def _entity(self, step: TrackedStep, index: int, time: dict[str, int]) -> dict[str, Any]:
        boxes = step.boxes
        assert boxes.track_id is not None
        identity, name = str(boxes.track_id[index]), self._taxonomy.names[int(boxes.label[index])]
        width, length, height = boxes.size_wlh_m[index].tolist()
        center, velocity = boxes.center_m[index], boxes.velocity_mps[index]
        red, green, blue = (channel / 255 for channel in rgb(identity_color(identity)).tolist())
        color = {"r": red, "g": green, "b": blue, "a": _OPACITY}
        opaque = {**color, "a": 1.0}
        orientation = _quaternion(boxes.rotation[index].tolist())
        above = {"position": _vector([*center[:2], center[2] + 0.5 * height + 0.4]), "orientation": _UNTURNED}
        return {
            "timestamp": time,
            "frame_id": MAP_FRAME,
            "id": identity,
            "lifetime": {"sec": 0, "nsec": 0},
            "frame_locked": False,
            **{shapes: [] for shapes in _UNUSED},
            "metadata": [
                {"key": "class", "value": name},
                {"key": "score", "value": f"{boxes.score[index]:.3f}"},
                {"key": "velocity", "value": " ".join(f"{component:.2f}" for component in velocity.tolist())},
            ],
            "arrows": _arrows(center, velocity, opaque),
            "cubes": [
                {
                    "pose": {"position": _vector(center), "orientation": orientation},
                    "size": _vector([length, width, height]),
                    "color": color,
                }
            ],
            "texts": [
                {
                    "pose": above,
                    "billboard": True,
                    "font_size": 12.0,
                    "scale_invariant": True,
                    "color": opaque,
                    "text": f"{identity} {name}",
                }
            ],
        }


_UNTURNED: Final = {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}


def _arrows(center: Any, velocity: Any, color: dict[str, float]) -> list[dict[str, Any]]:
    """An arrow as long as the way of a second; none for what stands still, or whose velocity is not known."""
    speed = float(np.hypot(*velocity))
    if not speed >= _SLOWEST_ARROW_MPS:
        return []
    half_yaw = 0.5 * float(np.arctan2(velocity[1], velocity[0]))
    orientation = {"x": 0.0, "y": 0.0, "z": float(np.sin(half_yaw)), "w": float(np.cos(half_yaw))}
    return [
        {
            "pose": {"position": _vector(center), "orientation": orientation},
            "shaft_length": 0.8 * speed,
            "shaft_diameter": 0.15,
            "head_length": 0.2 * speed,
            "head_diameter": 0.4,
            "color": color,
        }
    ]


def _transform(step: TrackedStep) -> dict[str, Any]:
    pose = step.frame.global_from_ego
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
    return {
        "timestamp": _time(step.frame.timestamp_us),
        "parent_frame_id": MAP_FRAME,
        "child_frame_id": EGO_FRAME,
        "translation": _vector(pose[:3, 3]),
        "rotation": {"x": x, "y": y, "z": z, "w": w},
    }


def _time(time_us: int) -> dict[str, int]:
    return {"sec": time_us // 1_000_000, "nsec": time_us % 1_000_000 * 1000}


def _vector(values: Any) -> dict[str, float]:
    return dict(zip("xyz", (float(value) for value in values), strict=True))


def _quaternion(wxyz: list[float]) -> dict[str, float]:
    return dict(zip("wxyz", wxyz, strict=True))
