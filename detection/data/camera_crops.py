"""`CameraCropDataset`: single cameras of frames, chosen so that rare classes are seen often."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from detection.data.batch import frame_batch
from detection.data.dataset import FrameRequest, TemporalFrameDataset
from detection.data.sample import FrameSample
from detection.frames import FrameBatch
from detection.registry import DATASETS
from scenes import InputError

_NEAREST_M = 1.0


@DATASETS.register_module()
class CameraCropDataset(TemporalFrameDataset):
    """Images of an info file, each an item of one frame with one camera.

    A share of the items shows an annotated object, whichever image was asked for: its class is drawn with a probability
    that is proportional to the square root of its count (each object with 1 / sqrt(count)), then one of the class.
    `FrameSample.focus_px` tells the pipeline where it is.

    Args:
        object_share: of the items that show a drawn object.
        settings: of a `TemporalFrameDataset`.

    Raises:
        InputError: see `TemporalFrameDataset`; or there is no object to draw.
    """

    def __init__(self, *args: Any, object_share: float = 0.75, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if not 0 <= object_share <= 1:
            raise InputError(f"object_share is {object_share}, expected a number from 0 to 1")
        self._object_share = object_share
        self._images = [
            (index, camera) for index in range(super().__len__()) for camera in range(len(self.record(index).cameras))
        ]
        self._objects = self._objects_by_class()
        if object_share and not self._objects:
            raise InputError("a data set without annotated objects has no crops around them: object_share=0")
        counts = np.array([len(objects) for objects in self._objects], dtype=np.float64)
        self._class_shares = np.sqrt(counts) / np.sqrt(counts).sum()
        self.sequences = [np.array([image]) for image in range(len(self._images))]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, request: FrameRequest | int) -> list[FrameBatch]:
        if not isinstance(request, FrameRequest):
            request = FrameRequest(int(request), 0, False, (int(request),))
        random = np.random.default_rng(request.seed)
        image, focus_px = request.index, None
        if random.uniform() < self._object_share:
            objects = self._objects[random.choice(len(self._objects), p=self._class_shares)]
            image, *place = objects[random.integers(len(objects))].tolist()
            focus_px = np.array(place)
        index, camera = self._images[int(image)]
        sample = FrameSample.from_record(self.record(index))
        sample = replace(sample, views=sample.views[camera : camera + 1], focus_px=focus_px)
        return [frame_batch(self._transformed(sample, random), continues_scene=False)]

    def _objects_by_class(self) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
        """For each class that there is (n, 3): number of an image, and the centre of an object that it shows."""
        by_class: defaultdict[int, list[tuple[float, float, float]]] = defaultdict(list)
        for image, (index, camera) in enumerate(self._images):
            annotations = self.record(index).cameras[camera].annotations
            if annotations is None:
                continue
            centers_px, boxes_px = annotations.centers_px, annotations.boxes_px
            # The boxes end at the edges of the image.
            inside = ((centers_px >= boxes_px[:, :2]) & (centers_px <= boxes_px[:, 2:])).all(axis=1)
            for which in np.flatnonzero(inside & (annotations.depths_m > _NEAREST_M)):
                by_class[int(annotations.labels[which])].append((image, *centers_px[which]))
        return [np.array(by_class[label]) for label in sorted(by_class)]
