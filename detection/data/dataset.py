"""`TemporalFrameDataset`: frames of scenes in the order of time, one by one or in windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from detection.data.batch import frame_batch
from detection.data.collate import collate
from detection.data.frame_record import FrameRecord, RecordReader
from detection.data.infos import CATEGORY_NAMES_2D, read_infos
from detection.data.packed import PackedList
from detection.data.sample import FrameSample, Transform
from detection.frames import FrameBatch
from detection.registry import DATASETS, TRANSFORMS
from scenes import DETECTION_CLASSES, InputError, read_taxonomy


@dataclass(frozen=True)
class FrameRequest:
    """What a sampler asks for.

    Attributes:
        index: the frame; of a window the last one.
        slot: batch slot of this process that it is for.
        continues_scene: whether the slot has just shown the frame before it.
        seed: numbers from which everything random about it is drawn.
    """

    index: int
    slot: int
    continues_scene: bool
    seed: tuple[int, ...]


@DATASETS.register_module()
class TemporalFrameDataset(Dataset[list[FrameBatch]]):
    """The frames of an info file.

    An item is a window: a list of `num_frames` frames (streaming: one), each a `FrameBatch` of one stream. A window
    ends with the frame asked for and holds frames of its scene only: at the start of a scene the first frame is
    repeated, and the network starts afresh with every repetition.

    Items are asked for by a `FrameRequest`. A plain index works too: randomness then depends on the index alone, and
    the frame continues its scene unless it begins a sequence.

    Args:
        dataroot: data root with the images.
        ann_file: info file; a relative path is looked up below `dataroot` unless it exists as it is.
        pipeline: configs of the transforms.
        classes: names of the classes, in the order of the labels; None takes those of the data root.
        camera_classes: names of the classes of 2D boxes, in the order of their labels; None takes `classes`.
        cameras: names of the cameras in the order in which the network sees them; None takes those of the first frame,
            in the published order.
        test_mode: whether to leave annotations out.
        num_frames: frames of a window.
        num_skipped: of the `num_frames - 1 + num_skipped` frames before the last, so many are left out at random, so
            that the network sees uneven intervals.
        sequence_split: parts into which each scene is cut. Parts begin like scenes: with an empty memory.

    Raises:
        InputError: no such file, or a frame in it is unusable.
    """

    collate = staticmethod(collate)

    def __init__(
        self,
        dataroot: Path | str,
        ann_file: Path | str,
        pipeline: Sequence[Mapping[str, Any]],
        *,
        classes: Sequence[str] | None = None,
        camera_classes: Sequence[str] | None = None,
        cameras: Sequence[str] | None = None,
        test_mode: bool = False,
        num_frames: int = 1,
        num_skipped: int = 0,
        sequence_split: int = 1,
    ) -> None:
        if num_frames < 1 or num_skipped < 0 or sequence_split < 1:
            raise InputError(
                f"num_frames={num_frames}, num_skipped={num_skipped}, sequence_split={sequence_split}: "
                "expected at least 1, 0 and 1"
            )
        taxonomy = read_taxonomy(dataroot)
        self.classes: tuple[str, ...] = tuple(taxonomy.names if classes is None else classes)
        taxonomy.labels([*self.classes, *(camera_classes or ())])
        self._num_frames = num_frames
        self._num_skipped = num_skipped
        self._test_mode = test_mode
        self._transforms: list[Transform] = [TRANSFORMS.build(step) for step in pipeline]
        path = path_below(Path(dataroot), Path(ann_file))
        infos, metadata = read_infos(path)
        written_with = tuple(metadata.get("classes", DETECTION_CLASSES))
        if written_with != taxonomy.names:
            raise InputError(
                f"{path}: written for the classes {', '.join(written_with)}, where {taxonomy} has "
                f"{', '.join(taxonomy.names)}; write it anew with `streamtrack create_data`"
            )
        read = RecordReader(
            ann_file=path,
            dataroot=Path(dataroot),
            written_for=metadata.get("dataroot"),
            classes=self.classes,
            camera_classes=camera_classes or self.classes,
            cameras=cameras,
            names_2d=metadata.get("classes", CATEGORY_NAMES_2D),
        )
        records = sorted((read(info) for info in infos), key=lambda record: record.timestamp_us)
        ordered = [records[index] for scene in _scenes(records) for index in scene]
        self._records = PackedList(ordered)
        scenes = _scenes(ordered)
        self._scene_start = np.concatenate([np.full(len(scene), scene[0], dtype=np.int64) for scene in scenes])
        self.sequences = [part for scene in scenes for part in _parts(scene, sequence_split)]
        self._begins = frozenset(int(part[0]) for part in self.sequences)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def sample_tokens(self) -> list[str]:
        """The tokens of all frames, in order."""
        return [self.record(index).sample_token for index in range(len(self._records))]

    def record(self, index: int) -> FrameRecord:
        """What the info file says of a frame."""
        return self._records[index]

    def __getitem__(self, request: FrameRequest | int) -> list[FrameBatch]:
        if not isinstance(request, FrameRequest):
            request = FrameRequest(int(request), 0, int(request) not in self._begins, (int(request),))
        random = np.random.default_rng(request.seed)
        if self._num_frames == 1:
            return [self._frame(request.index, request.continues_scene, random)]
        window = self._window(request.index, random)
        follows = [False, *(before < index for before, index in pairwise(window))]
        return [self._frame(index, continues, random) for index, continues in zip(window, follows, strict=True)]

    def __getitems__(self, requests: Sequence[FrameRequest | int]) -> list[list[FrameBatch]]:
        """The items of a batch; data loaders fetch by it.

        Raises:
            InputError: requests of other batch slots than those of the batch.
        """
        for position, request in enumerate(requests):
            if isinstance(request, FrameRequest) and request.slot != position:
                raise InputError("the data loader and its sampler have different batch sizes")
        return [self[request] for request in requests]

    def _window(self, index: int, random: np.random.Generator) -> list[int]:
        """The frames of the window that ends with `index`, in order."""
        earlier = np.arange(index - self._num_frames - self._num_skipped + 1, index)
        kept = np.sort(random.choice(earlier, self._num_frames - 1, replace=False)) if self._num_skipped else earlier
        return [*np.maximum(kept, self._scene_start[index]).tolist(), index]

    def _frame(self, index: int, continues_scene: bool, random: np.random.Generator) -> FrameBatch:
        sample = FrameSample.from_record(self.record(index), annotated=not self._test_mode)
        return frame_batch(self._transformed(sample, random), continues_scene)

    def _transformed(self, sample: FrameSample, random: np.random.Generator) -> FrameSample:
        """A sample after the steps of the pipeline."""
        for transform in self._transforms:
            sample = transform(sample, random)
        return sample


def path_below(dataroot: Path, ann_file: Path) -> Path:
    """An annotation file: below the data root, unless it has a folder and is only found as it is.

    A bare name belongs to the data root: the working folder may hold another one's file of that name.
    """
    below = dataroot / ann_file
    is_elsewhere = len(ann_file.parts) > 1 and ann_file.is_file()
    return ann_file if is_elsewhere and not below.is_file() else below


def _scenes(records: Sequence[FrameRecord]) -> list[list[int]]:
    """The indices of each scene's frames; scenes in the order in which they first occur."""
    scenes: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        scenes.setdefault(record.scene_token, []).append(index)
    return list(scenes.values())


def _parts(scene: Sequence[int], count: int) -> list[NDArray[np.int64]]:
    """A scene in at most `count` parts of the same length; the last may be shorter."""
    length = -(-len(scene) // count)
    return [np.array(scene[start : start + length]) for start in range(0, len(scene), length)]
