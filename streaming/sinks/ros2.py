"""A ROS 2 node that publishes what is tracked, with identity and velocity. Needs a ROS 2 installation (rclpy).

`objects` are `autoware_perception_msgs/TrackedObjects`, `markers` `visualization_msgs/MarkerArray` for RViz.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Final

import numpy as np

from scenes import InputError, Taxonomy
from scenes.geometry import yaw_from_rotation
from streaming.output import TrackedStep
from streaming.sinks.mcap import MAP_FRAME
from visualization.colors import identity_color, rgb

KINDS: Final = {
    "objects": ("autoware_perception_msgs.msg", "TrackedObjects"),
    "markers": ("visualization_msgs.msg", "MarkerArray"),
}
"""What can be published, and the module and name of its message."""

NODE: Final = "streamtrack"
TOPIC: Final = "~/tracks"

_AUTOWARE_LABELS: Final = {
    "car": 1,
    "truck": 2,
    "construction_vehicle": 2,
    "bus": 3,
    "trailer": 4,
    "motorcycle": 5,
    "bicycle": 6,
    "pedestrian": 7,
}
"""Autoware's numbers of classes; any other is 0, unknown."""
_ORIENTED: Final = 2
_BOUNDING_BOX: Final = 0
_STILL_MPS: Final = 0.5
_QUEUE: Final = 10
_CUBE, _ARROW, _DELETE_ALL = 1, 0, 3
_OPACITY: Final = 0.5


class Ros2Sink:
    """Publishes one message a step on `/streamtrack/tracks`, in the frame `map`.

    Args:
        kind: a key of `KINDS`.
        taxonomy: the classes of the boxes.

    Raises:
        InputError: rclpy or the messages' package is not installed.
    """

    def __init__(self, kind: str, taxonomy: Taxonomy) -> None:
        package, name = KINDS[kind]
        self._ros = _ros_module("rclpy")
        self._messages = _ros_module(package)
        self._geometry = _ros_module("geometry_msgs.msg")
        self._taxonomy = taxonomy
        self._build = self._objects if kind == "objects" else self._markers
        self._ros.init()
        self._node: Any = self._ros.create_node(NODE)
        self._publisher = self._node.create_publisher(getattr(self._messages, name), TOPIC, _QUEUE)

    def publish(self, step: TrackedStep) -> None:
        self._publisher.publish(self._build(step))

    def close(self) -> None:
        self._node.destroy_node()
        self._ros.shutdown()

    def _objects(self, step: TrackedStep) -> Any:
        message = self._messages.TrackedObjects()
        self._stamp(message.header, step)
        message.objects = [self._object(step, index) for index in range(len(step.boxes))]
        return message

    def _object(self, step: TrackedStep, index: int) -> Any:
        boxes, found = step.boxes, self._messages.TrackedObject()
        assert boxes.track_id is not None  # the tracker names every box
        number = int(boxes.track_id[index])
        found.object_id.uuid = np.frombuffer(number.to_bytes(16, "big"), dtype=np.uint8)
        score = float(np.clip(boxes.score[index], 0.0, 1.0))
        found.existence_probability = score
        classification = self._messages.ObjectClassification()
        classification.label = _AUTOWARE_LABELS.get(self._taxonomy.names[int(boxes.label[index])], 0)
        classification.probability = score
        found.classification = [classification]
        self._place(found.kinematics.pose_with_covariance.pose, step, index)
        found.kinematics.orientation_availability = _ORIENTED
        forward, left = _in_own_frame(boxes.rotation[index], boxes.velocity_mps[index])
        twist = found.kinematics.twist_with_covariance.twist
        twist.linear.x, twist.linear.y = forward, left
        found.kinematics.is_stationary = bool(np.hypot(forward, left) < _STILL_MPS)
        width, length, height = boxes.size_wlh_m[index].tolist()
        found.shape.type = _BOUNDING_BOX
        found.shape.dimensions.x, found.shape.dimensions.y, found.shape.dimensions.z = length, width, height
        return found

    def _markers(self, step: TrackedStep) -> Any:
        message = self._messages.MarkerArray()
        clear = self._messages.Marker()
        clear.action = _DELETE_ALL
        message.markers = [clear]
        for index in range(len(step.boxes)):
            message.markers += [self._marker(step, index, _CUBE), self._marker(step, index, _ARROW)]
        return message

    def _marker(self, step: TrackedStep, index: int, shape: int) -> Any:
        """The box of an object, or an arrow along the way of its next second."""
        boxes, marker = step.boxes, self._messages.Marker()
        assert boxes.track_id is not None  # the tracker names every box
        identity = str(boxes.track_id[index])
        self._stamp(marker.header, step)
        marker.ns = "boxes" if shape == _CUBE else "velocities"
        marker.id, marker.type = int(identity), shape
        red, green, blue = (rgb(identity_color(identity)) / 255).tolist()
        marker.color.r, marker.color.g, marker.color.b = red, green, blue
        marker.color.a = _OPACITY if shape == _CUBE else 1.0
        if shape == _CUBE:
            self._place(marker.pose, step, index)
            width, length, height = boxes.size_wlh_m[index].tolist()
            marker.scale.x, marker.scale.y, marker.scale.z = length, width, height
        else:
            marker.pose.orientation.w = 1.0
            marker.scale.x, marker.scale.y, marker.scale.z = 0.15, 0.4, 0.4
            center = boxes.center_m[index]
            way_m = np.append(np.nan_to_num(boxes.velocity_mps[index]), 0.0)
            marker.points = [self._point(center), self._point(center + way_m)]
        return marker

    def _stamp(self, header: Any, step: TrackedStep) -> None:
        header.frame_id = MAP_FRAME
        header.stamp.sec, header.stamp.nanosec = step.at_us // 1_000_000, step.at_us % 1_000_000 * 1000

    def _place(self, pose: Any, step: TrackedStep, index: int) -> None:
        pose.position.x, pose.position.y, pose.position.z = step.boxes.center_m[index].tolist()
        w, x, y, z = step.boxes.rotation[index].tolist()
        pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z = w, x, y, z

    def _point(self, place_m: Any) -> Any:
        point = self._geometry.Point()
        point.x, point.y, point.z = (float(value) for value in place_m)
        return point


def _in_own_frame(rotation: Any, velocity_mps: Any) -> tuple[float, float]:
    """A velocity along a box's own axes, ahead and to the left; 0 where it is not known."""
    yaw = float(yaw_from_rotation(rotation[None])[0])
    vx, vy = np.nan_to_num(velocity_mps).tolist()
    return float(np.cos(yaw) * vx + np.sin(yaw) * vy), float(-np.sin(yaw) * vx + np.cos(yaw) * vy)


def _ros_module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise InputError(f"--ros2 needs {package} of a ROS 2 installation: source its setup file first") from None
