"""Results on the disk, of which the boxes of one scene are read at a time: of a file of any size, or of shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Final

import msgspec

from scenes.errors import InputError, shown
from scenes.jobs.shards import Shards, open_shards
from scenes.result_format import ResultFormat
from scenes.results import (
    SHARD_KINDS,
    Results,
    check_samples,
    decode_results,
    sample_spans,
    select_samples,
    shards_meta,
)
from scenes.scene import Scene
from scenes.splits import is_official_split
from scenes.tables import read_sample_tokens
from scenes.taxonomy import Taxonomy

_NO_META: Final = b'{"meta": {}, "results": {'


@dataclass(frozen=True)
class StoredScene:
    """Where the boxes of a scene lie; small enough to be sent to any machine that sees the file.

    Attributes:
        path: the file.
        format_: what it holds.
        tokens: of the scene's samples.
        spans: where each sample's boxes begin in the file, and their length, bytes; None if the file is of the scene.
    """

    path: Path
    format_: ResultFormat
    tokens: tuple[str, ...]
    spans: tuple[tuple[int, int], ...] | None

    def read(self, taxonomy: Taxonomy) -> Results:
        """Read and check the scene's boxes.

        Raises:
            InputError: they cannot be used, or a sample is missing.
        """
        try:
            content = self.path.read_bytes() if self.spans is None else self._part(self.spans)
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}") from error
        results = decode_results(content, self.path, self.format_, taxonomy)
        return select_samples(results, self.tokens, (), self.path)

    def _part(self, spans: Sequence[tuple[int, int]]) -> bytes:
        """A file of the scene alone."""
        samples = []
        with self.path.open("rb") as file:
            for token, (start, length) in zip(self.tokens, spans, strict=True):
                file.seek(start)
                samples.append(msgspec.json.encode(token) + b": " + file.read(length))
        return _NO_META + b", ".join(samples) + b"}}"


@dataclass(frozen=True)
class StoredResults:
    """A result file or a folder of shards.

    Attributes:
        path: the file or folder.
        format_: what it holds.
        meta: the files' own.
        shards: the folder; None for a file.
        spans: of a file, where each sample's boxes lie in it.
    """

    path: Path
    format_: ResultFormat
    meta: Mapping[str, Any]
    shards: Shards | None
    spans: Mapping[str, tuple[int, int]]

    def scene(self, scene: Scene) -> StoredScene:
        """The boxes of a scene, whose samples are there."""
        tokens = scene.sample_tokens
        if self.shards is not None:
            return StoredScene(self.shards.path(scene.name), self.format_, tokens, None)
        return StoredScene(self.path, self.format_, tokens, tuple(self.spans[token] for token in tokens))

    def check_split(self, scenes: Sequence[Scene], dataroot: Path | str, version: str, split: str) -> None:
        """Check that the boxes of all scenes of a split are there, as `read_split_detections` does.

        Raises:
            InputError: they are not.
        """
        if self.shards is not None:
            known = set(self.shards.scenes)
            if absent := [scene.name for scene in scenes if scene.name not in known]:
                raise InputError(
                    f"{self.path}: holds no shard of scene {shown(absent[0])} of split '{split}' "
                    f"({len(absent)} of {len(scenes)} are missing)"
                )
            return
        known_tokens = () if is_official_split(split) else read_sample_tokens(dataroot, version)
        wanted = [token for scene in scenes for token in scene.sample_tokens]
        check_samples(self.spans.keys(), wanted, known_tokens, self.path)


def open_results(path: Path, format_: ResultFormat) -> StoredResults:
    """Look where the boxes lie in a result file, without decoding them; or open a folder of shards.

    Raises:
        InputError: it is neither.
    """
    if path.is_dir():
        shards = open_shards(path, SHARD_KINDS[format_])
        return StoredResults(path, format_, shards_meta(shards), shards, {})
    try:
        with path.open("rb") as file:
            content = mmap(file.fileno(), 0, access=ACCESS_READ)
    except ValueError as error:  # mmap has nothing to map
        raise InputError(f"{path}: the file is empty") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    meta, spans = sample_spans(content, path)
    return StoredResults(path, format_, meta, None, spans)
