"""Writes one H.264 video a scene. The encoder comes with the package `imageio-ffmpeg`."""

from __future__ import annotations

import errno
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np

from scenes import Results, Scene
from scenes.files import atomic_path
from scenes.jobs.executors import Workers, run_jobs
from scenes.scene_files import scene_file_name
from visualization.colors import Image
from visualization.comparison import ComparisonPainter
from visualization.mosaic import MosaicPainter
from visualization.run_painter import DrawingOptions
from visualization.selection import results_of_scene
from visualization.unfinished import moved_from, unfinished_folder

_SLOWEST_FPS, _FASTEST_FPS = 0.5, 60.0


@dataclass(frozen=True)
class VideoReport:
    """What was written.

    Attributes:
        path: the video.
        frames: how many pictures it shows.
        unreadable_images: paths of the camera images that were missing or broken, shown as grey frames.
    """

    path: Path
    frames: int
    unreadable_images: tuple[str, ...]


def write_scene_video(
    scene: Scene,
    tracks: Results,
    path: Path,
    options: DrawingOptions | None = None,
    compared: Mapping[str, Results] | None = None,
    smooth_fps: float | None = None,
) -> VideoReport:
    """Write a scene's cameras and bird's-eye view with its tracks as a video, whole or not at all.

    Args:
        scene: the frames; images may be missing.
        tracks: boxes by sample token, with `track_id`.
        path: the video to write (`.mp4`); it plays at the speed of the recording.
        options: what is shown.
        compared: by name two runs that are shown side by side, in place of `tracks`.
        smooth_fps: pictures a second, between which the bird's-eye view moves evenly; by default one picture a
            key frame.

    Raises:
        OSError: the encoder could not write the file (a full disk, say).
    """
    painter: MosaicPainter | ComparisonPainter
    painter = ComparisonPainter(scene, compared, options) if compared else MosaicPainter(scene, tracks, options)
    moments = smooth_moments(scene, smooth_fps) if smooth_fps else [(index, 0.0) for index in range(len(scene.frames))]
    pictures = (painter.paint(index, share) for index, share in moments)
    with atomic_path(path) as temporary:
        write_video(temporary, pictures, smooth_fps or frames_per_second(scene))
    return VideoReport(path, len(moments), painter.images.unreadable)


def write_videos(
    scenes: Sequence[Scene],
    tracks: Results,
    folder: Path,
    options: DrawingOptions | None = None,
    compared: Callable[[Scene], Mapping[str, Results]] | None = None,
    smooth_fps: float | None = None,
    workers: Workers = 1,
) -> Iterator[VideoReport]:
    """Write `<folder>/<scene name>.mp4` for each scene, several at a time in processes of their own.

    Args:
        scenes: what to draw.
        tracks: boxes by sample token, with `track_id`.
        folder: created where it is missing.
        options, smooth_fps: see `write_scene_video`.
        compared: gives the two runs of a scene that are shown side by side.
        workers: processes, or where the scenes are drawn otherwise. With more than one process, a script that calls
            this needs the usual `if __name__ == "__main__":`.

    Yields:
        a report a scene, in order, as soon as it is written.
    """
    jobs = [
        (
            scene,
            results_of_scene(scene, tracks),
            folder / f"{scene_file_name(scene.name)}.mp4",
            options,
            compared(scene) if compared else None,
            smooth_fps,
        )
        for scene in scenes
    ]
    if not jobs:
        return
    with unfinished_folder(jobs[0][2]) as unfinished:
        yield from run_jobs(partial(_write_and_move, unfinished), jobs, workers)


def _write_and_move(unfinished: Path, scene: Scene, tracks: Results, path: Path, *how: Any) -> VideoReport:
    """`write_scene_video` by way of a folder that a run removes, whatever happens to its workers."""
    with moved_from(unfinished, path) as temporary:
        report = write_scene_video(scene, tracks, temporary, *how)
    return replace(report, path=path)


def smooth_moments(scene: Scene, fps: float) -> list[tuple[int, float]]:
    """Moments at an even pace through a scene: the key frame before, and the share of the way to the next one.

    Time that stands still or runs backwards between two key frames takes no picture.
    """
    times_s = 1e-6 * np.array([frame.timestamp_us for frame in scene.frames])
    elapsed_s = np.concatenate([[0.0], np.cumsum(np.maximum(np.diff(times_s), 0.0))])
    moments_s = np.arange(0.0, elapsed_s[-1] + 0.5 / fps, 1.0 / fps)
    index = np.clip(np.searchsorted(elapsed_s, moments_s, side="right") - 1, 0, len(elapsed_s) - 1)
    gap_s = np.append(np.diff(elapsed_s), 1.0)[index]
    share = np.clip((moments_s - elapsed_s[index]) / gap_s, 0.0, 1.0)
    return list(zip(index.tolist(), share.tolist(), strict=True))


def frames_per_second(scene: Scene) -> float:
    """The usual rate of a scene's key frames, held between 0.5 and 60; 2 for a scene of one frame."""
    steps_s = 1e-6 * np.diff([frame.timestamp_us for frame in scene.frames])
    forward_s = steps_s[steps_s > 0]
    if not len(forward_s):
        return 2.0
    return float(np.clip(np.round(1.0 / np.median(forward_s), 2), _SLOWEST_FPS, _FASTEST_FPS))


def write_video(path: Path, pictures: Iterable[Image], fps: float) -> None:
    """Encode pictures of one size, even in width and height, as H.264.

    Raises:
        OSError: the encoder stopped; the message holds its last words.
    """
    iterator = iter(pictures)
    first = next(iterator)
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            _encoder_command(path, first.shape[1], first.shape[0], fps), stdin=subprocess.PIPE, stderr=messages
        ) as encoder,
    ):
        assert encoder.stdin is not None
        try:
            for picture in chain([first], iterator):
                encoder.stdin.write(np.ascontiguousarray(picture).data)
            encoder.stdin.close()
        except BrokenPipeError:
            # It has stopped early: its exit code says so below, and its messages say why.
            pass
        except BaseException:
            encoder.kill()
            raise
        if encoder.wait():
            messages.seek(0)
            last_words = messages.read().decode(errors="replace").strip().splitlines()
            raise OSError(errno.EIO, f"the video encoder failed: {last_words[-1] if last_words else 'no message'}")


def _encoder_command(path: Path, width_px: int, height_px: int, fps: float) -> list[str]:
    raw_input = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width_px}x{height_px}", "-r", str(fps), "-i", "-"]
    # yuv420p is what every player shows; a key picture every ten makes the video quick to scrub.
    h264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-g", "10", "-pix_fmt", "yuv420p"]
    quiet = ["-hide_banner", "-loglevel", "error", "-y"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), *quiet, *raw_input, *h264, "-movflags", "+faststart", str(path)]
