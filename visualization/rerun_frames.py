"""Logs frames into an open Rerun recording: the car, its cameras, boxes and tails. Needs the extra `[rerun]`."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

import numpy as np

from scenes import Boxes3D, Camera, InputError
from scenes.geometry import FloatArray
from visualization.annotators import ground_paths
from visualization.colors import Coloring, Image
from visualization.images import encode_jpeg
from visualization.views import shown_size_px

APPLICATION: Final = "streamtrack"
_IMAGE_WIDTH_PX: Final = 800
_JPEG_QUALITY: Final = 80
_EGO_SIZE_LWH_M: Final = (4.08, 1.73, 1.56)
_EGO_CENTER_M: Final = (1.29, 0.0, 0.78)
"""The measuring car's body around the origin of the ego frame."""


def rerun_module() -> ModuleType:
    """The package `rerun`, which is large and optional: it is imported where it is used.

    Raises:
        InputError: it is not installed.
    """
    try:
        import rerun
    except ImportError as error:
        needed = "Rerun recordings need the package rerun-sdk: pip install 'streamtrack[rerun]'"
        raise InputError(f"{needed} ({error})") from error
    module: ModuleType = rerun
    return module


def logged_size_px(camera: Camera) -> tuple[int, int]:
    """Width and height at which a camera's images are logged."""
    width_px, height_px = shown_size_px(camera)
    width = min(_IMAGE_WIDTH_PX, width_px)
    return width, max(1, round(width / width_px * height_px))


class FrameLogger:
    """Logs what is there at the recording's present time.

    Args:
        rerun: the package. recording: an open `RecordingStream`.
        origin_m: (3,) place of the recording's origin in global coordinates. Positions go down to single precision in
            the viewer: near the origin they keep it.
        names: of the classes.
    """

    def __init__(self, rerun: Any, recording: Any, origin_m: FloatArray, names: Sequence[str]) -> None:
        self._rerun = rerun
        self._recording = recording
        self._origin_m = origin_m
        self._names = names

    def begin(self, title: str, cameras: Sequence[str]) -> None:
        """How the viewer opens, and what never changes."""
        rerun = self._rerun
        self._recording.send_blueprint(self._blueprint(title, cameras))
        self._recording.log("world", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        ego_body = rerun.Boxes3D(sizes=[_EGO_SIZE_LWH_M], centers=[_EGO_CENTER_M], labels=["ego"])
        self._recording.log("world/ego", ego_body, static=True)

    def log_ego(self, global_from_ego: FloatArray) -> None:
        """The car's pose."""
        self._recording.log("world/ego", self._transform(global_from_ego))

    def log_camera(self, camera: Camera, image: Image | None) -> None:
        """A camera's pose, and its image at the size of `logged_size_px`; None where there is none."""
        rerun, entity = self._rerun, f"world/cameras/{camera.name}"
        width, height = logged_size_px(camera)
        scale = width / shown_size_px(camera)[0]
        intrinsic = np.diag([scale, scale, 1.0]) @ camera.intrinsic
        self._recording.log(entity, self._transform(camera.global_from_ego @ camera.ego_from_camera))
        pinhole = rerun.Pinhole(
            image_from_camera=intrinsic, resolution=[width, height], camera_xyz=rerun.ViewCoordinates.RDF
        )
        self._recording.log(entity, pinhole)
        if image is None:
            self._recording.log(f"{entity}/image", rerun.Clear(recursive=False))
            return
        content = encode_jpeg(image, _JPEG_QUALITY)
        self._recording.log(f"{entity}/image", rerun.EncodedImage(contents=content, media_type="image/jpeg"))

    def log_boxes(self, entity: str, boxes: Boxes3D, coloring: Coloring) -> None:
        """Boxes with their identities, classes and scores."""
        shown = self._rerun.Boxes3D(
            centers=boxes.center_m - self._origin_m,
            sizes=boxes.size_wlh_m[:, [1, 0, 2]],
            quaternions=boxes.rotation[:, [1, 2, 3, 0]],
            colors=coloring(boxes),
            labels=_labels(boxes, self._names),
            class_ids=np.maximum(boxes.label, 0).astype(np.uint16),
            show_labels=False,
        )
        self._recording.log(entity, shown)

    def log_tails(self, history: Any, boxes: Boxes3D, coloring: Coloring) -> None:
        """Where boxes were; `history` as `RunPainter.history` gives it."""
        strips = [path - self._origin_m for path in ground_paths(history)]
        self._recording.log("world/tails", self._rerun.LineStrips3D(strips, colors=coloring(boxes)))

    def _blueprint(self, title: str, cameras: Sequence[str]) -> Any:
        """The world, and the cameras with the tracks projected into them."""
        blueprint = self._rerun.blueprint
        views = [
            blueprint.Spatial2DView(
                origin=f"world/cameras/{name}", name=name, contents=["$origin/**", "/world/tracks", "/world/tails"]
            )
            for name in cameras
        ]
        world = blueprint.Spatial3DView(origin="world", name=title)
        panes = [world, blueprint.Grid(*views, grid_columns=3)] if views else [world]
        return blueprint.Blueprint(blueprint.Horizontal(*panes), collapse_panels=True)

    def _transform(self, global_from_body: FloatArray) -> Any:
        translation = global_from_body[:3, 3] - self._origin_m
        return self._rerun.Transform3D(translation=translation, mat3x3=global_from_body[:3, :3])


def _labels(boxes: Boxes3D, names: Sequence[str]) -> list[str]:
    identities = [""] * len(boxes) if boxes.track_id is None else boxes.track_id.tolist()
    return [
        f"{identity} {names[label]} {score:.2f}".strip()
        for identity, label, score in zip(identities, boxes.label.tolist(), boxes.score.tolist(), strict=True)
    ]
