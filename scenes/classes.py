"""The nuScenes vocabulary: classes, attributes, and which annotation category belongs to which class.

Source: the nuScenes detection and tracking task definitions (nuscenes-devkit 1.2.0,
`nuscenes/eval/detection/constants.py`, `nuscenes/eval/tracking/utils.py`).
"""

from typing import Final

DETECTION_CLASSES: Final = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)
"""The ten classes in the order that mmdet3d and StreamPETR number them, which is that of `taxonomy.NUSCENES`."""

TRACKING_CLASSES: Final = ("bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck")
"""The seven classes of the tracking task, in the devkit's order."""

LABEL_OF_CLASS: Final = {name: label for label, name in enumerate(DETECTION_CLASSES)}

NO_CLASS: Final = -1
"""Label of a box that belongs to no class (a bicycle rack)."""

ATTRIBUTES: Final = (
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "cycle.with_rider",
    "cycle.without_rider",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)

BIKE_RACK_CATEGORY: Final = "static_object.bicycle_rack"

CLASS_OF_CATEGORY: Final = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
"""Categories that are not named here (animals, wheelchairs, debris, ...) take no part in either task."""
