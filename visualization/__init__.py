"""Draws results: small annotators that combine, and the videos, pages and pictures made of them."""

from visualization.annotators import (
    BoxAnnotator,
    LabelAnnotator,
    TailAnnotator,
    class_and_score_text,
    identity_text,
    project_boxes,
)
from visualization.birds_eye import birds_eye_canvas
from visualization.colors import (
    PALETTE,
    Coloring,
    Image,
    color_by_class,
    color_by_identity,
    color_by_score,
    identity_color,
    single_color,
)
from visualization.images import grey_image, read_image
from visualization.index_page import read_metrics, write_index
from visualization.matching import FrameEvents, find_operating_points, scene_events
from visualization.mosaic import MosaicOptions, MosaicPainter
from visualization.player import PageOptions, PageReport, page_link, write_pages, write_scene_page
from visualization.selection import boxes_by_frame, select_scenes
from visualization.video import VideoReport, write_scene_video, write_videos
from visualization.views import BirdsEyeView, CameraView, View

__all__ = [
    "PALETTE",
    "BirdsEyeView",
    "BoxAnnotator",
    "CameraView",
    "Coloring",
    "FrameEvents",
    "Image",
    "LabelAnnotator",
    "MosaicOptions",
    "MosaicPainter",
    "PageOptions",
    "PageReport",
    "TailAnnotator",
    "VideoReport",
    "View",
    "birds_eye_canvas",
    "boxes_by_frame",
    "class_and_score_text",
    "color_by_class",
    "color_by_identity",
    "color_by_score",
    "find_operating_points",
    "grey_image",
    "identity_color",
    "identity_text",
    "page_link",
    "project_boxes",
    "read_image",
    "read_metrics",
    "scene_events",
    "select_scenes",
    "single_color",
    "write_index",
    "write_pages",
    "write_scene_page",
    "write_scene_video",
    "write_videos",
]
