"""Draws one run - the boxes that one result file has for a scene - into cameras and from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from evaluation.events import NO_MATCH, FrameEvents, TrackEvents
from scenes import NUSCENES, Boxes3D, Camera, Results, Scene, Taxonomy
from scenes.geometry import interpolate_pose
from visualization.annotators import TOP_FACE, BoxAnnotator, LabelAnnotator, TailAnnotator
from visualization.birds_eye import birds_eye_canvas
from visualization.colors import ANNOTATION_COLOR, Image, coloring_of, single_color
from visualization.images import grey_image, read_image
from visualization.interpolation import interpolate_boxes
from visualization.selection import boxes_by_frame
from visualization.views import BirdsEyeView, CameraView, View

_ANNOTATION_PAINTER: Final = BoxAnnotator(single_color(ANNOTATION_COLOR), thickness_px=1, opacity=0.0, outlined=False)


@dataclass(frozen=True)
class DrawingOptions:
    """What is drawn of a scene.

    Attributes:
        annotations: whether annotated boxes are drawn in white under the tracks.
        classes: names of the classes that are drawn; empty for all.
        min_score: boxes with a lower score are left out.
        color_by: a key of `colors.COLORINGS`.
        range_m: how far ahead and behind the bird's-eye view reaches.
        tail_s: how far back the tails reach.
        shown: which tracks are shown, in words for the picture; see `confidence.confidence_text`.
    """

    annotations: bool = False
    classes: tuple[str, ...] = ()
    min_score: float = 0.0
    color_by: str = "identity"
    range_m: float = 50.0
    tail_s: float = 4.0
    shown: str = ""

    def chosen(self, boxes: Boxes3D, taxonomy: Taxonomy = NUSCENES) -> Boxes3D:
        """The boxes that are drawn.

        Raises:
            InputError: there is no class of a name.
        """
        keep = boxes.score >= self.min_score
        if self.classes:
            keep &= np.isin(boxes.label, taxonomy.labels(self.classes))
        return boxes.select(keep)


class CameraImages:
    """Reads camera images at a size, grey where there is none, and remembers which those were."""

    def __init__(self) -> None:
        self._unreadable: dict[str, None] = {}

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Paths of the images that were missing or broken so far."""
        return tuple(self._unreadable)

    def read(self, camera: Camera, width_px: int, height_px: int) -> Image:
        """The camera's image, or a grey one with the file's name."""
        image = read_image(camera, width_px, height_px)
        if image is None:
            self._unreadable[str(camera.image_path)] = None
            return grey_image(camera.image_path, width_px, height_px)
        return image


class RunPainter:
    """Draws the boxes of one result file for a scene."""

    def __init__(self, scene: Scene, results: Results, options: DrawingOptions) -> None:
        self.scene = scene
        self.options = options
        self.boxes: list[Boxes3D] = [options.chosen(boxes, scene.taxonomy) for boxes in boxes_by_frame(scene, results)]
        self._coloring = coloring_of(options.color_by, scene.taxonomy)

    def annotate_camera(self, image: Image, index: int, camera: Camera, label_px: int = 13) -> Image:
        """Draw the boxes of a frame into the image of one of its cameras, whatever its size."""
        view = CameraView(camera, image.shape[1], image.shape[0])
        self._annotate_reference(image, index, view)
        BoxAnnotator(self._coloring).annotate(image, self.boxes[index], view)
        return LabelAnnotator(self._coloring, size_px=label_px).annotate(image, self.boxes[index], view)

    def paint_birds_eye(self, index: int, width_px: int, height_px: int, share: float = 0.0) -> Image:
        """A frame from above.

        Args:
            index: of the frame.
            width_px, height_px: size of the picture.
            share: how far time has gone on towards the next frame, 0 to 1; boxes and ego vehicle move with it.
        """
        frame, boxes = self.scene.frames[index], self.boxes[index]
        pose = frame.global_from_ego
        if share > 0 and index + 1 < len(self.boxes):
            pose = interpolate_pose(pose, self.scene.frames[index + 1].global_from_ego, share)
            boxes = interpolate_boxes(boxes, self.boxes[index + 1], share)
        view = BirdsEyeView(pose, width_px, height_px, pixels_per_m=0.5 * height_px / self.options.range_m)
        image = birds_eye_canvas(view)
        self._annotate_reference(image, index, view)
        TailAnnotator(self._coloring, thickness_px=2).annotate(image, [*self.history(index), boxes], view)
        painter = BoxAnnotator(self._coloring, thickness_px=1, tinted_face=TOP_FACE, opacity=0.35, outlined=False)
        painter.annotate(image, boxes, view)
        return LabelAnnotator(self._coloring, size_px=11).annotate(image, boxes, view)

    def _annotate_reference(self, image: Image, index: int, view: View) -> None:
        """The annotated boxes, under everything else."""
        annotations = self.scene.frames[index].annotations
        if self.options.annotations and annotations is not None:
            _ANNOTATION_PAINTER.annotate(image, self.options.chosen(annotations.boxes, self.scene.taxonomy), view)

    def history(self, index: int) -> Sequence[Boxes3D]:
        """The boxes of the frames from `tail_s` ago until this one."""
        oldest_us = self.scene.frames[index].timestamp_us - 1e6 * self.options.tail_s
        return [
            boxes
            for frame, boxes in zip(self.scene.frames[: index + 1], self.boxes, strict=False)
            if frame.timestamp_us >= oldest_us
        ]


def results_from_annotations(scene: Scene, events: TrackEvents | None = None) -> Results:
    """The annotated boxes as a run of their own; none where there are none.

    Args:
        scene: the scene.
        events: what the evaluation counts of some tracks: a box then has the identity, and so the colour, of the track
            that it is matched with, and none where it is not. Without them it has that of its instance.
    """
    boxes = {}
    for frame in scene.frames:
        annotated = Boxes3D.empty() if frame.annotations is None else frame.annotations.boxes
        boxes[frame.token] = (
            annotated if events is None else _named_by_tracks(annotated, events.frames.get(frame.token))
        )
    return Results(boxes, taxonomy=scene.taxonomy)


def _named_by_tracks(annotated: Boxes3D, events: FrameEvents | None) -> Boxes3D:
    """Annotated boxes with the identity of the track that each is matched with, "" without one."""
    identities = [""] * len(annotated)
    if events is not None and events.tracks.boxes.track_id is not None:
        for identity, match in zip(events.tracks.boxes.track_id.tolist(), events.match.tolist(), strict=True):
            if match != NO_MATCH and match < len(annotated):  # behind the annotated boxes are those in gaps
                identities[match] = identity
    return annotated.replace(track_id=np.array(identities, dtype=np.str_))
