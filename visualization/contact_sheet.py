"""What the doctor shows: a key frame's annotated boxes in every camera and from above, and single boxes to look at."""

from __future__ import annotations

from typing import Final

import numpy as np

from scenes import Boxes3D, Camera
from scenes.doctor import DataRoot, Example
from scenes.projected_boxes import projected_boxes
from visualization.annotators import TOP_FACE, BoxAnnotator
from visualization.birds_eye import birds_eye_canvas
from visualization.colors import Image, coloring_of, single_color
from visualization.images import grey_image, read_image
from visualization.mosaic import CELL_PX, sorted_cameras
from visualization.panel import PANEL_COLOR, draw_title
from visualization.views import BirdsEyeView, CameraView, shown_size_px

_COLUMNS: Final = 3
_SUSPECT_COLOR: Final = "#ff3b30"
_OTHER_COLOR: Final = "#a8b0bc"
_OTHERS: Final = BoxAnnotator(single_color(_OTHER_COLOR), thickness_px=1, opacity=0.0, outlined=False)
_OTHERS_FROM_ABOVE: Final = BoxAnnotator(
    single_color(_OTHER_COLOR), thickness_px=1, tinted_face=TOP_FACE, opacity=0.0, outlined=False
)


def draw_contact_sheet(root: DataRoot, sample_token: str) -> Image:
    """The annotated boxes of a key frame, projected into every camera by the tables as they are, and from above.

    Args:
        root: the data root.
        sample_token: of a key frame of it.
    """
    sample = root.sample_index[sample_token]
    boxes = _boxes(root, sample)
    cells = [_camera_cell(root, camera, boxes) for camera in sorted_cameras(_cameras(root, sample))]
    width, height = CELL_PX
    # The view from above takes what the cameras leave of the last row.
    free = _COLUMNS - len(cells) % _COLUMNS
    cells.append(_cell_from_above(root, sample, boxes, width_px=free * width))
    sheet = np.empty((-(-len(cells) // _COLUMNS) * height, _COLUMNS * width, 3), dtype=np.uint8)
    for position, cell in enumerate(cells):
        row, column = divmod(position, _COLUMNS)
        sheet[row * height : (row + 1) * height, column * width : column * width + cell.shape[1]] = cell
    return sheet


def draw_example(root: DataRoot, example: Example) -> Image | None:
    """A picture of a finding's example: its boxes in red, in the camera that shows them largest, else from above.

    None where there is nothing to see: no such key frame, or neither a camera nor a box is named.
    """
    sample = root.sample_index.get(example.sample_token)
    if sample is None or not (example.channel or example.annotation_tokens):
        return None
    suspects = _boxes(root, sample, example.annotation_tokens) if example.annotation_tokens else Boxes3D.empty()
    others = _boxes(root, sample)
    cameras = [camera for camera in _cameras(root, sample) if example.channel in ("", camera.name)]
    camera = _camera_that_shows(cameras, suspects) if len(suspects) else next(iter(cameras), None)
    if camera is not None:
        image, view = _photo(camera)
        BoxAnnotator(single_color(_SUSPECT_COLOR)).annotate(_OTHERS.annotate(image, others, view), suspects, view)
        draw_title(image, camera.name)
        return image
    return _cell_from_above(root, sample, others, suspects) if len(suspects) else None


def sheet_samples(root: DataRoot, most: int) -> list[str]:
    """Which key frames to draw: of scenes all over the data root one each, with images and boxes if there are any."""
    recordings, boxes = root.recordings, root.boxes
    scenes = root.frames_of_scenes()
    if not scenes:
        return []
    rows = recordings.cameras
    counts = np.bincount(boxes.sample[boxes.usable], minlength=len(root.samples.tokens))
    chosen = []
    for at in np.unique(np.linspace(0, len(scenes) - 1, most).astype(int)).tolist():
        frames = scenes[at]
        of_scene = rows[np.isin(recordings.sample[rows], frames)].tolist()
        pictured = {
            int(recordings.sample[row])
            for row in of_scene
            if (path := root.image_path(row)) is not None and path.is_file()
        }
        # The fullest of those with images; of equals the first.
        best = max(frames.tolist(), key=lambda frame: (frame in pictured, counts[frame]))
        chosen.append(root.samples.tokens[best])
    return chosen


def _boxes(root: DataRoot, sample: int, tokens: tuple[str, ...] = ()) -> Boxes3D:
    """The usable boxes of a key frame, all of them or those of some tokens."""
    boxes = root.boxes
    rows = np.flatnonzero((boxes.sample == sample) & boxes.usable)
    if tokens:
        rows = np.array([row for row in rows.tolist() if boxes.tokens[row] in tokens], dtype=np.int64)
    return boxes.boxes(rows)


def _cameras(root: DataRoot, sample: int) -> tuple[Camera, ...]:
    recordings = root.recordings
    rows = np.flatnonzero((recordings.sample == sample) & recordings.is_camera).tolist()
    return tuple(camera for camera in map(root.camera, rows) if camera is not None)


def _camera_that_shows(cameras: list[Camera], boxes: Boxes3D) -> Camera | None:
    """The camera in which boxes cover the most; None where they are in none."""

    def covered(camera: Camera) -> float:
        width, height = shown_size_px(camera)
        if camera.stated_size_px is None and not camera.image_path.is_file():
            return 0.0
        edges = projected_boxes(boxes, camera)[1]
        return float(((edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])).sum()) / (width * height)

    best = max(cameras, key=covered, default=None)
    return best if best is not None and covered(best) > 0 else None


def _photo(camera: Camera) -> tuple[Image, CameraView]:
    """A camera's image as large as a cell allows, and where things are in it."""
    width, height = shown_size_px(camera)
    scale = min(CELL_PX[0] / width, CELL_PX[1] / height)
    shown = max(1, round(scale * width)), max(1, round(scale * height))
    image = read_image(camera, *shown)
    if image is None:
        image = grey_image(camera.image_path, *shown)
    return image, CameraView(camera, *shown)


def _camera_cell(root: DataRoot, camera: Camera, boxes: Boxes3D) -> Image:
    image, view = _photo(camera)
    BoxAnnotator(coloring_of("class", root.taxonomy)).annotate(image, boxes, view)
    draw_title(image, camera.name)
    cell = np.empty((CELL_PX[1], CELL_PX[0], 3), dtype=np.uint8)
    cell[:] = PANEL_COLOR
    top, left = (CELL_PX[1] - image.shape[0]) // 2, (CELL_PX[0] - image.shape[1]) // 2
    cell[top : top + image.shape[0], left : left + image.shape[1]] = image
    return cell


def _cell_from_above(
    root: DataRoot, sample: int, boxes: Boxes3D, suspects: Boxes3D | None = None, width_px: int = CELL_PX[0]
) -> Image:
    """A key frame from above, boxes by class, or grey around red ones."""
    pose = int(root.frame_pose[sample])
    global_from_ego = root.poses.matrix(pose) if pose >= 0 else np.eye(4)
    range_m = float(root.taxonomy.range_m.max())
    view = BirdsEyeView(global_from_ego, width_px, CELL_PX[1], pixels_per_m=0.5 * CELL_PX[1] / range_m)
    image = birds_eye_canvas(view)
    if suspects is None:
        coloring = coloring_of("class", root.taxonomy)
        by_class = BoxAnnotator(coloring, thickness_px=1, tinted_face=TOP_FACE, opacity=0.35, outlined=False)
        by_class.annotate(image, boxes, view)
    else:
        _OTHERS_FROM_ABOVE.annotate(image, boxes, view)
        red = BoxAnnotator(single_color(_SUSPECT_COLOR), tinted_face=TOP_FACE, outlined=False)
        red.annotate(image, suspects, view)
    draw_title(image, "from above, the vehicle drives upwards")
    return image
