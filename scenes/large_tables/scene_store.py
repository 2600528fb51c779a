"""Scenes of large tables, kept in the cache folder as they were read: later reads decode no table.

What is kept is stamped with all that it depends on: the tables' sizes, times and samples of their content, the classes
of the data root, and this package's own sources. Where the stamp is another, or a file is broken or absent, the tables
are read again; nothing depends on the store. Several processes may read and write it at once: files are replaced whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from scenes.large_tables.cache_files import cache_folder, read_cache_file, write_cache_file
from scenes.large_tables.row_places import (
    LARGE_TABLES,
    RowPlaces,
    decode_row_places,
    encode_row_places,
    find_row_places,
)
from scenes.large_tables.scene_blocks import decode_scene, encode_scene
from scenes.scene import Scene
from scenes.taxonomy import CLASSES_FILE, Taxonomy

_SMALLEST_STORED: Final = 1 << 26
"""Bytes of the large tables below which reading them takes less than a second, and nothing is kept."""

_TABLES: Final = (
    *LARGE_TABLES,
    *("scene", "sample", "log", "sensor", "calibrated_sensor", "instance", "category", "attribute"),
)
_BLOCK_BYTES: Final = 4096
_BLOCKS: Final = 16
_SETTLED_S: Final = 2.0
"""A file that was changed less than this ago may change again without another time stamp."""


@dataclass
class SceneStore:
    """The stored scenes of one version of one data root.

    Attributes:
        dataroot, version: of the tables.
        folder: where their files lie.
        stamp: what the files must bear.
    """

    dataroot: Path
    version: str
    folder: Path
    stamp: bytes
    _places: RowPlaces | None = field(default=None, init=False)
    _scanned: bool = field(default=False, init=False)

    @classmethod
    def of(cls, dataroot: Path, version: str) -> SceneStore | None:
        """The store of a data root; None for tables that are read without one."""
        tables = dataroot / version
        folder = cache_folder()
        try:
            size = sum(
                (tables / f"{name}.json").stat().st_size for name in LARGE_TABLES if (tables / f"{name}.json").exists()
            )
            if folder is None or size < _SMALLEST_STORED:
                return None
            stamp = tables_stamp(dataroot, version)
        except OSError:
            return None
        name = blake2b(os.fsencode(tables.resolve()), digest_size=8).hexdigest()
        return cls(dataroot, version, folder / "tables" / f"{version[:40]}-{name}", stamp)

    def load(self, token: str, taxonomy: Taxonomy, annotations: bool, cameras: bool) -> Scene | None:
        """A scene, with what is asked for; None if it is not there.

        Cameras that the ego pose depends on are always there.
        """
        content = read_cache_file(self._path_of(token), self.stamp)
        if content is None:
            return None
        try:
            scene = decode_scene(content, self.dataroot, taxonomy, annotations, cameras)
        except (msgspec.DecodeError, ValueError, IndexError):
            return None
        return scene if scene.token == token else None

    def save(self, scenes: Sequence[Scene]) -> None:
        """Keep scenes that were read with all there is."""
        if self._is_settled():
            for scene in scenes:
                write_cache_file(self._path_of(scene.token), self.stamp, encode_scene(scene, self.dataroot))

    def row_places(self) -> RowPlaces | None:
        """Where the rows of the scenes lie, kept or found; None where that is not plain to see."""
        if self._scanned:
            return self._places
        content = read_cache_file(self.folder / "rows", self.stamp)
        if content is not None:
            try:
                return decode_row_places(content)
            except (msgspec.DecodeError, ValueError):
                pass
        return self.found_row_places()

    def found_row_places(self) -> RowPlaces | None:
        """As `row_places`, from the tables alone."""
        if not self._scanned:
            try:
                self._places = find_row_places(self.dataroot / self.version)
            except OSError:
                self._places = None
            self._scanned = True
            if self._places is not None and self._is_settled():
                for stale in self.folder.glob("*.scene"):
                    if read_cache_file(stale, self.stamp) is None:
                        stale.unlink(missing_ok=True)
                write_cache_file(self.folder / "rows", self.stamp, encode_row_places(self._places))
        return self._places

    def _path_of(self, token: str) -> Path:
        return self.folder / f"{blake2b(token.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}.scene"

    def _is_settled(self) -> bool:
        """Whether the tables are still those of the stamp, and were so for a while."""
        try:
            newest = max(path.stat().st_mtime for path in _files(self.dataroot, self.version))
            return newest < time.time() - _SETTLED_S and tables_stamp(self.dataroot, self.version) == self.stamp
        except OSError:
            return False


def _files(dataroot: Path, version: str) -> list[Path]:
    paths = [dataroot / version / f"{name}.json" for name in _TABLES] + [dataroot / CLASSES_FILE]
    return [path for path in paths if path.exists()]


def tables_stamp(dataroot: Path, version: str) -> bytes:
    """16 bytes that stand for the tables, the classes and the sources that read them."""
    digest = blake2b(_source_digest(), digest_size=16)
    for path in _files(dataroot, version):
        status = path.stat()
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns} ".encode())
        with path.open("rb", buffering=0) as file:
            for block in range(_BLOCKS):
                file.seek(block * max(status.st_size - _BLOCK_BYTES, 0) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.digest()


@cache
def _source_digest() -> bytes:
    digest = blake2b(digest_size=16)
    here = Path(__file__).parent
    for path in sorted([*here.parent.glob("*.py"), *here.glob("*.py")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()
