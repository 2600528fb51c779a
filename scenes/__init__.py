"""What all rooms speak: boxes, frames, scenes, result files, and the synthetic city."""

from scenes.boxes import NO_QUERY, Boxes3D
from scenes.classes import DETECTION_CLASSES, LABEL_OF_CLASS, TRACKING_CLASSES
from scenes.errors import InputError
from scenes.results import (
    CAMERA_META,
    Results,
    read_detections,
    read_tracks,
    select_samples,
    shared_taxonomy,
    write_detections,
    write_tracks,
)
from scenes.scene import Annotations, Camera, Frame, Scene, taxonomy_of
from scenes.split_detections import read_several_split_results, read_split_detections
from scenes.tables import read_sample_tokens, read_scenes
from scenes.taxonomy import NUSCENES, ObjectClass, Taxonomy, read_classes, read_taxonomy

__all__ = [
    "CAMERA_META",
    "DETECTION_CLASSES",
    "LABEL_OF_CLASS",
    "NO_QUERY",
    "NUSCENES",
    "TRACKING_CLASSES",
    "Annotations",
    "Boxes3D",
    "Camera",
    "Frame",
    "InputError",
    "ObjectClass",
    "Results",
    "Scene",
    "Taxonomy",
    "read_classes",
    "read_detections",
    "read_sample_tokens",
    "read_scenes",
    "read_several_split_results",
    "read_split_detections",
    "read_taxonomy",
    "read_tracks",
    "select_samples",
    "shared_taxonomy",
    "taxonomy_of",
    "write_detections",
    "write_tracks",
]
