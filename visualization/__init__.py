"""Draws results: small annotators that combine, and the videos, pages and pictures made of them."""

from scenes.scene_files import scene_file_name
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
    COLORINGS,
    PALETTE,
    Coloring,
    Image,
    color_by_class,
    color_by_identity,
    color_by_score,
    identity_color,
    single_color,
)
from visualization.comparison import ComparisonPainter
from visualization.confidence import DEFAULT_SCORE, confidence_text, confident_tracks
from visualization.events import find_events
from visualization.figures import check_frames, draw_figure, write_figure
from visualization.heat import HeatAnnotator, error_positions, write_error_heat
from visualization.images import grey_image, read_image
from visualization.index_page import WorstTrack, read_metrics, read_worst_tracks, write_index
from visualization.mosaic import MosaicPainter
from visualization.player import PageOptions, PageReport, page_link, write_pages, write_scene_page
from visualization.rerun_export import write_recording, write_recordings
from visualization.run_painter import DrawingOptions, RunPainter, results_from_annotations
from visualization.selection import boxes_by_frame, results_of_scene, select_scenes
from visualization.video import VideoReport, write_scene_video, write_videos
from visualization.views import BirdsEyeView, CameraView, View

__all__ = [
    "COLORINGS",
    "DEFAULT_SCORE",
    "PALETTE",
    "BirdsEyeView",
    "BoxAnnotator",
    "CameraView",
    "Coloring",
    "ComparisonPainter",
    "DrawingOptions",
    "HeatAnnotator",
    "Image",
    "LabelAnnotator",
    "MosaicPainter",
    "PageOptions",
    "PageReport",
    "RunPainter",
    "TailAnnotator",
    "VideoReport",
    "View",
    "WorstTrack",
    "birds_eye_canvas",
    "boxes_by_frame",
    "check_frames",
    "class_and_score_text",
    "color_by_class",
    "color_by_identity",
    "color_by_score",
    "confidence_text",
    "confident_tracks",
    "draw_figure",
    "error_positions",
    "find_events",
    "grey_image",
    "identity_color",
    "identity_text",
    "page_link",
    "project_boxes",
    "read_image",
    "read_metrics",
    "read_worst_tracks",
    "results_from_annotations",
    "results_of_scene",
    "scene_file_name",
    "select_scenes",
    "single_color",
    "write_error_heat",
    "write_figure",
    "write_index",
    "write_pages",
    "write_recording",
    "write_recordings",
    "write_scene_page",
    "write_scene_video",
    "write_videos",
]
