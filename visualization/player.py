"""Writes a page that plays a scene: one self-contained HTML file that works from disk, without a server or network.

The page's parts are plain files in `page/`; they are put together with the scene's data, and with its images either
inside the page or beside it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import numpy as np

from evaluation.events import TrackEvents
from scenes import Camera, Results, Scene
from scenes.files import write_atomically
from scenes.jobs.executors import Workers, run_jobs
from scenes.scene_files import scene_file_name
from visualization.events import find_events
from visualization.html_page import assemble_page
from visualization.images import encode_jpeg, read_image
from visualization.page_data import page_data
from visualization.selection import results_of_scene
from visualization.views import shown_size_px

_PAINTING: Final = (
    "geometry.js",
    "drawing.js",
    "scene.js",
    "timeline.js",
    "inspector.js",
    "painting.js",
    "links.js",
    "navigation.js",
)
_ERRORS: Final = ("switches", "misses", "false_positives")
_THUMBNAIL_PX: Final = (256, 144)
_THUMBNAIL_QUALITY: Final = 70


@dataclass(frozen=True)
class PageOptions:
    """How pages are written.

    Attributes:
        image_width_px: width of the camera images in the page.
        image_quality: JPEG quality, 1 to 100.
        embed_images: inside the page; otherwise as files `<frame>_<camera>.jpg` in a folder `<scene>_images` beside it.
    """

    image_width_px: int = 480
    image_quality: int = 72
    embed_images: bool = True


@dataclass(frozen=True)
class PageReport:
    """What was written.

    Attributes:
        path: the page.
        scene_name, location: which scene it plays, and where that was recorded.
        frames, tracks: how many it shows.
        matches, switches, misses, false_positives: how many the evaluation counts in the scene (TP, IDS, FN, FP); None
            where it is not judged.
        mota: the mean over the classes that are annotated in the scene of
            max(0, 1 - (switches + misses + false positives) / annotations); None where there are none.
        amota: AMOTA of the scene on its own; None where it has none.
        thumbnail: a small picture of the scene as a data URI; None without images.
        unreadable_images: paths of the camera images that were missing or broken.
    """

    path: Path
    scene_name: str
    location: str
    frames: int
    tracks: int
    matches: int | None
    switches: int | None
    misses: int | None
    false_positives: int | None
    mota: float | None
    amota: float | None
    thumbnail: str | None
    unreadable_images: tuple[str, ...]


def write_scene_page(
    scene: Scene,
    tracks: Results,
    path: Path,
    options: PageOptions | None = None,
    detections: Results | None = None,
    events: TrackEvents | None = None,
) -> PageReport:
    """Write the page of a scene, whole or not at all.

    Args:
        scene: frames, cameras and annotations; images may be missing.
        tracks: boxes by sample token, with `track_id`.
        path: the page to write (`.html`).
        options: how it is written.
        detections: boxes by sample token for a layer of their own.
        events: what the evaluation counts in it; found in this scene alone when not given.

    Raises:
        InputError: the scene cannot be evaluated.
        OSError: a file could not be written.
    """
    photos = _Photos(path, options or PageOptions())
    counted = find_events([scene], tracks) if events is None else events
    data = page_data(scene, tracks, detections, counted, photos.source)
    write_atomically(path, scene_page(data))
    return PageReport(
        path=path,
        scene_name=scene.name,
        location=scene.location,
        frames=len(scene.frames),
        tracks=len(data["tracks"]),
        **_event_counts(data),
        amota=_finite(counted.amota.get(scene.name)),
        thumbnail=_thumbnail(scene),
        unreadable_images=tuple(photos.unreadable),
    )


def write_pages(
    scenes: Sequence[Scene],
    tracks: Results,
    folder: Path,
    options: PageOptions | None = None,
    detections: Results | None = None,
    workers: Workers = 1,
    events: TrackEvents | None = None,
) -> Iterator[PageReport]:
    """Write `<folder>/<scene name>.html` for each scene, several at a time in processes of their own.

    Without `events` the scenes are judged together, at the operating points of all of them. See `write_scene_page`;
    with more than one worker a script that calls this needs the usual `if __name__ == "__main__":`.
    """
    counted = find_events(scenes, tracks) if events is None else events
    jobs = [
        (
            scene,
            results_of_scene(scene, tracks),
            folder / page_name(scene.name),
            options,
            None if detections is None else results_of_scene(scene, detections),
            counted.of_scene(scene),
        )
        for scene in scenes
    ]
    yield from run_jobs(write_scene_page, jobs, workers)


def scene_page(data: Mapping[str, Any]) -> bytes:
    """The page that plays what `page_data` knows of a scene."""
    scripts = (*_PAINTING, "playback.js", "player.js")
    return assemble_page("player.html", "player.css", scripts, f"{data['scene']['name']} - tracks", data)


def live_page(data: Mapping[str, Any]) -> bytes:
    """The page that follows a run; `data` as of a scene, of the newest frame, see `visualization.live_page`."""
    scripts = (*_PAINTING, "player.js", "live.js")
    title = f"{data['scene']['name']} - live"
    return assemble_page("player.html", "player.css", scripts, title, data, connects_to="'self'")


def page_name(scene_name: str) -> str:
    """The file name of a scene's page."""
    return f"{scene_file_name(scene_name)}.html"


def page_link(
    scene_name: str,
    *,
    time_s: float | None = None,
    sample_token: str | None = None,
    track_id: str | None = None,
    annotation_id: str | None = None,
) -> str:
    """A relative link that opens a scene's page at a time or sample, with a track or an annotation selected.

    >>> page_link("scene-0103", time_s=9.5, track_id="12")
    'scene-0103.html#time=9.50&track=12'
    """
    wanted = {
        "time": None if time_s is None else f"{time_s:.2f}",
        "sample": sample_token,
        "track": track_id,
        "annotation": annotation_id,
    }
    fragment = urlencode({key: value for key, value in wanted.items() if value is not None})
    return quote(page_name(scene_name)) + (f"#{fragment}" if fragment else "")


@dataclass
class _Photos:
    """The camera images of a page, made smaller; remembers which could not be read."""

    page: Path
    options: PageOptions
    unreadable: list[str] = field(default_factory=list)

    def source(self, index: int, camera: Camera) -> str | None:
        """Where the page finds the image; see `page_data.ImageSource`."""
        width = self.options.image_width_px
        width_px, height_px = shown_size_px(camera)
        image = read_image(camera, width, max(1, round(width * height_px / width_px)))
        if image is None:
            self.unreadable.append(str(camera.image_path))
            return None
        content = encode_jpeg(image, self.options.image_quality)
        if self.options.embed_images:
            return data_uri(content)
        folder = self.page.with_name(f"{self.page.stem}_images")
        # Not the image's own name: cameras may number their images alike, each in a folder of its own.
        name = f"{index:04d}_{scene_file_name(camera.name)}.jpg"
        write_atomically(folder / name, content)
        return quote(f"{folder.name}/{name}")


def _event_counts(data: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of a `PageReport`, from a page's data."""
    if not data["judged"]:
        return dict.fromkeys(("matches", "switches", "misses", "false_positives", "mota"))
    count = {kind: np.zeros(len(data["classes"]), dtype=np.int64) for kind in ("found", *_ERRORS)}
    for path in (*data["tracks"], *data["annotations"]):
        count["found"][path["label"]] += sum(match is not None for match in path.get("matches", ()))
        for kind in _ERRORS:
            count[kind][path["label"]] += len(path.get(kind, ()))
    annotations = count["found"] + count["misses"]
    errors = np.sum([count[kind] for kind in _ERRORS], axis=0)
    present = annotations > 0
    mota = np.maximum(0.0, 1.0 - errors[present] / annotations[present])
    totals = {kind: int(of_classes.sum()) for kind, of_classes in count.items()}
    totals["matches"] = totals.pop("found") - totals["switches"]
    return {**totals, "mota": float(mota.mean()) if present.any() else None}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _thumbnail(scene: Scene) -> str | None:
    """A front camera's first image that can be read."""
    cameras = [camera for frame in scene.frames for camera in frame.cameras if camera.image_path.is_file()]
    for camera in sorted(cameras, key=lambda camera: camera.name != "CAM_FRONT")[:1]:
        image = read_image(camera, *_THUMBNAIL_PX)
        if image is not None:
            return data_uri(encode_jpeg(image, _THUMBNAIL_QUALITY))
    return None


def data_uri(jpeg: bytes) -> str:
    """A JPEG file as the address of an image."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
