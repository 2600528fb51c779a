"""What a converted data root remembers of its source: names of frames, and the frame in which boxes are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scenes.conversion.drive_tables import LABEL_FRAME_TABLE
from scenes.errors import InputError
from scenes.geometry import FloatArray, pose_matrix
from scenes.scene import Frame, Scene, taxonomy_of
from scenes.table_rows import Quaternion, Row, Vector, read_table
from scenes.tables import read_scenes
from scenes.taxonomy import Taxonomy


class _SampleRow(Row):
    source_frame: str = ""


class _LabelFrameRow(Row):
    scene_token: str
    translation: Vector
    rotation: Quaternion


@dataclass(frozen=True, eq=False)
class SourceFrames:
    """The scenes of a split, and how their source calls and places things.

    Attributes:
        scenes: with cameras, without annotations.
        name_of: the source's name of a frame, by sample token.
        ego_from_labels: (4, 4) pose of the frame in which the source gives boxes, by scene token; empty where it gives
            them in frames of its own.
        folder: of the tables, for messages.
    """

    scenes: list[Scene]
    name_of: dict[str, str]
    ego_from_labels: dict[str, FloatArray]
    folder: Path

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """The classes of the data root."""
        return taxonomy_of(self.scenes)

    def frames(self) -> Iterator[tuple[Scene, Frame]]:
        """Every key frame with its scene."""
        for scene in self.scenes:
            for frame in scene.frames:
                yield scene, frame

    def by_name(self, scene: Scene) -> dict[str, Frame]:
        """The key frames of a scene by the source's name.

        Raises:
            InputError: the data root does not say it.
        """
        if any(not self.name_of[frame.token] for frame in scene.frames):
            raise InputError(
                f"{self.folder / 'sample.json'}: scene {scene.name!r} has no source_frame; only data roots that "
                "convert_data wrote know the frames of their source"
            )
        return {self.name_of[frame.token]: frame for frame in scene.frames}

    def global_from_labels(self, scene: Scene, frame: Frame) -> FloatArray:
        """(4, 4) pose of the frame of the source's boxes at a key frame.

        Raises:
            InputError: the data root does not say it.
        """
        if scene.token not in self.ego_from_labels:
            raise InputError(f"{self.folder / LABEL_FRAME_TABLE}.json: says nothing of scene {scene.name!r}")
        return frame.global_from_ego @ self.ego_from_labels[scene.token]


def read_source_frames(dataroot: Path, version: str, split: str) -> SourceFrames:
    """Read what a data root remembers of its source.

    Args:
        dataroot, version, split: see `read_scenes`.

    Raises:
        InputError: see `read_scenes`.
    """
    scenes = read_scenes(dataroot, version, split, annotations=False)
    folder = dataroot / version
    samples = read_table(folder / "sample.json", _SampleRow)
    path = folder / f"{LABEL_FRAME_TABLE}.json"
    label_frames = read_table(path, _LabelFrameRow) if path.is_file() else {}
    return SourceFrames(
        scenes,
        {token: row.source_frame for token, row in samples.items()},
        {row.scene_token: pose_matrix(row.translation, row.rotation) for row in label_frames.values()},
        folder,
    )
